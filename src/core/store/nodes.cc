#include "core/store/nodes.h"

namespace holdfast::store {

Result<tree::NodePtr> LoadNode(seam::Storage& storage, const TreeVersion& version, const tree::NodeRef& ref,
                               bool rehash) {
  const tree::Hint& at = ref.hint;
  auto it = version.manifest.segments.find(at.segment);
  if (it == version.manifest.segments.end()) return Code::kTampered;
  const Segment& segment = it->second;
  if (at.offset < seal::kHeaderBytes || static_cast<uint64_t>(at.offset) + at.length > segment.size)
    return Code::kTampered;
  auto keys = version.keys.find(segment.table);
  if (keys == version.keys.end()) return Code::kNoKey;

  std::string name = SegmentName(segment.id);
  auto sealed = storage.GetRange(name, at.offset, at.length);
  if (!sealed) return sealed.code() == Code::kNotFound ? Error(Code::kMissing) : sealed.error();
  if (sealed->size() != at.length) return Code::kTampered;
  seal::ObjectHeader header{seal::ObjectKind::kSegment, segment.epoch, segment.salt, segment.h};
  seal::SegmentOpener opener(keys->second, header, version.manifest.store, name, segment.table);
  HF_TRY(seal::OpenedNode node, opener.Open(ref.address, at.offset, sealed->parse()));
  if (rehash && seal::NodeAddress(keys->second, node.canonical()) != ref.address) return Code::kTampered;
  return tree::Node::Decode(node.canonical(), node.tail());
}

namespace {
uint64_t PlaceOf(const tree::Hint& h) { return static_cast<uint64_t>(h.segment) << 32 | h.offset; }
constexpr size_t kItemOverheadBytes = 96;  // list node, hash node, control block
}  // namespace

tree::NodePtr NodeCache::Find(const tree::Hint& hint) {
  auto it = by_place_.find(PlaceOf(hint));
  if (it == by_place_.end()) return nullptr;
  items_.splice(items_.begin(), items_, it->second);
  return it->second->node;
}

void NodeCache::Insert(const tree::Hint& hint, tree::NodePtr node) {
  uint64_t place = PlaceOf(hint);
  if (by_place_.contains(place)) return;
  size_t bytes = node->memory_bytes() + kItemOverheadBytes;
  items_.push_front({place, std::move(node), bytes});
  by_place_[place] = items_.begin();
  bytes_ += bytes;
  while (bytes_ > bytes_max_ && items_.size() > 1) {
    Item& last = items_.back();
    bytes_ -= last.bytes;
    by_place_.erase(last.place);
    items_.pop_back();
  }
}

}  // namespace holdfast::store
