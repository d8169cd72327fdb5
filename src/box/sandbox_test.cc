// Each measure against what it is for: real processes, as root where the test runs as root, and as nobody.
#include "box/sandbox.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/secret.h"
#include "box/child_internal.h"

namespace holdfast::box {
namespace {

using seam::Isolation;

// 0, or something that leads to the line that failed: an exit code has eight bits.
#define NEED(cond)                            \
  do {                                        \
    if (!(cond)) return (__LINE__ % 200) + 1; \
  } while (false)

constexpr uint32_t kNamespaces = Bit(Isolation::kUserNamespace) | Bit(Isolation::kNoNetwork) |
                                 Bit(Isolation::kNoIpc) | Bit(Isolation::kNoNames) | Bit(Isolation::kNoFiles);
constexpr uint32_t kRightsGone = Bit(Isolation::kNoNewPrivs) | Bit(Isolation::kNoRights);

bool Has(uint32_t bits, Isolation m) { return (bits & Bit(m)) != 0; }

// Whether an unprivileged process of this machine may have a user namespace: some do not allow it.
bool MayHaveUserNamespaces() {
  static const bool may = InChild([] {
                            BecomeNobody();
                            return ::unshare(CLONE_NEWUSER) == 0 && ::unshare(CLONE_NEWNET) == 0 ? 0 : 1;
                          }).Exited(0);
  return may;
}

class Folder {
 public:
  Folder() {
    std::string name = ::testing::TempDir() + "/box.XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    EXPECT_EQ(::chmod(name.c_str(), 0777), 0);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const char* c_str() const { return path_.c_str(); }
  bool empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::string path_;
};

uint32_t ConfineAlone() { return Confine(::getppid(), {}); }

// -- Confine

TEST(Confine, EndsAtOnceWhenItsParentIsGoneAlready) {
  EXPECT_TRUE(InChild([] {
                (void)Confine(::getpid(), {});
                return 55;
              }).Exited(1));
}

// A host that starts a core and is then killed; the core is waited for by this test, as its reaper.
Ended CoreWhoseHostIsKilled(bool nobody, bool leaves) {
  EXPECT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  Pipe said;
  pid_t host = Fork([&] {
    if (nobody) BecomeNobody();
    pid_t self = ::getpid();
    (void)Fork([&] {
      int keep = said.in();
      uint32_t bits = Confine(self, std::span<const int>(&keep, 1));
      if (leaves) bits |= LeaveTheMachine(self);
      pid_t core = Has(bits, Isolation::kDiesWithHost) ? ::getpid() : -1;
      said.Say(core);
      for (;;) ::pause();
      return 0;
    });
    for (;;) ::pause();
    return 0;
  });
  pid_t core = -1;
  bool heard = said.Hear(&core);
  EXPECT_TRUE(heard && core > 0);
  EXPECT_EQ(::kill(host, SIGKILL), 0);
  EXPECT_TRUE(WaitFor(host).By(SIGKILL));
  return heard && core > 0 ? WaitFor(core) : Ended{};
}

TEST(Confine, TheCoreEndsWhenItsHostIsKilled) {
  EXPECT_TRUE(CoreWhoseHostIsKilled(false, false).By(SIGKILL));
}

TEST(Confine, TheCoreStillEndsWithItsHostAfterItsCredentialsChanged) {
  EXPECT_TRUE(CoreWhoseHostIsKilled(false, true).By(SIGKILL));
  EXPECT_TRUE(CoreWhoseHostIsKilled(true, true).By(SIGKILL));
}

Ended Crash(const Folder& folder, bool nobody, const std::function<void()>& before) {
  return InChild([&] {
    struct rlimit all {
      RLIM_INFINITY, RLIM_INFINITY
    };
    if (::setrlimit(RLIMIT_CORE, &all) != 0 || ::chdir(folder.c_str()) != 0) return 1;
    if (nobody) BecomeNobody();
    before();
    std::abort();
  });
}

TEST(Confine, LeavesNoCoreFileWhateverTheLimitWas) {
  if (::geteuid() != 0) GTEST_SKIP() << "raising the limit takes root";
  for (bool nobody : {false, true}) {
    Folder folder;
    Ended control = Crash(folder, nobody, [] {});
    ASSERT_TRUE(control.By(SIGABRT)) << control;
    if (!WCOREDUMP(control.status)) GTEST_SKIP() << "this machine dumps nothing";
    Folder clean;
    Ended confined = Crash(clean, nobody, [] { (void)ConfineAlone(); });
    EXPECT_TRUE(confined.By(SIGABRT)) << confined;
    EXPECT_FALSE(WCOREDUMP(confined.status));
    // Even if the limit came back, and after the kernel has reset what credentials carry.
    Ended raised = Crash(clean, nobody, [&] {
      (void)ConfineAlone();
      struct rlimit all {
        RLIM_INFINITY, RLIM_INFINITY
      };
      (void)::setrlimit(RLIMIT_CORE, &all);
      (void)LeaveTheMachine(::getppid());
    });
    EXPECT_TRUE(raised.By(SIGABRT)) << raised;
    EXPECT_FALSE(WCOREDUMP(raised.status));
    EXPECT_TRUE(clean.empty());
  }
}

TEST(Confine, ADumpWouldHoldNoMapping) {
  EXPECT_TRUE(InChild([] {
                NEED(Has(ConfineAlone(), Isolation::kNoDumps));
                std::ifstream filter("/proc/self/coredump_filter");
                uint64_t bits = 1;
                // Unreadable to ordinary users by now: then what was written cannot be asked for, nor undone.
                NEED(!(filter >> std::hex >> bits) || bits == 0);
                return 0;
              }).Exited(0));
}

// Somebody of the same user who tries to look into it.
TEST(Confine, NoDebuggerOfTheSameUser) {
  auto attach = [](bool confined) {
    Pipe ready;
    pid_t core = Fork([&] {
      BecomeNobody();
      int keep = ready.in();
      if (confined) {
        (void)Confine(::getppid(), std::span<const int>(&keep, 1));
        (void)LeaveTheMachine(::getppid());
      }
      ready.Say('r');
      for (;;) ::pause();
      return 0;
    });
    char r = 0;
    EXPECT_TRUE(ready.Hear(&r));
    Ended debugger = InChild([&] {
      BecomeNobody();
      if (::ptrace(PTRACE_SEIZE, core, nullptr, nullptr) == 0) return 1;
      int seize = errno;
      char byte = 0;
      iovec here{&byte, 1}, there{const_cast<int*>(&kPatienceMs), 1};
      if (::process_vm_readv(core, &here, 1, &there, 1, 0) == 1) return 2;
      std::string memory = "/proc/" + std::to_string(core) + "/mem";
      if (::open(memory.c_str(), O_RDONLY | O_CLOEXEC) >= 0) return 3;
      return seize == EPERM ? 0 : 4;
    });
    EXPECT_EQ(::kill(core, SIGKILL), 0);
    (void)WaitFor(core);
    return debugger;
  };
  if (!attach(false).Exited(1)) GTEST_SKIP() << "this machine allows no debugger anyway";
  Ended confined = attach(true);
  EXPECT_TRUE(confined.Exited(0)) << confined;
}

int OnlyTheseAreOpen(std::vector<int> expected) {
  std::vector<int> open;
  for (int fd = 0; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) open.push_back(fd);
  }
  return open == expected ? 0 : 1;
}

TEST(Confine, ClosesWhatItWasNotTold) {
  Ended ended = InChild([] {
    int some = ::open("/", O_RDONLY);
    NEED(some >= 0 && some < 100);
    for (int fd : {100, 101, 102, 500, 900}) NEED(::dup2(some, fd) == fd);
    const int keep[] = {500, 101, 500};
    (void)Confine(::getppid(), keep);
    NEED(OnlyTheseAreOpen({0, 1, 2, 101, 500}) == 0);
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

TEST(Confine, InputIsEmptyAndOutputGoesNowhereEvenIfTheHostHadClosedThem) {
  for (bool closed : {false, true}) {
    Ended ended = InChild([&] {
      if (closed) {
        ::close(0);
        ::close(1);
      }
      (void)ConfineAlone();
      NEED(OnlyTheseAreOpen({0, 1, 2}) == 0);
      char byte = 0;
      NEED(::read(0, &byte, 1) == 0);
      NEED(::write(1, &byte, 1) == -1 && errno == EPIPE);
      return 0;
    });
    EXPECT_TRUE(ended.Exited(0)) << ended;
  }
}

TEST(Confine, TheTerminalsSignalsAreTheHostsBusinessAndNothingOfTheHostsStays) {
  Ended ended = InChild([] {
    sigset_t all, now;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    ::setenv("OPENSSL_CONF", "/tmp/evil", 1);
    ::umask(0);
    (void)ConfineAlone();
    ::sigprocmask(SIG_SETMASK, nullptr, &now);
    for (int s = 1; s < 32; ++s) NEED(::sigismember(&now, s) == 0);
    for (int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) NEED(::raise(s) == 0);
    NEED(environ == nullptr || *environ == nullptr);
    NEED(::umask(0) == 077);
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

// -- LeaveTheMachine

class Leaving : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "sanitizers have threads of their own and read /proc";
    if (GetParam() && ::geteuid() == 0 && !MayHaveUserNamespaces()) {
      GTEST_SKIP() << "this machine gives ordinary users no namespaces";
    }
  }
  static Ended After(const std::function<int(uint32_t)>& body) {
    return InChild([&] {
      if (GetParam()) BecomeNobody();
      uint32_t bits = ConfineAlone();
      return body(bits | LeaveTheMachine(::getppid()));
    });
  }
};
INSTANTIATE_TEST_SUITE_P(As, Leaving, ::testing::Bool(),
                         [](const auto& i) { return i.param ? "Nobody" : "Whoever"; });

TEST_P(Leaving, EveryMeasureIsInForce) {
  Ended ended = After([](uint32_t bits) {
    NEED(bits == (kNamespaces | kRightsGone | Bit(Isolation::kDiesWithHost) | Bit(Isolation::kNoDumps)));
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

TEST_P(Leaving, TheFileSystemIsAnEmptyDirectoryThatStaysEmpty) {
  Ended ended = After([](uint32_t) {
    for (const char* gone : {"/proc/self/status", "/proc", "/etc/passwd", "/dev/null", "/tmp", "/usr"}) {
      NEED(::open(gone, O_RDONLY | O_CLOEXEC) == -1 && errno == ENOENT);
    }
    for (const char* root : {"/", ".", "..", "/..", "/../../.."}) {
      DIR* dir = ::opendir(root);
      NEED(dir != nullptr);
      while (const dirent* entry = ::readdir(dir)) NEED(entry->d_name[0] == '.');
      ::closedir(dir);
    }
    NEED(::open("/file", O_CREAT | O_RDWR | O_CLOEXEC, 0600) == -1);
    NEED(::mkdir("/folder", 0700) == -1);
    NEED(::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr) == -1);
    NEED(::mount("none", "/", "tmpfs", 0, nullptr) == -1);
    NEED(::chroot("/") == -1);
    char here[16];
    NEED(::getcwd(here, sizeof here) != nullptr && std::string(here) == "/");
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

TEST_P(Leaving, ThereIsNoNetwork) {
  Ended ended = After([](uint32_t) {
    struct if_nameindex* all = ::if_nameindex();
    for (auto* i = all; i != nullptr && i->if_index != 0; ++i) NEED(std::string(i->if_name) == "lo");
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ifreq lo{};
    std::strcpy(lo.ifr_name, "lo");
    NEED(fd >= 0 && ::ioctl(fd, SIOCGIFFLAGS, &lo) == 0 && (lo.ifr_flags & IFF_UP) == 0);
    lo.ifr_flags = static_cast<short>(lo.ifr_flags | IFF_UP);
    NEED(::ioctl(fd, SIOCSIFFLAGS, &lo) == -1);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(1);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    NEED(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == -1 && errno == ENETUNREACH);
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

TEST_P(Leaving, NoCapabilityIsLeftAndNoneCanBeHad) {
  Ended ended = After([](uint32_t) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct has[2] = {};
    NEED(::syscall(SYS_capget, &header, has) == 0);
    for (const auto& h : has) NEED(h.effective == 0 && h.permitted == 0 && h.inheritable == 0);
    for (int c = 0; ::prctl(PR_CAPBSET_READ, c) >= 0; ++c) NEED(::prctl(PR_CAPBSET_READ, c) == 0);
    NEED(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    NEED(::prctl(PR_GET_DUMPABLE) == 0);
    int signal = 0;
    NEED(::prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGKILL);
    NEED(::sethostname("x", 1) == -1);
    NEED(::setuid(0) == -1 || ::geteuid() == 0);
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

TEST_P(Leaving, EveryNamespaceIsItsOwn) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may look";
  Pipe ready;
  pid_t core = Fork([&] {
    if (GetParam()) BecomeNobody();
    int keep = ready.in();
    (void)Confine(::getppid(), std::span<const int>(&keep, 1));
    (void)LeaveTheMachine(::getppid());
    ready.Say('r');
    for (;;) ::pause();
    return 0;
  });
  char r = 0;
  EXPECT_TRUE(ready.Hear(&r));
  for (const char* kind : {"user", "net", "ipc", "uts", "cgroup", "mnt"}) {
    auto of = [&](const std::string& who) {
      return std::filesystem::read_symlink("/proc/" + who + "/ns/" + kind);
    };
    EXPECT_NE(of("self"), of(std::to_string(core))) << kind;
  }
  std::ifstream mounts("/proc/" + std::to_string(core) + "/mountinfo");
  std::stringstream seen;
  seen << mounts.rdbuf();
  std::string text = seen.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << "more than the empty directory is mounted:\n"
                                                           << text;
  EXPECT_EQ(::kill(core, SIGKILL), 0);
  (void)WaitFor(core);
}

TEST_P(Leaving, TheMachinesOwnMountsAreNotTouched) {
  auto mounts = [] {
    std::ifstream in("/proc/self/mountinfo");
    std::stringstream s;
    s << in.rdbuf();
    return s.str();
  };
  std::string before = mounts();
  EXPECT_TRUE(After([](uint32_t) { return 0; }).Exited(0));
  EXPECT_EQ(mounts(), before);
}

// The kernel gives no user namespace there, and root another way to an empty directory.
TEST(LeavingAChroot, TakesRootAndIsNeverFatal) {
  if (::geteuid() != 0) GTEST_SKIP() << "a chroot takes root";
  if (kSanitized) GTEST_SKIP() << "sanitizers have threads of their own and read /proc";
  Folder folder;
  std::ofstream(std::string(folder.c_str()) + "/file") << "of the machine";
  for (bool nobody : {false, true}) {
    Ended ended = InChild([&] {
      NEED(::chroot(folder.c_str()) == 0 && ::chdir("/") == 0);
      if (nobody) BecomeNobody();
      uint32_t confined = ConfineAlone();
      NEED(confined == (Bit(Isolation::kDiesWithHost) | Bit(Isolation::kNoDumps)));
      uint32_t bits = LeaveTheMachine(::getppid());
      NEED(!Has(bits, Isolation::kUserNamespace));
      NEED((bits & kRightsGone) == kRightsGone);
      NEED(Has(bits, Isolation::kNoFiles) == !nobody && Has(bits, Isolation::kNoNetwork) == !nobody);
      NEED((::access("/file", F_OK) == 0) == nobody);
      NEED((::access("/../file", F_OK) == 0) == nobody);
      NEED(::access("/etc", F_OK) == -1);
      return 0;
    });
    EXPECT_TRUE(ended.Exited(0)) << "nobody: " << nobody << ", " << ended;
  }
}

// A container whose own filter refuses what makes namespaces: the rest is in force, and only that reported.
TEST(LeavingAContainer, WhatIsRefusedIsMissingAndNothingElseHappens) {
  if (kSanitized) GTEST_SKIP() << "sanitizers have threads of their own and read /proc";
  Ended ended = InChild([] {
    scmp_filter_ctx theirs = seccomp_init(SCMP_ACT_ALLOW);
    for (int call :
         {SCMP_SYS(unshare), SCMP_SYS(mount), SCMP_SYS(fsopen), SCMP_SYS(pivot_root), SCMP_SYS(chroot)}) {
      NEED(seccomp_rule_add(theirs, SCMP_ACT_ERRNO(EPERM), call, 0) == 0);
    }
    for (int call : {SCMP_SYS(close_range)})
      NEED(seccomp_rule_add(theirs, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0);
    NEED(seccomp_load(theirs) == 0);
    NEED(::dup2(2, 800) == 800);
    uint32_t bits = ConfineAlone();
    NEED(OnlyTheseAreOpen({0, 1, 2}) == 0);
    bits |= LeaveTheMachine(::getppid()) | LockSecrets() | Filter();
    NEED(bits == (kRightsGone | Bit(Isolation::kDiesWithHost) | Bit(Isolation::kNoDumps) |
                  Bit(Isolation::kLockedKeys) | Bit(Isolation::kFilter)));
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

// -- LockSecrets

// The lines of /proc/self/smaps for the mapping that holds `p`.
std::string MappingOf(const void* p) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line, found;
  bool inside = false;
  while (std::getline(smaps, line)) {
    uintptr_t from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      auto at = reinterpret_cast<uintptr_t>(p);
      inside = from <= at && at < to;
    }
    if (inside) found += line + "\n";
  }
  return found;
}

size_t LockedKiB() {
  std::ifstream status("/proc/self/status");
  std::string line;
  size_t kib = 0;
  while (std::getline(status, line)) (void)std::sscanf(line.c_str(), "VmLck: %zu kB", &kib);
  return kib;
}

TEST(LockSecrets, SecretsAreLockedInNoDumpAndInNoChild) {
  if (kSanitized) GTEST_SKIP() << "sanitizers lock nothing: they make mlock a success without effect";
  Ended ended = InChild([] {
    NEED(LockSecrets() == Bit(Isolation::kLockedKeys));
    NEED(LockedKiB() == limits::kSecretMemoryBytes >> 10);
    SecretBytes secret{AsBytes("quite secret")};
    std::string mapping = MappingOf(secret.view().data());
    std::string flags = mapping.substr(mapping.find("VmFlags:"));
    for (const char* flag : {" lo", " dd", " wf"}) NEED(flags.find(flag) != std::string::npos);
    NEED(SecretMemoryNow().bytes == limits::kSecretMemoryBytes && SecretMemoryNow().outside == 0);
    NEED(seam::Metrics().Get(seam::Metric::kSecretBytesMax) == limits::kSecretMemoryBytes);
    // A child would see zeroes.
    pid_t child = Fork([&] { return secret.view()[0] == 0 ? 0 : 1; });
    NEED(WaitFor(child).Exited(0) && AsText(secret.view()) == "quite secret");
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

TEST(LockSecrets, TakesWhatTheLimitAllowsAndSaysSoWhenThatIsTooLittle) {
  if (kSanitized) GTEST_SKIP() << "sanitizers lock nothing: they make mlock a success without effect";
  if (::geteuid() != 0) GTEST_SKIP() << "lowering a limit for good, as nobody, takes root here";
  for (auto [allowed, kib] : {std::pair<rlim_t, size_t>{4u << 20, 1024},
                              {300u << 10, 256},
                              {64u << 10, 64},
                              {32u << 10, 0},
                              {0, 0}}) {
    Ended ended = InChild([&, allowed = allowed, kib = kib] {
      struct rlimit limit {
        0, allowed
      };  // the soft one is raised to the hard one
      NEED(::setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
      BecomeNobody();
      NEED(LockSecrets() == (kib == 0 ? 0 : Bit(Isolation::kLockedKeys)));
      NEED(LockedKiB() == kib);
      NEED(SecretMemoryNow().bytes == (kib == 0 ? limits::kSecretMemoryBytes : kib << 10));
      SecretBytes secret{AsBytes("quite secret")};
      NEED(MappingOf(secret.view().data()).find(" dd") != std::string::npos);
      NEED(SecretMemoryNow().outside == 0);
      return 0;
    });
    EXPECT_TRUE(ended.Exited(0)) << allowed << ": " << ended;
  }
}

// -- WipeAndExit

// A process is stopped by its debugger, this test, on its way out, when its memory is as it left it.
TEST(WipeAndExit, LeavesNoSecretInMemoryAndKeepsTheExitCode) {
  Pipe where;
  pid_t child = Fork([&] {
    (void)LockSecrets();
    static SecretBytes secret{AsBytes("quite secret")};
    where.Say(secret.view().data());
    (void)::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    (void)::raise(SIGSTOP);
    WipeAndExit(7);
    return 0;
  });
  const void* at = nullptr;
  ASSERT_TRUE(where.Hear(&at));
  int status = 0;
  auto bytes = [&] {
    std::string seen(12, 'x');
    iovec here{seen.data(), seen.size()}, there{const_cast<void*>(at), seen.size()};
    EXPECT_EQ(::process_vm_readv(child, &here, 1, &there, 1, 0), 12);
    return seen;
  };
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(bytes(), "quite secret");
  ASSERT_EQ(::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL), 0);
  ASSERT_EQ(::ptrace(PTRACE_CONT, child, nullptr, nullptr), 0);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status >> 8, SIGTRAP | (PTRACE_EVENT_EXIT << 8));
  EXPECT_EQ(bytes(), std::string(12, '\0'));
  ASSERT_EQ(::ptrace(PTRACE_CONT, child, nullptr, nullptr), 0);
  EXPECT_TRUE(WaitFor(child).Exited(7));
}

}  // namespace
}  // namespace holdfast::box
