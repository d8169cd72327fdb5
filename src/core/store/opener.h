// Opening a store for writing is an election: read, prove freshness, raise the term, write a barrier frame,
// replay. Source: rules B2, B3, C2, D1, D2, F1, F2, I2.
#ifndef HOLDFAST_CORE_STORE_OPENER_H_
#define HOLDFAST_CORE_STORE_OPENER_H_

#include "core/journal/writer.h"
#include "core/store/save.h"
#include "core/store/slots.h"
#include "seam/copies.h"

namespace holdfast::store {

// What reading alone finds out; nothing is written. Serves open, verify and restore.
struct Reading {
  Secrets secrets;
  Slots slots;
  journal::Chain chain;
  size_t chain_copy = 0;  // of several providers, the one that has all of it
  seam::Quorum quorum;    // as the store has it
  journal::ReadOptions chain_options;
  std::optional<seal::AnchorClaim> anchor;  // that proved freshness
  Freshness freshness;
  std::vector<Finding> findings;
  VersionPtr version;  // of the newest slot
  // From the older slot's save point on, if that slot is valid: what makes it loadable alone. ReadOlder fills
  // it.
  std::optional<journal::Chain> older_chain;
  journal::ReadOptions older_options;
};

struct AnchorInput {
  std::optional<Bytes> encoded;  // what its keeper says, either form; nothing = freshness cannot be proven
  std::string name;
};

// errors  of UnlockStore; kBothSlotsBad; kTampered, kMissing (journal); kRolledBack: an anchor is newer than
// what is
//         here; kForked: the anchor is not an ancestor; kAuthFailed: the anchor is forged; kNoQuorum.
//         `findings` says which object. On an error `out` holds what was found until then.
Status ReadStore(seam::Storage& storage, ByteView passphrase, const AnchorInput& anchor, bool discard_tail,
                 Reading& out);
// The same with out.secrets in place already.
Status ReadUnlocked(seam::Storage& storage, const AnchorInput& anchor, bool discard_tail, Reading& out);
// A state to read from, replayed in memory; save points in the journal are not saved. For tools.
Result<std::unique_ptr<State>> ReplayReadOnly(seam::Storage& storage, const Reading& reading,
                                              NodeCache& cache);

// For verify and restore: the journal from the older slot on, which opening does not need. An Error is the
// storage's alone.
Status ReadOlder(seam::Storage& storage, Reading& reading);

// Findings of the journal in the store's terms, each once. Leftovers are told apart by the caller: what lies
// below the newest save may be needed by the older slot.
void AddJournalFindings(const journal::Chain& chain, bool leftovers, std::vector<Finding>& findings);
// Both heads, so that people can tell which is whose; never which is right (C4).
void AddForkFinding(const std::vector<journal::Chain>& chains, std::vector<Finding>& findings);

struct OpenOptions {
  bool discard_tail = false;
  size_t cache_bytes = 64u << 20;  // while opening
  uint64_t journal_file_bytes = limits::kJournalFileBytes;
  Placement placement = {};
  // Instead of what the store says of itself: how many providers it lies on from now on. The caller writes
  // the row.
  std::optional<seam::Quorum> quorum = std::nullopt;
  uint64_t reserve_bytes = 0;  // put aside where that can be done (reserve.h); given up wherever kFull is met
};

// An open store: this process is the writer until it is fenced. The kernel and the applier go on from here.
struct OpenedStore {
  Secrets secrets;
  MemberId member;
  std::unique_ptr<State> state;
  std::unique_ptr<journal::JournalWriter> writer;
  Term term;
  FrameNumber next_frame;        // first free
  journal::FramePosition frame;  // last written
  SaveNumber older_slot;         // what the slot that is not the newest holds; 0 = not usable
  FrameNumber older_frame;       // the journal may be cut below this
  Freshness freshness;
  std::vector<Finding> findings;
  std::set<std::string> deleted;       // confirmed deletes
  std::vector<std::string> leftovers;  // objects of a save that failed; the next attempt deletes them
  Opener opener;
  Placement placement;
  bool clean = false;          // the next save begins to clean thoroughly
  uint64_t reserve_bytes = 0;  // 0: none is kept
  bool reserve_held = false;
};

// Everything up to serving. `anchor` may be null. Errors as ReadStore, kNoFencing: nothing here keeps a
// second writer out; kFenced: another opener has won (election.h); kFull, kReadOnly and of the storage. After
// an error nothing that was durable is lost, and no state is created by accident.
Result<std::unique_ptr<OpenedStore>> OpenStore(seam::Storage& storage, seam::Storage* anchor,
                                               ByteView passphrase, const OpenOptions& options,
                                               crypto::Random& random,
                                               std::vector<Finding>* findings_on_error);

// Runs the save that state->saving() asks for, with anchor and deletes; for callers with one thread (open,
// tools, sim). core/runtime does the same steps around its lock.
Status SaveInline(seam::Storage& storage, seam::Storage* anchor, OpenedStore& store,
                  journal::FramePosition frame, NodeCache& cache, crypto::Random& random);

// One frame of entries, durable and applied, with the saves they ask for; for callers with one thread.
// `outcomes` gets one per entry. kFull with no outcome: nothing was written, try again. kFull with all of
// them: a save is left to do (state->saving(), SaveInline).
Status AppendInline(seam::Storage& storage, seam::Storage* anchor, OpenedStore& store,
                    journal::FrameKind kind, const std::vector<journal::Entry>& entries, NodeCache& cache,
                    crypto::Random& random, std::vector<Outcome>* outcomes = nullptr);

// A clean stop: closing frame, trimmed, anchored.
Status CloseInline(seam::Storage& storage, seam::Storage* anchor, OpenedStore& store, NodeCache& cache,
                   crypto::Random& random);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_OPENER_H_
