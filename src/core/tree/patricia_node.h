// Nodes of the Patricia layout: a binary radix tree with path compression, cut into nodes where the set of
// keys says so and nothing else does. Source: docs/format.md 5, docs/decisions/0011.
//
//        branch at bit 3            the tree: a branch for each bit in which keys part, a row at each end
//        /            \.
//     branch 4      branch 11       inner node: the branches of one digit, below one prefix, that have more
//     /     \       /     \.                    than leaf_rows_max rows below them
//   rows   rows  inner   rows       leaf:       the largest parts with at most leaf_rows_max rows
//
// Nothing of a table's history is in the canonical bytes: births stand in the tail, with the hints.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_NODE_H_
#define HOLDFAST_CORE_TREE_PATRICIA_NODE_H_

#include <vector>

#include "core/tree/descriptor.h"
#include "core/tree/node.h"
#include "core/tree/patricia_key.h"

namespace holdfast {
class Reader;
}

namespace holdfast::tree::patricia {

inline constexpr size_t kLeafRowsMax = kPatriciaLeafRowsMax;
inline constexpr size_t kChildrenMax = kPatriciaChildrenMax;
inline constexpr size_t kTailEntryBytes = 12 + 8;        // hint, birth
inline constexpr size_t kBlobHeadBytes = 1 + 8 + 32;     // form, length, SHA-256: then the address
inline constexpr size_t kPathNodesMax = kDigitsMax + 1;  // inner nodes of ever later digits, and a leaf

inline bool IsLeaf(const Node& n) { return n.type() == NodeType::kPatriciaLeaf; }
inline bool IsInner(const Node& n) { return n.type() == NodeType::kPatriciaInner; }
inline bool IsNode(const Node& n) { return IsLeaf(n) || IsInner(n); }

// Where two neighbouring children of an inner node part: a branch within the digit, as the bits that lead to
// it behind a 1. 1 = the digit's first bit.
using Parting = uint8_t;
inline uint16_t PartingBits(Parting code) { return static_cast<uint16_t>(std::bit_width(code) - 1); }

// For Node::Decode: checks everything behind the head, fills slots. False: malformed.
bool ReadLeaf(Reader& r, Node::Parts& p);
bool ReadInner(Reader& r, Node::Parts& p);

// Of a leaf's row whose value is a blob.
Digest ValueSha256(const Node& leaf, size_t i);

// What an inner node holds besides children and their rows. A view: the node stays.
class Inner {
 public:
  explicit Inner(const Node& node);  // REQUIRES: IsInner(node)
  uint16_t digit() const { return digit_; }
  ByteView prefix() const { return prefix_; }  // all bits before the digit
  size_t count() const { return node_.count(); }
  Parting code(size_t i) const;  // between children i - 1 and i; i >= 1
  uint16_t bit(size_t i) const { return static_cast<uint16_t>(DigitStart(digit_) + PartingBits(code(i))); }
  Digest digest(size_t i) const;  // public digest of child i
  // What the node says of child i's keys: all bits down to the branch above it, and the one behind.
  Prefix known(size_t i) const;
  // The one child whose keys can be alike with this one as far as the node knows.
  size_t ChildFor(ByteView key) const;
  // The branch that stands above children `first` to `last`: between `answer - 1` and `answer`.
  size_t Top(size_t first, size_t last) const;

 private:
  const uint8_t* entry(size_t i) const { return entries_ + i * kEntryBytes; }
  static constexpr size_t kEntryBytes = 1 + seal::kAddressBytes + 8 + 32;
  const Node& node_;
  uint16_t digit_;
  ByteView prefix_;
  const uint8_t* entries_;
};

// Canonical encodings, for writers.
struct Row {
  Bytes key;
  bool is_blob = false;
  Bytes inline_value;
  uint64_t length = 0;  // of a blob
  Digest sha256{};      // of a blob's value
  NodeRef blob;
  static Row Of(const Node& leaf, size_t i);
};
struct Child {
  Parting code = 0;  // 0 for the first
  NodeRef ref;
  uint64_t rows = 0;
  Digest digest{};
};
EncodedNode EncodeLeaf(const std::vector<Row>& rows);
EncodedNode EncodeInner(uint16_t digit, ByteView prefix, const std::vector<Child>& children);

}  // namespace holdfast::tree::patricia

namespace holdfast::tree {

// The tail of a node of any kind that is written again: its references in order, with other hints.
Bytes EncodeTail(const Node& node, const std::vector<NodeRef>& references);

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_PATRICIA_NODE_H_
