// Processes that tests make, confine and see end. Nothing waits longer than kPatienceMs.
#ifndef HOLDFAST_BOX_CHILD_INTERNAL_H_
#define HOLDFAST_BOX_CHILD_INTERNAL_H_

#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>

#include "box/filter_internal.h"
#include "box/sandbox.h"

namespace holdfast::box {

constexpr int kPatienceMs = 20'000;
constexpr uid_t kNobody = 65534;

struct Ended {
  int status = -1;  // of waitpid; -1: it did not end by itself
  bool Exited(int code) const { return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == code; }
  bool By(int signal) const { return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == signal; }
};
inline std::ostream& operator<<(std::ostream& out, const Ended& e) {
  if (e.status == -1) return out << "did not end";
  if (WIFSIGNALED(e.status)) return out << "ended by signal " << WTERMSIG(e.status);
  return out << "exit code " << WEXITSTATUS(e.status);
}

// Waits for a process (a child, or one that this process has become the reaper of); kills what does not end.
inline Ended WaitFor(pid_t pid) {
  int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  struct pollfd p {
    pidfd, POLLIN, 0
  };
  int ready = ::poll(&p, 1, kPatienceMs);
  ::close(pidfd);
  if (ready != 1) (void)::kill(pid, SIGKILL);
  int status = -1;
  (void)::waitpid(pid, &status, 0);
  return {ready == 1 ? status : -1};
}

inline pid_t Fork(const std::function<int()>& body) {
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  return pid;
}
inline Ended InChild(const std::function<int()>& body) { return WaitFor(Fork(body)); }

// As a process that an ordinary user has started: no rights, and dumpable as exec leaves it.
inline void BecomeNobody() {
  if (::geteuid() != 0) return;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
      ::setresuid(kNobody, kNobody, kNobody) != 0 || ::prctl(PR_SET_DUMPABLE, 1) != 0) {
    ::_exit(99);
  }
}

// A pipe to say small things through, between a child and its test.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int in() const { return ends_[1]; }
  int out() const { return ends_[0]; }
  template <typename T>
  void Say(const T& what) const {
    (void)!::write(ends_[1], &what, sizeof what);
  }
  template <typename T>
  bool Hear(T* what) const {
    struct pollfd p {
      ends_[0], POLLIN, 0
    };
    return ::poll(&p, 1, kPatienceMs) == 1 && ::read(ends_[0], what, sizeof *what) == sizeof *what;
  }
  bool HasSomething() const {
    struct pollfd p {
      ends_[0], POLLIN, 0
    };
    return ::poll(&p, 1, 0) == 1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

}  // namespace holdfast::box

#endif  // HOLDFAST_BOX_CHILD_INTERNAL_H_
