// What the kernel keeps of commands and frames on their way. Of kernel.cc alone.
#ifndef HOLDFAST_CORE_KERNEL_KERNEL_PARTS_INTERNAL_H_
#define HOLDFAST_CORE_KERNEL_KERNEL_PARTS_INTERNAL_H_

#include <algorithm>
#include <vector>

#include "core/kernel/command.h"
#include "core/kernel/kernel.h"

namespace holdfast::kernel {

inline constexpr size_t kEntryFramingBytes = 1 + 8 + 4;  // docs/format.md 6: kind, term, length

// A frame is padded to a size class (docs/format.md 6), so the largest class within kFrameBytesMax is the
// real limit.
constexpr size_t LargestFrameClass() {
  size_t best = limits::kSectorBytes;
  for (size_t c = limits::kSectorBytes; c <= limits::kFrameBytesMax; c *= 2) {
    best = c;
    if (c / 2 * 3 <= limits::kFrameBytesMax) best = std::max(best, c / 2 * 3);
  }
  return best;
}
inline constexpr size_t kFrameContentBytesMax =
    LargestFrameClass() - 4096;  // header, tag and fixed fields, generously
static_assert(kCommandBytesMax + kEntryFramingBytes <= kFrameContentBytesMax, "every command fits one frame");

struct Pending {
  Ticket ticket = 0;
  journal::EntryKind kind{};
  Bytes payload;
  Wait wait = Wait::kDurable;
  bool is_sync = false;  // no entry: answered with the entry before it
};

struct Waiter {  // answered when `index` is applied
  LogIndex index;
  Term term;
  Ticket ticket = 0;
  bool is_sync = false;
};

struct Flight {
  WriteFrame write;
  std::vector<Ticket> tickets;
  LogIndex last;
  size_t bytes = 0;
  uint64_t cut_us = 0;
  bool refused = false;  // the provider had no space for it; to be written again
  bool again = false;    // was written again: its time measures the waiting, not the provider
};

struct Unapplied {
  LogIndex last;
  size_t entries = 0, bytes = 0;
};

struct SaveRequest {
  Ticket ticket = 0;
  LogIndex at_least;
};

}  // namespace holdfast::kernel

#endif  // HOLDFAST_CORE_KERNEL_KERNEL_PARTS_INTERNAL_H_
