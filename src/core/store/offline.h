// What can be done to a store that nobody serves: create, verify, restore, change the passphrase. Blocking;
// pure over Storage.
#ifndef HOLDFAST_CORE_STORE_OFFLINE_H_
#define HOLDFAST_CORE_STORE_OFFLINE_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/seal/anchor.h"
#include "core/seal/unlock.h"
#include "seam/copies.h"
#include "seam/storage.h"

namespace holdfast::store {

// A new store in empty storage: saves 0 and 1, no journal yet. The caller has checked that the storage is
// empty (kNotEmpty otherwise, nothing written).
struct InitOptions {
  crypto::Argon2Parameters argon = seal::kArgonDefault;
  std::vector<std::pair<std::string, Bytes>> system_rows;  // the session layer's first rows (PKI)
};
struct InitResult {
  StoreId store;
  MemberId member;
  seal::Anchor anchor;
  Bytes encoded_anchor;
};
Result<InitResult> InitStore(seam::Storage& storage, const StoreId& store, ByteView passphrase,
                             const InitOptions& options, crypto::Random& random);

// One thing that verify, open or restore has to say about an object.
struct Finding {
  enum class Kind { kMissing, kChanged, kExtra, kStale, kTorn, kLeftover, kPending, kNote, kBehind } kind;
  std::string object;
  Code code;
  std::string detail;  // plain English, no user data
  int provider = -1;   // of several, from 0; -1: there is one, or all of them
  bool bad() const {
    return kind == Kind::kMissing || kind == Kind::kChanged || kind == Kind::kExtra || kind == Kind::kStale;
  }
  std::string Name() const;  // "segments/0A…"; with several providers "provider 2: segments/0A…" (from 1)
  std::string Line() const;  // "changed  segments/0A… at byte 8120: authentication tag does not match"
};

struct Freshness {
  bool proven = false;
  LogIndex index;      // of the anchor that proved it
  std::string anchor;  // what it was: "D/anchor"
  std::string Line()
      const;  // "fresh to index 12 (anchor D/anchor); later writes unproven" or "freshness unproven"
};

// Progress of long work: objects and bytes done so far. May be empty.
using Progress = std::function<void(uint64_t bytes_done, uint64_t bytes_total)>;

struct VerifyOptions {
  std::optional<Bytes> anchor;  // either form; from D/anchor or --anchor
  std::string anchor_name = "anchor";
  bool require_fresh = false;
  bool discard_tail = false;
  Progress progress;
  class Workers* workers = nullptr;  // that share the work (workers.h); null: the caller's thread alone
  // For a served store: called around reading slots and journal, so that no frame is half written meanwhile.
  std::function<void()> hold_writes, release_writes;
};
struct VerifyReport {
  std::vector<Finding> findings;
  Freshness freshness;
  StoreId store;
  uint64_t tables = 0, rows = 0, tags = 0, nodes = 0, segments = 0, segment_bytes = 0, frames = 0, bytes = 0;
  LogIndex last_index;
  std::string short_anchor;  // the newest save point, to be carried elsewhere
  // 0 clean; kTampered, kMissing, kAlien, kRolledBack, kForked, kBothSlotsBad… for the worst finding;
  // kFreshnessUnproven with require_fresh.
  std::optional<Code> verdict;
};
// Reads everything: every segment, node, frame and slot; proves that nothing is missing, changed or extra.
// Writes nothing. An Error only when it could not be done at all: kNoStore, kWrongPassphrase, kUnknownFormat,
// kUnreachable, kInUse…
Result<VerifyReport> VerifyStore(seam::Storage& storage, ByteView passphrase, const VerifyOptions& options);

// Copies a store, from ciphertext and passphrase alone, into empty storage (kNotEmpty). The source is
// verified first; with a verdict its report is returned and nothing was written. Otherwise the report is that
// of the finished copy.
Result<VerifyReport> RestoreStore(seam::Storage& from, seam::Storage& to, ByteView passphrase,
                                  const VerifyOptions& options);

// New passphrase for a store that nobody serves (rule G1): makes a save, then replaces the record.
Status ChangePassphrase(seam::Storage& storage, seam::Storage* anchor, ByteView old_passphrase,
                        ByteView new_passphrase, const crypto::Argon2Parameters& argon,
                        crypto::Random& random);

// Rows of the system table by prefix, e.g. to issue a client certificate with --adopt. Opens read-only.
Result<std::vector<std::pair<std::string, Bytes>>> ReadSystemRows(seam::Storage& storage, ByteView passphrase,
                                                                  std::string_view prefix);

// Opens for writing, applies `rows` to the system table durably, and closes cleanly. With --adopt: the new
// client. `anchor` may be null; it is written as by every opening. With `quorum` the store lies on those
// providers from then on, whatever it said before: each must answer (kNoQuorum) and is filled by copying.
Status WriteSystemRows(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                       const std::vector<std::pair<std::string, Bytes>>& rows, crypto::Random& random,
                       std::optional<seam::Quorum> quorum = {});

// How the providers of a store that nobody serves do. Opens read-only.
struct ProviderReport {
  bool answers = false;
  Code why{};       // why not, or what is wrong with what it holds
  SaveNumber save;  // newest whole one; the index that its journal ends at
  LogIndex index;
  bool behind = false;  // another one has more
};
struct ProvidersReport {
  seam::Quorum quorum;  // as the store has it
  std::vector<ProviderReport> providers;
};
Result<ProvidersReport> InspectProviders(seam::Storage& storage, ByteView passphrase);

// Opens for writing, compares every object on every provider with its hash, copies what differs, closes
// cleanly. `bad` gets how many objects were wrong where a provider should have had them.
Result<std::vector<seam::CopyState>> RepairProviders(seam::Storage& storage, seam::Storage* anchor,
                                                     ByteView passphrase, crypto::Random& random,
                                                     uint64_t& bad);

// A tag as the last save has it.
struct TagInfo {
  std::string name;
  LogIndex
      index;  // of the state it keeps; 0: it was made and no save came after it yet, and what follows is 0
  uint64_t tables = 0, rows = 0;  // system tables aside
  uint64_t alone_bytes = 0;       // needed by this tag alone: what dropping it frees
  uint64_t deadlist_bytes = 0;    // needed by it and maybe older ones, by nothing newer
};
struct TagTable {
  std::string name;
  uint64_t rows = 0;
};
Result<std::vector<TagInfo>> ListTags(seam::Storage& storage, ByteView passphrase);  // opens read-only

// For a store that nobody serves. Each opens for writing, makes the save that belongs to it, and closes
// cleanly. `anchor` may be null.
//   kTagName, kTagExists, kTooManyTags; kNoTag
Result<LogIndex> CreateTag(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                           std::string_view name, crypto::Random& random);  // the index that it keeps
Status DropTag(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase, std::string_view name,
               crypto::Random& random);

// What lies in the segments, and what a thorough cleaning would do about it.
struct GarbageReport {
  static constexpr size_t kSegmentsShown = 10'000;  // the emptiest; a report is one message
  SaveNumber save;
  uint64_t segments = 0, bytes = 0;                        // listed, condemned ones included
  uint64_t live_bytes = 0, tagged_bytes = 0;               // needed by the newest root; by tags alone
  uint64_t garbage_bytes = 0;                              // in segments that something is needed of
  uint64_t condemned_segments = 0, condemned_bytes = 0;    // wait for the next save to be deleted
  uint64_t pending_segments = 0, pending_bytes = 0;        // of an unfinished save; offline only
  uint64_t victims = 0, moved_bytes = 0, freed_bytes = 0;  // of the next thorough cleaning
  uint64_t cleanings_owed = 0;
  struct SegmentInfo {
    std::string name;
    uint64_t bytes = 0, live_bytes = 0, tagged_bytes = 0;
    bool condemned = false, victim = false;
  };
  std::vector<SegmentInfo> list;
  std::vector<TagInfo> tags;
};
Result<GarbageReport> InspectGarbage(seam::Storage& storage, ByteView passphrase);  // opens read-only
// Saves that clean, until nothing is owed and what was condemned is deleted. The report of what is left.
Result<GarbageReport> CollectGarbage(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                                     crypto::Random& random);

// Rows that two states differ in.
struct DiffRow {
  std::string table;
  Bytes key;
  std::optional<Bytes> before, after;  // not both absent, and not equal
};
using DiffSink = std::function<bool(DiffRow row)>;  // false: enough
// Between two tags, or kNowTag, the last save; of one table or (empty) of all, by table name, in key order.
// Subtrees that are equal are not read. Memory: a row and the nodes on the way to it. Opens read-only.
//   kNoTag; kNoTable: neither of them has it
inline constexpr std::string_view kNowTag = "now";
Status DiffTags(seam::Storage& storage, ByteView passphrase, std::string_view from, std::string_view to,
                std::string_view table, const DiffSink& sink);

// The id and format a store shows without a secret. kNoStore, kUnknownFormat, kMalformed.
Result<StoreId> PeekStore(seam::Storage& storage);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_OFFLINE_H_
