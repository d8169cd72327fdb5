// `memory:` — a provider that forgets with the process. For tests, for tools that need a scratch store, and
// as the plain reading of the contract in seam/storage.h: everything is durable as soon as it is done,
// nothing ever fails.
//
// The capabilities can be narrowed, to stand in for a provider with small values, no append or no conditional
// put; what is narrowed is refused (kUnsupported, kTooLarge for a value above value_bytes_max). Thread-safe.
// Memory: the objects plus about 150 bytes each; a reserve is really allocated.
#ifndef HOLDFAST_HOST_KV_MEMORY_H_
#define HOLDFAST_HOST_KV_MEMORY_H_

#include <map>
#include <optional>
#include <shared_mutex>
#include <string>

#include "base/bytes.h"
#include "seam/storage.h"

namespace holdfast::host {

class MemoryStorage : public seam::Storage {
 public:
  MemoryStorage() : MemoryStorage(AllCapabilities()) {}
  explicit MemoryStorage(seam::Capabilities capabilities) : capabilities_(capabilities) {}
  static seam::Capabilities AllCapabilities() {
    return {.append = true, .conditional_put = true, .exclusive = true};
  }

  seam::Capabilities capabilities() const override { return capabilities_; }
  Result<UntrustedBytes> Get(std::string_view name) override;
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::VersionedBytes> GetVersioned(std::string_view name) override;
  Status Put(std::string_view name, ByteView bytes) override;
  Status PutIfAbsent(std::string_view name, ByteView bytes) override;
  Result<seam::ObjectVersion> PutIfVersion(std::string_view name, ByteView bytes,
                                           const seam::ObjectVersion& expected) override;
  Status Delete(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Status Barrier() override { return Ok(); }
  Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) override;
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override;
  Status Trim(std::string_view name, uint64_t size_bytes) override;

 private:
  struct Object {
    Bytes bytes;
    std::optional<uint64_t> end;  // append_end.h
    uint64_t version = 0;
  };
  Status CheckWrite(std::string_view name, size_t bytes, bool capable = true) const;
  seam::ObjectVersion Replace(std::string_view name, ByteView bytes);  // REQUIRES: mutex_ held exclusively

  const seam::Capabilities capabilities_;
  std::shared_mutex mutex_;
  std::map<std::string, Object, std::less<>> objects_;
  uint64_t last_version_ = 0;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_MEMORY_H_
