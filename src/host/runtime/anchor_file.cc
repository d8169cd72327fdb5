#include "host/runtime/anchor_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast::host {
namespace {

Code CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
      return Code::kPermission;
    case EROFS:
      return Code::kReadOnly;
    case ENOSPC:
    case EDQUOT:
      return Code::kFull;
    default:
      return Code::kIo;
  }
}

int WriteWhole(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return ::fsync(fd) == 0 ? 0 : errno;
}

}  // namespace

Status ReplaceFile(const std::string& path, ByteView bytes, unsigned mode) {
  const std::string temporary = path + ".new";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return CodeOf(errno);
  int error = WriteWhole(fd, bytes);
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary.c_str());
    return CodeOf(error);
  }
  size_t slash = path.rfind('/');
  std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  int directory = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return CodeOf(errno);
  error = ::fsync(directory) == 0 ? 0 : errno;
  ::close(directory);
  if (error != 0) return CodeOf(error);
  return Ok();
}

Result<UntrustedBytes> AnchorFile::Get(std::string_view name) {
  if (name != kAnchorName) return Code::kNotFound;
  sync::MutexLock lock(mutex_);
  int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CodeOf(errno);
  Bytes bytes(kAnchorBytesMax + 1);
  size_t have = 0;
  ssize_t n = 1;
  while (n != 0 && have < bytes.size()) {
    n = ::read(fd, bytes.data() + have, bytes.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      ::close(fd);
      return Code::kIo;
    }
    have += static_cast<size_t>(n);
  }
  ::close(fd);
  if (have > kAnchorBytesMax) return Code::kTooLarge;
  bytes.resize(have);
  return UntrustedBytes(std::move(bytes));
}

Status AnchorFile::Put(std::string_view name, ByteView bytes) {
  if (name != kAnchorName || bytes.size() > kAnchorBytesMax) return Code::kInvalidArgument;
  sync::MutexLock lock(mutex_);
  return ReplaceFile(path_, bytes, 0644);
}

}  // namespace holdfast::host
