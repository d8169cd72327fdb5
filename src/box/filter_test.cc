// The filter against real system calls. Each attempt is a process of its own, which says "now" through a pipe
// just before it makes the call: what ends it is that call and nothing before it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/check.h"
#include "box/child_internal.h"

namespace holdfast::box {
namespace {

constexpr uint32_t kInForce = Bit(seam::Isolation::kFilter) | Bit(seam::Isolation::kNoNewPrivs);
constexpr int kNoFilter = 98;

class Filtered : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "sanitizer builds have no filter";
  }
};

// What a process that has the filter ends with, having said "now".
Ended Under(const std::function<int()>& body) {
  Pipe now;
  Ended ended = InChild([&] {
    if (Filter() != kInForce) return kNoFilter;
    now.Say('n');
    return body();
  });
  EXPECT_TRUE(now.HasSomething()) << "it did not get to the call";
  return ended;
}

struct Attempt {
  const char* name;
  long (*call)();
};

long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  return ::syscall(number, a, b, c, d, e, f);
}
template <typename T>
long At(T& object) {
  return reinterpret_cast<long>(&object);
}

sockaddr_in address{};
rlimit limit{};
void* const kPage = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
const long page = reinterpret_cast<long>(kPage);
char letter = 'x';
const char* const kShell[] = {"/bin/sh", nullptr};

const Attempt kDeadly[] = {
    {"socket AF_INET", [] { return Call(SYS_socket, AF_INET, SOCK_STREAM); }},
    {"socket AF_INET6", [] { return Call(SYS_socket, AF_INET6, SOCK_DGRAM); }},
    {"socket AF_UNIX", [] { return Call(SYS_socket, AF_UNIX, SOCK_STREAM); }},
    {"socket AF_NETLINK", [] { return Call(SYS_socket, AF_NETLINK, SOCK_RAW); }},
    {"connect", [] { return Call(SYS_connect, 2, At(address), sizeof address); }},
    {"bind", [] { return Call(SYS_bind, 2, At(address), sizeof address); }},
    {"accept4", [] { return Call(SYS_accept4, 2); }},
    {"socketpair AF_INET", [] { return Call(SYS_socketpair, AF_INET, SOCK_STREAM, 0, page); }},
    {"socketpair AF_X25", [] { return Call(SYS_socketpair, AF_X25, SOCK_STREAM, 0, page); }},
    {"socketpair of datagrams", [] { return Call(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, page); }},
    {"socketpair of packets",
     [] { return Call(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, page); }},
    {"sendto an address", [] { return Call(SYS_sendto, 2, page, 1, 0, At(address), sizeof address); }},
    {"execve", [] { return Call(SYS_execve, At(*kShell[0]), At(kShell)); }},
    {"execveat", [] { return Call(SYS_execveat, AT_FDCWD, At(*kShell[0]), At(kShell)); }},
    {"fork", [] { return Call(SYS_clone, SIGCHLD); }},
    {"vfork", [] { return Call(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD); }},
    {"clone of a namespace", [] { return Call(SYS_clone, CLONE_NEWUSER | SIGCHLD); }},
    {"a thread with a namespace",
     [] { return Call(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWNET); }},
    {"ptrace", [] { return Call(SYS_ptrace, PTRACE_TRACEME); }},
    {"ptrace of another", [] { return Call(SYS_ptrace, PTRACE_ATTACH, 1); }},
    {"process_vm_readv", [] { return Call(SYS_process_vm_readv, 1); }},
    {"process_vm_writev", [] { return Call(SYS_process_vm_writev, 1); }},
    {"mprotect PROT_EXEC", [] { return Call(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC); }},
    {"mmap PROT_EXEC", [] { return Call(SYS_mmap, 0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1); }},
    {"pkey_mprotect", [] { return Call(SYS_pkey_mprotect, page, 4096, PROT_READ, -1); }},
    {"memfd_create", [] { return Call(SYS_memfd_create, page); }},
    {"kill another", [] { return Call(SYS_kill, 1, 0); }},
    {"kill itself", [] { return Call(SYS_kill, ::syscall(SYS_getpid), SIGUSR1); }},
    {"tgkill another", [] { return Call(SYS_tgkill, 1, 1, SIGABRT); }},
    {"tgkill itself otherwise", [] { return Call(SYS_tgkill, ::getpid(), ::gettid(), SIGUSR1); }},
    {"tkill", [] { return Call(SYS_tkill, 1, 0); }},
    {"fcntl F_SETOWN", [] { return Call(SYS_fcntl, 2, F_SETOWN, 1); }},
    {"fcntl F_SETSIG", [] { return Call(SYS_fcntl, 2, F_SETSIG, SIGKILL); }},
    {"fcntl F_SETLEASE", [] { return Call(SYS_fcntl, 2, F_SETLEASE, F_RDLCK); }},
    {"ioctl TIOCSTI", [] { return Call(SYS_ioctl, 2, TIOCSTI, At(letter)); }},
    {"ioctl FIONREAD", [] { return Call(SYS_ioctl, 2, FIONREAD, page); }},
    {"prlimit64 that sets", [] { return Call(SYS_prlimit64, 0, RLIMIT_NOFILE, At(limit), 0); }},
    {"prlimit64 of another", [] { return Call(SYS_prlimit64, 1, RLIMIT_NOFILE, 0, At(limit)); }},
    {"setrlimit", [] { return Call(SYS_setrlimit, RLIMIT_NOFILE, At(limit)); }},
    {"unshare", [] { return Call(SYS_unshare, CLONE_NEWUSER); }},
    {"setns", [] { return Call(SYS_setns, 2, 0); }},
    {"mount", [] { return Call(SYS_mount, page, page, page); }},
    {"chroot", [] { return Call(SYS_chroot, page); }},
    {"io_uring_setup", [] { return Call(SYS_io_uring_setup, 1, page); }},
    {"bpf", [] { return Call(SYS_bpf, 0, page, 4096); }},
    {"perf_event_open", [] { return Call(SYS_perf_event_open, page, 0, -1, -1); }},
    {"keyctl", [] { return Call(SYS_keyctl, 0, 0); }},
    {"userfaultfd", [] { return Call(SYS_userfaultfd); }},
    {"seccomp", [] { return Call(SYS_seccomp, 0, 0, page); }},
    {"sched_setaffinity", [] { return Call(SYS_sched_setaffinity, 0, 8, page); }},
    {"setuid", [] { return Call(SYS_setuid, 0); }},
    {"capset", [] { return Call(SYS_capset, page, page); }},
    {"munlock", [] { return Call(SYS_munlock, page, 4096); }},
    {"dup2", [] { return Call(SYS_dup3, 2, 100); }},
    {"pidfd_getfd", [] { return Call(SYS_pidfd_getfd, 2, 0); }},
#ifdef __x86_64__
    {"a call of x32", [] { return Call(0x40000000L | SYS_getpid); }},
    {"open by way of x32", [] { return Call(0x40000000L | SYS_openat, AT_FDCWD, page); }},
#endif
};

TEST_F(Filtered, EachForbiddenCallEndsTheProcess) {
  for (const Attempt& a : kDeadly) {
    Ended ended = Under([&] { return a.call() < 0 ? errno : 0; });
    EXPECT_TRUE(ended.By(SIGSYS)) << a.name << ": " << ended;
  }
}

// What the kernel puts into traced programs itself, uretprobe and uprobe: no filter is asked since
// Linux 6.14, and SIGILL ends whoever calls it from anywhere else.
bool IsProbe([[maybe_unused]] long number) {
#ifdef __x86_64__
  return number == 335 || number == 336;
#else
  return false;
#endif
}

TEST_F(Filtered, EveryCallThatTheTableDoesNotNameEndsTheProcess) {
  constexpr long kNumbers = 600;  // Linux 6.18 has some 470; those to come are no exception
  std::set<long> named;
  for (const Rule& rule : Rules()) named.insert(seccomp_syscall_resolve_name(rule.call));
  for (long number = 0; number < kNumbers; ++number) {
    if (named.count(number) != 0 || IsProbe(number)) continue;
    Ended ended = Under([&] { return Call(number) < 0 ? errno : 0; });
    ASSERT_TRUE(ended.By(SIGSYS)) << number << ": " << ended;
  }
}

TEST_F(Filtered, EveryRuleNamesACallAndSaysWhy) {
  for (const Rule& rule : Rules()) {
    EXPECT_NE(seccomp_syscall_resolve_name(rule.call), __NR_SCMP_ERROR) << rule.call;
    EXPECT_GT(std::strlen(rule.reason), 3u) << rule.call;
  }
}

#ifdef __x86_64__
TEST_F(Filtered, TheOtherDoorOfTheProcessorIsShutToo) {
  Ended ended = Under([] {
    long result = 20;  // getpid in the numbers of 32-bit programs
    asm volatile("int $0x80" : "+a"(result) : : "memory");
    return 0;
  });
  // SIGSEGV: a kernel without 32-bit calls.
  EXPECT_TRUE(ended.By(SIGSYS) || ended.By(SIGSEGV)) << ended;
}
#endif

const Attempt kRefused[] = {
    {"open", [] { return Call(SYS_open, At(*kShell[0]), O_RDONLY); }},
    {"open to write", [] { return Call(SYS_open, page, O_CREAT | O_RDWR, 0600); }},
    {"openat", [] { return Call(SYS_openat, AT_FDCWD, At(*kShell[0]), O_RDONLY); }},
    {"openat2", [] { return Call(SYS_openat2, AT_FDCWD, At(*kShell[0]), page, 24); }},
    {"stat", [] { return Call(SYS_stat, At(*kShell[0]), page); }},
    {"fstat", [] { return Call(SYS_fstat, 2, page); }},
    {"newfstatat", [] { return Call(SYS_newfstatat, AT_FDCWD, At(*kShell[0]), page); }},
    {"statx", [] { return Call(SYS_statx, AT_FDCWD, At(*kShell[0]), 0, 0, page); }},
    {"access", [] { return Call(SYS_access, At(*kShell[0])); }},
    {"readlink", [] { return Call(SYS_readlink, At(*kShell[0]), page, 10); }},
    {"readlinkat", [] { return Call(SYS_readlinkat, AT_FDCWD, At(*kShell[0]), page, 10); }},
    {"prctl PR_SET_DUMPABLE", [] { return Call(SYS_prctl, PR_SET_DUMPABLE, 1); }},
    {"prctl PR_SET_PDEATHSIG", [] { return Call(SYS_prctl, PR_SET_PDEATHSIG, 0); }},
    {"prctl PR_SET_PTRACER", [] { return Call(SYS_prctl, PR_SET_PTRACER, -1); }},
    {"setsockopt of TCP", [] { return Call(SYS_setsockopt, 2, IPPROTO_TCP, TCP_NODELAY, page, 4); }},
};

TEST_F(Filtered, WhatLibrariesAskForIsRefusedAndTheyGoOn) {
  for (const Attempt& a : kRefused) {
    Ended ended = Under([&] { return a.call() < 0 ? errno : 0; });
    EXPECT_TRUE(ended.Exited(EPERM)) << a.name << ": " << ended;
  }
  Ended ended = Under([] { return Call(SYS_clone3, page, 64) < 0 ? errno : 0; });
  EXPECT_TRUE(ended.Exited(ENOSYS)) << "clone3: " << ended;
}

// 0, or the line that failed: an exit code has eight bits, which is enough to find it.
#define NEED(cond)                           \
  do {                                       \
    if (!(cond)) return (__LINE__ % 90) + 1; \
  } while (false)

int Threads() {
  std::mutex mutex;
  std::condition_variable changed;
  int done = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      (void)::pthread_setname_np(::pthread_self(), "worker");
      std::vector<char> own(1u << 20, 'a');  // an arena of its own
      std::lock_guard lock(mutex);
      done += own.back() == 'a';
      changed.notify_all();
    });
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done == 16; });
    NEED(!changed.wait_for(lock, std::chrono::milliseconds(1), [] { return false; }));
  }
  for (std::thread& t : threads) t.join();
  return 0;
}

int Memory() {
  size_t n = 256u << 20;
  auto* bytes = static_cast<volatile char*>(std::malloc(n));
  NEED(bytes != nullptr);
  for (size_t i = 0; i < n; i += 4096) bytes[i] = 1;
  auto* more = static_cast<char*>(std::realloc(const_cast<char*>(bytes), 2 * n));
  NEED(more != nullptr && more[n - 4096] == 1);
  std::free(more);
  std::vector<std::unique_ptr<char[]>> many;
  for (int i = 0; i < 100'000; ++i) many.push_back(std::make_unique<char[]>(200));
  return 0;
}

int Descriptors() {
  int pair[2];
  NEED(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  int moved = ::fcntl(pair[1], F_DUPFD_CLOEXEC, 50);
  NEED(moved >= 50 && ::close(pair[1]) == 0 && (::fcntl(moved, F_GETFL) & O_NONBLOCK) != 0);
  int epoll = ::epoll_create1(EPOLL_CLOEXEC), wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  NEED(epoll >= 0 && wake >= 0 && ::epoll_ctl(epoll, EPOLL_CTL_ADD, moved, &event) == 0);
  NEED(::epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) == 0);
  NEED(::send(pair[0], "abc", 3, MSG_NOSIGNAL) == 3 && ::epoll_wait(epoll, &event, 1, 1000) == 1);
  char got[8];
  iovec part{got, sizeof got};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  NEED(::recvmsg(moved, &message, 0) == 3 && ::sendmsg(moved, &message, MSG_NOSIGNAL) == sizeof got);
  NEED(::recv(pair[0], got, sizeof got, 0) == sizeof got);
  uint64_t one = 1;
  NEED(::write(wake, &one, sizeof one) == sizeof one && ::read(wake, &one, sizeof one) == sizeof one);
  pollfd p{pair[0], POLLIN, 0};
  NEED(::poll(&p, 1, 1) == 0);
  socklen_t size = sizeof one;
  NEED(::getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &one, &size) == 0);
  NEED(::setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &one, size) == 0);
  NEED(::shutdown(pair[0], SHUT_RDWR) == 0 && ::close(pair[0]) == 0 && ::close(moved) == 0);
  return 0;
}

int TimeAndChance() {
  timespec now{}, pause{0, 1000};
  for (clockid_t clock :
       {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID}) {
    NEED(::syscall(SYS_clock_gettime, clock, &now) == 0);
  }
  NEED(::nanosleep(&pause, nullptr) == 0);
  std::this_thread::sleep_for(std::chrono::microseconds(1));
  char bytes[32];
  NEED(::getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
  return 0;
}

int Questions() {
  utsname name{};
  struct sysinfo info {};
  rlimit files{};
  cpu_set_t cpus;
  NEED(::uname(&name) == 0 && ::sysinfo(&info) == 0 && ::getrlimit(RLIMIT_NOFILE, &files) == 0);
  NEED(::sched_getaffinity(0, sizeof cpus, &cpus) == 0 && std::thread::hardware_concurrency() > 0);
  NEED(::sysconf(_SC_NPROCESSORS_ONLN) > 0 && ::sysconf(_SC_NPROCESSORS_CONF) > 0);
  return 0;
}

int Language() {
  try {
    throw std::runtime_error("an exception");
  } catch (const std::exception&) {
    std::fprintf(stderr, "%s", "");
  }
  std::printf("%d\n", 1);  // stdout: stdio looks at what it is
  NEED(std::fflush(stdout) == 0);
  return 0;
}

TEST_F(Filtered, WhatTheCoreLivesOnGoesOn) {
  for (auto [name, body] : {std::pair{"threads", &Threads},
                            {"memory", &Memory},
                            {"descriptors", &Descriptors},
                            {"time and chance", &TimeAndChance},
                            {"questions", &Questions},
                            {"language", &Language}}) {
    Ended ended = Under(body);
    EXPECT_TRUE(ended.Exited(0)) << name << ": " << ended;
  }
}

extern "C" [[noreturn]] void __stack_chk_fail();  // NOLINT: glibc's

// The end of a program that found its own mistake says so: SIGABRT, not SIGSYS. (A damaged heap may also
// fault before malloc looks at it.)
TEST_F(Filtered, OurOwnMistakesEndAsEver) {
  for (auto [name, body] : {std::pair<const char*, int (*)()>{"abort",
                                                              [] {
                                                                std::abort();
                                                                return 0;
                                                              }},
                            {"a check",
                             [] {
                               HF_CHECK(::getpid() == 0);
                               return 0;
                             }},
                            {"terminate",
                             [] {
                               std::terminate();
                               return 0;
                             }},
                            {"a damaged stack",
                             [] {
                               __stack_chk_fail();
                               return 0;
                             }},
                            {"a damaged heap", [] {
                               void* volatile p = std::malloc(100);
                               std::free(p);
                               std::free(static_cast<char*>(p) - 8);
                               return 0;
                             }}}) {
    Ended ended = Under(body);
    bool may_fault = std::string_view(name) == "a damaged heap";
    EXPECT_TRUE(ended.By(SIGABRT) || (may_fault && ended.By(SIGSEGV))) << name << ": " << ended;
  }
}

TEST_F(Filtered, HoldsInThreadsThatWereThereBeforeIt) {
  Ended ended = InChild([] {
    std::atomic<bool> filtered{false};
    std::thread before([&] {
      filtered.wait(false);
      (void)Call(SYS_socket, AF_INET, SOCK_STREAM);
      ::_exit(1);
    });
    if (Filter() != kInForce) return kNoFilter;
    filtered = true;
    filtered.notify_all();
    before.join();
    return 2;
  });
  EXPECT_TRUE(ended.By(SIGSYS)) << ended;
}

TEST_F(Filtered, HoldsInThreadsThatComeAfterIt) {
  Ended ended = Under([] {
    std::thread after([] {
      (void)Call(SYS_socket, AF_INET, SOCK_STREAM);
      ::_exit(1);
    });
    after.join();
    return 2;
  });
  EXPECT_TRUE(ended.By(SIGSYS)) << ended;
}

// A container whose own filter does not let us have one.
TEST_F(Filtered, AMachineThatRefusesItIsNotFatalAndNotReported) {
  Ended ended = InChild([] {
    scmp_filter_ctx theirs = seccomp_init(SCMP_ACT_ALLOW);
    NEED(seccomp_rule_add(theirs, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(seccomp), 0) == 0);
    NEED(seccomp_rule_add(theirs, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
                          SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP)) == 0);
    NEED(seccomp_load(theirs) == 0);
    NEED(Filter() == 0);
    NEED(::open("/", O_RDONLY | O_CLOEXEC) >= 0);
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

TEST(Sanitized, BuildsHaveNoFilterAndSaySo) {
  if (!kSanitized) GTEST_SKIP() << "this is no such build";
  EXPECT_EQ(Filter(), 0u);
}

}  // namespace
}  // namespace holdfast::box
