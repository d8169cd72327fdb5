// Locks that know what they guard and tell how long they were waited for.
//
// A lock bears the name of what it is part of (LockName). Taking it is one try; only when that fails are the
// two clock reads made whose difference goes to the metrics kWait<name> and kWaited<name> of
// seam/metrics.def. So an uncontended lock costs what a std::mutex costs, and the numbers say where threads
// stand in each other's way. What a condition variable waits for is not counted, nor its taking the lock
// again: that is waiting for work.
//
// Underneath are the locks of the standard library. Nothing here allocates or throws, but for what POSIX
// calls a deadlock of one thread with itself, which ends the program.
#ifndef HOLDFAST_SYNC_MUTEX_H_
#define HOLDFAST_SYNC_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include "sync/annotations.h"

namespace holdfast::sync {

// In the order of kWaitOrder... and kWaitedOrder... in seam/metrics.def.
enum class LockName : uint8_t {
  kOrder,    // around the ordering thread: its events, tickets, the queues between the engine's threads
  kState,    // overlays and the applied index
  kWrite,    // while a frame is written
  kSave,     // slots, versions, the unlockers' record
  kNodes,    // decoded nodes
  kSession,  // clients, streams, watches, pools
  kChannel,  // between host and core
  kOther,
};

class HF_CAPABILITY("mutex") Mutex {
 public:
  explicit constexpr Mutex(LockName name = LockName::kOther) : name_(name) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() HF_ACQUIRE() {
    if (!native_.try_lock()) Contended();
  }
  bool TryLock() HF_TRY_ACQUIRE(true) { return native_.try_lock(); }
  void Unlock() HF_RELEASE() { native_.unlock(); }

 private:
  friend class CondVar;
  void Contended();
  std::mutex native_;
  const LockName name_;
};

// Readers share, a writer is alone. Waiting readers may keep a writer waiting: hold it shortly.
class HF_CAPABILITY("shared_mutex") SharedMutex {
 public:
  explicit SharedMutex(LockName name = LockName::kOther) : name_(name) {}
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void Lock() HF_ACQUIRE() {
    if (!native_.try_lock()) Contended();
  }
  void Unlock() HF_RELEASE() { native_.unlock(); }
  void LockShared() HF_ACQUIRE_SHARED() {
    if (!native_.try_lock_shared()) ContendedShared();
  }
  void UnlockShared() HF_RELEASE_SHARED() { native_.unlock_shared(); }

 private:
  void Contended();
  void ContendedShared();
  std::shared_mutex native_;
  const LockName name_;
};

// Holds a mutex as long as it lives, but for what lies between Unlock and Lock.
class HF_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) HF_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() HF_RELEASE() {
    if (held_) mutex_.Unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() HF_RELEASE() {
    held_ = false;
    mutex_.Unlock();
  }
  void Lock() HF_ACQUIRE() {
    mutex_.Lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

class HF_SCOPED_CAPABILITY ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mutex) HF_ACQUIRE_SHARED(mutex) : mutex_(mutex) { mutex_.LockShared(); }
  ~ReaderLock() HF_RELEASE() {
    if (held_) mutex_.UnlockShared();
  }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

  void Unlock() HF_RELEASE() {
    held_ = false;
    mutex_.UnlockShared();
  }
  void Lock() HF_ACQUIRE_SHARED() {
    mutex_.LockShared();
    held_ = true;
  }

 private:
  SharedMutex& mutex_;
  bool held_ = true;
};

class HF_SCOPED_CAPABILITY WriterLock {
 public:
  explicit WriterLock(SharedMutex& mutex) HF_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~WriterLock() HF_RELEASE() { mutex_.Unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mutex_;
};

// Wakes without reason now and then: wait in a loop that asks for what is waited for.
class CondVar {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  void Wait(Mutex& mutex) HF_REQUIRES(mutex);
  // False: the time is over.
  bool WaitUntil(Mutex& mutex, Deadline deadline) HF_REQUIRES(mutex);
  bool WaitFor(Mutex& mutex, std::chrono::nanoseconds time) HF_REQUIRES(mutex);
  void NotifyOne() { native_.notify_one(); }
  void NotifyAll() { native_.notify_all(); }

 private:
  std::condition_variable native_;
};

// What one thread alone touches, so that it needs no lock: its data are guarded by the role, and the thread
// begins with a Playing. For the analysis only; costs nothing, checks nothing when run.
class HF_CAPABILITY("role") Role {};
class HF_SCOPED_CAPABILITY Playing {
 public:
  explicit Playing(const Role& role) HF_ACQUIRE(role) { static_cast<void>(role); }
  ~Playing() HF_RELEASE() {}
  Playing(const Playing&) = delete;
  Playing& operator=(const Playing&) = delete;
};

}  // namespace holdfast::sync

#endif  // HOLDFAST_SYNC_MUTEX_H_
