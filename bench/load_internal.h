// The work that every system is given, and how it is timed: the same rows, the same closed loop, the same
// clocks. A load generator keeps a number of operations unanswered and adds one for each answer.
#ifndef HOLDFAST_BENCH_LOAD_INTERNAL_H_
#define HOLDFAST_BENCH_LOAD_INTERNAL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bench/process_internal.h"
#include "bench/rows_internal.h"

namespace holdfast::bench {

inline constexpr size_t kStreamValueBytes = 1u << 20;

// The n-th value of 1 MiB, cut out of one random block: neighbours differ. Valid as long as the program.
std::string_view StreamValue(uint64_t n);

struct Load {
  enum class Work : uint8_t {
    kPut,     // new rows, each durable before it is answered
    kGet,     // rows [0, rows), uniformly; each must be what was put
    kStream,  // `count` values of 1 MiB; over when all of them are durable
  };
  Work work = Work::kPut;
  size_t outstanding = 1;  // at most kOutstandingMax
  uint64_t rows = 0;       // what is there
  double seconds = 0;      // for how long operations are begun; 0: until `count` are
  uint64_t count = 0;
  bool unary = false;  // ours: calls instead of a Session stream; one outstanding
};
inline constexpr size_t kOutstandingMax = 256;

struct Sample {
  double per_second = 0, p50_us = 0, p99_us = 0;
  double server_cores = 0, client_cores = 0;  // used on average: CPU seconds a second
};
// Field by field.
Sample MedianOf(const std::vector<Sample>& samples);

// One run of a load, from its making to End.
class Stopwatch {
 public:
  Stopwatch(const Process& server, const Load& load);
  // Whether operation number `begun` is to be begun.
  bool GoesOn(uint64_t begun) const {
    if (broken_) return false;
    return load_.seconds > 0 ? Nanoseconds() < until_ : begun < load_.count;
  }
  // Thread-safe. `begun_at`: Nanoseconds().
  void Answered(uint64_t begun_at);
  void Broke(Code code);  // thread-safe; the run fails with it; kInternal: the answer was wrong
  // After the last answer. Throws what broke.
  Sample End(const std::string& who);

 private:
  const Process& server_;
  const Load load_;
  std::vector<uint32_t> took_;  // nanoseconds of each answer, at most kAnswersMax of them
  std::atomic<size_t> answers_{0};
  std::atomic<bool> broken_{false};
  std::atomic<Code> code_{};
  double server_cpu_, client_cpu_;
  uint64_t begin_, until_;
};

// A system under load: a server process of its own, in a directory of its own, and the client to it.
class Target {
 public:
  explicit Target(std::string name) : name_(std::move(name)) {}
  virtual ~Target() = default;
  const std::string& name() const { return name_; }

  // Until it answers. Again after Stop: with what it had.
  virtual void Start() = 0;
  virtual void Stop() = 0;
  virtual const Process& process() const = 0;
  // Puts rows [0, rows) as fast as it can; durable at the end.
  void Fill(uint64_t rows);
  // Throws Failure when anything was refused or not what was put.
  Sample Run(const Load& load);

 protected:
  // `first`: number of the first row that a put may use.
  virtual void Drive(const Load& load, uint64_t first, Stopwatch& watch) = 0;

 private:
  const std::string name_;
  uint64_t next_row_ = 0;
};

// `core`: what `serve --core` is told; empty: nothing, the default.
std::unique_ptr<Target> MakeHoldfast(std::string name, std::string directory, std::string core);
std::unique_ptr<Target> MakeEtcd(std::string directory, std::string program);
std::unique_ptr<Target> MakeRedis(std::string directory, std::string program);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_LOAD_INTERNAL_H_
