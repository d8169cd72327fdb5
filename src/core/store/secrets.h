// What an unlocked store keeps in memory to read and write itself.
#ifndef HOLDFAST_CORE_STORE_SECRETS_H_
#define HOLDFAST_CORE_STORE_SECRETS_H_

#include <memory>
#include <vector>

#include "core/seal/keyring.h"
#include "core/store/manifest.h"
#include "core/store/offline.h"

namespace holdfast::store {

struct Secrets {
  StoreId store;
  Key master;
  seal::StoreKeys keys;
  Bytes unlockers;  // the record, as it stands under its fixed name or in a slot's copy
};

// Passphrase to secrets. A bad fixed-name record is a finding and the slots' copies serve (rule G1).
//   errors  kNoStore, kWrongPassphrase, kUnknownFormat, kKdfBounds, and of the storage
Result<Secrets> UnlockStore(seam::Storage& storage, ByteView passphrase, std::vector<Finding>& findings);

// One immutable state of the trees: a save, with the keys to read it. Snapshots hold it; while one does, no
// segment that it names is deleted.
struct TreeVersion {
  Manifest manifest;
  Digest root_digest{};
  std::map<TableId, seal::DomainKeys> keys;
};
using VersionPtr = std::shared_ptr<const TreeVersion>;

// kNoKey: a table whose key the keyring lacks.
Result<VersionPtr> MakeVersion(Manifest manifest, const seal::Keyring& keyring, const Secrets& secrets);

// The save point of `m` as an anchor that people can carry (seal/anchor.h).
std::string ShortAnchor(const Key& anchor_key, const Manifest& m);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_SECRETS_H_
