#include "core/seal/unlock.h"

#include <vector>

#include "base/check.h"
#include "base/codec.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace holdfast::seal {
namespace {

constexpr std::string_view kMagic = "HFUNLOCK";
constexpr uint16_t kRecordVersion = 1;
constexpr uint8_t kPassphrase = 1;
constexpr uint8_t kArgon2id = 1;
constexpr size_t kHeadBytes = 8 + 2 + 2 + 16;
constexpr size_t kChecksumBytes = 32;
constexpr size_t kPublicBytes = 44;  // of an unlocker: what its wrapped master is bound to
constexpr size_t kCheckBytes = 32;
constexpr size_t kWrappedBytes = 32 + crypto::kTagBytes;
constexpr size_t kUnlockerBytes = kPublicBytes + kCheckBytes + kWrappedBytes;
static_assert(kUnlockerBytes == 124);

struct Unlocker {
  uint8_t kind = 0, algorithm = 0;
  crypto::Argon2Parameters parameters;
  std::array<uint8_t, 16> salt{};
  ByteView public_part, check, wrapped;  // views into the record
  bool known() const { return kind == kPassphrase && algorithm == kArgon2id; }
};

struct Record {
  StoreId store;
  std::vector<Unlocker> unlockers;
};

Digest CheckValue(const Key& kek, const StoreId& store) {
  return crypto::HmacSha256(kek.view(), {AsBytes("holdfast check"), store.view()});
}

crypto::AesGcm WrapCipher(const Key& kek) { return crypto::AesGcm(crypto::DeriveKey(kek, "holdfast wrap")); }

Bytes WrapAad(const StoreId& store, ByteView public_part) {
  Bytes aad = ToBytes(store.view());
  Append(aad, public_part);
  return aad;
}

bool InBounds(const crypto::Argon2Parameters& p) {
  return p.memory_kib >= limits::kArgonMemoryKiBMin && p.memory_kib <= limits::kArgonMemoryKiBMax &&
         p.passes >= 1 && p.passes <= limits::kArgonPassesMax;
}

Unlocker ParseUnlocker(ByteView bytes) {
  Unlocker u;
  Reader r(bytes);
  u.kind = r.U8();
  u.algorithm = r.U8();
  r.U16();
  u.parameters.memory_kib = r.U32();
  u.parameters.passes = r.U32();
  r.Copy(u.salt.data(), u.salt.size());
  u.public_part =
      bytes.first(kPublicBytes);  // the reserved fields too: they are authenticated, not interpreted
  u.check = bytes.subspan(kPublicBytes, kCheckBytes);
  u.wrapped = bytes.subspan(kPublicBytes + kCheckBytes, kWrappedBytes);
  return u;
}

Result<Record> Parse(ByteView bytes) {
  if (bytes.size() < kHeadBytes + kChecksumBytes) return Code::kMalformed;
  Reader r(bytes);
  if (!Equal(r.Raw(kMagic.size()), AsBytes(kMagic))) return Code::kMalformed;
  // Before anything else is believed: damage is neither a wrong passphrase nor an unknown format.
  size_t summed = bytes.size() - kChecksumBytes;
  if (!Equal(crypto::Sha256(bytes.first(summed)), bytes.subspan(summed))) return Code::kChecksum;
  if (r.U16() != kRecordVersion) return Code::kUnknownFormat;
  size_t count = r.U16();
  if (count < 1 || count > limits::kUnlockersMax ||
      bytes.size() != kHeadBytes + count * kUnlockerBytes + kChecksumBytes)
    return Code::kMalformed;
  Record record;
  record.store = r.Id<StoreId>();
  for (size_t i = 0; i < count; ++i) record.unlockers.push_back(ParseUnlocker(r.Raw(kUnlockerBytes)));
  return record;
}

// All bounds before any memory: a hostile record gets no further than its first wild number.
Status CheckParameters(const Record& record) {
  bool known = false;
  for (const Unlocker& u : record.unlockers) {
    if (!u.known()) continue;
    known = true;
    if (!InBounds(u.parameters)) return Code::kKdfBounds;
  }
  return known ? Ok() : Status(Code::kUnknownFormat);
}

// kWrongPassphrase, kAuthFailed, or the errors of Argon2id.
Result<Key> TryUnlocker(const Unlocker& u, const StoreId& store, ByteView passphrase) {
  HF_TRY(Key kek, crypto::Argon2id(passphrase, u.salt, u.parameters));
  if (!ConstantTimeEqual(CheckValue(kek, store), u.check)) return Code::kWrongPassphrase;
  HF_TRY(Bytes master, WrapCipher(kek).Open(0, WrapAad(store, u.public_part), u.wrapped));
  Key key{ByteView(master)};
  Wipe(master.data(), master.size());
  return key;
}

Result<Bytes> MakeUnlocker(const StoreId& store, const Key& master, ByteView passphrase,
                           const crypto::Argon2Parameters& parameters, crypto::Random& random) {
  std::array<uint8_t, 16> salt;
  random.Fill(salt);
  HF_TRY(Key kek, crypto::Argon2id(passphrase, salt, parameters));
  Bytes out;
  out.reserve(kUnlockerBytes);
  Writer w(out);
  w.U8(kPassphrase).U8(kArgon2id).U16(0).U32(parameters.memory_kib).U32(parameters.passes).Raw(salt);
  w.U32(0).U32(0).U64(0);
  Bytes aad = WrapAad(store, out);
  w.Raw(CheckValue(kek, store));
  WrapCipher(kek).Seal(0, aad, master.view(), out);
  return out;
}

Bytes MakeRecord(const StoreId& store, const std::vector<Bytes>& unlockers) {
  Bytes out;
  out.reserve(kHeadBytes + unlockers.size() * kUnlockerBytes + kChecksumBytes);
  Writer w(out);
  w.Raw(AsBytes(kMagic)).U16(kRecordVersion).U16(static_cast<uint16_t>(unlockers.size())).Id(store);
  for (const Bytes& u : unlockers) w.Raw(u);
  w.Raw(crypto::Sha256(out));
  return out;
}

struct Opened {
  Key master;
  size_t place;  // of the unlocker, from 0
};
Result<Opened> OpenRecord(const Record& record, ByteView passphrase) {
  HF_TRY_VOID(CheckParameters(record));
  Code answer = Code::kWrongPassphrase;
  for (size_t i = 0; i < record.unlockers.size(); ++i) {
    const Unlocker& u = record.unlockers[i];
    if (!u.known()) continue;  // of a later kind: not for a passphrase
    Result<Key> key = TryUnlocker(u, record.store, passphrase);
    if (key.has_value()) return Opened{std::move(key).value(), i};
    if (key.code() != Code::kWrongPassphrase) answer = key.code();
  }
  return answer;
}

}  // namespace

Result<Bytes> MakeUnlockers(const StoreId& store, const Key& master, ByteView passphrase,
                            const crypto::Argon2Parameters& parameters, crypto::Random& random) {
  HF_TRY(Bytes one, MakeUnlocker(store, master, passphrase, parameters, random));
  return MakeRecord(store, {one});
}

Result<StoreId> UnlockersStore(ByteView untrusted_record) {
  HF_TRY(Record record, Parse(untrusted_record));
  return record.store;
}

Result<Key> Unlock(ByteView untrusted_record, ByteView passphrase) {
  HF_TRY(Record record, Parse(untrusted_record));
  HF_TRY(Opened opened, OpenRecord(record, passphrase));
  return std::move(opened.master);
}

Result<std::vector<UnlockerInfo>> ListUnlockers(ByteView untrusted_record) {
  HF_TRY(Record record, Parse(untrusted_record));
  std::vector<UnlockerInfo> list;
  for (const Unlocker& u : record.unlockers) list.push_back({list.size() + 1, u.known(), u.parameters});
  return list;
}

Result<Bytes> ChangeUnlockers(ByteView untrusted_record, ByteView passphrase, const UnlockerChange& change,
                              const crypto::Argon2Parameters& parameters, crypto::Random& random) {
  using Kind = UnlockerChange::Kind;
  HF_TRY(Record record, Parse(untrusted_record));
  HF_TRY(Opened opened, OpenRecord(record, passphrase));
  std::vector<Bytes> unlockers;
  for (size_t i = 0; i < record.unlockers.size(); ++i)
    unlockers.push_back(ToBytes(untrusted_record.subspan(kHeadBytes + i * kUnlockerBytes, kUnlockerBytes)));
  if (change.kind == Kind::kRemove) {
    if (change.number < 1 || change.number > unlockers.size()) return Code::kNotFound;
    if (change.number - 1 == opened.place) return Code::kInvalidArgument;
    unlockers.erase(unlockers.begin() + (change.number - 1));
    return MakeRecord(record.store, unlockers);
  }
  if (change.kind == Kind::kAdd && unlockers.size() >= limits::kUnlockersMax) return Code::kTooLarge;
  Result<Opened> twice = OpenRecord(record, change.passphrase.view());
  if (twice.has_value() && (change.kind == Kind::kAdd || twice->place != opened.place)) return Code::kExists;
  if (!twice.has_value() && twice.code() != Code::kWrongPassphrase) return twice.error();
  HF_TRY(Bytes made, MakeUnlocker(record.store, opened.master, change.passphrase.view(), parameters, random));
  if (change.kind == Kind::kAdd)
    unlockers.push_back(std::move(made));
  else
    unlockers[opened.place] = std::move(made);
  return MakeRecord(record.store, unlockers);
}

StoreKeys StoreKeys::Derive(const Key& master, const StoreId& store) {
  auto derive = [&](std::string_view label) { return crypto::DeriveKey(master, label, store.view()); };
  return {derive("holdfast slot"),   derive("holdfast keyring"), derive("holdfast save number"),
          derive("holdfast anchor"), derive("holdfast root"),    derive("holdfast chain")};
}

}  // namespace holdfast::seal
