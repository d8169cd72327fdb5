// Storage over an embedded database: what SQLite, RocksDB and LevelDB have in common. The database keeps one
// row for an object: name, version, bytes.
//
//   RowStorage (names, rights, conditions, poison)  ──>  RowEngine (one database, its errors as our codes)
//
// Durability: every write is on stable storage when it returns, each by itself and in the order of the calls;
//             so a Barrier finds nothing left to do. We do not group unsynced writes: LevelDB closes a full
//             log without syncing it, and a torn log of several records cannot be told from a damaged one.
// Failure:    kFull: nothing was changed. Any other failed write poisons (rule I1).
// Versions:   16 bytes that no other write to any name of this database gets, also after reopening: a random
//             number of the opener and a count.
//
// No appendables: a row is written whole, and a frame is a row. Thread-safe; writes to different names run
// side by side where the engine can.
#ifndef HOLDFAST_HOST_KV_ROWS_H_
#define HOLDFAST_HOST_KV_ROWS_H_

#include <array>
#include <atomic>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/kv/open_mode.h"
#include "seam/storage.h"

namespace holdfast::host {

struct RowWrite {
  std::string_view name;
  ByteView bytes;
  seam::ObjectVersion version;
};

// One database, open for as long as this lives. All calls from any thread. Names were checked.
class RowEngine {
 public:
  virtual ~RowEngine() = default;
  // kNotFound; kMalformed, kChecksum: damaged.
  virtual Result<seam::ObjectVersion> Version(std::string_view name) = 0;
  // Bytes [offset, offset + length), fewer where the row ends. kNotFound; kTooLarge beyond kGetBytesMax.
  virtual Result<Bytes> Read(std::string_view name, uint64_t offset, uint64_t length) = 0;
  // All of them or none, and durable. kFull: nothing was changed.
  virtual Status Write(std::span<const RowWrite> rows) = 0;
  virtual Status Erase(std::string_view name) = 0;  // absent: Ok
  virtual Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) = 0;
};

class RowStorage : public seam::Storage {
 public:
  // `row_bytes_max`: longer values are refused with kTooLarge; parts.h is for those.
  RowStorage(std::unique_ptr<RowEngine> engine, OpenMode mode, uint64_t row_bytes_max);

  // Put for several rows in one step with one sync; versions are filled in. For names that nobody else
  // writes meanwhile.
  Status PutAll(std::vector<RowWrite> rows);

  seam::Capabilities capabilities() const override;
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
  Status CheckWrite(std::string_view name, uint64_t bytes) const;
  Status Poisoning(Status done);
  Status PutOne(std::string_view name, ByteView bytes, seam::ObjectVersion version);  // REQUIRES: the stripe
  seam::ObjectVersion NextVersion();
  std::shared_mutex& Stripe(std::string_view name) {
    return stripes_[std::hash<std::string_view>()(name) % stripes_.size()];
  }

  const std::unique_ptr<RowEngine> engine_;
  const bool read_only_;
  const uint64_t row_bytes_max_;
  const uint64_t opener_;  // random
  std::atomic<uint64_t> count_ = 0;
  std::atomic<bool> poisoned_ = false;
  std::array<std::shared_mutex, 64> stripes_;  // by name: a condition and its write are one step
};

// Objects of any size in rows of at most `row_bytes` (parts.h).
Result<std::unique_ptr<seam::Storage>> OpenRows(std::unique_ptr<RowEngine> engine, OpenMode mode,
                                                uint64_t row_bytes);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_ROWS_H_
