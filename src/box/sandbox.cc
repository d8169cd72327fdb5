#include "box/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <vector>

#include "base/limits.h"
#include "base/secret.h"

namespace holdfast::box {
namespace {

using seam::Bit;
using seam::Isolation;

constexpr size_t kLockedBytesMin = 64u << 10;  // what the kernel allows everybody since 2.6
constexpr int kParentGoneExit = 1;
constexpr int kCapabilitiesMax = 64;  // of the kernel's interface; 41 exist

uint32_t If(bool in_force, Isolation measure) { return in_force ? Bit(measure) : 0; }

// The kernel may forget both when credentials change.
bool DieWith(pid_t parent) {
  bool ok = ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (::getppid() != parent) ::_exit(kParentGoneExit);  // it died before we asked to be told
  return ok;
}
bool Undumpable() { return ::prctl(PR_SET_DUMPABLE, 0) == 0; }

void NothingInDumps() {
  // Before Undumpable(): from then on the file belongs to root.
  int fd = ::open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  (void)!::write(fd, "0", 1);
  ::close(fd);
}

void CloseRange(unsigned first, unsigned last) {
  if (first > last || ::close_range(first, last, 0) == 0) return;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  unsigned end = static_cast<unsigned>(std::min<rlim_t>(limit.rlim_max, last));
  for (unsigned fd = first; fd < end; ++fd) ::close(static_cast<int>(fd));
}

void CloseAllBut(std::span<const int> keep) {
  std::vector<int> sorted(keep.begin(), keep.end());
  std::sort(sorted.begin(), sorted.end());
  unsigned next = STDERR_FILENO + 1;
  for (int fd : sorted) {
    unsigned kept = static_cast<unsigned>(fd);
    if (kept > next) CloseRange(next, kept - 1);
    next = kept + 1;
  }
  CloseRange(next, UINT32_MAX);
}

// Not /dev/null: there may be none. A pipe without another end is as empty, and its numbers stay taken.
void CloseInputAndOutput() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) continue;
    // What pipe2 gives may be 0 or 1 itself, where the host had closed them.
    int mine = ends[fd == STDIN_FILENO ? 0 : 1], other = ends[fd == STDIN_FILENO ? 1 : 0];
    (void)::dup2(mine, fd);
    if (mine != fd) ::close(mine);
    if (other != fd) ::close(other);
  }
}

void ForgetTheHost() {
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) (void)::signal(signal, SIG_IGN);
  sigset_t none;
  ::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(077);
  ::clearenv();
}

// A file system that was made for us, hangs nowhere and is empty; in a namespace whose other mounts are gone.
bool EmptyRoot() {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  int fs = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
  int empty = -1;
  if (fs >= 0 && ::fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) == 0 &&
      ::fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    empty = ::fsmount(fs, FSMOUNT_CLOEXEC,
                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  }
  if (fs >= 0) ::close(fs);
  if (empty < 0) return false;
  bool done = ::fchdir(empty) == 0;
  // Private first, or the machine would see our mounts. This fails in a chroot and in an initial ramfs.
  if (done && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
      ::move_mount(empty, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
      ::syscall(SYS_pivot_root, ".", ".") == 0) {
    done = ::umount2(".", MNT_DETACH) == 0;
  } else {
    // The old root stays in the namespace; without CAP_SYS_CHROOT and descriptors no way leads there.
    done = done && ::chroot(".") == 0;
  }
  ::close(empty);
  return done && ::chdir("/") == 0;
}

bool DropRights() {
  for (int c = 0; c < kCapabilitiesMax; ++c) {
    if (::prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0) break;  // the last one passed, or we may not
  }
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  return ::syscall(SYS_capset, &header, none.data()) == 0;
}

}  // namespace

uint32_t Confine(pid_t parent, std::span<const int> keep) {
  uint32_t in_force = If(DieWith(parent), Isolation::kDiesWithHost);
  ForgetTheHost();
  CloseInputAndOutput();
  CloseAllBut(keep);
  NothingInDumps();
  struct rlimit no_core {};
  bool no_dumps = ::setrlimit(RLIMIT_CORE, &no_core) == 0;
  return in_force | If(Undumpable() && no_dumps, Isolation::kNoDumps);
}

uint32_t LeaveTheMachine(pid_t parent) {
  // One by one: a machine may refuse some of them.
  uint32_t in_force = If(::unshare(CLONE_NEWUSER) == 0, Isolation::kUserNamespace);
  in_force |= If(::unshare(CLONE_NEWNET) == 0, Isolation::kNoNetwork);
  in_force |= If(::unshare(CLONE_NEWIPC) == 0, Isolation::kNoIpc);
  in_force |= If(::unshare(CLONE_NEWUTS) == 0 && ::unshare(CLONE_NEWCGROUP) == 0, Isolation::kNoNames);
  in_force |= If(EmptyRoot(), Isolation::kNoFiles);
  bool no_new_privs = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  in_force |= If(no_new_privs, Isolation::kNoNewPrivs);
  in_force |= If(DropRights() && no_new_privs, Isolation::kNoRights);
  (void)DieWith(parent);
  (void)Undumpable();
  return in_force;
}

uint32_t LockSecrets() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_MEMLOCK, &limit);
  }
  size_t bytes = limits::kSecretMemoryBytes;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  bool apart =
      ::madvise(memory, bytes, MADV_DONTDUMP) == 0 &&
      (::madvise(memory, bytes, MADV_WIPEONFORK) == 0 || ::madvise(memory, bytes, MADV_DONTFORK) == 0);
  size_t locked = bytes;
  while (locked >= kLockedBytesMin && ::mlock(memory, locked) != 0) locked /= 2;
  if (locked >= kLockedBytesMin && locked < bytes) {
    (void)::munmap(static_cast<uint8_t*>(memory) + locked, bytes - locked);
    bytes = locked;
  }
  UseSecretMemory(memory, bytes);
  seam::Metrics().Set(seam::Metric::kSecretBytesMax, bytes);
  return If(apart && locked >= kLockedBytesMin, Isolation::kLockedKeys);
}

void WipeAndExit(int exit_code) {
  WipeSecretMemory();
  ::_exit(exit_code);
}

}  // namespace holdfast::box
