// The random keys of journals and tables, by epoch. Source: docs/format.md 4.
#ifndef HOLDFAST_CORE_SEAL_KEYRING_H_
#define HOLDFAST_CORE_SEAL_KEYRING_H_

#include <map>

#include "core/seal/object.h"

namespace holdfast::seal {

class Keyring {
 public:
  // A first epoch (1) with a fresh journal key.
  static Keyring Create(crypto::Random& random);
  Keyring Clone() const;

  Epoch current_epoch() const { return current_; }
  // kNoKey for an epoch that is not here.
  Result<DomainKeys> JournalKeys(Epoch epoch) const;
  // kNoKey. `descriptor`: the canonical bytes; hashed into the keys.
  Result<DomainKeys> TableKeys(const TableId& table, Epoch epoch, ByteView descriptor) const;
  void AddTable(const TableId& table, Epoch epoch, Key key);
  void DropTable(const TableId& table);  // all epochs

  // Sealed, bound to `name`. Plaintext: docs/format.md 4.
  Bytes Seal(const Key& keyring_root, const StoreId& store, std::string_view name,
             crypto::Random& random) const;
  // Errors of OpenObject, and kMalformed.
  static Result<Keyring> Open(const Key& keyring_root, const StoreId& store, std::string_view name,
                              ByteView untrusted);

 private:
  Epoch current_{1};
  std::map<Epoch, Key> journal_;
  std::map<std::pair<TableId, Epoch>, Key> tables_;
};

}  // namespace holdfast::seal

#endif  // HOLDFAST_CORE_SEAL_KEYRING_H_
