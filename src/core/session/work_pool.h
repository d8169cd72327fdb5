// A few threads for calls that may wait for storage, so that gRPC's own never do.
#ifndef HOLDFAST_CORE_SESSION_WORK_POOL_H_
#define HOLDFAST_CORE_SESSION_WORK_POOL_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::session {

class WorkPool {
 public:
  using Job = std::function<void()>;
  WorkPool(size_t threads, size_t queue_max);
  ~WorkPool();  // runs what is queued, joins

  // False: the queue is full and the job was not taken.
  [[nodiscard]] bool Submit(Job job);
  // The next step of something already admitted: always taken. Bounded by the calls there are.
  void Continue(Job job);

 private:
  void Main();
  const size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_WORK_POOL_H_
