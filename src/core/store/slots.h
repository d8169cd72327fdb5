// The two state slots. Source: docs/format.md 8; rules D2, C3.
#ifndef HOLDFAST_CORE_STORE_SLOTS_H_
#define HOLDFAST_CORE_STORE_SLOTS_H_

#include "core/store/groups.h"
#include "seam/copies.h"

namespace holdfast::store {

inline constexpr size_t kServerStateBytes = 52;
inline constexpr size_t kSaveNumberBytes = 72;

std::string SlotName(int slot, std::string_view file);

struct ServerState {
  StoreId store;
  MemberId member;
  uint32_t opener = 0;   // low bits of the term of who wrote the slot
  Bytes Encode() const;  // kServerStateBytes
  // kMalformed, kChecksum, kUnknownFormat
  static Result<ServerState> Decode(ByteView untrusted);
};

using ObjectVersions = std::map<std::string, seam::ObjectVersion, std::less<>>;

// Who writes, and how. A plain one writes as an exclusive lock lets it. Without a lock (by_condition) every
// file of a slot is put against the version that this opener last read or wrote, and one that somebody else
// has written since is kFenced (C3).
//
// Where nothing holds (may_meet) it is looked whether a later opener has written a frame, before the number
// is taken away and before it is put again. That is better than nothing, and not fencing.
struct Opener {
  Term term;
  bool by_condition = false, may_meet = false;
  ObjectVersions versions;  // of the slots' files; one that is missing is asked for
};

struct Slot {
  enum class Kind { kUnused, kValid, kTampered } kind = Kind::kUnused;
  Code code{};         // why it is not valid
  std::string object;  // which object showed it
  Manifest manifest;   // if valid
  seal::Keyring keyring;
  seam::Catalogue files;    // its six and its groups, as they lie there
  uint32_t opener = 0;      // as in its server-state
  ObjectVersions versions;  // of the files that were read, where openers are told apart by conditions
};
// An Error is the storage's alone. Unused: state-save-number absent or shorter than 72 bytes (torn).
Result<Slot> ReadSlot(seam::Storage& storage, int slot, const Secrets& secrets);

// Both slots and the one to open from: the valid one with the larger number.
//   kBothSlotsBad; findings say what is wrong with each
// With several providers each slot is taken from whoever has the newest of it that is valid (of two of one
// number the one that more have): each wrote its own only after all that it names, so any of them can be
// opened.
struct Slots {
  Slot slot[2];
  int newest = 0;
  bool older_valid = false;
  const Manifest& manifest() const { return slot[newest].manifest; }
};
Result<Slots> ReadSlots(seam::Storage& storage, const Secrets& secrets, std::vector<Finding>& findings);

// Writes the groups of the manifest that changed, barrier; takes the number away, barrier, writes the slot's
// files, barrier, writes the number, barrier (D2). The first barrier makes durable what was put before.
// `leftovers`: as WriteGroups' names.
//   kFenced  another opener has taken the slot; nothing is changed that it counts on
Status WriteSlot(seam::Storage& storage, Manifest& manifest, const seal::Keyring& keyring,
                 const Secrets& secrets, Opener& opener, crypto::Random& random,
                 std::vector<std::string>& leftovers);

// The first step of WriteSlot: from here on the slot counts for nothing. Durable at the next barrier.
Status TakeNumberAway(seam::Storage& storage, int slot, SaveNumber next, Opener& opener);

// Whether another opener has written the slot's number since this one did.
bool SlotIsTaken(seam::Storage& storage, int slot, const Opener& opener);

// The slot `index` as it was read, put again under the opener's term, so that whoever opened before can no
// longer write it (C3). A slot that is not valid only loses its number. Durable when it returns.
//   kFenced  it is no longer as it was read
Status TakeSlot(seam::Storage& storage, int index, const Slot& read, const Secrets& secrets, Opener& opener);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_SLOTS_H_
