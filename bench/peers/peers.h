// Embedded engines that somebody might use instead, tuned as a careful user would (docs/benchmarks.md).
#ifndef HOLDFAST_BENCH_PEERS_PEERS_H_
#define HOLDFAST_BENCH_PEERS_PEERS_H_

#include <vector>

#include "bench/embedded_store.h"

namespace holdfast::bench::peers {

EmbeddedSystem RocksDb();
EmbeddedSystem LevelDb();
EmbeddedSystem Lmdb();
EmbeddedSystem Sqlite();

inline constexpr size_t kWriteBufferBytes = 64u << 20;
inline constexpr int kBloomBitsPerKey = 10;
// A commit every 100,000 rows while loading: the transaction of a B+tree holds what it changed in memory.
inline constexpr size_t kLoadCommitRows = 100'000;

}  // namespace holdfast::bench::peers

#endif  // HOLDFAST_BENCH_PEERS_PEERS_H_
