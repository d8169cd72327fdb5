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
  enum class Kind { kMissing, kChanged, kExtra, kStale, kTorn, kLeftover, kPending, kNote } kind;
  std::string object;
  Code code;
  std::string detail;  // plain English, no user data
  bool bad() const {
    return kind == Kind::kMissing || kind == Kind::kChanged || kind == Kind::kExtra || kind == Kind::kStale;
  }
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
  std::optional<Bytes> anchor;  // encoded; from D/anchor or --anchor
  std::string anchor_name = "anchor";
  bool require_fresh = false;
  bool discard_tail = false;
  Progress progress;
  // For a served store: called around reading slots and journal, so that no frame is half written meanwhile.
  std::function<void()> hold_writes, release_writes;
};
struct VerifyReport {
  std::vector<Finding> findings;
  Freshness freshness;
  StoreId store;
  uint64_t tables = 0, rows = 0, tags = 0, nodes = 0, segments = 0, segment_bytes = 0, frames = 0, bytes = 0;
  LogIndex last_index;
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
// client. `anchor` may be null; it is written as by every opening.
Status WriteSystemRows(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                       const std::vector<std::pair<std::string, Bytes>>& rows, crypto::Random& random);

// The id and format a store shows without a secret. kNoStore, kUnknownFormat, kMalformed.
Result<StoreId> PeekStore(seam::Storage& storage);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_OFFLINE_H_
