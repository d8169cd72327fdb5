#include "core/tree/descriptor.h"

#include "base/codec.h"

namespace holdfast::tree {
namespace {

// What has no role is written in version 1, as it always was: a descriptor is hashed into its table's keys.
constexpr uint16_t kVersionPlain = 1, kVersionRoles = 2;
enum class Role : uint8_t { kPlain = 0, kTransient = 1 };

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
  w.U16(transient ? kVersionRoles : kVersionPlain)
      .Blob16(AsBytes(name))
      .U8(static_cast<uint8_t>(key_type))
      .U8(static_cast<uint8_t>(value_type))
      .U8(inline_values ? 1 : 0)
      .U8(static_cast<uint8_t>(layout));
  w.U16(leaf_rows_max).U16(inner_children_max).U16(0);
  if (transient) w.U8(static_cast<uint8_t>(Role::kTransient));
  return out;
}

HF_NOT_YET("secondary indexes: a descriptor that names one is refused (kUnknownFormat)");

Result<Descriptor> Descriptor::Decode(ByteView untrusted) {
  Reader r(untrusted);
  uint16_t version = r.U16();
  if (!r.ok()) return Code::kMalformed;
  if (version != kVersionPlain && version != kVersionRoles) return Code::kUnknownFormat;
  Descriptor d;
  ByteView name = r.Blob16(limits::kTableNameBytesMax);
  d.key_type = static_cast<Type>(r.U8());
  d.value_type = static_cast<Type>(r.U8());
  uint8_t inlining = r.U8();
  d.layout = static_cast<Layout>(r.U8());
  d.leaf_rows_max = r.U16();
  d.inner_children_max = r.U16();
  uint16_t indexes = r.U16();
  Role role = version == kVersionRoles ? static_cast<Role>(r.U8()) : Role::kPlain;
  if (!r.Finish() || inlining > 1 || !IsUtf8(name)) return Code::kMalformed;
  if (!IsKnown(d.key_type) || !IsKnown(d.value_type) || indexes != 0) return Code::kUnknownFormat;
  if (d.layout != Layout::kBTree && d.layout != Layout::kPatricia) return Code::kUnknownFormat;
  if (version == kVersionRoles && role != Role::kTransient) return Code::kUnknownFormat;
  d.transient = role == Role::kTransient;
  if (d.transient && d.layout != Layout::kBTree) return Code::kInvalidArgument;
  if (!ShapeInBounds(d) || !MayBeKey(d.key_type)) return Code::kInvalidArgument;
  d.name = ToText(name);
  d.inline_values = inlining == 1;
  return d;
}

Status Descriptor::CheckKey(ByteView key) const {
  return IsOf(key_type, key) ? Ok() : Status(Code::kKeyType);
}

Status Descriptor::CheckRow(ByteView key, ByteView value) const {
  HF_TRY_VOID(CheckKey(key));
  return IsOf(value_type, value) ? Ok() : Status(Code::kValueType);
}

}  // namespace holdfast::tree
