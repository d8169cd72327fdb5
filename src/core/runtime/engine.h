// The running store: kernel, journal, applier and saver, each on a thread of its own, behind what sessions
// ask for.
//
//   session ──Submit──> ordering ──WriteFrame──> journal: seal, append ──FrameStable──> ordering
//                       (Kernel::Step) ──Apply──> applier: Prepare, Commit ──Applied──> ordering
//                          │                         │
//   session <──Reply───────┘                         └─save point─> saver: fold, slot, anchor, deletes
//
// Locks: state_lock_ (shared: readers of overlays; exclusive: Commit, SaveDone; memory only), queue locks,
// save_mutex_ (one save or one verify at a time), write_mutex_ (around the writing of a frame). Only the last
// two are held while storage is waited for.
// Memory: overlays limits::kOverlayBytesMax, cache as configured, watch history 64 MiB, pending commands
// kPendingBytesMax, changes kept for snapshots alone kPinnedOverlayBytesMax.
#ifndef HOLDFAST_CORE_RUNTIME_ENGINE_H_
#define HOLDFAST_CORE_RUNTIME_ENGINE_H_

#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "core/runtime/channel_storage.h"
#include "core/runtime/shared_nodes.h"
#include "core/runtime/watch_hub.h"
#include "core/runtime/work_queue.h"
#include "core/session/backend.h"
#include "core/store/opener.h"
#include "core/store/verify.h"

namespace holdfast::runtime {

struct EngineOptions {
  kernel::Options kernel;
  size_t cache_bytes = limits::kNodeCacheBytesDefault;
};

class Engine : public session::Backend {
 public:
  using LogSink = std::function<void(Code, uint64_t, uint64_t)>;  // (code, numbers), never user data

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
  void set_connections(std::function<uint64_t()> count) { connections_ = std::move(count); }

  Result<TableId> FindTable(std::string_view name) override;
  std::vector<session::TableInfo> ListTables() override;
  void CreateTable(const tree::Descriptor& descriptor, session::WriteDone done) override;
  void DropTable(std::string_view name, session::WriteDone done) override;
  void Write(kernel::Batch batch, kernel::Wait wait, session::WriteDone done) override;
  void Sync(session::WriteDone done) override;
  LogIndex AppliedIndex() override { return LogIndex(applied_now_.load(std::memory_order_acquire)); }
  void OpenSession(std::string_view client_serial, session::WriteDone done) override;
  Result<std::unique_ptr<session::Snapshot>> TakeSnapshot(LogIndex at_least, uint64_t timeout_ms) override;
  Result<std::optional<Bytes>> Get(const TableId& table, ByteView key, LogIndex at_least,
                                   uint64_t timeout_ms) override;
  Result<std::unique_ptr<session::Watch>> StartWatch(const TableId& table, Bytes prefix, LogIndex from,
                                                     std::function<void()> ready) override;
  void SaveState(session::WriteDone done) override;
  session::StoreStatus Status_() override;
  Status Verify(bool require_fresh, const std::function<void(const std::string& line)>& line) override;
  Status ChangePassphrase(SecretBytes old_passphrase, SecretBytes new_passphrase) override;
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
  struct ToApply {
    kernel::Apply apply;
    journal::FramePosition frame;
    std::vector<journal::LogPosition> positions;
  };
  struct Written {
    journal::FramePosition frame;
    std::vector<journal::LogPosition> positions;
  };

  // ordering
  void Order();
  void Post(kernel::Event event);
  void Submit(journal::EntryKind kind, Bytes payload, kernel::Wait wait, session::WriteDone done);
  kernel::Ticket Remember(session::WriteDone done);
  void Dispatch(std::vector<kernel::Effect>& effects);
  void Answer(kernel::Reply reply);
  // journal
  void WriteFrame(const kernel::WriteFrame& write);
  Status SealAndWrite(const kernel::WriteFrame& write, Written& written);
  // applier
  void ApplyEntries(ToApply work);
  Status ApplyOne(const journal::Entry& entry, const journal::LogPosition& at,
                  const journal::FramePosition& frame, store::Outcome& outcome);
  // saver
  void RunSave(const store::SavePoint& point, journal::FramePosition frame);
  Status SaveOnce(const store::SavePoint& point, journal::FramePosition frame, store::VersionPtr& version);
  Status AfterSave(const store::SavePoint& point, const store::VersionPtr& version);
  std::vector<store::VersionPtr> PinnedVersions(const store::VersionPtr& newest);

  store::View CurrentView();
  Status WaitApplied(LogIndex at_least, uint64_t timeout_ms);
  void Fatal(Code code);
  Result<std::vector<session::Row>> ScanView(const store::View& view, const TableId& table, ByteView from,
                                             ByteView until, bool reverse, size_t max_rows, size_t max_bytes);
  Result<std::optional<Bytes>> GetFrom(const store::View& view, const TableId& table, ByteView key);
  Status SaveAndWait();

  seam::Storage& storage_;
  seam::Storage* anchor_;
  std::unique_ptr<store::OpenedStore> opened_;
  crypto::Random& random_;
  LogSink log_;
  SharedNodes nodes_;
  WatchHub watches_;
  std::function<uint64_t()> connections_;

  std::mutex order_mutex_;
  std::condition_variable order_wake_;
  std::deque<kernel::Event> events_;
  std::unique_ptr<kernel::Kernel> kernel_;  // the ordering thread's
  kernel::Metrics metrics_;                 // copies, under order_mutex_
  bool full_ = false, stopped_ = false;
  bool order_ends_ = false;  // not with stopped_: until nobody calls any more, each is answered
  LogIndex committed_;

  std::mutex tickets_mutex_;
  std::unordered_map<kernel::Ticket, session::WriteDone> tickets_;
  kernel::Ticket next_ticket_ = 1;

  std::mutex written_mutex_;
  std::unordered_map<uint64_t, Written> written_;  // by frame, until applied
  journal::LogPosition chained_;                   // the journal thread's
  journal::FramePosition last_frame_;
  bool closing_written_ = false;

  std::shared_mutex state_lock_;
  std::mutex applied_mutex_;
  std::condition_variable applied_wake_, save_wake_;
  LogIndex applied_;
  std::atomic<uint64_t> applied_now_{0};  // the same, for who only looks
  bool saving_ = false;

  std::mutex write_mutex_;  // while a frame is being written; verify holds it to read the journal
  std::mutex save_mutex_;   // slots, unlockers record and the set of deleted segments
  std::mutex versions_mutex_;
  std::list<std::weak_ptr<const store::TreeVersion>> versions_;
  std::mutex pins_mutex_;
  std::list<std::shared_ptr<Pin>> pins_;

  std::atomic<uint16_t> fatal_{0};
  std::atomic<bool> stopping_{false};
  WorkQueue<std::variant<kernel::WriteFrame, CutJournal>> journal_queue_;
  WorkQueue<ToApply> apply_queue_;
  WorkQueue<std::pair<const store::SavePoint*, journal::FramePosition>> save_queue_;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_ENGINE_H_
