#include "host/runtime/core_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace holdfast::host {
namespace {

constexpr int kFirstChildFd = 3;
constexpr int kAboveChildFds = 64;  // sources are moved out of the way of their targets
constexpr int kEndMs = 2000;

// Actions and attributes of one spawn.
class Spawn {
 public:
  Spawn() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Spawn() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

std::string HowItEnded(int status) {
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  return "exited with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Result<std::unique_ptr<CoreProcess>> CoreProcess::Start(const std::string& program, channel::Descriptors& d,
                                                        int passphrase_fd, bool terminal) {
  const std::array<int, 5> sources = {d.memory, d.wake_core, d.wake_host, d.life_core, passphrase_fd};
  std::array<int, 5> moved{};
  Spawn spawn;
  bool ok = true;
  for (size_t i = 0; i < sources.size(); ++i) {
    moved[i] = sources[i] < 0 ? -1 : ::fcntl(sources[i], F_DUPFD_CLOEXEC, kAboveChildFds);
    if (sources[i] < 0) continue;
    ok = ok && moved[i] >= 0 &&
         ::posix_spawn_file_actions_adddup2(&spawn.actions, moved[i], kFirstChildFd + static_cast<int>(i)) ==
             0;
  }
  // The words that holdfast-core reads (box/inherited.h).
  std::array<std::string, 8> words = {program,
                                      "3",
                                      "4",
                                      "5",
                                      "6",
                                      passphrase_fd < 0 ? "-1" : "7",
                                      terminal ? "terminal" : "file",
                                      std::to_string(::getpid())};
  std::array<char*, 9> argv{};
  for (size_t i = 0; i < words.size(); ++i) argv[i] = words[i].data();
  char* environment[] = {nullptr};
  pid_t pid = -1;
  ok = ok &&
       ::posix_spawn(&pid, program.c_str(), &spawn.actions, &spawn.attributes, argv.data(), environment) == 0;
  for (int fd : moved) {
    if (fd >= 0) ::close(fd);
  }
  if (d.life_core >= 0) ::close(d.life_core);  // or its end would not hang up
  d.life_core = -1;
  if (!ok) return Code::kNoCoreProgram;
  return std::unique_ptr<CoreProcess>(new CoreProcess(pid));
}

std::string CoreProcess::Wait(int timeout_ms) {
  if (!ended_.empty()) return ended_;
  int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (pidfd >= 0) {
    pollfd fds = {pidfd, POLLIN, 0};
    while (::poll(&fds, 1, timeout_ms) < 0 && errno == EINTR) {
    }
    ::close(pidfd);
  }
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) ended_ = HowItEnded(status);
  return ended_;
}

CoreProcess::~CoreProcess() {
  if (!Wait(kEndMs).empty()) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace holdfast::host
