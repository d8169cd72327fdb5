// The running store: kernel, journal, applier and saver behind what sessions ask for.
//
//   session ──Submit──> ordering ──WriteFrame──> journal: seal, append ──FrameStable──> ordering
//                       (Kernel::Step) ──Apply──> applier: Prepare, Commit ──Applied──> ordering
//                          │                         │
//   session <──Reply───────┘                         └─save point─> saver: fold, slot, anchor, deletes
//
// Each of them is one at a time, but not a thread: waking one costs a fifth of what a small commit takes.
// Whoever brings an event orders when nobody does. The journal and the applier have a thread each, and yet a
// caller that waits (Waiting) writes a frame and applies it itself when they are idle; so does the journal's
// thread with a small frame that it wrote. What is due by time, and answers that a client's thread must not
// give since it may hold locks of its own, are left to one more thread.
//
// Locks: state_lock_ (shared: readers of overlays; exclusive: Commit, SaveDone; memory only), queue locks,
// save_mutex_ (one save or one verify at a time), write_mutex_ (around the writing of a frame). Only the last
// two are held while storage is waited for.
// Memory: what base/memory_plan.h says for a cache as configured (segments' memory is kept for the next
// save); on top pending commands kPendingBytesMax, changes kept for snapshots alone kPinnedOverlayBytesMax.
#ifndef HOLDFAST_CORE_RUNTIME_ENGINE_H_
#define HOLDFAST_CORE_RUNTIME_ENGINE_H_

#include <atomic>
#include <list>
#include <thread>

#include "core/runtime/channel_storage.h"
#include "core/runtime/save_workers.h"
#include "core/runtime/shared_nodes.h"
#include "core/runtime/watch_hub.h"
#include "core/runtime/work_queue.h"
#include "core/session/backend.h"
#include "core/store/opener.h"
#include "core/store/tags.h"
#include "core/store/transient.h"
#include "core/store/verify.h"
#include "sync/activity.h"
#include "sync/mutex.h"

namespace holdfast::runtime {

struct EngineOptions {
  kernel::Options kernel;
  size_t cache_bytes = limits::kNodeCacheBytesDefault;
  size_t fold_workers = 0;  // 0: by the number of processors
};

class Engine : public session::Backend {
 public:
  using LogSink = std::function<void(Code, uint64_t, uint64_t)>;  // (code, numbers), never user data

  // While it lives, its thread waits for the answer to each of its writes and holds no lock that an answer to
  // anybody may want: the writes need not change threads. They then take storage's time on this one.
  class Waiting {
   public:
    Waiting();
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
  };

  // `anchor` may be null. All references outlive it.
  Engine(seam::Storage& storage, seam::Storage* anchor, std::unique_ptr<store::OpenedStore> opened,
         const EngineOptions& options, crypto::Random& random, LogSink log);
  ~Engine() override;  // REQUIRES: Stop() has returned

  void Start();
  // Takes nothing more; what is accepted is finished, or refused where it would wait for space. Returns at
  // once; reads go on. Whoever waits for calls to end does this first: a write that waits for space ends no
  // sooner.
  void BeginStop();
  // Finishes what is accepted, writes the closing frame and the anchor, joins. What ended it uncleanly, if
  // something did; kFull: there was no space for the closing frame.
  Status Stop();
  void
  BoundPins();  // ends the oldest snapshots while they alone keep more than limits::kPinnedOverlayBytesMax
  void ExpirePins();  // now and then: ends snapshots that are too old
  // Before anybody asks for a status.
  void set_connections(std::function<uint64_t()> count) { connections_ = std::move(count); }
  // Bits of seam/isolation.def that are in force: for the status. Any thread.
  void set_isolation(uint32_t bits) { isolation_ = bits; }

  Result<TableId> FindTable(std::string_view name) override;
  std::vector<session::TableInfo> ListTables() override;
  Result<session::TableInfo> Describe(std::string_view table, std::string_view tag) override;
  void CreateTable(const tree::Descriptor& descriptor, session::WriteDone done) override;
  void DropTable(std::string_view name, session::WriteDone done) override;
  void CreateTableWith(const tree::Descriptor& descriptor, const std::vector<session::IndexSpec>& indexes,
                       session::WriteDone done) override;
  void CreateIndex(std::string_view table, const session::IndexSpec& index, session::WriteDone done) override;
  void DropIndex(std::string_view table, std::string_view index, session::WriteDone done) override;
  Result<session::IndexPlace> FindIndex(const TableId& table, std::string_view name) override;
  void Write(kernel::Batch batch, kernel::Wait wait, session::WriteDone done) override;
  void Sync(session::WriteDone done) override;
  void BeginWrites() override;
  void EndWrites() override;
  LogIndex AppliedIndex() override { return LogIndex(applied_now_.load(std::memory_order_acquire)); }
  void OpenSession(std::string_view client_serial, session::WriteDone done) override;
  Status WaitApplied(LogIndex at_least, uint64_t timeout_ms) override;
  Result<std::unique_ptr<session::Snapshot>> TakeSnapshot(LogIndex at_least, uint64_t timeout_ms) override;
  std::optional<Result<std::optional<Bytes>>> GetNow(const TableId& table, ByteView key,
                                                     LogIndex at_least) override;
  Result<std::optional<Bytes>> Get(const TableId& table, ByteView key, LogIndex at_least,
                                   uint64_t timeout_ms) override;
  Result<Bytes> Prove(const TableId& table, ByteView key, LogIndex at_least, uint64_t timeout_ms) override;
  Result<std::unique_ptr<session::Watch>> StartWatch(const TableId& table, Bytes prefix, LogIndex from,
                                                     std::function<void()> ready) override;
  Result<std::unique_ptr<session::Snapshot>> OpenTag(std::string_view tag) override;
  void CreateTag(std::string_view name, session::WriteDone done) override;
  void DropTag(std::string_view name, session::WriteDone done) override;
  std::vector<store::TagInfo> ListTags() override;
  Result<std::vector<store::TagTable>> TagTables(std::string_view tag) override {
    return store::TablesOfTag(CurrentView().base->manifest, tag);
  }
  Result<store::GarbageReport> Garbage(bool collect) override;
  Status Diff(std::string_view from, std::string_view to, std::string_view table,
              const store::DiffSink& sink) override;
  void SaveState(session::WriteDone done) override;
  Result<Providers> GetProviders(bool repair) override;
  session::StoreStatus Status_() override;
  void SampleMetrics() override;
  Status Verify(const session::VerifyQuestion& question,
                const std::function<void(const std::string& line)>& line) override;
  Status ChangeUnlockers(SecretBytes passphrase, seal::UnlockerChange change) override;
  Result<std::vector<seal::UnlockerInfo>> ListUnlockers() override;
  Result<std::optional<Bytes>> GetSystem(std::string_view key) override;
  Result<std::vector<session::Row>> ScanSystem(std::string_view prefix) override;
  void PutSystem(std::vector<std::pair<std::string, std::optional<Bytes>>> changes,
                 session::WriteDone done) override;

 private:
  class PinnedSnapshot;
  friend class PinnedSnapshot;
  struct Pin;
  struct CutJournal {
    FrameNumber below;
    std::function<void(Status)> done;
  };
  struct MakeReserve {};
  struct ToApply {
    kernel::Apply apply;
    journal::FramePosition frame;
    std::vector<journal::LogPosition> positions;
  };
  struct Written {
    journal::FramePosition frame;
    std::vector<journal::LogPosition> positions;
  };

  static void KeepHeap();
  void GiveBackHeap() const;

  // Whose thread it is: what else may be done on it.
  enum class Caller : uint8_t { kClient, kWaiting, kJournal, kOwn };
  // What a thread took over while it ordered, to be done when it no longer does.
  struct TakenOver {
    std::optional<kernel::WriteFrame> write;
    std::optional<ToApply> apply;
  };

  // ordering: engine_order.cc
  void Order();
  static Caller CallerOfClient();
  void Post(kernel::Event event, Caller caller);
  void OrderAll(Caller caller, bool tick);
  bool TakeEvents(std::deque<kernel::Event>& batch) HF_REQUIRES(ordering_);
  void DoTakenOver(TakenOver& mine, Caller caller);
  Status CheckTypesOf(const kernel::Batch& batch);  // kKeyType, kValueType
  void Submit(journal::EntryKind kind, Bytes payload, kernel::Wait wait, session::WriteDone done);
  kernel::Ticket Remember(session::WriteDone done);
  void Dispatch(std::vector<kernel::Effect>& effects, Caller caller, TakenOver& mine);
  ToApply WorkOf(kernel::Apply apply);
  bool ApplyHere(const kernel::Apply& apply, Caller caller);
  void AnswerAll(Caller caller);
  void Answer(kernel::Reply reply);
  // journal
  void WriteJournal();
  void WriteFrame(const kernel::WriteFrame& write, Caller caller) HF_REQUIRES(journaling_);
  void FrameIsStable(Written written, Caller caller);
  void WaitForFrames();
  Status SealAndWrite(const kernel::WriteFrame& write, Written& written) HF_REQUIRES(journaling_);
  Status WriteSealed(const kernel::WriteFrame& write, const journal::SealedFrame& sealed)
      HF_REQUIRES(journaling_);
  Result<journal::SealedFrame> Seal(const kernel::WriteFrame& write, Written& written)
      HF_REQUIRES(journaling_);
  // applier
  void ApplyLog();
  void ApplyEntries(ToApply work, Caller caller) HF_REQUIRES(applying_);
  Status ApplyOne(const std::shared_ptr<const std::vector<journal::Entry>>& entries, size_t i,
                  const journal::LogPosition& at, const journal::FramePosition& frame, sync::Busy& busy,
                  store::Outcome& outcome) HF_REQUIRES(applying_);
  Status WaitForRunningSave(sync::Busy& busy);
  // Without the lock: Prepare reads what the applier alone changes, and its view was taken under the lock.
  store::State& StateOfApplier() HF_REQUIRES(applying_) HF_NO_THREAD_SAFETY_ANALYSIS { return *state_; }
  // saver
  void SaveStates();
  void RunSave(const store::SavePoint& point, journal::FramePosition frame) HF_EXCLUDES(save_mutex_);
  Status SaveOnce(const store::SavePoint& point, journal::FramePosition frame, store::VersionPtr& version)
      HF_REQUIRES(save_mutex_);
  Status AfterSave(const store::SavePoint& point, const store::VersionPtr& version) HF_REQUIRES(save_mutex_);
  Status CutJournalBelow(FrameNumber below);

  // a full provider (engine_space.cc)
  bool GiveUpReserve() HF_REQUIRES(write_mutex_);  // true: there is room, for the moment
  bool GiveUpReserveAndTell();
  void MakeReserveAgain();
  void SaveDone(const store::SavePoint& point, const store::VersionPtr& version) HF_REQUIRES(save_mutex_);
  std::vector<store::VersionPtr> PinnedVersions(const store::VersionPtr& newest);

  // several providers
  void SampleProviders();
  bool ScrubWaits(std::chrono::nanoseconds time);
  void ScrubProviders();

  store::View CurrentView();
  void Fatal(Code code);
  Status ScanView(const store::View& view, const TableId& table, ByteView from, ByteView until, bool reverse,
                  size_t max_rows, size_t max_bytes, session::RowPage& page);
  Result<std::optional<Bytes>> GetFrom(const store::View& view, const TableId& table, ByteView key);
  // What a get by links came to. kMissing: a node that is not in memory.
  enum class Linked : uint8_t { kAnswered, kMissing, kAskOtherwise };
  Linked GetLinked(const TableId& table, ByteView key, std::optional<Bytes>& answer, tree::NodeRef& missing,
                   bool& leaf);
  Linked GetFetching(const TableId& table, ByteView key, std::optional<Bytes>& answer);
  Linked GetInLeaf(const store::VersionPtr& version, const tree::NodeRef& leaf, ByteView key,
                   std::optional<Bytes>& answer);
  Status SaveAndWait();
  Result<store::VersionPtr> ProvableVersion(const TableId& table, ByteView key);
  Result<std::unique_ptr<session::Snapshot>> PinView(store::View view);
  kernel::CreateTable CommandFor(const tree::Descriptor& descriptor);
  Status ScanIndexView(const store::View& view, const session::IndexPlace& index, ByteView from,
                       ByteView until, bool reverse, size_t max_rows, size_t max_bytes,
                       session::RowPage& page, Bytes& last);
  // transient tables
  session::TableInfo InfoOf(const TableId& id, const store::Table& table, const store::Tables& all);
  bool IsTransient(const TableId& table);
  Result<bool> AllTransient(const kernel::Batch& batch);  // kTransientMixed
  session::WriteReply WriteTransient(kernel::Batch batch);
  std::optional<Bytes> GetTransient(const TableId& table, ByteView key);
  void ScanTransient(const TableId& table, ByteView from, ByteView until, bool reverse, size_t max_rows,
                     size_t max_bytes, session::RowPage& page);
  void FollowTables(const journal::Entry& entry);

  seam::Storage& storage_;
  seam::Storage* const anchor_;
  crypto::Random& random_;
  const LogSink log_;
  SharedNodes nodes_;
  WatchHub watches_, transient_watches_;
  std::function<uint64_t()> connections_;
  std::atomic<uint32_t> isolation_{0};
  std::atomic<bool> typed_tables_{false};  // State::typed_tables: most writers then need no lock for it
  std::atomic<bool> clean_{false};         // the next save begins to clean thoroughly

  // What opening gave and nothing changes; the rest of it stands with its locks.
  const StoreId store_;
  const MemberId member_;
  const Term term_;
  const std::string freshness_;
  const size_t pending_commands_max_;

  const sync::Role ordering_{}, journaling_{}, applying_{};  // of one thread at a time each

  sync::Mutex order_mutex_{sync::LockName::kOrder};
  sync::CondVar order_wake_, stopped_wake_;
  std::deque<kernel::Event> events_ HF_GUARDED_BY(order_mutex_);
  bool ordering_now_ HF_GUARDED_BY(order_mutex_) = false;
  std::deque<kernel::Reply> answers_ HF_GUARDED_BY(order_mutex_);  // in the order of the log
  bool answering_now_ HF_GUARDED_BY(order_mutex_) = false;
  uint64_t order_due_us_ HF_GUARDED_BY(order_mutex_) = 0;  // what the kernel said when it was last left
  uint64_t order_sleeps_until_us_ HF_GUARDED_BY(order_mutex_) = 0;  // the thread of that
  std::unique_ptr<kernel::Kernel> kernel_ HF_PT_GUARDED_BY(ordering_);
  kernel::Metrics metrics_ HF_GUARDED_BY(order_mutex_);  // the kernel's, for others; so are these two
  bool full_ HF_GUARDED_BY(order_mutex_) = false;
  LogIndex committed_ HF_GUARDED_BY(order_mutex_);
  bool stopped_ HF_GUARDED_BY(order_mutex_) = false;
  bool order_ends_ HF_GUARDED_BY(order_mutex_) = false;

  sync::Mutex tickets_mutex_{sync::LockName::kOrder};
  std::unordered_map<kernel::Ticket, session::WriteDone> tickets_ HF_GUARDED_BY(tickets_mutex_);
  kernel::Ticket next_ticket_ HF_GUARDED_BY(tickets_mutex_) = 1;

  sync::Mutex written_mutex_{sync::LockName::kOrder};
  std::unordered_map<uint64_t, Written> written_ HF_GUARDED_BY(written_mutex_);  // by frame, until applied
  journal::LogPosition chained_ HF_GUARDED_BY(journaling_);
  journal::FramePosition last_frame_ HF_GUARDED_BY(journaling_);
  bool closing_written_ HF_GUARDED_BY(journaling_) = false;
  const std::unique_ptr<journal::JournalWriter> writer_ HF_PT_GUARDED_BY(journaling_);

  sync::SharedMutex state_lock_{sync::LockName::kState};
  const std::unique_ptr<store::State> state_ HF_PT_GUARDED_BY(state_lock_);

  std::atomic<bool> transient_tables_{false};  // there is, or was, one: else nobody needs the lock
  sync::SharedMutex transient_lock_{sync::LockName::kState};
  store::TransientRows transient_ HF_GUARDED_BY(transient_lock_);
  // The index of their watchers: they have no log that would number them.
  uint64_t transient_writes_ HF_GUARDED_BY(transient_lock_) = 0;

  sync::Mutex applied_mutex_{sync::LockName::kState};
  sync::CondVar applied_wake_, save_wake_;
  LogIndex applied_ HF_GUARDED_BY(applied_mutex_);
  std::atomic<uint64_t> applied_now_{0};  // the same, for who only looks
  bool saving_ HF_GUARDED_BY(applied_mutex_) = false;

  // While a frame is being written; verify holds it to read the journal.
  sync::Mutex write_mutex_{sync::LockName::kWrite};
  const uint64_t reserve_bytes_;  // 0: there is none
  bool reserve_held_ HF_GUARDED_BY(write_mutex_);
  bool reserve_given_up_ HF_GUARDED_BY(journaling_) = false;  // and the kernel does not know yet
  std::atomic<bool> low_{false};                              // no reserve: cleaning moves little

  sync::Mutex save_mutex_{sync::LockName::kSave};             // around saves and verify: slots stand still
  store::Secrets secrets_ HF_GUARDED_BY(save_mutex_);         // its record of unlockers changes
  const Key& chain_key_;                                      // of secrets_, and never changes
  const Key& anchor_key_;                                     // likewise
  std::set<std::string> deleted_ HF_GUARDED_BY(save_mutex_);  // objects whose delete is confirmed
  std::vector<std::string> leftovers_ HF_GUARDED_BY(save_mutex_);  // of a save that failed
  store::Opener opener_ HF_GUARDED_BY(save_mutex_);                // with the versions of the slots' files
  std::vector<Bytes> segment_memory_ HF_GUARDED_BY(save_mutex_);   // of segments that were written
  std::vector<tree::Hint> dead_ HF_GUARDED_BY(save_mutex_);        // nodes that the last save did away with
  const store::Placement placement_;
  SaveWorkers save_workers_ HF_GUARDED_BY(save_mutex_);

  sync::Mutex versions_mutex_{sync::LockName::kSave};
  std::list<std::weak_ptr<const store::TreeVersion>> versions_ HF_GUARDED_BY(versions_mutex_);
  sync::Mutex pins_mutex_{sync::LockName::kState};
  std::list<std::shared_ptr<Pin>> pins_ HF_GUARDED_BY(pins_mutex_);

  std::atomic<uint16_t> fatal_{0};
  std::atomic<bool> stopping_{false};
  WorkQueue<std::variant<kernel::WriteFrame, CutJournal, MakeReserve>> journal_queue_;
  // Several providers: frames that are on their way to them.
  struct OnItsWay {
    Written written;
    uint64_t sequence;
  };
  WorkQueue<OnItsWay> stable_queue_;
  WorkQueue<ToApply> apply_queue_;
  WorkQueue<std::pair<const store::SavePoint*, journal::FramePosition>> save_queue_;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_ENGINE_H_
