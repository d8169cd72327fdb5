// What lies in one journal object, byte by byte, before anybody asks whether it belongs to the chain.
#ifndef HOLDFAST_CORE_JOURNAL_SCAN_INTERNAL_H_
#define HOLDFAST_CORE_JOURNAL_SCAN_INTERNAL_H_

#include "core/journal/recovery.h"

namespace holdfast::journal {

// Reads are of this size, or of one frame when that is larger: an object is never in memory as a whole.
inline constexpr uint64_t kScanWindowBytes = 1u << 20;
// Beyond this an object is not read: no writer of ours makes one (JournalWriter rolls far below).
inline constexpr uint64_t kJournalObjectBytesMax = 1u << 30;

// One frame, or one stretch of bytes where a frame should be.
struct Place {
  bool whole = false;  // opened under our keys for this store, member and number
  Code code{};         // why it is not
  // A crash can leave it so: the file ends inside it, or one of its sectors is all zero (B2).
  bool crash_shape = false;
  uint64_t offset = 0, length = 0;  // length 0 = unknown

  FrameNumber number;  // of its header, as far as that could be read; else 0
  Digest digest{};
  FrameKind kind{};
  Term term;
  FramePosition before;
  LogIndex first_index, watermark;
  Digest chain_before{};
  LogPosition end;           // after its entries; the term is 0 when it has none
  Term first_term;           // of its first entry; 0 when it has none
  bool coherent = true;      // terms inside do not fall, none is above the frame's, and nothing is cut back
  bool meets_start = false;  // it holds options.start.position, with that chain
};

struct JournalObject {
  std::string name;
  FrameNumber number;  // of the name
  uint64_t size_bytes = 0;
  std::vector<Place> places;   // by offset; empty: no bytes but zeros
  FrameNumber highest_number;  // in any header that could be read, if credible
};

// Errors: of the storage only. Cost: reads and opens every frame once; linear in the object's size whatever
// it holds.
Result<JournalObject> ScanObject(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key,
                                 const ReadOptions& options, const seam::ObjectInfo& info,
                                 FrameNumber number);

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_SCAN_INTERNAL_H_
