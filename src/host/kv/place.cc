#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "host/kv/place_internal.h"
#include "host/kv/posix_internal.h"

namespace holdfast::host {
namespace {

Status SyncDirectoryAt(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return CodeOfErrno(errno);
  return ::fsync(fd.get()) == 0 ? Ok() : Status(Code::kIo);
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Code CodeOfPlace(int error) {
  return error == ENOENT || error == ENOTDIR ? Code::kNoStore : CodeOfErrno(error);
}

}  // namespace

std::string ParentDirectory(const std::string& path) {
  std::string trimmed = WithoutTrailingSlashes(path);
  std::string parent(ParentOf(trimmed));
  if (parent.empty()) return trimmed.starts_with('/') ? "/" : ".";
  return parent;
}

Status MakePrivateDirectories(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) return S_ISDIR(st.st_mode) ? Ok() : Status(Code::kNoStore);
  std::string trimmed = WithoutTrailingSlashes(path), parent = ParentDirectory(path);
  if (parent != trimmed) HF_TRY_VOID(MakePrivateDirectories(parent));
  if (::mkdir(trimmed.c_str(), 0700) != 0 && errno != EEXIST) return CodeOfPlace(errno);
  return SyncDirectoryAt(parent);
}

Status MakePrivateFile(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return CodeOfPlace(errno);
  return SyncDirectoryAt(ParentDirectory(path));
}

Status CheckWritableDirectory(const std::string& path) {
  return ::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? Ok()
                                                                           : Status(CodeOfPlace(errno));
}

bool HasSpace(const std::string& path, uint64_t bytes) {
  struct statvfs fs {};
  if (::statvfs(path.c_str(), &fs) != 0 || fs.f_frsize == 0) return true;
  return fs.f_bavail >= bytes / fs.f_frsize + 1;
}

}  // namespace holdfast::host
