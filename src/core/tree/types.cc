#include "core/tree/types.h"

#include <array>
#include <utility>

namespace holdfast::tree {
namespace {

constexpr std::array<std::pair<Type, std::string_view>, 7> kNames = {{{Type::kBytes, "bytes"},
                                                                      {Type::kText, "text"},
                                                                      {Type::kInt64, "int64"},
                                                                      {Type::kUint64, "uint64"},
                                                                      {Type::kUuid, "uuid"},
                                                                      {Type::kTimestamp, "timestamp"},
                                                                      {Type::kJson, "json"}}};
constexpr uint64_t kSignBit = uint64_t{1} << 63;

bool IsTimestamp(ByteView b) {
  return b.size() == 8 && Int64Of(b) >= kTimestampMin && Int64Of(b) <= kTimestampMax;
}

bool IsDigit(uint8_t c) { return c >= '0' && c <= '9'; }

// The grammar of RFC 8259 over bytes that are UTF-8. Each reader stands behind what it has taken.
class JsonText {
 public:
  explicit JsonText(ByteView text) : text_(text) {}
  bool Whole() {
    Space();
    if (!Value(0)) return false;
    Space();
    return at_ == text_.size();
  }

 private:
  uint8_t Peek() const { return at_ < text_.size() ? text_[at_] : 0; }
  bool Take(uint8_t c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool Word(std::string_view word) {
    if (!AsText(text_.subspan(at_)).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void Space() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') ++at_;
  }

  bool Value(unsigned depth) {
    switch (Peek()) {
      case '{':
      case '[':
        return depth < kJsonDepthMax && Members(depth);
      case '"':
        return String();
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }

  bool Members(unsigned depth) {
    bool named = text_[at_++] == '{';
    uint8_t end = named ? '}' : ']';
    Space();
    if (Take(end)) return true;
    for (;;) {
      if (named && !Name()) return false;
      if (!Value(depth + 1)) return false;
      Space();
      if (Take(end)) return true;
      if (!Take(',')) return false;
      Space();
    }
  }
  bool Name() {
    if (!String()) return false;
    Space();
    if (!Take(':')) return false;
    Space();
    return true;
  }

  bool String() {
    if (!Take('"')) return false;
    while (at_ < text_.size()) {
      uint8_t c = text_[at_++];
      if (c == '"') return true;
      if (c < 0x20) return false;
      if (c == '\\' && !Escape()) return false;
    }
    return false;
  }
  bool Escape() {
    if (!Take('u')) {
      bool known = Peek() != 0 &&
                   std::string_view("\"\\/bfnrt").find(static_cast<char>(Peek())) != std::string_view::npos;
      ++at_;
      return known;
    }
    std::optional<unsigned> unit = CodeUnit();
    if (!unit || (*unit >= 0xDC00 && *unit < 0xE000)) return false;
    if (*unit < 0xD800 || *unit >= 0xE000) return true;
    if (!Word("\\u")) return false;
    unit = CodeUnit();
    return unit && *unit >= 0xDC00 && *unit < 0xE000;
  }
  std::optional<unsigned> CodeUnit() {
    unsigned unit = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      uint8_t c = Peek(), letter = c | 0x20;
      if (!IsDigit(c) && (letter < 'a' || letter > 'f')) return std::nullopt;
      unit = unit * 16 + (IsDigit(c) ? c - '0' : letter - 'a' + 10u);
    }
    return unit;
  }

  bool Number() {
    Take('-');
    if (!Take('0') && !Digits()) return false;
    if (Take('.') && !Digits()) return false;
    if (!Take('e') && !Take('E')) return true;
    if (!Take('+')) Take('-');
    return Digits();
  }
  bool Digits() {
    size_t first = at_;
    while (IsDigit(Peek())) ++at_;
    return at_ > first;
  }

  ByteView text_;
  size_t at_ = 0;
};

}  // namespace

std::string_view TypeName(Type type) {
  for (const auto& [t, name] : kNames) {
    if (t == type) return name;
  }
  return "unknown";
}

std::optional<Type> TypeOf(std::string_view name) {
  for (const auto& [type, n] : kNames) {
    if (n == name) return type;
  }
  return std::nullopt;
}

bool IsKnown(Type type) { return type >= Type::kBytes && type <= Type::kJson; }

bool IsOf(Type type, ByteView untrusted) {
  switch (type) {
    case Type::kBytes:
      return true;
    case Type::kText:
      return IsUtf8(untrusted);
    case Type::kInt64:
    case Type::kUint64:
      return untrusted.size() == 8;
    case Type::kUuid:
      return untrusted.size() == 16;
    case Type::kTimestamp:
      return IsTimestamp(untrusted);
    case Type::kJson:
      return IsJson(untrusted);
  }
  return false;
}

bool IsUtf8(ByteView b) {
  for (size_t i = 0; i < b.size();) {
    uint8_t c = b[i];
    size_t n = c < 0x80                ? 1
               : c >= 0xC2 && c < 0xE0 ? 2
               : c >= 0xE0 && c < 0xF0 ? 3
               : c >= 0xF0 && c < 0xF5 ? 4
                                       : 0;
    if (n == 0 || b.size() - i < n) return false;
    for (size_t k = 1; k < n; ++k) {
      if ((b[i + k] & 0xC0) != 0x80) return false;
    }
    uint8_t second = n > 1 ? b[i + 1] : 0;
    if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F) || (c == 0xF0 && second < 0x90) ||
        (c == 0xF4 && second > 0x8F)) {
      return false;
    }
    i += n;
  }
  return true;
}

bool IsJson(ByteView untrusted) { return IsUtf8(untrusted) && JsonText(untrusted).Whole(); }

Bytes FromUint64(uint64_t n) {
  Bytes bytes(8);
  StoreBig64(bytes.data(), n);
  return bytes;
}
Bytes FromInt64(int64_t n) { return FromUint64(static_cast<uint64_t>(n) ^ kSignBit); }
uint64_t Uint64Of(ByteView bytes) { return LoadBig64(bytes.data()); }
int64_t Int64Of(ByteView bytes) { return static_cast<int64_t>(Uint64Of(bytes) ^ kSignBit); }

}  // namespace holdfast::tree
