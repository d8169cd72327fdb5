// A provider that fails on request: wraps any other and lets each operation through, fails it, tears it, or
// crashes.
//
//   FaultPlan plan;
//   plan.writes[7] = {.what = FaultPlan::What::kFail, .code = Code::kIo};   // rule I1: poisoned from here on
//   FaultStorage faulty(inner, plan);
//
// kFail   nothing reaches the provider; the operation answers `code`. A code that is a refusal (kFull,
//         kExists, …) leaves the wrapper usable; any other poisons it: later writes answer kPoisoned, reads
//         go on.
// kTear   part reaches it (crash_model.h: a prefix of an object, some sectors of an append; deletes and
//         barriers happen or not), then as kFail. With kFull: a full disk that leaves half an object behind.
// kCrash  nothing, part or all reaches it; everything later answers kCrashed. Then open the inner provider
//         anew.
// delay   `before` is called ahead of every write, without any lock of the wrapper; it may block or count.
//         Nothing in here sleeps.
//
// drop_unsynced: Put, PutIfAbsent, PutIfVersion and Delete stay in the wrapper's memory until Barrier, so
//         that a crash can lose or tear each of them by the plan's seed even over real files. Whoever closes
//         the wrapper without a barrier or crash loses them all, as the contract allows. Memory: every state
//         put since the last barrier.
// Thread-safe; the operations' numbers are in the order in which they were called.
#ifndef HOLDFAST_HOST_KV_FAULT_H_
#define HOLDFAST_HOST_KV_FAULT_H_

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "host/kv/crash_model.h"
#include "seam/storage.h"

namespace holdfast::host {

struct FaultPlan {
  enum class What { kFail, kTear, kCrash };
  struct Fault {
    What what = What::kFail;
    Code code = Code::kIo;  // of kFail and kTear
  };
  std::map<uint64_t, Fault> writes;  // by the number of the write, from 1
  std::map<uint64_t, Code> reads;    // by the number of the read (get, list), from 1; never poisons
  bool drop_unsynced = false;
  uint64_t seed = 2;  // crash_model.h
  std::function<void(const WriteOperation&)> before;
};

class FaultStorage : public seam::Storage {
 public:
  // `inner` outlives the wrapper and is used by nobody else meanwhile.
  FaultStorage(seam::Storage& inner, FaultPlan plan)
      : inner_(inner), plan_(std::move(plan)), choices_(plan_.seed), capabilities_(inner.capabilities()) {}

  void CrashNow();  // the power goes between two operations
  uint64_t writes() const;
  uint64_t reads() const;
  bool crashed() const;

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
  struct Versions {
    seam::ObjectVersion ours;   // what we told the caller
    seam::ObjectVersion inner;  // what it became when it was passed on; empty before that
  };
  using Apply = std::function<Status()>;
  using Tear = std::function<void()>;

  // Counts the write, calls `before`, and does what the plan says: `whole`, `torn`, or neither.
  Status Write(WriteOperation operation, const Apply& whole, const Tear& torn);
  Status Inject(const FaultPlan::Fault& fault, const Apply& whole, const Tear& torn);
  Status CountRead();
  Status CheckPut(std::string_view name, ByteView bytes) const;

  // All REQUIRE mutex_.
  void LosePower();
  Status PassOn(std::string_view name, const ObjectState& state);  // one pending state to the inner provider
  Status PassOnPending(std::string_view name);
  Result<bool> Exists(std::string_view name);
  Result<seam::ObjectVersion> VersionOf(std::string_view name);  // empty: absent
  seam::ObjectVersion Keep(std::string_view name, ObjectState state);
  Result<seam::Listing> ListMerged(std::string_view prefix, std::string_view after, size_t limit);

  seam::Storage& inner_;
  const FaultPlan plan_;
  mutable std::recursive_mutex mutex_;  // the rest; held across calls to inner_ only with drop_unsynced
  CrashChoices choices_;
  const seam::Capabilities capabilities_;
  uint64_t writes_ = 0, reads_ = 0, last_version_ = 0;
  bool poisoned_ = false, crashed_ = false;
  Unsynced unsynced_;
  std::map<std::string, Versions, std::less<>> versions_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_FAULT_H_
