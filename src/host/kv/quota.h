// A provider with so many bytes and no more: wraps any other, for tests of what happens when it is full.
//
// What would take more than is left answers kFull and changes nothing. A reserve counts in full from the
// moment it is made, as on a disk that allocates it; a delete gives back at once. Used by nobody else
// meanwhile, and empty at first. Thread-safe.
#ifndef HOLDFAST_HOST_KV_QUOTA_H_
#define HOLDFAST_HOST_KV_QUOTA_H_

#include <algorithm>
#include <map>
#include <mutex>
#include <string>

#include "seam/storage.h"

namespace holdfast::host {

class QuotaStorage : public seam::Storage {
 public:
  QuotaStorage(seam::Storage& inner, uint64_t bytes) : inner_(inner), bytes_(bytes) {}
  uint64_t used() {
    std::lock_guard lock(mutex_);
    return used_;
  }
  void set_bytes(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    bytes_ = bytes;
  }

  seam::Capabilities capabilities() const override { return inner_.capabilities(); }
  Result<UntrustedBytes> Get(std::string_view name) override { return inner_.Get(name); }
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
    return inner_.GetRange(name, offset, length);
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status Put(std::string_view name, ByteView bytes) override {
    return Sized(name, bytes.size(), [&] { return inner_.Put(name, bytes); });
  }
  Status PutIfAbsent(std::string_view name, ByteView bytes) override {
    return Sized(name, bytes.size(), [&] { return inner_.PutIfAbsent(name, bytes); });
  }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kUnsupported;
  }
  Status Delete(std::string_view name) override {
    return Sized(name, 0, [&] { return inner_.Delete(name); });
  }
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override {
    return inner_.List(prefix, after, limit);
  }
  Status Barrier() override { return inner_.Barrier(); }
  Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) override {
    return Sized(name, std::max<uint64_t>(reserve_bytes, first.size()),
                 [&] { return inner_.CreateAppendable(name, reserve_bytes, first); });
  }
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override {
    return Sized(name, std::max(SizeOf(name), offset + bytes.size()),
                 [&] { return inner_.Append(name, offset, bytes); });
  }
  Status Trim(std::string_view name, uint64_t size_bytes) override {
    return Sized(name, size_bytes, [&] { return inner_.Trim(name, size_bytes); });
  }

 private:
  uint64_t SizeOf(std::string_view name) {
    std::lock_guard lock(mutex_);
    auto it = sizes_.find(name);
    return it == sizes_.end() ? 0 : it->second;
  }
  // The object has `size` bytes if `change` succeeds.
  template <typename Change>
  Status Sized(std::string_view name, uint64_t size, const Change& change) {
    std::lock_guard lock(mutex_);
    auto it = sizes_.find(name);
    uint64_t before = it == sizes_.end() ? 0 : it->second;
    if (size > before && used_ + (size - before) > bytes_) return Code::kFull;
    Status done = change();
    if (!done) return done;
    used_ = used_ - before + size;
    if (it == sizes_.end()) it = sizes_.emplace(name, 0).first;
    it->second = size;
    return done;
  }

  seam::Storage& inner_;
  std::mutex mutex_;
  uint64_t bytes_, used_ = 0;
  std::map<std::string, uint64_t, std::less<>> sizes_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_QUOTA_H_
