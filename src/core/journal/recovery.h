// Reading a journal back: which frames are accepted, which torn, which tampered. Source: rules B1-B5, C2, E.
//
// Pure functions over a Storage; nothing is written here (JournalWriter writes the barrier afterwards).
// One function decides what a set of chains means: AdoptTail serves crash, provider and follower repair.
#ifndef HOLDFAST_CORE_JOURNAL_RECOVERY_H_
#define HOLDFAST_CORE_JOURNAL_RECOVERY_H_

#include <functional>

#include "core/journal/frame.h"
#include "seam/storage.h"

namespace holdfast::journal {

// Where to begin: what a manifest says about the frame that holds its save point.
struct JournalStart {
  FramePosition frame;   // number 0: before the first frame
  LogPosition position;  // the save point; entries up to it are in the root already
};

// Names and plain headers are the host's word. One whose number lies further above the start's frame is not
// ours, or a single file could use up all numbers: nobody writes a trillion frames between two saves.
inline constexpr uint64_t kFrameNumbersAheadMax = uint64_t{1} << 40;
inline FrameNumber HighestCredible(const JournalStart& start) {
  uint64_t left = UINT64_MAX - start.frame.number.value;
  return FrameNumber(start.frame.number.value +
                     (left < kFrameNumbersAheadMax ? left : kFrameNumbersAheadMax));
}

struct Finding {
  enum class Kind { kTorn, kAbandoned, kLeftover, kTampered, kMissing, kAlien } kind;
  std::string object;  // name, and "frame n at byte m" where it applies
  Code code;           // why; kTorn for what needs no excuse (kTorn, kAbandoned, kLeftover)
};

// The end of a history.
struct Head {
  Term term;
  LogIndex index;
  Digest chain{};
};
// Two that both claim durability behind one point (C4).
struct Fork {
  LogIndex after;  // the last index that they share, or somewhat below it
  Head heads[2];   // of the higher term first
};

// The valid chain that one provider holds, and how it ends.
struct Chain {
  struct Link {
    FramePosition position;
    Term term;
    LogIndex last_index;  // last entry it contains or stands behind
    LogIndex watermark;
    std::string object;  // where it lies: name, byte offset, length
    uint64_t offset = 0, length = 0;
    FrameKind kind{};
    Digest chain{};  // at last_index
  };
  std::vector<Link> links;  // accepted so far, ascending; links[0] is the start frame (absent when that is 0)
  LogPosition begin;        // options.start.position: where the root ends and the links go on
  LogPosition end;          // after the last link
  Term highest_term;        // of any readable frame, accepted or not
  FrameNumber highest_number;  // ever used here, readable or not (credible): the next opener goes above it
  FrameNumber highest_seen;    // the same without those that may only have been on their way
  std::vector<FrameNumber> fences;  // objects that hold a fence
  LogIndex watermark;               // highest in any readable frame
  bool closed = false;              // ends with a closing frame
  std::vector<Finding> findings;
  std::optional<Fork> fork;  // with frames in this same journal that a barrier passed over
  // A frame is bad or missing and no crash explains it: findings name it, `links` end before it. With several
  // providers one that is merely behind looks so too; what is kMissing there AdoptTail finds elsewhere.
  bool tampered = false;
};

struct ReadOptions {
  JournalIdentity id;
  JournalStart start;
  LogIndex known_durable;     // highest index that a save or an anchor proves: nothing up to it may be torn
  bool discard_tail = false;  // --discard-tail: a bad frame beyond every watermark counts as torn
  // Frames are objects of their own, also where the provider could append: another one could not.
  bool whole_objects = false;
};

// Reads every journal object of the member. Errors: of the storage only; what the bytes are is in the chain.
Result<Chain> ReadChain(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key,
                        const ReadOptions& options);

// The same from what several providers have together: each frame from whoever has it whole. For when no chain
// alone will do; memory: the whole journal.
Result<Chain> ReadAssembled(const std::vector<seam::Storage*>& storages, const seal::Keyring& keyring,
                            const Key& chain_key, const ReadOptions& options);

// The chain to go on with: valid, of highest term, then longest.
//   kTampered, kMissing  no chain reaches `known_durable` and every watermark, or goes on where one is bad
//   kForked              two chains both claim durability for one index and differ there (C4), or one lies
//                        beside another in one journal; ForkOf says which
// A differing suffix of lower term beyond its watermark was never acknowledged and is passed over silently.
//
// `enough` valid chains cannot all lack what was acknowledged (n - w + 1 of n providers, rule C2): with so
// many, one whose end is bad hides nothing. Without that number every bad end counts.
Result<size_t> AdoptTail(const std::vector<Chain>& chains, LogIndex known_durable, size_t enough = SIZE_MAX);

// The fork for which AdoptTail answers kForked.
std::optional<Fork> ForkOf(const std::vector<Chain>& chains);

// Gives each entry after start.position, in order, of an adopted chain; reads its frames again, one by one.
//   kTampered  they are not what ReadChain read. With several providers each is asked for what another lacks.
using EntryVisitor = std::function<Status(const Entry&, const LogPosition& at, const FramePosition& frame)>;
Status Replay(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key,
              const ReadOptions& options, const Chain& chain, const EntryVisitor& visit);

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_RECOVERY_H_
