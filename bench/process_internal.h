// Servers as child processes, and what they cost. Everything here ends what it started: by its own id, with
// the group that it leads, on every way out.
#ifndef HOLDFAST_BENCH_PROCESS_INTERNAL_H_
#define HOLDFAST_BENCH_PROCESS_INTERNAL_H_

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::bench {

// While it lives, SIGINT, SIGTERM and SIGHUP kill every process of ours instead of us: whatever waits for an
// answer of theirs then fails, and the suite unwinds. SIGPIPE is ignored. One at a time.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  static bool Interrupted();
};

// A directory of its own, deleted with all that is in it.
class Scratch {
 public:
  explicit Scratch(const std::string& parent);  // empty: the temporary directory
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// One program, leader of a process group, killed when we die. Start it from a thread that lives as long.
class Process {
 public:
  // `arguments[0]` is the path. Output goes to the end of `log`. Variables that would change what we measure
  // (HOLDFAST_*, ETCD_*) are not passed on. Fails when the machine gives no process.
  Process(const std::vector<std::string>& arguments, std::string log);
  ~Process();  // SIGKILL, unless it has ended
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  bool Running();
  // SIGTERM, and SIGKILL for what has not ended after 20 s.
  void Stop();
  // Waits for the end by itself. Fails with the last line it said when that was not exit code 0, or when it
  // takes longer than `seconds`.
  void Finish(const std::string& what, uint64_t seconds = 60);
  // User and system time of it and of its living descendants, the same that /proc/<pid>/stat counts, in
  // finer steps.
  double CpuSeconds() const;
  std::string LastLine() const;  // of its output

 private:
  bool Reap(bool wait);
  const std::string log_;
  int pid_ = -1;  // its process id
  int exit_ = -1;
};

double OwnCpuSeconds();     // this process, all threads
double ThreadCpuSeconds();  // this thread
uint64_t Nanoseconds();     // monotonic
void SleepMilliseconds(uint64_t ms);

std::string OwnProgram();                // the path of this very binary
[[noreturn]] void EndWithoutCleaning();  // exit code 0, and nothing is closed, flushed or destroyed
// The path that a shell would run, or empty.
std::string FindProgram(const std::string& name);

// TCP on 127.0.0.1.
std::vector<uint16_t> FreePorts(size_t count);  // different ones; free a moment ago
// A connected, blocking socket without delay, whose reads give up after 30 s. -1: nobody listens.
int ConnectLoopback(uint16_t port);
void CloseSocket(int fd);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_PROCESS_INTERNAL_H_
