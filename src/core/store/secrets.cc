#include "core/store/secrets.h"

#include "base/codec.h"
#include "core/store/slots.h"
#include "seam/copies.h"

namespace holdfast::store {
namespace {

// What a slot says in the clear: its copy of the unlocker record and whose it is. Neither is proven yet.
struct SlotHints {
  std::optional<Bytes> record;
  std::optional<StoreId> store;
};

Result<SlotHints> HintsOf(seam::Storage& storage, int slot) {
  SlotHints hints;
  auto keys = storage.Get(SlotName(slot, "key-enclave"));
  if (keys) {
    Reader r(keys->parse());
    ByteView record = r.Blob32(keys->size());
    if (r.ok()) hints.record = ToBytes(record);
  } else if (keys.code() != Code::kNotFound && keys.code() != Code::kTooLarge) {
    return keys.error();
  }
  auto file = storage.GetRange(SlotName(slot, "server-state"), 0, kServerStateBytes + 1);
  if (file) {
    auto state = ServerState::Decode(file->parse());
    if (state) hints.store = state->store;
  } else if (file.code() != Code::kNotFound) {
    return file.error();
  }
  return hints;
}

// False if every slot that says whose it is names another store.
bool MayBelong(const StoreId& id, const SlotHints (&slots)[2]) {
  bool named = false;
  for (const SlotHints& s : slots) {
    if (s.store && *s.store == id) return true;
    named = named || s.store.has_value();
  }
  return !named;
}

Result<Secrets> UnlockWith(const Bytes& record, const SlotHints (&slots)[2], ByteView passphrase) {
  HF_TRY(StoreId store, seal::UnlockersStore(record));
  if (!MayBelong(store, slots)) return Code::kForeign;
  HF_TRY(Key master, seal::Unlock(record, passphrase));
  Secrets s{store, std::move(master), {}, record};
  s.keys = seal::StoreKeys::Derive(s.master, store);
  return s;
}

// What is to be said when the record under the fixed name is bad for `why` and the copy in a slot has served.
Finding ServedByCopy(Code why) {
  std::string name(seal::kUnlockersName);
  switch (why) {
    case Code::kMissing:
      return {Finding::Kind::kMissing, name, why, "opened from the copy in a slot"};
    case Code::kWrongPassphrase:  // whole and of this store: a crash between the saves and the record leaves
                                  // it so
      return {Finding::Kind::kNote, name, why,
              "does not take the passphrase that its copy in a slot takes: a change of passphrase did not "
              "finish"};
    default:
      return {Finding::Kind::kChanged, name, why, "opened from the copy in a slot"};
  }
}

Result<Secrets> UnlockOne(seam::Storage& storage, ByteView passphrase, std::vector<Finding>& findings) {
  SlotHints slots[2];
  for (int i : {0, 1}) {
    HF_TRY(slots[i], HintsOf(storage, i));
  }
  Bytes fixed;
  Code why = Code::kMissing;
  auto record = storage.Get(seal::kUnlockersName);
  if (record) {
    fixed = std::move(record).value().take();
    auto s = UnlockWith(fixed, slots, passphrase);
    if (s) {
      bool copied = !slots[0].record && !slots[1].record;
      for (const SlotHints& slot : slots) copied = copied || (slot.record && *slot.record == fixed);
      if (!copied)
        findings.push_back({Finding::Kind::kNote, std::string(seal::kUnlockersName), Code::kTorn,
                            "differs from both of its copies: a change of passphrase did not finish"});
      return s;
    }
    why = s.code();
    if (why == Code::kUnknownFormat || why == Code::kOverloaded) return s.error();
  } else if (record.code() == Code::kTooLarge) {
    why = Code::kMalformed;
  } else if (record.code() != Code::kNotFound) {
    return record.error();
  }

  bool wrong_passphrase = why == Code::kWrongPassphrase;
  for (int i : {1, 0}) {
    const std::optional<Bytes>& copy = slots[i].record;
    if (!copy || (record && *copy == fixed)) continue;
    auto s = UnlockWith(*copy, slots, passphrase);
    if (s) {
      findings.push_back(ServedByCopy(why));
      return s;
    }
    wrong_passphrase = wrong_passphrase || s.code() == Code::kWrongPassphrase;
  }
  if (wrong_passphrase) return Code::kWrongPassphrase;
  if (!record && !slots[0].record && !slots[1].record && record.code() == Code::kNotFound)
    return Code::kNoStore;
  auto kind = why == Code::kMissing ? Finding::Kind::kMissing : Finding::Kind::kChanged;
  findings.push_back({kind, std::string(seal::kUnlockersName), why, "and no copy in a slot helps"});
  return why;
}

}  // namespace

Result<Secrets> UnlockStore(seam::Storage& storage, ByteView passphrase, std::vector<Finding>& findings) {
  seam::Copies* copies = storage.copies();
  if (copies == nullptr) return UnlockOne(storage, passphrase, findings);
  Code answer = Code::kUnreachable;
  for (size_t i : copies->Order()) {
    std::vector<Finding> said;
    auto secrets = UnlockOne(copies->copy(i), passphrase, said);
    for (Finding& f : said) f.provider = static_cast<int>(i);
    findings.insert(findings.end(), said.begin(), said.end());
    if (secrets) return secrets;
    // One that says nothing, or has nothing, hides no better answer.
    bool worse = secrets.code() == Code::kUnreachable || secrets.code() == Code::kNoStore;
    if (!worse || answer == Code::kUnreachable) answer = secrets.code();
  }
  return answer;
}

Result<StoreId> PeekStore(seam::Storage& storage) {
  if (seam::Copies* copies = storage.copies()) {
    Code answer = Code::kUnreachable;
    for (size_t i : copies->Order()) {
      auto id = PeekStore(copies->copy(i));
      if (id) return id;
      if (answer == Code::kUnreachable) answer = id.code();
    }
    return answer;
  }
  for (int slot : {0, 1}) {
    HF_TRY(SlotHints hints, HintsOf(storage, slot));
    if (hints.store) return *hints.store;
  }
  auto record = storage.Get(seal::kUnlockersName);
  if (!record) return record.code() == Code::kNotFound ? Error(Code::kNoStore) : record.error();
  return seal::UnlockersStore(record->parse());
}

std::string ShortAnchor(const Key& anchor_key, const Manifest& m) {
  const journal::LogPosition& at = m.root.position;
  return seal::Anchor{m.store, at.term, at.index, at.chain, m.save}.ShortForm(anchor_key);
}

}  // namespace holdfast::store
