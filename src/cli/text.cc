#include "cli/text.h"

#include <array>
#include <cstdio>

namespace holdfast::cli {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Length of the well-formed UTF-8 sequence at `b` (RFC 3629: no overlong forms, surrogates, or beyond
// U+10FFFF); 0 if none.
size_t Utf8Length(ByteView b) {
  uint8_t c = b[0];
  if (c < 0x80) return 1;
  size_t n = c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
  if (n == 0 || b.size() < n) return 0;
  uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
  uint8_t high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
  if (b[1] < low || b[1] > high) return 0;
  for (size_t i = 2; i < n; ++i) {
    if (b[i] < 0x80 || b[i] > 0xBF) return 0;
  }
  return n;
}

// U+0080 to U+009F are control characters too: C1, which some terminals obey.
bool IsC1(ByteView b) { return b[0] == 0xC2 && b[1] < 0xA0; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

constexpr uint8_t kNoDigit = 255;
constexpr std::array<uint8_t, 256> kBase64Digits = [] {
  std::array<uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    digits[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return digits;
}();

void AppendEscapedByte(std::string& out, uint8_t c) {
  switch (c) {
    case '\t':
      out += "\\t";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\\':
      out += "\\\\";
      return;
    default:
      out += {'\\', 'x', kHex[c >> 4], kHex[c & 15]};
  }
}

}  // namespace

std::string Escape(ByteView bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    ByteView rest = bytes.subspan(i);
    size_t n = Utf8Length(rest);
    bool plain = n != 0 && (n > 1 ? !IsC1(rest) : rest[0] >= 0x20 && rest[0] != 0x7F && rest[0] != '\\');
    if (plain) {
      out += AsText(rest.first(n));
    } else {
      n = n == 0 ? 1 : n;
      for (uint8_t c : rest.first(n)) AppendEscapedByte(out, c);
    }
    i += n;
  }
  return out;
}

Result<Bytes> Unescape(std::string_view text) {
  Bytes out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(static_cast<uint8_t>(text[i]));
      continue;
    }
    char c = ++i < text.size() ? text[i] : '\0';
    if (c == 't' || c == 'n' || c == 'r' || c == '\\') {
      out.push_back(c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : '\\');
    } else if (c == 'x' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 && HexDigit(text[i + 2]) >= 0) {
      out.push_back(static_cast<uint8_t>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2])));
      i += 2;
    } else {
      return Code::kBadInput;
    }
  }
  return out;
}

bool IsUtf8(ByteView bytes) {
  while (!bytes.empty()) {
    size_t n = Utf8Length(bytes);
    if (n == 0) return false;
    bytes = bytes.subspan(n);
  }
  return true;
}

std::string Base64(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t v = static_cast<uint32_t>(bytes[i]) << 16;
    if (n > 1) v |= static_cast<uint32_t>(bytes[i + 1]) << 8;
    if (n > 2) v |= bytes[i + 2];
    for (size_t k = 0; k < 4; ++k) out += k <= n ? kAlphabet[(v >> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}

Result<Bytes> ParseBase64(std::string_view text) {
  if (text.size() % 4 != 0) return Code::kBadInput;
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    bool last = i + 4 == text.size();
    size_t padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
    uint32_t v = 0;
    for (size_t k = 0; k < 4; ++k) {
      uint8_t digit = k + padding >= 4 ? 0 : kBase64Digits[static_cast<uint8_t>(text[i + k])];
      if (digit == kNoDigit) return Code::kBadInput;
      v = v << 6 | digit;
    }
    // Bits behind the last byte must be zero: two texts for the same bytes would hide a difference between
    // dumps.
    if ((padding == 1 && (v & 0xC0) != 0) || (padding == 2 && (v & 0xF000) != 0)) return Code::kBadInput;
    for (size_t k = 0; k + padding < 3; ++k) out.push_back(static_cast<uint8_t>(v >> (16 - 8 * k)));
  }
  return out;
}

std::vector<std::string_view> SplitTabs(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    size_t tab = line.find('\t');
    fields.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return fields;
    line.remove_prefix(tab + 1);
  }
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  ByteView bytes = AsBytes(text);
  for (size_t i = 0; i < bytes.size();) {
    size_t n = Utf8Length(bytes.subspan(i));
    uint8_t c = bytes[i];
    if (n == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += {'\\', static_cast<char>(c)};
    } else if (c < 0x20 || c == 0x7F) {
      out += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
    } else {
      out += text.substr(i, n);
    }
    i += n == 0 ? 1 : n;
  }
  return out + "\"";
}

std::string JsonArray(const std::vector<std::string>& json_elements) {
  std::string out = "[";
  for (const std::string& e : json_elements) out += (out.size() > 1 ? "," : "") + e;
  return out + "]";
}

void JsonLine::Name(std::string_view name) {
  if (!out_.empty()) out_ += ",";
  out_ += JsonString(name) + ":";
}
JsonLine& JsonLine::Text(std::string_view name, std::string_view value) {
  return Raw(name, JsonString(value));
}
JsonLine& JsonLine::Number(std::string_view name, uint64_t value) { return Raw(name, std::to_string(value)); }
JsonLine& JsonLine::Bool(std::string_view name, bool value) { return Raw(name, value ? "true" : "false"); }
JsonLine& JsonLine::Raw(std::string_view name, std::string_view json) {
  Name(name);
  out_ += json;
  return *this;
}

std::string Thousands(uint64_t n) {
  std::string digits = std::to_string(n);
  for (size_t i = digits.size(); i > 3;) digits.insert(i -= 3, ",");
  return digits;
}

std::string HumanBytes(uint64_t n) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double v = static_cast<double>(n);
  size_t unit = 0;
  while (v >= 1024 && unit + 1 < kUnits.size()) {
    v /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", v, kUnits[unit]);
  return text.data();
}

}  // namespace holdfast::cli
