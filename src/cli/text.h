// Bytes as text and back: one record a line whatever is in it.
//
// Escaped: tab \t, newline \n, carriage return \r, backslash \\, every other control character and every byte
// that is not part of well-formed UTF-8 \xHH. So a line of `kv scan` is valid UTF-8, has exactly the tabs
// that separate its fields, cannot drive a terminal, and `kv load` reads back the same bytes.
#ifndef HOLDFAST_CLI_TEXT_H_
#define HOLDFAST_CLI_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::cli {

std::string Escape(ByteView bytes);
Result<Bytes> Unescape(std::string_view text);  // kBadInput: a backslash that begins none of the above

bool IsUtf8(ByteView bytes);  // well-formed, RFC 3629

std::string Base64(ByteView bytes);                // RFC 4648, padded
Result<Bytes> ParseBase64(std::string_view text);  // kBadInput

std::vector<std::string_view> SplitTabs(std::string_view line);

// A JSON object on one line, fields in the order they are added.
class JsonLine {
 public:
  JsonLine& Text(std::string_view name, std::string_view value);  // value: UTF-8 (other bytes become U+FFFD)
  JsonLine& Number(std::string_view name, uint64_t value);
  JsonLine& Bool(std::string_view name, bool value);
  JsonLine& Raw(std::string_view name, std::string_view json);
  std::string str() const { return "{" + out_ + "}"; }

 private:
  void Name(std::string_view name);
  std::string out_;
};
std::string JsonString(std::string_view text);                         // with its quotes
std::string JsonArray(const std::vector<std::string>& json_elements);  // "[a,b]"

// "1,234,567"; "12.3 MiB"
std::string Thousands(uint64_t n);
std::string HumanBytes(uint64_t n);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_TEXT_H_
