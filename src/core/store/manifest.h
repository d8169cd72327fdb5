// The logical root (what the state is: the same on all members) and the manifest (where this member keeps
// it): a head, and the segments' entries in groups (groups.h). Source: docs/format.md 8; rules D3, D6.
#ifndef HOLDFAST_CORE_STORE_MANIFEST_H_
#define HOLDFAST_CORE_STORE_MANIFEST_H_

#include <map>
#include <vector>

#include "core/journal/frame.h"
#include "core/seal/unlock.h"
#include "core/store/garbage.h"
#include "core/store/layout.h"
#include "core/tree/descriptor.h"
#include "core/tree/source.h"

namespace holdfast::store {

struct Table {
  TableId id;
  Epoch epoch;
  tree::Descriptor descriptor;
  tree::Root root;
};
using Tables = std::map<TableId, Table>;

// A name for what the tables were at a save point, kept until it is dropped.
struct Tag {
  std::string name;               // limits::kTagNameBytesMax, UTF-8
  journal::LogPosition position;  // of the save point
  Tables tables;
};
using Tags = std::map<std::string, Tag, std::less<>>;

// All tags' tables together: the logical root has about 100 bytes for each, and is written at every save.
inline constexpr size_t kTaggedTablesMax = 256u << 10;

struct LogicalRoot {
  StoreId store;
  journal::LogPosition position;
  Digest parent{}, audit_head{};
  Tables tables;  // hints are not part of the canonical bytes
  Tags tags;

  TagLine Line() const;  // where the tags stand
  Bytes Encode() const;
  static Result<LogicalRoot> Decode(ByteView untrusted);  // kMalformed, kUnknownFormat; hints are zero
  Digest ComputeDigest(const Key& root_key) const;
};

struct Segment {
  uint32_t number = 0;
  SegmentId id;
  TableId table;
  Epoch epoch;
  std::array<uint8_t, 32> salt{};
  Digest h{}, sha256{};
  uint64_t size = 0;
  Spans spans;                 // sealed bytes that the root of this manifest and its tags reach
  bool blobs = false;          // chunks or chunk lists may lie in it
  SaveNumber born, condemned;  // condemned 0 = reached; else nothing of it is reached since that save
  uint64_t live_bytes() const { return spans.total(); }
  friend bool operator==(const Segment&, const Segment&) = default;
};
using Segments = std::map<uint32_t, Segment>;

// Entries of segments, in an object of their own.
inline constexpr uint8_t kNoSlot = 2;
struct Group {
  uint8_t slot = kNoSlot;  // that is read with it; kNoSlot: it is to be deleted
  uint32_t first = 0;      // the smallest number of a segment in it
  GroupId id;
  uint32_t segments = 0;  // so many; at least one
  uint64_t size = 0;
  Digest sha256{}, text{};  // of its bytes; of what is sealed in them
  friend auto operator<=>(const Group&, const Group&) = default;
};
using Groups = std::vector<Group>;  // ascending

inline constexpr uint8_t kCleaningsOwed = 3;  // what moves leaves holes where its parents lay

struct Manifest {
  StoreId store;
  MemberId member;
  SaveNumber save;
  LogicalRoot root;
  journal::FramePosition frame;  // that holds the save point's entry; number 0 at init
  uint32_t next_segment = 1;
  // A tag was dropped, or cleaning asked for: so many more saves clean thoroughly. Those that lessen the
  // garbage without coming to an end are not counted.
  uint8_t cleanings_owed = 0;
  uint64_t garbage_before = 0;  // when the last of them began
  Groups groups;                // of both slots, and those that are to be deleted
  Segments segments;

  uint8_t slot() const { return static_cast<uint8_t>(save.value % 2); }
  // The head: all but the segments.
  Bytes Encode() const;
  static Result<Manifest> Decode(ByteView untrusted);  // kMalformed, kUnknownFormat
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_MANIFEST_H_
