#include "core/tree/patricia_digest.h"

#include "base/codec.h"

namespace holdfast::tree::patricia {
namespace {

using namespace std::string_view_literals;

constexpr auto kValueLabel = "holdfast value\0"sv;
constexpr auto kRowLabel = "holdfast row\0"sv;
constexpr auto kBranchLabel = "holdfast branch\0"sv;
constexpr auto kTableLabel = "holdfast table\0"sv;
constexpr auto kBlindingLabel = "holdfast blinding"sv;

std::array<uint8_t, 2> Size16(ByteView b) {
  std::array<uint8_t, 2> size;
  StoreLittle(size.data(), static_cast<uint16_t>(b.size()));
  return size;
}

Digest ValueSha256Of(const Node& leaf, size_t i, const StoredValue& v) {
  return v.is_blob ? ValueSha256(leaf, i) : crypto::Sha256(v.inline_bytes);
}

}  // namespace

Digest Commitment(const Digest& salt, const Digest& value_sha256) {
  return crypto::Sha256({AsBytes(kValueLabel), salt, value_sha256});
}

Digest RowDigest(ByteView key, const Digest& commitment) {
  return crypto::Sha256({AsBytes(kRowLabel), Size16(key), key, commitment});
}

Digest BranchDigest(ByteView key, uint16_t bit, const Digest& left, const Digest& right) {
  Bytes text;
  Prefix prefix = FirstBits(key, bit);
  Writer(text).Raw(AsBytes(kBranchLabel)).U16(bit).Blob16(prefix.bytes).Raw(left).Raw(right);
  return crypto::Sha256(text);
}

Digest TableDigest(const StoreId& store, const TableId& table, uint64_t rows, const Digest& top) {
  Bytes text;
  Writer(text).Raw(AsBytes(kTableLabel)).Id(store).Id(table).U64(rows).Raw(top);
  return crypto::Sha256(text);
}

Blinding Blinding::Of(const seal::DomainKeys& keys) {
  return Blinding(crypto::DeriveKey(keys.address, kBlindingLabel).view());
}

Digest Blinding::Salt(ByteView key, const Digest& value_sha256) {
  mac_.Update(AsBytes("row"sv));
  mac_.Update(Size16(key));
  mac_.Update(key);
  mac_.Update(value_sha256);
  return mac_.Finish();
}

Digest Blinding::RowOf(ByteView key, const Digest& value_sha256) {
  return RowDigest(key, Commitment(Salt(key, value_sha256), value_sha256));
}

void Ends::Add(ByteView key, const Digest& digest) {
  uint16_t bit = ends_.empty() ? uint16_t{0} : FirstDifference(ends_.back().key, key);
  ends_.push_back({key, bit, digest});
}

Ends Ends::OfLeaf(const Node& leaf, Blinding& blinding) {
  Ends e;
  for (size_t i = 0; i < leaf.count(); ++i)
    e.Add(leaf.key(i), blinding.RowOf(leaf.key(i), ValueSha256Of(leaf, i, leaf.value(i))));
  return e;
}

Ends Ends::OfRows(const std::vector<Row>& rows, Blinding& blinding) {
  Ends e;
  for (const Row& r : rows)
    e.Add(r.key, blinding.RowOf(r.key, r.is_blob ? r.sha256 : crypto::Sha256(r.inline_value)));
  return e;
}

Ends::Ends(const Inner& inner) {
  owned_.reserve(inner.count());  // the views below stay
  for (size_t i = 0; i < inner.count(); ++i) {
    owned_.push_back(inner.known(i).bytes);
    ends_.push_back({owned_.back(), i == 0 ? uint16_t{0} : inner.bit(i), inner.digest(i)});
  }
}

size_t Ends::Top(size_t first, size_t last) const {
  HF_CHECK(first < last && last < ends_.size());
  size_t top = first + 1;
  for (size_t i = top + 1; i <= last; ++i) {
    if (ends_[i].bit < ends_[top].bit) top = i;
  }
  return top;
}

Digest Ends::Of(size_t first, size_t last) const {
  if (first == last) return ends_[first].digest;
  size_t top = Top(first, last);
  return BranchDigest(ends_[top].key, ends_[top].bit, Of(first, top - 1), Of(top, last));
}

}  // namespace holdfast::tree::patricia
