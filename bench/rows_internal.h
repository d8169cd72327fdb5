// The rows that every system is given: the same in every run, quick to make, and checkable when they come
// back.
#ifndef HOLDFAST_BENCH_ROWS_INTERNAL_H_
#define HOLDFAST_BENCH_ROWS_INTERNAL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::bench {

inline constexpr size_t kKeyBytes = 16, kValueBytes = 100;

// Row n in one of its versions. Keys and values look random: neighbours lie far apart, nothing compresses.
// About 40 ns; no memory but its own.
class Row {
 public:
  explicit Row(uint64_t n, uint64_t version = 0);
  std::string_view key() const { return {key_.data(), key_.size()}; }
  std::string_view value() const { return {value_.data(), value_.size()}; }
  static std::array<char, kKeyBytes> KeyOf(uint64_t n);  // without the value: 8 ns
  // The key's first eight bytes as a number that sorts alike.
  static uint64_t KeyHead(uint64_t n);
  // Whether it is the value of row n in any version.
  static bool IsValueOf(uint64_t n, std::string_view value);

 private:
  std::array<char, kKeyBytes> key_;
  std::array<char, kValueBytes> value_;
};

// Uniform numbers below n, quick rather than good; not thread-safe.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  uint64_t Below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64);
  }

 private:
  uint64_t state_;
};

// What a writer puts: by turns a new version of a row below `existing`, and a new row, `first_new` onwards.
// The same seed gives the same changes. Not thread-safe.
class Changes {
 public:
  Changes(uint64_t seed, uint64_t existing, uint64_t first_new)
      : dice_(seed), seed_(seed), existing_(existing), next_new_(first_new) {}
  Row Next() {
    ++made_;
    uint64_t n = made_ % 2 == 0 ? next_new_++ : dice_.Below(existing_);
    return Row(n, (seed_ << 32) + made_);
  }
  // How many new rows `changes` of them make.
  static uint64_t NewRows(uint64_t changes) { return changes / 2; }

 private:
  Dice dice_;
  const uint64_t seed_, existing_;
  uint64_t next_new_, made_ = 0;
};

// Bytes from a seed, eight at a time.
void FillRandom(uint64_t seed, char* to, size_t size);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_ROWS_INTERNAL_H_
