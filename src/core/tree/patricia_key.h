// Keys as strings of bits, as the Patricia layout sees them: for each byte a 1 and the byte's eight bits,
// highest first; behind the last byte a 0.
//
//     "Az"    1 01000001  1 01111010  0
//     bit     0 1......8  9 10....17  18
//
// No key's bits begin another key's, also where one key is a prefix of the other, and bits sort as keys do.
// The bits of one nibble, with the 1 (or the closing 0) in front of the upper one, are a *digit*: digit 2i
// are bits 9i to 9i + 4, digit 2i + 1 bits 9i + 5 to 9i + 8.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_KEY_H_
#define HOLDFAST_CORE_TREE_PATRICIA_KEY_H_

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/limits.h"

namespace holdfast::tree::patricia {

inline constexpr uint16_t kBitsMax = 9 * limits::kKeyBytesMax + 1;
inline constexpr uint16_t kDigitsMax = 2 * limits::kKeyBytesMax;  // where keys can part

inline uint16_t BitsOf(ByteView key) { return static_cast<uint16_t>(9 * key.size() + 1); }
inline uint16_t DigitOf(uint16_t bit) { return static_cast<uint16_t>(bit / 9 * 2 + (bit % 9 >= 5 ? 1 : 0)); }
inline uint16_t DigitStart(uint16_t digit) {
  return static_cast<uint16_t>(digit / 2 * 9 + (digit % 2 == 1 ? 5 : 0));
}

inline bool BitAt(ByteView key, uint16_t bit) {
  size_t byte = bit / 9u, place = bit % 9u;
  if (byte >= key.size()) return false;
  return place == 0 || (key[byte] >> (8 - place) & 1) != 0;
}

// The first bits of some key. `bytes` holds them in full bytes, zeros in what is not known of the last; it
// has one byte more than a key that ends there.
struct Prefix {
  Bytes bytes;
  uint16_t bits = 0;
};

// The lowest bit in which two keys differ; 0xFFFF for equal ones. Of prefixes: the answer counts below the
// bits that both know.
inline uint16_t FirstDifference(ByteView a, ByteView b) {
  size_t n = std::min(a.size(), b.size());
  size_t i = static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first - a.begin());
  if (i < n) return static_cast<uint16_t>(9 * i + 1 + std::countl_zero(static_cast<uint8_t>(a[i] ^ b[i])));
  return a.size() == b.size() ? 0xFFFF : static_cast<uint16_t>(9 * i);
}

// The first `bits` bits of a key (or of a prefix that knows as many).
inline Prefix FirstBits(ByteView key, uint16_t bits) {
  size_t whole = bits / 9u, place = bits % 9u;
  Prefix p{Bytes(key.begin(), key.begin() + static_cast<ptrdiff_t>(std::min(whole, key.size()))), bits};
  if (place >= 1 && whole < key.size())
    p.bytes.push_back(static_cast<uint8_t>(key[whole] & ~(0xFFu >> (place - 1))));
  return p;
}

// How a key lies to the keys of a prefix.
enum class Side : uint8_t { kBefore, kInside, kBehind };
inline Side SideOf(ByteView key, const Prefix& prefix) {
  uint16_t d = FirstDifference(key, prefix.bytes);
  if (d >= prefix.bits) return Side::kInside;
  return BitAt(key, d) ? Side::kBehind : Side::kBefore;
}

}  // namespace holdfast::tree::patricia

#endif  // HOLDFAST_CORE_TREE_PATRICIA_KEY_H_
