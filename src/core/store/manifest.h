// The logical root (what the state is: the same on all members) and the manifest (where this member keeps
// it). Source: docs/format.md 8; rules D3, D6.
#ifndef HOLDFAST_CORE_STORE_MANIFEST_H_
#define HOLDFAST_CORE_STORE_MANIFEST_H_

#include <map>
#include <vector>

#include "core/journal/frame.h"
#include "core/seal/unlock.h"
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

struct LogicalRoot {
  StoreId store;
  journal::LogPosition position;
  Digest parent{}, audit_head{};
  Tables tables;  // hints are not part of the canonical bytes

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
  uint64_t size = 0, live_bytes = 0;  // live: sealed bytes that the root of this manifest reaches
  SaveNumber born, condemned;         // condemned 0 = live; else nothing of it is reached since that save
  friend bool operator==(const Segment&, const Segment&) = default;
};
using Segments = std::map<uint32_t, Segment>;

struct Manifest {
  StoreId store;
  MemberId member;
  SaveNumber save;
  LogicalRoot root;
  journal::FramePosition frame;  // that holds the save point's entry; number 0 at init
  uint32_t next_segment = 1;
  Segments segments;

  Bytes Encode() const;
  static Result<Manifest> Decode(ByteView untrusted);
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_MANIFEST_H_
