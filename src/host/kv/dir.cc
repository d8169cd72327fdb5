#include "host/kv/dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

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

constexpr uint64_t kNodeReadMax = 1u << 20;
constexpr size_t kReadersMax = 256;  // descriptors

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
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  std::shared_lock stripe(Stripe(name));
  if (length > kNodeReadMax) {
    HF_TRY(Fd fd, OpenObject(root_.get(), name));
    return ReadRange(fd.get(), offset, length);
  }
  uint64_t size = 0;
  HF_TRY(std::shared_ptr<Fd> fd, Reader(name, &size));
  return ReadRange(fd->get(), offset, length, size);
}

// Small reads come by the hundred thousand from few files: those stay open. A file that was removed or
// replaced past us has no name any more, and is not read.
Result<std::shared_ptr<Fd>> DirStorage::Reader(std::string_view name, uint64_t* size) {
  std::shared_ptr<Fd> reader;
  {
    std::lock_guard state(state_mutex_);
    auto it = readers_.find(name);
    if (it != readers_.end()) reader = it->second;
  }
  struct stat st {};
  if (reader != nullptr && ::fstat(reader->get(), &st) == 0 && st.st_nlink > 0) {
    *size = static_cast<uint64_t>(st.st_size);
    return reader;
  }
  HF_TRY(Fd fd, OpenObject(root_.get(), name));
  HF_TRY(*size, FileSize(fd.get()));
  reader = std::make_shared<Fd>(std::move(fd));
  std::lock_guard state(state_mutex_);
  if (readers_.size() >= kReadersMax)
    readers_.erase(std::next(readers_.begin(), static_cast<ptrdiff_t>(++clock_ % readers_.size())));
  readers_.insert_or_assign(std::string(name), reader);
  return reader;
}

Result<seam::VersionedBytes> DirStorage::GetVersioned(std::string_view name) {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (!capabilities().conditional_put) return Code::kUnsupported;
  std::shared_lock stripe(Stripe(name));
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
