#include "core/store/nodes.h"

#include <algorithm>

#include "seam/copies.h"

namespace holdfast::store {

namespace {

std::unique_ptr<SegmentReader> MakeReader(const TreeVersion& version, const Segment& s,
                                          const seal::DomainKeys& keys) {
  seal::ObjectHeader header{seal::ObjectKind::kSegment, s.epoch, s.salt, s.h};
  std::string name = SegmentName(s.id);
  seal::SegmentOpener opener(keys, header, version.manifest.store, name, s.table);
  return std::make_unique<SegmentReader>(SegmentReader{s.id, std::move(name), std::move(opener)});
}

// Several providers: from the first whose bytes open.
Status OpenFromAny(seam::Storage& storage, const tree::NodeRef& ref, SegmentReader& reader,
                   NodeScratch& scratch) {
  const tree::Hint& at = ref.hint;
  Status read =
      seam::ReadAccepted(storage, reader.name, at.offset, at.length, [&](UntrustedBytes sealed) -> Status {
        if (sealed.size() != at.length) return Code::kTampered;
        scratch.sealed = std::move(sealed);
        return reader.opener.OpenInto(ref.address, at.offset, scratch.sealed.parse(), scratch.node);
      });
  return read || read.code() != Code::kNotFound ? read : Status(Code::kMissing);
}

Status ReadAndOpen(seam::Storage& storage, const tree::NodeRef& ref, SegmentReader& reader,
                   NodeScratch& scratch) {
  if (storage.copies() != nullptr) return OpenFromAny(storage, ref, reader, scratch);
  Status read = storage.GetRangeInto(reader.name, ref.hint.offset, ref.hint.length, scratch.sealed);
  if (!read) return read.code() == Code::kNotFound ? Error(Code::kMissing) : read.error();
  if (scratch.sealed.size() != ref.hint.length) return Code::kTampered;
  return reader.opener.OpenInto(ref.address, ref.hint.offset, scratch.sealed.parse(), scratch.node);
}

}  // namespace

Status OpenNode(seam::Storage& storage, const TreeVersion& version, const tree::NodeRef& ref,
                Openers* openers, NodeScratch& scratch) {
  const tree::Hint& at = ref.hint;
  auto it = version.manifest.segments.find(at.segment);
  if (it == version.manifest.segments.end()) return Code::kTampered;
  const Segment& segment = it->second;
  if (at.offset < seal::kHeaderBytes || static_cast<uint64_t>(at.offset) + at.length > segment.size)
    return Code::kTampered;
  std::unique_ptr<SegmentReader> reader;
  if (openers != nullptr) reader = openers->Take(segment);
  if (reader == nullptr) {
    auto keys = version.keys.find(segment.table);
    if (keys == version.keys.end()) return Code::kNoKey;
    reader = MakeReader(version, segment, keys->second);
  }
  Status opened = ReadAndOpen(storage, ref, *reader, scratch);
  if (openers != nullptr) openers->Give(segment, std::move(reader));
  return opened;
}

Result<tree::NodePtr> LoadNode(seam::Storage& storage, const TreeVersion& version, const tree::NodeRef& ref,
                               bool rehash, Openers* openers) {
  NodeScratch scratch;
  HF_TRY_VOID(OpenNode(storage, version, ref, openers, scratch));
  const seal::OpenedNode& node = scratch.node;
  if (rehash) {
    const TableId& table = version.manifest.segments.at(ref.hint.segment).table;
    if (seal::NodeAddress(version.keys.at(table), node.canonical()) != ref.address) return Code::kTampered;
  }
  return tree::Node::Decode(node.canonical(), node.tail());
}

Openers::~Openers() {
  for (auto& place : places_) delete place.load(std::memory_order_acquire);
}

std::unique_ptr<SegmentReader> Openers::Take(const Segment& segment) {
  auto& place = places_[segment.number % kMax];
  std::unique_ptr<SegmentReader> reader(place.exchange(nullptr, std::memory_order_acq_rel));
  if (reader != nullptr && reader->segment != segment.id) reader.reset();  // an older one's
  return reader;
}

void Openers::Give(const Segment& segment, std::unique_ptr<SegmentReader> reader) {
  delete places_[segment.number % kMax].exchange(reader.release(), std::memory_order_acq_rel);
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
