// Storage over a service elsewhere: what s3:, dynamodb:, azure-table:, firestore: and webhdfs: have in
// common. The service keeps one object for a name; a call is a request and its answer, retried by the engine.
//
//   RemoteStorage (names, rights, conditions, poison)  ──>  RemoteEngine (one service, its errors as our
//   codes)
//
// Durability: the service has stored what it answered for, so a Barrier finds nothing left to do. What that
//             is worth is the service's promise, not ours.
// Order:      calls run side by side, as many as threads call; none waits for another, except writes to one
//             name (and names of its stripe) for each other.
// Conditions: the service's own where it has them. Where it has none, PutIfAbsent looks and then writes: two
//             threads of this process cannot both win, two processes can. Then capabilities() promise
//             neither conditional_put nor exclusive.
// Failure:    kFull: the service has no room; nothing was changed. Any other failed write poisons (rule I1),
//             after the engine's own retries: whether it had its effect is not known.
// Exclusive:  only by the operator's word (single-writer=true in the URL), which nobody checks. Without it
//             conditions keep a second writer out, where the service has them (core/store/election.h).
//
// No appendables: an object is written whole. Thread-safe.
#ifndef HOLDFAST_HOST_KV_REMOTE_H_
#define HOLDFAST_HOST_KV_REMOTE_H_

#include <array>
#include <atomic>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>

#include "host/kv/open_mode.h"
#include "host/kv/parts.h"
#include "seam/storage.h"

namespace holdfast::host {

struct WriteCondition {
  enum class Kind { kNone, kAbsent, kVersion } kind = Kind::kNone;
  seam::ObjectVersion version;  // of kVersion
};

struct RemoteTraits {
  bool create_if_absent = false;  // WriteCondition::kAbsent is decided by the service
  bool conditional_put = false;   // kVersion too, and Read gives versions that every write changes
  bool atomic = true;             // a reader sees the old object or the new one, never a part
  uint64_t value_bytes_max = UINT64_MAX;
};

// One place at one service. All calls from any thread; names were checked; writes to one name come one by
// one.
class RemoteEngine {
 public:
  virtual ~RemoteEngine() = default;
  virtual RemoteTraits traits() const = 0;
  // Bytes [offset, offset + length), fewer where the object ends. kNotFound; kTooLarge beyond kGetBytesMax.
  virtual Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length) = 0;
  // kExists, kVersionMismatch: by the condition, nothing changed. kFull: nothing changed. Only conditions of
  // its traits are asked for. Returns the new version, empty without conditional_put.
  virtual Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes,
                                            const WriteCondition& condition) = 0;
  virtual Status Erase(std::string_view name) = 0;  // absent: Ok
  virtual Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) = 0;
  // Rows that are not there and that nobody else writes; some may be there after a failure. Here: several
  // calls of Write at once.
  virtual Status WriteNew(std::span<const PartRow> rows);
};

class RemoteStorage : public seam::Storage {
 public:
  RemoteStorage(std::unique_ptr<RemoteEngine> engine, OpenMode mode, bool exclusive);

  Status PutNew(std::span<const PartRow> rows);  // WriteNew, poisoning

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
  Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length);
  // REQUIRES: the name's stripe.
  Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes, const WriteCondition& condition);
  std::shared_mutex& Stripe(std::string_view name) {
    return stripes_[std::hash<std::string_view>()(name) % stripes_.size()];
  }

  const std::unique_ptr<RemoteEngine> engine_;
  const RemoteTraits traits_;
  const bool read_only_;
  const bool exclusive_;
  std::atomic<bool> poisoned_ = false;
  std::array<std::shared_mutex, 256> stripes_;  // by name; of readers only where the service is not atomic
};

// Objects of any size over a service whose values have at most traits().value_bytes_max (parts.h).
Result<std::unique_ptr<seam::Storage>> OpenRemote(std::unique_ptr<RemoteEngine> engine, OpenMode mode,
                                                  bool exclusive);

// Bytes [offset, offset + length) of a whole value.
Result<seam::VersionedBytes> Cut(Bytes whole, uint64_t offset, uint64_t length, seam::ObjectVersion version);

// What a condition that did not hold means, after a look (`there`) at the object: its version ends in the
// number of `write`: it was this very write, whose answer got lost, and the version is returned. Else
// `refusal`.
Result<seam::ObjectVersion> UnlessOurs(const Result<seam::VersionedBytes>& there, std::string_view write,
                                       Code refusal);

// kCreate: kNotEmpty where a listing shows anything. Else: kNoStore where it shows nothing.
Status CheckPlace(RemoteEngine& engine, OpenMode mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_REMOTE_H_
