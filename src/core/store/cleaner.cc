#include "core/store/cleaner.h"

#include <algorithm>

#include "core/tree/patricia_node.h"

namespace holdfast::store {
namespace {

uint64_t PlaceOf(const tree::Hint& h) { return static_cast<uint64_t>(h.segment) << 32 | h.offset; }

// A Patricia table's longest way down, a chunk list and a chunk.
constexpr size_t kDepthMax = tree::patricia::kPathNodesMax + 2;
static_assert(kDepthMax > limits::kTreeLevelsMax + 2);

struct Candidate {
  const Segment* segment;
  uint64_t needed;
  uint64_t garbage() const { return segment->size - std::min(segment->size, seal::kHeaderBytes + needed); }
  double share() const { return static_cast<double>(needed) / static_cast<double>(segment->size); }
};

bool EmptiestFirst(const Candidate& a, const Candidate& b) {
  if (a.share() != b.share()) return a.share() < b.share();
  // Small ones are cheap to merge.
  if (a.segment->size != b.segment->size) return a.segment->size < b.segment->size;
  return a.segment->number < b.segment->number;
}

constexpr uint64_t kThoroughShare = 32;  // one part of garbage in so many may stay

}  // namespace

CleaningPlan PlanCleaning(const Manifest& manifest, const Placement& placement, bool thorough) {
  CleaningPlan plan;
  uint64_t needed = 0;
  size_t count = 0;
  std::vector<Candidate> candidates;
  for (const auto& [number, s] : manifest.segments) {
    Candidate c{&s, s.live_bytes()};
    if (s.condemned != SaveNumber() || c.needed == 0) continue;
    needed += c.needed;
    plan.garbage_bytes += c.garbage();
    ++count;
    if (s.born != manifest.save) candidates.push_back(c);
  }
  const size_t count_max =
      placement.segments_slack + 2 * static_cast<size_t>(needed / placement.segment_bytes);
  const uint64_t garbage_max = thorough ? needed / kThoroughShare : needed + placement.garbage_slack_bytes;
  if (plan.garbage_bytes <= garbage_max && count <= count_max) return plan;
  const uint64_t goal = thorough ? garbage_max : needed / 2 + placement.garbage_slack_bytes / 2;
  const size_t count_goal = count_max / 2;
  std::sort(candidates.begin(), candidates.end(), EmptiestFirst);
  uint64_t garbage = plan.garbage_bytes;
  for (const Candidate& c : candidates) {
    if (garbage <= goal && count <= count_goal) break;
    bool many = count > count_max;
    if (thorough && !many && c.garbage() < c.segment->size / kThoroughShare) continue;
    if (!plan.victims.empty() && plan.moved_bytes + c.needed > placement.cleaned_bytes_max) {
      plan.complete = false;
      break;
    }
    plan.victims.insert(c.segment->number);
    plan.moved_bytes += c.needed;
    plan.freed_bytes += c.garbage();
    garbage -= c.garbage();
    --count;
  }
  return plan;
}

std::set<uint32_t> PlanLeaving(const Manifest& manifest, const Placement& placement) {
  uint64_t needed = 0, garbage = 0, moved = 0;
  std::vector<Candidate> candidates;
  for (const auto& [number, s] : manifest.segments) {
    Candidate c{&s, s.live_bytes()};
    if (s.condemned != SaveNumber() || c.needed == 0) continue;
    needed += c.needed;
    garbage += c.garbage();
    if (c.needed <= s.size / 2) candidates.push_back(c);
  }
  std::set<uint32_t> leaving;
  if (garbage <= needed / 2 + placement.garbage_slack_bytes / 2) return leaving;
  std::sort(candidates.begin(), candidates.end(), EmptiestFirst);
  const uint64_t goal = needed / 4;
  for (const Candidate& c : candidates) {
    if (garbage <= goal || moved + c.needed > placement.cleaned_bytes_max) break;
    leaving.insert(c.segment->number);
    moved += c.needed;
    garbage -= c.garbage();
  }
  return leaving;
}

Cleaner::Cleaner(NodeAccess& nodes, Segments& segments, const TagLine& line,
                 const std::set<uint32_t>& victims, Emit emit)
    : nodes_(nodes), segments_(segments), line_(line), victims_(victims), emit_(std::move(emit)) {
  for (uint32_t v : victims) blobs_ = blobs_ || segments.at(v).blobs;
}

Result<tree::NodeRef> Cleaner::CleanRoot(const tree::NodeRef& ref, LogIndex seen_by) {
  seen_by_ = seen_by;
  HF_TRY(tree::NodePtr root, Get(ref));
  bool leaf = root->type() == tree::NodeType::kLeaf || root->type() == tree::NodeType::kPatriciaLeaf;
  return Clean(ref, 0, leaf ? Kind::kLeaf : Kind::kInner);
}

// Below it or in it, but for its own place.
bool Cleaner::MayHoldVictims(Kind kind) const {
  return kind == Kind::kInner || (blobs_ && (kind == Kind::kLeaf || kind == Kind::kChunkList));
}

Result<tree::NodeRef> Cleaner::Clean(const tree::NodeRef& ref, size_t depth, Kind kind) {
  if (depth > kDepthMax) return Code::kMalformed;
  const uint64_t place = PlaceOf(ref.hint);
  tree::NodeRef now = ref;
  if (auto it = moved_.find(place); it != moved_.end()) {
    now.hint = it->second;
    return now;
  }
  bool changed = victims_.contains(ref.hint.segment);
  if (!changed && (!MayHoldVictims(kind) || unchanged_.contains(place))) return ref;
  HF_TRY(tree::NodePtr node, Get(ref));
  std::vector<Child> children = ChildrenOf(*node, ref.birth);
  for (Child& child : children) {
    if (child.kind != Kind::kInner && child.kind != Kind::kLeaf && !blobs_) break;
    HF_TRY(tree::NodeRef cleaned, Clean(child.ref, depth + 1, child.kind));
    if (cleaned.hint != child.ref.hint) changed = true;
    child.ref.hint = cleaned.hint;
  }
  if (!changed) {
    unchanged_.insert(place);
    return ref;
  }
  std::vector<tree::NodeRef> references;
  for (const Child& c : children) references.push_back(c.ref);
  tree::EncodedNode text{ToBytes(node->canonical()), tree::EncodeTail(*node, references)};
  const LogIndex first = line_.FirstSeeing(ref.birth);
  tree::NodeRef again = emit_(std::move(text), first, seen_by_);
  HF_CHECK(again.address == ref.address);
  if (auto it = segments_.find(ref.hint.segment); it != segments_.end())
    it->second.spans.Remove(first, seen_by_, ref.hint.length);
  now.hint = again.hint;
  moved_.emplace(place, again.hint);
  return now;
}

// A chunk of a list was born with it.
std::vector<Cleaner::Child> Cleaner::ChildrenOf(const tree::Node& node, LogIndex birth) {
  std::vector<Child> children;
  size_t i = 0;
  for (tree::NodeRef& ref : node.References()) {
    Kind kind = Kind::kChunk;
    switch (node.type()) {
      case tree::NodeType::kInner:
        kind = node.level() == 1 ? Kind::kLeaf : Kind::kInner;
        break;
      case tree::NodeType::kPatriciaInner:
        kind = Kind::kInner;  // or a leaf: only it can tell
        break;
      case tree::NodeType::kLeaf:
      case tree::NodeType::kPatriciaLeaf:
        while (!node.value(i).is_blob) ++i;  // references are those of the rows with blobs, in order
        if (node.value(i++).length > limits::kBlobChunkBytes) kind = Kind::kChunkList;
        break;
      case tree::NodeType::kChunkList:
        ref.birth = birth;
        break;
      case tree::NodeType::kChunk:
        break;
    }
    children.push_back({ref, kind});
  }
  return children;
}

Result<tree::NodePtr> Cleaner::Get(const tree::NodeRef& ref) {
  if (tree::NodePtr node = nodes_.Find(ref)) return node;
  HF_TRY_VOID(nodes_.Fetch(ref));
  tree::NodePtr node = nodes_.Find(ref);
  HF_CHECK(node != nullptr);
  return node;
}

}  // namespace holdfast::store
