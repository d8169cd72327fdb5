// The channel and the core joined, in the process of their own. Opened before the filter of system calls, run
// behind it.
//
//   host ── rings ── CorePort ── CoreServer (first a HostHello, then everything) ── runtime::Core
#ifndef HOLDFAST_BOX_CORE_SERVER_H_
#define HOLDFAST_BOX_CORE_SERVER_H_

#include <memory>

#include "base/result.h"
#include "base/secret.h"
#include "box/inherited.h"

namespace holdfast::box {

class CoreServer {
 public:
  // Maps the channel's memory and takes its descriptors. kChannelBroken, kIo.
  static Result<std::unique_ptr<CoreServer>> Open(const Inherited& inherited);
  ~CoreServer();

  // Answers the host's hello (another version: both numbers are logged, CoreStopped kChannelVersion), opens
  // the store, serves until the host orders the stop; CoreStopped is the last message. An error instead of a
  // passphrase becomes CoreStopped with its code. The exit code.
  // When the channel breaks or the host dies the process ends at once from within, with a line on stderr.
  int Run(Result<SecretBytes> passphrase, uint32_t isolation);

 private:
  class State;
  explicit CoreServer(std::unique_ptr<State> s);
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::box

#endif  // HOLDFAST_BOX_CORE_SERVER_H_
