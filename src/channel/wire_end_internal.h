// What both ends have in common: mapped memory, four lanes out, four lanes in, a reader thread.
#ifndef HOLDFAST_CHANNEL_WIRE_END_INTERNAL_H_
#define HOLDFAST_CHANNEL_WIRE_END_INTERNAL_H_

#include <array>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "channel/port.h"
#include "seam/ring.h"
#include "sync/mutex.h"

namespace holdfast::channel {

class WireEnd {
 public:
  struct Handlers {
    std::function<void(seam::WireMessage)> deliver;
    seam::LaneReader::Permit permit;
    std::function<void()> room;  // the stream lane's queue has become short again
    bool journal_apart = false;  // its lane has a reader of its own, whose thread may block in `deliver`
    Events events;
  };
  // `out`: the direction this end writes. `wake_peer`, `wake_me`, `life` are owned from now on.
  WireEnd(uint8_t* memory, seam::Direction out, int wake_me, int wake_peer, int life)
      : memory_(memory), out_(out), wake_me_(wake_me), wake_peer_(wake_peer), life_(life) {
    for (size_t l = 0; l < seam::kLanes; ++l) {
      writers_.push_back(std::make_unique<Outgoing>(seam::RingAt(memory, out, static_cast<seam::Lane>(l))));
    }
  }
  ~WireEnd();

  void Start(Handlers handlers);
  void Send(seam::WireMessage message);
  void Stop();
  bool RoomForStreams() const { return stream_room_.load(std::memory_order_relaxed); }
  bool Drain(int timeout_ms);

 private:
  struct Outgoing {
    explicit Outgoing(const seam::RingMemory& ring) : lane(ring) {}
    sync::Mutex mutex{sync::LockName::kChannel};
    seam::LaneWriter lane HF_GUARDED_BY(mutex);
    std::atomic<bool> waiting{false};  // lane.waiting(), for who only looks
  };
  seam::Direction In() const {
    return out_ == seam::Direction::kToHost ? seam::Direction::kToCore : seam::Direction::kToHost;
  }
  void Main();
  void JournalMain();
  void WakeJournalReader();
  bool Apart(size_t lane) const {
    return handlers_.journal_apart && lane == static_cast<size_t>(seam::Lane::kJournal);
  }
  bool ReadLanes(bool* any);
  bool ReadLane(seam::LaneReader& reader, bool* any);
  bool FlushWaiting(bool* wrote);
  bool FlushOne(Outgoing& o, bool* wrote) HF_REQUIRES(o.mutex);
  bool Idle();
  bool Sleep();  // false: the other process has ended
  void WakePeer();
  void End(Code code);

  uint8_t* const memory_;
  const seam::Direction out_;
  const int wake_me_, wake_peer_, life_;
  Handlers handlers_;
  std::vector<std::unique_ptr<Outgoing>> writers_;
  std::vector<seam::LaneReader> readers_;
  std::atomic<bool> stopping_{false}, ended_{false}, stream_room_{true};
  std::atomic<uint64_t> queued_bytes_{0};
  std::thread thread_, journal_thread_;
};

}  // namespace holdfast::channel

#endif  // HOLDFAST_CHANNEL_WIRE_END_INTERNAL_H_
