// The trusted core as one object: feeds host messages to kernel, applier and sessions, and sends theirs to
// the host. In this build it runs in the server's process; nothing here knows that.
#ifndef HOLDFAST_CORE_RUNTIME_CORE_H_
#define HOLDFAST_CORE_RUNTIME_CORE_H_

#include <memory>

#include "base/secret.h"
#include "core/kernel/kernel.h"
#include "crypto/random.h"
#include "seam/channel.h"

namespace holdfast::runtime {

struct CoreOptions {
  kernel::Options kernel;
  size_t cache_bytes = limits::kNodeCacheBytesDefault;
  bool discard_tail = false;
  bool has_anchor = true;  // the host answers for Volume::kAnchor
};

// Threads: one orders, one writes the journal, one applies, one saves; sessions have their own.
class Core : public seam::CoreEndpoint {
 public:
  explicit Core(seam::HostEndpoint& host);
  ~Core() override;  // REQUIRES: Stopped was sent, or Start failed

  // Unlocks, opens (an election: docs/format.md, rules C), replays and starts serving; blocking. Ready is
  // sent at the end.
  //   `notes` gets one line for each warning (torn tail dropped, slot unusable, freshness).
  // Errors: every Code an opening can end with; nothing is left running.
  Status Start(SecretBytes passphrase, const CoreOptions& options, std::vector<std::string>* notes);

  // Never blocks. StopRequested: finishes what is accepted, writes the closing frame; CoreStopped is the last
  // message.
  void FromHost(seam::HostToCore message) override;

 private:
  struct State;
  std::unique_ptr<State> s_;
};

// getrandom(2). Stops the program if the kernel has no randomness to give.
crypto::Random& SystemRandom();

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_CORE_H_
