// Where randomness comes from is an interface: getrandom inside the core (rule A5), a seed in the simulator.
#ifndef HOLDFAST_CRYPTO_RANDOM_H_
#define HOLDFAST_CRYPTO_RANDOM_H_

#include "base/bytes.h"
#include "base/secret.h"

namespace holdfast::crypto {

// Implementations are thread-safe, and stop the program rather than return predictable bytes.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(MutableByteView out) = 0;
  Key NewKey() {
    Key k;
    Fill(k.mutable_view());
    return k;
  }
  template <typename I>
  I NewId() {
    I id;
    Fill({id.bytes.data(), id.bytes.size()});
    return id;
  }
};

// HMAC-SHA-256 in counter mode over a seed: the same seed, the same bytes. For simulation and tests only.
// Not thread-safe.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : seed_(seed) {}
  void Fill(MutableByteView out) override;
  uint64_t Next();                 // 64 bits
  uint64_t Below(uint64_t bound);  // REQUIRES: bound > 0
  uint64_t counter() const { return counter_; }

 private:
  uint64_t seed_, counter_ = 0;
};

}  // namespace holdfast::crypto

#endif  // HOLDFAST_CRYPTO_RANDOM_H_
