// n untrusted providers as one storage: a write counts when `write` of them have it, a read is answered by
// whoever has the right bytes. Source: design 3 (modes), rules A3, C2, D2, I1; encrypted-persistence 3.6.
//
//   caller ──Put──> catalogue, then a queue for each provider ──> provider 0  stable ─┐
//      ^                                                    ├──> provider 1  stable ─┴─ quorum: the call
//      returns └────────────────────────────────────────────────────┴──> provider 2  hangs: its queue grows,
//      then it is
//                                                                 `behind`, and catches up when it answers
//
// Two queues for each provider, journal (names below members/) and objects, so that no frame waits behind a
// segment; each keeps its order. A provider that answers kFull or kUnreachable keeps its queue and is asked
// again; any other failure, or a queue beyond limits::kProviderQueueBytesMax, makes it *behind*: its queue is
// dropped, and what it lacks is copied from the others by the catalogue (contents.h), with growing pauses
// between attempts. A write that too few have waits for them; it is refused only with kFull or kExists, or
// after GiveUpWaiting.
//
// Durability: CreateAppendable, Append and Trim as seam/storage.h says, on `write` providers. Put,
// PutIfAbsent
//   and Delete return when `write` providers have taken them in; Barrier when they are durable on `write`.
// Append is offered when all providers offer it. A failed write that is made again, with the same bytes at
// the
//   same place, is the same write: those that have it already are not asked twice.
// exclusive: so many providers are locked that no other opener gets `Quorum::open()` of them.
// Cost: one SHA-256 and one copy of what is written, a change of thread for each call.
// Thread-safe. Memory: the queues; about 100 bytes an object for the catalogue.
// Does not: open anything sealed; find out that a provider tells an old state as the newest (core/store
// does).
#ifndef HOLDFAST_CORE_REPLICA_REPLICATED_H_
#define HOLDFAST_CORE_REPLICA_REPLICATED_H_

#include <functional>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "seam/copies.h"

namespace holdfast::replica {

enum class Threads : uint8_t {
  kOwn,   // each provider has its own: nobody waits for a slow one
  kNone,  // all is done on the caller's thread, in the providers' order: tools and the simulator
};

struct ReplicaOptions {
  Threads threads = Threads::kOwn;
  size_t queue_bytes_max = limits::kProviderQueueBytesMax;
  uint64_t read_patience_ms = limits::kProviderReadPatienceMs;
  // A provider was found without an object, or with wrong bytes under its name. Any thread; must not call
  // back.
  std::function<void(size_t provider, Code code)> accused = {};
};

class ReplicatedStorage : public seam::Storage, public seam::Copies {
 public:
  // All outlive this; null: the provider is absent. Until Adopt nothing can be written.
  ReplicatedStorage(std::vector<seam::Storage*> providers, seam::Quorum quorum, ReplicaOptions options = {});
  ~ReplicatedStorage() override;  // waits for the call that each provider is in

  seam::Capabilities capabilities() const override;
  seam::Copies* copies() override { return this; }
  Result<UntrustedBytes> Get(std::string_view name) override;
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status Put(std::string_view name, ByteView bytes) override;
  Status PutIfAbsent(std::string_view name, ByteView bytes) override;
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kUnsupported;
  }
  Status Delete(std::string_view name) override;
  // What any provider that answers has.
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Status Barrier() override;
  Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) override;
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override;
  Status Trim(std::string_view name, uint64_t size_bytes) override;

  size_t count() const override;
  seam::Storage& copy(size_t i) override;
  std::vector<size_t> Order() override;
  seam::Quorum quorum() const override;
  void SetQuorum(seam::Quorum quorum) override;
  void RequireForJournal(uint32_t required) override;
  void QueueJournal() override;
  uint64_t JournalSequence() override;
  Status WaitJournal(uint64_t sequence) override;
  void Adopt(seam::Catalogue catalogue, const std::vector<bool>& journal_current) override;
  void CatchUp(uint64_t patience_ms = limits::kProviderOpeningMs) override;
  void Accuse(size_t i, std::string_view name, Code code) override;
  uint64_t Scrub(const ScrubStep& step) override;
  std::vector<seam::CopyState> States() override;
  void GiveUpWaiting() override;

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::replica

#endif  // HOLDFAST_CORE_REPLICA_REPLICATED_H_
