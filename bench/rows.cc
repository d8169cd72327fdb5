#include <algorithm>
#include <cstring>

#include "bench/rows_internal.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kSpread = 0xD1342543DE82EF95u;  // odd: no two rows share a seed

// splitmix64: one step gives a number that looks random, from any state.
uint64_t Mix(uint64_t& state) {
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}
uint64_t KeySeed(uint64_t n) { return n * 2 * kSpread + 1; }

// The version is told by the first word, the rest follows from both.
void FillValue(uint64_t n, uint64_t version, char* to) {
  uint64_t seed = (n * 2 + 1) * kSpread;
  uint64_t word = Mix(seed) ^ version;
  std::memcpy(to, &word, sizeof word);
  FillRandom(seed + version * kSpread, to + sizeof word, kValueBytes - sizeof word);
}

}  // namespace

void FillRandom(uint64_t seed, char* to, size_t size) {
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = Mix(seed);
    std::memcpy(to + at, &word, std::min<size_t>(8, size - at));
  }
}

Row::Row(uint64_t n, uint64_t version) : key_(KeyOf(n)) { FillValue(n, version, value_.data()); }

std::array<char, kKeyBytes> Row::KeyOf(uint64_t n) {
  std::array<char, kKeyBytes> key;
  FillRandom(KeySeed(n), key.data(), key.size());
  return key;
}

uint64_t Row::KeyHead(uint64_t n) {
  uint64_t seed = KeySeed(n);
  return __builtin_bswap64(Mix(seed));
}

bool Row::IsValueOf(uint64_t n, std::string_view value) {
  if (value.size() != kValueBytes) return false;
  uint64_t word, seed = (n * 2 + 1) * kSpread;
  std::memcpy(&word, value.data(), sizeof word);
  std::array<char, kValueBytes> expected;
  FillValue(n, word ^ Mix(seed), expected.data());
  return std::memcmp(expected.data(), value.data(), kValueBytes) == 0;
}

uint64_t Dice::Next() { return Mix(state_); }

}  // namespace holdfast::bench
