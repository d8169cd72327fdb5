#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

#include "channel/wire_end_internal.h"
#include "seam/metrics.h"
#include "sync/activity.h"

namespace holdfast::channel {
namespace {

using seam::Lane;
using seam::LaneReader;
using seam::Metric;

// Steps of one lane before the next has its turn, so that a flood on one holds up none of the others.
constexpr int kStepsPerTurn = 32;
// While busy the lifeline is looked at now and then.
constexpr int kTurnsPerLook = 4096;

// How long the journal's reader sleeps before it looks whether the channel has ended.
constexpr timespec kJournalLook = {0, 100'000'000};

std::atomic_ref<uint32_t> Flag(uint32_t* p) { return std::atomic_ref<uint32_t>(*p); }

// Shared between the processes, so not FUTEX_PRIVATE_FLAG.
void Futex(uint32_t* word, int operation, uint32_t value, const timespec* timeout) {
  (void)::syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

}  // namespace

WireEnd::~WireEnd() {
  Stop();
  ::munmap(memory_, seam::ChannelMemoryBytes());
  for (int fd : {wake_me_, wake_peer_, life_}) {
    if (fd >= 0) ::close(fd);
  }
}

void WireEnd::Start(Handlers handlers) {
  handlers_ = std::move(handlers);
  for (size_t l = 0; l < seam::kLanes; ++l) {
    Lane lane = static_cast<Lane>(l);
    readers_.emplace_back(seam::RingAt(memory_, In(), lane), In(), lane, handlers_.permit);
  }
  thread_ = std::thread([this] { Main(); });
  if (handlers_.journal_apart) journal_thread_ = std::thread([this] { JournalMain(); });
}

void WireEnd::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  uint64_t one = 1;
  (void)!::write(wake_me_, &one, sizeof one);
  thread_.join();
  if (!journal_thread_.joinable()) return;
  Futex(seam::JournalReaderSleeps(memory_), FUTEX_WAKE, 1, nullptr);
  journal_thread_.join();
}

void WireEnd::End(Code code) {
  if (!ended_.exchange(true) && handlers_.events.ended) handlers_.events.ended(code);
}

void WireEnd::WakePeer() {
  // With the writer's publication before it and the reader's second look after its flag, one of the two sees
  // the other: the fence keeps both stores before both loads.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (Flag(seam::ReaderSleeps(memory_, out_)).load(std::memory_order_seq_cst) == 0) return;
  uint64_t one = 1;
  (void)!::write(wake_peer_, &one, sizeof one);
}

// As above; the core writes for that reader, and a host that never sleeps there never sets the flag.
void WireEnd::WakeJournalReader() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uint32_t* word = seam::JournalReaderSleeps(memory_);
  if (Flag(word).load(std::memory_order_seq_cst) == 0) return;
  Flag(word).store(0, std::memory_order_seq_cst);
  Futex(word, FUTEX_WAKE, 1, nullptr);
}

// Into the ring as far as it goes. What stays asks for room, then looks once more: room may have come
// between.
bool WireEnd::FlushOne(Outgoing& o, bool* wrote) {
  const uint64_t before = o.lane.waiting_bytes();
  if (!o.lane.Flush(wrote)) return false;
  if (o.lane.waiting()) {
    o.lane.WantRoom(true);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!o.lane.Flush(wrote)) return false;
  }
  if (!o.lane.waiting() && o.waiting.load(std::memory_order_relaxed)) o.lane.WantRoom(false);
  o.waiting.store(o.lane.waiting(), std::memory_order_seq_cst);
  queued_bytes_ -= before - o.lane.waiting_bytes();
  return true;
}

void WireEnd::Send(seam::WireMessage message) {
  std::optional<Lane> lane = seam::LaneOf(message.envelope, out_);
  HF_CHECK(lane.has_value());  // we sent what our own table forbids
  if (ended_.load(std::memory_order_relaxed)) return;
  Outgoing& o = *writers_[static_cast<size_t>(*lane)];
  bool wrote = false, whole = true, stalled = false;
  {
    sync::MutexLock lock(o.mutex);
    queued_bytes_ += message.head.size() + message.body.size() + seam::kRecordHeaderBytes;
    o.lane.Push(std::move(message));
    whole = FlushOne(o, &wrote);
    stalled = o.lane.waiting_messages() > limits::kChannelQueueMessagesMax;
    if (*lane == Lane::kStream && o.lane.waiting_bytes() > limits::kChannelStreamQueueBytes) {
      stream_room_.store(false, std::memory_order_relaxed);
    }
  }
  if (wrote) *lane == Lane::kJournal&& out_ == seam::Direction::kToHost ? WakeJournalReader() : WakePeer();
  if (!whole) End(Code::kChannelBroken);
  if (stalled) End(Code::kHostStalls);
  seam::Metrics().Add(Metric::kChannelOut);
}

bool WireEnd::FlushWaiting(bool* wrote) {
  for (size_t l = 0; l < writers_.size(); ++l) {
    Outgoing& o = *writers_[l];
    if (!o.waiting.load(std::memory_order_seq_cst)) continue;
    bool room = false;
    {
      sync::MutexLock lock(o.mutex);
      if (!FlushOne(o, wrote)) return false;
      if (static_cast<Lane>(l) == Lane::kStream && !stream_room_.load(std::memory_order_relaxed) &&
          o.lane.waiting_bytes() < limits::kChannelStreamQueueBytes / 2) {
        stream_room_.store(true, std::memory_order_relaxed);
        room = true;
      }
    }
    if (room && handlers_.room) handlers_.room();
  }
  return true;
}

bool WireEnd::ReadLane(LaneReader& reader, bool* any) {
  seam::WireMessage message;
  bool took = false;
  for (int i = 0; i < kStepsPerTurn; ++i) {
    LaneReader::Step step = reader.Next(&message);
    if (step == LaneReader::Step::kNothing) break;
    if (step == LaneReader::Step::kBroken) return false;
    took = true;
    if (step == LaneReader::Step::kMessage) {
      seam::Metrics().Add(Metric::kChannelIn);
      handlers_.deliver(std::move(message));
      message = seam::WireMessage();
    } else if (step == LaneReader::Step::kRefused) {
      seam::Metrics().Add(Metric::kChannelRefused);
      if (handlers_.events.refused)
        handlers_.events.refused(message.envelope.kind, message.envelope.operation);
    }
  }
  if (!took) return true;
  *any = true;
  if (reader.Release()) {  // the peer waits for the room that we made; it sleeps in poll like us
    uint64_t one = 1;
    (void)!::write(wake_peer_, &one, sizeof one);
  }
  return true;
}

bool WireEnd::ReadLanes(bool* any) {
  for (size_t l = 0; l < readers_.size(); ++l) {
    if (!Apart(l) && !ReadLane(readers_[l], any)) return false;
  }
  return true;
}

bool WireEnd::Idle() {
  for (size_t l = 0; l < readers_.size(); ++l) {
    if (!Apart(l) && !readers_[l].Empty()) return false;
  }
  return true;
}

void WireEnd::JournalMain() {
  LaneReader& reader = readers_[static_cast<size_t>(Lane::kJournal)];
  uint32_t* word = seam::JournalReaderSleeps(memory_);
  while (!stopping_ && !ended_) {
    bool any = false;
    if (!ReadLane(reader, &any)) return End(Code::kChannelBroken);
    if (any) continue;
    Flag(word).store(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (reader.Empty() && !stopping_) Futex(word, FUTEX_WAIT, 1, &kJournalLook);
    Flag(word).store(0, std::memory_order_seq_cst);
  }
}

bool WireEnd::Sleep() {
  pollfd fds[2] = {{wake_me_, POLLIN, 0}, {life_, POLLIN, 0}};
  (void)::poll(fds, 2, -1);
  uint64_t count = 0;
  (void)!::read(wake_me_, &count, sizeof count);
  seam::Metrics().Add(Metric::kChannelWakeups);
  // The lifeline carries nothing: anything on it is an end.
  return fds[1].revents == 0;
}

void WireEnd::Main() {
  sync::Activity activity(sync::ActivityKind::kChannel);
  auto sleeps = Flag(seam::ReaderSleeps(memory_, In()));
  int turns = 0;
  while (!stopping_ && !ended_) {
    bool any = false, wrote = false;
    if (!ReadLanes(&any) || !FlushWaiting(&wrote)) return End(Code::kChannelBroken);
    if (wrote) {
      WakePeer();
      if (out_ == seam::Direction::kToHost) WakeJournalReader();
    }
    seam::Metrics().Set(Metric::kChannelQueued, queued_bytes_);
    if (any || wrote) {
      if (++turns % kTurnsPerLook != 0) continue;
      pollfd life = {life_, POLLIN, 0};
      if (::poll(&life, 1, 0) > 0) return End(Code::kPeerGone);
      continue;
    }
    sleeps.store(1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    bool alive = !Idle() || Sleep();
    sleeps.store(0, std::memory_order_seq_cst);
    if (!alive) {
      // What the other side sent before it ended is still delivered: its last words say why.
      for (bool more = true; more;) {
        more = false;
        if (!ReadLanes(&more)) break;
      }
      return End(Code::kPeerGone);
    }
  }
}

bool WireEnd::Drain(int timeout_ms) {
  auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (std::chrono::steady_clock::now() < until && !ended_) {
    bool empty = true;
    for (auto& o : writers_) empty = empty && !o->waiting.load(std::memory_order_seq_cst);
    if (empty) return true;
    ::poll(nullptr, 0, 1);
  }
  return false;
}

}  // namespace holdfast::channel
