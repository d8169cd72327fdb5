#include "box/core_server.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include "channel/port.h"
#include "core/runtime/core.h"
#include "seam/metrics.h"

namespace holdfast::box {
namespace {

constexpr int kLastWordsMs = 2000;
constexpr auto kRefusalLogGap = std::chrono::seconds(1);

// Other threads may be in the middle of anything, with keys: nothing of theirs is touched, no destructor
// runs, and the kernel takes the memory back.
[[noreturn]] void EndNow(Code code) {
  std::string line =
      "holdfast-core: " + std::string(CodeName(code)) + ": " + std::string(CodeText(code)) + "\n";
  if (code != Code::kPeerGone) (void)!::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(1);
}

}  // namespace

// Towards the core it is the host, towards the channel it is the core.
class CoreServer::State final : public seam::CoreEndpoint, public seam::HostEndpoint {
 public:
  // -- from the channel, one thread
  void FromHost(seam::HostToCore message) override {
    std::unique_lock lock(mutex_);
    if (refused_) return;
    if (!hello_) {
      auto* hello = std::get_if<seam::HostHello>(&message);
      hello != nullptr ? TakeHello(*hello) : Refuse(Code::kMessageRefused, message.index(), 0);
      return;
    }
    runtime::Core* core = core_;
    lock.unlock();
    if (std::holds_alternative<seam::HostHello>(message)) return Log(Code::kMessageRefused, 1, 0);
    if (core != nullptr) core->FromHost(std::move(message));
  }
  std::optional<uint64_t> ReplyBodyMax(seam::RequestId id, seam::StorageOperation operation) override {
    runtime::Core* core;
    {
      std::lock_guard lock(mutex_);
      core = core_;
    }
    if (core == nullptr) return {};
    return core->ReplyBodyMax(id, operation);
  }

  // -- from the core, any thread
  void FromCore(seam::CoreToHost message) override {
    bool last = std::holds_alternative<seam::CoreStopped>(message);
    port->FromCore(std::move(message));
    if (!last) return;
    std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  bool RoomForStreams() const override { return port->RoomForStreams(); }

  void Log(Code code, uint64_t a, uint64_t b) {
    auto now = std::chrono::steady_clock::now();
    {
      std::lock_guard lock(log_mutex_);
      if (last_log_ && now - *last_log_ < kRefusalLogGap) return;  // a flood of refusals is one line a second
      last_log_ = now;
    }
    port->FromCore(seam::CoreLog{code, a, b});
  }

  int Run(Result<SecretBytes> passphrase, uint32_t isolation);

  std::unique_ptr<channel::CorePort> port;

 private:
  void TakeHello(const seam::HostHello& hello) {
    if (hello.version != seam::kChannelVersion) {
      return Refuse(Code::kChannelVersion, hello.version, seam::kChannelVersion);
    }
    hello_ = hello;
    changed_.notify_all();
  }
  void Refuse(Code code, uint64_t a, uint64_t b) {
    refused_ = code;
    port->FromCore(seam::CoreLog{code, a, b});
    changed_.notify_all();
  }
  std::optional<seam::HostHello> WaitHello() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return hello_.has_value() || refused_.has_value(); });
    return hello_;
  }
  void SetCore(runtime::Core* core) {
    std::lock_guard lock(mutex_);
    core_ = core;
  }
  int End(Code code) {
    port->FromCore(seam::CoreStopped{false, code});
    port->Drain(kLastWordsMs);
    return CodeExit(code);
  }

  std::mutex mutex_, log_mutex_;
  std::condition_variable changed_;
  std::optional<seam::HostHello> hello_;
  std::optional<Code> refused_;
  runtime::Core* core_ = nullptr;
  bool stopped_ = false;
  std::optional<std::chrono::steady_clock::time_point> last_log_;
};

int CoreServer::State::Run(Result<SecretBytes> passphrase, uint32_t isolation) {
  port->Start(*this);
  std::optional<seam::HostHello> hello = WaitHello();
  if (!hello) return End(*refused_);
  port->FromCore(seam::CoreHello{seam::kChannelVersion, isolation});
  if (!passphrase) return End(passphrase.code());

  runtime::CoreOptions options;
  options.kernel.save_period_ms = hello->save_period_ms;
  options.cache_bytes = hello->cache_bytes;
  options.discard_tail = hello->discard_tail;
  options.has_anchor = hello->has_anchor;
  options.providers = hello->providers;
  options.isolation = isolation;
  runtime::Core core(*this);
  SetCore(&core);
  Status started = core.Start(std::move(passphrase).value(), options,
                              [&](const std::string& note) { port->FromCore(seam::CoreNote{note}); });
  if (started) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_; });
  }
  int code = started ? 0 : End(started.code());
  port->Drain(kLastWordsMs);
  port->Stop();  // before the core goes: messages may still be on their way to it
  SetCore(nullptr);
  return code;
}

CoreServer::CoreServer(std::unique_ptr<State> s) : s_(std::move(s)) {}
CoreServer::~CoreServer() = default;

Result<std::unique_ptr<CoreServer>> CoreServer::Open(const Inherited& in) {
  auto state = std::make_unique<State>();
  channel::Descriptors d;
  d.memory = in.memory;
  d.wake_core = in.wake_core;
  d.wake_host = in.wake_host;
  d.life_core = in.lifeline;
  State* s = state.get();
  channel::Events events;
  events.ended = [](Code code) { EndNow(code); };
  events.refused = [s](uint8_t kind, uint8_t operation) { s->Log(Code::kMessageRefused, kind, operation); };
  HF_TRY(state->port, channel::CorePort::Open(d, std::move(events)));
  return std::unique_ptr<CoreServer>(new CoreServer(std::move(state)));
}

int CoreServer::Run(Result<SecretBytes> passphrase, uint32_t isolation) {
  return s_->Run(std::move(passphrase), isolation);
}

}  // namespace holdfast::box
