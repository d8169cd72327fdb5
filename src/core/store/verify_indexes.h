// Counts an index anew: its rows are those that its table's rows give, each once, and no others.
//
// Both are read whole, in the order in which they lie, and two sums are compared: of the digests of the index
// rows that should be there, and of those that are. So it costs two scans and no look-up, and says that an
// index differs, not where. The sums tell a mistake of ours; an adversary would have had to forge sealed
// nodes first.
#ifndef HOLDFAST_CORE_STORE_VERIFY_INDEXES_H_
#define HOLDFAST_CORE_STORE_VERIFY_INDEXES_H_

#include "core/store/nodes.h"

namespace holdfast::store {

// Of one index of `tables`, which have its table. False: they differ. Storage, and what is wrong with nodes.
Result<bool> IndexHolds(const Tables& tables, const Table& index, NodeAccess& nodes);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_VERIFY_INDEXES_H_
