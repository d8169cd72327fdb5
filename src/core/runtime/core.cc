#include "core/runtime/core.h"

#include <sys/random.h>

#include <atomic>
#include <optional>
#include <thread>

#include "core/replica/replicated.h"
#include "core/runtime/engine.h"
#include "core/session/server.h"
#include "seam/metrics.h"
#include "sync/mutex.h"

namespace holdfast::runtime {
namespace {

constexpr uint64_t kStopGraceMs = 2'000;
constexpr auto kQuorumGrace = std::chrono::seconds(10);  // so long a stop waits for providers
// Ticks that come faster are the host's affair: the core looks at this many microseconds' distance at most.
constexpr uint64_t kTickStepUs = 20'000;

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

}  // namespace

crypto::Random& SystemRandom() {
  static GetRandom random;
  return random;
}

using Note = std::function<void(const std::string& line)>;

struct Core::State {
  explicit State(seam::HostEndpoint& h) : host(h), channel(h), anchor(channel, seam::Volume::kAnchor) {}

  void AnswerMetrics(seam::RequestId id);
  Result<seam::Storage*> Connect(uint32_t count);
  Status Open(SecretBytes passphrase, const CoreOptions& options, const Note& note);
  void Stop();
  void Fenced() HF_EXCLUDES(mutex);
  void BeginStop() HF_REQUIRES(mutex);

  seam::HostEndpoint& host;
  StorageChannel channel;
  ChannelStorage anchor;
  std::vector<std::unique_ptr<ChannelStorage>> providers;
  std::unique_ptr<replica::ReplicatedStorage> replicated;  // where there are several
  std::unique_ptr<Engine> engine;
  std::unique_ptr<session::SessionServer> server;
  sync::Mutex mutex;
  // Server and engine stay while a message is handed to them.
  sync::SharedMutex serving_lock{sync::LockName::kChannel};
  bool serving HF_GUARDED_BY(serving_lock) = false;
  bool stopping HF_GUARDED_BY(mutex) = false;
  bool ready HF_GUARDED_BY(mutex) = false, fenced HF_GUARDED_BY(mutex) = false;
  std::atomic<uint64_t> tick_us{0};  // of the last tick that was passed on
  std::thread stopper;
};

Core::Core(seam::HostEndpoint& host) : s_(std::make_unique<State>(host)) {}

Core::~Core() {
  if (s_->stopper.joinable()) s_->stopper.join();
  s_->channel.Abort();  // a provider that hangs must not hold up the end
  HF_CHECK(s_->engine == nullptr);
}

Result<seam::Storage*> Core::State::Connect(uint32_t count) {
  if (count == 0 || count > limits::kProvidersMax) return Code::kBadConfig;
  std::vector<seam::Storage*> connected;
  for (uint32_t i = 0; i < count; ++i) {
    providers.push_back(
        std::make_unique<ChannelStorage>(channel, seam::Volume::kStore, static_cast<uint8_t>(i)));
    Status done = providers.back()->Connect();
    if (!done && (count == 1 || done.code() != Code::kUnreachable)) return done.error();
    connected.push_back(done ? providers.back().get() : nullptr);
  }
  if (count == 1) return connected.front();
  auto accused = [this](size_t provider, Code code) {
    host.FromCore(seam::CoreLog{Code::kProviderLies, provider + 1, static_cast<uint64_t>(code)});
  };
  // How many must hold a write the store says, once it is open.
  replicated = std::make_unique<replica::ReplicatedStorage>(
      connected, seam::Quorum{count, seam::MajorityOf(count)}, replica::ReplicaOptions{.accused = accused});
  return replicated.get();
}

Status Core::State::Open(SecretBytes passphrase, const CoreOptions& options, const Note& note) {
  HF_TRY(seam::Storage * connected, Connect(options.providers));
  seam::Storage& storage = *connected;
  if (options.has_anchor) HF_TRY_VOID(anchor.Connect());
  seam::Storage* anchors = options.has_anchor ? &anchor : nullptr;
  store::OpenOptions open;
  open.discard_tail = options.discard_tail;
  open.reserve_bytes = limits::kReserveBytes;
  std::vector<store::Finding> findings;
  auto opened = store::OpenStore(storage, anchors, passphrase.view(), open, SystemRandom(), &findings);
  const std::vector<store::Finding>& tell = opened ? (*opened)->findings : findings;
  if (note) {
    for (const store::Finding& f : tell) note(f.Line());
    if (opened) note((*opened)->freshness.Line());
  }
  if (!opened) return opened.error();
  auto log = [this](Code code, uint64_t a, uint64_t b) {
    host.FromCore(seam::CoreLog{code, a, b});
    if (code == Code::kFenced) Fenced();
  };
  engine =
      std::make_unique<Engine>(storage, anchors, std::move(opened).value(),
                               EngineOptions{options.kernel, options.cache_bytes, 0}, SystemRandom(), log);
  engine->set_isolation(options.isolation);
  engine->Start();
  return Ok();
}

Status Core::Start(SecretBytes passphrase, const CoreOptions& options, const Note& note) {
  HF_TRY_VOID(s_->Open(std::move(passphrase), options, note));
  s_->server = std::make_unique<session::SessionServer>(*s_->engine, s_->host, SystemRandom());
  Status started = s_->server->Start();
  if (!started) {
    s_->server.reset();
    Status stopped = s_->engine->Stop();
    (void)stopped;
    s_->engine.reset();
    return started;
  }
  session::SessionServer* server = s_->server.get();
  s_->engine->set_connections([server] { return static_cast<uint64_t>(server->connections()); });
  {
    sync::WriterLock lock(s_->serving_lock);
    s_->serving = true;
  }
  s_->host.FromCore(seam::Ready{});
  sync::MutexLock lock(s_->mutex);
  s_->ready = true;
  if (s_->fenced) s_->BeginStop();
  return Ok();
}

// Somebody else has the store: what this one would still say is old. Any of the engine's threads.
void Core::State::Fenced() {
  sync::MutexLock lock(mutex);
  fenced = true;
  if (ready) BeginStop();
}

void Core::State::BeginStop() {
  if (stopping) return;
  stopping = true;
  stopper = std::thread([this] { Stop(); });
}

void Core::State::AnswerMetrics(seam::RequestId id) {
  engine->SampleMetrics();  // gauges are filled when somebody looks
  host.FromCore(seam::MetricsReply{id, seam::Metrics().Values()});
}

void Core::State::Stop() {
  // Writes that wait for providers end after a while, so that the rest can.
  struct Ended {
    sync::Mutex mutex;
    sync::CondVar wake;
    bool yes HF_GUARDED_BY(mutex) = false;
  } ended;
  std::thread patience;
  if (replicated != nullptr) {
    patience = std::thread([this, &ended] {
      auto until = std::chrono::steady_clock::now() + kQuorumGrace;
      sync::MutexLock lock(ended.mutex);
      bool in_time = true;
      while (!ended.yes && in_time) in_time = ended.wake.WaitUntil(ended.mutex, until);
      if (!ended.yes) replicated->GiveUpWaiting();
    });
  }
  engine->BeginStop();         // or calls that wait for space would keep the sessions from ending
  server->Stop(kStopGraceMs);  // the host's credits must still reach it
  Status stopped = engine->Stop();
  if (patience.joinable()) {
    replicated->CatchUp(static_cast<uint64_t>(std::chrono::milliseconds(kQuorumGrace).count()));
    {
      sync::MutexLock lock(ended.mutex);
      ended.yes = true;
      ended.wake.NotifyOne();
    }
    patience.join();
  }
  {
    sync::WriterLock lock(serving_lock);
    serving = false;
    server.reset();
    engine.reset();
  }
  host.FromCore(seam::CoreStopped{stopped.has_value(), stopped ? Code{} : stopped.code()});
}

void Core::FromHost(seam::HostToCore message) {
  if (auto* reply = std::get_if<seam::StorageReply>(&message)) return s_->channel.OnReply(std::move(*reply));
  sync::ReaderLock serving(s_->serving_lock);
  if (!s_->serving) return;
  if (std::holds_alternative<seam::StopRequested>(message)) {
    sync::MutexLock lock(s_->mutex);
    return s_->BeginStop();
  }
  if (auto* request = std::get_if<seam::MetricsRequest>(&message)) return s_->AnswerMetrics(request->id);
  if (auto* tick = std::get_if<seam::Tick>(&message)) {
    uint64_t last = s_->tick_us.load();
    // Backwards, or hardly forwards: nothing happens. One of two that race is enough.
    bool on = tick->monotonic_us > last && tick->monotonic_us - last >= kTickStepUs;
    if (!on || !s_->tick_us.compare_exchange_strong(last, tick->monotonic_us)) {
      return;
    }
    s_->engine->ExpirePins();
  }
  s_->server->FromHost(std::move(message));
}

std::optional<uint64_t> Core::ReplyBodyMax(seam::RequestId id, seam::StorageOperation operation) {
  return s_->channel.BodyMax(id, operation);
}

void Core::HostGone() { s_->channel.Abort(); }

}  // namespace holdfast::runtime
