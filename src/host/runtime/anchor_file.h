// The anchor: one small file outside the store, seen by the core as storage with the single object "anchor".
// Written whole to a temporary name beside it, synced, renamed, and the directory synced: unlike the data
// directory, where the anchor lies renames are allowed. Put is durable when it returns; Barrier has nothing
// left to do. Thread-safe.
#ifndef HOLDFAST_HOST_RUNTIME_ANCHOR_FILE_H_
#define HOLDFAST_HOST_RUNTIME_ANCHOR_FILE_H_

#include <string>

#include "seam/storage.h"
#include "sync/mutex.h"

namespace holdfast::host {

inline constexpr std::string_view kAnchorName = "anchor";
inline constexpr uint64_t kAnchorBytesMax = 4096;  // it has 112; anything longer is no anchor

class AnchorFile : public seam::Storage {
 public:
  explicit AnchorFile(std::string path) : path_(std::move(path)) {}
  seam::Capabilities capabilities() const override { return {}; }
  Result<UntrustedBytes> Get(std::string_view name) override;  // kNotFound, kTooLarge, kPermission, kIo
  Status Put(std::string_view name, ByteView bytes) override;  // kPermission, kReadOnly, kFull, kIo
  Status Barrier() override { return Ok(); }

  // An anchor has no parts, versions or listing: kUnsupported.
  Result<UntrustedBytes> GetRange(std::string_view, uint64_t, uint64_t) override {
    return Code::kUnsupported;
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status PutIfAbsent(std::string_view, ByteView) override { return Code::kUnsupported; }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kUnsupported;
  }
  Status Delete(std::string_view) override { return Code::kUnsupported; }
  Result<seam::Listing> List(std::string_view, std::string_view, size_t) override {
    return Code::kUnsupported;
  }
  Status CreateAppendable(std::string_view, uint64_t, ByteView) override { return Code::kUnsupported; }
  Status Append(std::string_view, uint64_t, ByteView) override { return Code::kUnsupported; }
  Status Trim(std::string_view, uint64_t) override { return Code::kUnsupported; }

 private:
  const std::string path_;
  sync::Mutex mutex_{sync::LockName::kOther};  // one call on the file at a time
};

// Writes a file so that a reader sees the old bytes or the new ones: temporary name in the same directory,
// fsync, rename, fsync of the directory. kPermission, kReadOnly, kFull, kIo; the old file stays.
Status ReplaceFile(const std::string& path, ByteView bytes, unsigned mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_RUNTIME_ANCHOR_FILE_H_
