#include <optional>
#include <utility>

#include "core/replica/reader_internal.h"

namespace holdfast::replica {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSlowFor = std::chrono::seconds(5);
constexpr uint64_t kBytesPerMs = 4096;  // 4 MB/s: what a large read may take beyond the patience
constexpr uint64_t kWholeObjectBytes = seam::kGetBytesMax / 8;

bool IsAnswer(Code code) { return code == Code::kNotFound || code == Code::kTooLarge; }

}  // namespace

Reader::Reader(seam::Storage* storage, Threads threads, uint64_t patience_ms)
    : storage_(storage), patience_ms_(patience_ms) {
  if (threads == Threads::kNone || storage == nullptr) return;
  for (size_t i = 0; i < kReadThreads; ++i) threads_.emplace_back([this] { Work(); });
}

Reader::~Reader() {
  {
    sync::MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  for (std::thread& t : threads_) t.join();
}

void Reader::Work() {
  sync::MutexLock lock(mutex_);
  for (;;) {
    while (!stopping_ && calls_.empty()) wake_.Wait(mutex_);
    if (stopping_) return;
    std::shared_ptr<Call> call = std::move(calls_.front());
    calls_.pop_front();
    ++busy_;
    lock.Unlock();
    call->work(*storage_);
    lock.Lock();
    --busy_;
    call->done = true;
    done_.NotifyAll();
  }
}

bool Reader::Run(std::function<void(seam::Storage&)> work, uint64_t bytes) {
  if (storage_ == nullptr) return false;
  if (threads_.empty()) {
    work(*storage_);
    return true;
  }
  auto call = std::make_shared<Call>();
  call->work = std::move(work);
  auto until = Clock::now() + std::chrono::milliseconds(patience_ms_ + bytes / kBytesPerMs);
  sync::MutexLock lock(mutex_);
  // While it hangs nobody else begins to wait for it.
  if (Clock::now() < slow_until_ && busy_ == threads_.size()) return false;
  calls_.push_back(call);
  wake_.NotifyOne();
  bool in_time = true;
  while (!call->done && in_time) in_time = done_.WaitUntil(mutex_, until);
  if (call->done) return true;
  slow_until_ = Clock::now() + kSlowFor;
  std::erase(calls_, call);  // not begun: nothing remembers it
  return false;
}

bool Reader::slow() const {
  sync::MutexLock lock(mutex_);
  return Clock::now() < slow_until_;
}

seam::Capabilities Reader::capabilities() const {
  return storage_ != nullptr ? storage_->capabilities() : seam::Capabilities{};
}

template <typename T>
Result<T> Reader::Counted(Result<T> result) {
  if (!result && !IsAnswer(result.code())) ++errors_;
  return result;
}

Result<UntrustedBytes> Reader::Get(std::string_view name) {
  auto answer = std::make_shared<std::optional<Result<UntrustedBytes>>>();
  bool ran = Run([answer, n = std::string(name)](seam::Storage& s) { answer->emplace(s.Get(n)); },
                 kWholeObjectBytes);
  return Counted<UntrustedBytes>(ran ? std::move(**answer) : Result<UntrustedBytes>(Code::kUnreachable));
}

Result<UntrustedBytes> Reader::GetRange(std::string_view name, uint64_t offset, uint64_t length) {
  auto answer = std::make_shared<std::optional<Result<UntrustedBytes>>>();
  bool ran = Run([answer, n = std::string(name), offset,
                  length](seam::Storage& s) { answer->emplace(s.GetRange(n, offset, length)); },
                 std::min<uint64_t>(length, seam::kGetBytesMax));
  return Counted<UntrustedBytes>(ran ? std::move(**answer) : Result<UntrustedBytes>(Code::kUnreachable));
}

Result<seam::Listing> Reader::List(std::string_view prefix, std::string_view after, size_t limit) {
  auto answer = std::make_shared<std::optional<Result<seam::Listing>>>();
  bool ran = Run([answer, p = std::string(prefix), a = std::string(after),
                  limit](seam::Storage& s) { answer->emplace(s.List(p, a, limit)); },
                 0);
  return Counted<seam::Listing>(ran ? std::move(**answer) : Result<seam::Listing>(Code::kUnreachable));
}

}  // namespace holdfast::replica
