// Ordering and answering: the kernel's steps, by whoever brings an event, and what follows from them.
#include <chrono>
#include <utility>

#include "core/runtime/engine.h"
#include "core/session/answers.h"
#include "seam/metrics.h"

namespace holdfast::runtime {
namespace {

using seam::Metric;
using seam::Metrics;
using sync::MutexLock;

constexpr uint64_t kOrderSleepUsMax = 60'000'000;
// What the journal's thread does itself, since waking another takes longer: the next frame waits for it.
constexpr size_t kEntriesAppliedByJournal = 4, kBytesAppliedByJournal = 16u << 10;
constexpr size_t kAnswersByJournal = 4;

uint64_t NowUs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

// Of a thread that is between BeginWrites and EndWrites: what it brought is ordered at the end. (A thread
// serves one engine at a time.)
thread_local int gathering = 0;
thread_local bool order_owed = false;
thread_local int waiting = 0;

session::WriteReply Refused(Code code) { return {code, {}, {}, kernel::Wait::kNone, 0}; }

}  // namespace

Engine::Waiting::Waiting() { ++waiting; }
Engine::Waiting::~Waiting() { --waiting; }

Engine::Caller Engine::CallerOfClient() { return waiting > 0 ? Caller::kWaiting : Caller::kClient; }

void Engine::Post(kernel::Event event, Caller caller) {
  {
    MutexLock lock(order_mutex_);
    events_.push_back(std::move(event));
    if (caller == Caller::kClient && gathering > 0) {
      order_owed = true;
      return;
    }
    if (ordering_now_) return;  // who orders takes all there are
    ordering_now_ = true;
  }
  OrderAll(caller, false);
}

void Engine::BeginWrites() { ++gathering; }

void Engine::EndWrites() {
  if (--gathering != 0 || !std::exchange(order_owed, false)) return;
  {
    MutexLock lock(order_mutex_);
    if (ordering_now_ || events_.empty()) return;
    ordering_now_ = true;
  }
  OrderAll(Caller::kClient, false);
}

// REQUIRES: ordering_now_ was set by the caller. `tick`: the kernel's own time has come.
void Engine::OrderAll(Caller caller, bool tick) {
  TakenOver mine;
  {
    sync::Playing role(ordering_);
    sync::Busy busy(Metric::kOrderBusy);
    std::vector<kernel::Effect> effects;
    std::deque<kernel::Event> batch;
    if (tick) batch.push_back(kernel::Tick{});
    while (TakeEvents(batch)) {
      uint64_t now = NowUs();
      effects.clear();
      for (kernel::Event& e : batch) kernel_->Step(now, std::move(e), effects);
      Metrics().Add(Metric::kOrderSteps, batch.size());
      batch.clear();
      Dispatch(effects, caller, mine);
    }
  }
  AnswerAll(caller);
  DoTakenOver(mine, caller);
}

// Behind what the batch holds already. False: nothing is left, and nobody orders any more.
bool Engine::TakeEvents(std::deque<kernel::Event>& batch) {
  MutexLock lock(order_mutex_);
  if (batch.empty()) {
    batch.swap(events_);
  } else {
    std::move(events_.begin(), events_.end(), std::back_inserter(batch));
    events_.clear();
  }
  if (!batch.empty()) return true;
  metrics_ = kernel_->metrics();
  full_ = kernel_->full();
  committed_ = kernel_->committed();
  order_due_us_ = kernel_->NextDeadlineUs();
  ordering_now_ = false;
  if (order_due_us_ < order_sleeps_until_us_) order_wake_.NotifyOne();
  if (order_ends_) stopped_wake_.NotifyAll();
  return false;
}

// Its own thread: what is due by time, and what others left.
void Engine::Order() {
  sync::Activity activity(sync::ActivityKind::kOrder);
  MutexLock lock(order_mutex_);
  while (!order_ends_) {
    bool answers = !answers_.empty() && !answering_now_;
    uint64_t now = NowUs(), due = ordering_now_ ? UINT64_MAX : order_due_us_;
    if (answers || due <= now) {
      if (due <= now) ordering_now_ = true;
      lock.Unlock();
      due <= now ? OrderAll(Caller::kOwn, true) : AnswerAll(Caller::kOwn);
      lock.Lock();
      continue;
    }
    order_sleeps_until_us_ = due;
    if (due == UINT64_MAX) {
      order_wake_.Wait(order_mutex_);
    } else {
      order_wake_.WaitFor(order_mutex_, std::chrono::microseconds(std::min(due - now, kOrderSleepUsMax)));
    }
    order_sleeps_until_us_ = 0;
  }
}

void Engine::Dispatch(std::vector<kernel::Effect>& effects, Caller caller, TakenOver& mine) {
  std::deque<kernel::Reply> answers;
  for (kernel::Effect& effect : effects) {
    if (auto* write = std::get_if<kernel::WriteFrame>(&effect)) {
      if (caller == Caller::kWaiting && !mine.write && journal_queue_.TakeOver()) {
        mine.write = std::move(*write);
      } else {
        journal_queue_.Push(std::move(*write));
      }
    } else if (auto* apply = std::get_if<kernel::Apply>(&effect)) {
      bool here = !mine.apply && ApplyHere(*apply, caller) && apply_queue_.TakeOver();
      ToApply work = WorkOf(std::move(*apply));
      if (here) {
        mine.apply = std::move(work);
      } else {
        apply_queue_.Push(std::move(work));
      }
    } else if (auto* reply = std::get_if<kernel::Reply>(&effect)) {
      answers.push_back(std::move(*reply));
    } else if (auto* log = std::get_if<kernel::Log>(&effect)) {
      log_(log->code, log->a, log->b);
    } else if (std::holds_alternative<kernel::MakeReserve>(effect)) {
      journal_queue_.Push(MakeReserve{});
    } else {
      MutexLock lock(order_mutex_);
      stopped_ = true;
      stopped_wake_.NotifyAll();
    }
  }
  if (answers.empty()) return;
  MutexLock lock(order_mutex_);
  std::move(answers.begin(), answers.end(), std::back_inserter(answers_));
}

Engine::ToApply Engine::WorkOf(kernel::Apply apply) {
  ToApply work{std::move(apply), {}, {}};
  MutexLock lock(written_mutex_);
  auto it = written_.find(work.apply.frame.value);
  HF_CHECK(it != written_.end());
  work.frame = it->second.frame;
  work.positions = std::move(it->second.positions);
  written_.erase(it);
  return work;
}

// Whether the thread may apply it: no save point, for which an apply may park, and nothing long where a frame
// would wait for it.
bool Engine::ApplyHere(const kernel::Apply& apply, Caller caller) {
  if (caller != Caller::kWaiting && caller != Caller::kJournal) return false;
  bool journal = caller == Caller::kJournal;
  if (journal && (apply.entries->size() > kEntriesAppliedByJournal || !journal_queue_.empty())) return false;
  for (const journal::Entry& e : *apply.entries) {
    if (e.kind != journal::EntryKind::kBatch) return false;
    if (!journal) continue;
    if (e.payload.size() > kBytesAppliedByJournal) return false;
    auto batch = kernel::DecodeBatchView(e.payload);
    if (!batch || !batch->compares.empty()) return false;
    for (const auto& op : batch->operations) {
      if (op.kind == kernel::OperationKind::kDeleteRange) return false;
    }
  }
  return true;
}

void Engine::DoTakenOver(TakenOver& mine, Caller caller) {
  if (mine.apply) {
    sync::Playing role(applying_);
    ApplyEntries(std::move(*mine.apply), caller);
    apply_queue_.Leave();
  }
  if (mine.write) {
    sync::Playing role(journaling_);
    WriteFrame(*mine.write, caller);
    journal_queue_.Leave();
  }
}

// -- answers

kernel::Ticket Engine::Remember(session::WriteDone done) {
  MutexLock lock(tickets_mutex_);
  kernel::Ticket ticket = next_ticket_++;
  tickets_.emplace(ticket, std::move(done));
  return ticket;
}

// One thread at a time, so that they come in order; not while it orders, so that frames do not wait for them.
void Engine::AnswerAll(Caller caller) {
  MutexLock lock(order_mutex_);
  if (answers_.empty() || answering_now_) return;
  bool may = caller == Caller::kOwn || caller == Caller::kWaiting ||
             (caller == Caller::kJournal && answers_.size() <= kAnswersByJournal);
  if (!may && !order_ends_) return order_wake_.NotifyOne();
  answering_now_ = true;
  std::deque<kernel::Reply> answers;
  while (!answers_.empty()) {
    answers.swap(answers_);
    lock.Unlock();
    {
      session::AnswerScope together;
      for (kernel::Reply& reply : answers) Answer(std::move(reply));
    }
    answers.clear();
    lock.Lock();
  }
  answering_now_ = false;
  if (order_ends_) stopped_wake_.NotifyAll();
}

void Engine::Answer(kernel::Reply reply) {
  session::WriteDone done;
  {
    MutexLock lock(tickets_mutex_);
    auto it = tickets_.find(reply.ticket);
    if (it == tickets_.end()) return;
    done = std::move(it->second);
    tickets_.erase(it);
  }
  if (!reply.status && reply.status.code() == Code::kOverloaded) Metrics().Add(Metric::kRefusedCommands);
  done({reply.status, reply.term, reply.index, reply.reached, reply.detail});
}

void Engine::Submit(journal::EntryKind kind, Bytes payload, kernel::Wait wait, session::WriteDone done) {
  if (uint16_t f = fatal_; f != 0) return done(Refused(static_cast<Code>(f)));
  if (stopping_) return done(Refused(Code::kStopping));
  kernel::Ticket ticket = Remember(std::move(done));
  Post(kernel::Submit{ticket, kind, std::move(payload), wait}, CallerOfClient());
}

}  // namespace holdfast::runtime
