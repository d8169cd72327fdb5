// The trusted core as one object: feeds host messages to kernel, applier and sessions, and sends theirs to
// the host. Whether that is another process (src/box) or the same (offline tools, tests), nothing here knows.
#ifndef HOLDFAST_CORE_RUNTIME_CORE_H_
#define HOLDFAST_CORE_RUNTIME_CORE_H_

#include <functional>
#include <memory>
#include <string>

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
  uint32_t providers = 1;  // that the host has been told of
  uint32_t isolation = 0;  // bits of seam/isolation.def in force; shown by the status
};

// Threads: one orders, one writes the journal, one applies, one saves; sessions have their own.
class Core : public seam::CoreEndpoint {
 public:
  explicit Core(seam::HostEndpoint& host);
  ~Core() override;  // REQUIRES: Stopped was sent, or Start failed

  // Unlocks, opens (an election: docs/format.md, rules C), replays and starts serving; blocking. Ready is
  // sent at the end.
  //   `note` gets one line for each warning (torn tail dropped, slot unusable, freshness), before Ready.
  // Errors: every Code an opening can end with; nothing is left running.
  Status Start(SecretBytes passphrase, const CoreOptions& options,
               const std::function<void(const std::string& line)>& note);

  // StopRequested: finishes what is accepted, writes the closing frame; CoreStopped is the last message. The
  // same, unasked and with kFenced, when another opener has taken the store.
  // Before Ready everything but storage replies is dropped. May wait for a loop of the edge, never for the
  // host.
  void FromHost(seam::HostToCore message) override;
  std::optional<uint64_t> ReplyBodyMax(seam::RequestId id, seam::StorageOperation operation) override;
  // The host is gone: every wait for storage ends with kStopping. Nothing is acknowledged from here on.
  void HostGone();

 private:
  struct State;
  std::unique_ptr<State> s_;
};

// getrandom(2). Stops the program if the kernel has no randomness to give.
crypto::Random& SystemRandom();

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_CORE_H_
