// Appendables of DirStorage: journal files that are written in place.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "host/kv/append_end.h"
#include "host/kv/dir_storage_internal.h"

namespace holdfast::host {
namespace {

constexpr size_t kAppendablesOpenMax = 16;  // a store appends to one file and keeps a spare
constexpr size_t kZeroPieceBytes = 1u << 20;
constexpr size_t kLargeAppendBytes = 64u << 10;

}  // namespace

Status DirStorage::CheckAppendable(std::string_view name) const {
  if (!seam::ValidName(name)) return Code::kInvalidArgument;
  if (options_.whole_objects) return Code::kUnsupported;
  return CheckWrite(name);
}

// Blocks that are only allocated are marked unwritten, and an append to them has metadata to sync: a small
// one then takes twice as long. So zeros, a piece ahead of small appends; a large one costs less than writing
// its place twice. 0, or an errno.
int DirStorage::FillWithZeros(int fd, uint64_t from, uint64_t to) {
  const Bytes zeros(static_cast<size_t>(std::min<uint64_t>(kZeroPieceBytes, to > from ? to - from : 0)));
  while (from < to) {
    size_t n = static_cast<size_t>(std::min<uint64_t>(zeros.size(), to - from));
    int error = PwriteAll(options_.calls, fd, ByteView(zeros).first(n), from);
    if (error != 0) return error;
    from += n;
  }
  return 0;
}

Status DirStorage::SyncDirectoriesAbove(std::string_view name) {
  std::string_view path = name;
  do {
    path = ParentOf(path);
    if (path != ParentOf(name)) {
      std::lock_guard state(state_mutex_);
      if (unsynced_directories_.find(path) == unsynced_directories_.end()) continue;
    }
    HF_TRY_VOID(SyncDirectory(path));
  } while (!path.empty());
  return Ok();
}

Status DirStorage::CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) {
  HF_TRY_VOID(CheckAppendable(name));
  Result<Opened> result = OpenForWrite(name, O_RDWR, IfThere::kRefuse);
  if (!result) {
    if (result.code() == Code::kIo) poisoned_ = true;
    return result.error();
  }
  Opened opened = std::move(result).value();
  NoteWritten(name);
  int fd = opened.file.get();
  uint64_t size = std::max<uint64_t>(reserve_bytes, first.size());
  bool allocated = size == 0 || options_.calls.allocate(fd, 0, size) == 0;
  if (!allocated && errno != EOPNOTSUPP && errno != ENOSYS)
    return Abandon(opened, name, errno == EFBIG ? ENOSPC : errno);
  uint64_t written = first.size();
  if (!allocated) {
    written = size;
  } else if (first.size() < kLargeAppendBytes) {
    written = std::min(size, written + kZeroPieceBytes);
  }
  int error = FillWithZeros(fd, first.size(), written);
  if (error == 0) error = PwriteAll(options_.calls, fd, first, 0);
  if (error != 0) return Abandon(opened, name, error);
  if (options_.calls.fsync(fd) != 0) return Poison(errno);
  if (!SyncDirectoriesAbove(name)) return Poison(EIO);
  auto appendable = std::make_shared<Appendable>();
  appendable->fd = std::move(opened.file);
  appendable->end = RoundUpToSector(first.size());
  appendable->size_bytes = size;
  appendable->written = written;
  {
    std::unique_lock stripe(StripeOf(name).mutex);
    Forget(name);  // of a file that was removed past us
  }
  Remember(name, std::move(appendable));
  return Ok();
}

std::shared_ptr<DirStorage::Appendable> DirStorage::Remember(std::string_view name,
                                                             std::shared_ptr<Appendable> appendable) {
  std::lock_guard state(state_mutex_);
  appendable->last_use = ++clock_;
  auto [it, is_new] = appendables_.try_emplace(std::string(name), appendable);
  if (is_new && appendables_.size() > kAppendablesOpenMax) {
    auto oldest = appendables_.end();
    for (auto i = appendables_.begin(); i != appendables_.end(); ++i) {
      // In use or just remembered: dropping it would give two threads two ideas of its end.
      if (i->second.use_count() > 1) continue;
      if (oldest == appendables_.end() || i->second->last_use < oldest->second->last_use) oldest = i;
    }
    if (oldest != appendables_.end()) appendables_.erase(oldest);
  }
  return it->second;
}

void DirStorage::Forget(std::string_view name) {
  readers_ -= std::erase_if(StripeOf(name).readers, [&](const auto& r) { return r.first == name; });
  std::lock_guard state(state_mutex_);
  auto it = appendables_.find(name);
  if (it != appendables_.end()) appendables_.erase(it);
}

Result<std::shared_ptr<DirStorage::Appendable>> DirStorage::FindAppendable(std::string_view name) {
  {
    std::lock_guard state(state_mutex_);
    auto it = appendables_.find(name);
    if (it != appendables_.end()) {
      it->second->last_use = ++clock_;
      return it->second;
    }
  }
  HF_TRY(Fd parent, OpenDirectory(root_.get(), ParentOf(name)));
  auto appendable = std::make_shared<Appendable>();
  appendable->fd = Fd(::openat(parent.get(), std::string(LeafOf(name)).c_str(),
                               O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!appendable->fd) return CodeOfErrno(errno);
  struct stat st {};
  if (::fstat(appendable->fd.get(), &st) != 0) return Code::kIo;
  if (!S_ISREG(st.st_mode)) return Code::kInvalidArgument;
  appendable->size_bytes = appendable->written = static_cast<uint64_t>(st.st_size);
  return Remember(name, std::move(appendable));
}

// An extension gets its space before its bytes, so that a full disk is found while nothing has changed.
// REQUIRES: appendable.mutex
Status DirStorage::Grow(Appendable& appendable, uint64_t to) {
  if (to <= appendable.size_bytes) return Ok();
  if (options_.calls.allocate(appendable.fd.get(), appendable.size_bytes, to - appendable.size_bytes) == 0) {
    appendable.size_bytes = to;
    return Ok();
  }
  int error = errno;
  if (error == EOPNOTSUPP || error == ENOSYS) {
    appendable.size_bytes = to;  // the write itself will extend it
    return Ok();
  }
  if (CodeOfErrno(error) != Code::kFull) return Poison(error);
  if (::ftruncate(appendable.fd.get(), static_cast<off_t>(appendable.size_bytes)) != 0) return Poison(errno);
  return Code::kFull;
}

Status DirStorage::Append(std::string_view name, uint64_t offset, ByteView bytes) {
  HF_TRY_VOID(CheckAppendable(name));
  HF_TRY(std::shared_ptr<Appendable> appendable, FindAppendable(name));
  std::lock_guard lock(appendable->mutex);
  if (poisoned_) return Code::kPoisoned;
  HF_TRY_VOID(CheckAppend(appendable->end, appendable->size_bytes, offset));
  HF_TRY_VOID(Grow(*appendable, offset + bytes.size()));
  NoteWritten(name);
  const uint64_t end = offset + bytes.size();
  int error = PwriteAll(options_.calls, appendable->fd.get(), bytes, offset);
  if (error == 0 && end > appendable->written) {
    uint64_t ahead = bytes.size() < kLargeAppendBytes ? kZeroPieceBytes : 0;
    uint64_t written = std::max(end, std::min(appendable->size_bytes, end + ahead));
    error = FillWithZeros(appendable->fd.get(), end, written);
    appendable->written = written;
  }
  if (error != 0) return Poison(error);
  if (options_.calls.fdatasync(appendable->fd.get()) != 0) return Poison(errno);
  appendable->end = RoundUpToSector(offset + bytes.size());
  return Ok();
}

Status DirStorage::Trim(std::string_view name, uint64_t size_bytes) {
  HF_TRY_VOID(CheckAppendable(name));
  HF_TRY(std::shared_ptr<Appendable> appendable, FindAppendable(name));
  std::lock_guard lock(appendable->mutex);
  if (poisoned_) return Code::kPoisoned;
  if (size_bytes > appendable->size_bytes) return Code::kInvalidArgument;
  NoteWritten(name);
  if (::ftruncate(appendable->fd.get(), static_cast<off_t>(size_bytes)) != 0) return Poison(errno);
  if (options_.calls.fsync(appendable->fd.get()) != 0) return Poison(errno);
  appendable->size_bytes = size_bytes;
  appendable->end = EndAfterTrim(appendable->end, size_bytes);
  return Ok();
}

}  // namespace holdfast::host
