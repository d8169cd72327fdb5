// A whole single-member store in one thread: kernel, journal, state and saves over any storage, clients with
// a seeded workload, and a clock that is a number. One run is a function of its configuration and of what the
// storage answers.
//
//   clients --Submit--> kernel --WriteFrame--> frames on their way --(latency)--> journal
//      ^                  |  ^------------------- FrameStable ----------------------'
//      '---- Reply -------'  Apply --(latency)--> State --save point--(latency)--> slot
//
// Not here: threads, sealing off the ordering thread, networks, sessions above the log (core/session).
#ifndef HOLDFAST_SIM_WORLD_H_
#define HOLDFAST_SIM_WORLD_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/kernel/kernel.h"
#include "core/store/offline.h"
#include "core/store/opener.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "sim/model.h"

namespace holdfast::sim {

inline constexpr std::string_view kSimPassphrase = "a passphrase for simulation only";

struct WorldConfig {
  uint64_t seed = 1;
  // The workload after this many waves is drawn from seed + fork: two worlds that differ in `fork` alone are
  // one machine and its live clone.
  uint64_t fork = 0, fork_at_wave = UINT64_MAX;
  uint64_t waves = 100;  // then a clean stop
  size_t clients = 6;
  uint64_t keys = 60;
  size_t value_bytes_max = 400;
  size_t large_value_bytes_max = 3000;  // one in thirty; 0 = none
  kernel::Options kernel{.save_period_ms = 700, .dirty_bytes_save = 64u << 10};
  store::OpenOptions open{
      .journal_file_bytes = 16u << 10,
      .placement = {.segment_bytes = 8u << 10, .garbage_slack_bytes = 32u << 10, .segments_slack = 24}};
};

class World {
 public:
  // The storage holds a store already (Init). Both outlive the world.
  World(const WorldConfig& config, seam::Storage& disk, seam::Storage& anchor);
  ~World();

  static Status Init(uint64_t seed, seam::Storage& disk, seam::Storage& anchor);

  Status Open();
  // Until the configured waves are stable and the store has stopped, or storage has failed for good, or the
  // virtual time is up. Can be called again with a later time.
  void Run(uint64_t until_us = UINT64_MAX);

  bool stopped() const { return stopped_; }
  std::optional<Code> failure() const { return failure_; }
  uint64_t now_us() const { return now_us_; }
  uint64_t waves() const { return waves_; }
  uint64_t saves() const { return saves_; }
  bool full() const { return kernel_->full(); }
  LogIndex acknowledged() const { return acknowledged_; }  // nothing up to here may ever be lost
  LogIndex written() const { return written_.index; }      // handed to storage, perhaps not arrived
  LogIndex proposed() const { return proposed_; }
  // What the tables hold after the entry at `index`; from `acknowledged` to `proposed`.
  const Model* ModelAt(LogIndex index) const;
  const store::OpenedStore& store() const { return *store_; }
  uint64_t dirty_bytes_max_seen() const { return dirty_max_seen_; }
  const std::map<Code, uint64_t>& refusals() const { return refusals_; }
  uint64_t durable_replies() const { return durable_replies_; }
  Digest TraceDigest() const { return trace_; }  // of every effect, in order
  std::vector<std::string> complaints;           // what must not be: empty

 private:
  struct Frame {
    kernel::WriteFrame write;
    uint64_t due_us;
  };
  struct Pending {
    kernel::Apply apply;
    uint64_t due_us;
  };
  struct Client {
    uint64_t due_us = 0;
    bool waiting = false;
    uint64_t session = 0, sequence = 0;
    Bytes last_payload;  // sent again now and then (H4)
  };

  void Step(kernel::Event event);
  void Take(kernel::Effect& effect);
  void OnReply(const kernel::Reply& reply);
  void Trace(std::string_view what, std::initializer_list<uint64_t> numbers);
  void FinishFrame();
  void FinishApply();
  void FinishSave();
  void ClientSends(size_t client);
  Bytes RandomBatch(size_t client);
  kernel::Operation RandomOperation();
  TableId RandomTable();
  crypto::SeededRandom& draw() { return waves_ >= config_.fork_at_wave ? forked_ : workload_; }
  uint64_t Latency(uint64_t max_us) { return 1 + draw().Below(max_us); }
  void Complain(std::string what);

  const WorldConfig config_;
  seam::Storage &disk_, &anchor_;
  crypto::SeededRandom random_, workload_, forked_;  // the core's, and the clients'
  store::NodeCache cache_;
  std::unique_ptr<store::OpenedStore> store_;
  std::unique_ptr<kernel::Kernel> kernel_;

  uint64_t now_us_ = 1'000'000, skew_us_ = 0;  // the host's clock jumps
  std::deque<Frame> frames_;
  std::deque<Pending> applies_;
  std::optional<uint64_t> save_due_us_;
  journal::FramePosition save_frame_;
  std::map<FrameNumber, journal::FramePosition> frame_positions_;
  std::deque<journal::LogPosition> positions_;  // of entries that are written and not applied
  journal::LogPosition written_;
  std::vector<Client> clients_;
  std::map<kernel::Ticket, size_t> tickets_;
  std::map<kernel::Ticket, store::Outcome> outcomes_;
  kernel::Ticket next_ticket_ = 1;

  std::map<LogIndex, std::shared_ptr<const Model>> models_;
  std::map<LogIndex, store::Outcome> expected_;
  LogIndex acknowledged_, proposed_;
  uint64_t waves_ = 0, saves_ = 0, durable_replies_ = 0, dirty_max_seen_ = 0;
  bool stopping_ = false, stopped_ = false;
  std::optional<Code> failure_;
  std::map<Code, uint64_t> refusals_;
  Digest trace_{};
};

}  // namespace holdfast::sim

#endif  // HOLDFAST_SIM_WORLD_H_
