#include "core/store/public_digests.h"

namespace holdfast::store {

using tree::NodeType;
namespace patricia = tree::patricia;

PublicDigests::PublicDigests(const Table& table, const seal::DomainKeys& keys)
    : blinding_(patricia::Blinding::Of(keys)) {
  if (table.descriptor.layout == tree::Layout::kPatricia && !table.root.empty)
    claims_[PlaceOf(table.root.ref)] = {table.root.digest, 0};
}

bool PublicDigests::Holds(const tree::NodeRef& ref, const tree::Node& node) {
  Claim claim;
  auto it = claims_.find(PlaceOf(ref));
  bool claimed = it != claims_.end();
  if (claimed) {
    claim = it->second;
    claims_.erase(it);
  }
  switch (node.type()) {
    case NodeType::kPatriciaLeaf:
      return claimed && LeafHolds(node, claim.digest);
    case NodeType::kPatriciaInner:
      return claimed && InnerHolds(node, claim.digest);
    case NodeType::kChunk:
    case NodeType::kChunkList:
      if (claimed) {
        blob_ = claim;
        shown_ = 0;
        (void)hash_.Finish();
      }
      return node.type() == NodeType::kChunkList || ChunkHolds(node.chunk());
    case NodeType::kLeaf:
    case NodeType::kInner:
      break;
  }
  return true;
}

bool PublicDigests::LeafHolds(const tree::Node& leaf, const Digest& digest) {
  for (size_t i = 0; i < leaf.count(); ++i) {
    tree::StoredValue v = leaf.value(i);
    if (v.is_blob) claims_[PlaceOf(v.blob)] = {patricia::ValueSha256(leaf, i), v.length};
  }
  return patricia::Ends::OfLeaf(leaf, blinding_).All() == digest;
}

bool PublicDigests::InnerHolds(const tree::Node& node, const Digest& digest) {
  patricia::Inner inner(node);
  for (size_t i = 0; i < node.count(); ++i) claims_[PlaceOf(node.child(i))] = {inner.digest(i), 0};
  return patricia::Ends(inner).All() == digest;
}

// The chunks of a blob come one behind the other; of a B-tree's nothing is claimed.
bool PublicDigests::ChunkHolds(ByteView bytes) {
  if (blob_.digest == Digest{}) return true;
  hash_.Update(bytes);
  shown_ += bytes.size();
  if (shown_ < blob_.length) return true;
  Claim blob = blob_;
  blob_ = {};
  return hash_.Finish() == blob.digest;
}

}  // namespace holdfast::store
