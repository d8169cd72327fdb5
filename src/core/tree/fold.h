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

#include "core/tree/descriptor.h"
#include "core/tree/source.h"

namespace holdfast::tree {

// Changes in ascending key order, each key once.
class ChangeSource {
 public:
  struct Change {
    ByteView key;    // valid until the next call
    ByteView value;  // if !erase
    bool erase = false;
  };
  virtual ~ChangeSource() = default;
  virtual std::optional<Change> Next() = 0;
};

class Fold {
 public:
  // The references outlive the fold. `birth`: log index of the save point. Empty `before` = bulk load.
  Fold(const Descriptor& descriptor, const Root& before, LogIndex birth, ChangeSource& changes,
       NodeSink& sink);
  ~Fold();
  // Need: fetch and call again. Done: the new root. Failed: kMalformed (a forged tree), nothing usable was
  // made. Memory: O(depth x node size) beyond what the source holds, however many changes there are.
  Step<Root> Run(NodeSource& source);

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_FOLD_H_
