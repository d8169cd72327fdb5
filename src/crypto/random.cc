#include "crypto/random.h"

#include <algorithm>

#include "base/check.h"
#include "crypto/hash.h"

namespace holdfast::crypto {

void SeededRandom::Fill(MutableByteView out) {
  uint8_t key[8], count[8];
  StoreLittle(key, seed_);
  while (!out.empty()) {
    StoreLittle(count, counter_++);
    Digest d = HmacSha256({key, 8}, {ByteView(count, 8)});
    size_t n = std::min(out.size(), d.size());
    std::memcpy(out.data(), d.data(), n);
    out = out.subspan(n);
  }
}

uint64_t SeededRandom::Next() {
  uint8_t b[8];
  Fill({b, 8});
  return LoadLittle<uint64_t>(b);
}

uint64_t SeededRandom::Below(uint64_t bound) {
  HF_CHECK(bound > 0);
  return Next() % bound;
}

}  // namespace holdfast::crypto
