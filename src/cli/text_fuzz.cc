// Bytes as text and back. What Escape writes is one line of valid text that reads back the same; what
// Unescape and ParseBase64 take has, for Base64, that one spelling; JsonString is JSON whatever it is given.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/text.h"

namespace holdfast::cli {
namespace {

void Forwards(ByteView bytes) {
  const std::string escaped = Escape(bytes);
  HF_CHECK(escaped.size() <= 4 * bytes.size());
  for (char c : escaped) HF_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  HF_CHECK(Unescape(escaped).value() == ToBytes(bytes));
  HF_CHECK(nlohmann::json::parse("\"" + Base64(AsBytes(escaped)) + "\"", nullptr, false).is_string());

  const std::string base64 = Base64(bytes);
  HF_CHECK(base64.size() == (bytes.size() + 2) / 3 * 4);
  HF_CHECK(ParseBase64(base64).value() == ToBytes(bytes));

  const std::string quoted = JsonString(AsText(bytes));
  nlohmann::json parsed = nlohmann::json::parse(quoted, nullptr, false);
  HF_CHECK(parsed.is_string());
  // Escaped text is UTF-8, so nothing of it is replaced.
  parsed = nlohmann::json::parse(JsonString(escaped), nullptr, false);
  HF_CHECK(parsed.is_string() && parsed.get<std::string>() == escaped);
  JsonLine line;
  line.Text(AsText(bytes), AsText(bytes)).Number("n", bytes.size()).Bool("b", true);
  HF_CHECK(nlohmann::json::parse(line.str(), nullptr, false).is_object());
}

void Backwards(std::string_view text) {
  if (Result<Bytes> bytes = Unescape(text)) {
    HF_CHECK(bytes->size() <= text.size());
    HF_CHECK(Unescape(Escape(*bytes)).value() == *bytes);
  }
  if (Result<Bytes> bytes = ParseBase64(text)) HF_CHECK(Base64(*bytes) == text);
  std::string joined;
  for (std::string_view field : SplitTabs(text))
    joined += (field.data() == text.data() ? "" : "\t") + ToText(AsBytes(field));
  HF_CHECK(joined == text);
}

}  // namespace
}  // namespace holdfast::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::cli::Forwards({data, size});
  holdfast::cli::Backwards(holdfast::AsText({data, size}));
  return 0;
}
