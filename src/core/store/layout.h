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

// Names of what a save writes besides the slot: save number, low bits of its opener's term, random. So two
// openers that write at one time never meet under one name, and what a fenced one leaves is known for it.
inline constexpr uint32_t kTermMarks = 1u << 24;
template <typename Id>  // SegmentId, GroupId
Id IdOfSave(SaveNumber save, Term opener, ByteView random5) {
  Id id;
  StoreBig64(id.bytes.data(), save.value);
  for (int i = 0; i < 3; ++i) id.bytes[8 + i] = static_cast<uint8_t>(opener.value >> (16 - 8 * i));
  std::memcpy(id.bytes.data() + 11, random5.data(), 5);
  return id;
}
// Written by an opener before that of `term`: of the 2^24 marks half lie behind, half ahead.
template <typename Id>
bool OfEarlierOpener(const Id& id, Term term) {
  uint32_t mark =
      static_cast<uint32_t>(id.bytes[8]) << 16 | static_cast<uint32_t>(id.bytes[9]) << 8 | id.bytes[10];
  uint32_t behind = static_cast<uint32_t>(term.value - mark) % kTermMarks;
  return behind != 0 && behind < kTermMarks / 2;
}
// `name` is a segment's or a group's, and was written by an opener before that of `term`.
inline bool LeftByOpenerBefore(std::string_view name, Term term) {
  for (std::string_view prefix : {kSegmentsPrefix, kGroupsPrefix}) {
    if (!SaveOfName(prefix, name)) continue;
    return OfEarlierOpener(SegmentId::From(*ParseHex(name.substr(prefix.size()))), term);
  }
  return false;
}

inline Bytes HeadsKey(LogIndex index) {
  Bytes key(8);
  StoreBig64(key.data(), index.value);
  return key;
}

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_LAYOUT_H_
