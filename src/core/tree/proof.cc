#include "core/tree/proof.h"

#include "base/codec.h"
#include "core/tree/patricia_digest.h"

namespace holdfast::tree {
namespace {

constexpr std::string_view kMagic = "HFPROOF1";
constexpr uint16_t kVersion = 1;
enum : uint8_t { kIncluded = 1, kEmpty = 2, kOtherRow = 3, kOtherBranch = 4 };
constexpr size_t kBranchBytes = 2 + 32;

void EncodeEnd(Writer& w, const Proof& p) {
  if (auto* row = std::get_if<Proof::Included>(&p.end)) {
    w.U8(kIncluded).Raw(row->salt).Blob32(row->value);
  } else if (auto* other = std::get_if<Proof::OtherRow>(&p.end)) {
    w.U8(kOtherRow).Blob16(other->key).Raw(other->commitment);
  } else if (auto* branch = std::get_if<Proof::OtherBranch>(&p.end)) {
    w.U8(kOtherBranch).U16(branch->prefix.bits).Blob16(branch->prefix.bytes);
    w.Raw(branch->left).Raw(branch->right);
  } else {
    w.U8(kEmpty);
  }
}

bool DecodeEnd(Reader& r, Proof& p) {
  switch (r.U8()) {
    case kIncluded: {
      Proof::Included row;
      row.salt = r.Hash();
      row.value = ToBytes(r.Blob32(limits::kValueBytesMax));
      p.end = std::move(row);
      return r.ok();
    }
    case kEmpty:
      p.end = Proof::Empty{};
      return r.ok();
    case kOtherRow: {
      Proof::OtherRow other;
      other.key = ToBytes(r.Blob16(limits::kKeyBytesMax));
      other.commitment = r.Hash();
      bool some = !other.key.empty();
      p.end = std::move(other);
      return r.ok() && some;
    }
    case kOtherBranch: {
      Proof::OtherBranch branch;
      branch.prefix.bits = r.U16();
      branch.prefix.bytes = ToBytes(r.Blob16(limits::kKeyBytesMax));
      branch.left = r.Hash();
      branch.right = r.Hash();
      // One encoding: no byte more than the bits need, and nothing in them that is not known.
      const patricia::Prefix& x = branch.prefix;
      bool fits = r.ok() && x.bits < patricia::kBitsMax && x.bytes.size() >= x.bits / 9u &&
                  patricia::FirstBits(x.bytes, x.bits).bytes == x.bytes;
      p.end = std::move(branch);
      return fits;
    }
    default:
      return false;
  }
}

// The digest of what stands at the end of the way; nothing: that is not where the key leads, or no way at
// all.
std::optional<Digest> EndOf(const Proof& p) {
  using namespace patricia;
  // Whatever is there shares the bits that the branches above it asked for, and parts from the key later.
  auto parts_below = [&](ByteView other, uint16_t before) {
    uint16_t bit = FirstDifference(p.key, other);
    return bit < before && (p.path.empty() || bit > p.path.back().bit);
  };
  if (auto* row = std::get_if<Proof::Included>(&p.end))
    return RowDigest(p.key, Commitment(row->salt, crypto::Sha256(row->value)));
  if (auto* other = std::get_if<Proof::OtherRow>(&p.end)) {
    if (!parts_below(other->key, BitsOf(other->key))) return std::nullopt;
    return RowDigest(other->key, other->commitment);
  }
  if (auto* branch = std::get_if<Proof::OtherBranch>(&p.end)) {
    if (!parts_below(branch->prefix.bytes, branch->prefix.bits)) return std::nullopt;
    return BranchDigest(branch->prefix.bytes, branch->prefix.bits, branch->left, branch->right);
  }
  return Digest{};
}

}  // namespace

Bytes Proof::Encode() const {
  Bytes out;
  Writer w(out);
  w.Raw(AsBytes(kMagic)).U16(kVersion).Id(store).Id(table).Num(index).U64(rows).Raw(root).Blob16(key);
  w.U16(static_cast<uint16_t>(path.size()));
  for (const Branch& b : path) w.U16(b.bit).Raw(b.other_side);
  EncodeEnd(w, *this);
  w.Raw(crypto::Sha256(out));
  return out;
}

Result<Proof> Proof::Decode(ByteView untrusted) {
  Reader r(untrusted);
  if (AsText(r.Raw(kMagic.size())) != kMagic) return Code::kBadInput;
  uint16_t version = r.U16();
  if (r.ok() && version != kVersion) return Code::kUnknownFormat;
  Proof p;
  p.store = r.Id<StoreId>();
  p.table = r.Id<TableId>();
  p.index = r.Num<LogIndex>();
  p.rows = r.U64();
  p.root = r.Hash();
  p.key = ToBytes(r.Blob16(limits::kKeyBytesMax));
  uint16_t n = r.U16();
  if (!r.ok() || p.key.empty() || r.remaining() / kBranchBytes < n) return Code::kProofRefused;
  for (uint16_t i = 0; i < n; ++i) {
    Branch b{r.U16(), r.Hash()};
    bool descends = b.bit < patricia::BitsOf(p.key) && (i == 0 || b.bit > p.path.back().bit);
    if (!descends) return Code::kProofRefused;
    p.path.push_back(b);
  }
  if (!DecodeEnd(r, p)) return Code::kProofRefused;
  Digest sum = crypto::Sha256(untrusted.first(r.position()));
  if (r.Hash() != sum || !r.Finish()) return Code::kProofRefused;
  return p;
}

Status Proof::Check() const {
  bool empty = std::holds_alternative<Empty>(end);
  if (empty ? rows != 0 || !path.empty() : path.size() >= rows) return Code::kProofRefused;
  std::optional<Digest> top = EndOf(*this);
  if (!top) return Code::kProofRefused;
  for (size_t i = path.size(); i-- > 0;) {
    const Branch& b = path[i];
    bool right = patricia::BitAt(key, b.bit);
    top = patricia::BranchDigest(key, b.bit, right ? b.other_side : *top, right ? *top : b.other_side);
  }
  return patricia::TableDigest(store, table, rows, *top) == root ? Ok() : Status(Code::kProofRefused);
}

}  // namespace holdfast::tree
