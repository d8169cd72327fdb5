#include "base/secret.h"

#include <atomic>
#include <new>

namespace holdfast {
namespace {

constexpr size_t kSlotBytes = 64;
constexpr size_t kSlotsMax = 1u << 16;

// Slots of 64 bytes, taken in runs; one bit each. A run of one slot, a key, is by far the most frequent: the
// search goes on where the last one ended. A spin lock: it is held for a few instructions, and pure modules
// that hold keys know no other kind.
struct Slots {
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
  uint8_t* base = nullptr;
  size_t count = 0, taken = 0, next = 0;
  std::atomic<uint64_t> outside{0};
  uint64_t map[kSlotsMax / 64] = {};

  bool Taken(size_t i) const { return (map[i / 64] >> (i % 64) & 1) != 0; }
  void Mark(size_t from, size_t n, bool on) {
    for (size_t i = from; i < from + n; ++i) {
      uint64_t bit = uint64_t{1} << (i % 64);
      map[i / 64] = on ? map[i / 64] | bit : map[i / 64] & ~bit;
    }
  }
  uint8_t* Find(size_t n, size_t from, size_t until) {
    for (size_t i = from, run = 0; i < until; ++i) {
      if (i % 64 == 0 && run == 0 && map[i / 64] == UINT64_MAX) {
        i += 63;
        continue;
      }
      run = Taken(i) ? 0 : run + 1;
      if (run < n) continue;
      size_t first = i + 1 - n;
      Mark(first, n, true);
      taken += n;
      next = i + 1;
      return base + first * kSlotBytes;
    }
    return nullptr;
  }
  uint8_t* Take(size_t bytes) {
    size_t n = (bytes + kSlotBytes - 1) / kSlotBytes;
    if (n > count - taken) return nullptr;
    uint8_t* found = Find(n, next, count);
    return found != nullptr ? found : Find(n, 0, count);
  }
  bool Owns(const uint8_t* p) const { return base != nullptr && p >= base && p < base + count * kSlotBytes; }
  void Give(const uint8_t* p, size_t bytes) {
    size_t n = (bytes + kSlotBytes - 1) / kSlotBytes;
    Mark(static_cast<size_t>(p - base) / kSlotBytes, n, false);
    taken -= n;
  }
};
Slots slots;

class SpinLock {
 public:
  explicit SpinLock(std::atomic_flag& flag) : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~SpinLock() { flag_.clear(std::memory_order_release); }
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

 private:
  std::atomic_flag& flag_;
};

}  // namespace

void UseSecretMemory(void* memory, size_t bytes) {
  slots.base = static_cast<uint8_t*>(memory);
  slots.count = bytes / kSlotBytes < kSlotsMax ? bytes / kSlotBytes : kSlotsMax;
}

SecretMemoryUse SecretMemoryNow() {
  SpinLock lock(slots.busy);
  return {slots.count * kSlotBytes, slots.taken * kSlotBytes, slots.outside};
}

void WipeSecretMemory() { Wipe(slots.base, slots.count * kSlotBytes); }

SecretBuffer::SecretBuffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (slots.base != nullptr) {
    SpinLock lock(slots.busy);
    data_ = slots.Take(bytes);
  }
  if (data_ == nullptr) {
    data_ = static_cast<uint8_t*>(::operator new(bytes));
    std::memset(data_, 0, bytes);
    if (slots.base != nullptr) ++slots.outside;
  }
}

void SecretBuffer::Drop() {
  if (data_ == nullptr) return;
  Wipe(data_, bytes_);
  if (slots.Owns(data_)) {
    SpinLock lock(slots.busy);
    slots.Give(data_, bytes_);
  } else {
    ::operator delete(data_);
  }
  data_ = nullptr;
  bytes_ = 0;
}

void Wipe(void* p, size_t n) {
  if (n == 0) return;
  std::memset(p, 0, n);
  asm volatile("" : : "r"(p) : "memory");
}

bool ConstantTimeEqual(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  uint8_t diff = 0;
  for (size_t i = 0; i < a.size(); ++i) diff = static_cast<uint8_t>(diff | (a[i] ^ b[i]));
  asm volatile("" : "+r"(diff));
  return diff == 0;
}

}  // namespace holdfast
