#include "core/store/segment_sink.h"

#include <algorithm>

namespace holdfast::store {
namespace {

bool HoldsBlob(const tree::EncodedNode& node) {
  auto type = static_cast<tree::NodeType>(node.canonical[0]);
  return type == tree::NodeType::kChunk || type == tree::NodeType::kChunkList;
}

}  // namespace

SegmentSink::SegmentSink(const SaveInput& input, NodeAccess& nodes, SaveNumber save, const Table& table,
                         const seal::DomainKeys& keys, Numbers numbers, bool large)
    : input_(input),
      nodes_(nodes),
      save_(save),
      table_(table),
      keys_(keys),
      addresses_(keys),
      builder_(table.id),
      number_(numbers.first),
      step_(numbers.step) {
  if (table.descriptor.values_in) shared_.emplace(keys);
  Bytes memory;
  if (!input.memory.empty()) {
    memory = std::move(input.memory.back());
    input.memory.pop_back();
  }
  // Not by doubling, each time into new pages.
  if (large) memory.reserve(input.placement.segment_bytes + limits::kNodeBytesMax);
  builder_.Reuse(std::move(memory));
}

tree::NodeRef SegmentSink::EmitFor(const tree::EncodedNode& node, LogIndex first, LogIndex last) {
  tree::NodeRef ref;
  ref.address = addresses_.Of(node.canonical);
  ref.birth = input_.point.position.index;
  seal::Extent at = builder_.Add(ref.address, node.canonical, node.hints);
  ref.hint = {number_, at.offset, at.length};
  spans_.Add(first, last, at.length);
  blobs_ = blobs_ || HoldsBlob(node);
  nodes_.Keep(ref.hint, node);
  if (builder_.size_bytes() < input_.placement.segment_bytes) return ref;
  if (status_) {
    status_ = Flush();
  } else {
    builder_ = seal::SegmentBuilder(table_.id);  // the fold runs to its end; nothing of it will be used
  }
  return ref;
}

// Also of nodes of this fold: their segments are in the manifest when the deaths are taken from it.
void SegmentSink::Dead(const tree::NodeRef& ref) {
  dead_.Add(ref);
  if (input_.nodes.WantsDead()) dead_places_.push_back(ref.hint);
}

Status SegmentSink::Finish() {
  if (status_ && !builder_.empty()) status_ = Flush();
  return status_;
}

Status SegmentSink::Flush() {
  Segment s;
  s.number = number_;
  number_ += step_;
  uint8_t random[5];
  input_.random.Fill(random);
  s.id = IdOfSave<SegmentId>(save_, input_.opener.term, random);
  s.table = table_.id;
  s.epoch = table_.epoch;
  s.born = save_;
  std::string name = SegmentName(s.id);
  seal::SegmentBuilder::Sealed sealed =
      builder_.Finish(keys_, s.epoch, input_.secrets.store, name, input_.random);
  s.salt = sealed.header.salt;
  s.h = sealed.header.h;
  s.sha256 = sealed.sha256;
  s.size = sealed.bytes.size();
  s.spans = std::exchange(spans_, {});
  s.blobs = std::exchange(blobs_, false);
  names_.push_back(name);
  HF_TRY_VOID(input_.storage.PutIfAbsent(name, sealed.bytes));
  builder_.Reuse(std::move(sealed.bytes));
  segments_.push_back(s);
  return Ok();
}

void SegmentSink::MergeInto(Manifest& manifest, Deaths& deaths) {
  for (std::string& name : names_) input_.leftovers.push_back(std::move(name));
  for (Segment& s : segments_) {
    manifest.next_segment = std::max(manifest.next_segment, s.number + 1);
    manifest.segments.emplace(s.number, s);
  }
  deaths.MergeFrom(dead_);
  if (!dead_places_.empty()) input_.nodes.Dead(std::move(dead_places_));
  Bytes memory = builder_.empty() ? builder_.TakeMemory() : Bytes();
  if (memory.capacity() >= input_.placement.segment_bytes && input_.memory.size() < limits::kFoldWorkersMax)
    input_.memory.push_back(std::move(memory));
  names_.clear();
  segments_.clear();
}

void SegmentSink::TakeShared(std::vector<SharedDelta>& to) {
  to.insert(to.end(), deltas_.begin(), deltas_.end());
  std::vector<SharedDelta>().swap(deltas_);
}

}  // namespace holdfast::store
