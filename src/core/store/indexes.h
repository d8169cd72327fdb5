// Secondary indexes as the applier keeps them: what an entry changes in them, found before it is committed.
//
// An index is a table (tree/index_key.h) whose descriptor names another. Its rows follow from that table's
// rows alone; whoever proposes an entry says nothing of them. So an entry and its index rows are one step,
// and every member writes the same. Blocking through `nodes`; only reads. Source: rule D1; docs/format.md 5.
#ifndef HOLDFAST_CORE_STORE_INDEXES_H_
#define HOLDFAST_CORE_STORE_INDEXES_H_

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "core/kernel/command.h"
#include "core/store/nodes.h"

namespace holdfast::store {

struct View;

struct IndexChange {
  TableId index;
  Bytes key;
  std::optional<Bytes> value;  // nothing: the row goes
};

// Of each table that has some: its indexes.
using Indexes = std::map<TableId, std::set<TableId>>;
Indexes IndexesOf(const Tables& tables);
// kNoIndex.
Result<TableId> FindIndexIn(const Tables& tables, const TableId& table, std::string_view name);

// What `batch` changes in indexes; rows that go stand before rows that come. `ranges`: the keys of each of
// its range deletions, as of `view`. Storage errors; else `refused` may get
//   kNotUnique    a unique index would lead to two rows
//   kIndexRowSize an index row would be longer than a key may be
Status ChangesOf(const kernel::BatchView& batch, const std::vector<std::vector<Bytes>>& ranges,
                 const Tables& tables, const Indexes& indexes, const View& view, NodeAccess& nodes,
                 std::vector<IndexChange>& changes, Code& refused);

// All rows of a new index. As above, and kIndexBuildSize: more rows or bytes than one entry may build.
Status BuildIndex(const TableId& index, const tree::Descriptor& descriptor, const Table& table,
                  const View& view, NodeAccess& nodes, std::vector<IndexChange>& changes, Code& refused);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_INDEXES_H_
