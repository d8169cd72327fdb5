// What the core takes for what, by the size of its cache of nodes; and how large that may be, so that all of
// it stays within a memory setting. Bytes.
//
//   memory setting  >=  nodes + watch history + segments being built, a quarter more for the heap's holes
//                       + changes, a quarter more and two blocks for what is filled badly
//                       + the program
#ifndef HOLDFAST_BASE_MEMORY_PLAN_H_
#define HOLDFAST_BASE_MEMORY_PLAN_H_

#include <algorithm>
#include <cstdint>

#include "base/limits.h"

namespace holdfast::memory_plan {

inline constexpr uint64_t kMiB = 1u << 20;
// A segment, and the node that makes it full.
inline constexpr uint64_t kSegmentBuilderBytes = limits::kSegmentBytesTarget + limits::kNodeBytesMax;
// Code and stacks (about 10 MiB) and the rings between core and host (10.2).
inline constexpr uint64_t kProgramBytes = 24 * kMiB;

// Changes that are not folded yet, in both overlays: then waves wait for the save.
constexpr uint64_t ChangesBytes(uint64_t cache) {
  return std::clamp<uint64_t>(cache / 2, 2 * limits::kOverlayBytesFoldMin, limits::kOverlayBytesMax);
}
constexpr uint64_t WatchHistoryBytes(uint64_t cache) {
  return std::clamp<uint64_t>(cache / 8, limits::kWatchHistoryBytesMin, limits::kWatchHistoryBytesMax);
}
// Threads of one fold, if there are as many processors: each builds a segment.
constexpr uint64_t FoldWorkersMax(uint64_t cache) {
  return std::clamp<uint64_t>(cache / (32 * kMiB), 1, limits::kFoldWorkersMax);
}

// The quarters are what was seen while a server was loaded with 600,000 rows (tests/e2e/memory_test.py); with
// 10,000,000 it takes up to 41 % more than this (docs/benchmarks.md).
constexpr uint64_t CoreBytes(uint64_t cache) {
  const uint64_t heap = cache + WatchHistoryBytes(cache) + FoldWorkersMax(cache) * kSegmentBuilderBytes;
  const uint64_t changes = ChangesBytes(cache);
  return heap + heap / 4 + changes + changes / 4 + 8 * kMiB + kProgramBytes;
}

// The largest cache with which the core takes at most `memory`.
// REQUIRES: memory >= limits::kMemoryBytesMin.
constexpr uint64_t CacheBytes(uint64_t memory) {
  uint64_t low = kMiB, high = memory;  // CoreBytes never falls
  while (low + kMiB <= high) {
    uint64_t middle = low + (high - low) / 2;
    (CoreBytes(middle) <= memory ? low : high) = middle;
  }
  return low;
}
static_assert(CoreBytes(CacheBytes(limits::kMemoryBytesMin)) <= limits::kMemoryBytesMin);

}  // namespace holdfast::memory_plan

#endif  // HOLDFAST_BASE_MEMORY_PLAN_H_
