#include "core/seal/object.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "core/seal/object_internal.h"
#include "crypto/aead.h"

namespace holdfast::seal {
namespace {

constexpr std::string_view kMagic = "HFSO";
constexpr uint8_t kAlgorithm = 1;
constexpr size_t kBeforeCrcBytes = 12;
constexpr size_t kCrcAt = 12;
constexpr size_t kBindingPartMax = 0xFFFF;

bool Encodable(const Binding& b) {
  return b.name.size() <= kBindingPartMax && b.extra.size() <= kBindingPartMax;
}

uint32_t HeaderCrc(ByteView header) {
  uint8_t copy[kHeaderBytes];
  std::memcpy(copy, header.data(), kHeaderBytes);
  StoreLittle<uint32_t>(copy + kCrcAt, 0);
  return Crc32c({copy, kHeaderBytes});
}

Bytes Aad(ByteView header, ByteView encoded_binding) {
  Bytes aad;
  aad.reserve(kHeaderBytes + encoded_binding.size());
  Append(aad, header);
  Append(aad, encoded_binding);
  return aad;
}

}  // namespace

DomainKeys DomainKeys::Derive(const Key& root) {
  return {crypto::DeriveKey(root, "holdfast seal"), crypto::DeriveKey(root, "holdfast hash"),
          crypto::DeriveKey(root, "holdfast address")};
}

Bytes ObjectHeader::Encode() const {
  Bytes out;
  out.reserve(kHeaderBytes);
  Writer w(out);
  w.Raw(AsBytes(kMagic)).U8(static_cast<uint8_t>(kind)).U8(kAlgorithm).U16(kFormatVersion).Num(epoch);
  w.U32(0).Raw(salt).Raw(h);
  StoreLittle(out.data() + kCrcAt, HeaderCrc(out));
  return out;
}

Result<ObjectHeader> ObjectHeader::Decode(ByteView untrusted, ObjectKind expected) {
  if (untrusted.size() < kHeaderBytes) return Code::kMalformed;
  ByteView bytes = untrusted.first(kHeaderBytes);
  Reader r(bytes);
  if (!Equal(r.Raw(kMagic.size()), AsBytes(kMagic))) return Code::kMalformed;
  uint8_t kind = r.U8();
  uint8_t algorithm = r.U8();
  uint16_t version = r.U16();
  ObjectHeader header;
  header.epoch = r.Num<Epoch>();
  uint32_t crc = r.U32();
  r.Copy(header.salt.data(), header.salt.size());
  header.h = r.Hash();
  HF_CHECK(r.Finish());
  // Before the version: a damaged version must not send its owner looking for newer software.
  if (crc != HeaderCrc(bytes)) return Code::kChecksum;
  if (version != kFormatVersion || algorithm != kAlgorithm) return Code::kUnknownFormat;
  if (kind != static_cast<uint8_t>(expected)) return Code::kTampered;
  header.kind = expected;
  return header;
}

Bytes EncodeBinding(const Binding& binding) {
  HF_CHECK(Encodable(binding));
  Bytes out;
  out.reserve(binding.store.bytes.size() + 4 + binding.name.size() + binding.extra.size());
  Writer(out).Id(binding.store).Blob16(AsBytes(binding.name)).Blob16(binding.extra);
  return out;
}

crypto::HmacStream StartObjectHash(const DomainKeys& keys, const ObjectHeader& header,
                                   ByteView encoded_binding) {
  Bytes encoded = header.Encode();
  crypto::HmacStream mac(keys.hash.view());
  mac.Update(ByteView(encoded).first(kBeforeCrcBytes));
  mac.Update(header.salt);
  mac.Update(encoded_binding);
  return mac;
}

Digest ObjectHash(const DomainKeys& keys, const ObjectHeader& header, const Binding& binding,
                  ByteView determines) {
  crypto::HmacStream mac = StartObjectHash(keys, header, EncodeBinding(binding));
  mac.Update(determines);
  return mac.Finish();
}

Key ObjectKey(const DomainKeys& keys, const ObjectHeader& header) {
  Bytes info = ToBytes(std::string_view("holdfast object"));
  Writer(info).U8(0).U8(static_cast<uint8_t>(header.kind)).Raw(header.h);
  return crypto::HkdfSha256(keys.seal.view(), header.salt, info);
}

Bytes SealObject(const DomainKeys& keys, ObjectKind kind, Epoch epoch, const Binding& binding,
                 ByteView plaintext, crypto::Random& random) {
  ObjectHeader header{.kind = kind, .epoch = epoch};
  random.Fill(header.salt);
  Bytes bound = EncodeBinding(binding);
  crypto::HmacStream mac = StartObjectHash(keys, header, bound);
  mac.Update(plaintext);
  header.h = mac.Finish();

  Bytes out;
  out.reserve(kHeaderBytes + plaintext.size() + crypto::kTagBytes);
  Append(out, header.Encode());
  Bytes aad = Aad(out, bound);
  crypto::AesGcm(ObjectKey(keys, header)).Seal(0, aad, plaintext, out);
  return out;
}

Result<Bytes> OpenObject(const DomainKeys& keys, ObjectKind kind, const Binding& binding,
                         ByteView untrusted) {
  HF_TRY(ObjectHeader header, ObjectHeader::Decode(untrusted, kind));
  if (!Encodable(binding))
    return Code::kAuthFailed;  // a listing's name may be of any length: nothing is sealed there
  Bytes aad = Aad(untrusted.first(kHeaderBytes), EncodeBinding(binding));
  return crypto::AesGcm(ObjectKey(keys, header)).Open(0, aad, untrusted.subspan(kHeaderBytes));
}

}  // namespace holdfast::seal
