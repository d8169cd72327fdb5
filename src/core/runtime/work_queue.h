// A queue between two threads. What is put in is bounded by its maker: the kernel's limits on frames in
// flight and pending commands bound every queue of the engine.
#ifndef HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_
#define HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

namespace holdfast::runtime {

template <typename T>
class WorkQueue {
 public:
  // False once the queue is closed: nobody will take it.
  bool Push(T item) {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    items_.push_back(std::move(item));
    wake_.notify_one();
    return true;
  }
  // Waits; nothing once the queue is closed and empty.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    T item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    wake_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_WORK_QUEUE_H_
