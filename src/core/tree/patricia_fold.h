// Folding changes into a Patricia tree. As tree::Fold (same sources and sinks, path-copying, resumable,
// children before parents, each replaced node told Dead once), but the result depends on the rows alone:
// whatever the order, the batches and the saves that led to them, the same nodes come out, with the same
// addresses and the same public digest. Hints and births differ.
//
// Two halves: a walk down the old tree, guided by the changes, gives in key order what the new tree consists
// of (rows, and parts of the old tree that no change can reach, unread); from these a spine is built up,
//
//      branch 0 ─ left part          the open branches, topmost first; what stands left of each is finished,
//         branch 5 ─ left part       and what is added next decides how many of them are closed
//            branch 17 ─ left part
//               last part added
//
// and each closed branch is either part of a leaf or of an inner node.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_FOLD_H_
#define HOLDFAST_CORE_TREE_PATRICIA_FOLD_H_

#include "core/tree/fold.h"
#include "core/tree/patricia_digest.h"

namespace holdfast::tree::patricia {

class Fold {
 public:
  // The references outlive the fold; `blinding` is the table's. Otherwise as tree::Fold.
  Fold(const Descriptor& descriptor, const Root& before, LogIndex birth, ChangeSource& changes,
       NodeSink& sink, Blinding& blinding);
  ~Fold();
  // Need: fetch and call again. Failed: kMalformed (a forged tree), nothing usable was made.
  // Memory: O(depth), however many changes there are; depth is at most the bits of a key.
  // Asks the sink neither ShouldMove nor Forward.
  Step<Root> Run(NodeSource& source);

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::tree::patricia

#endif  // HOLDFAST_CORE_TREE_PATRICIA_FOLD_H_
