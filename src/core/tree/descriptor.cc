#include "core/tree/descriptor.h"

#include "base/codec.h"
#include "core/tree/index_key.h"

namespace holdfast::tree {
namespace {

// What has no role is written in version 1, as it always was: a descriptor is hashed into its table's keys.
constexpr uint16_t kVersionPlain = 1, kVersionRoles = 2;
enum class Role : uint8_t { kPlain = 0, kTransient = 1, kIndex = 2, kSharing = 3, kValues = 4 };

Role RoleOf(const Descriptor& d) {
  if (d.index) return Role::kIndex;
  if (d.transient) return Role::kTransient;
  if (d.values_of) return Role::kValues;
  return d.values_in ? Role::kSharing : Role::kPlain;
}

bool OrderInBounds(uint16_t n) { return n >= limits::kOrderMin && n <= limits::kOrderMax; }

bool ShapeInBounds(const Descriptor& d) {
  if (d.layout == Layout::kPatricia && d.inner_children_max != kPatriciaChildrenMax) return false;
  if (d.layout == Layout::kPatricia && d.leaf_rows_max > kPatriciaLeafRowsMax) return false;
  return OrderInBounds(d.leaf_rows_max) && OrderInBounds(d.inner_children_max);
}

Result<IndexOf> DecodeIndex(Reader& r) {
  IndexOf of;
  of.table = r.Id<TableId>();
  uint8_t unique = r.U8();
  ByteView pointer = r.Blob16(limits::kIndexPointerBytesMax);
  if (!r.ok() || unique > 1) return Code::kMalformed;
  of.unique = unique == 1;
  of.pointer = ToText(pointer);
  if (!MayPoint(Type::kJson, of.pointer)) return Code::kInvalidArgument;
  return of;
}

}  // namespace

Bytes Descriptor::Encode() const {
  Bytes out;
  Writer w(out);
  const Role role = RoleOf(*this);
  w.U16(role == Role::kPlain ? kVersionPlain : kVersionRoles)
      .Blob16(AsBytes(name))
      .U8(static_cast<uint8_t>(key_type))
      .U8(static_cast<uint8_t>(value_type))
      .U8(inline_values ? 1 : 0)
      .U8(static_cast<uint8_t>(layout));
  w.U16(leaf_rows_max).U16(inner_children_max).U16(0);
  if (role != Role::kPlain) w.U8(static_cast<uint8_t>(role));
  if (role == Role::kSharing) w.Id(*values_in);
  if (role == Role::kValues) w.Id(*values_of);
  if (index) w.Id(index->table).U8(index->unique ? 1 : 0).Blob16(AsBytes(index->pointer));
  return out;
}

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
  if (role == Role::kIndex) {
    HF_TRY(d.index, DecodeIndex(r));
  }
  if (role == Role::kSharing) d.values_in = r.Id<TableId>();
  if (role == Role::kValues) d.values_of = r.Id<TableId>();
  if (!r.Finish() || inlining > 1 || !IsUtf8(name)) return Code::kMalformed;
  if (!IsKnown(d.key_type) || !IsKnown(d.value_type) || indexes != 0) return Code::kUnknownFormat;
  if (d.layout != Layout::kBTree && d.layout != Layout::kPatricia) return Code::kUnknownFormat;
  if (version == kVersionRoles && (role == Role::kPlain || role > Role::kValues)) return Code::kUnknownFormat;
  d.transient = role == Role::kTransient;
  if (role != Role::kPlain && d.layout != Layout::kBTree) return Code::kInvalidArgument;
  if (d.index && (d.typed() || name.empty())) return Code::kInvalidArgument;
  if (d.values_of && (d.typed() || !name.empty())) return Code::kInvalidArgument;
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
