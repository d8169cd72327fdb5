// The few things we ask of the file system, with errors as codes. Nothing here follows a symbolic link below
// the store's directory: whoever can write there must not be able to send our writes elsewhere.
#ifndef HOLDFAST_HOST_KV_POSIX_INTERNAL_H_
#define HOLDFAST_HOST_KV_POSIX_INTERNAL_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "base/untrusted.h"
#include "host/kv/dir.h"
#include "seam/storage.h"

namespace holdfast::host {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Fd& operator=(Fd&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~Fd() { (void)Close(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Close();  // 0, or an errno; for whole objects on a mount the close is the write

 private:
  int fd_ = -1;
};

// kNotFound kExists kFull kReadOnly kPermission; kInvalidArgument for what is no plain file or directory;
// kIo.
Code CodeOfErrno(int error);

// "a/b/c" -> "a/b" and "c"; "c" -> "" and "c".
std::string_view ParentOf(std::string_view name);
std::string_view LeafOf(std::string_view name);

// Opens a regular file below `root` for reading. kNotFound for anything else of that name (a directory, a
// link, a fifo): no object is there.
Result<Fd> OpenObject(int root, std::string_view name);
Result<Fd> OpenDirectory(int root, std::string_view path);  // "" = root itself

Result<uint64_t> FileSize(int fd);
// Bytes [offset, offset + length) of a file, fewer where it ends. kTooLarge beyond kGetBytesMax.
Result<UntrustedBytes> ReadRange(int fd, uint64_t offset, uint64_t length);
// The same into memory that is there. REQUIRES: length <= kGetBytesMax, which is taken if need be.
Status ReadRange(int fd, uint64_t offset, uint64_t length, UntrustedBytes& out);

// All of `bytes`; 0 or an errno.
int WriteAll(const FileCalls& calls, int fd, ByteView bytes);
int PwriteAll(const FileCalls& calls, int fd, ByteView bytes, uint64_t offset);
inline constexpr size_t kPastCacheMin = 256u << 10;  // less gains nothing
// The same, past the page cache where there are as many bytes as gain by it: filling it costs several times
// what the disk takes. Where the file system will not, as any other write. Needs the descriptor for itself.
int PwritePastCache(const FileCalls& calls, int fd, ByteView bytes, uint64_t offset);

// One page of the regular files (and strangers, with size 0) below `root`, as seam::Storage::List asks.
Result<seam::Listing> ListTree(int root, std::string_view prefix, std::string_view after, size_t limit);
// True iff the directory holds nothing (a new file system's lost+found does not count).
Result<bool> IsEmpty(int root);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_POSIX_INTERNAL_H_
