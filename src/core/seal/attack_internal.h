// What the attacking tests of this module share. For tests only.
#ifndef HOLDFAST_CORE_SEAL_ATTACK_INTERNAL_H_
#define HOLDFAST_CORE_SEAL_ATTACK_INTERNAL_H_

#include <gtest/gtest.h>

#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "core/seal/object.h"

namespace holdfast::seal::attack {

inline Key FixedKey(uint8_t x) { return Key{ByteView(Bytes(32, x))}; }
inline StoreId FixedStore(uint8_t x) {
  StoreId s;
  s.bytes.fill(x);
  return s;
}
inline TableId FixedTable(uint8_t x) {
  TableId t;
  t.bytes.fill(x);
  return t;
}

// The error an attempt ends with; kInternal for an attempt that succeeds, which no attack may.
template <typename T>
Code CodeOf(const Result<T>& r) {
  return r.has_value() ? Code::kInternal : r.code();
}

// Flips every bit in turn; `expected(byte)` names the error a flip in that byte must give.
inline void FlipEveryBit(const Bytes& whole, const std::function<Code(ByteView)>& open,
                         const std::function<Code(size_t)>& expected) {
  Bytes b = whole;
  for (size_t bit = 0; bit < b.size() * 8; ++bit) {
    b[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    ASSERT_EQ(CodeName(open(b)), CodeName(expected(bit / 8))) << "byte " << bit / 8 << " bit " << bit % 8;
    b[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
  }
}

// Cuts after every byte; `expected(size)` names the error.
inline void CutEverywhere(const Bytes& whole, const std::function<Code(ByteView)>& open,
                          const std::function<Code(size_t)>& expected) {
  for (size_t n = 0; n < whole.size(); ++n) {
    // A copy of exactly that size, so that a sanitizer sees a read beyond it.
    Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
    ASSERT_EQ(CodeName(open(cut)), CodeName(expected(n))) << "cut to " << n;
  }
}

inline Bytes Xor(ByteView a, ByteView b) {
  Bytes out(std::min(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) out[i] = a[i] ^ b[i];
  return out;
}

}  // namespace holdfast::seal::attack

#endif  // HOLDFAST_CORE_SEAL_ATTACK_INTERNAL_H_
