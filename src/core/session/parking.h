// Calls that wait for an index of the log, without a thread of theirs: one thread watches for all of them, so
// that however many wait, reads that need not wait find the pool free.
#ifndef HOLDFAST_CORE_SESSION_PARKING_H_
#define HOLDFAST_CORE_SESSION_PARKING_H_

#include <grpc/support/time.h>

#include <functional>
#include <map>
#include <thread>

#include "core/session/backend.h"
#include "core/session/work_pool.h"
#include "sync/mutex.h"

namespace holdfast::session {

// Thread-safe. Bounded by who parks: calls have places (places.h), a Session stream parks a read or two.
class Parking {
 public:
  // REQUIRES: both outlive it.
  Parking(Backend& backend, WorkPool& pool);
  ~Parking();  // lets all go, joins

  // `job` goes to the pool once: when `index` is applied, or will not be (kStopping and the like), when
  // `deadline` has passed, or some time after `gone` has become true. `gone` is asked under the lock, by
  // another thread: it must not call back.
  void Add(LogIndex index, gpr_timespec deadline, std::function<bool()> gone, WorkPool::Job job);

 private:
  struct Call {
    gpr_timespec deadline{};
    std::function<bool()> gone;
    WorkPool::Job job;
  };
  void Main();
  void LetGo(LogIndex applied, bool all) HF_EXCLUDES(mutex_);

  Backend& backend_;
  WorkPool& pool_;
  sync::Mutex mutex_{sync::LockName::kSession};
  sync::CondVar wake_;
  std::multimap<LogIndex, Call> calls_ HF_GUARDED_BY(mutex_);
  bool stopping_ HF_GUARDED_BY(mutex_) = false;
  gpr_timespec looked_{};  // of the thread
  std::thread thread_;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_PARKING_H_
