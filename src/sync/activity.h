// What the processor's time is spent on: each thread says at its start what it is there for.
//
//   std::thread([this] {
//     sync::Activity activity(sync::ActivityKind::kJournal);
//     ...
#ifndef HOLDFAST_SYNC_ACTIVITY_H_
#define HOLDFAST_SYNC_ACTIVITY_H_

#include <cstdint>

#include "seam/metrics.h"
#include "sync/mutex.h"

namespace holdfast::sync {

// In the order of kCpuOrder... in seam/metrics.def.
enum class ActivityKind : uint8_t {
  kOrder,
  kJournal,
  kApply,
  kSave,
  kTls,
  kReads,
  kChannel,
  kRpc,  // also every thread that says nothing: gRPC's own
};

// Lives as long as its thread works; made and dropped by that thread. Names the thread (hf-order, hf-journal,
// ...; seen in /proc and by debuggers) and lets SampleCpu read its clock. Two system calls at each end.
class Activity {
 public:
  explicit Activity(ActivityKind kind);
  ~Activity();
  Activity(const Activity&) = delete;
  Activity& operator=(const Activity&) = delete;

  struct Registry;

 private:
  friend struct Registry;
  const ActivityKind kind_;
  int clock_ = 0;        // clockid_t of the thread
  uint64_t before_ = 0;  // what the thread had used when this began
  Activity *next_ = nullptr, *previous_ = nullptr;
};

// Sets the metrics kCpu...: live threads and what ended ones used; kCpuRpc is the process's total less all
// others, and never falls. One system call a thread. Thread-safe.
void SampleCpu();

// Adds the time it lives to a counter of nanoseconds, but for what lies between Pause and Resume: two clock
// reads, and two for each pause.
class Busy {
 public:
  explicit Busy(seam::Metric counter);
  ~Busy();
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

  void Pause();
  void Resume();

 private:
  const seam::Metric counter_;
  std::chrono::steady_clock::time_point since_;
  bool paused_ = false;
};

}  // namespace holdfast::sync

#endif  // HOLDFAST_SYNC_ACTIVITY_H_
