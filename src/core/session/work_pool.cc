#include "core/session/work_pool.h"

namespace holdfast::session {

WorkPool::WorkPool(sync::ActivityKind activity, size_t threads, size_t queue_max)
    : activity_(activity), queue_max_(queue_max) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Main(); });
}

WorkPool::~WorkPool() {
  {
    sync::MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  for (auto& t : threads_) t.join();
}

bool WorkPool::Submit(Job job) {
  {
    sync::MutexLock lock(mutex_);
    if (stopping_ || queue_.size() >= queue_max_) return false;
    queue_.push_back(std::move(job));
  }
  wake_.NotifyOne();
  return true;
}

void WorkPool::Continue(Job job) {
  {
    sync::MutexLock lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_.NotifyOne();
}

void WorkPool::Main() {
  sync::Activity activity(activity_);
  sync::MutexLock lock(mutex_);
  for (;;) {
    while (!stopping_ && queue_.empty()) wake_.Wait(mutex_);
    if (queue_.empty()) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    lock.Unlock();
    job();
    job = nullptr;
    lock.Lock();
  }
}

}  // namespace holdfast::session
