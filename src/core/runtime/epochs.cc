#include "core/runtime/epochs.h"

#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

namespace holdfast::runtime {

// A reader's place is free when its guard ends: threads come and go, and a place tried first by the same
// thread each time stays in its processor's cache.
Epochs::Guard::Guard(Epochs& epochs) : reader_(nullptr) {
  thread_local const size_t first = std::hash<std::thread::id>()(std::this_thread::get_id());
  for (size_t i = 0; i < kReadersMax; ++i) {
    Reader& r = epochs.readers_[(first + i) % kReadersMax];
    if (r.taken.load(std::memory_order_relaxed) || r.taken.exchange(true, std::memory_order_acquire))
      continue;
    // Before anything is read: who scans the readers later sees this, who scanned before has made unreachable
    // what it frees.
    r.since.store(epochs.now_.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
    reader_ = &r;
    return;
  }
}

Epochs::Guard::~Guard() {
  if (reader_ == nullptr) return;
  reader_->since.store(0, std::memory_order_release);
  reader_->taken.store(false, std::memory_order_release);
}

uint64_t Epochs::OldestReader() const {
  uint64_t oldest = UINT64_MAX;
  for (const Reader& r : readers_) {
    uint64_t since = r.since.load(std::memory_order_seq_cst);
    if (since != 0) oldest = std::min(oldest, since);
  }
  return oldest;
}

void Epochs::Retire(std::shared_ptr<const void> memory, size_t bytes) {
  std::vector<std::shared_ptr<const void>> free;  // outside the lock
  sync::MutexLock lock(mutex_);
  retired_.push_back({now_.fetch_add(1, std::memory_order_seq_cst), bytes, std::move(memory)});
  bytes_ += bytes;
  if (retired_.size() <= kRetiredMax) return;
  uint64_t oldest = OldestReader();
  while (!retired_.empty() && retired_.front().epoch < oldest) {
    bytes_ -= retired_.front().bytes;
    free.push_back(std::move(retired_.front().memory));
    retired_.pop_front();
  }
  lock.Unlock();
}

}  // namespace holdfast::runtime
