// Folding changes into a tree: path-copying, so the old root stays a whole snapshot. Pure and resumable.
//
// The result depends on the old tree, the changes and the descriptor only, never on where nodes lie, what is
// cached or how often Run() was interrupted: all members reach the same address. (Not on the history beyond
// the old tree's shape.)
//
// Shape: leaves hold 1 to leaf_rows_max rows (and at most limits::kLeafBytesMax), inner nodes up to
// inner_children_max children (the root: at least 2, or the tree is a single leaf). An overfull node splits
// evenly; an underfull one (below 1/4) is merged with a neighbour under the same parent. One that has no
// neighbour left stays underfull, an inner node even with a single child, until a later fold merges its
// parent. Sorted changes to an empty tree (bulk load) give full nodes, but for the last two of each level,
// which share evenly.
#ifndef HOLDFAST_CORE_TREE_FOLD_H_
#define HOLDFAST_CORE_TREE_FOLD_H_

#include <string>
#include <vector>

#include "core/tree/descriptor.h"
#include "core/tree/source.h"

namespace holdfast::tree {

// Changes in ascending key order, each key once.
class ChangeSource {
 public:
  struct Change {
    ByteView key;    // valid until the next call
    ByteView value;  // if !erase; of a table that shares values, valid as long as the source
    bool erase = false;
  };
  virtual ~ChangeSource() = default;
  virtual std::optional<Change> Next() = 0;
  // The next change is the first at or above the key, and not one that was given already.
  virtual void SkipTo(ByteView key) = 0;
  virtual void SkipAll() = 0;  // there is no next one
};

namespace internal {
struct FoldState;
}

// An inner node whose part of the tree can be folded by itself.
struct FoldPlace {
  NodeRef ref;
  std::string from;                  // keys below are at or above it,
  std::optional<std::string> until;  // and below this one, if there is one
  uint64_t rows = 0;
  uint8_t level = 0;
};

// The inner nodes of the first level, from the root down, that has at least `enough` of them, or of the last
// level above the leaves; none where that is the root alone. In key order.
Step<std::vector<FoldPlace>> PlacesOf(const Root& root, size_t enough, NodeSource& source);

// The fold of one place. Several of one tree may run at a time, each with sources and a sink of its own.
class PartFold {
 public:
  // `changes`: those of the place's keys and no others. The references outlive it.
  PartFold(const Descriptor& descriptor, FoldPlace place, LogIndex birth, ChangeSource& changes,
           NodeSink& sink);
  PartFold(PartFold&&) noexcept;
  ~PartFold();
  // Done: whether anything changed. Reads nothing where there are no changes. Errors as Fold.
  Step<bool> Run(NodeSource& source);

 private:
  friend class Fold;
  std::unique_ptr<internal::FoldState> s_;
};

class Fold {
 public:
  // The references outlive the fold. `birth`: log index of the save point. Empty `before` = bulk load.
  Fold(const Descriptor& descriptor, const Root& before, LogIndex birth, ChangeSource& changes,
       NodeSink& sink);
  ~Fold();
  // Before Run: a part that is done, of this tree, with this birth. The result is the one without it.
  void Take(PartFold& part);
  // Need: fetch and call again. Done: the new root. Failed: kMalformed (a forged tree), nothing usable was
  // made. Memory beyond what the source holds: O(depth x node size), and about 100 bytes for each node that
  // becomes a child of one inner node while that one is open.
  Step<Root> Run(NodeSource& source);

 private:
  std::unique_ptr<internal::FoldState> s_;
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_FOLD_H_
