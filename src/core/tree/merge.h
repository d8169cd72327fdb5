// One table as a reader sees it: a tree and the overlays above it, as of a sequence. The newest change of a
// key wins, erased keys do not show. Pure, resumable, not thread-safe; overlays as overlay.h says.
#ifndef HOLDFAST_CORE_TREE_MERGE_H_
#define HOLDFAST_CORE_TREE_MERGE_H_

#include <vector>

#include "core/tree/overlay.h"
#include "core/tree/read.h"

namespace holdfast::tree {

class MergedCursor {
 public:
  struct Row {
    Bytes key;
    // From the tree: the value there (inline, or a blob for a BlobReader). Else `bytes` is the value.
    std::optional<Found> stored;
    Bytes bytes;
  };

  // Rows [from, to) of one leaf of the B-tree, as they lie there; none: from == to.
  struct Run {
    NodePtr leaf;
    size_t from = 0, to = 0;
  };

  // Stands before the first row. The overlays outlive it; at most the two that exist at a time are meant.
  // REQUIRES: the tree holds changes up to some sequence at or below `at_sequence`.
  MergedCursor(const TableId& table, const Root& root, const std::vector<const Overlay*>& newest_first,
               uint64_t at_sequence);

  void SeekTo(ByteView k);  // before the first row with key >= k
  void SeekToEnd();
  // The row behind (before) the position, and moves over it; nothing at the end.
  // A Need or a failure leaves the position as it was: call again.
  Step<std::optional<Row>> Next(NodeSource& source) { return Move(true, source); }
  Step<std::optional<Row>> Prev(NodeSource& source) { return Move(false, source); }
  // The rows behind the position up to the end of their leaf, where no overlay has anything to say, and moves
  // over them. None: ask Next. Cost: one step for all of them.
  Step<Run> NextRun(NodeSource& source);

 private:
  enum class Place : uint8_t { kBefore, kBehind, kEnd };  // of key_
  Step<std::optional<Row>> Move(bool forward, NodeSource& source);
  Step<bool> Turn(bool forward, NodeSource& source);
  Step<bool> FillTree(NodeSource& source);

  Cursor tree_;
  std::vector<OverlayCursor> overlays_;
  // What each stands at, in the direction of travel; not taken yet.
  std::optional<Cursor::Row> tree_head_;
  bool tree_filled_ = false;
  std::vector<std::optional<OverlayCursor::Row>> heads_;
  Bytes key_;
  Place place_ = Place::kBefore;
  enum class Travel : uint8_t { kNone, kForward, kBackward } travel_ = Travel::kNone;
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_MERGE_H_
