// Keys and values as people write them: what is read is of its type and written back it is read as the same;
// every 16 bytes are a UUID, every 8 an integer.
#include "base/check.h"
#include "cli/typed_text.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string_view input = AsText({bytes, size});
  for (uint8_t t = 1; t <= static_cast<uint8_t>(tree::Type::kJson); ++t) {
    auto type = static_cast<tree::Type>(t);
    auto read = cli::ParseTyped(type, input);
    if (read) {
      HF_CHECK(tree::IsOf(type, AsBytes(*read)));
      HF_CHECK(cli::ParseTyped(type, cli::TypedText(type, *read)).value() == *read);
    }
    if (tree::IsOf(type, {bytes, size}))
      HF_CHECK(cli::ParseTyped(type, cli::TypedText(type, input)).value() == input);
  }
  return 0;
}
