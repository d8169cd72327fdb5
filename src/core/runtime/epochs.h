// When memory that readers may still be looking at can be freed: once every reader that came before it was
// taken out of reach has left.
//
// A reader marks where it reads with a Guard: two stores to a line of its own, no lock, no count. Who takes a
// node out of reach hands it to Retire, and it goes when no guard is left that is older. (Epoch-based
// reclamation, K. Fraser 2004.)
#ifndef HOLDFAST_CORE_RUNTIME_EPOCHS_H_
#define HOLDFAST_CORE_RUNTIME_EPOCHS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>

#include "sync/mutex.h"

namespace holdfast::runtime {

class Epochs {
  struct alignas(64) Reader {
    std::atomic<bool> taken{false};
    std::atomic<uint64_t> since{0};  // 0: reads nothing
  };

 public:
  // Threads that can read at a time. One more reads without a guard, by the slower way.
  static constexpr size_t kReadersMax = 256;

  class Guard {
   public:
    explicit Guard(Epochs& epochs);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    explicit operator bool() const { return reader_ != nullptr; }  // false: nothing is guarded

   private:
    Reader* reader_;
  };

  Epochs() = default;
  ~Epochs() = default;  // REQUIRES: no guard is left
  // Frees it, and what was retired before, as soon as may be. `bytes`: its size.
  void Retire(std::shared_ptr<const void> memory, size_t bytes);
  size_t retired_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kRetiredMax = 64;  // then it looks who is still reading
  struct Retired {
    uint64_t epoch;
    size_t bytes;
    std::shared_ptr<const void> memory;
  };
  uint64_t OldestReader() const;

  std::array<Reader, kReadersMax> readers_;
  std::atomic<uint64_t> now_{1};
  std::atomic<size_t> bytes_{0};
  sync::Mutex mutex_{sync::LockName::kNodes};
  std::deque<Retired> retired_ HF_GUARDED_BY(mutex_);
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_EPOCHS_H_
