// A queue between two threads. What is put in is bounded by its maker: the kernel's limits on frames in
// flight and pending commands bound every queue of the engine.
#ifndef HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_
#define HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_

#include <deque>
#include <optional>

#include "sync/mutex.h"

namespace holdfast::runtime {

template <typename T>
class WorkQueue {
 public:
  // False once the queue is closed: nobody will take it.
  bool Push(T item) {
    {
      sync::MutexLock lock(mutex_);
      if (closed_) return false;
      items_.push_back(std::move(item));
    }
    wake_.NotifyOne();
    return true;
  }
  // Waits; nothing once the queue is closed and empty.
  std::optional<T> Pop() {
    sync::MutexLock lock(mutex_);
    while (!closed_ && items_.empty()) wake_.Wait(mutex_);
    if (items_.empty()) return std::nullopt;
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  void Close() {
    sync::MutexLock lock(mutex_);
    closed_ = true;
    wake_.NotifyAll();
  }

 private:
  sync::Mutex mutex_{sync::LockName::kOrder};
  sync::CondVar wake_;
  std::deque<T> items_ HF_GUARDED_BY(mutex_);
  bool closed_ HF_GUARDED_BY(mutex_) = false;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_
