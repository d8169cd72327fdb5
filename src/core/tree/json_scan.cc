#include <array>
#include <string>

#include "base/check.h"
#include "core/tree/json_scan_internal.h"

namespace holdfast::tree {
namespace {

// In JSON that is JSON: what is not there where it must be is our own mistake.
class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) { Space(); }

  char Peek() const {
    HF_CHECK(at_ < text_.size());
    return text_[at_];
  }
  // The value here, and past it.
  std::string_view Value() {
    size_t begin = at_;
    switch (Peek()) {
      case '"':
        String();
        break;
      case '{':
      case '[':
        Nested();
        break;
      default:
        while (at_ < text_.size() &&
               std::string_view(",]} \t\n\r").find(text_[at_]) == std::string_view::npos)
          ++at_;
    }
    std::string_view value = text_.substr(begin, at_ - begin);
    Space();
    return value;
  }
  // Enters an object or array; false: it is empty.
  bool Enter() {
    ++at_;
    Space();
    return Peek() != '}' && Peek() != ']';
  }
  // Past the comma, if there is another member.
  bool Next() {
    if (Peek() != ',') return false;
    ++at_;
    Space();
    return true;
  }
  std::string_view Name() {
    std::string_view name = Value();
    HF_CHECK(Peek() == ':');
    ++at_;
    Space();
    return name;
  }

 private:
  void Space() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  void String() {
    for (++at_; Peek() != '"'; ++at_) at_ += Peek() == '\\' ? 1 : 0;
    ++at_;
  }
  void Nested() {
    for (size_t depth = 0;;) {
      char c = Peek();
      if (c == '"') {
        String();
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return;
    }
  }
  std::string_view text_;
  size_t at_ = 0;
};

unsigned Hex(std::string_view digits) {
  unsigned n = 0;
  for (char c : digits) n = n * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  return n;
}

void AppendUtf8(unsigned point, Bytes& out) {
  auto push = [&](unsigned byte) { out.push_back(static_cast<uint8_t>(byte)); };
  if (point < 0x80) return push(point);
  if (point < 0x800) {
    push(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    push(0xE0 | point >> 12);
    push(0x80 | (point >> 6 & 0x3F));
  } else {
    push(0xF0 | point >> 18);
    push(0x80 | (point >> 12 & 0x3F));
    push(0x80 | (point >> 6 & 0x3F));
  }
  push(0x80 | (point & 0x3F));
}

// One reference of a pointer, with its escapes undone.
std::string Unescaped(std::string_view reference) {
  std::string name;
  for (size_t i = 0; i < reference.size(); ++i) {
    char c = reference[i];
    if (c == '~') c = reference[++i] == '0' ? '~' : '/';
    name.push_back(c);
  }
  return name;
}

bool Member(Scan& scan, std::string_view name) {
  if (!scan.Enter()) return false;
  do {
    std::string_view quoted = scan.Name();
    Bytes plain;
    AppendJsonString(quoted, plain);
    if (AsText(plain) == name) return true;
    scan.Value();
  } while (scan.Next());
  return false;
}

// "0", or digits that do not begin with 0.
bool Element(Scan& scan, std::string_view reference) {
  if (reference.empty() || reference.size() > 9 || (reference.size() > 1 && reference.front() == '0'))
    return false;
  size_t n = 0;
  for (char c : reference) {
    if (c < '0' || c > '9') return false;
    n = n * 10 + static_cast<size_t>(c - '0');
  }
  if (!scan.Enter()) return false;
  for (; n > 0; --n) {
    scan.Value();
    if (!scan.Next()) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string_view> FindJson(std::string_view text, std::string_view pointer) {
  Scan scan(text);
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // the slash
    std::string name = Unescaped(pointer.substr(0, pointer.find('/')));
    pointer.remove_prefix(std::min(pointer.size(), pointer.find('/')));
    bool there = scan.Peek() == '{' ? Member(scan, name) : scan.Peek() == '[' && Element(scan, name);
    if (!there) return std::nullopt;
  }
  return scan.Value();
}

void AppendJsonString(std::string_view quoted, Bytes& out) {
  constexpr std::string_view kNamed = "bfnrt";
  constexpr std::array<uint8_t, 5> kMeant{'\b', '\f', '\n', '\r', '\t'};
  HF_CHECK(quoted.size() >= 2);
  std::string_view text = quoted.substr(1, quoted.size() - 2);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(static_cast<uint8_t>(text[i]));
      continue;
    }
    char c = text[++i];
    if (c != 'u') {
      size_t named = kNamed.find(c);
      out.push_back(named == kNamed.npos ? static_cast<uint8_t>(c) : kMeant[named]);
      continue;
    }
    unsigned point = Hex(text.substr(i + 1, 4));
    i += 4;
    if (point >= 0xD800 && point < 0xDC00) {  // IsJson saw to the other half
      point = 0x10000 + ((point - 0xD800) << 10) + (Hex(text.substr(i + 3, 4)) - 0xDC00);
      i += 6;
    }
    AppendUtf8(point, out);
  }
}

}  // namespace holdfast::tree
