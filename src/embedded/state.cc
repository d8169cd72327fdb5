#include <sys/random.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <utility>

#include "base/check.h"
#include "embedded/state_internal.h"

namespace holdfast::inside {
namespace {

constexpr uint64_t kExpireEachMs = 1'000;  // snapshots live for minutes

// Writes that nobody waits for, on their way: a third of what the kernel takes before it is overloaded.
constexpr size_t kHandedMax = limits::kPendingCommandsMax / 3, kHandedBytesMax = limits::kPendingBytesMax / 4;

// The channel's core has one too (core/runtime/core.h), and the whole server behind it.
class GetRandom : public crypto::Random {
 public:
  void Fill(MutableByteView out) override {
    while (!out.empty()) {
      ssize_t n = getrandom(out.data(), out.size(), 0);
      HF_CHECK(n > 0);  // predictable keys would be worse than none
      out = out.subspan(static_cast<size_t>(n));
    }
  }
};

// Waited for by one thread, on its stack. No lock: 64 writers that are woken would meet again at theirs.
struct Answer {
  session::WriteReply reply;
  std::atomic<uint32_t> there{0};

  void Take(const session::WriteReply& r) {
    reply = r;
    there.store(1, std::memory_order_release);
    there.notify_one();  // by the address alone: we may be gone
  }
  session::WriteReply Wait() {
    there.wait(0, std::memory_order_acquire);
    return reply;
  }
};

}  // namespace

embedded::Code Public(Code code) { return static_cast<embedded::Code>(code); }

embedded::Status Public(const Status& status) {
  return status ? embedded::Status() : embedded::Status(Public(status.code()));
}

TableId IdOf(const std::array<uint8_t, 16>& bytes) {
  TableId id;
  id.bytes = bytes;
  return id;
}

uint64_t SteadyMilliseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

crypto::Random& SystemRandom() {
  static GetRandom random;
  return random;
}

embedded::Result<embedded::Commit> State::Await(const SessionCall& call) {
  using Answered = embedded::Result<embedded::Commit>;
  return With([&](runtime::Engine& running) -> Answered {
    ExpireNowAndThen(running);
    Answer answer;
    runtime::Engine::Waiting waiting;
    call(running, [&answer](const session::WriteReply& r) { answer.Take(r); });
    session::WriteReply reply = answer.Wait();
    if (reply.status) return embedded::Commit{reply.index.value};
    return embedded::Status(Public(reply.status.code()), {}, reply.detail);
  });
}

embedded::Result<embedded::Commit> State::Hand(kernel::Batch batch) {
  using Handed = embedded::Result<embedded::Commit>;
  if (Status fits = kernel::Check(batch); !fits) return Public(fits);
  if (!batch.compares.empty()) return embedded::Code::kCompareNeedsDurable;
  return With([&](runtime::Engine& running) -> Handed {
    ExpireNowAndThen(running);
    const size_t bytes = kernel::EncodedBytes(batch);
    {
      sync::MutexLock one(handed_mutex);
      while (handed >= kHandedMax || handed_bytes >= kHandedBytesMax) handed_wake.Wait(handed_mutex);
      if (handed_failed != embedded::Code::kOk) return handed_failed;
      ++handed;
      handed_bytes += bytes;
    }
    running.Write(std::move(batch), kernel::Wait::kNone, [this, bytes](const session::WriteReply& r) {
      sync::MutexLock one(handed_mutex);
      --handed;
      handed_bytes -= bytes;
      if (!r.status && handed_failed == embedded::Code::kOk) handed_failed = Public(r.status.code());
      handed_wake.NotifyOne();
    });
    return embedded::Commit{};
  });
}

embedded::Status State::TellFailed() {
  sync::MutexLock one(handed_mutex);
  return std::exchange(handed_failed, embedded::Code::kOk);
}

Status State::StillThere(runtime::Engine& running, const std::string& name, const TableId& table) {
  if (drops.load(std::memory_order_acquire) == 0) return Ok();
  auto found = running.FindTable(name);
  return found && *found == table ? Ok() : Status(Code::kNoTable);
}

// Snapshots that are too old end when the store is used; nobody ticks here.
void State::ExpireNowAndThen(runtime::Engine& running) {
  uint64_t now = SteadyMilliseconds(), last = expired_ms.load(std::memory_order_relaxed);
  if (now - last < kExpireEachMs || !expired_ms.compare_exchange_strong(last, now)) return;
  running.ExpirePins();
}

embedded::Status State::Close() {
  sync::MutexLock one(closing_mutex);
  closing = true;
  {
    // Or a write that waits for space would keep us waiting.
    sync::ReaderLock in_use(lock);
    if (engine == nullptr) return {};
    engine->BeginStop();
  }
  sync::WriterLock alone(lock);
  {
    sync::MutexLock pinned(pins_mutex);
    for (Pinned* p : pins) p->view.reset();
  }
  Status stopped = engine->Stop();
  engine.reset();
  storage.reset();
  embedded::Status failed = TellFailed();
  return stopped ? failed : Public(stopped);
}

Pinned::Pinned(std::shared_ptr<State> s, std::unique_ptr<session::Snapshot> v)
    : state(std::move(s)), index(v->index().value), view(std::move(v)) {
  sync::MutexLock lock(state->pins_mutex);
  state->pins.insert(this);
}

Pinned::~Pinned() {
  sync::ReaderLock in_use(state->lock);
  {
    sync::MutexLock lock(state->pins_mutex);
    state->pins.erase(this);
  }
  view.reset();
}

}  // namespace holdfast::inside
