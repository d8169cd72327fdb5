#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "host/kv/posix_internal.h"

namespace holdfast::host {

int Fd::Close() {
  int fd = std::exchange(fd_, -1);
  // Never retried: on Linux the descriptor is gone whatever close answers.
  return fd >= 0 && ::close(fd) != 0 ? errno : 0;
}

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
      return Code::kNotFound;
    case EEXIST:
      return Code::kExists;
    case ENOSPC:
    case EDQUOT:
      return Code::kFull;
    case EROFS:
      return Code::kReadOnly;
    case EACCES:
    case EPERM:
      return Code::kPermission;
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
    case ENXIO:
      return Code::kInvalidArgument;
    default:
      return Code::kIo;
  }
}

std::string_view ParentOf(std::string_view name) {
  size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
}

std::string_view LeafOf(std::string_view name) {
  size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

namespace {

// Part by part, for kernels and sandboxes without openat2.
int OpenPartByPart(int root, std::string_view path, int flags) {
  Fd at;
  for (;;) {
    size_t slash = path.find('/');
    bool last = slash == std::string_view::npos;
    std::string part(path.substr(0, slash));
    int base = at ? at.get() : root;
    int fd = ::openat(base, part.c_str(), (last ? flags : O_RDONLY | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || last) return fd;
    at = Fd(fd);
    path.remove_prefix(slash + 1);
  }
}

int OpenBelow(int root, std::string_view path, int flags) {
  std::string text(path);
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  int fd = static_cast<int>(::syscall(SYS_openat2, root, text.c_str(), &how, sizeof(how)));
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
  return OpenPartByPart(root, path, flags);
}

}  // namespace

Result<Fd> OpenObject(int root, std::string_view name) {
  // O_NONBLOCK: a fifo somebody put there must not hold us.
  Fd fd(OpenBelow(root, name, O_RDONLY | O_NONBLOCK));
  if (!fd) {
    Code code = CodeOfErrno(errno);
    return code == Code::kInvalidArgument ? Code::kNotFound : code;
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return Code::kIo;
  if (!S_ISREG(st.st_mode)) return Code::kNotFound;
  return fd;
}

Result<Fd> OpenDirectory(int root, std::string_view path) {
  Fd fd(OpenBelow(root, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY));
  if (!fd) return CodeOfErrno(errno);
  return fd;
}

Result<uint64_t> FileSize(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return Code::kIo;
  return static_cast<uint64_t>(st.st_size);
}

Result<UntrustedBytes> ReadRange(int fd, uint64_t offset, uint64_t length) {
  HF_TRY(uint64_t size, FileSize(fd));
  length = std::min(length, size - std::min(size, offset));
  if (length > seam::kGetBytesMax) return Code::kTooLarge;
  UntrustedBytes bytes;
  HF_TRY_VOID(ReadRange(fd, offset, length, bytes));
  return bytes;
}

Status ReadRange(int fd, uint64_t offset, uint64_t length, UntrustedBytes& out) {
  Bytes& bytes = out.fill();
  if (offset > INT64_MAX - length) length = 0;  // no file goes so far
  bytes.resize(length);
  size_t got = 0;
  while (got < length) {
    ssize_t n = ::pread(fd, bytes.data() + got, length - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Code::kIo;
    if (n == 0) break;  // its end
    got += static_cast<size_t>(n);
  }
  bytes.resize(got);
  return Ok();
}

int WriteAll(const FileCalls& calls, int fd, ByteView bytes) {
  while (!bytes.empty()) {
    ssize_t n = calls.write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return 0;
}

int PwriteAll(const FileCalls& calls, int fd, ByteView bytes, uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t n = calls.pwrite(fd, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<size_t>(n);
  }
  return 0;
}

namespace {

constexpr size_t kPieceBytes = 1u << 20;  // copied to where the disk can take it from
constexpr size_t kAlignment = 4096;

struct FreeBytes {
  void operator()(uint8_t* p) const { std::free(p); }
};

// Whole blocks of the file; counts what was written. Fewer than all, and no error: the file system will not
// go on so.
int PwriteBlocks(const FileCalls& calls, int fd, ByteView blocks, uint64_t offset, size_t* written) {
  // Kept: two threads write much, and new memory would be touched for the first time at each call.
  static thread_local std::unique_ptr<uint8_t, FreeBytes> piece(
      static_cast<uint8_t*>(std::aligned_alloc(kAlignment, kPieceBytes)));
  while (piece != nullptr && *written < blocks.size()) {
    size_t n = std::min(kPieceBytes, blocks.size() - *written);
    std::memcpy(piece.get(), blocks.data() + *written, n);
    ssize_t done = calls.pwrite(fd, piece.get(), n, offset + *written);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0 && errno == EINVAL) return 0;
    if (done <= 0) return done < 0 ? errno : EIO;
    *written += static_cast<size_t>(done);
    if (static_cast<size_t>(done) % kAlignment != 0) return 0;
  }
  return 0;
}

}  // namespace

int PwritePastCache(const FileCalls& calls, int fd, ByteView bytes, uint64_t offset) {
  int flags = bytes.size() >= kPastCacheMin ? ::fcntl(fd, F_GETFL) : -1;
  if (flags < 0) return PwriteAll(calls, fd, bytes, offset);
  const size_t head = static_cast<size_t>((kAlignment - offset % kAlignment) % kAlignment);
  int error = PwriteAll(calls, fd, bytes.first(head), offset);
  if (error != 0) return error;
  const size_t whole = (bytes.size() - head) / kAlignment * kAlignment;
  size_t done = 0;
  if (::fcntl(fd, F_SETFL, flags | O_DIRECT) == 0) {
    error = PwriteBlocks(calls, fd, bytes.subspan(head, whole), offset + head, &done);
    if (::fcntl(fd, F_SETFL, flags) != 0 && error == 0) error = errno;
    if (error != 0) return error;
  }
  return PwriteAll(calls, fd, bytes.subspan(head + done), offset + head + done);
}

}  // namespace holdfast::host
