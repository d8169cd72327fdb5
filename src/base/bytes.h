// Bytes we own, views of bytes we do not, and the few conversions everybody needs.
// Numbers at rest and on the wire are little-endian and of fixed width, except in keys that must sort: those
// are big-endian (StoreBig*). Ids print as upper-case hex.
#ifndef HOLDFAST_BASE_BYTES_H_
#define HOLDFAST_BASE_BYTES_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;
using MutableByteView = std::span<uint8_t>;
using Digest = std::array<uint8_t, 32>;  // SHA-256 or HMAC-SHA-256

inline ByteView AsBytes(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }
inline std::string_view AsText(ByteView b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
inline Bytes ToBytes(ByteView b) { return Bytes(b.begin(), b.end()); }
inline Bytes ToBytes(std::string_view s) { return ToBytes(AsBytes(s)); }
inline std::string ToText(ByteView b) { return std::string(AsText(b)); }
inline void Append(Bytes& to, ByteView b) { to.insert(to.end(), b.begin(), b.end()); }

// Lexicographic, unsigned. Returns <0, 0, >0.
inline int Compare(ByteView a, ByteView b) {
  size_t n = a.size() < b.size() ? a.size() : b.size();
  int c = n == 0 ? 0 : std::memcmp(a.data(), b.data(), n);
  if (c != 0) return c;
  return a.size() < b.size() ? -1 : (a.size() > b.size() ? 1 : 0);
}
inline bool Equal(ByteView a, ByteView b) {
  return Compare(a, b) == 0;
}  // not constant time: never for secrets

// Sorts ByteView, Bytes and std::string keys alike.
struct BytesLess {
  using is_transparent = void;
  bool operator()(ByteView a, ByteView b) const { return Compare(a, b) < 0; }
};

std::string HexUpper(ByteView b);
// Accepts both cases; nothing for odd length or a non-hex digit.
std::optional<Bytes> ParseHex(std::string_view hex);

template <typename T>
inline void StoreLittle(uint8_t* p, T v) {
  for (size_t i = 0; i < sizeof(T); ++i) p[i] = static_cast<uint8_t>(static_cast<uint64_t>(v) >> (8 * i));
}
template <typename T>
inline T LoadLittle(const uint8_t* p) {
  uint64_t v = 0;
  for (size_t i = 0; i < sizeof(T); ++i) v |= static_cast<uint64_t>(p[i]) << (8 * i);
  return static_cast<T>(v);
}
inline void StoreBig64(uint8_t* p, uint64_t v) {
  for (int i = 0; i < 8; ++i) p[i] = static_cast<uint8_t>(v >> (56 - 8 * i));
}
inline uint64_t LoadBig64(const uint8_t* p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = (v << 8) | p[i];
  return v;
}

}  // namespace holdfast

#endif  // HOLDFAST_BASE_BYTES_H_
