#include "core/runtime/engine.h"

#include <malloc.h>

#include <chrono>
#include <utility>

#include "base/memory_plan.h"
#include "core/runtime/mapped_blocks.h"
#include "seam/metrics.h"

namespace holdfast::runtime {
namespace {

using seam::Metric;
using seam::Metrics;
using sync::MutexLock;
using sync::ReaderLock;
using sync::WriterLock;

constexpr auto kSaveRetry = std::chrono::seconds(1);  // rule I1: a full provider is asked again each second

session::WriteReply Refused(Code code) { return {code, {}, {}, kernel::Wait::kNone, 0}; }

kernel::Options Bounded(const EngineOptions& options, bool several_providers) {
  kernel::Options kernel = options.kernel;
  if (several_providers) kernel.waves_in_flight_max = limits::kWavesInFlightSeveral;
  kernel.dirty_bytes_max = std::min(kernel.dirty_bytes_max, memory_plan::ChangesBytes(options.cache_bytes));
  kernel.dirty_bytes_save = std::min(kernel.dirty_bytes_save, kernel.dirty_bytes_max / 2);
  return kernel;
}

}  // namespace

Engine::Engine(seam::Storage& storage, seam::Storage* anchor, std::unique_ptr<store::OpenedStore> opened,
               const EngineOptions& options, crypto::Random& random, LogSink log)
    : storage_(storage),
      anchor_(anchor),
      random_(random),
      log_(std::move(log)),
      nodes_(options.cache_bytes),
      watches_(opened->state->position().index, memory_plan::WatchHistoryBytes(options.cache_bytes)),
      transient_watches_(LogIndex(), limits::kWatchHistoryBytesMin),
      store_(opened->secrets.store),
      member_(opened->member),
      term_(opened->term),
      freshness_(opened->freshness.Line()),
      pending_commands_max_(options.kernel.pending_commands_max),
      chained_(opened->state->position()),
      last_frame_(opened->frame),
      writer_(std::move(opened->writer)),
      state_(std::move(opened->state)),
      transient_(std::clamp(options.cache_bytes / 4, limits::kTransientBytesMin, limits::kTransientBytesMax)),
      reserve_bytes_(opened->reserve_bytes),
      reserve_held_(opened->reserve_held),
      low_(reserve_bytes_ > 0 && !opened->reserve_held),
      secrets_(std::move(opened->secrets)),
      chain_key_(secrets_.keys.chain),
      anchor_key_(secrets_.keys.anchor),
      deleted_(std::move(opened->deleted)),
      leftovers_(std::move(opened->leftovers)),
      opener_(std::move(opened->opener)),
      placement_(opened->placement),
      save_workers_(options.fold_workers, memory_plan::FoldWorkersMax(options.cache_bytes)) {
  LogIndex index = chained_.index;
  kernel_ = std::make_unique<kernel::Kernel>(Bounded(options, storage.copies() != nullptr),
                                             std::make_unique<consensus::SingleMember>(term_, index), index,
                                             opened->next_frame);
  applied_ = committed_ = index;
  applied_now_ = index.value;
  typed_tables_ = state_->typed_tables();
  for (const auto& [id, table] : state_->tables()) {
    if (!table.descriptor.transient) continue;
    transient_.AddTable(id);
    transient_tables_ = true;
  }
  versions_.push_back(state_->CurrentView().base);
  MappedBlocks::Install().Enter();
}

Engine::~Engine() {
  HF_CHECK(threads_.empty());
  MappedBlocks::Install().Leave();
}

// A fold takes and gives back hundreds of megabytes. A page that is touched for the first time costs more
// than what is done with it, so the heap keeps what it has, until GiveBackHeap.
void Engine::KeepHeap() {
  constexpr int kMmapThreshold = 32 << 20;  // the largest that is taken
  constexpr int kTrimThreshold = 512 << 20, kTopPad = 8 << 20;
  (void)::mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  (void)::mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
  (void)::mallopt(M_TOP_PAD, kTopPad);
  // What one part of the heap has free serves only the threads of that part: no more parts than processors.
  (void)::mallopt(M_ARENA_MAX, static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

// After a save, when most is free. Each thread's part of the heap would keep the most that it ever had: with
// two dozen threads that is many times what the engine's limits allow. What is kept is in proportion to the
// cache.
void Engine::GiveBackHeap() const {
  constexpr size_t kKeptMin = 16 << 20, kKeptMax = 512 << 20;
  size_t kept = std::clamp<size_t>(nodes_.bytes_max() / 8, kKeptMin, kKeptMax);
  if (::mallinfo2().fordblks > kept) (void)::malloc_trim(kept);
}

void Engine::Start() {
  KeepHeap();
  threads_.emplace_back([this] { Order(); });
  threads_.emplace_back([this] { WriteJournal(); });
  threads_.emplace_back([this] { ApplyLog(); });
  threads_.emplace_back([this] { SaveStates(); });
  if (low_) Post(kernel::SpaceLow{true}, Caller::kOwn);
  if (storage_.copies() != nullptr) {
    storage_.copies()->QueueJournal();
    threads_.emplace_back([this] { WaitForFrames(); });
    threads_.emplace_back([this] { ScrubProviders(); });
  }
}

void Engine::BeginStop() {
  stopping_ = true;
  {
    MutexLock lock(applied_mutex_);
    save_wake_.NotifyAll();
  }
  watches_.Stop();
  transient_watches_.Stop();
  Post(kernel::Stop{}, Caller::kClient);
}

Status Engine::Stop() {
  BeginStop();
  {
    MutexLock lock(order_mutex_);
    while (!stopped_ && fatal_ == 0) stopped_wake_.Wait(order_mutex_);
  }
  journal_queue_.Close();
  stable_queue_.Close();
  apply_queue_.Close();
  save_queue_.Close();
  {
    MutexLock lock(order_mutex_);
    stopped_ = order_ends_ = true;
    order_wake_.NotifyAll();
  }
  {
    MutexLock lock(applied_mutex_);
    applied_wake_.NotifyAll();
    save_wake_.NotifyAll();
  }
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  {
    MutexLock lock(order_mutex_);  // a caller may be at it still
    while (ordering_now_ || answering_now_) stopped_wake_.Wait(order_mutex_);
  }
  AnswerAll(Caller::kOwn);
  std::unordered_map<kernel::Ticket, session::WriteDone> unanswered;
  {
    MutexLock lock(tickets_mutex_);
    unanswered.swap(tickets_);
  }
  Code why = fatal_ != 0 ? static_cast<Code>(fatal_.load()) : Code::kStopping;
  for (auto& [ticket, done] : unanswered) done(Refused(why));
  if (fatal_ != 0) return static_cast<Code>(fatal_.load());
  sync::Playing journal(journaling_);  // its thread has ended
  MutexLock save_lock(save_mutex_);
  SaveNumber save = CurrentView().base->manifest.save;
  Status anchored = store::WriteAnchor(anchor_, secrets_, chained_, save);
  // Nothing else ends the ordering without one and is not fatal.
  return closing_written_ ? anchored : Status(Code::kFull);
}

void Engine::Fatal(Code code) {
  uint16_t none = 0;
  if (!fatal_.compare_exchange_strong(none, static_cast<uint16_t>(code))) return;
  log_(code, 0, 0);
  {
    MutexLock lock(order_mutex_);
    stopped_wake_.NotifyAll();
  }
  MutexLock lock(applied_mutex_);
  applied_wake_.NotifyAll();
  save_wake_.NotifyAll();
}

// -- journal

void Engine::WriteJournal() {
  sync::Activity activity(sync::ActivityKind::kJournal);
  sync::Playing role(journaling_);
  while (auto work = journal_queue_.Pop()) {
    if (auto* write = std::get_if<kernel::WriteFrame>(&*work)) {
      WriteFrame(*write, Caller::kJournal);
    } else if (auto* cut = std::get_if<CutJournal>(&*work)) {
      cut->done(writer_->CutBelow(cut->below));
    } else {
      MakeReserveAgain();
    }
  }
}

void Engine::WriteFrame(const kernel::WriteFrame& write, Caller caller) {
  // After a frame that found no space, those behind it wait for it: the kernel gives all of them again, in
  // order.
  if (write.number != last_frame_.number.next())
    return Post(kernel::FrameFailed{write.number, Code::kFull}, caller);
  Written written;
  Status done = SealAndWrite(write, written);
  // Before the frame is stable: what is taken in from here on must not use up what was given.
  if (std::exchange(reserve_given_up_, false)) Post(kernel::SpaceLow{true}, caller);
  if (!done) {
    if (done.code() != Code::kFull) Fatal(done.code());
    return Post(kernel::FrameFailed{write.number, done.code()}, caller);
  }
  last_frame_ = written.frame;
  if (!written.positions.empty()) chained_ = written.positions.back();
  if (seam::Copies* copies = storage_.copies()) {
    uint64_t sequence = copies->JournalSequence();
    stable_queue_.Push({std::move(written), sequence});
    return;
  }
  FrameIsStable(std::move(written), caller);
}

void Engine::FrameIsStable(Written written, Caller caller) {
  Metrics().Add(Metric::kWaves);
  FrameNumber number = written.frame.number;
  {
    MutexLock lock(written_mutex_);
    written_.emplace(number.value, std::move(written));
  }
  Post(kernel::FrameStable{number}, caller);
}

Result<journal::SealedFrame> Engine::Seal(const kernel::WriteFrame& write, Written& written) {
  sync::Busy busy(Metric::kSealBusy);
  journal::Frame frame;
  frame.kind = write.kind;
  frame.number = write.number;
  frame.term = write.term;
  frame.vote = member_;
  frame.watermark = write.watermark;
  frame.before = last_frame_;
  frame.first_index = write.first_index;
  frame.chain_before = chained_.chain;
  journal::LogPosition at = chained_;
  written.positions.reserve(write.entries->size());
  for (const journal::Entry& e : *write.entries) {
    at = journal::Extend(chain_key_, at, e);
    written.positions.push_back(at);
  }
  seal::DomainKeys keys;
  Epoch epoch;
  {
    ReaderLock lock(state_lock_);
    epoch = state_->keyring().current_epoch();
    HF_TRY(keys, state_->keyring().JournalKeys(epoch));
  }
  journal::SealedFrame sealed =
      journal::SealFrame({store_, member_}, keys, epoch, frame, *write.entries, random_);
  written.frame = {frame.number, sealed.digest};
  return sealed;
}

Status Engine::SealAndWrite(const kernel::WriteFrame& write, Written& written) {
  HF_TRY(journal::SealedFrame sealed, Seal(write, written));
  MutexLock writing(write_mutex_);
  Status done = WriteSealed(write, sealed);
  if (done || done.code() != Code::kFull || !GiveUpReserve()) return done;
  reserve_given_up_ = true;
  return WriteSealed(write, sealed);
}

Status Engine::WriteSealed(const kernel::WriteFrame& write, const journal::SealedFrame& sealed) {
  if (write.kind != journal::FrameKind::kClosing) return writer_->Write(write.number, sealed);
  HF_TRY_VOID(writer_->Close(write.number, sealed));
  closing_written_ = true;
  return Ok();
}

// -- applier

void Engine::ApplyLog() {
  sync::Activity activity(sync::ActivityKind::kApply);
  sync::Playing role(applying_);
  while (auto work = apply_queue_.Pop()) ApplyEntries(std::move(*work), Caller::kOwn);
}

// The save before a save point must be done (D1: in order, never merged).
Status Engine::WaitForRunningSave(sync::Busy& busy) {
  busy.Pause();
  MutexLock lock(applied_mutex_);
  while (saving_ && fatal_ == 0) save_wake_.Wait(applied_mutex_);
  busy.Resume();
  if (fatal_ != 0) return static_cast<Code>(fatal_.load());
  return Ok();
}

namespace {

// What the changes of an entry point to.
struct Applying {
  std::shared_ptr<const std::vector<journal::Entry>> entries;
  store::State::Prepared prepared;
};

}  // namespace

Status Engine::ApplyOne(const std::shared_ptr<const std::vector<journal::Entry>>& entries, size_t i,
                        const journal::LogPosition& at, const journal::FramePosition& frame, sync::Busy& busy,
                        store::Outcome& outcome) {
  const journal::Entry& entry = (*entries)[i];
  bool save_point = entry.kind == journal::EntryKind::kSavePoint;
  if (save_point) HF_TRY_VOID(WaitForRunningSave(busy));
  store::View view = CurrentView();
  ReaderNodes nodes(storage_, view.base, nodes_);
  auto work = std::make_shared<Applying>();
  work->entries = entries;
  HF_TRY(work->prepared, StateOfApplier().Prepare(entry, view, nodes));
  // Before anybody can find the table by its name, or writes might miss that it is transient.
  if (entry.kind == journal::EntryKind::kCreateTable) FollowTables(entry);
  std::vector<store::Change> changes;
  const store::SavePoint* save = nullptr;
  {
    WriterLock lock(state_lock_);
    outcome = state_->Commit(work->prepared, at, &changes);
    typed_tables_.store(state_->typed_tables(), std::memory_order_relaxed);
    if (save_point) save = state_->saving();
  }
  work->prepared.index_changes = {};  // watchers keep the rest for long
  watches_.Publish(at.index, changes, work);
  if (outcome.ok() && entry.kind == journal::EntryKind::kDropTable) FollowTables(entry);
  {
    MutexLock lock(applied_mutex_);
    applied_ = at.index;
    applied_now_.store(at.index.value, std::memory_order_release);
    if (save != nullptr) saving_ = true;
    applied_wake_.NotifyAll();
  }
  if (save != nullptr) save_queue_.Push({save, frame});
  return Ok();
}

void Engine::ApplyEntries(ToApply work, Caller caller) {
  kernel::Applied applied;
  {
    sync::Busy busy(Metric::kApplyBusy);
    for (size_t i = 0; i < work.apply.entries->size(); ++i) {
      store::Outcome outcome;
      Status done = fatal_ != 0
                        ? Status(static_cast<Code>(fatal_.load()))
                        : ApplyOne(work.apply.entries, i, work.positions[i], work.frame, busy, outcome);
      // Storage that cannot be read stops applying here for good: going on would skip an entry. Waiters hear
      // why.
      if (!done) Fatal(done.code());
      applied.index = work.positions[i].index;
      kernel::Ticket ticket = work.apply.tickets[i];
      if (ticket == 0) continue;
      Status status = !done ? done : (outcome.ok() ? Ok() : Status(outcome.code));
      applied.outcomes.push_back({ticket, status, outcome.detail});
    }
    ReaderLock lock(state_lock_);
    applied.dirty_bytes = state_->dirty_bytes();
    applied.save_at = state_->dirty_bytes_worth_saving();
  }
  Post(std::move(applied), caller);
}

// -- saver

void Engine::SaveStates() {
  sync::Activity activity(sync::ActivityKind::kSave);
  while (auto work = save_queue_.Pop()) {
    RunSave(*work->first, work->second);
    GiveBackHeap();
  }
}

store::View Engine::CurrentView() {
  ReaderLock lock(state_lock_);
  return state_->CurrentView();
}

std::vector<store::VersionPtr> Engine::PinnedVersions(const store::VersionPtr& newest) {
  MutexLock lock(versions_mutex_);
  std::vector<store::VersionPtr> pinned;
  for (auto it = versions_.begin(); it != versions_.end();) {
    store::VersionPtr v = it->lock();
    if (v == nullptr) {
      it = versions_.erase(it);
      continue;
    }
    if (v != newest) pinned.push_back(std::move(v));
    ++it;
  }
  return pinned;
}

Status Engine::SaveOnce(const store::SavePoint& point, journal::FramePosition frame,
                        store::VersionPtr& version) {
  KeptNodes nodes(nodes_);
  bool clean = clean_.exchange(false);
  store::Placement placement = placement_;
  if (low_) placement.cleaned_bytes_max = 0;  // the emptiest segment alone: it must fit, and gives most
  auto saved = store::RunSave({storage_, secrets_, random_, nodes, save_workers_, point, frame, deleted_,
                               leftovers_, segment_memory_, opener_, placement, clean});
  if (!saved) {
    if (clean) clean_ = true;
    nodes_.Clear();  // the next attempt uses the same places again
    return saved.error();
  }
  version = std::move(saved).value();
  dead_ = nodes.TakeDead();
  return Ok();
}

// The journal thread cuts it, between two frames.
Status Engine::CutJournalBelow(FrameNumber below) {
  struct Answer {
    sync::Mutex mutex{sync::LockName::kSave};
    sync::CondVar wake;
    std::optional<Status> status HF_GUARDED_BY(mutex);
  } answer;
  bool queued = journal_queue_.Push(CutJournal{below, [&answer](Status s) {
                                                 MutexLock lock(answer.mutex);
                                                 answer.status = s;
                                                 answer.wake.NotifyOne();
                                               }});
  if (!queued) return Code::kStopping;
  MutexLock lock(answer.mutex);
  while (!answer.status) answer.wake.Wait(answer.mutex);
  return *answer.status;
}

// Root -> barrier -> anchor -> deletes (F2). Nothing here can undo the save; what fails is tried at the next
// one.
Status Engine::AfterSave(const store::SavePoint& point, const store::VersionPtr& version) {
  HF_TRY_VOID(store::WriteAnchor(anchor_, secrets_, point.position, version->manifest.save));
  SaveNumber older(version->manifest.save.value - 1);
  HF_TRY(std::vector<std::string> deleted,
         store::DeleteCondemned(storage_, *version, older, PinnedVersions(version)));
  HF_TRY_VOID(CutJournalBelow(point.base->manifest.frame.number));
  HF_TRY_VOID(storage_.Barrier());
  deleted_.clear();  // the save lists none of them any more
  deleted_.insert(deleted.begin(), deleted.end());
  return Ok();
}

void Engine::RunSave(const store::SavePoint& point, journal::FramePosition frame) {
  MutexLock save_lock(save_mutex_);
  store::VersionPtr version;
  Status done;
  for (;;) {
    done = SaveOnce(point, frame, version);
    if (done || done.code() != Code::kFull || stopping_) break;
    if (GiveUpReserveAndTell()) continue;
    log_(Code::kFull, point.position.index.value, 0);
    MutexLock lock(applied_mutex_);
    auto again = std::chrono::steady_clock::now() + kSaveRetry;
    while (!stopping_ && save_wake_.WaitUntil(applied_mutex_, again)) continue;
  }
  if (done) {
    Status after = AfterSave(point, version);
    if (!after) log_(after.code(), point.position.index.value, 1);
    return SaveDone(point, version);
  }
  if (done.code() != Code::kFull) Fatal(done.code());
  Post(kernel::SaveFinished{point.position.index, done}, Caller::kOwn);
}

void Engine::SaveDone(const store::SavePoint& point, const store::VersionPtr& version) {
  Metrics().Add(Metric::kSaves);
  LogIndex index = point.position.index;  // the point goes with the lock
  // What was folded, and the version before, may be hundreds of megabytes: they go when nobody waits.
  std::shared_ptr<const tree::Overlay> folded = point.changes;
  store::VersionPtr before = point.base;
  {
    MutexLock lock(versions_mutex_);
    versions_.push_back(version);
  }
  {
    WriterLock lock(state_lock_);
    state_->SaveDone(version);
  }
  {
    MutexLock lock(applied_mutex_);
    saving_ = false;
    save_wake_.NotifyAll();
  }
  BoundPins();
  uint64_t condemned = 0;
  for (const auto& [number, s] : version->manifest.segments) {
    if (s.condemned == version->manifest.save) condemned += s.size;
  }
  Post(kernel::SaveFinished{index, Ok(), condemned}, Caller::kOwn);
  before.reset();
  if (PinnedVersions(version).empty()) nodes_.Drop(dead_);
  dead_.clear();
}

}  // namespace holdfast::runtime
