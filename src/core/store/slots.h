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
  Bytes Encode() const;  // kServerStateBytes
  // kMalformed, kChecksum, kUnknownFormat
  static Result<ServerState> Decode(ByteView untrusted);
};

struct Slot {
  enum class Kind { kUnused, kValid, kTampered } kind = Kind::kUnused;
  Code code{};         // why it is not valid
  std::string object;  // which object showed it
  Manifest manifest;   // if valid
  seal::Keyring keyring;
  seam::Catalogue files;  // its six and its groups, as they lie there
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

// Writes the groups of the manifest that changed, barrier; deletes the number, barrier, writes the slot's
// files, barrier, writes the number, barrier (D2). That barrier makes durable what was put before.
// `leftovers`: as WriteGroups' names.
Status WriteSlot(seam::Storage& storage, Manifest& manifest, const seal::Keyring& keyring,
                 const Secrets& secrets, crypto::Random& random, std::vector<std::string>& leftovers);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_SLOTS_H_
