// Whole objects of DirStorage: put, conditional put, delete.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "host/kv/dir_storage_internal.h"

namespace holdfast::host {
namespace {

constexpr size_t kUnsyncedFilesMax =
    256;  // descriptors held until the barrier; beyond them a put syncs at once
constexpr size_t kVersionedNamesMax =
    65'536;  // beyond them counting starts afresh, and old versions mismatch

// The mode of a directory inside the store (design: 0700 for one blob or one topic's keys).
mode_t ModeOfDirectory(std::string_view path) {
  bool leaf = path.starts_with("encrypted-data-blobs/") || path.starts_with("key-encryption-keys/");
  return leaf ? 0700 : 0750;
}

constexpr size_t kPieceBytes = 1u << 20;

// Through the page cache: what has just been written is read soonest, and pages that were written in large
// pieces are kept, and found, as large ones. Each piece is sent on its way to the disk at once, so that the
// barrier finds little left to do and no others' sync has to wait for all of it. That it is under way is not
// relied on.
int WritePieces(const FileCalls& calls, int fd, ByteView bytes) {
  for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    ByteView piece = bytes.subspan(at, std::min(kPieceBytes, bytes.size() - at));
    if (int error = WriteAll(calls, fd, piece); error != 0) return error;
    (void)::sync_file_range(fd, static_cast<off_t>(at), static_cast<off_t>(piece.size()),
                            SYNC_FILE_RANGE_WRITE);
  }
  return 0;
}

}  // namespace

Result<Fd> DirStorage::OpenParent(std::string_view name) {
  std::string_view path = ParentOf(name);
  Result<Fd> fd = OpenDirectory(root_.get(), path);
  if (fd || fd.code() != Code::kNotFound) return fd;
  HF_TRY(Fd above, OpenParent(path));
  if (::mkdirat(above.get(), std::string(LeafOf(path)).c_str(), ModeOfDirectory(path)) != 0 &&
      errno != EEXIST) {
    return CodeOfErrno(errno);
  }
  {
    std::lock_guard state(state_mutex_);
    unsynced_directories_.emplace(ParentOf(path));
  }
  return OpenDirectory(root_.get(), path);
}

Result<DirStorage::Opened> DirStorage::OpenForWrite(std::string_view name, int access, IfThere if_there) {
  HF_TRY(Fd parent, OpenParent(name));
  std::string leaf(LeafOf(name));
  int flags = access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  Opened opened;
  opened.file = Fd(::openat(parent.get(), leaf.c_str(), flags | O_CREAT | O_EXCL, 0644));
  opened.created = static_cast<bool>(opened.file);
  if (!opened.file) {
    if (errno != EEXIST || if_there == IfThere::kRefuse) return CodeOfErrno(errno);
    opened.file = Fd(::openat(parent.get(), leaf.c_str(), flags | O_TRUNC));
    if (!opened.file) return errno == ENOENT ? Code::kIo : CodeOfErrno(errno);
    struct stat st {};
    if (::fstat(opened.file.get(), &st) != 0) return Code::kIo;
    if (!S_ISREG(st.st_mode)) return Code::kInvalidArgument;
  }
  opened.parent = std::move(parent);
  return opened;
}

Error DirStorage::Abandon(Opened& opened, std::string_view name, int error) {
  Code code = CodeOfErrno(error);
  if (opened.created) ::unlinkat(opened.parent.get(), std::string(LeafOf(name)).c_str(), 0);
  if (code == Code::kFull) return code;
  return Poison(error);
}

Status DirStorage::FinishWhole(Opened& opened, std::string_view name) {
  int synced = options_.calls.fsync(opened.file.get()) == 0 ? 0 : errno;
  if (synced == EINVAL || synced == ENOSYS || synced == EOPNOTSUPP) synced = 0;  // there the close does it
  int closed = opened.file.Close();
  if (synced != 0 || closed != 0) return Poison(synced != 0 ? synced : closed);
  std::lock_guard state(state_mutex_);
  unsynced_directories_.emplace(ParentOf(name));
  return Ok();
}

Status DirStorage::FinishGrouped(Opened& opened, std::string_view name) {
  {
    std::lock_guard state(state_mutex_);
    if (opened.created) unsynced_directories_.emplace(ParentOf(name));
    // The descriptor that wrote is the one that is synced: an error of its write-back is reported to nobody
    // else.
    if (unsynced_files_.size() < kUnsyncedFilesMax) {
      unsynced_files_.insert_or_assign(std::string(name), std::move(opened.file));
      return Ok();
    }
  }
  if (options_.calls.fsync(opened.file.get()) != 0) return Poison(errno);
  return Ok();
}

// REQUIRES: the name's stripe, exclusively.
Status DirStorage::WriteObject(std::string_view name, ByteView bytes, IfThere if_there) {
  Result<Opened> result = OpenForWrite(name, O_WRONLY, if_there);
  if (!result) {
    if (result.code() == Code::kIo) poisoned_ = true;
    return result.error();
  }
  Opened opened = std::move(result).value();
  NoteWritten(name);
  Forget(name);
  bool pieces = bytes.size() > kPieceBytes && !options_.whole_objects;
  int error = pieces ? WritePieces(options_.calls, opened.file.get(), bytes)
                     : WriteAll(options_.calls, opened.file.get(), bytes);
  if (error != 0) return Abandon(opened, name, error);
  return options_.whole_objects ? FinishWhole(opened, name) : FinishGrouped(opened, name);
}

Status DirStorage::Put(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name));
  std::unique_lock stripe(StripeOf(name).mutex);
  return WriteObject(name, bytes, IfThere::kReplace);
}

Status DirStorage::PutIfAbsent(std::string_view name, ByteView bytes) {
  HF_TRY_VOID(CheckWrite(name));
  std::unique_lock stripe(StripeOf(name).mutex);
  return WriteObject(name, bytes, IfThere::kRefuse);
}

Result<seam::ObjectVersion> DirStorage::PutIfVersion(std::string_view name, ByteView bytes,
                                                     const seam::ObjectVersion& expected) {
  HF_TRY_VOID(CheckWrite(name));
  if (!capabilities().conditional_put) return Code::kUnsupported;
  std::unique_lock stripe(StripeOf(name).mutex);
  Result<seam::ObjectVersion> current = VersionOf(name);
  if (!current && current.code() != Code::kNotFound) return current.error();
  if ((current ? *current : seam::ObjectVersion()) != expected) return Code::kVersionMismatch;
  Status written = WriteObject(name, bytes, expected.empty() ? IfThere::kRefuse : IfThere::kReplace);
  if (!written) return written.code() == Code::kExists ? Error(Code::kVersionMismatch) : written.error();
  return VersionOf(name);
}

Result<seam::ObjectVersion> DirStorage::VersionOf(std::string_view name) {
  HF_TRY(Fd fd, OpenObject(root_.get(), name));
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return Code::kIo;
  std::lock_guard state(state_mutex_);
  if (writes_.size() >= kVersionedNamesMax && writes_.find(name) == writes_.end()) writes_.clear();
  auto [it, is_new] = writes_.try_emplace(std::string(name), clock_ + 1);
  if (is_new) ++clock_;
  char text[128];
  int n = std::snprintf(
      text, sizeof(text), "%llx.%llx.%llx.%lx.%llx", static_cast<unsigned long long>(st.st_ino),
      static_cast<unsigned long long>(st.st_size), static_cast<unsigned long long>(st.st_mtim.tv_sec),
      static_cast<unsigned long>(st.st_mtim.tv_nsec), static_cast<unsigned long long>(it->second));
  return seam::ObjectVersion(text, static_cast<size_t>(n));
}

void DirStorage::NoteWritten(std::string_view name) {
  std::lock_guard state(state_mutex_);
  auto it = writes_.find(name);
  if (it != writes_.end()) it->second = ++clock_;
}

Status DirStorage::Delete(std::string_view name) {
  HF_TRY_VOID(CheckWrite(name));
  std::unique_lock stripe(StripeOf(name).mutex);
  Result<Fd> parent = OpenDirectory(root_.get(), ParentOf(name));
  if (!parent) {
    bool absent = parent.code() == Code::kNotFound || parent.code() == Code::kInvalidArgument;
    return absent ? Ok() : Status(parent.error());
  }
  if (::unlinkat(parent->get(), std::string(LeafOf(name)).c_str(), 0) != 0) {
    if (errno == ENOENT) return Ok();
    Code code = CodeOfErrno(errno);
    return code == Code::kIo || code == Code::kFull ? Poison(errno) : Error(code);
  }
  NoteWritten(name);
  Forget(name);
  std::lock_guard state(state_mutex_);
  auto it = unsynced_files_.find(name);
  if (it != unsynced_files_.end()) unsynced_files_.erase(it);
  unsynced_directories_.emplace(ParentOf(name));
  return Ok();
}

}  // namespace holdfast::host
