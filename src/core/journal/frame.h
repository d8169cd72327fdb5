// One frame: what one wave writes. Source: docs/format.md 6; rules B1, B2.
#ifndef HOLDFAST_CORE_JOURNAL_FRAME_H_
#define HOLDFAST_CORE_JOURNAL_FRAME_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "core/journal/entry.h"
#include "core/seal/keyring.h"

namespace holdfast::journal {

inline constexpr size_t kFrameHeaderBytes = 128;
// What a frame can hold: its sealed text is 132 bytes, 13 bytes per entry and the payloads.
inline constexpr size_t kFrameTextBytesMax = limits::kFrameBytesMax - kFrameHeaderBytes - 16;

// A fence holds nothing and continues nothing: it takes a number away from whoever would write it (C2).
enum class FrameKind : uint16_t { kWave = 1, kBarrier = 2, kClosing = 3, kFence = 4 };

// What the cut leaves of a barrier or a fence where there is no lock, in its place: a writer that slept since
// must still find its number taken. Shorter than any frame.
inline constexpr std::string_view kFenceMark = "HFFENCED";

struct FramePosition {  // a frame and what it says of itself: a link of the physical chain
  FrameNumber number;
  Digest digest{};
  friend bool operator==(const FramePosition&, const FramePosition&) = default;
};

struct Frame {
  FrameKind kind = FrameKind::kWave;
  FrameNumber number;
  Term term;
  MemberId vote;
  LogIndex watermark;
  LogIndex truncate_from;  // 0 = none
  FramePosition before;
  LogIndex first_index;   // index of entries[0] (or of the next entry, when there are none)
  Digest chain_before{};  // chain at first_index - 1
  std::vector<Entry> entries;
};

struct JournalIdentity {
  StoreId store;
  MemberId member;
};

// "members/<id>/journal/<20 digits>"
std::string FrameName(const MemberId& member, FrameNumber number);
// The same, '.' and the term in 20 digits: where no condition keeps two writers apart, each has names of its
// own, so that neither replaces what the other has acknowledged, and whoever puts a frame and then finds the
// number used by another does not acknowledge it. Names ascend by number, then term.
std::string FrameNameOfTerm(const MemberId& member, FrameNumber number, Term term);
std::string JournalPrefix(const MemberId& member);
// The number in a name of either form, or nothing.
std::optional<FrameNumber> FrameOfName(const MemberId& member, std::string_view name);
// The term in a name of the longer form, or nothing.
std::optional<Term> TermOfName(const MemberId& member, std::string_view name);

struct SealedFrame {
  Bytes bytes;  // whole sectors, of a size class
  Digest digest{};
  Term term{};
};
// REQUIRES: entries within limits::kFrameEntriesMax and kFrameTextBytesMax; number and first_index not 0.
SealedFrame SealFrame(const JournalIdentity& id, const seal::DomainKeys& keys, Epoch epoch,
                      const Frame& frame, crypto::Random& random);
// The same with `entries` in place of the frame's own, of which it has none: megabytes that need not be
// copied.
SealedFrame SealFrame(const JournalIdentity& id, const seal::DomainKeys& keys, Epoch epoch,
                      const Frame& frame, std::span<const Entry> entries, crypto::Random& random);

// What the plain header says, before any key is used.
struct FrameHeader {
  FrameKind kind{};
  FrameNumber number;
  uint64_t length_bytes = 0;
  Epoch epoch;
};
// errors  kMalformed (no magic, absurd length), kChecksum, kUnknownFormat, kTampered (another kind of object)
Result<FrameHeader> DecodeFrameHeader(ByteView untrusted);  // needs the first kFrameHeaderBytes

// Opens all of it. errors as above, kNoKey, kAuthFailed, kMalformed, kTampered (inside and header differ).
Result<Frame> OpenFrame(const JournalIdentity& id, const seal::Keyring& keyring, ByteView untrusted_frame);

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_FRAME_H_
