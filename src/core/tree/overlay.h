// The changes of all tables that are not folded into their trees yet, each with the sequence (log index) that
// made it. Several versions of a key stand side by side, so that a reader at a sequence sees what was there
// then.
//
// NO locks: one writer at a time, and the caller keeps readers and the writer apart (or holds one lock over
// both). Views and positions stay valid while more is written: nothing is moved or dropped before the overlay
// goes.
//
// Cost: O(log rows) for Put, Erase, Get and a seek; amortised O(1) for a step.
#ifndef HOLDFAST_CORE_TREE_OVERLAY_H_
#define HOLDFAST_CORE_TREE_OVERLAY_H_

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "core/tree/fold.h"

namespace holdfast::tree {

class Overlay {
 public:
  // What one change left: a value, or nothing.
  struct Hit {
    bool erased = false;
    ByteView value;
  };

  Overlay() = default;
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;

  // REQUIRES: sequences never fall from call to call. The same sequence again replaces what it wrote to that
  // key (a sequence is read only once all of it is written).
  void Put(const TableId& table, ByteView key, ByteView value, uint64_t sequence);
  void Erase(const TableId& table, ByteView key, uint64_t sequence);

  // The newest change of the key at or below the sequence. Nothing: this overlay does not know the key then.
  std::optional<Hit> Get(const TableId& table, ByteView key, uint64_t at_sequence) const;

  // The newest change of each key of a table, for a fold. The overlay outlives it and is not written
  // meanwhile.
  std::unique_ptr<ChangeSource> Changes(const TableId& table) const;

  std::vector<TableId> Tables() const;                   // ascending; those with at least one change
  size_t memory_bytes() const { return memory_bytes_; }  // keys, values and what holding them costs
  size_t rows() const { return rows_; }                  // keys, of all tables
  bool empty() const { return rows_ == 0; }

 private:
  friend class OverlayCursor;
  struct Version {
    uint64_t sequence = 0;
    bool erased = false;
    Bytes value;
  };
  using Versions = std::vector<Version>;  // ascending by sequence
  using Table = std::map<Bytes, Versions, BytesLess>;

  void Write(const TableId& table, ByteView key, Version version);
  static const Version* At(const Versions& versions, uint64_t sequence);

  std::map<TableId, Table> tables_;
  uint64_t last_sequence_ = 0;
  size_t memory_bytes_ = 0, rows_ = 0;
};

// A position between the keys of one table, as of a sequence. Erased keys are shown, as erased.
// Stays valid when more is written; sees rows at or below its sequence only.
class OverlayCursor {
 public:
  struct Row {
    ByteView key;  // valid as long as the overlay
    Overlay::Hit hit;
  };
  // Stands before the first key.
  OverlayCursor(const Overlay& overlay, const TableId& table, uint64_t at_sequence);

  void SeekTo(ByteView k);  // before the first key >= k
  void SeekToEnd();
  std::optional<Row> Next();  // the row behind the position, and moves behind it
  std::optional<Row> Prev();  // the row before the position, and moves before it

 private:
  const Overlay::Table* Find() const;

  const Overlay* overlay_;
  TableId table_;
  uint64_t sequence_;
  // The position: before `key_`, or behind it; behind everything if at_end_. The iterator, once there is one,
  // spares the search: rows are never removed.
  Bytes key_;
  bool behind_ = false, at_end_ = false;
  std::optional<Overlay::Table::const_iterator> at_;
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_OVERLAY_H_
