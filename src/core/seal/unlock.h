// From a passphrase to the master key and back. Source: docs/format.md 3; rules G1, G2.
#ifndef HOLDFAST_CORE_SEAL_UNLOCK_H_
#define HOLDFAST_CORE_SEAL_UNLOCK_H_

#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/password.h"
#include "crypto/random.h"

namespace holdfast::seal {

inline constexpr std::string_view kUnlockersName = "unlockers";

inline constexpr crypto::Argon2Parameters kArgonDefault{limits::kArgonMemoryKiBDefault,
                                                        limits::kArgonPassesDefault};

// A record with one passphrase unlocker. Takes the Argon2id time.
Result<Bytes> MakeUnlockers(const StoreId& store, const Key& master, ByteView passphrase,
                            const crypto::Argon2Parameters& parameters, crypto::Random& random);

// The store the record says it belongs to, without a secret. Errors as Unlock's first three.
Result<StoreId> UnlockersStore(ByteView untrusted_record);

// errors  kMalformed       not a record
//         kChecksum        damaged: never reported as a wrong passphrase
//         kUnknownFormat
//         kKdfBounds       parameters that no honest writer stores; no memory was taken
//         kWrongPassphrase no unlocker's check value fits; never reported as tampering
//         kAuthFailed      the check value fits and the wrapped master does not open: tampered
Result<Key> Unlock(ByteView untrusted_record, ByteView passphrase);

// One unlocker of a record, as everybody can see it.
struct UnlockerInfo {
  size_t number;           // its place, from 1; those behind one that is removed move up
  bool passphrase = true;  // false: of a kind that this version does not know
  crypto::Argon2Parameters parameters;
};
// Errors as Unlock's first three.
Result<std::vector<UnlockerInfo>> ListUnlockers(ByteView untrusted_record);

struct UnlockerChange {
  enum class Kind : uint8_t { kReplace = 1, kAdd = 2, kRemove = 3 };
  Kind kind = Kind::kReplace;  // of the one that the given passphrase opens; another beside it; `number`
  SecretBytes passphrase;      // the new one; not for kRemove
  uint32_t number = 0;         // kRemove
};
// The record with the change made; all other unlockers stay byte for byte. `passphrase` opens one of those
// that are there. Takes the Argon2id time of each that is tried, and of the new one.
//   errors  of Unlock
//           kExists           the new passphrase opens another unlocker already (one may be replaced by
//           itself) kTooLarge         limits::kUnlockersMax are there, or the passphrase is too long
//           kNotFound         kRemove: no such number
//           kInvalidArgument  kRemove: it is the one that `passphrase` opens, so that nobody locks himself
//           out
Result<Bytes> ChangeUnlockers(ByteView untrusted_record, ByteView passphrase, const UnlockerChange& change,
                              const crypto::Argon2Parameters& parameters, crypto::Random& random);

// The MAC and domain keys that hang off the master key (docs/format.md 3).
struct StoreKeys {
  Key slot_root, keyring_root, save_number, anchor, root, chain;
  static StoreKeys Derive(const Key& master, const StoreId& store);
};

}  // namespace holdfast::seal

#endif  // HOLDFAST_CORE_SEAL_UNLOCK_H_
