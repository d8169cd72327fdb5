// Shared by frame.cc and its fuzzer: sealing a text that need not be a frame's.
#ifndef HOLDFAST_CORE_JOURNAL_FRAME_INTERNAL_H_
#define HOLDFAST_CORE_JOURNAL_FRAME_INTERNAL_H_

#include "core/journal/frame.h"

namespace holdfast::journal {

// Before the entries, in the sealed text.
inline constexpr size_t kFrameFixedTextBytes = 8 + 8 + 16 + 8 + 8 + 8 + 32 + 8 + 32 + 4;
inline constexpr size_t kEntryFixedBytes = 1 + 8 + 4;

// The smallest size class of at least `sectors` sectors; the largest class is limits::kFrameBytesMax.
uint64_t SizeClass(uint64_t sectors);

// Pads `text` with zeros to its size class and seals it under this header.
// REQUIRES: text.size() <= kFrameTextBytesMax
Bytes SealFrameText(const JournalIdentity& id, const seal::DomainKeys& keys, Epoch epoch, FrameKind kind,
                    FrameNumber number, Bytes text, crypto::Random& random);

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_FRAME_INTERNAL_H_
