// Cleaning: moves what is still needed out of segments that are mostly garbage, so that they can go. Why the
// parents are rewritten, and why tags' trees are walked too: docs/decisions/0003, 0012. Rule D5.
#ifndef HOLDFAST_CORE_STORE_CLEANER_H_
#define HOLDFAST_CORE_STORE_CLEANER_H_

#include <functional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/store/nodes.h"

namespace holdfast::store {

// Where this member puts its nodes; the logical root does not depend on it (D1).
struct Placement {
  uint64_t segment_bytes = limits::kSegmentBytesTarget;
  // Cleaning starts when the segments take more than twice what is needed plus the slack, or when there are
  // very many.
  uint64_t garbage_slack_bytes = limits::kSegmentBytesTarget;
  size_t segments_slack = 256;
  size_t rows_for_workers = 10'000;  // fewer changes of one table are folded faster than threads are started
  uint64_t cleaned_bytes_max = 128u << 20;  // moved by one save, parents aside
};

struct CleaningPlan {
  std::set<uint32_t> victims;
  uint64_t moved_bytes = 0;    // needed, to be written again
  uint64_t freed_bytes = 0;    // garbage that goes with them
  uint64_t garbage_bytes = 0;  // in all segments that something is needed of
  bool complete = true;        // false: placement.cleaned_bytes_max stood in the way
};

// Segments to leave, the emptiest first, never those of this save: until what remains is within bounds, or
// placement.cleaned_bytes_max would be moved. `thorough`: until garbage is a thirty-second of what is needed,
// leaving only segments that have as much.
CleaningPlan PlanCleaning(const Manifest& manifest, const Placement& placement, bool thorough);

// Segments that the next fold should leave on its way, before it makes more garbage: where it writes a parent
// anew, moving the parent's other children costs those alone, while cleaning afterwards writes the parents
// once more. The emptiest, at most half full, from half of what makes cleaning due.
std::set<uint32_t> PlanLeaving(const Manifest& manifest, const Placement& placement);

// Moves the nodes of one table. Every root that reaches a node must be cleaned, from the newest to the
// oldest: what one of them moves, the others find moved, so that they go on sharing it.
// Cost: reads the inner nodes of every root, each place once, and what moves; leaves too if a victim may hold
// blobs. Memory: about 50 bytes for each inner node and each node moved.
class Cleaner {
 public:
  // Writes a node that is of this span; its reference, with address and hint.
  using Emit = std::function<tree::NodeRef(tree::EncodedNode, LogIndex first, LogIndex last)>;
  Cleaner(NodeAccess& nodes, Segments& segments, const TagLine& line, const std::set<uint32_t>& victims,
          Emit emit);

  // `seen_by`: the tag whose root it is; kNow for the table's own. The reference to use from now on.
  Result<tree::NodeRef> CleanRoot(const tree::NodeRef& root, LogIndex seen_by);

 private:
  enum class Kind { kInner, kLeaf, kChunkList, kChunk };
  struct Child {
    tree::NodeRef ref;
    Kind kind;
  };
  static std::vector<Child> ChildrenOf(const tree::Node& node, LogIndex birth);
  Result<tree::NodeRef> Clean(const tree::NodeRef& ref, size_t depth, Kind kind);
  Result<tree::NodePtr> Get(const tree::NodeRef& ref);
  bool MayHoldVictims(Kind kind) const;

  NodeAccess& nodes_;
  Segments& segments_;
  const TagLine& line_;
  const std::set<uint32_t>& victims_;
  Emit emit_;
  bool blobs_ = false;  // a victim may hold some
  LogIndex seen_by_;
  std::unordered_map<uint64_t, tree::Hint> moved_;  // by place
  std::unordered_set<uint64_t> unchanged_;          // places below which nothing moves
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_CLEANER_H_
