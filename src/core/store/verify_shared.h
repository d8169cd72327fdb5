// Counts shared values anew: the table of values has each value that rows of its table refer to, with the
// number of those rows and their length, and no other.
//
// Both are read whole, the values' bytes not. In memory are the addresses met, up to a bound; beyond it the
// rows are read again, for the addresses behind the last. Source: decision 0022.
#ifndef HOLDFAST_CORE_STORE_VERIFY_SHARED_H_
#define HOLDFAST_CORE_STORE_VERIFY_SHARED_H_

#include <string>

#include "core/store/nodes.h"

namespace holdfast::store {

inline constexpr size_t kRecountedMax = 1u << 20;  // twice as many of 56 bytes each, at most

struct SharedFault {
  enum class Kind : uint8_t { kMissing, kExtra, kCount } kind{};
  std::string text;  // names the value by its address
};

// Of one table of `tables` that shares values; at most kSharedFaultsMax, then one that says that there are
// more. Storage, and what is wrong with nodes.
inline constexpr size_t kSharedFaultsMax = 16;
Result<std::vector<SharedFault>> RecountShared(const Tables& tables, const Table& table, NodeAccess& nodes,
                                               size_t addresses_max = kRecountedMax);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_VERIFY_SHARED_H_
