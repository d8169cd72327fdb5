// Directories of rocksdb: and leveldb:.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "host/kv/lsm_internal.h"
#include "host/kv/posix_internal.h"

namespace holdfast::host {

Result<bool> PrepareLsmDirectory(const std::string& path, OpenMode mode) {
  if (path.empty()) return Code::kInvalidArgument;
  if (mode == OpenMode::kCreate) HF_TRY_VOID(MakePrivateDirectories(path));
  Fd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errno == ENOENT || errno == ENOTDIR ? Code::kNoStore : CodeOfErrno(errno);
  if (mode != OpenMode::kReadOnly) HF_TRY_VOID(CheckWritableDirectory(path));
  struct stat st {};
  bool there = ::fstatat(root.get(), "CURRENT", &st, 0) == 0;
  if (mode == OpenMode::kCreate && !there) {
    HF_TRY(bool empty, IsEmpty(root.get()));
    if (!empty) return Code::kNotEmpty;
  }
  if (mode != OpenMode::kCreate && !there) return Code::kNoStore;
  return there;
}

Code CodeOfOpening(Code code, std::string_view said) {
  if (code != Code::kIo) return code;
  auto says = [&](std::string_view words) { return said.find(words) != std::string_view::npos; };
  if (says("Read-only file system")) return Code::kReadOnly;
  if (says("Permission denied")) return Code::kPermission;
  if (says("No space left")) return Code::kFull;
  if (says("LOCK") &&
      (says("temporarily unavailable") || says("held by process") || says("hold by current"))) {
    return Code::kInUse;
  }
  return says("LOCK") ? Code::kInUse : code;
}

}  // namespace holdfast::host
