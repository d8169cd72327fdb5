#include "cli/typed_text.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>

namespace holdfast::cli {
namespace {

using Days = std::chrono::sys_days;
constexpr int64_t kSecond = 1'000'000, kDay = 86'400 * kSecond;
constexpr std::string_view kTimestampForm = "dddd-dd-ddTdd:dd:dd";  // then .d to .dddddd, or nothing, then Z
constexpr std::string_view kUuidForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

// The whole text, in its shortest form but for leading zeros; no plus sign, no white space.
template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::optional<Bytes> ParseUuid(std::string_view text) {
  if (text.size() != kUuidForm.size()) return std::nullopt;
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((kUuidForm[i] == '-') != (text[i] == '-')) return std::nullopt;
    if (text[i] != '-') digits += text[i];
  }
  Bytes bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    uint8_t byte = 0;
    auto [end, error] = std::from_chars(&digits[i], &digits[i] + 2, byte, 16);
    if (error != std::errc() || end != &digits[i] + 2) return std::nullopt;
    bytes.push_back(byte);
  }
  return bytes;
}

std::string UuidText(ByteView bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (uint8_t b : bytes) {
    if (kUuidForm[text.size()] == '-') text += '-';
    text += {kHex[b >> 4], kHex[b & 15]};
  }
  return text;
}

// Microseconds of ".25Z": 250,000. Nothing: not such a text.
std::optional<int64_t> ParseFraction(std::string_view text) {
  if (text == "Z") return 0;
  if (text.size() < 3 || text.size() > 8 || text.front() != '.' || text.back() != 'Z') return std::nullopt;
  std::string digits(text.substr(1, text.size() - 2));
  if (digits.find_first_not_of("0123456789") != digits.npos) return std::nullopt;
  digits.resize(6, '0');
  return ParseNumber<int64_t>(digits);
}

std::optional<int64_t> ParseTimestamp(std::string_view text) {
  if (text.size() <= kTimestampForm.size()) return std::nullopt;
  for (size_t i = 0; i < kTimestampForm.size(); ++i) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (kTimestampForm[i] == 'd' ? !digit : text[i] != kTimestampForm[i]) return std::nullopt;
  }
  auto number = [&](size_t at, size_t n) { return *ParseNumber<int>(text.substr(at, n)); };
  auto two = [&](size_t at) { return static_cast<unsigned>(number(at, 2)); };
  std::chrono::year_month_day date(std::chrono::year(number(0, 4)), std::chrono::month(two(5)),
                                   std::chrono::day(two(8)));
  std::optional<int64_t> fraction = ParseFraction(text.substr(kTimestampForm.size()));
  if (!date.ok() || two(11) > 23 || two(14) > 59 || two(17) > 59 || !fraction) return std::nullopt;
  int64_t seconds = two(11) * 3600 + two(14) * 60 + two(17);
  return Days(date).time_since_epoch().count() * kDay + seconds * kSecond + *fraction;
}

std::string TimestampText(int64_t t) {
  int64_t days = t / kDay - (t % kDay < 0 ? 1 : 0), rest = t - days * kDay;
  std::chrono::year_month_day date(Days{std::chrono::days{days}});
  std::array<char, 64> text{};
  auto seconds = static_cast<unsigned>(rest / kSecond);
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02u:%02u:%02u.%06uZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), seconds / 3600, seconds / 60 % 60, seconds % 60,
                static_cast<unsigned>(rest % kSecond));
  return text.data();
}

template <typename T, typename Encode>
Result<std::string> Encoded(const std::optional<T>& value, Encode encode) {
  if (!value) return Code::kBadInput;
  return ToText(encode(*value));
}

}  // namespace

Result<std::string> ParseTyped(tree::Type type, std::string_view text) {
  switch (type) {
    case tree::Type::kInt64:
      return Encoded(ParseNumber<int64_t>(text), tree::FromInt64);
    case tree::Type::kUint64:
      return Encoded(ParseNumber<uint64_t>(text), tree::FromUint64);
    case tree::Type::kTimestamp:
      return Encoded(ParseTimestamp(text), tree::FromInt64);
    case tree::Type::kUuid:
      return Encoded(ParseUuid(text), [](const Bytes& b) { return b; });
    case tree::Type::kBytes:
    case tree::Type::kText:
    case tree::Type::kJson:
      break;
  }
  if (!tree::IsOf(type, AsBytes(text))) return Code::kBadInput;
  return std::string(text);
}

std::string TypedText(tree::Type type, std::string_view bytes) {
  ByteView b = AsBytes(bytes);
  if (!tree::IsOf(type, b)) return std::string(bytes);
  switch (type) {
    case tree::Type::kInt64:
      return std::to_string(tree::Int64Of(b));
    case tree::Type::kUint64:
      return std::to_string(tree::Uint64Of(b));
    case tree::Type::kTimestamp:
      return TimestampText(tree::Int64Of(b));
    case tree::Type::kUuid:
      return UuidText(b);
    case tree::Type::kBytes:
    case tree::Type::kText:
    case tree::Type::kJson:
      break;
  }
  return std::string(bytes);
}

}  // namespace holdfast::cli
