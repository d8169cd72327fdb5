#include "core/seal/segment.h"

#include "base/check.h"
#include "base/codec.h"
#include "base/limits.h"
#include "core/seal/object_internal.h"
#include "crypto/hash.h"

namespace holdfast::seal {
namespace {

constexpr uint8_t kAddressAlgorithm = 1;
constexpr size_t kTextUnitBytes = 16;
constexpr size_t kLengthBytes = 4;

// "HFNODE" || header || binding || room for the address, which is filled in per node.
Bytes NodeAad(ByteView header, ByteView encoded_binding) {
  static constexpr std::string_view kLabel = "HFNODE";
  Bytes aad;
  aad.reserve(kLabel.size() + header.size() + encoded_binding.size() + kAddressBytes);
  Append(aad, AsBytes(kLabel));
  Append(aad, header);
  Append(aad, encoded_binding);
  aad.resize(aad.size() + kAddressBytes);
  return aad;
}

void SetAddress(Bytes& aad, const Address& address) {
  std::memcpy(aad.data() + aad.size() - kAddressBytes, address.data(), kAddressBytes);
}

}  // namespace

Address NodeAddress(const DomainKeys& keys, ByteView canonical) {
  Digest d = crypto::HmacSha256(keys.address.view(), {canonical});
  Address a;
  a[0] = kAddressAlgorithm;
  std::memcpy(a.data() + 1, d.data(), d.size());
  return a;
}

Extent SegmentBuilder::Add(const Address& address, ByteView canonical, ByteView hints) {
  size_t bare = kLengthBytes + canonical.size() + hints.size();
  size_t text = (bare + kTextUnitBytes - 1) / kTextUnitBytes * kTextUnitBytes;
  HF_CHECK(size_ + text + crypto::kTagBytes <= limits::kSegmentBytesMax);
  Node node{.address = address,
            .extent = {static_cast<uint32_t>(size_), static_cast<uint32_t>(text + crypto::kTagBytes)},
            .canonical_length = static_cast<uint32_t>(canonical.size()),
            .tail_length = static_cast<uint32_t>(text - kLengthBytes - canonical.size()),
            .text_at = text_.size()};
  Writer(text_).U32(node.canonical_length).Raw(canonical).Raw(hints);
  text_.resize(node.text_at + text);
  size_ += node.extent.length;
  nodes_.push_back(node);
  return node.extent;
}

SegmentBuilder::Sealed SegmentBuilder::Finish(const DomainKeys& keys, Epoch epoch, const StoreId& store,
                                              std::string_view name, crypto::Random& random) {
  Sealed out;
  out.header.kind = ObjectKind::kSegment;
  out.header.epoch = epoch;
  random.Fill(out.header.salt);
  Bytes bound = EncodeBinding({store, name, table_.view()});

  // The address stands for the canonical text: it is a keyed hash of it. Hints and padding are hashed as they
  // are.
  crypto::HmacStream mac = StartObjectHash(keys, out.header, bound);
  ByteView text(text_);
  Bytes place;
  for (const Node& n : nodes_) {
    place.clear();
    Writer(place).U32(n.extent.offset).U32(n.extent.length).Raw(n.address).U32(n.tail_length);
    mac.Update(place);
    mac.Update(text.subspan(n.text_at + kLengthBytes + n.canonical_length, n.tail_length));
  }
  out.header.h = mac.Finish();

  out.bytes.reserve(size_);
  Append(out.bytes, out.header.Encode());
  Bytes aad = NodeAad(out.bytes, bound);
  crypto::AesGcm aead(ObjectKey(keys, out.header));
  for (const Node& n : nodes_) {
    SetAddress(aad, n.address);
    aead.Seal(n.extent.offset, aad, text.subspan(n.text_at, n.extent.length - crypto::kTagBytes), out.bytes);
  }
  HF_CHECK(out.bytes.size() == size_);
  out.sha256 = crypto::Sha256(out.bytes);

  nodes_.clear();
  Bytes().swap(text_);  // gives the memory back: a builder may idle until the next save
  size_ = kHeaderBytes;
  return out;
}

SegmentOpener::SegmentOpener(const DomainKeys& keys, const ObjectHeader& header, const StoreId& store,
                             std::string_view name, const TableId& table)
    : aad_(NodeAad(header.Encode(), EncodeBinding({store, name, table.view()}))),
      aead_(ObjectKey(keys, header)) {}

Result<OpenedNode> SegmentOpener::Open(const Address& address, uint32_t offset, ByteView sealed) {
  SetAddress(aad_, address);
  OpenedNode node;
  HF_TRY(node.text, aead_.Open(offset, aad_, sealed));
  Reader r(node.text);
  node.canonical_length = r.U32();
  if (!r.ok() || node.canonical_length > r.remaining()) return Code::kMalformed;
  return node;
}

}  // namespace holdfast::seal
