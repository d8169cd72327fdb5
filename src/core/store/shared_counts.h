// What a save makes of shared values (tree/shared_value.h): the folds of a table say which values gained and
// lost rows; of that follow, with the counts as they were, the changes of its table of values.
//
//   rows changed ──fold──> +1, -1 by address ──sum──> net ──counts before──> rows of the table of values
//
// The result depends on the rows before and after alone, not on the order of the folds: all members write the
// same. A value that loses its last row goes, and dies as any blob does; one that comes back is written anew.
// Source: docs/format.md 5; decision 0022.
#ifndef HOLDFAST_CORE_STORE_SHARED_COUNTS_H_
#define HOLDFAST_CORE_STORE_SHARED_COUNTS_H_

#include <functional>
#include <span>
#include <vector>

#include "core/store/nodes.h"
#include "core/store/workers.h"
#include "core/tree/fold.h"
#include "core/tree/shared_value.h"

namespace holdfast::store {

// Rows that came to refer to a value, less those that ceased to. Memory: this, for each changed row.
struct SharedDelta {
  tree::Address address{};
  int64_t rows = 0;
  ByteView value;  // if rows came; the save point's own memory
};

// How many rows refer to a value before a save and after it.
struct SharedCount {
  tree::Address address{};
  uint64_t before = 0, after = 0;
  ByteView value;  // if it is new
};

// Of each value whose count changes, ascending. `nodes`: one for each worker. Reads the rows of the values.
//   kMalformed: more rows cease to refer to a value than did
Result<std::vector<SharedCount>> SumShared(std::vector<SharedDelta> deltas, const tree::Root& values,
                                           Workers& workers,
                                           const std::function<NodeAccess&(size_t worker)>& nodes);

// The changes of the table of values, of those keys that are at or above `from` and below `until`. `counts`
// outlives it.
std::unique_ptr<tree::ChangeSource> ChangesOfValues(std::span<const SharedCount> counts, ByteView from,
                                                    std::optional<ByteView> until);

// The table of `table`'s shared values, of the same version or tag; empty: it shares none.
tree::Root SharedRootOf(const Tables& tables, const Table& table);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_SHARED_COUNTS_H_
