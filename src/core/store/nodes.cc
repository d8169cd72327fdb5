#include "core/store/nodes.h"

#include <algorithm>

namespace holdfast::store {

Result<tree::NodePtr> LoadNode(seam::Storage& storage, const TreeVersion& version, const tree::NodeRef& ref,
                               bool rehash, OpenerLender* openers) {
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
  std::unique_ptr<seal::SegmentOpener> opener;
  if (openers != nullptr) opener = openers->Take(segment.id);
  if (opener == nullptr) {
    seal::ObjectHeader header{seal::ObjectKind::kSegment, segment.epoch, segment.salt, segment.h};
    opener = std::make_unique<seal::SegmentOpener>(keys->second, header, version.manifest.store, name,
                                                   segment.table);
  }
  auto opened = opener->Open(ref.address, at.offset, sealed->parse());
  if (openers != nullptr) openers->Give(segment.id, std::move(opener));
  HF_TRY(seal::OpenedNode node, std::move(opened));
  if (rehash && seal::NodeAddress(keys->second, node.canonical()) != ref.address) return Code::kTampered;
  return tree::Node::Decode(node.canonical(), node.tail());
}

std::unique_ptr<seal::SegmentOpener> Openers::Take(const SegmentId& segment) {
  auto it = idle_.find(segment);
  if (it == idle_.end()) return nullptr;
  std::unique_ptr<seal::SegmentOpener> opener = std::move(it->second);
  idle_.erase(it);
  return opener;
}

void Openers::Give(const SegmentId& segment, std::unique_ptr<seal::SegmentOpener> opener) {
  if (idle_.size() >= kMax) idle_.erase(idle_.begin());  // ids begin with the save: the oldest
  idle_.emplace(segment, std::move(opener));
}

namespace {

constexpr size_t kTableMin = 64;

uint64_t PlaceOf(const tree::Hint& h) { return static_cast<uint64_t>(h.segment) << 32 | h.offset; }

}  // namespace

size_t NodeCache::SlotOf(uint64_t place) const {
  size_t mask = table_.size() - 1;
  size_t slot = (place * 0x9E3779B97F4A7C15u >> 24) & mask;  // multiplicative hashing, by its middle bits
  while (table_[slot].node != nullptr && table_[slot].place != place) slot = (slot + 1) & mask;
  return slot;
}

tree::NodePtr NodeCache::Find(const tree::Hint& hint) {
  if (table_.empty()) return nullptr;
  Entry& e = table_[SlotOf(PlaceOf(hint))];
  if (e.node != nullptr) e.node->Touch();
  return e.node;
}

bool NodeCache::Insert(const tree::Hint& hint, tree::NodePtr node) {
  if ((count_ + 1) * 8 > table_.size() * 7) Grow();
  uint64_t place = PlaceOf(hint);
  size_t slot = SlotOf(place);
  if (table_[slot].node != nullptr) return false;
  uint32_t bytes = static_cast<uint32_t>(node->memory_bytes());
  table_[slot] = {place, std::move(node), bytes};
  ++count_;
  bytes_ += bytes;
  while (memory_bytes() > bytes_max_ && count_ > 1) Evict();
  return true;
}

void NodeCache::Clear() {
  for (Entry& e : table_) {
    if (e.node != nullptr && removed_) removed_(std::move(e.node), e.bytes);
  }
  std::vector<Entry>().swap(table_);
  count_ = hand_ = bytes_ = 0;
}

void NodeCache::Grow() {
  std::vector<Entry> old(std::max(kTableMin, 2 * table_.size()));
  old.swap(table_);
  hand_ = 0;
  for (Entry& e : old) {
    if (e.node != nullptr) table_[SlotOf(e.place)] = std::move(e);
  }
}

// What stands behind it in its run moves up, so that no run has a hole.
void NodeCache::Remove(size_t slot) {
  size_t mask = table_.size() - 1;
  bytes_ -= table_[slot].bytes;
  --count_;
  tree::NodePtr gone = std::move(table_[slot].node);
  if (removed_) removed_(std::move(gone), table_[slot].bytes);
  for (size_t next = (slot + 1) & mask; table_[next].node != nullptr; next = (next + 1) & mask) {
    Entry moved = std::move(table_[next]);
    table_[next].node.reset();
    table_[SlotOf(moved.place)] = std::move(moved);
  }
}

void NodeCache::Evict() {
  for (;; hand_ = (hand_ + 1) & (table_.size() - 1)) {
    Entry& e = table_[hand_];
    if (e.node == nullptr) continue;
    if (!e.node->TakeTouch()) return Remove(hand_);
  }
}

}  // namespace holdfast::store
