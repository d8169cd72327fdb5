// Rows of transient tables: in memory alone, never in the log, in no root, gone when the store is closed.
//
// The definition of such a table is an entry and stands in the root as any other does; its rows stand here.
// What is written is seen by the next read, and is of no index. There are no snapshots: each page of a scan
// shows the rows as they are then. A batch is all or nothing, its compares are looked at in the same step.
//
// Bounded: keys, values and kRowOverheadBytes a row, of all tables together, up to `bytes_max`. A batch that
// could pass it is refused whole (kTransientFull); deleting always succeeds. Not thread-safe: readers share,
// writers are alone (core/runtime). Cost: O(log rows) a row. Source: docs/format.md 5; decision 0019.
#ifndef HOLDFAST_CORE_STORE_TRANSIENT_H_
#define HOLDFAST_CORE_STORE_TRANSIENT_H_

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "core/kernel/command.h"
#include "core/store/state.h"

namespace holdfast::store {

class TransientRows {
 public:
  static constexpr size_t kRowOverheadBytes = 128;  // two allocations and a tree's node

  explicit TransientRows(size_t bytes_max) : bytes_max_(bytes_max) {}

  void AddTable(const TableId& table) { tables_.try_emplace(table); }
  void DropTable(const TableId& table);
  bool Has(const TableId& table) const { return tables_.contains(table); }

  // kNoTable: one of its tables is not here; kConflict: `detail` is the compare; kTransientFull. Nothing has
  // happened then. `changes`: views into `batch`, and into `erased`, which gets the keys of range deletions.
  Outcome Apply(const kernel::Batch& batch, std::vector<Change>& changes, std::deque<Bytes>& erased);

  const Bytes* Get(const TableId& table, ByteView key) const;  // null: no such row. Until the next change
  // from <= key < until, empty ends are open; until `row` returns false.
  void Scan(const TableId& table, ByteView from, ByteView until, bool reverse,
            const std::function<bool(ByteView key, ByteView value)>& row) const;

  size_t tables() const { return tables_.size(); }
  size_t rows(const TableId& table) const;
  size_t bytes() const { return bytes_; }
  size_t bytes_max() const { return bytes_max_; }

 private:
  struct Before {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Compare(a, b) < 0;
    }
  };
  using Rows = std::map<Bytes, Bytes, Before>;

  Outcome Check(const kernel::Batch& batch) const;
  void Put(Rows& rows, const kernel::Operation& write);
  Rows::iterator Erase(Rows& rows, Rows::iterator at);

  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::map<TableId, Rows> tables_;
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_TRANSIENT_H_
