// Reading a Patricia tree, for read.cc and its kin: they come here when the root shows its layout.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_READ_H_
#define HOLDFAST_CORE_TREE_PATRICIA_READ_H_

#include "core/tree/patricia_node.h"
#include "core/tree/read.h"

namespace holdfast::tree::patricia {

// Whether a node can stand below an inner node of digit `above` - 1 (0: it is the root) that says so many
// rows. Digits ascend, so no path goes in a circle.
bool Fits(const Node& node, uint64_t rows, uint16_t above);

inline bool FitsBelow(const Node& inner, size_t i, const Node& child) {
  return Fits(child, inner.rows(i), static_cast<uint16_t>(Inner(inner).digit() + 1));
}

// As tree::Lookup, from the root's node on. Cost: one Find per node.
Step<std::optional<Found>> Lookup(NodePtr root, ByteView key, NodeSource& source);

// As tree::Diff.
class Diff {
 public:
  Diff(const Root& before, const Root& after);
  ~Diff();
  Step<std::optional<tree::Diff::Change>> Next(NodeSource& source);

 private:
  struct Item;
  class Tree;
  std::unique_ptr<Tree> before_, after_;
};

}  // namespace holdfast::tree::patricia

#endif  // HOLDFAST_CORE_TREE_PATRICIA_READ_H_
