#include "hand_port.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "base/codec.h"

namespace holdfast::abuse {
namespace {

using seam::Direction;
using seam::Lane;

// Where a ring is full or nothing comes, it is looked at again after so long.
constexpr int kLookAgainMs = 5;

}  // namespace

Bytes Record(const seam::Envelope& e, uint8_t flags, ByteView payload, std::optional<uint32_t> size) {
  Bytes record;
  Writer(record)
      .U32(size.value_or(static_cast<uint32_t>(payload.size())))
      .U8(e.kind)
      .U8(e.operation)
      .U8(flags)
      .U8(0)
      .U64(e.id)
      .U64(e.head_bytes)
      .U64(e.body_bytes)
      .Raw(payload);
  return record;
}

HandPort::HandPort(uint8_t* memory, int wake_host, int wake_core, int life, seam::HostEndpoint& host,
                   std::function<void()> ended)
    : memory_(memory),
      wake_host_(wake_host),
      wake_core_(wake_core),
      life_(life),
      host_(host),
      ended_(std::move(ended)) {
  for (size_t l = 0; l < seam::kLanes; ++l) {
    Lane lane = static_cast<Lane>(l);
    out_.emplace_back(seam::RingAt(memory, Direction::kToCore, lane));
    in_.emplace_back(seam::RingAt(memory, Direction::kToHost, lane), Direction::kToHost, lane,
                     [](const seam::Envelope&) -> std::optional<uint64_t> { return UINT64_MAX; });
  }
  thread_ = std::thread([this] { Main(); });
}

HandPort::~HandPort() { Stop(); }

void HandPort::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  uint64_t one = 1;
  (void)!::write(wake_host_, &one, sizeof one);
  thread_.join();
}

void HandPort::FromHost(seam::HostToCore message) {
  seam::WireMessage wire = seam::Encode(std::move(message));
  std::optional<Lane> lane = seam::LaneOf(wire.envelope, Direction::kToCore);
  HF_CHECK(lane.has_value());
  Send(*lane, wire);
}

void HandPort::Send(Lane lane, const seam::WireMessage& message) {
  Bytes all = message.head;
  Append(all, message.body);
  const size_t ring = seam::RingAt(memory_, Direction::kToCore, lane).size;
  const size_t piece = std::min(limits::kRecordBytesMax, ring / 2);
  std::lock_guard lock(mutex_);
  size_t at = 0;
  do {
    size_t n = std::min(piece, all.size() - at);
    bool last = at + n == all.size();
    uint8_t flags = static_cast<uint8_t>((at == 0 ? seam::kFirstRecord : 0) | (last ? seam::kLastRecord : 0));
    out_[static_cast<size_t>(lane)].records.push_back(
        Record(message.envelope, flags, ByteView(all).subspan(at, n)));
    at += n;
  } while (at < all.size());
  Flush();
}

void HandPort::SendRecord(Lane lane, Bytes record) {
  std::vector<Bytes> one;
  one.push_back(std::move(record));
  SendRecords(lane, std::move(one));
}

void HandPort::SendRecords(Lane lane, std::vector<Bytes> records) {
  std::lock_guard lock(mutex_);
  for (Bytes& r : records) out_[static_cast<size_t>(lane)].records.push_back(std::move(r));
  Flush();
}

void HandPort::TakeNothing(bool on) {
  holding_ = on;
  uint64_t one = 1;
  (void)!::write(wake_host_, &one, sizeof one);
}

bool HandPort::Taken() {
  std::lock_guard lock(mutex_);
  for (Out& o : out_) {
    auto position = [](uint64_t* p) { return std::atomic_ref<uint64_t>(*p).load(); };
    if (!o.records.empty() || position(o.at.written) != position(o.at.taken)) return false;
  }
  return true;
}

bool HandPort::Flush() {
  bool wrote = false;
  for (Out& o : out_) {
    while (!o.records.empty()) {
      std::optional<size_t> room = o.ring.Free();
      if (!room || *room < o.records.front().size()) break;
      o.ring.Copy(o.records.front());
      o.ring.Publish();
      o.records.pop_front();
      wrote = true;
    }
  }
  if (wrote) WakeCore();
  return wrote;
}

void HandPort::WakeCore() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (std::atomic_ref<uint32_t>(*seam::ReaderSleeps(memory_, Direction::kToCore)).load() == 0) return;
  uint64_t one = 1;
  (void)!::write(wake_core_, &one, sizeof one);
}

bool HandPort::Take() {
  bool any = false;
  for (seam::LaneReader& reader : in_) {
    seam::WireMessage message;
    for (int i = 0; i < 32; ++i) {
      auto step = reader.Next(&message);
      if (step == seam::LaneReader::Step::kNothing) break;
      if (step == seam::LaneReader::Step::kBroken) {
        broken_ = true;
        return any;
      }
      any = true;
      if (step != seam::LaneReader::Step::kMessage) continue;
      auto decoded = seam::DecodeToHost(std::move(message));
      if (decoded) host_.FromCore(std::move(decoded).value());
      message = {};
    }
    if (any && reader.Release()) {
      uint64_t one = 1;
      (void)!::write(wake_core_, &one, sizeof one);
    }
  }
  return any;
}

void HandPort::Main() {
  std::atomic_ref<uint32_t> sleeps(*seam::ReaderSleeps(memory_, Direction::kToHost));
  sleeps.store(1);  // for good: a wake-up too many costs nothing here
  while (!stopping_) {
    bool any = !holding_ && !broken_ && Take();
    {
      std::lock_guard lock(mutex_);
      any = Flush() || any;
    }
    if (any) continue;
    pollfd fds[2] = {{wake_host_, POLLIN, 0}, {life_, POLLIN, 0}};
    (void)::poll(fds, 2, kLookAgainMs);
    uint64_t count = 0;
    (void)!::read(wake_host_, &count, sizeof count);
    if (fds[1].revents == 0) continue;
    while (!holding_ && !broken_ && Take()) {
    }
    return ended_();
  }
}

}  // namespace holdfast::abuse
