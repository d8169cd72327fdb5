#include "core/store/slots.h"

#include <algorithm>

#include "base/codec.h"
#include "base/crc32c.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

constexpr std::string_view kServerStateMagic = "HFSTATE1";
constexpr std::string_view kManifestFile = "core-enclave";
constexpr std::string_view kKeysFile = "key-enclave";
constexpr std::string_view kNumberFile = "state-save-number";
// In the order of the digest.
constexpr std::string_view kFiles[5] = {"core-enclave", "core-enclave.recovery-key-shares", "key-enclave",
                                        "key-enclave.recovery-key-shares", "server-state"};

struct SlotFiles {
  Bytes file[5];
  Digest ComputeDigest() const {
    crypto::Sha256Stream hash;
    for (const Bytes& f : file) {
      uint8_t length[8];
      StoreLittle<uint64_t>(length, f.size());
      hash.Update({length, 8});
      hash.Update(f);
    }
    return hash.Finish();
  }
};

Digest NumberMac(const Secrets& secrets, int slot, SaveNumber number, const Digest& digest) {
  uint8_t s = static_cast<uint8_t>(slot), n[8];
  StoreLittle(n, number.value);
  return crypto::HmacSha256(secrets.keys.save_number.view(),
                            {ByteView(&s, 1), secrets.store.view(), ByteView(n, 8), digest});
}

Slot Bad(Slot::Kind kind, Code code, int slot, std::string_view file) {
  Slot s;
  s.kind = kind;
  s.code = code;
  s.object = SlotName(slot, file);
  return s;
}

// The sealed parts of a slot whose number, digest and MAC fit; without the groups.
Slot OpenSlot(int slot, SaveNumber number, const SlotFiles& files, const Secrets& secrets) {
  auto tampered = [&](Code code, std::string_view file) {
    return Bad(Slot::Kind::kTampered, code, slot, file);
  };
  auto state = ServerState::Decode(files.file[4]);
  if (!state) return tampered(state.code(), kFiles[4]);
  if (state->store != secrets.store) return tampered(Code::kForeign, kFiles[4]);

  std::string keys_name = SlotName(slot, kKeysFile);
  Reader r(files.file[2]);
  r.Blob32(files.file[2].size());
  ByteView sealed_keyring = r.Raw(r.remaining());
  if (!r.ok()) return tampered(Code::kMalformed, kKeysFile);
  auto keyring = seal::Keyring::Open(secrets.keys.keyring_root, secrets.store, keys_name, sealed_keyring);
  if (!keyring) return tampered(keyring.code(), kKeysFile);

  std::string manifest_name = SlotName(slot, kManifestFile);
  auto text = seal::OpenObject(seal::DomainKeys::Derive(secrets.keys.slot_root), seal::ObjectKind::kManifest,
                               {secrets.store, manifest_name}, files.file[0]);
  if (!text) return tampered(text.code(), kManifestFile);
  auto manifest = Manifest::Decode(*text);
  if (!manifest) return tampered(manifest.code(), kManifestFile);
  if (manifest->store != secrets.store || manifest->root.store != secrets.store ||
      manifest->member != state->member) {
    return tampered(Code::kTampered, kManifestFile);
  }
  if (manifest->save != number) {  // each is genuine, and one of them is old
    Slot s = tampered(Code::kTampered, kManifestFile);
    s.object += " or " + SlotName(slot, kNumberFile);
    return s;
  }
  Slot s;
  s.kind = Slot::Kind::kValid;
  s.opener = state->opener;
  s.manifest = std::move(manifest).value();
  s.keyring = std::move(keyring).value();
  return s;
}

}  // namespace

std::string SlotName(int slot, std::string_view file) {
  return std::string(kSlotsPrefix) + (slot == 0 ? "0/" : "1/") + std::string(file);
}

Bytes ServerState::Encode() const {
  Bytes out;
  Writer w(out);
  w.Raw(AsBytes(kServerStateMagic)).U32(kFormatVersion).Id(store).Id(member).U32(opener);
  w.U32(Crc32c(out));
  return out;
}

Result<ServerState> ServerState::Decode(ByteView untrusted) {
  if (untrusted.size() != kServerStateBytes) return Code::kMalformed;
  Reader r(untrusted);
  if (AsText(r.Raw(kServerStateMagic.size())) != kServerStateMagic) return Code::kMalformed;
  if (Crc32c(untrusted.first(48)) != LoadLittle<uint32_t>(untrusted.data() + 48)) return Code::kChecksum;
  if (r.U32() != kFormatVersion) return Code::kUnknownFormat;
  ServerState s;
  s.store = r.Id<StoreId>();
  s.member = r.Id<MemberId>();
  s.opener = r.U32();
  return s;
}

namespace {

// Reads files and keeps their versions, where anybody will need them.
class VersionedFiles {
 public:
  explicit VersionedFiles(seam::Storage& storage)
      : storage_(storage), versioned_(seam::FencesByCondition(storage.capabilities())) {}
  Result<UntrustedBytes> Get(const std::string& name, uint64_t bytes_max) {
    if (!versioned_)
      return bytes_max == UINT64_MAX ? storage_.Get(name) : storage_.GetRange(name, 0, bytes_max);
    auto got = storage_.GetVersioned(name);
    if (!got && got.code() == Code::kNotFound) versions_[name] = {};
    if (!got) return got.error();
    versions_[name] = std::move(got->version);
    return std::move(got->bytes);
  }
  ObjectVersions versions() { return std::move(versions_); }

 private:
  seam::Storage& storage_;
  const bool versioned_;
  ObjectVersions versions_;
};

Result<Slot> ReadSlotFiles(VersionedFiles& from, int slot, const Secrets& secrets) {
  auto number = from.Get(SlotName(slot, kNumberFile), kSaveNumberBytes + 1);
  if (!number) {
    if (number.code() == Code::kNotFound) return Bad(Slot::Kind::kUnused, Code::kTorn, slot, kNumberFile);
    return number.error();
  }
  if (number->size() < kSaveNumberBytes) return Bad(Slot::Kind::kUnused, Code::kTorn, slot, kNumberFile);
  if (number->size() > kSaveNumberBytes)
    return Bad(Slot::Kind::kTampered, Code::kTampered, slot, kNumberFile);

  Reader r(number->parse());
  SaveNumber n = r.Num<SaveNumber>();
  Digest digest = r.Hash(), mac = r.Hash();
  if (!ConstantTimeEqual(mac, NumberMac(secrets, slot, n, digest)) ||
      n.value % 2 != static_cast<uint64_t>(slot)) {
    return Bad(Slot::Kind::kTampered, Code::kAuthFailed, slot, kNumberFile);
  }
  SlotFiles files;
  seam::Catalogue known;
  known[SlotName(slot, kNumberFile)] = {{number->size(), crypto::Sha256(number->parse())}};
  for (int i = 0; i < 5; ++i) {
    auto bytes = from.Get(SlotName(slot, kFiles[i]), UINT64_MAX);
    if (!bytes) {
      if (bytes.code() == Code::kNotFound) return Bad(Slot::Kind::kTampered, Code::kMissing, slot, kFiles[i]);
      if (bytes.code() == Code::kTooLarge)
        return Bad(Slot::Kind::kTampered, Code::kTampered, slot, kFiles[i]);
      return bytes.error();
    }
    files.file[i] = std::move(bytes).value().take();
    known[SlotName(slot, kFiles[i])] = {{files.file[i].size(), crypto::Sha256(files.file[i])}};
  }
  if (files.ComputeDigest() != digest) {
    // The digest tells that one of them differs; the sealed parts tell which.
    Slot s = OpenSlot(slot, n, files, secrets);
    if (s.kind == Slot::Kind::kTampered) return s;
    for (int i : {1, 3}) {
      if (!files.file[i].empty()) return Bad(Slot::Kind::kTampered, Code::kTampered, slot, kFiles[i]);
    }
    // The copy of the unlocker record, or who opened: nothing seals either by itself.
    Slot either = Bad(Slot::Kind::kTampered, Code::kTampered, slot, kKeysFile);
    either.object += " or " + SlotName(slot, kFiles[4]);
    return either;
  }
  Slot s = OpenSlot(slot, n, files, secrets);
  s.files = std::move(known);
  return s;
}

}  // namespace

Result<Slot> ReadSlot(seam::Storage& storage, int slot, const Secrets& secrets) {
  VersionedFiles files(storage);
  HF_TRY(Slot s, ReadSlotFiles(files, slot, secrets));
  s.versions = files.versions();
  if (s.kind != Slot::Kind::kValid) return s;
  std::string bad;
  Status read = ReadGroups(storage, s.manifest, secrets, bad);
  if (!bad.empty()) {
    Slot without = Bad(Slot::Kind::kTampered, read.code(), slot, kManifestFile);
    without.object = bad;
    without.versions = std::move(s.versions);
    return without;
  }
  HF_TRY_VOID(std::move(read));
  for (const Group& g : s.manifest.groups) {
    if (g.slot == s.manifest.slot()) s.files[GroupName(g.id)] = {{g.size, g.sha256}};
  }
  return s;
}

namespace {

Finding SlotFinding(const Slot& slot, int provider) {
  auto kind = slot.code == Code::kMissing ? Finding::Kind::kMissing : Finding::Kind::kChanged;
  return {kind, slot.object, slot.code, "slot is unusable", provider};
}

// The one to use, of what the providers hold. What is wrong with the others is said where one is good.
Result<Slot> ReadSlotOfCopies(seam::Copies& copies, int index, const Secrets& secrets,
                              std::vector<Finding>& findings) {
  std::vector<std::pair<Slot, int>> read;
  Code failed = Code::kUnreachable;
  for (size_t i = 0; i < copies.count(); ++i) {
    Result<Slot> slot = ReadSlot(copies.copy(i), index, secrets);
    if (slot) {
      read.emplace_back(std::move(slot).value(), static_cast<int>(i));
    } else {
      failed = slot.code();
    }
  }
  if (read.empty()) return failed;
  std::pair<Slot, int>* best = nullptr;
  auto like = [&](const Slot& s) {
    return std::count_if(read.begin(), read.end(), [&](const auto& r) { return r.first.files == s.files; });
  };
  for (auto& r : read) {
    if (r.first.kind != Slot::Kind::kValid) continue;
    if (best == nullptr || r.first.manifest.save > best->first.manifest.save ||
        (r.first.manifest.save == best->first.manifest.save && like(r.first) > like(best->first))) {
      best = &r;
    }
  }
  if (best == nullptr) return std::move(read.front().first);
  for (const auto& [slot, provider] : read) {
    if (slot.kind == Slot::Kind::kTampered) findings.push_back(SlotFinding(slot, provider));
  }
  return std::move(best->first);
}

}  // namespace

Result<Slots> ReadSlots(seam::Storage& storage, const Secrets& secrets, std::vector<Finding>& findings) {
  Slots s;
  seam::Copies* copies = storage.copies();
  for (int i = 0; i < 2; ++i) {
    HF_TRY(s.slot[i], copies != nullptr ? ReadSlotOfCopies(*copies, i, secrets, findings)
                                        : ReadSlot(storage, i, secrets));
    const Slot& slot = s.slot[i];
    if (slot.kind == Slot::Kind::kUnused) {
      findings.push_back(
          {Finding::Kind::kTorn, slot.object, slot.code, "slot is unused: its save did not finish"});
    } else if (slot.kind == Slot::Kind::kTampered) {
      findings.push_back(SlotFinding(slot, -1));
    }
  }
  bool v0 = s.slot[0].kind == Slot::Kind::kValid, v1 = s.slot[1].kind == Slot::Kind::kValid;
  if (!v0 && !v1) {
    for (const Slot& slot : s.slot) {
      if (slot.code == Code::kUnknownFormat) return slot.code;
    }
    return Code::kBothSlotsBad;
  }
  s.newest = v0 && v1 ? (s.slot[0].manifest.save > s.slot[1].manifest.save ? 0 : 1) : (v0 ? 0 : 1);
  s.older_valid = v0 && v1;
  ReconcileGroups(s.slot[s.newest].manifest, s.older_valid ? &s.slot[1 - s.newest].manifest : nullptr);
  return s;
}

namespace {

constexpr int kStaleWritesMax = 8;  // by whoever was at the slot when it was taken: five files, and one more

Result<seam::ObjectVersion> VersionNow(seam::Storage& storage, const std::string& name) {
  auto now = storage.GetVersioned(name);
  if (!now && now.code() == Code::kNotFound) return seam::ObjectVersion();
  if (!now) return now.error();
  return std::move(now->version);
}

Status KnowVersion(seam::Storage& storage, const std::string& name, Opener& opener) {
  if (opener.versions.contains(name)) return Ok();
  HF_TRY(seam::ObjectVersion now, VersionNow(storage, name));
  opener.versions[name] = std::move(now);
  return Ok();
}

// A frame of a later opener, by its name.
Status LookForLater(seam::Storage& storage, const MemberId& member, const Opener& opener) {
  if (!opener.may_meet) return Ok();
  HF_TRY(std::vector<seam::ObjectInfo> frames, seam::ListAll(storage, journal::JournalPrefix(member)));
  bool later = std::any_of(frames.begin(), frames.end(), [&](const seam::ObjectInfo& o) {
    return journal::TermOfName(member, o.name).value_or(Term()) > opener.term;
  });
  return later ? Status(Code::kFenced) : Ok();
}

// The number decides whose the slot is: who lost it loses all, who has it passes over what the one before it
// was still writing.
Status PutNumber(seam::Storage& storage, int slot, ByteView bytes, Opener& opener) {
  std::string name = SlotName(slot, kNumberFile);
  if (!opener.by_condition) return storage.Put(name, bytes);
  HF_TRY_VOID(KnowVersion(storage, name, opener));
  auto put = storage.PutIfVersion(name, bytes, opener.versions[name]);
  if (!put) return put.code() == Code::kVersionMismatch ? Error(Code::kFenced) : put.error();
  opener.versions[name] = std::move(put).value();
  return Ok();
}

// REQUIRES: the number was taken away.
Status PutFile(seam::Storage& storage, int slot, std::string_view file, ByteView bytes, Opener& opener) {
  std::string name = SlotName(slot, file), number = SlotName(slot, kNumberFile);
  if (!opener.by_condition) return storage.Put(name, bytes);
  for (int i = 0; i < kStaleWritesMax; ++i) {
    HF_TRY_VOID(KnowVersion(storage, name, opener));
    auto put = storage.PutIfVersion(name, bytes, opener.versions[name]);
    if (put) {
      opener.versions[name] = std::move(put).value();
      return Ok();
    }
    if (put.code() != Code::kVersionMismatch) return put.error();
    HF_TRY(seam::ObjectVersion now, VersionNow(storage, number));
    if (now != opener.versions[number]) break;
    opener.versions.erase(name);
  }
  return Code::kFenced;
}

Bytes EncodeNumber(const Secrets& secrets, int slot, SaveNumber save, const Digest& digest) {
  Bytes number;
  Writer(number).Num(save).Raw(digest).Raw(NumberMac(secrets, slot, save, digest));
  return number;
}

}  // namespace

Status TakeNumberAway(seam::Storage& storage, int slot, SaveNumber next, Opener& opener) {
  if (!opener.by_condition) return storage.Delete(SlotName(slot, kNumberFile));
  // Too short to be a number (D2), and unlike what any other opener puts: services whose versions are
  // digests would take equal bytes for the same version.
  Bytes mark;
  Writer(mark).Num(next).Num(opener.term);
  return PutNumber(storage, slot, mark, opener);
}

bool SlotIsTaken(seam::Storage& storage, int slot, const Opener& opener) {
  auto known = opener.versions.find(SlotName(slot, kNumberFile));
  if (!opener.by_condition || known == opener.versions.end()) return false;
  auto now = VersionNow(storage, known->first);
  return now && *now != known->second;
}

Status TakeSlot(seam::Storage& storage, int index, const Slot& read, const Secrets& secrets, Opener& opener) {
  SaveNumber next = read.kind == Slot::Kind::kValid ? read.manifest.save : SaveNumber();
  for (const auto& [name, version] : read.versions) opener.versions[name] = version;
  HF_TRY_VOID(TakeNumberAway(storage, index, next, opener));
  HF_TRY_VOID(storage.Barrier());
  if (read.kind != Slot::Kind::kValid) return Ok();
  SlotFiles files;
  for (int i = 0; i < 5; ++i) {
    HF_TRY(UntrustedBytes bytes, storage.Get(SlotName(index, kFiles[i])));
    files.file[i] = std::move(bytes).take();
    auto known = read.files.find(SlotName(index, kFiles[i]));
    bool same = known != read.files.end() && known->second.front().sha256 == crypto::Sha256(files.file[i]);
    if (!same) return Code::kFenced;
  }
  files.file[4] =
      ServerState{secrets.store, read.manifest.member, static_cast<uint32_t>(opener.term.value)}.Encode();
  HF_TRY_VOID(PutFile(storage, index, kFiles[4], files.file[4], opener));
  HF_TRY_VOID(storage.Barrier());
  HF_TRY_VOID(PutNumber(storage, index, EncodeNumber(secrets, index, next, files.ComputeDigest()), opener));
  return storage.Barrier();
}

Status WriteSlot(seam::Storage& storage, Manifest& manifest, const seal::Keyring& keyring,
                 const Secrets& secrets, Opener& opener, crypto::Random& random,
                 std::vector<std::string>& leftovers) {
  HF_TRY_VOID(WriteGroups(storage, manifest, secrets, opener.term, random, leftovers));
  HF_TRY_VOID(storage.Barrier());
  int slot = manifest.slot();
  SlotFiles files;
  std::string manifest_name = SlotName(slot, kManifestFile), keys_name = SlotName(slot, kKeysFile);
  Bytes text = manifest.Encode();
  if (text.size() > limits::kManifestBytesMax) return Code::kTooLarge;
  files.file[0] =
      seal::SealObject(seal::DomainKeys::Derive(secrets.keys.slot_root), seal::ObjectKind::kManifest, Epoch(),
                       {secrets.store, manifest_name}, text, random);
  Writer(files.file[2])
      .Blob32(secrets.unlockers)
      .Raw(keyring.Seal(secrets.keys.keyring_root, secrets.store, keys_name, random));
  files.file[4] =
      ServerState{secrets.store, manifest.member, static_cast<uint32_t>(opener.term.value)}.Encode();
  Bytes number = EncodeNumber(secrets, slot, manifest.save, files.ComputeDigest());

  HF_TRY_VOID(LookForLater(storage, manifest.member, opener));
  HF_TRY_VOID(TakeNumberAway(storage, slot, manifest.save, opener));
  HF_TRY_VOID(storage.Barrier());
  for (int i = 0; i < 5; ++i) HF_TRY_VOID(PutFile(storage, slot, kFiles[i], files.file[i], opener));
  HF_TRY_VOID(storage.Barrier());
  HF_TRY_VOID(LookForLater(storage, manifest.member, opener));
  HF_TRY_VOID(PutNumber(storage, slot, number, opener));
  return storage.Barrier();
}

}  // namespace holdfast::store
