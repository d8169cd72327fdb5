#include "core/store/secrets.h"

#include "base/codec.h"
#include "core/store/slots.h"

namespace holdfast::store {
namespace {

// The unlocker record that a slot keeps a copy of. Nothing when the file is absent or not understood.
Result<std::optional<Bytes>> CopyInSlot(seam::Storage& storage, int slot) {
  auto file = storage.Get(SlotName(slot, "key-enclave"));
  if (!file) {
    if (file.code() == Code::kNotFound) return std::optional<Bytes>();
    return file.error();
  }
  Reader r(file->parse());
  ByteView record = r.Blob32(file->size());
  if (!r.ok()) return std::optional<Bytes>();
  return std::optional<Bytes>(ToBytes(record));
}

// What the server-state files say the store is, without a secret.
std::optional<StoreId> StateStore(seam::Storage& storage) {
  for (int slot : {0, 1}) {
    auto file = storage.Get(SlotName(slot, "server-state"));
    if (!file) continue;
    auto state = ServerState::Decode(file->parse());
    if (state) return state->store;
  }
  return std::nullopt;
}

Result<Secrets> UnlockWith(const Bytes& record, ByteView passphrase) {
  HF_TRY(StoreId store, seal::UnlockersStore(record));
  HF_TRY(Key master, seal::Unlock(record, passphrase));
  Secrets s{store, std::move(master), {}, record};
  s.keys = seal::StoreKeys::Derive(s.master, store);
  return s;
}

}  // namespace

Result<Secrets> UnlockStore(seam::Storage& storage, ByteView passphrase, std::vector<Finding>& findings) {
  std::optional<StoreId> expected = StateStore(storage);
  std::optional<Code> fixed_name;
  auto record = storage.Get(seal::kUnlockersName);
  if (record) {
    Bytes bytes = ToBytes(record->parse());
    auto id = seal::UnlockersStore(bytes);
    if (id && expected && *id != *expected) {
      fixed_name = Code::kForeign;
    } else {
      auto s = UnlockWith(bytes, passphrase);
      if (s) return s;
      Code c = s.code();
      if (c == Code::kWrongPassphrase || c == Code::kUnknownFormat || c == Code::kOverloaded)
        return s.error();
      fixed_name = c;
    }
  } else if (record.code() == Code::kNotFound) {
    fixed_name = Code::kMissing;
  } else {
    return record.error();
  }

  bool any_copy = false;
  std::optional<Error> copy_error;
  for (int slot : {1, 0}) {
    HF_TRY(std::optional<Bytes> copy, CopyInSlot(storage, slot));
    if (!copy) continue;
    any_copy = true;
    auto s = UnlockWith(*copy, passphrase);
    if (!s) {
      copy_error = s.error();
      continue;
    }
    auto kind = *fixed_name == Code::kMissing ? Finding::Kind::kMissing : Finding::Kind::kChanged;
    findings.push_back(
        {kind, std::string(seal::kUnlockersName), *fixed_name, "opened from the copy in a slot"});
    return s;
  }
  if (!any_copy && *fixed_name == Code::kMissing) return Code::kNoStore;
  auto kind = *fixed_name == Code::kMissing ? Finding::Kind::kMissing : Finding::Kind::kChanged;
  findings.push_back({kind, std::string(seal::kUnlockersName), *fixed_name, "and no copy in a slot helps"});
  if (copy_error && *copy_error == Code::kWrongPassphrase) return *copy_error;
  return *fixed_name;
}

Result<StoreId> PeekStore(seam::Storage& storage) {
  if (auto id = StateStore(storage)) return *id;
  auto record = storage.Get(seal::kUnlockersName);
  if (!record) return record.code() == Code::kNotFound ? Error(Code::kNoStore) : record.error();
  return seal::UnlockersStore(record->parse());
}

}  // namespace holdfast::store
