#include "host/runtime/server.h"

#include <poll.h>
#include <pthread.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <type_traits>

#include "host/kv/open.h"
#include "host/metrics/metrics_server.h"
#include "host/net/net.h"
#include "host/runtime/anchor_file.h"
#include "host/runtime/saving_lock.h"
#include "host/runtime/storage_lanes.h"
#include "seam/metrics.h"
#include "sync/mutex.h"

namespace holdfast::host {
namespace {

uint64_t MonotonicUs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}
uint64_t WallMs() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

std::shared_ptr<spdlog::logger> MakeLog(const std::string& level) {
  auto log = std::make_shared<spdlog::logger>("holdfast", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log->set_level(spdlog::level::from_str(level == "warn" ? "warning" : level));
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  log->flush_on(spdlog::level::trace);
  return log;
}

// The core names objects of the store, whose names a stranger may have chosen.
std::string Printable(std::string line) {
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return line;
}

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

// A provider that could not be opened: it is behind until the next start.
class AbsentStorage : public seam::Storage {
 public:
  seam::Capabilities capabilities() const override { return {}; }
  Result<UntrustedBytes> Get(std::string_view) override { return Code::kUnreachable; }
  Result<UntrustedBytes> GetRange(std::string_view, uint64_t, uint64_t) override {
    return Code::kUnreachable;
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnreachable; }
  Status Put(std::string_view, ByteView) override { return Code::kUnreachable; }
  Status PutIfAbsent(std::string_view, ByteView) override { return Code::kUnreachable; }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kUnreachable;
  }
  Status Delete(std::string_view) override { return Code::kUnreachable; }
  Result<seam::Listing> List(std::string_view, std::string_view, size_t) override {
    return Code::kUnreachable;
  }
  Status Barrier() override { return Code::kUnreachable; }
  Status CreateAppendable(std::string_view, uint64_t, ByteView) override { return Code::kUnreachable; }
  Status Append(std::string_view, uint64_t, ByteView) override { return Code::kUnreachable; }
  Status Trim(std::string_view, uint64_t) override { return Code::kUnreachable; }
};

// What the core asked of the provider, and what came of it.
class StorageCounts {
 public:
  void Request() { ++requests_; }
  void Reply(const seam::StorageReply& reply) {
    bool answer = reply.ok || reply.code == Code::kNotFound || reply.code == Code::kExists ||
                  reply.code == Code::kVersionMismatch || reply.code == Code::kUnsupported;
    if (!answer) ++errors_;
    ++replies_;
  }
  void Tell(HostValues* values) const {
    uint64_t replies = replies_;  // first: one that comes in between must not exceed the requests
    uint64_t requests = requests_;
    (*values)[HostMetric::kStorageRequests] = requests;
    (*values)[HostMetric::kStorageInFlight] = requests - replies;
    (*values)[HostMetric::kStorageErrors] = errors_;
  }

 private:
  std::atomic<uint64_t> requests_{0}, replies_{0}, errors_{0};
};

struct Server::State {
  ServerConfig config;
  std::shared_ptr<spdlog::logger> log;
  std::vector<std::unique_ptr<seam::Storage>> stores;  // null: absent
  AbsentStorage absent;
  std::unique_ptr<AnchorFile> anchor;
  std::unique_ptr<SavingLock> saving;
  int signals = -1;  // signalfd
  int wake = -1;     // eventfd: something in `inbox` changed

  seam::CoreEndpoint* core = nullptr;
  std::unique_ptr<Net> net;
  std::vector<std::unique_ptr<StorageLanes>> lanes;  // by provider
  StorageCounts storage;
  std::unique_ptr<MetricsServer> metrics_server;

  sync::Mutex inbox_mutex;
  sync::CondVar metrics_came;
  uint64_t metrics_id = 0;                       // of the newest question
  std::optional<std::vector<uint64_t>> metrics;  // its answer
  bool ready = false;
  std::optional<seam::CoreStopped> stopped;

  ~State() {
    if (signals >= 0) ::close(signals);
    if (wake >= 0) ::close(wake);
  }
  void Submit(seam::StorageRequest m) {
    storage.Request();
    size_t provider = m.volume == seam::Volume::kStore ? m.provider : 0;
    if (provider < lanes.size()) return lanes[provider]->Submit(std::move(m));
    seam::StorageReply reply;
    reply.id = m.id;
    reply.operation = m.operation;
    reply.code = Code::kInvalidArgument;
    storage.Reply(reply);
    core->FromHost(std::move(reply));
  }
  void Hello(const seam::CoreHello& m) {
    for (const seam::IsolationInfo& i : seam::IsolationTable()) {
      if ((m.isolation & seam::Bit(i.measure)) == 0) log->warn("core: not in force: {}: {}", i.name, i.text);
    }
  }
  void Note(const seam::CoreNote& m) {
    sync::MutexLock lock(inbox_mutex);
    if (!ready) std::fprintf(stderr, "holdfast: note: %s\n", Printable(m.line).c_str());
  }
  void TakeMetrics(seam::MetricsReply m) {
    sync::MutexLock lock(inbox_mutex);
    if (m.id.value != metrics_id || metrics.has_value() || m.values.size() != seam::kMetrics) return;
    metrics = std::move(m.values);
    metrics_came.NotifyAll();
  }
  std::string Temp(const char* name) const { return config.temporary_path + "/" + name; }
  void Wake() const {
    uint64_t one = 1;
    (void)!::write(wake, &one, sizeof(one));
  }
};

Server::Server(std::unique_ptr<State> s) : s_(std::move(s)) {}

Server::~Server() { Shutdown(); }

Result<std::unique_ptr<Server>> Server::Open(const ServerConfig& config, std::string* why) {
  auto s = std::make_unique<State>();
  s->config = config;
  s->log = MakeLog(config.log_level);
  sigset_t set = StopSignals();
  (void)::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  (void)std::signal(SIGPIPE, SIG_IGN);
  s->signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  s->wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  *why = "signals";
  if (s->signals < 0 || s->wake < 0) return Code::kIo;

  std::vector<std::string> urls = {config.store_url};
  urls.insert(urls.end(), config.other_store_urls.begin(), config.other_store_urls.end());
  for (const std::string& url : urls) {
    *why = url;
    auto opened = OpenStorage(url, OpenMode::kReadWrite);
    // One of several may be missing: whether the others are enough the core knows.
    bool may_lack = urls.size() > 1 && !opened &&
                    (opened.code() == Code::kNoStore || opened.code() == Code::kUnreachable ||
                     opened.code() == Code::kIo);
    if (!opened && !may_lack) return opened.error();
    if (may_lack)
      s->log->warn("provider {} does not answer: {}: {}", s->stores.size() + 1, url, CodeText(opened.code()));
    s->stores.push_back(may_lack ? nullptr : std::move(opened).value());
  }
  if (!config.anchor_file.empty()) s->anchor = std::make_unique<AnchorFile>(config.anchor_file);

  *why = config.temporary_path;
  if (::mkdir(config.temporary_path.c_str(), 0755) != 0 && errno != EEXIST) {
    return errno == EACCES || errno == EROFS ? Code::kPermission
           : errno == ENOENT                 ? Code::kNotFound
                                             : Code::kIo;
  }
  *why = s->Temp(kSavingLockFile);
  HF_TRY(s->saving, SavingLock::Open(s->Temp(kSavingLockFile)));
  auto server = std::unique_ptr<Server>(new Server(std::move(s)));
  server->RemovePortFiles();  // we hold the store's lock: no live server stands behind them
  why->clear();
  return server;
}

void Server::Attach(seam::CoreEndpoint& core) {
  s_->core = &core;
  s_->net = std::make_unique<Net>(core);
  auto done = [&core, &counts = s_->storage](seam::StorageReply reply) {
    counts.Reply(reply);
    core.FromHost(std::move(reply));
  };
  SavingLock* saving = s_->saving.get();  // the first provider that is there stands for the save
  auto frames = s_->stores.size() > 1 ? StorageLanes::Frames::kByUs : StorageLanes::Frames::kByCaller;
  for (const auto& store : s_->stores) {
    seam::Storage& to = store != nullptr ? *store : static_cast<seam::Storage&>(s_->absent);
    s_->lanes.push_back(std::make_unique<StorageLanes>(to, s_->anchor.get(),
                                                       store != nullptr ? saving : nullptr, done, frames));
    if (store != nullptr) saving = nullptr;
  }
  core.FromHost(seam::Tick{MonotonicUs(), WallMs()});
}

void Server::FromCore(seam::CoreToHost message) {
  State& s = *s_;
  std::visit(Overloaded{
                 [&](seam::StorageRequest& m) { s.Submit(std::move(m)); },
                 [&](seam::CoreHello& m) { s.Hello(m); },
                 [&](seam::CoreNote& m) { s.Note(m); },
                 [&](seam::MetricsReply& m) { s.TakeMetrics(std::move(m)); },
                 [&](seam::CoreLog& m) {
                   s.log->warn("core: {} ({}, {}): {}", CodeName(m.code), m.a, m.b, CodeText(m.code));
                 },
                 [&](seam::Ready&) {
                   sync::MutexLock lock(s.inbox_mutex);
                   s.ready = true;
                   s.Wake();
                 },
                 [&](seam::CoreStopped& m) {
                   sync::MutexLock lock(s.inbox_mutex);
                   s.stopped = m;
                   s.Wake();
                 },
                 [&](auto& m) { s.net->FromCore(std::move(m)); },
             },
             message);
}

void Server::CoreEnded(Code code) {
  sync::MutexLock lock(s_->inbox_mutex);
  if (!s_->stopped) s_->stopped = seam::CoreStopped{false, code};
  s_->Wake();
}

std::optional<std::vector<uint64_t>> Server::AskMetrics(int timeout_ms) {
  State& s = *s_;
  sync::MutexLock lock(s.inbox_mutex);
  if (!s.ready || s.stopped || s.core == nullptr) return {};
  seam::RequestId id(++s.metrics_id);
  s.metrics.reset();
  lock.Unlock();
  s.core->FromHost(seam::MetricsRequest{id});
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  lock.Lock();
  bool in_time = true;
  while (!s.metrics.has_value() && s.metrics_id == id.value && in_time) {
    in_time = s.metrics_came.WaitUntil(s.inbox_mutex, until);
  }
  return s.metrics_id == id.value ? s.metrics : std::nullopt;
}

bool Server::was_ready() const {
  sync::MutexLock lock(s_->inbox_mutex);
  return s_->ready;
}

Status Server::Listen() {
  State& s = *s_;
  HF_TRY_VOID(s.net->Start());
  HF_TRY(uint16_t admin, s.net->Listen(seam::Listener::kAdmin, "127.0.0.1", s.config.admin_port));
  HF_TRY_VOID(ReplaceFile(s.Temp(kAdminPortFile), AsBytes(std::to_string(admin)), 0644));
  HF_TRY(uint16_t user, s.net->Listen(seam::Listener::kUser, s.config.address, s.config.port));
  HF_TRY_VOID(ListenForMetrics());
  HF_TRY_VOID(ReplaceFile(s.Temp(kUserPortFile), AsBytes(std::to_string(user)), 0644));
  s.log->info("serving {} on {}:{}, administrators on 127.0.0.1:{}", s.config.store_url, s.config.address,
              user, admin);
  return Ok();
}

Status Server::ListenForMetrics() {
  State& s = *s_;
  if (!s.config.metrics_port) return Ok();
  MetricSources sources;
  sources.core = [this] { return AskMetrics(kMetricsAnswerMs); };
  sources.host = [&s](HostValues* values) {
    (*values)[HostMetric::kConnections] = s.net->connections();
    s.storage.Tell(values);
  };
  const std::string& address = s.config.metrics_address;
  auto started = MetricsServer::Start(address, *s.config.metrics_port, std::move(sources));
  if (!started) {
    s.log->error("metrics on {}:{}: {}", address, *s.config.metrics_port, CodeText(started.code()));
    return started.error();
  }
  s.metrics_server = std::move(*started);
  s.log->info("metrics on {}:{}", address, s.metrics_server->port());
  return ReplaceFile(s.Temp(kMetricsPortFile), AsBytes(std::to_string(s.metrics_server->port())), 0644);
}

void Server::RemovePortFiles() {
  ::unlink(s_->Temp(kMetricsPortFile).c_str());
  ::unlink(s_->Temp(kUserPortFile).c_str());
  ::unlink(s_->Temp(kAdminPortFile).c_str());
}

Status Server::Run() {
  State& s = *s_;
  bool listening = false, stopping = false;
  Status failed;
  auto stop = [&] {
    if (std::exchange(stopping, true)) return;
    // A core that is still opening its store, or asking for the passphrase, hears nothing yet: whoever
    // started it ends it, which is a crash like another.
    if (!was_ready()) CoreEnded(Code::kCancelled);
    s.metrics_server.reset();
    s.net->StopListening();
    RemovePortFiles();
    s.core->FromHost(seam::StopRequested{});
  };
  for (;;) {
    pollfd fds[2] = {{s.signals, POLLIN, 0}, {s.wake, POLLIN, 0}};
    (void)::poll(fds, 2, kTickMs);
    uint64_t drained = 0;
    (void)!::read(s.wake, &drained, sizeof(drained));
    s.core->FromHost(seam::Tick{MonotonicUs(), WallMs()});

    std::optional<seam::CoreStopped> stopped;
    bool ready = false;
    {
      sync::MutexLock lock(s.inbox_mutex);
      stopped = s.stopped;
      ready = s.ready;
    }
    if (stopped) {
      RemovePortFiles();
      if (!failed) return failed;
      if (!stopped->clean) return stopped->code;
      s.log->info("stopped cleanly");
      return Ok();
    }
    signalfd_siginfo signal{};
    if (::read(s.signals, &signal, sizeof(signal)) == static_cast<ssize_t>(sizeof(signal)) && !stopping) {
      s.log->info("signal {}: stopping", signal.ssi_signo);
      stop();
    }
    if (ready && !listening && !stopping) {
      listening = true;
      failed = Listen();
      if (!failed) {
        s.log->error("cannot listen: {}", CodeText(failed.code()));
        stop();
      }
    }
  }
}

void Server::Shutdown() {
  s_->metrics_server.reset();  // it asks the others
  if (s_->net) s_->net->Stop();
  s_->lanes.clear();
  RemovePortFiles();
}

}  // namespace holdfast::host
