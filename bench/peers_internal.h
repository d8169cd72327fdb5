// Embedded engines that somebody might use instead, tuned as a careful user would (docs/benchmarks.md). One
// file each: their headers are seen nowhere else.
#ifndef HOLDFAST_BENCH_PEERS_INTERNAL_H_
#define HOLDFAST_BENCH_PEERS_INTERNAL_H_

#include <cstddef>
#include <vector>

#include "bench/embedded_store_internal.h"

namespace holdfast::bench {

EmbeddedSystem RocksDb();
EmbeddedSystem LevelDb();
EmbeddedSystem Lmdb();
EmbeddedSystem Sqlite();
inline std::vector<EmbeddedSystem> Peers() { return {RocksDb(), LevelDb(), Lmdb(), Sqlite()}; }

inline constexpr size_t kWriteBufferBytes = 64u << 20;
inline constexpr int kBloomBitsPerKey = 10;
// A commit every 100,000 rows while loading: the transaction of a B+tree holds what it changed in memory.
inline constexpr size_t kLoadCommitRows = 100'000;

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_PEERS_INTERNAL_H_
