// What one thread at a time works off: that of the queue, or another that found it idle and took over.
// What is put in is bounded by its maker: the kernel's limits on frames in flight and pending commands bound
// every queue of the engine.
#ifndef HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_
#define HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_

#include <deque>
#include <optional>
#include <utility>

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
      if (busy_) return true;  // who works looks again
    }
    wake_.NotifyOne();
    return true;
  }
  // Its own thread, which is done with what it took before. Waits; nothing once the queue is closed and
  // empty.
  std::optional<T> Pop() {
    sync::MutexLock lock(mutex_);
    if (std::exchange(mine_, false)) busy_ = false;
    while (busy_ || (!closed_ && items_.empty())) wake_.Wait(mutex_);
    if (items_.empty()) return std::nullopt;
    T item = std::move(items_.front());
    items_.pop_front();
    busy_ = mine_ = true;
    return item;
  }
  // Another thread: true if there is nothing to do and nobody at it. The caller does what it has, as if it
  // had been pushed and popped, then calls Leave.
  bool TakeOver() {
    sync::MutexLock lock(mutex_);
    if (closed_ || busy_ || !items_.empty()) return false;
    busy_ = true;
    return true;
  }
  void Leave() {
    {
      sync::MutexLock lock(mutex_);
      busy_ = false;
      if (items_.empty() && !closed_) return;
    }
    wake_.NotifyOne();
  }
  bool empty() {
    sync::MutexLock lock(mutex_);
    return items_.empty();
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
  bool busy_ HF_GUARDED_BY(mutex_) = false, mine_ HF_GUARDED_BY(mutex_) = false;  // mine: of its own thread
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_
