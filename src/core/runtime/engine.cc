#include "core/runtime/engine.h"

#include <chrono>

namespace holdfast::runtime {
namespace {

constexpr auto kSaveRetry = std::chrono::seconds(1);  // rule I1: a full provider is asked again each second
constexpr size_t kSaveCacheBytes = 32u << 20;

uint64_t NowUs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

Engine::Engine(seam::Storage& storage, seam::Storage* anchor, std::unique_ptr<store::OpenedStore> opened,
               const EngineOptions& options, crypto::Random& random, LogSink log)
    : storage_(storage),
      anchor_(anchor),
      opened_(std::move(opened)),
      random_(random),
      log_(std::move(log)),
      nodes_(options.cache_bytes),
      watches_(opened_->state->position().index) {
  const journal::LogPosition& at = opened_->state->position();
  kernel_ = std::make_unique<kernel::Kernel>(
      options.kernel, std::make_unique<consensus::SingleMember>(opened_->term, at.index), at.index,
      opened_->next_frame);
  chained_ = at;
  last_frame_ = opened_->frame;
  applied_ = committed_ = at.index;
  applied_now_ = at.index.value;
  versions_.push_back(opened_->state->CurrentView().base);
}

Engine::~Engine() { HF_CHECK(threads_.empty()); }

void Engine::Start() {
  threads_.emplace_back([this] { Order(); });
  threads_.emplace_back([this] {
    while (auto work = journal_queue_.Pop()) {
      if (auto* write = std::get_if<kernel::WriteFrame>(&*work)) {
        WriteFrame(*write);
      } else {
        auto& cut = std::get<CutJournal>(*work);
        cut.done(opened_->writer->CutBelow(cut.below));
      }
    }
  });
  threads_.emplace_back([this] {
    while (auto work = apply_queue_.Pop()) ApplyEntries(std::move(*work));
  });
  threads_.emplace_back([this] {
    while (auto work = save_queue_.Pop()) RunSave(*work->first, work->second);
  });
}

void Engine::BeginStop() {
  stopping_ = true;
  watches_.Stop();
  Post(kernel::Stop{});
}

Status Engine::Stop() {
  BeginStop();
  {
    std::unique_lock lock(order_mutex_);
    order_wake_.wait(lock, [&] { return stopped_ || fatal_ != 0; });
  }
  journal_queue_.Close();
  apply_queue_.Close();
  save_queue_.Close();
  {
    std::lock_guard lock(order_mutex_);
    stopped_ = order_ends_ = true;
    order_wake_.notify_all();
  }
  {
    std::lock_guard lock(applied_mutex_);
    applied_wake_.notify_all();
    save_wake_.notify_all();
  }
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  std::unordered_map<kernel::Ticket, session::WriteDone> unanswered;
  {
    std::lock_guard lock(tickets_mutex_);
    unanswered.swap(tickets_);
  }
  Code why = fatal_ != 0 ? static_cast<Code>(fatal_.load()) : Code::kStopping;
  for (auto& [ticket, done] : unanswered) done({why, {}, {}, kernel::Wait::kNone, 0});
  if (fatal_ != 0) return static_cast<Code>(fatal_.load());
  Status anchored = store::WriteAnchor(anchor_, opened_->secrets, opened_->state->position(),
                                       opened_->state->CurrentView().base->manifest.save);
  // Nothing else ends the ordering without one and is not fatal.
  return closing_written_ ? anchored : Status(Code::kFull);
}

void Engine::Fatal(Code code) {
  uint16_t none = 0;
  if (!fatal_.compare_exchange_strong(none, static_cast<uint16_t>(code))) return;
  log_(code, 0, 0);
  {
    std::lock_guard lock(order_mutex_);
    order_wake_.notify_all();
  }
  std::lock_guard lock(applied_mutex_);
  applied_wake_.notify_all();
  save_wake_.notify_all();
}

// -- ordering

void Engine::Post(kernel::Event event) {
  std::lock_guard lock(order_mutex_);
  events_.push_back(std::move(event));
  order_wake_.notify_all();
}

void Engine::Order() {
  std::vector<kernel::Effect> effects;
  std::deque<kernel::Event> batch;
  for (;;) {
    {
      std::unique_lock lock(order_mutex_);
      metrics_ = kernel_->metrics();
      full_ = kernel_->full();
      committed_ = kernel_->committed();
      if (events_.empty() && !order_ends_) {
        uint64_t deadline = kernel_->NextDeadlineUs(), now = NowUs();
        auto ready = [&] { return !events_.empty() || order_ends_; };
        if (deadline == UINT64_MAX) {
          order_wake_.wait(lock, ready);
        } else if (deadline > now) {
          order_wake_.wait_for(
              lock, std::chrono::microseconds(std::min<uint64_t>(deadline - now, 60'000'000)), ready);
        }
      }
      if (order_ends_ && events_.empty()) return;
      batch.swap(events_);
    }
    effects.clear();
    if (batch.empty()) kernel_->Step(NowUs(), kernel::Tick{}, effects);
    for (kernel::Event& e : batch) kernel_->Step(NowUs(), std::move(e), effects);
    batch.clear();
    Dispatch(effects);
  }
}

void Engine::Dispatch(std::vector<kernel::Effect>& effects) {
  for (kernel::Effect& effect : effects) {
    if (auto* write = std::get_if<kernel::WriteFrame>(&effect)) {
      journal_queue_.Push(std::move(*write));
    } else if (auto* apply = std::get_if<kernel::Apply>(&effect)) {
      ToApply work{std::move(*apply), {}, {}};
      {
        std::lock_guard lock(written_mutex_);
        auto it = written_.find(work.apply.frame.value);
        HF_CHECK(it != written_.end());
        work.frame = it->second.frame;
        work.positions = std::move(it->second.positions);
        written_.erase(it);
      }
      apply_queue_.Push(std::move(work));
    } else if (auto* reply = std::get_if<kernel::Reply>(&effect)) {
      Answer(std::move(*reply));
    } else if (auto* log = std::get_if<kernel::Log>(&effect)) {
      log_(log->code, log->a, log->b);
    } else {
      std::lock_guard lock(order_mutex_);
      stopped_ = true;
      order_wake_.notify_all();
    }
  }
}

kernel::Ticket Engine::Remember(session::WriteDone done) {
  std::lock_guard lock(tickets_mutex_);
  kernel::Ticket ticket = next_ticket_++;
  tickets_.emplace(ticket, std::move(done));
  return ticket;
}

void Engine::Answer(kernel::Reply reply) {
  session::WriteDone done;
  {
    std::lock_guard lock(tickets_mutex_);
    auto it = tickets_.find(reply.ticket);
    if (it == tickets_.end()) return;
    done = std::move(it->second);
    tickets_.erase(it);
  }
  done({reply.status, reply.term, reply.index, reply.reached, reply.detail});
}

void Engine::Submit(journal::EntryKind kind, Bytes payload, kernel::Wait wait, session::WriteDone done) {
  if (uint16_t f = fatal_; f != 0) return done({static_cast<Code>(f), {}, {}, kernel::Wait::kNone, 0});
  if (stopping_) return done({Code::kStopping, {}, {}, kernel::Wait::kNone, 0});
  kernel::Ticket ticket = Remember(std::move(done));
  Post(kernel::Submit{ticket, kind, std::move(payload), wait});
}

// -- journal

void Engine::WriteFrame(const kernel::WriteFrame& write) {
  // After a frame that found no space, those behind it wait for it: the kernel gives all of them again, in
  // order.
  if (write.number != last_frame_.number.next()) return Post(kernel::FrameFailed{write.number, Code::kFull});
  Written written;
  Status done = SealAndWrite(write, written);
  if (!done) {
    if (done.code() != Code::kFull) Fatal(done.code());
    return Post(kernel::FrameFailed{write.number, done.code()});
  }
  last_frame_ = written.frame;
  if (!written.positions.empty()) chained_ = written.positions.back();
  {
    std::lock_guard lock(written_mutex_);
    written_.emplace(write.number.value, std::move(written));
  }
  Post(kernel::FrameStable{write.number});
}

Status Engine::SealAndWrite(const kernel::WriteFrame& write, Written& written) {
  journal::Frame frame;
  frame.kind = write.kind;
  frame.number = write.number;
  frame.term = write.term;
  frame.vote = opened_->member;
  frame.watermark = write.watermark;
  frame.before = last_frame_;
  frame.first_index = write.first_index;
  frame.chain_before = chained_.chain;
  frame.entries = *write.entries;
  journal::LogPosition at = chained_;
  written.positions.reserve(frame.entries.size());
  for (const journal::Entry& e : frame.entries) {
    at = journal::Extend(opened_->secrets.keys.chain, at, e);
    written.positions.push_back(at);
  }
  seal::DomainKeys keys;
  Epoch epoch;
  {
    std::shared_lock lock(state_lock_);
    epoch = opened_->state->keyring().current_epoch();
    HF_TRY(keys, opened_->state->keyring().JournalKeys(epoch));
  }
  journal::SealedFrame sealed =
      journal::SealFrame({opened_->secrets.store, opened_->member}, keys, epoch, frame, random_);
  written.frame = {frame.number, sealed.digest};
  std::lock_guard writing(write_mutex_);
  if (frame.kind == journal::FrameKind::kClosing) {
    HF_TRY_VOID(opened_->writer->Close(frame.number, sealed));
    closing_written_ = true;
    return Ok();
  }
  return opened_->writer->Write(frame.number, sealed);
}

// -- applier

Status Engine::ApplyOne(const journal::Entry& entry, const journal::LogPosition& at,
                        const journal::FramePosition& frame, store::Outcome& outcome) {
  store::View view = CurrentView();
  ReaderNodes nodes(storage_, view.base, nodes_);
  HF_TRY(store::State::Prepared prepared, opened_->state->Prepare(entry, view, nodes));
  if (entry.kind ==
      journal::EntryKind::kSavePoint) {  // the save before it must be done (D1: in order, never merged)
    std::unique_lock lock(applied_mutex_);
    save_wake_.wait(lock, [&] { return !saving_ || fatal_ != 0; });
    if (fatal_ != 0) return static_cast<Code>(fatal_.load());
  }
  std::vector<store::Change> changes;
  const store::SavePoint* save = nullptr;
  {
    std::unique_lock lock(state_lock_);
    outcome = opened_->state->Commit(prepared, at, &changes);
    save = entry.kind == journal::EntryKind::kSavePoint ? opened_->state->saving() : nullptr;
  }
  watches_.Publish(at.index, changes);
  if (entry.kind == journal::EntryKind::kDropTable && outcome.ok()) {
    auto drop = kernel::DecodeDropTable(entry.payload);
    if (drop) watches_.DropTable(drop->table);
  }
  {
    std::lock_guard lock(applied_mutex_);
    applied_ = at.index;
    applied_now_.store(at.index.value, std::memory_order_release);
    if (save != nullptr) saving_ = true;
    applied_wake_.notify_all();
  }
  if (save != nullptr) save_queue_.Push({save, frame});
  return Ok();
}

void Engine::ApplyEntries(ToApply work) {
  kernel::Applied applied;
  for (size_t i = 0; i < work.apply.entries->size(); ++i) {
    store::Outcome outcome;
    Status done = fatal_ != 0 ? Status(static_cast<Code>(fatal_.load()))
                              : ApplyOne((*work.apply.entries)[i], work.positions[i], work.frame, outcome);
    // Storage that cannot be read stops applying here for good: going on would skip an entry. Waiters hear
    // why.
    if (!done) Fatal(done.code());
    applied.index = work.positions[i].index;
    kernel::Ticket ticket = work.apply.tickets[i];
    if (ticket != 0) {
      Status status = !done ? done : (outcome.ok() ? Ok() : Status(outcome.code));
      applied.outcomes.push_back({ticket, status, outcome.detail});
    }
  }
  {
    std::shared_lock lock(state_lock_);
    applied.dirty_bytes = opened_->state->dirty_bytes();
  }
  Post(std::move(applied));
}

// -- saver

store::View Engine::CurrentView() {
  std::shared_lock lock(state_lock_);
  return opened_->state->CurrentView();
}

std::vector<store::VersionPtr> Engine::PinnedVersions(const store::VersionPtr& newest) {
  std::lock_guard lock(versions_mutex_);
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
  store::NodeCache cache(kSaveCacheBytes);
  HF_TRY(version, store::RunSave({storage_, opened_->secrets, random_, cache, point, frame, opened_->deleted,
                                  opened_->leftovers, opened_->placement}));
  return Ok();
}

// Root -> barrier -> anchor -> deletes (F2). Nothing here can undo the save; what fails is tried at the next
// one.
Status Engine::AfterSave(const store::SavePoint& point, const store::VersionPtr& version) {
  HF_TRY_VOID(store::WriteAnchor(anchor_, opened_->secrets, point.position, version->manifest.save));
  SaveNumber older(version->manifest.save.value - 1);
  HF_TRY(std::vector<uint32_t> deleted,
         store::DeleteCondemned(storage_, *version, older, PinnedVersions(version)));
  std::mutex m;
  std::condition_variable wake;
  std::optional<Status> cut;
  bool queued = journal_queue_.Push(CutJournal{point.base->manifest.frame.number, [&](Status s) {
                                                 std::lock_guard lock(m);
                                                 cut = s;
                                                 wake.notify_one();
                                               }});
  if (!queued) return Code::kStopping;
  {
    std::unique_lock lock(m);
    wake.wait(lock, [&] { return cut.has_value(); });
  }
  HF_TRY_VOID(std::move(*cut));
  HF_TRY_VOID(storage_.Barrier());
  std::erase_if(opened_->deleted, [&](uint32_t n) { return !version->manifest.segments.contains(n); });
  opened_->deleted.insert(deleted.begin(), deleted.end());
  return Ok();
}

void Engine::RunSave(const store::SavePoint& point, journal::FramePosition frame) {
  std::unique_lock save_lock(save_mutex_);
  store::VersionPtr version;
  Status done;
  for (;;) {
    done = SaveOnce(point, frame, version);
    if (done || done.code() != Code::kFull || stopping_) break;
    log_(Code::kFull, point.position.index.value, 0);
    std::unique_lock lock(applied_mutex_);
    save_wake_.wait_for(lock, kSaveRetry, [&] { return stopping_.load(); });
  }
  if (done) {
    Status after = AfterSave(point, version);
    if (!after) log_(after.code(), point.position.index.value, 1);
    LogIndex index = point.position.index;
    {
      std::lock_guard lock(versions_mutex_);
      versions_.push_back(version);
    }
    {
      std::unique_lock lock(state_lock_);
      opened_->state->SaveDone(version);
    }
    {
      std::lock_guard lock(applied_mutex_);
      saving_ = false;
      save_wake_.notify_all();
    }
    BoundPins();
    Post(kernel::SaveFinished{index, Ok()});
    return;
  }
  if (done.code() != Code::kFull) Fatal(done.code());
  Post(kernel::SaveFinished{point.position.index, done});
}

}  // namespace holdfast::runtime
