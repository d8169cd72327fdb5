#include "host/runtime/saving_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast::host {
namespace {

bool IsBarrier(const seam::StorageRequest& request) {
  return static_cast<seam::StorageOperation>(request.operation) == seam::StorageOperation::kBarrier;
}

bool WritesSlot(const seam::StorageRequest& request) {
  switch (static_cast<seam::StorageOperation>(request.operation)) {
    case seam::StorageOperation::kPut:
    case seam::StorageOperation::kPutIfAbsent:
    case seam::StorageOperation::kPutIfVersion:
    case seam::StorageOperation::kDelete:
      return request.name.starts_with("enclave-state/");
    default:
      return false;
  }
}

}  // namespace

Result<std::unique_ptr<SavingLock>> SavingLock::Open(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return errno == EACCES || errno == EROFS ? Code::kPermission : Code::kIo;
  return std::unique_ptr<SavingLock>(new SavingLock(fd));
}

SavingLock::~SavingLock() { ::close(fd_); }

void SavingLock::Before(const seam::StorageRequest& request) {
  if (IsBarrier(request)) {
    sync::MutexLock lock(mutex_);
    barrier_covers_number_ = number_written_;
  }
  if (!WritesSlot(request)) return;
  {
    sync::MutexLock lock(mutex_);
    if (held_) return;
  }
  // Not under mutex_: a barrier of the journal must get past while we wait for a backup. Slots are written by
  // one lane.
  while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) continue;
  sync::MutexLock lock(mutex_);
  held_ = true;
  number_written_ = false;
}

void SavingLock::After(const seam::StorageRequest& request, bool ok) {
  sync::MutexLock lock(mutex_);
  if (!held_) return;
  bool slot = WritesSlot(request);
  if ((slot || IsBarrier(request)) && !ok) return Release();
  if (slot && request.name.ends_with("/state-save-number") &&
      static_cast<seam::StorageOperation>(request.operation) != seam::StorageOperation::kDelete) {
    number_written_ = true;
  }
  if (IsBarrier(request) && barrier_covers_number_) Release();
}

void SavingLock::Release() {
  held_ = number_written_ = barrier_covers_number_ = false;
  (void)::flock(fd_, LOCK_UN);
}

}  // namespace holdfast::host
