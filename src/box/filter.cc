#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>

#include "box/filter_internal.h"
#include "box/sandbox.h"

namespace holdfast::box {
namespace {

using How = Condition::How;

constexpr Condition Is(uint8_t argument, uint32_t value) {
  return {How::kEqual, argument, UINT32_MAX, value};
}
constexpr Condition IsNot(uint8_t argument, uint32_t value) {
  return {How::kNotEqual, argument, UINT32_MAX, value};
}
constexpr Condition Masked(uint8_t argument, uint32_t mask, uint32_t value) {
  return {How::kEqual, argument, mask, value};
}
constexpr Condition OwnPid(uint8_t argument) { return {How::kOwnPid, argument, UINT32_MAX, 0}; }
constexpr Condition Null(uint8_t argument) { return {How::kZero64, argument, UINT32_MAX, 0}; }

// Whatever else is in the flags of clone, a thread needs none of these.
constexpr uint32_t kCloneNever = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                 CLONE_NEWPID | CLONE_NEWNET | CLONE_VFORK | CLONE_PTRACE | CLONE_PIDFD;
constexpr uint32_t kSocketTypeMask = 0xf;  // without SOCK_NONBLOCK and SOCK_CLOEXEC

constexpr Verdict kAllow = Verdict::kAllow, kRefuse = Verdict::kRefuse, kAbsent = Verdict::kAbsent;

constexpr Rule kRules[] = {
    // Descriptors that are there: the channel's, and the pairs between TLS and gRPC.
    {"read", kAllow, "wake-ups of the channel; a pair's end"},
    {"write", kAllow, "wake-ups of the channel; a pair's end; last words on stderr"},
    {"writev", kAllow, "glibc's last words on a damaged heap or stack"},
    {"close", kAllow, "a pair's end"},
    {"recvmsg", kAllow, "gRPC reads its end of a pair"},
    {"sendmsg", kAllow, "gRPC writes its end of a pair"},
    {"recvfrom", kAllow, "recv() on our end of a pair"},
    {"sendto", kAllow, "send() on our end of a pair, never to an address", Null(4)},
    {"shutdown", kAllow, "a pair that ends"},
    {"getsockname", kAllow, "gRPC asks what kind of descriptor it was given"},
    {"getpeername", kAllow, "the same"},
    {"getsockopt", kAllow, "the same"},
    {"setsockopt", kAllow, "gRPC's options for a pair", Is(1, SOL_SOCKET)},
    {"setsockopt", kRefuse, "gRPC tries options of TCP on every descriptor", IsNot(1, SOL_SOCKET)},
    {"fcntl", kAllow, "is it open?", Is(1, F_GETFL)},
    {"fcntl", kAllow, "non-blocking", Is(1, F_SETFL)},
    {"fcntl", kAllow, "close-on-exec", Is(1, F_GETFD)},
    {"fcntl", kAllow, "close-on-exec", Is(1, F_SETFD)},
    {"fcntl", kAllow, "numbers of pairs that are not used again soon", Is(1, F_DUPFD_CLOEXEC)},
    // Descriptors that are made, after the filter and later: none of them leads out of the process.
    {"socketpair", kAllow, "one pair for each connection; a datagram socket could name a peer outside",
     Is(0, AF_UNIX), Masked(1, kSocketTypeMask, SOCK_STREAM)},
    {"eventfd2", kAllow, "gRPC and our pump wake themselves"},
    {"epoll_create1", kAllow, "gRPC and our pump wait for pairs"},
    {"epoll_ctl", kAllow, "the same"},
    {"epoll_wait", kAllow, "the same"},
    {"epoll_pwait", kAllow, "the same"},
    {"epoll_pwait2", kAllow, "the same"},
    {"poll", kAllow, "the same"},
    {"ppoll", kAllow, "the same"},
    // Memory: never executable.
    {"brk", kAllow, "the heap"},
    {"mmap", kAllow, "the heap, stacks of threads, the channel's rings", Masked(2, PROT_EXEC, 0)},
    {"mprotect", kAllow, "the heap, guard pages of stacks", Masked(2, PROT_EXEC, 0)},
    {"mremap", kAllow, "large blocks of the heap that grow; keeps protections"},
    {"munmap", kAllow, "the heap, stacks of threads"},
    {"madvise", kAllow, "the heap gives back what it does not need"},
    // Threads.
    {"clone", kAllow, "a thread, in the namespaces that are there",
     Masked(0, CLONE_THREAD | kCloneNever, CLONE_THREAD)},
    {"clone3", kAbsent, "its flags are in memory, where a filter cannot read them"},
    {"futex", kAllow, "locks"},
    {"set_robust_list", kAllow, "a thread's start"},
    {"rseq", kAllow, "a thread's start"},
    {"sched_yield", kAllow, "locks that spin for a moment"},
    {"sched_getaffinity", kAllow, "how many processors there are"},
    {"sched_getparam", kAllow, "asked for when a thread is started by gRPC"},
    {"sched_getscheduler", kAllow, "the same"},
    {"getcpu", kAllow, "gRPC's counters for each processor"},
    {"gettid", kAllow, "locks, abort()"},
    {"prctl", kAllow, "a thread's name", Is(0, PR_SET_NAME)},
    {"prctl", kRefuse, "everything that could loosen what Confine tied", IsNot(0, PR_SET_NAME)},
    {"exit", kAllow, "a thread's end"},
    {"exit_group", kAllow, "our end"},
    {"getpid", kAllow, "OpenSSL's generator looks for a fork; abort()"},
    {"tgkill", kAllow, "abort() is a SIGABRT to oneself", OwnPid(0), Is(2, SIGABRT)},
    // Signals to oneself: there is nobody else to get them from.
    {"rt_sigaction", kAllow, "abort() restores the default"},
    {"rt_sigprocmask", kAllow, "a thread's start, abort()"},
    {"rt_sigreturn", kAllow, "a handler's end"},
    {"rt_sigtimedwait", kAllow, "gRPC ignores its own SIGPIPE so"},
    {"restart_syscall", kAllow, "the kernel resumes a wait that a stop interrupted"},
    // Time and randomness.
    {"clock_gettime", kAllow,
     "where the machine's clock cannot be read without a call; processor time of threads"},
    {"clock_getres", kAllow, "the same"},
    {"gettimeofday", kAllow, "the same"},
    {"time", kAllow, "the same"},
    {"nanosleep", kAllow, "waits"},
    {"clock_nanosleep", kAllow, "waits"},
    {"getrandom", kAllow, "keys, nonces, TLS"},
    // Asked for by libraries when they start.
    {"uname", kAllow, "gRPC: which kernel?"},
    {"sysinfo", kAllow, "gRPC: how much memory?"},
    {"getrlimit", kAllow, "how many descriptors?"},
    {"prlimit64", kAllow, "the same; sets nothing, and asks after nobody else", Is(0, 0), Null(2)},
    // Files: gRPC and glibc look into /sys for processors and go on without.
    {"open", kRefuse, "no file"},
    {"openat", kRefuse, "no file"},
    {"openat2", kRefuse, "no file"},
    {"stat", kRefuse, "no file"},
    {"lstat", kRefuse, "no file"},
    {"fstat", kRefuse, "stdio asks before its first byte, and goes on"},
    {"newfstatat", kRefuse, "the same"},
    {"statx", kRefuse, "no file"},
    {"access", kRefuse, "no file"},
    {"faccessat", kRefuse, "no file"},
    {"faccessat2", kRefuse, "no file"},
    {"readlink", kRefuse, "no file"},
    {"readlinkat", kRefuse, "no file"},
};

scmp_arg_cmp Comparison(const Condition& c) {
  switch (c.how) {
    case How::kNotEqual:
      return SCMP_CMP32(c.argument, SCMP_CMP_NE, c.value);
    case How::kOwnPid:
      return SCMP_CMP32(c.argument, SCMP_CMP_EQ, static_cast<uint32_t>(::getpid()));
    case How::kZero64:
      return SCMP_CMP64(c.argument, SCMP_CMP_EQ, 0);
    case How::kEqual:
    case How::kAny:
      break;
  }
  return SCMP_CMP64(c.argument, SCMP_CMP_MASKED_EQ, c.mask, c.value);
}

uint32_t Action(Verdict verdict) {
  if (verdict == Verdict::kRefuse) return SCMP_ACT_ERRNO(EPERM);
  if (verdict == Verdict::kAbsent) return SCMP_ACT_ERRNO(ENOSYS);
  return SCMP_ACT_ALLOW;
}

bool Add(scmp_filter_ctx filter, const Rule& rule) {
  int number = seccomp_syscall_resolve_name(rule.call);
  // Below zero: another architecture's call, which this one does not have.
  if (number < 0) return true;
  std::array<scmp_arg_cmp, 2> conditions{};
  unsigned n = 0;
  for (const Condition& c : {rule.first, rule.second}) {
    if (c.how != How::kAny) conditions[n++] = Comparison(c);
  }
  return seccomp_rule_add_exact_array(filter, Action(rule.verdict), number, n, conditions.data()) == 0;
}

}  // namespace

std::span<const Rule> Rules() { return kRules; }

uint32_t Filter() {
  if (kSanitized) return 0;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) return 0;
  bool ok = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
            seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
  // A tree of comparisons instead of a list of a hundred; where libseccomp has none, the list will do.
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const Rule& rule : kRules) ok = ok && Add(filter, rule);
  ok = ok && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return ok ? Bit(seam::Isolation::kFilter) | Bit(seam::Isolation::kNoNewPrivs) : 0;
}

}  // namespace holdfast::box
