// The sandbox of the core's process: what takes from it everything but its memory, its threads and the
// descriptors it was given. `main` of holdfast-core calls, in this order and in one thread:
//
//   Confine          who it belongs to; no dumps, no strange descriptors, signals or environment
//   LeaveTheMachine  no network, no files, no rights
//   LockSecrets      where secrets live from here on; the passphrase is read after this
//   Filter           only reviewed system calls; the first byte from the host is parsed after this
//
// Each returns the measures that are in force, as bits of seam::Isolation; a measure that the machine refuses
// is missing there and nothing else happens. None of them can be undone. Without Filter and without
// namespaces the core still serves; `holdfast admin status` says what is missing.
//
// What the host owes: it starts the core from a thread that lives as long as itself (the kernel ends the core
// when that *thread* ends), by exec with an empty environment (allocators read theirs before main), and hands
// over no AF_UNIX socket, through which descriptors could travel: memory, eventfds, pipes, a terminal.
#ifndef HOLDFAST_BOX_SANDBOX_H_
#define HOLDFAST_BOX_SANDBOX_H_

#include <sys/types.h>

#include <cstdint>
#include <span>

#include "seam/metrics.h"

namespace holdfast::box {

// The process ends (SIGKILL) when its parent does, and at once (exit 1) if `parent` is no longer that. No
// core file, no debugger of the same user. Every descriptor is closed except stderr and `keep` (each above
// 2); stdin is empty and what is written to stdout vanishes. SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGPIPE are
// ignored: the terminal sends them to the whole group, and it is the host that orders a stop. No signal is
// blocked, the environment is empty, the umask 077.
// Measures: kDiesWithHost, kNoDumps.
uint32_t Confine(pid_t parent, std::span<const int> keep);

// Namespaces of its own, with or without privilege: user, network (no interface but a loopback that is down),
// IPC, host name, cgroups, mounts; an empty read-only directory as its only file system; then no capability
// at all and none to be had. In a chroot the kernel gives no user namespace: there it takes root to have the
// others. REQUIRES: one thread.
// Afterwards no name leads anywhere: what a library wants from a file it must have read before. Needs
// nothing of OpenSSL's (initialised without a configuration), of gRPC's, and of /sys (they ask, and go on).
// Measures: kUserNamespace, kNoNetwork, kNoIpc, kNoNames, kNoFiles, kNoNewPrivs, kNoRights.
uint32_t LeaveTheMachine(pid_t parent);

// Gives secrets memory of their own (base/secret.h): limits::kSecretMemoryBytes that are locked, in no dump
// and in no child; half as much and so on down to 64 KiB where RLIMIT_MEMLOCK is small; below that it is not
// locked. Once, before the first secret. Sets Metric::kSecretBytesMax.
// Measures: kLockedKeys.
uint32_t LockSecrets();

// Installs the filter on all threads, those to come included: calls that the table (filter.cc) does not name
// end the process by SIGSYS. Cost: about 0.1 us a call. Sanitizers make calls of their own at any time, so
// builds with one have no filter.
// Measures: kFilter, kNoNewPrivs.
uint32_t Filter();

// Ends the process without destructors, after overwriting secret memory. REQUIRES: no other thread uses a
// secret any more: one that sealed something now would seal it under zeroes.
[[noreturn]] void WipeAndExit(int exit_code);

}  // namespace holdfast::box

#endif  // HOLDFAST_BOX_SANDBOX_H_
