// A credentials file: what is accepted has known names and values that fit into one line of a header; written
// back it is the same.
#include "base/check.h"
#include "host/http/credentials.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  auto found = host::ParseCredentials(AsText({data, size}));
  if (!found) {
    HF_CHECK(found.code() == Code::kBadConfig);
    return 0;
  }
  std::string text;
  for (const auto& [name, value] : *found) {
    HF_CHECK(!value.empty() && value.find_first_of("\r\n") == std::string::npos);
    text += name + " = " + value + "\n";
  }
  auto again = host::ParseCredentials(text);
  HF_CHECK(again.has_value() && *again == *found);
  return 0;
}
