// What programs and administrators talk to: TLS and gRPC over the seam's byte streams, in front of a Backend.
//
// Two gRPC servers, so that no mistake in a check can reach across: streams of Listener::kUser get the Kv
// service and nothing else, streams of Listener::kAdmin the Admin service and nothing else, and only for
// clients with the admin flag. Nothing here logs, and no error holds keys, values, names or secrets.
#ifndef HOLDFAST_CORE_SESSION_SERVER_H_
#define HOLDFAST_CORE_SESSION_SERVER_H_

#include <memory>

#include "base/limits.h"
#include "core/session/backend.h"
#include "crypto/random.h"
#include "seam/channel.h"

namespace holdfast::session {

struct ServerOptions {
  size_t edge_threads = 2;
  size_t read_threads = 4;                                  // for calls that may wait for storage
  size_t watches_max = limits::kWatchesMax;                 // then kTooManyWatches
  size_t session_streams_max = limits::kSessionStreamsMax;  // then kTooManyStreams
  size_t waits_max = limits::kWaitsMax;                     // then kTooManyWaits
};

class SessionServer {
 public:
  // REQUIRES: all three outlive Stop().
  SessionServer(Backend& backend, seam::HostEndpoint& host, crypto::Random& random,
                ServerOptions options = {});
  ~SessionServer();

  // Reads PKI and clients from the backend (blocking), then accepts streams.
  // errors  kMissing (no PKI rows), kMalformed, kIo, or the backend's
  Status Start();
  // Stream messages and ticks; others are ignored. Any thread; never blocks.
  void FromHost(seam::HostToCore message);
  // The client rows have changed behind our back: reads them again and ends who may no longer connect. Not
  // blocking.
  void RevocationsChanged();
  // Refuses new streams, lets calls finish for `grace_ms`, then cancels them; says farewell; joins. Once.
  void Stop(uint64_t grace_ms);

  size_t connections() const;

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_SERVER_H_
