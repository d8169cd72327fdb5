// The changes of all tables that are not folded into their trees yet, each with the sequence (log index) that
// made it. Several versions of a key stand side by side, so that a reader at a sequence sees what was there
// then.
//
// NO locks: one writer at a time, and the caller keeps readers and the writer apart (or holds one lock over
// both). Views and positions stay valid while more is written: nothing is moved or dropped before the overlay
// goes.
//
//   a table:   inner nodes ── leaves of up to 32 rows, chained ──> row: key ──> newest version ──> older ...
//
// A B+tree whose nodes hold the first 8 bytes of each key, so that a search touches a row once or twice.
// Rows, versions and nodes lie in blocks that are freed together.
// Cost: O(log rows) for Put, Erase, Get and a seek; O(1) for a step, O(log rows) for one after a new key.
#ifndef HOLDFAST_CORE_TREE_OVERLAY_H_
#define HOLDFAST_CORE_TREE_OVERLAY_H_

#include <map>
#include <memory>
#include <memory_resource>
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
  // key (a sequence is read only once all of it is written). Keys and values below 2 GiB.
  void Put(const TableId& table, ByteView key, ByteView value, uint64_t sequence);
  void Erase(const TableId& table, ByteView key, uint64_t sequence);

  // A Put of this key comes soon: what it will look at begins to come into the processor's cache. For whoever
  // writes many keys in a row, a few ahead.
  void Expect(const TableId& table, ByteView key) const;

  // The newest change of the key at or below the sequence. Nothing: this overlay does not know the key then.
  std::optional<Hit> Get(const TableId& table, ByteView key, uint64_t at_sequence) const;

  // The newest change of each key of a table with from <= key < until (no `until`: to the end), for a fold.
  // The overlay outlives it and is not written meanwhile; several may be read at a time.
  std::unique_ptr<ChangeSource> Changes(const TableId& table, ByteView from = {},
                                        std::optional<ByteView> until = {}) const;

  std::vector<TableId> Tables() const;                   // ascending; those with at least one change
  size_t memory_bytes() const { return memory_bytes_; }  // keys, values and what holding them costs
  size_t rows() const { return rows_; }                  // keys, of all tables
  size_t rows(const TableId& table) const;
  bool empty() const { return rows_ == 0; }

 private:
  friend class OverlayCursor;
  static constexpr size_t kFanout = 32;

  // The value's bytes follow it.
  struct Version {
    Version* older;
    uint64_t sequence;
    uint32_t bytes;
    bool erased;
    ByteView value() const { return {reinterpret_cast<const uint8_t*>(this + 1), bytes}; }
  };
  // The key's bytes follow it.
  struct Row {
    Version* newest;
    uint32_t key_bytes;
    ByteView key() const { return {reinterpret_cast<const uint8_t*>(this + 1), key_bytes}; }
  };
  struct Leaf {
    Leaf *next, *before;
    uint32_t count;
    uint64_t heads[kFanout];
    Row* rows[kFanout];
  };
  struct Inner {  // of children's first rows; that of the first child is not looked at
    uint32_t count;
    uint64_t heads[kFanout];
    const Row* firsts[kFanout];
    void* children[kFanout];
  };
  struct Table {
    void* root = nullptr;
    Leaf *first = nullptr, *last = nullptr;
    unsigned levels = 0;  // of inner nodes
    size_t rows = 0;      // grows with each new key: positions are sought again then
  };
  struct Position {  // of a row in a leaf; at == leaf->count: behind the last one
    Leaf* leaf = nullptr;
    size_t at = 0;
  };

  // Blocks of growing size from the default memory resource; what they hold needs no destructor.
  class Arena {
   public:
    Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();
    void* Take(size_t bytes);  // aligned for pointers

   private:
    struct Block {
      void* at;
      size_t bytes;
    };
    std::pmr::memory_resource* const memory_;
    std::vector<Block> blocks_;
    uint8_t* at_ = nullptr;
    size_t left_ = 0, next_block_ = 4096;
  };

  void Write(const TableId& table, ByteView key, ByteView value, bool erased, uint64_t sequence);
  Row* FindOrInsert(Table& table, ByteView key);
  void Split(Table& table, Inner** path, const unsigned* places, Leaf* left, bool at_end);
  template <typename T>
  T* NewNode();
  static Leaf* LeafFor(const Table& table, ByteView key, Inner** path, unsigned* places);
  static Position LowerBound(const Table& table, ByteView key);
  static const Row* Find(const Table& table, ByteView key);
  static const Version* At(const Row& row, uint64_t sequence);
  const Table* TableOf(const TableId& table) const;

  std::map<TableId, Table> tables_;
  const TableId* last_id_ = nullptr;  // of the last write, in tables_
  Table* last_table_ = nullptr;
  Arena arena_;
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
  OverlayCursor(OverlayCursor&&) noexcept = default;
  OverlayCursor& operator=(OverlayCursor&&) noexcept = default;

  void SeekTo(ByteView k);  // before the first key >= k
  void SeekToEnd();
  std::optional<Row> Next();  // the row behind the position, and moves behind it
  std::optional<Row> Prev();  // the row before the position, and moves before it

 private:
  bool Settle();  // makes at_ valid; false: no such table, or it is empty

  const Overlay* overlay_;
  TableId table_;
  uint64_t sequence_;
  // The position: before `key_`, or behind it; behind everything if at_end_. Keys of the overlay stay where
  // they are, so only a seek keeps a copy.
  Bytes sought_;
  ByteView key_;
  bool behind_ = false, at_end_ = false;
  // The same as a place in the table, as long as that has so many rows: the row behind the position.
  const Overlay::Table* in_ = nullptr;
  Overlay::Position at_;
  size_t rows_then_ = 0;
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_OVERLAY_H_
