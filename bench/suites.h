// What `holdfast bench` measures. Every figure is the median of at least three repetitions; figures of
// different systems are compared only when they were taken in the same run, taking turns.
//
// A suite blocks until it is over, makes everything below a new directory of its own and deletes it, and ends
// every process it started, on each way out: done, failed, or SIGINT, SIGTERM or SIGHUP (kCancelled). Its
// processes die with this one even if it is killed. One suite at a time in a process; not thread-safe.
#ifndef HOLDFAST_BENCH_SUITES_H_
#define HOLDFAST_BENCH_SUITES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast::bench {

inline constexpr int kRepetitionsMin = 3;

struct Output {
  bool json = false;  // one object a line; else for people
  // A figure, without its line break. False: nobody reads any more; the suite ends with kIo.
  std::function<bool(const std::string& line)> line;
  std::function<void(const std::string& line)> note;              // what was left out and why
  std::function<void(uint64_t done, uint64_t total)> progress{};  // steps; may be empty
};

// The engine in this process, sealed and synced; no sessions, no TLS. With `peers`, RocksDB, LevelDB, LMDB
// and SQLite beside it.
struct EngineSuite {
  std::string directory;  // where the stores are made; empty: the temporary directory
  bool quick = false, peers = false;
  int repetitions = kRepetitionsMin;
  std::vector<uint64_t> rows;      // the whole suite for each; empty: 1,000,000, or 60,000 when quick
  uint64_t cache_mib = 512;        // of each system, but where a case says otherwise
  std::vector<std::string> cases;  // empty: all
};
const std::vector<std::string>& EngineCases();
inline constexpr uint64_t kEngineRowsMin = 10'000, kEngineRowsMax = 100'000'000;

// What the case open_after_crash has done to a store before it opens it, in a process of its own: changes in
// batches, each durable, and no closing.
struct CrashingWriter {
  std::string system, directory;
  uint64_t cache_mib = 0, rows = 0, changes = 0, seed = 0;
};

// Our server as a process of its own, over mutual TLS; with `peers`, etcd and Redis beside it.
struct ServerSuite {
  std::string directory;
  bool quick = false, peers = false;
  int repetitions = kRepetitionsMin;
  double seconds = 0;              // of one measurement; 0: 2, or 0.4 when quick
  uint64_t rows = 0;               // there before the first measurement; 0: 100,000, or 10,000 when quick
  uint64_t stream_mib = 0;         // of the case stream_in; 0: 1,024, or 64 when quick
  std::vector<std::string> cases;  // empty: all
};
// The names that ServerSuite::cases may hold. put_o1, get_o1 and sandbox_cost give several figures each.
const std::vector<std::string>& ServerCases();

// Our engine over three directories, each as if it were far away: every call takes a round trip, one loses a
// request in a hundred, one pauses once. Beside it the same without any delay.
struct ProvidersSuite {
  std::string directory;
  int repetitions = kRepetitionsMin;
  double seconds = 20;  // of one measurement
  uint64_t round_trip_ms = 80, pause_seconds = 10;
  uint64_t batch_rows = 100, outstanding = 1000;  // batches on their way at a time
};

// errors  kCancelled (a signal), kNotFound (a program that is measured is not installed), else whatever
//         failed. `why` says it in one line without user data.
// RunEngineSuite     kFull: less disk is free than the suite may need, in `why` how much.
// RunCrashingWriter  returns only when it failed; else it ends the process with 0.
Status RunEngineSuite(const EngineSuite& suite, const Output& output, std::string* why);
Status RunServerSuite(const ServerSuite& suite, const Output& output, std::string* why);
Status RunProvidersSuite(const ProvidersSuite& suite, const Output& output, std::string* why);
Status RunCrashingWriter(const CrashingWriter& writer, std::string* why);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_SUITES_H_
