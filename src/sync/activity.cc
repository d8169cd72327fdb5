#include "sync/activity.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <array>

namespace holdfast::sync {
namespace {

using seam::Metric;

constexpr size_t kKinds = static_cast<size_t>(ActivityKind::kRpc) + 1;
constexpr std::array<const char*, kKinds> kThreadNames = {  // the kernel takes 15 characters
    "hf-order", "hf-journal", "hf-apply", "hf-save", "hf-tls", "hf-reads", "hf-channel", "hf-rpc"};

constexpr size_t Index(ActivityKind kind) { return static_cast<size_t>(kind); }
constexpr Metric MetricOf(size_t kind) {
  return static_cast<Metric>(static_cast<uint16_t>(Metric::kCpuOrder) + kind);
}
static_assert(MetricOf(Index(ActivityKind::kJournal)) == Metric::kCpuJournal);
static_assert(MetricOf(Index(ActivityKind::kApply)) == Metric::kCpuApply);
static_assert(MetricOf(Index(ActivityKind::kSave)) == Metric::kCpuSave);
static_assert(MetricOf(Index(ActivityKind::kTls)) == Metric::kCpuTls);
static_assert(MetricOf(Index(ActivityKind::kReads)) == Metric::kCpuReads);
static_assert(MetricOf(Index(ActivityKind::kChannel)) == Metric::kCpuChannel);
static_assert(MetricOf(Index(ActivityKind::kRpc)) == Metric::kCpuRpc);

uint64_t Nanoseconds(clockid_t clock) {
  timespec t{};
  if (clock_gettime(clock, &t) != 0) return 0;
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

// A list through the objects themselves: joining allocates nothing. No object leaves while its clock is read,
// so no clock of an ended thread is asked.
struct Activity::Registry {
  Mutex mutex{LockName::kOther};
  Activity* first HF_GUARDED_BY(mutex) = nullptr;
  std::array<uint64_t, kKinds> ended HF_GUARDED_BY(mutex){};
  uint64_t rpc HF_GUARDED_BY(mutex) = 0;

  void Join(Activity& a) HF_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    a.next_ = first;
    if (first != nullptr) first->previous_ = &a;
    first = &a;
  }
  void Leave(Activity& a) HF_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    ended[Index(a.kind_)] += Used(a);
    (a.previous_ != nullptr ? a.previous_->next_ : first) = a.next_;
    if (a.next_ != nullptr) a.next_->previous_ = a.previous_;
  }
  void Sample() HF_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    std::array<uint64_t, kKinds> used = ended;
    for (const Activity* a = first; a != nullptr; a = a->next_) used[Index(a->kind_)] += Used(*a);
    uint64_t named = 0;
    for (size_t kind = 0; kind < Index(ActivityKind::kRpc); ++kind) {
      named += used[kind];
      seam::Metrics().Set(MetricOf(kind), used[kind]);
    }
    // Read last, so that it is not below the sum; by how much the clocks differ, it may differ from call to
    // call.
    uint64_t total = Nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    rpc = std::max(rpc, total - std::min(total, named));
    seam::Metrics().Set(Metric::kCpuRpc, rpc);
  }
  static uint64_t Used(const Activity& a) {
    uint64_t now = Nanoseconds(a.clock_);
    return now - std::min(now, a.before_);
  }
};

namespace {
constinit Activity::Registry registry;
}  // namespace

Activity::Activity(ActivityKind kind) : kind_(kind) {
  // Of the thread that asks these are: its name by prctl, and a clock id made of its number.
  static_cast<void>(pthread_setname_np(pthread_self(), kThreadNames[Index(kind)]));
  if (pthread_getcpuclockid(pthread_self(), &clock_) != 0) clock_ = CLOCK_THREAD_CPUTIME_ID;
  before_ = Nanoseconds(clock_);
  registry.Join(*this);
}

Activity::~Activity() { registry.Leave(*this); }

void SampleCpu() { registry.Sample(); }

Busy::Busy(seam::Metric counter) : counter_(counter), since_(std::chrono::steady_clock::now()) {}

Busy::~Busy() {
  if (!paused_) Pause();
}

void Busy::Pause() {
  auto time = std::chrono::steady_clock::now() - since_;
  seam::Metrics().Add(counter_, static_cast<uint64_t>(time.count()));
  paused_ = true;
}

void Busy::Resume() {
  since_ = std::chrono::steady_clock::now();
  paused_ = false;
}

}  // namespace holdfast::sync
