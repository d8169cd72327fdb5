// The untrusted half of `holdfast serve`: opens the provider, answers the core's storage requests, listens,
// ticks, writes port files, turns SIGTERM and SIGINT into a clean stop. Holds no key and sees ciphertext
// only.
//
//   TemporaryPath/server-admin.port, server-user.port   decimal digits and nothing else; written (temporary
//   name, rename)
//                                                       when the listener accepts, admin before user; removed
//                                                       at the stop
//   TemporaryPath/server-metrics.port                   the same, between the two, if server.yaml has Metrics
//   TemporaryPath/enclave-state-saving.LCK              saving_lock.h
//
//   Open ── Attach ── (the core starts, in its own process or from another call of the owner's) ── Run ──
//   Shutdown
//
// FromCore may be called from any thread and does not block, but for requests of the journal's lane, whose
// sender waits for the reply anyway (StorageLanes). Everything else belongs to one thread, which must be the
// one that makes the process's threads, since Open blocks the signals that Run waits for.
#ifndef HOLDFAST_HOST_RUNTIME_SERVER_H_
#define HOLDFAST_HOST_RUNTIME_SERVER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/runtime/server_config.h"
#include "seam/channel.h"

namespace holdfast::host {

inline constexpr const char* kUserPortFile = "server-user.port";
inline constexpr const char* kAdminPortFile = "server-admin.port";
inline constexpr const char* kMetricsPortFile = "server-metrics.port";
inline constexpr const char* kSavingLockFile = "enclave-state-saving.LCK";
inline constexpr int kMetricsAnswerMs = 1000;  // so long a scrape waits for the core's numbers
inline constexpr int kTickMs = 100;  // for save periods and deadlines; waves are the core's own business

class Server : public seam::HostEndpoint {
 public:
  // Takes the store's lock, makes TemporaryPath, removes port files that a crash left.
  // errors  what OpenStorage says (kInUse kNoStore kReadOnly kPermission kUnreachable kBadUrl …); `why` names
  // what failed
  static Result<std::unique_ptr<Server>> Open(const ServerConfig& config, std::string* why);
  ~Server() override;

  void Attach(seam::CoreEndpoint& core);  // REQUIRES: core outlives Shutdown()
  void FromCore(seam::CoreToHost message) override;
  // The core's process or the channel to it has ended without a CoreStopped: Run returns `code`. Any thread.
  void CoreEnded(Code code);
  // The core's numbers (seam/metrics.def), asked of it; nothing if it does not answer in that time. Any
  // thread but those that deliver the core's messages.
  std::optional<std::vector<uint64_t>> AskMetrics(int timeout_ms);
  bool was_ready() const;  // the core has served; else its start failed

  // Listens once the core is Ready, then ticks until it has stopped. Ok after a clean stop, else what stopped
  // it.
  Status Run();
  // Ends connections and storage threads. Also when the core's start failed.
  void Shutdown();

 private:
  struct State;
  explicit Server(std::unique_ptr<State> s);
  Status Listen();
  Status ListenForMetrics();
  void RemovePortFiles();
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_RUNTIME_SERVER_H_
