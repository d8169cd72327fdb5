// `dir:` — regular files below one directory: an object is a file, '/' in its name a subdirectory.
//
// Append mode (the default; a local file system): journal files are preallocated and written in place, with
// zeros really written a mebibyte ahead of small appends, whose fdatasync then has no metadata to write.
// Large appends go past the page cache where they can. Objects are written in place
// too: rules D2 and E leave no room for temporary names, and expect what a crash leaves of a half-written
// file. Whole-objects mode (mounts of object stores): every object is opened, written, synced and closed in
// one go. Nothing is ever sought in, appended to, cut or renamed; CreateAppendable, Append and Trim are
// kUnsupported.
//
// Lock (rule C1): flock on the directory itself, exclusive for a writer, shared for a reader; there is no
// lock file. Where a mount has no flock, a writer goes without: then capabilities().exclusive and
// .conditional_put are false.
//
// Failure (rule I1): no space while an object is written or a journal file preallocated gives kFull, and the
// object is removed if it was new. A refusal (kExists, kVersionMismatch, kNotFound, kReadOnly, kPermission,
// kInvalidArgument: something else than a file is in the way) changes nothing. Everything else that fails in
// a write or a sync poisons: writes answer kPoisoned from then on, fsync is not called again, reads go on.
//
// A version (PutIfVersion) is inode, size and modification time, which show a change made past us as far as
// the file system does, and a number that counts our own writes, which may be faster than the file system's
// clock.
//
// Directories are made as needed and never removed. Modes, less the umask: the directory 0755, below it 0750
// and 0700 for those that hold one blob or one topic's keys, files 0644. No symbolic link below the directory
// is followed. Cost of List: the directories on the way are read again for each page. Thread-safe. A reader
// never sees part of a Put of its own process.
#ifndef HOLDFAST_HOST_KV_DIR_H_
#define HOLDFAST_HOST_KV_DIR_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "host/kv/open_mode.h"
#include "seam/storage.h"

namespace holdfast::host {

// The calls that can fail for reasons of the machine, replaceable to make them fail in tests. As in POSIX.
struct FileCalls {
  std::function<ssize_t(int fd, const void* bytes, size_t n)> write;
  std::function<ssize_t(int fd, const void* bytes, size_t n, uint64_t offset)> pwrite;
  std::function<int(int fd)> fsync;
  std::function<int(int fd)> fdatasync;
  std::function<int(int fd, uint64_t offset, uint64_t length)> allocate;  // fallocate(2), mode 0
  FileCalls();                                                            // the system's
};

struct DirOptions {
  bool whole_objects = false;
  FileCalls calls;
};

// kNoStore: no such directory. kInUse: somebody holds the lock (LockHolder names the process). kNotEmpty:
// kCreate only. kReadOnly, kPermission: the directory cannot be written and mode is not kReadOnly.
Result<std::unique_ptr<seam::Storage>> OpenDir(const std::string& path, OpenMode mode,
                                               DirOptions options = {});

// The process that holds the lock of the store in directory `path`, from /proc/locks; nothing if nobody does
// or the kernel does not say (another pid namespace).
std::optional<int> LockHolder(const std::string& path);
// The same from the text of /proc/locks, for the file with this device and inode. A writer before a reader.
std::optional<int> FindLockHolder(std::string_view proc_locks, uint32_t device_major, uint32_t device_minor,
                                  uint64_t inode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_DIR_H_
