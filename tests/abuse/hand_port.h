// The host's end of the channel, written by hand: it puts whatever it is told into the rings, message or
// not, and takes as much or as little as it is told. Where channel::HostPort checks, this does not.
//
//   Send(lane, message)     records as the rules want them, of an envelope that need not be true
//   SendRecord(lane, bytes) bytes that lie where a record should
//   TakeNothing(true)       the core's rings towards us fill
#ifndef HOLDFAST_TESTS_ABUSE_HAND_PORT_H_
#define HOLDFAST_TESTS_ABUSE_HAND_PORT_H_

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "seam/ring.h"

namespace holdfast::abuse {

// One record: its header as given, then the payload.
Bytes Record(const seam::Envelope& envelope, uint8_t flags, ByteView payload,
             std::optional<uint32_t> size = {});

class HandPort final : public seam::CoreEndpoint {
 public:
  // Memory and descriptors belong to the caller and outlive this. `ended`: the core hangs up; once.
  HandPort(uint8_t* memory, int wake_host, int wake_core, int life, seam::HostEndpoint& host,
           std::function<void()> ended);
  ~HandPort() override;

  void FromHost(seam::HostToCore message) override;
  // Cuts by the sizes of head and body, writes the envelope's. A message of no bytes is one record.
  void Send(seam::Lane lane, const seam::WireMessage& message);
  void SendRecord(seam::Lane lane, Bytes record);                 // REQUIRES: smaller than the ring
  void SendRecords(seam::Lane lane, std::vector<Bytes> records);  // nothing of others in between
  void TakeNothing(bool on);
  // The core has taken everything that was sent, of all lanes.
  bool Taken();
  void Stop();  // takes nothing more; joins

 private:
  struct Out {
    explicit Out(const seam::RingMemory& memory) : ring(memory), at(memory) {}
    seam::RingWriter ring;
    seam::RingMemory at;
    std::deque<Bytes> records;
  };
  void Main();
  bool Flush();  // REQUIRES: mutex_ held
  bool Take();
  void WakeCore();

  uint8_t* const memory_;
  const int wake_host_, wake_core_, life_;
  seam::HostEndpoint& host_;
  const std::function<void()> ended_;
  std::mutex mutex_;
  std::vector<Out> out_;
  std::vector<seam::LaneReader> in_;
  std::atomic<bool> stopping_{false}, holding_{false}, broken_{false};
  std::thread thread_;
};

}  // namespace holdfast::abuse

#endif  // HOLDFAST_TESTS_ABUSE_HAND_PORT_H_
