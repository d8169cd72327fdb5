#include "host/kv/dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "host/kv/dir_storage_internal.h"

namespace holdfast::host {

FileCalls::FileCalls()
    : write(&::write),
      pwrite([](int fd, const void* bytes, size_t n, uint64_t offset) {
        return ::pwrite(fd, bytes, n, static_cast<off_t>(offset));
      }),
      fsync(&::fsync),
      fdatasync(&::fdatasync),
      allocate([](int fd, uint64_t offset, uint64_t length) {
        return ::fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(length));
      }) {}

namespace {

// Descriptors for reading: a part of what the process may have, and more than that many segments are not read
// at a time.
constexpr size_t kReadersMin = 64, kReadersMax = 4096, kReadersShare = 4;

// Mounts of object stores have no directories to sync; a local file system that says so has failed.
bool SyncIsNeedless(const DirOptions& options, int error) {
  return options.whole_objects && (error == EINVAL || error == ENOSYS || error == EOPNOTSUPP);
}

// mkdir -p, with each new name made durable.
Status MakeDirectories(const DirOptions& options, const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) return Ok();
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  std::string parent(ParentOf(trimmed));
  if (parent.empty()) parent = trimmed.starts_with('/') ? "/" : ".";
  HF_TRY_VOID(MakeDirectories(options, parent));
  if (::mkdir(trimmed.c_str(), 0755) != 0 && errno != EEXIST) {
    return errno == ENOENT ? Code::kNoStore : CodeOfErrno(errno);
  }
  Fd fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return CodeOfErrno(errno);
  if (options.calls.fsync(fd.get()) != 0 && !SyncIsNeedless(options, errno)) return Code::kIo;
  return Ok();
}

// True: locked. False: there are no locks here. kInUse.
Result<bool> Lock(int fd, OpenMode mode) {
  int kind = mode == OpenMode::kReadOnly ? LOCK_SH : LOCK_EX;
  while (::flock(fd, kind | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return Code::kInUse;
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENOLCK || errno == EINVAL) return false;
    return CodeOfErrno(errno);
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenDir(const std::string& path, OpenMode mode, DirOptions options) {
  if (path.empty()) return Code::kInvalidArgument;
  if (mode == OpenMode::kCreate) HF_TRY_VOID(MakeDirectories(options, path));
  Fd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) {
    bool absent = errno == ENOENT || errno == ENOTDIR;
    return absent ? Code::kNoStore : CodeOfErrno(errno);
  }
  HF_TRY(bool locked, Lock(root.get(), mode));
  if (mode != OpenMode::kReadOnly && ::faccessat(root.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return CodeOfErrno(errno);
  }
  if (mode == OpenMode::kCreate) {
    HF_TRY(bool empty, IsEmpty(root.get()));
    if (!empty) return Code::kNotEmpty;
  }
  return std::unique_ptr<seam::Storage>(
      std::make_unique<DirStorage>(std::move(root), mode, locked, std::move(options)));
}

seam::Capabilities DirStorage::capabilities() const {
  seam::Capabilities c;
  c.append = !options_.whole_objects;
  c.exclusive = locked_ && !read_only_;
  c.conditional_put = c.exclusive || read_only_;  // without the lock, compare and write could not be one step
  c.read_only = read_only_;
  return c;
}

Status DirStorage::CheckWrite(std::string_view name) const {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (read_only_) return Code::kReadOnly;
  if (poisoned_) return Code::kPoisoned;
  return Ok();
}

Error DirStorage::Poison(int error) {
  poisoned_ = true;
  // Never kFull or another refusal: those promise that nothing but one object is lost.
  return error == EROFS ? Code::kReadOnly : Code::kIo;
}

Result<UntrustedBytes> DirStorage::Get(std::string_view name) { return GetRange(name, 0, UINT64_MAX); }

Result<UntrustedBytes> DirStorage::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  UntrustedBytes bytes;
  HF_TRY_VOID(GetRangeInto(name, offset, length, bytes));
  return bytes;
}

// Small reads come by the hundred thousand from few files: those stay open, and a read is one system call.
Status DirStorage::GetRangeInto(std::string_view name, uint64_t offset, uint64_t length,
                                UntrustedBytes& out) {
  Stripe& stripe = StripeOf(name);
  std::shared_lock lock(stripe.mutex);
  if (length <= seam::kSmallRangeMax) {
    for (const auto& [known, fd] : stripe.readers) {
      if (known == name) return ReadRange(fd.get(), offset, length, out);
    }
  }
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  HF_TRY(Fd fd, OpenObject(root_.get(), name));
  if (length <= seam::kSmallRangeMax) {
    HF_TRY_VOID(ReadRange(fd.get(), offset, length, out));
    lock.unlock();
    KeepReader(stripe, name);
    return Ok();
  }
  HF_TRY(uint64_t size, FileSize(fd.get()));
  length = std::min(length, size - std::min(size, offset));
  if (length > seam::kGetBytesMax) return Code::kTooLarge;
  return ReadRange(fd.get(), offset, length, out);
}

size_t DirStorage::ReadersMax() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kReadersMin;
  return static_cast<size_t>(std::clamp<rlim_t>(limit.rlim_cur / kReadersShare, kReadersMin, kReadersMax));
}

// Opened again under the lock: what was read may have been replaced since.
void DirStorage::KeepReader(Stripe& stripe, std::string_view name) {
  std::unique_lock lock(stripe.mutex);
  for (const auto& [known, kept] : stripe.readers) {
    if (known == name) return;
  }
  auto opened = OpenObject(root_.get(), name);
  if (!opened) return;
  Fd fd = std::move(opened).value();
  if (readers_.fetch_add(1) >= readers_max_) DropSomeReader(stripe);
  stripe.readers.emplace_back(std::string(name), std::move(fd));
}

// Of the next name that nobody is reading: with more names than descriptors any choice is as good.
void DirStorage::DropSomeReader(const Stripe& but) {
  for (size_t i = 0; i < stripes_.size(); ++i) {
    Stripe& s = stripes_[reader_hand_.fetch_add(1) % stripes_.size()];
    if (&s == &but) continue;
    std::unique_lock lock(s.mutex, std::try_to_lock);
    if (!lock || s.readers.empty()) continue;
    s.readers.erase(s.readers.begin());
    --readers_;
    return;
  }
}

Result<seam::VersionedBytes> DirStorage::GetVersioned(std::string_view name) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (!capabilities().conditional_put) return Code::kUnsupported;
  std::shared_lock stripe(StripeOf(name).mutex);
  HF_TRY(Fd fd, OpenObject(root_.get(), name));
  // The version first: a change made past us in between gives old version and new bytes, never the reverse.
  HF_TRY(seam::ObjectVersion version, VersionOf(name));
  HF_TRY(UntrustedBytes bytes, ReadRange(fd.get(), 0, UINT64_MAX));
  return seam::VersionedBytes{std::move(bytes), std::move(version)};
}

Result<seam::Listing> DirStorage::List(std::string_view prefix, std::string_view after, size_t limit) {
  return ListTree(root_.get(), prefix, after, limit);
}

Status DirStorage::SyncDirectory(std::string_view path) {
  HF_TRY(Fd fd, OpenDirectory(root_.get(), path));
  if (options_.calls.fsync(fd.get()) == 0) return Ok();
  return SyncIsNeedless(options_, errno) ? Ok() : Status(CodeOfErrno(errno));
}

Status DirStorage::Barrier() {
  if (read_only_) return Ok();
  // Held throughout: a second caller's writes may be in the first one's sets, so it must wait for their
  // syncs.
  std::lock_guard barrier(barrier_mutex_);
  if (poisoned_) return Code::kPoisoned;
  std::map<std::string, Fd, std::less<>> files;
  std::set<std::string, std::less<>> directories;
  {
    std::lock_guard state(state_mutex_);
    files.swap(unsynced_files_);
    directories.swap(unsynced_directories_);
  }
  for (const auto& [name, fd] : files) {
    if (options_.calls.fsync(fd.get()) != 0) return Poison(errno);
  }
  for (const std::string& path : directories) {
    if (!SyncDirectory(path)) return Poison(EIO);
  }
  return Ok();
}

}  // namespace holdfast::host
