// enclave-state-saving.LCK: an empty file in the temp directory, under flock while a slot is being written,
// so that a backup that takes the same lock copies a slot that nobody is changing. The file stays; only the
// lock comes and goes.
//
// The host does not know when the core saves. It sees it: from the first write below enclave-state/ until the
// barrier behind the write of a state-save-number. A save that failed gives the lock up with the failed
// write. Thread-safe. Before blocks while a backup holds the lock: that holds up saves, nothing else.
#ifndef HOLDFAST_HOST_RUNTIME_SAVING_LOCK_H_
#define HOLDFAST_HOST_RUNTIME_SAVING_LOCK_H_

#include <memory>
#include <string>

#include "base/result.h"
#include "seam/channel.h"
#include "sync/mutex.h"

namespace holdfast::host {

class SavingLock {
 public:
  // kPermission, kIo. `path` is created if absent.
  static Result<std::unique_ptr<SavingLock>> Open(const std::string& path);
  ~SavingLock();
  SavingLock(const SavingLock&) = delete;
  SavingLock& operator=(const SavingLock&) = delete;

  void Before(const seam::StorageRequest& request);
  void After(const seam::StorageRequest& request, bool ok);

 private:
  explicit SavingLock(int fd) : fd_(fd) {}
  void Release() HF_REQUIRES(mutex_);

  const int fd_;
  sync::Mutex mutex_{sync::LockName::kOther};
  bool held_ HF_GUARDED_BY(mutex_) = false;
  bool number_written_ HF_GUARDED_BY(mutex_) = false;
  // The barrier that is under way began after the number was written.
  bool barrier_covers_number_ HF_GUARDED_BY(mutex_) = false;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_RUNTIME_SAVING_LOCK_H_
