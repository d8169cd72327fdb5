#include "core/kernel/kernel.h"

#include <algorithm>

#include "core/kernel/command.h"
#include "core/kernel/kernel_parts_internal.h"

namespace holdfast::kernel {
namespace {

using journal::Entry;
using journal::EntryKind;
using journal::FrameKind;

constexpr uint64_t kNever = UINT64_MAX;
// A host may jump its clock to the end of time; no single jump may use up ours.
constexpr uint64_t kClockStepMaxUs = 366ull * 24 * 3600 * 1'000'000;
constexpr uint64_t kEwmaWeight = 8;              // a measurement counts for one eighth
constexpr uint32_t kSavesThatGiveBack = 2;       // what one condemns goes after the next (rule D3)
constexpr uint64_t kWorthASaveBytes = 1u << 20;  // each condemns a few nodes of the system tables

constexpr uint64_t Plus(uint64_t a, uint64_t b) { return a > kNever - b ? kNever : a + b; }
constexpr uint64_t Micros(uint64_t ms) { return ms > kNever / 1000 ? kNever : ms * 1000; }

}  // namespace

struct Kernel::State {
  Options options;
  std::unique_ptr<consensus::Consensus> consensus;
  std::vector<Effect>* out = nullptr;  // of the step under way

  // Our own clock: the host's forward steps added up, so that a jump back neither stops nor rewinds a timer.
  bool started = false;
  uint64_t host_us = 0, now_us = 0;

  // Invariant: a sync is never first in `pending`; it follows the entry it waits for.
  std::deque<Pending> pending;
  size_t pending_bytes = 0, pending_entries = 0, pending_urgent = 0, syncs = 0;
  std::deque<Flight> flights;       // written or being written, oldest first
  std::deque<Flight> uncommitted;   // stable here, not yet on a quorum
  std::deque<Unapplied> unapplied;  // handed to the applier
  size_t unapplied_entries = 0, unapplied_bytes = 0;
  std::deque<Waiter> waiters;  // by index

  FrameNumber next_frame;
  LogIndex stable, handed, applied;
  uint64_t last_cut_us = 0, last_cut_bytes = 0, last_commit_us = 0;
  bool measured = false;

  bool full = false;
  uint64_t retry_us = 0;
  bool low = false;            // the reserve was given up
  uint64_t reserve_us = 0;     // when to try to make it again
  uint32_t saves_owed = 0;     // while low: so that what was set free is deleted
  std::optional<Code> failed;  // nothing will be written any more
  bool stopping = false, closing = false, stopped = false;

  std::vector<SaveRequest> save_requests;
  bool save_wanted = false;  // its save point goes into the next frame
  LogIndex save_index;       // of the save that runs; 0 = none
  LogIndex last_save;
  uint64_t last_save_us = 0, save_not_before_us = 0;
  uint64_t dirty_bytes = 0, save_at = UINT64_MAX;
  std::optional<uint64_t> save_dirty_bytes;  // what the running save will clean

  Metrics metrics;

  void Emit(Effect effect) { out->push_back(std::move(effect)); }
  void Answer(Ticket ticket, Status status, LogIndex index = LogIndex(), Wait reached = Wait::kNone,
              uint64_t detail = 0);
  void AdvanceClock(uint64_t host);

  void On(Submit& e);
  void On(Sync& e);
  void On(RequestSave& e);
  void On(FrameStable& e);
  void On(FrameFailed& e);
  void On(Applied& e);
  void On(SaveFinished& e);
  void On(SpaceLow& e);
  void On(Tick&) {}
  void On(Stop&);

  void Advance();
  void RetryRefused();
  void RefuseWhatTakesSpace();
  void ConsiderSave();
  void CutWave();
  void CutOne(FrameKind kind, EntryKind entry, Bytes payload);
  void Cut(FrameKind kind, std::vector<Pending> items, size_t entries, size_t bytes);
  void HandCommitted();
  void ConsiderClosing();
  void Fail(Code code);

  bool save_active() const { return save_wanted || save_index.value != 0; }
  bool save_running() const { return save_index.value != 0 && save_index <= consensus->committed(); }
  bool all_refused() const {
    return !flights.empty() &&
           std::all_of(flights.begin(), flights.end(), [](const Flight& f) { return f.refused; });
  }
  bool can_write() const {
    return !failed && !full && !closing && consensus->is_leader() &&
           flights.size() < options.waves_in_flight_max;
  }
  // Memory that only the applier or a save can free: waves wait. A clean stop does not: what is left is
  // bounded.
  bool held() const {
    return (dirty_bytes >= options.dirty_bytes_max && !stopping) ||
           unapplied_bytes >= options.pending_bytes_max || unapplied_entries >= options.pending_commands_max;
  }
  uint64_t dirty_trigger() const {
    return std::min({options.dirty_bytes_save, options.dirty_bytes_max, save_at});
  }
  uint64_t WaveDueUs() const;
  uint64_t WaveWantedUs() const;
  uint64_t PacedUntilUs() const;
  uint64_t SaveDueUs() const;
  uint64_t ReserveDueUs() const;
};

void Kernel::State::Answer(Ticket ticket, Status status, LogIndex index, Wait reached, uint64_t detail) {
  if (ticket == 0) return;
  Emit(Reply{ticket, status, consensus->term(), index, reached, detail});
}

void Kernel::State::AdvanceClock(uint64_t host) {
  if (started && host > host_us) now_us = Plus(now_us, std::min(host - host_us, kClockStepMaxUs));
  started = true;
  host_us = host;
}

// -- what clients ask

void Kernel::State::On(Submit& e) {
  Code refusal{};
  if (failed) {
    refusal = *failed;
  } else if (stopping) {
    refusal = Code::kStopping;
  } else if (full || (low && TakesSpace(e.kind, e.payload))) {
    refusal = Code::kFull;
  } else if (e.kind == EntryKind::kOpened || e.kind == EntryKind::kSavePoint ||
             e.kind == EntryKind::kClosed) {
    refusal = Code::kInvalidArgument;  // these are the opening's and our own: a stranger's would break "never
                                       // two saves"
  } else if (e.payload.size() > kCommandBytesMax) {
    refusal = Code::kTooLarge;
  } else if (!consensus->is_leader()) {
    refusal = Code::kNotLeader;
  } else if (pending_entries >= options.pending_commands_max ||
             e.payload.size() >
                 options.pending_bytes_max - std::min(options.pending_bytes_max, pending_bytes)) {
    refusal = Code::kOverloaded;
    ++metrics.overloaded;
  }
  if (refusal != Code{}) {
    if (e.ticket == 0) Emit(Log{refusal});
    return Answer(e.ticket, refusal);
  }
  if (low) saves_owed = kSavesThatGiveBack + 1;  // the next save point may come before it
  pending_bytes += e.payload.size();
  ++pending_entries;
  if (e.ticket != 0 && e.wait == Wait::kDurable) ++pending_urgent;
  pending.push_back({e.ticket, e.kind, std::move(e.payload), e.wait, false});
}

void Kernel::State::On(Sync& e) {
  if (failed) return Answer(e.ticket, *failed);
  if (stopping) return Answer(e.ticket, Code::kStopping);
  if (syncs >= options.pending_commands_max) {
    ++metrics.overloaded;
    return Answer(e.ticket, Code::kOverloaded);
  }
  const LogIndex last = consensus->last();
  if (!pending.empty()) {
    pending.push_back({e.ticket, {}, {}, Wait::kDurable, true});
    ++pending_urgent;
    ++syncs;
  } else if (applied < last) {
    waiters.push_back({last, consensus->term(), e.ticket, true});
    ++syncs;
  } else {
    Answer(e.ticket, Ok(), applied, Wait::kDurable);
  }
}

void Kernel::State::On(RequestSave& e) {
  if (failed) return Answer(e.ticket, *failed);
  if (stopping) return Answer(e.ticket, Code::kStopping);
  if (full) return Answer(e.ticket, Code::kFull);
  if (save_requests.size() >= options.pending_commands_max) {
    ++metrics.overloaded;
    return Answer(e.ticket, Code::kOverloaded);
  }
  save_requests.push_back({e.ticket, consensus->committed()});
}

void Kernel::State::On(Stop&) {
  if (stopping) return;
  stopping = true;
  if (save_requests.empty()) save_wanted = false;
  // A stop does not wait for space: one more try now, and what it cannot write fails.
  if (full) retry_us = now_us;
}

// -- what storage reports

void Kernel::State::On(FrameStable& e) {
  if (failed) return;
  const auto known = [&](const Flight& f) { return f.write.number == e.number; };
  const auto it = std::find_if(flights.begin(), flights.end(), known);
  if (it == flights.end()) return Emit(Log{Code::kInvalidArgument, e.number.value});
  // Out of order, or after it was refused: then nothing this executor says about durability can be believed.
  if (it != flights.begin() || it->refused) return Fail(Code::kInternal);

  Flight flight = std::move(flights.front());
  flights.pop_front();
  full = std::any_of(flights.begin(), flights.end(), [](const Flight& f) { return f.refused; });
  if (!flight.again) {
    const uint64_t sample = std::max<uint64_t>(1, now_us - flight.cut_us);
    uint64_t& ewma = metrics.commit_us_ewma;
    ewma = measured ? (ewma * (kEwmaWeight - 1) + sample) / kEwmaWeight : sample;
    measured = true;
  }
  last_commit_us = now_us;
  stable = flight.last;
  consensus->LocalStable(stable);
  uncommitted.push_back(std::move(flight));
  HandCommitted();
}

void Kernel::State::HandCommitted() {
  while (!uncommitted.empty() && uncommitted.front().last <= consensus->committed()) {
    Flight flight = std::move(uncommitted.front());
    uncommitted.pop_front();
    const WriteFrame& w = flight.write;
    handed = flight.last;
    unapplied.push_back({flight.last, w.entries->size(), flight.bytes});
    unapplied_entries += w.entries->size();
    unapplied_bytes += flight.bytes;
    Emit(Apply{w.first_index, w.number, w.entries, std::move(flight.tickets)});
    if (w.kind == FrameKind::kClosing) {
      stopped = true;
      Emit(Stopped{});
    }
  }
}

void Kernel::State::On(FrameFailed& e) {
  if (failed) return;
  const auto known = [&](const Flight& f) { return f.write.number == e.number; };
  const auto it = std::find_if(flights.begin(), flights.end(), known);
  if (it == flights.end()) return Emit(Log{Code::kInvalidArgument, e.number.value});
  if (e.code != Code::kFull || stopping) return Fail(e.code);
  if (!full) Emit(Log{Code::kFull, e.number.value});
  it->refused = true;
  full = true;
  retry_us = Plus(now_us, Micros(options.full_retry_ms));
}

// Nothing will be written any more. What is committed is still applied and answered; the rest gets `code`, in
// log order.
void Kernel::State::Fail(Code code) {
  failed = code;
  Emit(Log{code, flights.empty() ? 0 : flights.front().write.number.value});
  const LogIndex committed = consensus->committed();
  const auto lost =
      std::find_if(waiters.begin(), waiters.end(), [&](const Waiter& w) { return w.index > committed; });
  for (auto w = lost; w != waiters.end(); ++w) {
    if (w->is_sync) --syncs;
    Answer(w->ticket, code);
  }
  waiters.erase(lost, waiters.end());
  for (const Pending& p : pending) {
    if (p.is_sync) --syncs;
    Answer(p.ticket, code);
  }
  pending.clear();
  pending_bytes = pending_entries = pending_urgent = 0;
  flights.clear();
  uncommitted.clear();
  full = false;
  save_wanted = false;
  if (!save_running()) save_index = LogIndex();
  std::erase_if(save_requests, [&](const SaveRequest& r) {
    if (save_running() && r.at_least <= save_index) return false;
    Answer(r.ticket, code);
    return true;
  });
}

// -- what the applier and the fold report

void Kernel::State::On(Applied& e) {
  if (e.index > handed) Emit(Log{Code::kInvalidArgument, e.index.value, handed.value});
  applied = std::max(applied, std::min(e.index, handed));
  dirty_bytes = e.dirty_bytes;
  save_at = e.save_at == 0 ? UINT64_MAX : e.save_at;
  if (save_index.value != 0 && applied >= save_index && !save_dirty_bytes) save_dirty_bytes = dirty_bytes;
  while (!unapplied.empty() && unapplied.front().last <= applied) {
    unapplied_entries -= unapplied.front().entries;
    unapplied_bytes -= unapplied.front().bytes;
    unapplied.pop_front();
  }
  // Outcomes come in the order of the tickets; one that is missing means that there was nothing to say but
  // Ok.
  auto next = e.outcomes.begin();
  while (!waiters.empty() && waiters.front().index <= applied) {
    const Waiter w = waiters.front();
    waiters.pop_front();
    Reply reply{w.ticket, Ok(), w.term, w.index, Wait::kDurable, 0};
    if (w.is_sync) {
      --syncs;
    } else {
      const auto mine = [&](const Applied::Outcome& o) { return o.ticket == w.ticket; };
      auto it = std::find_if(next, e.outcomes.end(), mine);
      if (it == e.outcomes.end()) it = std::find_if(e.outcomes.begin(), next, mine);
      if (it != e.outcomes.end() && mine(*it)) {
        reply.status = it->status;
        reply.detail = it->detail;
        next = it + 1;
      }
    }
    Emit(std::move(reply));
  }
}

void Kernel::State::On(SaveFinished& e) {
  const bool ours = save_index.value != 0 && e.index == save_index;
  if (e.index > consensus->committed() || (!e.status && !ours)) {
    return Emit(Log{Code::kInvalidArgument, e.index.value, save_index.value});
  }
  const Wait reached = e.status ? Wait::kDurable : Wait::kNone;
  std::erase_if(save_requests, [&](const SaveRequest& r) {
    if (r.at_least > e.index) return false;
    Answer(r.ticket, e.status, e.index, reached);
    return true;
  });
  if (e.status) {
    last_save = std::max(last_save, e.index);
    last_save_us = now_us;
    ++metrics.saves;
    if (saves_owed > 0) --saves_owed;
    if (low && e.condemned_bytes >= kWorthASaveBytes) saves_owed = std::max(saves_owed, kSavesThatGiveBack);
  } else {
    save_not_before_us = Plus(now_us, Micros(options.full_retry_ms));
    Emit(Log{e.status.code(), e.index.value});
  }
  if (save_index.value == 0 || e.index < save_index) return;
  // No wave may run while dirty bytes are over their limit, so no Applied would tell that the save has
  // cleaned them.
  if (e.status) dirty_bytes -= std::min(dirty_bytes, save_dirty_bytes.value_or(0));
  save_dirty_bytes.reset();
  save_index = LogIndex();
}

void Kernel::State::On(SpaceLow& e) {
  low = e.low;
  if (!low) return;
  Emit(Log{Code::kFull});
  saves_owed = kSavesThatGiveBack;
  reserve_us = Plus(now_us, Micros(options.full_retry_ms));
  RefuseWhatTakesSpace();
}

// In the order in which they came. A sync goes on waiting for what is left before it.
void Kernel::State::RefuseWhatTakesSpace() {
  std::deque<Pending> before;
  before.swap(pending);
  pending_bytes = pending_entries = pending_urgent = 0;
  for (Pending& p : before) {
    if (p.is_sync && pending.empty()) {
      waiters.push_back({consensus->last(), consensus->term(), p.ticket, true});
      continue;
    }
    if (!p.is_sync && TakesSpace(p.kind, p.payload)) {
      Answer(p.ticket, Code::kFull);
      continue;
    }
    if (!p.is_sync) {
      pending_bytes += p.payload.size();
      ++pending_entries;
    }
    if (p.is_sync || (p.ticket != 0 && p.wait == Wait::kDurable)) ++pending_urgent;
    pending.push_back(std::move(p));
  }
}

// -- the schedule: evaluated afresh after every event, so that no state waits for an event that already came

uint64_t Kernel::State::WaveDueUs() const {
  if (pending.empty() || !can_write() || held()) return kNever;
  return std::max(WaveWantedUs(), PacedUntilUs());
}

// The last wave's bytes, paid for with time.
uint64_t Kernel::State::PacedUntilUs() const {
  constexpr uint64_t kSteps = 256;  // of the way
  const uint64_t max = options.dirty_bytes_max, from = max - max / 4;
  if (stopping || !save_running() || dirty_bytes <= from || max < kSteps) return 0;
  const uint64_t way = (std::min(dirty_bytes, max) - from) * kSteps / (max - from);
  const uint64_t full_us = std::min<uint64_t>(last_cut_bytes, limits::kFrameBytesMax) * kPaceUsPerKiB / 1024;
  return Plus(last_cut_us, full_us * way * way / (kSteps * kSteps));
}

uint64_t Kernel::State::WaveWantedUs() const {
  if (stopping || pending_bytes >= options.wave_bytes_cap || pending_entries >= limits::kFrameEntriesMax)
    return 0;
  const uint64_t commit_us = metrics.commit_us_ewma;
  const uint64_t factor = options.wave_timer_factor;
  const uint64_t idle = factor != 0 && commit_us > kNever / factor ? kNever : commit_us * factor;
  uint64_t due = Plus(last_commit_us, std::max(Micros(options.wave_timer_ms_min), idle));
  if (pending_urgent != 0) {
    if (flights.empty()) return 0;
    // As many waves as may be in flight, spread over the time that one takes.
    const uint64_t apart = commit_us / std::max<uint64_t>(1, options.waves_in_flight_max - 1);
    if (measured) due = std::min(due, Plus(last_cut_us, apart));
  }
  return due;
}

uint64_t Kernel::State::SaveDueUs() const {
  if (save_active() || failed || closing) return kNever;
  if (!save_requests.empty()) return 0;
  if (stopping) return kNever;
  uint64_t due = kNever;
  if (dirty_bytes != 0 && dirty_bytes >= dirty_trigger()) due = 0;
  if (options.save_period_ms != 0 && consensus->committed() > last_save) {
    due = std::min(due, Plus(last_save_us, Micros(options.save_period_ms)));
  }
  if (low && saves_owed > 0) due = std::min(due, Plus(last_save_us, Micros(options.full_retry_ms)));
  return due == kNever ? kNever : std::max(due, save_not_before_us);
}

// Not while a save may want the space.
uint64_t Kernel::State::ReserveDueUs() const {
  return !low || full || failed || stopping || save_active() || saves_owed > 0 ? kNever : reserve_us;
}

void Kernel::State::Advance() {
  if (stopped) return;
  RetryRefused();
  for (;;) {
    if (SaveDueUs() <= now_us) save_wanted = true;
    if (save_wanted && can_write()) {
      // Before what is pending, which may be held back until this very save is done; and in a frame of its
      // own, so that a fold begins where an Apply ends.
      save_wanted = false;
      CutOne(FrameKind::kWave, EntryKind::kSavePoint, Encode(SavePoint{}));
      save_index = consensus->last();
    } else if (WaveDueUs() <= now_us) {
      CutWave();
    } else {
      break;
    }
  }
  if (ReserveDueUs() <= now_us) {
    reserve_us = Plus(now_us, Micros(options.full_retry_ms));
    Emit(MakeReserve{});
  }
  ConsiderClosing();
}

void Kernel::State::RetryRefused() {
  // All of them: the executor stops at the first that fails, and order is kept only if it has given up the
  // later ones.
  if (!full || !all_refused() || now_us < retry_us) return;
  ++metrics.full_retries;
  for (Flight& f : flights) {
    f.refused = false;
    f.again = true;
    Emit(f.write);
  }
}

void Kernel::State::CutWave() {
  std::vector<Pending> items;
  size_t entries = 0, bytes = 0, framed = 0;
  while (!pending.empty()) {
    Pending& p = pending.front();
    const size_t size = p.payload.size();
    if (!p.is_sync) {
      if (entries != 0 && (bytes + size > options.wave_bytes_cap || entries == limits::kFrameEntriesMax ||
                           framed + size + kEntryFramingBytes > kFrameContentBytesMax)) {
        break;
      }
      ++entries;
      bytes += size;
      framed += size + kEntryFramingBytes;
    }
    if (p.is_sync || (p.ticket != 0 && p.wait == Wait::kDurable)) --pending_urgent;
    items.push_back(std::move(p));
    pending.pop_front();
  }
  pending_bytes -= bytes;
  pending_entries -= entries;
  Cut(FrameKind::kWave, std::move(items), entries, bytes);
}

void Kernel::State::CutOne(FrameKind kind, EntryKind entry, Bytes payload) {
  const size_t bytes = payload.size();
  std::vector<Pending> items;
  items.push_back({0, entry, std::move(payload), Wait::kDurable, false});
  Cut(kind, std::move(items), 1, bytes);
}

void Kernel::State::Cut(FrameKind kind, std::vector<Pending> items, size_t count, size_t bytes) {
  const Term term = consensus->term();
  const LogIndex first = consensus->Propose(count);
  auto entries = std::make_shared<std::vector<Entry>>();
  entries->reserve(count);
  Flight flight;
  flight.tickets.reserve(count);
  std::vector<Reply> answers;
  LogIndex index(first.value - 1);
  for (Pending& p : items) {
    if (p.is_sync) {
      waiters.push_back({index, term, p.ticket, true});
      continue;
    }
    index = index.next();
    entries->push_back({p.kind, term, std::move(p.payload)});
    const bool durable = p.wait == Wait::kDurable;
    flight.tickets.push_back(durable ? p.ticket : 0);
    if (p.ticket == 0) continue;
    if (durable) {
      waiters.push_back({index, term, p.ticket, false});
    } else {
      answers.push_back({p.ticket, Ok(), term, index, Wait::kNone, 0});
    }
  }
  flight.write = WriteFrame{kind, next_frame, term, stable, first, std::move(entries)};
  next_frame = next_frame.next();
  flight.last = index;
  flight.bytes = last_cut_bytes = bytes;
  flight.cut_us = last_cut_us = now_us;
  ++metrics.waves;
  metrics.entries += count;
  metrics.wave_bytes += bytes;
  Emit(flight.write);
  flights.push_back(std::move(flight));
  for (Reply& r : answers) Emit(std::move(r));
}

void Kernel::State::ConsiderClosing() {
  if (!stopping || (closing && !failed) || !pending.empty() || !flights.empty() || !uncommitted.empty())
    return;
  if (applied < handed || save_active() || !save_requests.empty()) return;
  closing = true;
  if (!failed) return CutOne(FrameKind::kClosing, EntryKind::kClosed, {});
  stopped = true;
  Emit(Stopped{});
}

// -- the surface

Kernel::Kernel(const Options& options, std::unique_ptr<consensus::Consensus> consensus, LogIndex last,
               FrameNumber next_frame)
    : s_(std::make_unique<State>()) {
  s_->options = options;
  s_->options.waves_in_flight_max = std::max<size_t>(1, options.waves_in_flight_max);
  s_->consensus = std::move(consensus);
  s_->stable = s_->handed = s_->applied = last;
  s_->next_frame = next_frame;
}

Kernel::~Kernel() = default;

void Kernel::Step(uint64_t now_us, Event event, std::vector<Effect>& out) {
  s_->out = &out;
  s_->AdvanceClock(now_us);
  std::visit([this](auto& e) { s_->On(e); }, event);
  s_->Advance();
  s_->out = nullptr;
}

uint64_t Kernel::NextDeadlineUs() const {
  if (!s_->started)
    return s_->options.save_period_ms != 0 ? 0 : kNever;  // a period begins with the first event
  if (s_->stopped || s_->failed) return kNever;
  uint64_t due = std::min({s_->WaveDueUs(), s_->SaveDueUs(), s_->ReserveDueUs()});
  if (s_->full && s_->all_refused()) due = std::min(due, s_->retry_us);
  if (due == kNever) return kNever;
  return Plus(s_->host_us, due > s_->now_us ? due - s_->now_us : 0);
}

LogIndex Kernel::committed() const { return s_->consensus->committed(); }
LogIndex Kernel::applied() const { return s_->applied; }
LogIndex Kernel::stable() const { return s_->stable; }
bool Kernel::full() const { return s_->full || s_->low; }

Metrics Kernel::metrics() const {
  Metrics m = s_->metrics;
  m.pending_bytes = s_->pending_bytes;
  m.pending_commands = s_->pending_entries;
  m.in_flight = s_->flights.size();
  return m;
}

}  // namespace holdfast::kernel
