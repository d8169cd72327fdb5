#include "core/tree/patricia_node.h"

#include "base/codec.h"
#include "core/tree/key_head_internal.h"

namespace holdfast::tree::patricia {
namespace {

constexpr uint8_t kAlgorithm = 1;
constexpr uint8_t kInlineForm = 0, kBlobForm = 1;
constexpr size_t kHeadBytes = 4, kAddress = seal::kAddressBytes;

static_assert(kHeadBytes + kLeafRowsMax * (2 + limits::kKeyBytesMax + 1 + 2 + limits::kInlineValueBytesMax) <=
              limits::kLeafBytesMax);

bool ReadAddress(Reader& r) {
  ByteView a = r.Raw(kAddress);
  return a.size() == kAddress && a[0] == kAlgorithm;
}

uint16_t WidthOf(uint16_t digit) { return digit % 2 == 0 ? 5 : 4; }  // bits

// Whether the bits of `longer` begin with those of `shorter` and then `bit`.
bool Leads(Parting shorter, bool bit, Parting longer) {
  int below = PartingBits(longer) - PartingBits(shorter);
  return below > 0 && longer >> (below - 1) == (shorter << 1 | (bit ? 1 : 0));
}

// Two branches that follow each other in key order: one lies below the other, on the right side of it.
bool Follows(Parting before, Parting code) { return Leads(before, true, code) || Leads(code, false, before); }

bool PartingFits(Parting code, uint16_t digit) {
  if (code == 0 || PartingBits(code) >= WidthOf(digit)) return false;
  if (digit % 2 == 1 || code == 1) return digit != 0 || code != 1;  // no key is empty
  return (code >> (PartingBits(code) - 1)) == 3;                    // where a key has ended nothing parts
}

bool ReadPrefix(Reader& r, uint16_t digit) {
  ByteView prefix = r.Blob16(limits::kKeyBytesMax);
  if (!r.ok() || digit >= kDigitsMax || prefix.size() != (digit + 1u) / 2) return false;
  return digit % 2 == 0 || (prefix.back() & 0x0F) == 0;
}

void PutTailEntry(Writer& w, const NodeRef& ref) {
  w.U32(ref.hint.segment).U32(ref.hint.offset).U32(ref.hint.length).Num(ref.birth);
}

}  // namespace

bool ReadLeaf(Reader& r, Node::Parts& p) {
  if (p.level != 0 || p.count == 0 || p.count > kLeafRowsMax) return false;
  ByteView before;
  for (size_t i = 0; i < p.count; ++i) {
    ByteView key = r.Blob16(limits::kKeyBytesMax);
    if (key.empty() || (i > 0 && Compare(before, key) >= 0)) return false;
    before = key;
    p.Set(i, KeyHead(key), r.position() - key.size(), key.size(), p.references);
    uint8_t form = r.U8();
    if (form == kInlineForm) {
      r.Blob16(limits::kInlineValueBytesMax);
    } else if (form == kBlobForm) {
      if (r.U64() > limits::kValueBytesMax) return false;
      r.Hash();
      if (!ReadAddress(r)) return false;
      ++p.references;
    } else {
      return false;
    }
    if (!r.ok()) return false;
  }
  p.rows = p.count;
  return true;
}

bool ReadInner(Reader& r, Node::Parts& p) {
  if (p.level != 0 || p.count < 2 || p.count > kChildrenMax) return false;
  uint16_t digit = r.U16();
  if (!ReadPrefix(r, digit)) return false;
  Parting before = 0;
  for (size_t i = 0; i < p.count; ++i) {
    Parting code = r.U8();
    if (i == 0 ? code != 0 : !PartingFits(code, digit)) return false;
    if (i > 1 && !Follows(before, code)) return false;
    before = code;
    p.Set(i, 0, r.position(), 0, static_cast<uint16_t>(i));
    if (!ReadAddress(r)) return false;
    uint64_t rows = r.U64();
    r.Hash();
    if (!r.ok() || rows == 0 || rows > UINT64_MAX - p.rows) return false;
    p.rows += rows;
    bool ended = i == 1 && digit % 2 == 0 && code == 1;  // child 0 is the key that ends here, alone
    if (ended && p.rows - rows != 1) return false;
  }
  p.references = p.count;
  return true;
}

Digest ValueSha256(const Node& leaf, size_t i) {
  HF_CHECK(IsLeaf(leaf));
  ByteView key = leaf.key(i);
  Digest d;
  std::memcpy(d.data(), key.data() + key.size() + 1 + 8, d.size());
  return d;
}

Inner::Inner(const Node& node) : node_(node) {
  HF_CHECK(IsInner(node));
  ByteView text = node.canonical();
  digit_ = LoadLittle<uint16_t>(text.data() + kHeadBytes);
  size_t prefix = LoadLittle<uint16_t>(text.data() + kHeadBytes + 2);
  prefix_ = text.subspan(kHeadBytes + 4, prefix);
  entries_ = text.data() + kHeadBytes + 4 + prefix;
}

Parting Inner::code(size_t i) const {
  HF_CHECK(i >= 1 && i < count());
  return *entry(i);
}

Digest Inner::digest(size_t i) const {
  HF_CHECK(i < count());
  Digest d;
  std::memcpy(d.data(), entry(i) + 1 + kAddress + 8, d.size());
  return d;
}

Prefix Inner::known(size_t i) const {
  // Of the branches on both sides the deeper is the parent.
  Parting left = i == 0 ? Parting{0} : code(i), right = i + 1 == count() ? Parting{0} : code(i + 1);
  bool from_left = right == 0 || (left != 0 && PartingBits(left) > PartingBits(right));
  unsigned path = from_left ? left << 1 | 1u : right << 1;
  unsigned n = PartingBits(from_left ? left : right) + 1u, bits = path & ((1u << n) - 1);
  Prefix p{ToBytes(prefix_), static_cast<uint16_t>(DigitStart(digit_) + n)};
  if (digit_ % 2 == 1) {
    p.bytes.back() = static_cast<uint8_t>(p.bytes.back() | bits << (4 - n));
  } else if ((bits >> (n - 1)) != 0) {  // not the end of a key
    p.bytes.push_back(static_cast<uint8_t>((bits & ((1u << (n - 1)) - 1)) << (9 - n)));
  }
  return p;
}

size_t Inner::Top(size_t first, size_t last) const {
  HF_CHECK(first < last);
  size_t top = first + 1;
  for (size_t i = top + 1; i <= last; ++i) {
    if (code(i) < code(top)) top = i;  // fewer bits is a smaller number
  }
  return top;
}

size_t Inner::ChildFor(ByteView key) const {
  size_t first = 0, last = count() - 1;
  while (first < last) {
    size_t top = Top(first, last);
    if (BitAt(key, bit(top))) {
      first = top;
    } else {
      last = top - 1;
    }
  }
  return first;
}

Row Row::Of(const Node& leaf, size_t i) {
  StoredValue v = leaf.value(i);
  Row row{.key = ToBytes(leaf.key(i)),
          .is_blob = v.is_blob,
          .inline_value = ToBytes(v.inline_bytes),
          .length = v.length,
          .blob = v.blob};
  if (v.is_blob) row.sha256 = patricia::ValueSha256(leaf, i);
  return row;
}

EncodedNode EncodeLeaf(const std::vector<Row>& rows) {
  EncodedNode e;
  Writer w(e.canonical), tail(e.hints);
  w.U8(static_cast<uint8_t>(NodeType::kPatriciaLeaf)).U8(0).U16(static_cast<uint16_t>(rows.size()));
  for (const Row& row : rows) {
    w.Blob16(row.key);
    if (!row.is_blob) {
      w.U8(kInlineForm).Blob16(row.inline_value);
      continue;
    }
    w.U8(kBlobForm).U64(row.length).Raw(row.sha256).Raw(row.blob.address);
    PutTailEntry(tail, row.blob);
  }
  return e;
}

EncodedNode EncodeInner(uint16_t digit, ByteView prefix, const std::vector<Child>& children) {
  EncodedNode e;
  Writer w(e.canonical), tail(e.hints);
  w.U8(static_cast<uint8_t>(NodeType::kPatriciaInner)).U8(0).U16(static_cast<uint16_t>(children.size()));
  w.U16(digit).Blob16(prefix);
  for (const Child& c : children) {
    w.U8(c.code).Raw(c.ref.address).U64(c.rows).Raw(c.digest);
    PutTailEntry(tail, c.ref);
  }
  return e;
}

}  // namespace holdfast::tree::patricia

namespace holdfast::tree {

Bytes EncodeTail(const Node& node, const std::vector<NodeRef>& references) {
  Bytes tail;
  Writer w(tail);
  for (const NodeRef& r : references) {
    w.U32(r.hint.segment).U32(r.hint.offset).U32(r.hint.length);
    if (patricia::IsNode(node)) w.Num(r.birth);
  }
  return tail;
}

}  // namespace holdfast::tree
