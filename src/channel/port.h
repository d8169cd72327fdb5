// One end of the channel between the host's process and the core's: rings in shared memory (seam/ring.h), an
// eventfd to wake each side, and a pipe that carries nothing and hangs up when the other process ends (not a
// pair of sockets: through those descriptors could travel into the sandbox and out of it).
//
//   host process                                        core process
//   HostPort = the core, seen from the host             CorePort = the host, seen from the core
//   FromHost ─> rings to core ─────────────────────────> reader thread ─> CoreEndpoint::FromHost
//   HostEndpoint::FromCore <─ reader thread <──────────── rings to host <─ FromCore
//
// Sending: the caller's thread copies the message into the ring, or, when it does not fit, into a queue
// behind it that the reader thread empties as the other side takes. That queue is bounded: streams by credit
// and by limits::kChannelStreamQueueBytes (RoomForStreams), storage by the one call that each thread may have
// open, everything by limits::kChannelQueueMessagesMax. A side that does not take ends the channel
// (kHostStalls).
//
// The host reads the journal's lane with a thread of its own, which may block: it makes frames durable
// itself, so that what commits wait for changes threads once less.
//
// Waking: a reader that finds all rings empty says so in shared memory, looks again, and sleeps in poll(2). A
// writer wakes it only then. Nobody spins.
//
// Receiving: a message that breaks a rule is dropped and counted (Metric::kChannelRefused) and told once a
// second at most through `refused`; broken framing or a dead peer ends the channel: `ended` is called once,
// from the reader thread, and nothing is delivered after it.
#ifndef HOLDFAST_CHANNEL_PORT_H_
#define HOLDFAST_CHANNEL_PORT_H_

#include <functional>
#include <memory>

#include "base/result.h"
#include "seam/channel.h"

namespace holdfast::channel {

// Owned by who holds them; -1: none.
struct Descriptors {
  int memory = -1;     // memfd, sealed against resizing
  int wake_core = -1;  // eventfd, non-blocking
  int wake_host = -1;
  int life_host = -1, life_core = -1;  // the pipe: to read, to write; each side keeps its own only
};

// errors  kIo
Result<Descriptors> MakeDescriptors();
void Close(Descriptors& descriptors);

struct Events {
  // kPeerGone, kChannelBroken, kHostStalls (the other side does not take). Reader thread or, for kHostStalls,
  // the thread that sent.
  std::function<void(Code)> ended;
  // A message of that kind and operation was refused. Reader thread.
  std::function<void(uint8_t kind, uint8_t operation)> refused;
};

class HostPort final : public seam::CoreEndpoint {
 public:
  // Takes the memory's and the eventfds' descriptors and life_host. kChannelBroken: the memory is not what
  // MakeDescriptors makes.
  static Result<std::unique_ptr<HostPort>> Open(Descriptors descriptors, seam::HostEndpoint& host,
                                                Events events);
  ~HostPort() override;
  void Start();
  void FromHost(seam::HostToCore message) override;  // after the end: dropped
  void Stop();                                       // joins the reader; not from its own thread

 private:
  class State;
  explicit HostPort(std::unique_ptr<State> s);
  std::unique_ptr<State> s_;
};

class CorePort final : public seam::HostEndpoint {
 public:
  // As above, with life_core. The core's process may open nothing after its filter: descriptors come from
  // here.
  static Result<std::unique_ptr<CorePort>> Open(Descriptors descriptors, Events events);
  ~CorePort() override;
  void Start(seam::CoreEndpoint& core);  // REQUIRES: core outlives Stop()
  void FromCore(seam::CoreToHost message) override;
  bool RoomForStreams() const override;
  void Stop();
  // Waits (at most that long) until the host has taken everything. For the last messages of a process.
  void Drain(int timeout_ms);

 private:
  class State;
  explicit CorePort(std::unique_ptr<State> s);
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::channel

#endif  // HOLDFAST_CHANNEL_PORT_H_
