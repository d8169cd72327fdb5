// The first 8 bytes of a key as a number that sorts as the key does: most comparisons end there.
#ifndef HOLDFAST_CORE_TREE_KEY_HEAD_INTERNAL_H_
#define HOLDFAST_CORE_TREE_KEY_HEAD_INTERNAL_H_

#include "base/bytes.h"

namespace holdfast::tree {

inline uint64_t KeyHead(ByteView k) {
  if (k.size() >= 8) {
    uint64_t v;
    std::memcpy(&v, k.data(), 8);
    if constexpr (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) v = __builtin_bswap64(v);
    return v;
  }
  uint64_t v = 0;
  for (size_t i = 0; i < k.size(); ++i) v |= static_cast<uint64_t>(k[i]) << (56 - 8 * i);
  return v;
}

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_KEY_HEAD_INTERNAL_H_
