// The state behind ReplicatedStorage: the catalogue, what is on its way, and each provider's two queues.
#ifndef HOLDFAST_CORE_REPLICA_LANES_INTERNAL_H_
#define HOLDFAST_CORE_REPLICA_LANES_INTERNAL_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/replica/contents.h"
#include "core/replica/reader_internal.h"
#include "core/replica/replicated.h"
#include "sync/mutex.h"

namespace holdfast::replica {

using Clock = std::chrono::steady_clock;

enum LaneKind : size_t { kJournalLane, kObjectsLane, kLaneKinds };
inline LaneKind LaneOf(std::string_view name) { return IsJournal(name) ? kJournalLane : kObjectsLane; }

struct Job {
  enum class Kind : uint8_t { kPut, kPutIfAbsent, kDelete, kBarrier, kCreate, kAppend, kTrim } kind{};
  uint64_t sequence = 0;  // of its lane; of several taken together, the last
  size_t together = 1;    // so many jobs in one call
  std::string name;
  std::shared_ptr<const Bytes> bytes;
  uint64_t offset = 0, length = 0;
  Digest sha256{};
  size_t size() const { return bytes != nullptr ? bytes->size() : 0; }
};

struct Lane {
  //          Adopt            all jobs done
  //   kClosed ────> kBehind ──┐  ┌──> kCurrent ──┐
  //                    ^      v  │               │ a failure, a full queue, an accusation
  //                    │    kJoining: copying;   │
  //                    └──── new jobs queue <────┘
  enum class Mode : uint8_t { kClosed, kBehind, kJoining, kCurrent } mode = Mode::kClosed;
  std::deque<Job> queue;
  uint64_t queued_bytes = 0;
  uint64_t generation = 0;  // changes when the queue is dropped
  uint64_t acked = 0;       // every job up to here is done, or made up for
  uint64_t failures = 0;    // in a row
  uint32_t attempts = 0;    // of the first job
  Code why{};
  Clock::time_point not_before{};
  std::set<std::string, std::less<>> suspects;
  sync::CondVar wake;
};

struct Provider {
  seam::Storage* storage = nullptr;
  std::unique_ptr<Reader> reader;
  Lane lanes[kLaneKinds];
  uint64_t errors = 0, bad_objects = 0, repaired = 0;
  Clock::time_point last_success{};
};

struct ReplicatedStorage::State {
  State(std::vector<seam::Storage*> storages, seam::Quorum q, ReplicaOptions o);
  ~State();

  // -- a write, from its caller
  Status Write(Job job) HF_EXCLUDES(mutex);
  // kExists: another object has the name. 0: it is done already.
  Result<uint64_t> Enqueue(Job job) HF_REQUIRES(mutex);
  Status TakeBack(const Job& job) HF_REQUIRES(mutex);
  Result<std::optional<uint64_t>> MadeAgain(const Job& job) HF_REQUIRES(mutex);
  void EnterCatalogue(const Job& job) HF_REQUIRES(mutex);
  Status WaitFor(LaneKind kind, uint64_t sequence) HF_REQUIRES(mutex);
  std::optional<Status> Decided(LaneKind kind, uint64_t sequence) HF_REQUIRES(mutex);
  uint32_t RequiredOf(LaneKind kind) const HF_REQUIRES(mutex) {
    return kind == kJournalLane ? required_for_journal : quorum.write;
  }

  // -- one provider's lane, from its thread (or the caller's)
  void Work(size_t provider, LaneKind kind);
  void RunQueued(size_t provider, LaneKind kind) HF_REQUIRES(mutex);
  Job Next(const Lane& lane) HF_REQUIRES(mutex);
  void RunOne(size_t provider, LaneKind kind) HF_REQUIRES(mutex);
  Status Do(Provider& p, const Job& job, uint32_t attempts) HF_EXCLUDES(mutex);
  void Finished(size_t provider, LaneKind kind, const Job& job, const Status& done) HF_REQUIRES(mutex);
  void FallBehind(Lane& lane, Code why) HF_REQUIRES(mutex);
  void CatchUpLane(size_t provider, LaneKind kind) HF_REQUIRES(mutex);
  Status CopyWhatIsMissing(size_t provider, LaneKind kind, const seam::Catalogue& part,
                           const std::set<std::string, std::less<>>& suspects) HF_EXCLUDES(mutex);
  // From the others, or from what is still on its way.
  Result<Bytes> Fetch(size_t for_provider, std::string_view name, const seam::Pieces& pieces)
      HF_EXCLUDES(mutex);
  void FillFromFlights(std::string_view name, const seam::Pieces& pieces,
                       std::vector<std::optional<Bytes>>& found) HF_EXCLUDES(mutex);
  void Accuse(size_t i, const std::vector<std::string>& names, Code code) HF_EXCLUDES(mutex);
  std::vector<size_t> Order() HF_EXCLUDES(mutex);

  const ReplicaOptions options;
  const bool own_threads;
  std::vector<Provider> providers;  // the vector and its pointers stand; the lanes are guarded by mutex
  seam::Capabilities capabilities;

  mutable sync::Mutex mutex{sync::LockName::kWrite};
  sync::CondVar changed;
  seam::Quorum quorum HF_GUARDED_BY(mutex);
  uint32_t required_for_journal HF_GUARDED_BY(mutex);
  seam::Catalogue catalogue HF_GUARDED_BY(mutex);
  uint64_t last_sequence[kLaneKinds] HF_GUARDED_BY(mutex) = {0, 0};
  struct Flight {
    Job job;
    std::vector<Code> refused;  // by provider; no code: not refused
  };
  std::map<uint64_t, Flight> flights[kLaneKinds] HF_GUARDED_BY(mutex);  // not on enough providers yet
  bool queue_journal HF_GUARDED_BY(mutex) = false;
  bool adopted HF_GUARDED_BY(mutex) = false;
  bool giving_up HF_GUARDED_BY(mutex) = false;
  bool stopping HF_GUARDED_BY(mutex) = false;
  std::vector<std::thread> threads;
};

}  // namespace holdfast::replica

#endif  // HOLDFAST_CORE_REPLICA_LANES_INTERNAL_H_
