// The pump between the seam's byte streams and gRPC.
//
//   host ──StreamBytes──> TLS ──plaintext──> socketpair ══ gRPC adopts the other end
//        <──StreamBytes──     <──────────────
//
// Nothing is queued without limit, and a slow side stops the other one, in both directions:
//   inward   the host may send what it holds credit for; credit returns as TLS takes bytes in, and TLS
//            takes none while gRPC does not read
//   outward  gRPC is read from only while less than kOutHighWaterBytes wait for the host's credit;
//            nothing is given to the host while its end of the channel has no room
// A peer that takes nothing for limits::kSlowReaderMicroseconds is dropped; when all peers together leave
// limits::kPeerBytesQueuedMax lying, the one with most is.
// So a connection holds at most kStreamWindowBytes + kOutHighWaterBytes + 3 buffers of 64 KiB, which is below
// limits::kConnectionBytesMax. gRPC hears nothing of a peer before the handshake has named its client and the
// client has said something: both within kHandshakeMicrosecondsMax.
//
// What it does not do: read HTTP/2; know the time (ticks of the host bound handshakes and farewells: liveness
// only).
#ifndef HOLDFAST_CORE_SESSION_EDGE_H_
#define HOLDFAST_CORE_SESSION_EDGE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "core/session/tls.h"
#include "seam/channel.h"

namespace holdfast::session {

inline constexpr size_t kStreamWindowBytes = 512u << 10;
inline constexpr size_t kOutHighWaterBytes = 512u << 10;
inline constexpr size_t kHandshakesMax = 128;  // per loop; then the oldest one is dropped
inline constexpr uint64_t kHandshakeMicrosecondsMax = 10'000'000;
inline constexpr uint64_t kFarewellMicrosecondsMax =
    5'000'000;  // to take the last bytes and the close_notify
static_assert(kStreamWindowBytes + kOutHighWaterBytes + (192u << 10) <= limits::kConnectionBytesMax);

struct Peer {
  std::string serial;
  seam::Listener listener{};
};

class Edge {
 public:
  // Gets a connected, non-blocking descriptor to own. Called from the edge's threads.
  using Adopt = std::function<void(int fd, seam::Listener listener)>;

  // REQUIRES: host and adopt outlive Stop().
  Edge(std::shared_ptr<TlsContext> context, seam::HostEndpoint& host, Adopt adopt, size_t threads = 2);
  ~Edge();

  Status Start();  // makes descriptors first, then threads. kIo.
  // Any thread but the edge's own; waits while a loop has limits::kEdgeInboxMax messages to take. Unknown
  // streams are ignored: their last message may have crossed ours.
  void FromHost(seam::HostToCore message);
  // Ends every live connection of this client, without farewell.
  void EndClient(const std::string& serial);
  void RefuseNew();  // from now on new streams are closed at once
  void Stop();       // says farewell to the rest, as far as credit allows; joins
  size_t connections() const;

  // Who is behind a descriptor that was handed out. Descriptor numbers are used in rotation, so that a late
  // question about a closed one finds nobody, not somebody else.
  std::optional<Peer> Identify(int fd) const;

 private:
  class Loop;
  struct Shared;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_EDGE_H_
