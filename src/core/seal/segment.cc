#include "core/seal/segment.h"

#include <utility>

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

Address NodeAddress(const DomainKeys& keys, ByteView canonical) { return NodeAddresses(keys).Of(canonical); }

Address NodeAddresses::Of(ByteView canonical) {
  mac_.Update(canonical);
  Digest d = mac_.Finish();
  Address a;
  a[0] = kAddressAlgorithm;
  std::memcpy(a.data() + 1, d.data(), d.size());
  return a;
}

void SegmentBuilder::Reuse(Bytes memory) {
  if (memory.capacity() > object_.capacity() && nodes_.empty()) object_ = std::move(memory);
  if (nodes_.empty()) object_.clear();
}

Extent SegmentBuilder::Add(const Address& address, ByteView canonical, ByteView hints) {
  size_t bare = kLengthBytes + canonical.size() + hints.size();
  size_t text = (bare + kTextUnitBytes - 1) / kTextUnitBytes * kTextUnitBytes;
  HF_CHECK(size_ + text + crypto::kTagBytes <= limits::kSegmentBytesMax);
  Node node{.address = address,
            .extent = {static_cast<uint32_t>(size_), static_cast<uint32_t>(text + crypto::kTagBytes)},
            .canonical_length = static_cast<uint32_t>(canonical.size()),
            .tail_length = static_cast<uint32_t>(text - kLengthBytes - canonical.size())};
  if (nodes_.empty()) object_.assign(kHeaderBytes, 0);
  Writer(object_).U32(node.canonical_length).Raw(canonical).Raw(hints);
  size_ += node.extent.length;
  object_.resize(size_);
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
  if (nodes_.empty()) object_.assign(kHeaderBytes, 0);

  // The address stands for the canonical text: it is a keyed hash of it. Hints and padding are hashed as they
  // are.
  crypto::HmacStream mac = StartObjectHash(keys, out.header, bound);
  MutableByteView object(object_);
  Bytes place;
  for (const Node& n : nodes_) {
    place.clear();
    Writer(place).U32(n.extent.offset).U32(n.extent.length).Raw(n.address).U32(n.tail_length);
    mac.Update(place);
    mac.Update(object.subspan(n.extent.offset + kLengthBytes + n.canonical_length, n.tail_length));
  }
  out.header.h = mac.Finish();

  Bytes header = out.header.Encode();
  HF_CHECK(object_.size() == size_ && header.size() == kHeaderBytes);
  std::copy(header.begin(), header.end(), object_.begin());
  Bytes aad = NodeAad(header, bound);
  crypto::AesGcm aead(ObjectKey(keys, out.header));
  for (const Node& n : nodes_) {
    SetAddress(aad, n.address);
    aead.SealInPlace(n.extent.offset, aad, object.subspan(n.extent.offset, n.extent.length));
  }
  out.bytes = std::exchange(object_, Bytes());
  out.sha256 = crypto::Sha256(out.bytes);
  nodes_.clear();
  size_ = kHeaderBytes;
  return out;
}

SegmentOpener::SegmentOpener(const DomainKeys& keys, const ObjectHeader& header, const StoreId& store,
                             std::string_view name, const TableId& table)
    : aad_(NodeAad(header.Encode(), EncodeBinding({store, name, table.view()}))),
      aead_(ObjectKey(keys, header)) {}

Result<OpenedNode> SegmentOpener::Open(const Address& address, uint32_t offset, ByteView sealed) {
  OpenedNode node;
  HF_TRY_VOID(OpenInto(address, offset, sealed, node));
  return node;
}

Status SegmentOpener::OpenInto(const Address& address, uint32_t offset, ByteView sealed, OpenedNode& node) {
  SetAddress(aad_, address);
  HF_TRY_VOID(aead_.OpenInto(offset, aad_, sealed, node.text));
  Reader r(node.text);
  node.canonical_length = r.U32();
  if (!r.ok() || node.canonical_length > r.remaining()) return Code::kMalformed;
  return Ok();
}

}  // namespace holdfast::seal
