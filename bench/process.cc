#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "bench/failure_internal.h"
#include "bench/process_internal.h"

extern char** environ;  // NOLINT: POSIX's name

namespace holdfast::bench {
namespace {

namespace fs = std::filesystem;

constexpr size_t kProcessesMax = 16;  // a suite has at most four at a time
constexpr uint64_t kStopMilliseconds = 20'000;
constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<bool> interrupted{false};
std::atomic<pid_t> groups[kProcessesMax];  // of processes that have not been reaped; 0: none
struct sigaction before[kSignals.size()], before_pipe;

void KillAll(int) {
  interrupted = true;
  for (std::atomic<pid_t>& g : groups) {
    pid_t group = g;
    if (group > 0) ::kill(-group, SIGKILL);
  }
}

void Register(pid_t group) {
  for (std::atomic<pid_t>& g : groups) {
    pid_t none = 0;
    if (g.compare_exchange_strong(none, group)) return;
  }
  HF_CHECK(false);  // more processes than a suite may have
}

void Unregister(pid_t group) {
  for (std::atomic<pid_t>& g : groups) {
    pid_t expected = group;
    if (g.compare_exchange_strong(expected, 0)) return;
  }
}

std::vector<std::string> Environment() {
  std::vector<std::string> kept;
  for (char** e = environ; *e != nullptr; ++e) {
    std::string_view entry(*e);
    if (!entry.starts_with("HOLDFAST_") && !entry.starts_with("ETCD_")) kept.emplace_back(entry);
  }
  return kept;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& t : texts) out.push_back(t.data());
  out.push_back(nullptr);
  return out;
}

// In the child of a process with threads: nothing but system calls until the program is replaced.
[[noreturn]] void Become(pid_t parent, char* const* arguments, char* const* environment, int log, int null) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  for (int s : kSignals) ::signal(s, SIG_DFL);
  ::dup2(null, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  ::execve(arguments[0], arguments, environment);
  ::_exit(127);
}

double Seconds(const timespec& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double ClockSeconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return Seconds(now);
}

double CpuOf(pid_t pid) {
  clockid_t clock;
  if (::clock_getcpuclockid(pid, &clock) != 0) return 0;  // it has ended
  double sum = ClockSeconds(clock);
  std::error_code ignored;
  std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (fs::directory_iterator it(tasks, ignored), end; !ignored && it != end; it.increment(ignored)) {
    std::ifstream children(it->path() / "children");
    for (pid_t child; children >> child;) sum += CpuOf(child);
  }
  return sum;
}

}  // namespace

Status Guarded(const std::function<void()>& work, std::string* why) {
  Status status = Ok();
  try {
    work();
  } catch (const Failure& f) {
    status = f.code;
    *why = f.text;
  } catch (const fs::filesystem_error& e) {
    status = Code::kIo;
    *why = std::string("bench: ") + e.what();
  }
  if (!Interruptible::Interrupted()) return status;
  *why = "bench: interrupted";
  return Code::kCancelled;
}

Interruptible::Interruptible() {
  interrupted = false;
  struct sigaction kill_all {};
  kill_all.sa_handler = KillAll;
  kill_all.sa_flags = SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &kill_all, &before[i]);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before_pipe);
}
Interruptible::~Interruptible() {
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before[i], nullptr);
  ::sigaction(SIGPIPE, &before_pipe, nullptr);
}
bool Interruptible::Interrupted() { return interrupted; }

Scratch::Scratch(const std::string& parent) {
  fs::path root = parent.empty() ? fs::temp_directory_path() : fs::absolute(parent);
  std::string pattern = (root / "holdfast-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) Fail("bench: " + root.string(), Code::kIo);
  path_ = pattern;
}
Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Process::Process(const std::vector<std::string>& arguments, std::string log) : log_(std::move(log)) {
  if (Interruptible::Interrupted()) Fail("bench", Code::kCancelled);
  std::vector<std::string> texts = arguments, environment = Environment();
  std::vector<char*> argument_pointers = Pointers(texts), environment_pointers = Pointers(environment);
  int out = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  pid_t self = ::getpid();
  pid_ = out < 0 || null < 0 ? -1 : ::fork();
  if (pid_ == 0) Become(self, argument_pointers.data(), environment_pointers.data(), out, null);
  if (out >= 0) ::close(out);
  if (null >= 0) ::close(null);
  if (pid_ < 0) Fail("bench: " + arguments[0], Code::kIo);
  ::setpgid(pid_, pid_);  // the child does the same: whoever is first
  Register(pid_);
  if (Interruptible::Interrupted()) ::kill(-pid_, SIGKILL);  // the signal may have come before we registered
}

Process::~Process() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  Reap(true);
}

// Until the leader is reaped its id, and with it the group's, belongs to nobody else.
bool Process::Reap(bool wait) {
  if (pid_ <= 0) return true;
  siginfo_t info{};
  int n;
  do {
    n = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | (wait ? 0 : WNOHANG));
  } while (n != 0 && errno == EINTR);
  if (n == 0 && info.si_pid == 0) return false;
  ::kill(-pid_, SIGKILL);  // what it may have left behind
  Unregister(pid_);
  ::waitpid(pid_, nullptr, 0);
  exit_ = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  pid_ = -1;
  return true;
}

bool Process::Running() { return !Reap(false); }

void Process::Stop() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  for (uint64_t waited = 0; !Reap(false); waited += 5) {
    if (waited >= kStopMilliseconds) {
      ::kill(pid_, SIGKILL);
      Reap(true);
      return;
    }
    SleepMilliseconds(5);
  }
}

void Process::Finish(const std::string& what, uint64_t seconds) {
  for (uint64_t waited = 0; !Reap(false); waited += 5) {
    if (waited >= seconds * 1000) Fail(what, Code::kDeadline);
    SleepMilliseconds(5);
  }
  if (exit_ != 0) FailWith(Code::kInternal, what + " failed: " + LastLine());
}

double Process::CpuSeconds() const { return pid_ <= 0 ? 0 : CpuOf(pid_); }

std::string Process::LastLine() const {
  std::ifstream in(log_);
  std::string last = "(it said nothing)";
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

double OwnCpuSeconds() { return ClockSeconds(CLOCK_PROCESS_CPUTIME_ID); }
double ThreadCpuSeconds() { return ClockSeconds(CLOCK_THREAD_CPUTIME_ID); }

uint64_t Nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void SleepMilliseconds(uint64_t ms) {
  timespec t{static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000 * 1'000'000)};
  ::nanosleep(&t, nullptr);
}

std::string OwnProgram() { return fs::read_symlink("/proc/self/exe").string(); }

void EndWithoutCleaning() { ::_exit(0); }

std::string FindProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    std::string full = std::string(folder) + "/" + name;
    std::error_code ignored;
    if (::access(full.c_str(), X_OK) == 0 && fs::is_regular_file(full, ignored)) return full;
  }
  return {};
}

}  // namespace holdfast::bench
