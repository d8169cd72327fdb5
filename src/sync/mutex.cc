#include "sync/mutex.h"

#include "seam/metrics.h"

namespace holdfast::sync {
namespace {

using seam::Metric;

constexpr Metric Of(Metric first, LockName name) {
  return static_cast<Metric>(static_cast<uint16_t>(first) + static_cast<uint16_t>(name));
}
static_assert(Of(Metric::kWaitOrder, LockName::kState) == Metric::kWaitState);
static_assert(Of(Metric::kWaitOrder, LockName::kWrite) == Metric::kWaitWrite);
static_assert(Of(Metric::kWaitOrder, LockName::kSave) == Metric::kWaitSave);
static_assert(Of(Metric::kWaitOrder, LockName::kNodes) == Metric::kWaitNodes);
static_assert(Of(Metric::kWaitOrder, LockName::kSession) == Metric::kWaitSession);
static_assert(Of(Metric::kWaitOrder, LockName::kChannel) == Metric::kWaitChannel);
static_assert(Of(Metric::kWaitOrder, LockName::kOther) == Metric::kWaitOther);
static_assert(Of(Metric::kWaitedOrder, LockName::kState) == Metric::kWaitedState);
static_assert(Of(Metric::kWaitedOrder, LockName::kWrite) == Metric::kWaitedWrite);
static_assert(Of(Metric::kWaitedOrder, LockName::kSave) == Metric::kWaitedSave);
static_assert(Of(Metric::kWaitedOrder, LockName::kNodes) == Metric::kWaitedNodes);
static_assert(Of(Metric::kWaitedOrder, LockName::kSession) == Metric::kWaitedSession);
static_assert(Of(Metric::kWaitedOrder, LockName::kChannel) == Metric::kWaitedChannel);
static_assert(Of(Metric::kWaitedOrder, LockName::kOther) == Metric::kWaitedOther);

template <typename Take>
void Measured(LockName name, Take take) {
  auto since = std::chrono::steady_clock::now();
  take();
  auto waited = std::chrono::steady_clock::now() - since;
  seam::Metrics().Add(Of(Metric::kWaitOrder, name), static_cast<uint64_t>(waited.count()));
  seam::Metrics().Add(Of(Metric::kWaitedOrder, name));
}

// The mutex as the standard's condition variable wants it, for the length of one wait.
class Adopted {
 public:
  explicit Adopted(std::mutex& native) : lock_(native, std::adopt_lock) {}
  ~Adopted() { lock_.release(); }
  std::unique_lock<std::mutex>& lock() { return lock_; }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace

void Mutex::Contended() {
  Measured(name_, [this] { native_.lock(); });
}
void SharedMutex::Contended() {
  Measured(name_, [this] { native_.lock(); });
}
void SharedMutex::ContendedShared() {
  Measured(name_, [this] { native_.lock_shared(); });
}

void CondVar::Wait(Mutex& mutex) {
  Adopted held(mutex.native_);
  native_.wait(held.lock());
}

bool CondVar::WaitUntil(Mutex& mutex, Deadline deadline) {
  Adopted held(mutex.native_);
  return native_.wait_until(held.lock(), deadline) == std::cv_status::no_timeout;
}

bool CondVar::WaitFor(Mutex& mutex, std::chrono::nanoseconds time) {
  return WaitUntil(mutex, std::chrono::steady_clock::now() + time);
}

}  // namespace holdfast::sync
