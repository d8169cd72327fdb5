#include "hostile_host.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <variant>

#include "seam/ring.h"

namespace holdfast::abuse {
namespace {

constexpr uint64_t kFirstRawStream = 1ull << 40;
constexpr int kTickMs = 100;
constexpr rlim_t kDescriptors = 8192;

uint64_t MonotonicUs() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // the sanitizers' own memory says nothing about ours
#else
constexpr bool kSanitized = false;
#endif

// "VmRSS:   1234 kB" of a process, in bytes; 0 if there is no such line.
uint64_t StatusLine(pid_t pid, std::string_view name) {
  if (kSanitized) return 0;
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) << 10;
  }
  return 0;
}

void AllowDescriptors() {
  struct rlimit now {};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur >= kDescriptors) return;
  now.rlim_cur = std::min<rlim_t>(now.rlim_max, kDescriptors);
  (void)::setrlimit(RLIMIT_NOFILE, &now);
}

// Our stderr is the child's while it is started.
class StderrTo {
 public:
  explicit StderrTo(int fd) : before_(::dup(STDERR_FILENO)) { (void)::dup2(fd, STDERR_FILENO); }
  ~StderrTo() {
    (void)::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }
  StderrTo(const StderrTo&) = delete;
  StderrTo& operator=(const StderrTo&) = delete;

 private:
  int before_;
};

template <typename T>
std::shared_ptr<T> Shared(T function) {
  return function ? std::make_shared<T>(std::move(function)) : nullptr;
}

}  // namespace

HostileHost::HostileHost(Deployment& deployment, How how)
    : deployment_(deployment), how_(how), next_stream_(kFirstRawStream) {
  if (!how.keep_limits) AllowDescriptors();
  StartCore();
  lanes_ =
      std::make_unique<host::StorageLanes>(deployment.objects(), &deployment.anchor(), nullptr,
                                           [this](seam::StorageReply reply) { Answer(std::move(reply)); });
  if (how.say_hello) Hello();
  ticker_ = std::thread([this] { Ticks(); });
}

void HostileHost::StartCore() {
  channel::Descriptors d = channel::MakeDescriptors().value();
  mine_.memory = ::dup(d.memory);
  mine_.wake_core = ::dup(d.wake_core);
  mine_.wake_host = ::dup(d.wake_host);
  memory_ = static_cast<uint8_t*>(
      ::mmap(nullptr, seam::ChannelMemoryBytes(), PROT_READ | PROT_WRITE, MAP_SHARED, d.memory, 0));
  stderr_ = ::memfd_create("stderr", MFD_CLOEXEC);
  int passphrase = how_.give_passphrase ? OpenPassphrase(how_.passphrase) : -1;
  {
    StderrTo redirect(stderr_);
    process_ = host::CoreProcess::Start(HF_BINARY_DIR "/bin/holdfast-core", d, passphrase, false).value();
  }
  if (passphrase >= 0) ::close(passphrase);
  auto ended = [this] {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  };
  if (how_.by_hand) {
    mine_.life_host = d.life_host;
    ::close(d.memory);
    hand_ = std::make_unique<HandPort>(memory_, d.wake_host, d.wake_core, d.life_host, *this, ended);
    ::close(std::exchange(mine_.wake_host, d.wake_host));
    ::close(std::exchange(mine_.wake_core, d.wake_core));
    return;
  }
  channel::Events events;
  events.ended = [ended](Code) { ended(); };
  port_ = channel::HostPort::Open(d, *this, std::move(events)).value();
  port_->Start();
}

HostileHost::~HostileHost() {
  (void)MemoryNow();
  HangUp();
  std::string how = WaitEnd();
  EXPECT_TRUE(how.starts_with("exited with ")) << "the core was " << how << "; it said: " << Stderr();
  for (const char* fault : {"check failed", "Sanitizer", "runtime error"}) {
    EXPECT_EQ(Stderr().find(fault), std::string::npos) << Stderr();
  }
  ::munmap(memory_, seam::ChannelMemoryBytes());
  channel::Close(mine_);
  ::close(stderr_);
}

void HostileHost::HangUp() {
  quit_ = true;
  if (ticker_.joinable()) ticker_.join();
  if (net_) net_->Stop();
  if (port_) port_->Stop();
  if (hand_) hand_->Stop();
  lanes_.reset();  // what is under way is still answered, into a port that nobody reads
  port_.reset();
  hand_.reset();
  if (mine_.life_host >= 0) ::close(std::exchange(mine_.life_host, -1));
}

// -- what it does

template <typename T>
void HostileHost::Replace(std::shared_ptr<T>& slot, T function) {
  std::shared_ptr<T> before = Shared(std::move(function));
  {
    std::lock_guard lock(lie_mutex_);
    std::swap(slot, before);
  }
  // What it refers to may go when we return: nobody may still be inside.
  (void)Eventually([&] { return before == nullptr || before.use_count() == 1; });
}

void HostileHost::Lie(Liar liar) { Replace(liar_, std::move(liar)); }
void HostileHost::TapToCore(TapOf<seam::HostToCore> tap) { Replace(tap_to_core_, std::move(tap)); }
void HostileHost::TapToHost(TapOf<seam::CoreToHost> tap) { Replace(tap_to_host_, std::move(tap)); }

void HostileHost::Answer(seam::StorageReply reply) {
  seam::StorageRequest request;
  {
    std::lock_guard lock(mutex_);
    auto asked = asked_.extract(reply.id.value);
    if (!asked.empty()) request = std::move(asked.mapped());
  }
  std::shared_ptr<Liar> liar;
  {
    std::lock_guard lock(lie_mutex_);
    liar = liar_;
  }
  if (!liar || (*liar)(request, reply)) core().FromHost(std::move(reply));
}

void HostileHost::FromNet(seam::HostToCore message) {
  std::shared_ptr<TapOf<seam::HostToCore>> tap;
  {
    std::lock_guard lock(lie_mutex_);
    tap = tap_to_core_;
  }
  if (!tap || (*tap)(message)) core().FromHost(std::move(message));
}

void HostileHost::Ticks() {
  while (!quit_) {
    {
      std::lock_guard lock(tick_mutex_);
      if (how_.say_hello && !frozen_) core().FromHost(seam::Tick{MonotonicUs(), MonotonicUs() / 1000});
    }
    (void)MemoryNow();
    ::poll(nullptr, 0, kTickMs);
  }
}

void HostileHost::FreezeTicks(bool on) {
  std::lock_guard lock(tick_mutex_);
  frozen_ = on;
}

void HostileHost::Track(uint64_t stream) {
  std::lock_guard lock(mutex_);
  raw_[stream];
}
RawStream HostileHost::Raw(uint64_t stream) {
  std::lock_guard lock(mutex_);
  return raw_[stream];
}

// -- what it sees

void HostileHost::FromCore(seam::CoreToHost message) {
  if (auto* request = std::get_if<seam::StorageRequest>(&message)) {
    {
      std::lock_guard lock(mutex_);
      asked_[request->id.value] = *request;
    }
    return lanes_->Submit(std::move(*request));
  }
  if (OfRawStream(message)) return;
  std::shared_ptr<TapOf<seam::CoreToHost>> tap;
  {
    std::lock_guard lock(lie_mutex_);
    tap = tap_to_host_;
  }
  if (tap && !(*tap)(message)) return;
  See(message);
  host::Net* net;
  {
    std::lock_guard lock(mutex_);
    net = net_.get();
  }
  if (net == nullptr) return;
  if (auto* m = std::get_if<seam::StreamBytes>(&message)) net->FromCore(std::move(*m));
  if (auto* m = std::get_if<seam::StreamClosed>(&message)) net->FromCore(*m);
  if (auto* m = std::get_if<seam::StreamCredit>(&message)) net->FromCore(*m);
}

bool HostileHost::OfRawStream(const seam::CoreToHost& message) {
  auto note = [&](uint64_t id, uint64_t credit, uint64_t bytes, int closed) {
    if (id < kFirstRawStream) return false;
    raw_closed_ += static_cast<uint64_t>(closed);
    std::lock_guard lock(mutex_);
    auto it = raw_.find(id);
    if (it != raw_.end()) {
      it->second.credit += credit;
      it->second.bytes += bytes;
      it->second.closed += closed;
    }
    return true;
  };
  if (auto* m = std::get_if<seam::StreamBytes>(&message)) return note(m->id.value, 0, m->bytes.size(), 0);
  if (auto* m = std::get_if<seam::StreamCredit>(&message)) return note(m->id.value, m->bytes, 0, 0);
  if (auto* m = std::get_if<seam::StreamClosed>(&message)) return note(m->id.value, 0, 0, 1);
  return false;
}

void HostileHost::See(seam::CoreToHost& message) {
  std::lock_guard lock(mutex_);
  if (auto* m = std::get_if<seam::CoreHello>(&message)) core_hello_ = *m;
  if (std::holds_alternative<seam::Ready>(message)) ready_ = true;
  if (auto* m = std::get_if<seam::CoreLog>(&message)) logs_.push_back(*m);
  if (auto* m = std::get_if<seam::CoreNote>(&message)) notes_ += m->line + "\n";
  if (auto* m = std::get_if<seam::CoreStopped>(&message)) stopped_ = *m;
  if (auto* m = std::get_if<seam::MetricsReply>(&message)) metrics_[m->id.value] = std::move(m->values);
  changed_.notify_all();
}

bool HostileHost::WaitReady() {
  if (!Wait([&] { return ready_ || stopped_ || ended_; })) return false;
  {
    std::lock_guard lock(mutex_);
    if (!ready_) return false;
  }
  auto net = std::make_unique<host::Net>(gate_);
  if (!net->Start()) return false;
  auto user = net->Listen(seam::Listener::kUser, "127.0.0.1", 0);
  auto admin = net->Listen(seam::Listener::kAdmin, "127.0.0.1", 0);
  if (!user || !admin) return false;
  user_port_ = *user;
  admin_port_ = *admin;
  std::lock_guard lock(mutex_);
  net_ = std::move(net);
  return true;
}

std::optional<seam::CoreHello> HostileHost::WaitHello() {
  (void)Wait([&] { return core_hello_.has_value() || stopped_.has_value() || ended_; });
  std::lock_guard lock(mutex_);
  return core_hello_;
}

std::optional<seam::CoreLog> HostileHost::WaitLog(Code code) {
  auto find = [&]() -> std::optional<seam::CoreLog> {
    for (const seam::CoreLog& l : logs_) {
      if (l.code == code) return l;
    }
    return {};
  };
  (void)Wait([&] { return find().has_value(); });
  std::lock_guard lock(mutex_);
  return find();
}

std::optional<seam::CoreStopped> HostileHost::WaitStopped() {
  (void)Wait([&] { return stopped_.has_value() || ended_; });
  std::lock_guard lock(mutex_);
  return stopped_;
}

std::string HostileHost::WaitEnd(std::chrono::milliseconds patience) {
  std::lock_guard lock(process_mutex_);
  return process_->Wait(static_cast<int>(patience.count()));
}

std::string HostileHost::Stderr() const {
  std::string text(8192, 0);
  ssize_t n = ::pread(stderr_, text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

std::string HostileHost::Notes() const {
  std::lock_guard lock(mutex_);
  return notes_;
}

std::optional<uint64_t> HostileHost::Ask(seam::Metric metric) {
  uint64_t id;
  {
    std::lock_guard lock(mutex_);
    id = ++metrics_id_;
  }
  core().FromHost(seam::MetricsRequest{seam::RequestId(id)});
  (void)Wait([&] { return metrics_.contains(id) || ended_ || stopped_; });
  std::lock_guard lock(mutex_);
  auto found = metrics_.extract(id);
  if (found.empty()) return {};
  return found.mapped().at(static_cast<size_t>(metric));
}

bool HostileHost::Eventually(const std::function<bool()>& holds) {
  auto until = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

bool HostileHost::Reaches(seam::Metric metric, uint64_t value) {
  bool reached = false;
  (void)Eventually([&] {
    std::optional<uint64_t> now = Ask(metric);
    reached = now && *now >= value;
    return reached || !now;
  });
  return reached;
}

uint64_t HostileHost::MemoryNow() const {
  uint64_t most = StatusLine(pid(), "VmHWM:");
  for (uint64_t before = peak_; most > before && !peak_.compare_exchange_weak(before, most);) {
  }
  return StatusLine(pid(), "VmRSS:");
}
uint64_t HostileHost::MemoryPeak() const {
  (void)MemoryNow();
  return peak_;
}

std::optional<size_t> HostileHost::OpenDescriptors() const {
  std::error_code error;
  size_t n = 0;
  std::filesystem::directory_iterator all("/proc/" + std::to_string(pid()) + "/fd", error);
  if (error) return {};
  for (auto it = begin(all); it != end(all); it.increment(error)) ++n;
  return n;
}

Code HostileHost::Stop() {
  core().FromHost(seam::StopRequested{});
  std::optional<seam::CoreStopped> stopped = WaitStopped();
  if (!stopped) return Code::kDeadline;
  return stopped->clean ? Code{} : stopped->code;
}

}  // namespace holdfast::abuse
