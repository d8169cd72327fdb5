// A host that lies. It starts the real holdfast-core, answers its storage requests from a Deployment, brings
// clients to it over loopback TCP, and is honest in everything but what a test tells it:
//
//   Lie(liar)          what becomes of the answer to a storage request
//   Tap(...)           what becomes of a message of a connection, either way
//   core(), hand()     messages of the test's own, well formed or not
//   memory()           the channel's memory, mapped once more: positions, flags, bytes under way
//
// It watches the core's memory all the while, and its destructor expects what every test expects: the core
// has ended by itself, never by a signal.
#ifndef HOLDFAST_TESTS_ABUSE_HOSTILE_HOST_H_
#define HOLDFAST_TESTS_ABUSE_HOSTILE_HOST_H_

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "channel/port.h"
#include "deployment.h"
#include "hand_port.h"
#include "host/net/net.h"
#include "host/runtime/core_process.h"
#include "host/runtime/storage_lanes.h"
#include "seam/metrics.h"

namespace holdfast::abuse {

// For whatever must happen. Long, for loaded machines; nobody waits for it where the promise is kept.
inline constexpr auto kPatience = std::chrono::seconds(30);

struct How {
  bool by_hand = false;  // HandPort instead of channel::HostPort
  bool say_hello = true;
  bool give_passphrase = true;
  std::string_view passphrase = kPassphrase;
  bool keep_limits = false;  // of descriptors; else there are many
  // A small cache: what clients read has to be asked for.
  seam::HostHello hello = {.cache_bytes = 0, .has_anchor = true};
};

// What the core made of connections that a test has opened by hand.
struct RawStream {
  uint64_t credit = 0, bytes = 0;  // granted to us; sent to us
  int closed = 0;                  // times
};

class HostileHost final : public seam::HostEndpoint {
 public:
  // `reply` is the truth and may be changed; false: nothing is sent. Called by several threads.
  using Liar = std::function<bool(const seam::StorageRequest&, seam::StorageReply& reply)>;
  template <typename Message>
  using TapOf = std::function<bool(Message&)>;  // false: the message goes no further

  explicit HostileHost(Deployment& deployment, How how = {});
  ~HostileHost() override;

  // -- what it does. When these return, nobody is inside the one before; not to be called from one.
  void Lie(Liar liar);  // from now on; {} is honest
  void TapToCore(TapOf<seam::HostToCore> tap);
  void TapToHost(TapOf<seam::CoreToHost> tap);
  void FreezeTicks(bool on);  // when it returns, none is under way
  void Hello() { core().FromHost(how_.hello); }
  seam::CoreEndpoint& core() { return hand_ ? static_cast<seam::CoreEndpoint&>(*hand_) : *port_; }
  HandPort& hand() { return *hand_; }  // REQUIRES: by_hand
  uint8_t* memory() const { return memory_; }
  const channel::Descriptors& descriptors() const { return mine_; }  // duplicates, of this object
  // A number that no connection of host::Net has.
  uint64_t NewStream() { return next_stream_++; }
  void Track(uint64_t stream);
  RawStream Raw(uint64_t stream);
  void HangUp();  // the channel is gone, as when this process ends

  // -- what it sees
  bool WaitReady();  // and listens
  std::optional<seam::CoreHello> WaitHello();
  // A line of the core with that code.
  std::optional<seam::CoreLog> WaitLog(Code code);
  std::optional<seam::CoreStopped> WaitStopped();
  // Of what the core's process said about its end: "exited with 1". Empty: it has not ended.
  std::string WaitEnd(std::chrono::milliseconds patience = kPatience);
  bool Alive() { return WaitEnd(std::chrono::milliseconds(0)).empty(); }
  std::string Stderr() const;
  std::string Notes() const;  // what an opening had to say, a line each
  // Nothing within patience: the core answers no more.
  std::optional<uint64_t> Ask(seam::Metric metric);
  // Waits until the metric is at least so much.
  bool Reaches(seam::Metric metric, uint64_t value);
  // Waits for what another thread is about to do.
  bool Eventually(const std::function<bool()>& holds);
  pid_t pid() const { return process_->pid(); }
  uint64_t MemoryNow() const;   // resident bytes of the core; 0: it has ended
  uint64_t MemoryPeak() const;  // the most it ever had, as far as it was looked at before it ended
  // Nothing where this user may not look.
  std::optional<size_t> OpenDescriptors() const;
  uint16_t user_port() const { return user_port_; }
  uint16_t admin_port() const { return admin_port_; }
  Deployment& deployment() { return deployment_; }
  uint64_t raw_closed() const { return raw_closed_; }

  // StopRequested, and all that follows. The code of CoreStopped; kDeadline: it never came.
  Code Stop();
  void FromCore(seam::CoreToHost message) override;

 private:
  // host::Net's way to the core, through the tap.
  class Gate final : public seam::CoreEndpoint {
   public:
    explicit Gate(HostileHost& host) : host_(host) {}
    void FromHost(seam::HostToCore message) override { host_.FromNet(std::move(message)); }

   private:
    HostileHost& host_;
  };
  template <typename T>
  void Replace(std::shared_ptr<T>& slot, T function);
  void FromNet(seam::HostToCore message);
  void StartCore();
  void Answer(seam::StorageReply reply);
  void See(seam::CoreToHost& message);
  bool OfRawStream(const seam::CoreToHost& message);
  void Ticks();
  template <typename T>
  bool Wait(T holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, holds);
  }

  Deployment& deployment_;
  const How how_;
  Gate gate_{*this};
  channel::Descriptors mine_;
  uint8_t* memory_ = nullptr;
  int stderr_ = -1;
  std::mutex process_mutex_;
  std::unique_ptr<host::CoreProcess> process_;
  std::unique_ptr<channel::HostPort> port_;
  std::unique_ptr<HandPort> hand_;
  std::unique_ptr<host::StorageLanes> lanes_;
  std::unique_ptr<host::Net> net_;
  uint16_t user_port_ = 0, admin_port_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_:
  std::optional<seam::CoreHello> core_hello_;
  bool ready_ = false, ended_ = false;
  std::vector<seam::CoreLog> logs_;
  std::string notes_;
  std::optional<seam::CoreStopped> stopped_;
  uint64_t metrics_id_ = 0;
  std::map<uint64_t, std::vector<uint64_t>> metrics_;
  std::map<uint64_t, seam::StorageRequest> asked_;
  std::map<uint64_t, RawStream> raw_;

  std::mutex lie_mutex_;
  std::shared_ptr<Liar> liar_;
  std::shared_ptr<TapOf<seam::HostToCore>> tap_to_core_;
  std::shared_ptr<TapOf<seam::CoreToHost>> tap_to_host_;
  std::atomic<uint64_t> next_stream_, raw_closed_{0};
  mutable std::atomic<uint64_t> peak_{0};
  std::mutex tick_mutex_;
  bool frozen_ = false;  // under tick_mutex_
  std::atomic<bool> quit_{false};
  std::thread ticker_;
};

}  // namespace holdfast::abuse

#endif  // HOLDFAST_TESTS_ABUSE_HOSTILE_HOST_H_
