// Several providers under the running store: how they do, repair on request, and a slow comparison of
// everything in the background.
#include "core/runtime/engine.h"
#include "seam/metrics.h"

namespace holdfast::runtime {
namespace {

using seam::Metric;

constexpr auto kScrubPause = std::chrono::hours(24);    // between two passes
constexpr auto kScrubFirst = std::chrono::minutes(10);  // after the start, when others have work
constexpr auto kFullPause = std::chrono::seconds(1);    // rule I1
constexpr uint64_t kScrubBytesPerSecond = 8u << 20;     // so that it is not felt

Metric Nth(Metric first, size_t i) { return static_cast<Metric>(static_cast<size_t>(first) + i); }

}  // namespace

// Frames become stable in their order, as many on their way as the kernel lets be.
void Engine::WaitForFrames() {
  sync::Activity activity(sync::ActivityKind::kJournal);
  while (auto frame = stable_queue_.Pop()) {
    Status done;
    for (;;) {
      done = storage_.copies()->WaitJournal(frame->sequence);
      if (done || done.code() != Code::kFull || stopping_) break;
      log_(Code::kFull, frame->written.frame.number.value, 2);
      (void)ScrubWaits(kFullPause);
    }
    if (done) {
      FrameIsStable(std::move(frame->written));
      continue;
    }
    Code code = done.code() == Code::kExists ? Code::kFenced : done.code();
    Fatal(code);
    Post(kernel::FrameFailed{frame->written.frame.number, code});
  }
}

Result<session::Backend::Providers> Engine::GetProviders(bool repair) {
  seam::Copies* copies = storage_.copies();
  if (copies == nullptr) return session::Backend::GetProviders(repair);
  Providers p;
  if (repair) {
    copies->CatchUp(limits::kProviderOpeningMs);
    p.bad_objects = copies->Scrub([this](size_t, uint64_t) { return !stopping_; });
    copies->CatchUp(limits::kProviderOpeningMs);
  }
  p.quorum = copies->quorum();
  p.states = copies->States();
  return p;
}

void Engine::SampleProviders() {
  seam::Copies* copies = storage_.copies();
  if (copies == nullptr) return;
  std::vector<seam::CopyState> states = copies->States();
  for (size_t i = 0; i < states.size() && i < limits::kProvidersMax; ++i) {
    const seam::CopyState& s = states[i];
    seam::MetricSet& m = seam::Metrics();
    m.Set(Nth(Metric::kProviderCurrent1, i), s.current ? 1 : 0);
    m.Set(Nth(Metric::kProviderQueued1, i), s.queued);
    m.Set(Nth(Metric::kProviderQueuedBytes1, i), s.queued_bytes);
    m.Set(Nth(Metric::kProviderErrors1, i), s.errors);
    m.Set(Nth(Metric::kProviderBad1, i), s.bad_objects);
    m.Set(Nth(Metric::kProviderRepaired1, i), s.repaired);
    m.Set(Nth(Metric::kProviderIdle1, i), s.milliseconds_since_success * 1'000'000);
  }
}

// Waits, but not for a stop. False: it is time to stop.
bool Engine::ScrubWaits(std::chrono::nanoseconds time) {
  auto until = std::chrono::steady_clock::now() + time;
  sync::MutexLock lock(applied_mutex_);
  while (!stopping_ && save_wake_.WaitUntil(applied_mutex_, until)) continue;
  return !stopping_;
}

void Engine::ScrubProviders() {
  sync::Activity activity(sync::ActivityKind::kSave);
  for (bool go_on = ScrubWaits(kScrubFirst); go_on; go_on = ScrubWaits(kScrubPause)) {
    uint64_t bad = storage_.copies()->Scrub([this](size_t, uint64_t bytes) {
      return ScrubWaits(std::chrono::nanoseconds(bytes * 1'000'000'000 / kScrubBytesPerSecond + 1));
    });
    if (bad > 0) log_(Code::kProviderLies, 0, bad);
  }
}

}  // namespace holdfast::runtime
