#include "core/tree/descriptor.h"

#include "base/codec.h"

namespace holdfast::tree {
namespace {

constexpr uint16_t kVersion = 1;
constexpr uint8_t kTypeBytes = 1;

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
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

bool OrderInBounds(uint16_t n) { return n >= limits::kOrderMin && n <= limits::kOrderMax; }

bool ShapeInBounds(const Descriptor& d) {
  if (d.layout == Layout::kPatricia && d.inner_children_max != kPatriciaChildrenMax) return false;
  if (d.layout == Layout::kPatricia && d.leaf_rows_max > kPatriciaLeafRowsMax) return false;
  return OrderInBounds(d.leaf_rows_max) && OrderInBounds(d.inner_children_max);
}

}  // namespace

Bytes Descriptor::Encode() const {
  Bytes out;
  Writer w(out);
  w.U16(kVersion)
      .Blob16(AsBytes(name))
      .U8(kTypeBytes)
      .U8(kTypeBytes)
      .U8(inline_values ? 1 : 0)
      .U8(static_cast<uint8_t>(layout));
  w.U16(leaf_rows_max).U16(inner_children_max).U16(0);
  return out;
}

Result<Descriptor> Descriptor::Decode(ByteView untrusted) {
  Reader r(untrusted);
  uint16_t version = r.U16();
  if (!r.ok()) return Code::kMalformed;
  if (version != kVersion) return Code::kUnknownFormat;
  Descriptor d;
  ByteView name = r.Blob16(limits::kTableNameBytesMax);
  uint8_t key_type = r.U8(), value_type = r.U8(), inlining = r.U8();
  d.layout = static_cast<Layout>(r.U8());
  d.leaf_rows_max = r.U16();
  d.inner_children_max = r.U16();
  uint16_t indexes = r.U16();
  if (!r.Finish() || inlining > 1 || !IsUtf8(name)) return Code::kMalformed;
  if (key_type != kTypeBytes || value_type != kTypeBytes || indexes != 0) return Code::kUnknownFormat;
  if (d.layout != Layout::kBTree && d.layout != Layout::kPatricia) return Code::kUnknownFormat;
  if (!ShapeInBounds(d)) return Code::kInvalidArgument;
  d.name = ToText(name);
  d.inline_values = inlining == 1;
  return d;
}

}  // namespace holdfast::tree
