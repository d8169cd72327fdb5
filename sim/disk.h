// A disk for the simulator: what is durable, what is only written, and what a crash makes of the difference.
//
//   durable image   what a barrier, an append, a trim or a create has made stable
//   unsynced        puts and deletes since the last barrier; visible to reads, up for loss at a crash
//
// One disk is one run of the process. A crash ends it; AfterCrash gives the disk as the next process finds
// it, by a seed (host/kv/crash_model.h: seed 0 loses all that was not durable, seed 1 keeps all of it, others
// mix and tear).
//
//   SimDisk disk;                                        every effect of one run, without running it again:
//   disk.CrashAt(57);                                    disk.OnEveryWrite([&](const WriteOperation&) {
//   ... run until kCrashed ...                             Check(disk.AfterCrash(seed)); });
//   auto next = disk.AfterCrash(seed);
//
// Everything is a function of the calls and the seed. Thread-safe; several openers may share one disk
// (fencing). Not here: time, delay and failing operations (host::FaultStorage over a SimDisk), damage to
// durable bytes (do that through objects()). Cost: AfterCrash and Clone copy the image, so keep reserves
// small.
#ifndef HOLDFAST_SIM_DISK_H_
#define HOLDFAST_SIM_DISK_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "host/kv/crash_model.h"
#include "seam/storage.h"

namespace holdfast::sim {

using host::WriteKind;
using host::WriteOperation;

class SimDisk : public seam::Storage {
 public:
  static seam::Capabilities AllCapabilities() {
    return {.append = true, .conditional_put = true, .exclusive = true};
  }
  SimDisk() : SimDisk(AllCapabilities()) {}
  // Capabilities can be narrowed; what is not there is refused. `exclusive` is only reported: nothing locks a
  // SimDisk.
  explicit SimDisk(seam::Capabilities capabilities) : capabilities_(capabilities) {}

  // The write with this number (from 1) is caught in mid-flight: it and everything later answers kCrashed.
  void CrashAt(uint64_t operation);
  void CrashNow();              // between two writes
  uint64_t operations() const;  // writes asked for so far
  bool crashed() const;
  // Called ahead of every write. In there AfterCrash shows a crash that catches this write. Do not write from
  // it.
  void OnEveryWrite(std::function<void(const WriteOperation&)> watch);

  // The disk that the next process finds if the power goes now (or went at CrashAt). This one is unchanged.
  // Operations count from 0 again; free space carries over, CrashAt and OnEveryWrite do not.
  std::unique_ptr<SimDisk> AfterCrash(uint64_t seed) const;
  // An exact copy, unsynced state included: two machines that go on from one moment.
  std::unique_ptr<SimDisk> Clone() const;

  // The durable image, to look at or to tamper with, while nobody else uses the disk.
  std::map<std::string, Bytes>& objects() { return durable_; }

  // From now on the objects together may grow by this many bytes; then kFull, and a put leaves what fitted.
  // nullopt: as much as you like. A delete or cut frees at once.
  void SetFreeBytes(std::optional<uint64_t> free_bytes);

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
  struct InFlight {
    WriteOperation operation;
    Bytes bytes;
  };

  // All REQUIRE mutex_.
  Status CheckWrite(std::string_view name, size_t bytes, bool capable = true) const;
  Status Begin(WriteKind kind, std::string_view name, uint64_t position, ByteView bytes);
  Status PutView(std::string_view name, ByteView bytes);
  const Bytes* View(std::string_view name) const;  // nullptr: absent
  std::map<std::string, uint64_t> ViewSizes(std::string_view prefix) const;
  uint64_t UsedBytes() const;
  uint64_t FreeBytes() const;
  void Settle(std::string_view name);  // makes what is pending for one name durable
  uint64_t VersionOf(std::string_view name);
  void Land(const InFlight& write, host::CrashChoices& choices);  // the caught write's effect on this image
  std::unique_ptr<SimDisk> Copy() const;

  const seam::Capabilities capabilities_;
  mutable std::recursive_mutex mutex_;  // recursive: a watcher calls AfterCrash
  std::map<std::string, Bytes> durable_;
  host::Unsynced unsynced_;
  std::map<std::string, uint64_t, std::less<>> ends_;      // append_end.h; known to this run only
  std::map<std::string, uint64_t, std::less<>> versions_;  // likewise
  uint64_t last_version_ = 0;
  uint64_t operations_ = 0;
  uint64_t crash_at_ = 0;
  bool crashed_ = false;
  std::optional<InFlight> in_flight_;
  std::optional<uint64_t> capacity_bytes_;
  std::function<void(const WriteOperation&)> watch_;
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_SIM_DISK_H_
