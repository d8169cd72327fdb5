#include "cli/durable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/bytes.h"
#include "cli/failure.h"
#include "sdk/config.h"

namespace holdfast::cli {
namespace {

[[noreturn]] void FailErrno(const std::string& path) {
  Fail(path, errno == ENOSPC || errno == EDQUOT  ? Code::kFull
             : errno == EACCES || errno == EPERM ? Code::kPermission
             : errno == ENOENT                   ? Code::kNotFound
                                                 : Code::kIo);
}

void SyncFolderOf(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) FailErrno(folder);
  int done = ::fsync(fd);
  (void)::close(fd);
  if (done != 0) FailErrno(folder);
}

}  // namespace

void WriteDurably(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  FILE* file = std::fopen(temporary.c_str(), "wbe");
  if (file == nullptr) FailErrno(temporary);
  bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0 &&
                 ::fsync(::fileno(file)) == 0;
  if (std::fclose(file) != 0 || !written || ::rename(temporary.c_str(), path.c_str()) != 0) FailErrno(path);
}

std::optional<std::string> ReadIfThere(const std::string& path) {
  Result<SecretBytes> bytes = sdk::ReadSmallFile(path);
  if (bytes) return ToText(bytes->view());
  if (bytes.code() == Code::kNotFound) return std::nullopt;
  Fail(path, bytes.code());
}

void RemoveIfThere(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) FailErrno(path);
}

PartFile::PartFile(const std::string& path, uint64_t keep) : path_(path), part_(path + ".part") {
  int fd = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) FailErrno(part_);
  file_ = ::fdopen(fd, "wb");
  if (file_ == nullptr) FailErrno(part_);
  struct stat s {};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) FailWith(Code::kInUse, part_ + ": another dump is writing it");
  if (::fstat(fd, &s) != 0) FailErrno(part_);
  if (static_cast<uint64_t>(s.st_size) < keep)
    FailWith(Code::kBadInput, part_ + ": shorter than its progress says; begin again without --resume");
  if (::ftruncate(fd, static_cast<off_t>(keep)) != 0 || ::fseeko(file_, 0, SEEK_END) != 0) FailErrno(part_);
  offset_ = keep;
}

PartFile::~PartFile() {
  if (file_ != nullptr) (void)std::fclose(file_);
}

void PartFile::Write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) FailErrno(part_);
  offset_ += bytes.size();
}

void PartFile::Sync() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) FailErrno(part_);
}

void PartFile::Complete() {
  Sync();
  if (::rename(part_.c_str(), path_.c_str()) != 0) FailErrno(path_);
  SyncFolderOf(path_);
}

void PartFile::Discard() { RemoveIfThere(part_); }

}  // namespace holdfast::cli
