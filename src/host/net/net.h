// The host's listeners: TCP on one side, the seam's byte streams on the other. It sees ciphertext, sizes and
// timing.
//
// One thread, epoll, non-blocking sockets. Bounded: a connection is read from only while the core has granted
// credit, and the core may send only kNetWindowBytes that the peer has not yet taken. At most
// limits::kConnectionsMax connections; beyond it, waiting ones stay in the kernel's backlog. A descriptor
// shortage pauses accepting, no more.
#ifndef HOLDFAST_HOST_NET_NET_H_
#define HOLDFAST_HOST_NET_NET_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "seam/channel.h"

namespace holdfast::host {

inline constexpr size_t kNetWindowBytes = 512u << 10;

class Net {
 public:
  // REQUIRES: core outlives Stop().
  explicit Net(seam::CoreEndpoint& core);
  ~Net();

  Status Start();  // descriptors and the thread; before the first Listen. kIo.
  // `address` is an IPv4 or IPv6 literal; port 0 picks one. The port that it listens on; accepts when it
  // returns. errors  kInvalidArgument (no literal), kInUse, kPermission, kIo
  Result<uint16_t> Listen(seam::Listener listener, const std::string& address, uint16_t port);

  // From the core. Any thread; never block: the caller's thread gives to the kernel what it takes. Unknown
  // streams are ignored: they may have ended in the meantime.
  void FromCore(seam::StreamBytes message);
  void FromCore(seam::StreamClosed message);
  void FromCore(seam::StreamCredit message);

  void StopListening();  // no new connections; live ones go on
  void Stop();           // ends all connections; what the core sent before is given to the kernel; joins

  size_t connections() const;

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_NET_NET_H_
