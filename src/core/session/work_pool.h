// A few threads for calls that may wait for storage, so that gRPC's own never do.
#ifndef HOLDFAST_CORE_SESSION_WORK_POOL_H_
#define HOLDFAST_CORE_SESSION_WORK_POOL_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "sync/activity.h"
#include "sync/mutex.h"

namespace holdfast::session {

class WorkPool {
 public:
  using Job = std::function<void()>;
  // `activity`: what its threads' processor time counts as.
  WorkPool(sync::ActivityKind activity, size_t threads, size_t queue_max);
  ~WorkPool();  // runs what is queued, joins

  // False: the queue is full and the job was not taken.
  [[nodiscard]] bool Submit(Job job);
  // The next step of something already admitted: always taken. Bounded by the calls there are.
  void Continue(Job job);

 private:
  void Main();
  const sync::ActivityKind activity_;
  const size_t queue_max_;
  sync::Mutex mutex_{sync::LockName::kSession};
  sync::CondVar wake_;
  std::deque<Job> queue_ HF_GUARDED_BY(mutex_);
  bool stopping_ HF_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_WORK_POOL_H_
