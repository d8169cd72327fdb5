// What the engine suite is made of: ours behind the calls of embedded_store_internal.h, how a turn is
// measured, and the pace of one core at the cryptography that verify has to do.
#ifndef HOLDFAST_BENCH_ENGINE_INTERNAL_H_
#define HOLDFAST_BENCH_ENGINE_INTERNAL_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/embedded_store_internal.h"
#include "bench/figure_internal.h"
#include "bench/suites.h"

namespace holdfast::bench {

// The running engine in this process, sealed and synced, its store in a directory; no sessions, no TLS.
EmbeddedSystem OurSystem();
// REQUIRES: opened by OurSystem().open. Every byte hashed, every node opened; fails when anything is amiss.
void VerifyOurs(EmbeddedStore& store);
// Bytes of nodes that the last save's trees are made of.
uint64_t LiveBytesOfOurs(EmbeddedStore& store);

// Bytes a second of one core that does nothing but hash and open sealed pieces of 1 KiB: HMAC-SHA-256 and
// AES-256-GCM, through the module that the engine uses. Takes about a tenth of a second.
double HashAndOpenBytesPerSecond();

// What one turn of one system gave: "value" is the figure, the rest goes beside it.
using Measures = std::map<std::string, double>;
// Field by field: the median; of "max_us" the largest.
Measures MedianOf(const std::vector<Measures>& turns);

// How long single operations took.
class Latencies {
 public:
  explicit Latencies(size_t operations) { took_.reserve(operations); }
  void Add(uint64_t nanoseconds) { took_.push_back(static_cast<uint32_t>(nanoseconds / 100)); }
  void Add(const Latencies& other) { took_.insert(took_.end(), other.took_.begin(), other.took_.end()); }
  void Tell(Measures& measures) const;  // p50_us, p99_us, max_us

 private:
  std::vector<uint32_t> took_;  // tenths of a microsecond: up to seven minutes
};

// What this process had used by some moment, all its threads.
struct Usage {
  uint64_t nanoseconds = 0;  // of the clock
  double cpu_seconds = 0;
  uint64_t written_bytes = 0;  // to the file system: pages made dirty, and what went past the page cache
  static Usage Now();
};
// Written so far to the disk that keeps `directory`, by everybody, the file system's journal included. 0: not
// told.
uint64_t DiskBytes(const std::string& directory);
// Waits until the process has used no processor and written nothing for a while, and says when that began.
Usage AwaitQuiet();

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_ENGINE_INTERNAL_H_
