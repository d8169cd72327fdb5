// Storage over the channel: each call is one StorageRequest, and waits for its one StorageReply.
#ifndef HOLDFAST_CORE_RUNTIME_CHANNEL_STORAGE_H_
#define HOLDFAST_CORE_RUNTIME_CHANNEL_STORAGE_H_

#include <unordered_map>

#include "seam/channel.h"
#include "sync/mutex.h"

namespace holdfast::runtime {

// The requests in flight of all volumes. A reply is taken only for an outstanding id of the same operation;
// others are dropped. An error that no storage has (seam/storage.h) is taken as kIo. Both are counted.
// Thread-safe.
class StorageChannel {
 public:
  explicit StorageChannel(seam::HostEndpoint& host) : host_(host) {}
  // Waits for the reply. kStopping after Abort().
  seam::StorageReply Call(seam::StorageRequest request);
  void OnReply(seam::StorageReply reply);
  // What the reply's body may have: what was asked for. Nothing: no such request is outstanding.
  std::optional<uint64_t> BodyMax(seam::RequestId id, seam::StorageOperation operation);
  void Abort();  // the host is gone: every wait ends
  uint64_t refused_replies() const;

 private:
  struct Waiter {
    uint8_t operation = 0;
    uint64_t body_max = 0;
    bool done = false;
    seam::StorageReply reply;
    sync::CondVar wake;
  };
  seam::HostEndpoint& host_;
  mutable sync::Mutex mutex_{sync::LockName::kChannel};
  uint64_t next_id_ HF_GUARDED_BY(mutex_) = 1, refused_ HF_GUARDED_BY(mutex_) = 0;
  bool aborted_ HF_GUARDED_BY(mutex_) = false;
  std::unordered_map<uint64_t, Waiter*> waiting_ HF_GUARDED_BY(mutex_);
};

class ChannelStorage : public seam::Storage {
 public:
  ChannelStorage(StorageChannel& channel, seam::Volume volume, uint8_t provider = 0)
      : channel_(channel), volume_(volume), provider_(provider) {}
  Status Connect();  // asks for the capabilities; before anything else

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
  Status Barrier() override;
  Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) override;
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override;
  Status Trim(std::string_view name, uint64_t size_bytes) override;

 private:
  Result<seam::StorageReply> Call(seam::StorageOperation op, std::string_view name, ByteView bytes = {},
                                  uint64_t offset = 0, uint64_t length = 0);
  Result<seam::StorageReply> Send(seam::StorageRequest request);
  Status Simple(seam::StorageOperation op, std::string_view name, ByteView bytes = {}, uint64_t offset = 0,
                uint64_t length = 0);
  StorageChannel& channel_;
  seam::Volume volume_;
  uint8_t provider_;
  seam::Capabilities capabilities_;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_CHANNEL_STORAGE_H_
