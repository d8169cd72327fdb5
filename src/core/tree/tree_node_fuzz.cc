// Node::Decode on hostile bytes: first byte pair = length of the tail, then the tail, then the canonical
// bytes. What decodes must encode to the same bytes: a node has one encoding.
#include "base/codec.h"
#include "core/tree/node.h"
#include "core/tree/patricia_digest.h"

using namespace holdfast;
using namespace holdfast::tree;

namespace {

EncodedNode PatriciaAgain(const Node& n) {
  if (patricia::IsLeaf(n)) {
    std::vector<patricia::Row> rows;
    for (size_t i = 0; i < n.count(); ++i) rows.push_back(patricia::Row::Of(n, i));
    return patricia::EncodeLeaf(rows);
  }
  patricia::Inner inner(n);
  std::vector<patricia::Child> children;
  for (size_t i = 0; i < n.count(); ++i)
    children.push_back(
        {i == 0 ? patricia::Parting{0} : inner.code(i), n.child(i), n.rows(i), inner.digest(i)});
  return patricia::EncodeInner(inner.digit(), inner.prefix(), children);
}

// What is known of the children ascends, and each is found by it.
void CheckPatriciaInner(const Node& n) {
  patricia::Inner inner(n);
  patricia::Prefix before;
  for (size_t i = 0; i < n.count(); ++i) {
    patricia::Prefix known = inner.known(i);
    HF_CHECK(known.bits > patricia::DigitStart(inner.digit()));
    HF_CHECK(inner.ChildFor(known.bytes) == i);
    if (i > 0) HF_CHECK(patricia::FirstDifference(before.bytes, known.bytes) == inner.bit(i));
    before = known;
  }
  (void)patricia::Ends(inner).All();
}

EncodedNode Again(const Node& n) {
  if (patricia::IsNode(n)) return PatriciaAgain(n);
  if (n.type() == NodeType::kChunk) return EncodeChunk(n.chunk());
  if (n.type() == NodeType::kChunkList) return EncodeChunkList(n.References());
  if (n.type() == NodeType::kLeaf) {
    std::vector<LeafRow> rows;
    for (size_t i = 0; i < n.count(); ++i) rows.push_back({n.key(i), n.value(i)});
    return EncodeLeaf(rows);
  }
  std::vector<InnerChild> children;
  for (size_t i = 0; i < n.count(); ++i) children.push_back({n.key(i), n.child(i), n.rows(i)});
  return EncodeInner(n.level(), children);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  Reader r({bytes, size});
  ByteView tail = r.Blob16();
  if (!r.ok()) return 0;
  ByteView canonical = r.Raw(r.remaining());
  ByteView value;
  (void)FindInLeaf(canonical, tail, value);  // whatever the bytes are
  auto node = Node::Decode(canonical, tail);
  if (!node) return 0;
  const Node& n = **node;
  EncodedNode again = Again(n);
  HF_CHECK(Equal(again.canonical, canonical));
  HF_CHECK(again.hints.size() <= tail.size() && Equal(again.hints, tail.first(again.hints.size())));
  HF_CHECK(n.memory_bytes() >= size / 2);
  HF_CHECK(Equal(EncodeTail(n, n.References()), again.hints));
  if (patricia::IsInner(n)) CheckPatriciaInner(n);
  if (n.type() == NodeType::kLeaf || n.type() == NodeType::kInner) {
    for (size_t i = 0; i < n.count(); ++i) HF_CHECK(n.LowerBound(n.key(i)) == i && n.ChildFor(n.key(i)) == i);
  }
  if (n.type() == NodeType::kLeaf) {
    for (size_t i = 0; i < n.count(); ++i) {
      InLeaf found = FindInLeaf(canonical, n.key(i), value);
      HF_CHECK(found == (n.inline_value(i) ? InLeaf::kFound : InLeaf::kElsewhere));
      if (found == InLeaf::kFound) HF_CHECK(Equal(value, *n.inline_value(i)));
    }
  }
  if (patricia::IsLeaf(n)) {
    for (size_t i = 0; i < n.count(); ++i) HF_CHECK(n.LowerBound(n.key(i)) == i);
    patricia::Blinding blinding(tail);
    (void)patricia::Ends::OfLeaf(n, blinding).All();
  }
  return 0;
}
