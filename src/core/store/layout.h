// Names and fixed ids of docs/format.md 1 and 7.
#ifndef HOLDFAST_CORE_STORE_LAYOUT_H_
#define HOLDFAST_CORE_STORE_LAYOUT_H_

#include <optional>
#include <string>

#include "base/ids.h"

namespace holdfast::store {

inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint32_t kFoldVersion = 1;

constexpr TableId SystemTableId(uint8_t n) {
  TableId id;
  id.bytes[15] = n;
  return id;
}
inline constexpr TableId kHeadsTable = SystemTableId(1);
inline constexpr TableId kSystemTable = SystemTableId(2);
inline constexpr TableId kSessionsTable = SystemTableId(3);
inline bool IsSystemTable(const TableId& id) {
  return id == kHeadsTable || id == kSystemTable || id == kSessionsTable;
}

inline constexpr std::string_view kAnchorName = "anchor";
inline constexpr std::string_view kSegmentsPrefix = "segments/";
inline constexpr std::string_view kGroupsPrefix = "manifest/";
inline constexpr std::string_view kReserveName = "reserve";  // zeros, for rule I1; read by nobody
inline constexpr std::string_view kSlotsPrefix = "enclave-state/";

using SegmentId = Id128<struct SegmentIdTag>;
inline std::string SegmentName(const SegmentId& id) { return std::string(kSegmentsPrefix) + id.hex(); }
using GroupId = Id128<struct GroupIdTag>;
inline std::string GroupName(const GroupId& id) { return std::string(kGroupsPrefix) + id.hex(); }

// Both kinds of ids begin with the save that wrote, or tried to, and are never used again. Of a name below
// `prefix` that such an object may have, that save.
inline std::optional<SaveNumber> SaveOfName(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  std::string_view id = name.substr(prefix.size());
  auto bytes = ParseHex(id);
  if (!bytes || bytes->size() != 16 || SegmentId::From(*bytes).hex() != id) return std::nullopt;
  return SaveNumber(LoadBig64(bytes->data()));
}

inline Bytes HeadsKey(LogIndex index) {
  Bytes key(8);
  StoreBig64(key.data(), index.value);
  return key;
}

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_LAYOUT_H_
