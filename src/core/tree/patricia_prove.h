// Making proofs (proof.h) from a Patricia tree.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_PROVE_H_
#define HOLDFAST_CORE_TREE_PATRICIA_PROVE_H_

#include "core/tree/patricia_digest.h"
#include "core/tree/proof.h"
#include "core/tree/read.h"

namespace holdfast::tree::patricia {

// Follows a key down. Resumable. Cost: the nodes of a lookup, about twenty hashes for each of them, four for
// each row of the leaf; and the value, which becomes part of the proof.
class Prover {
 public:
  // `blinding` is the table's and outlives it.
  Prover(const Root& root, ByteView key, Blinding& blinding);
  // A proof without store, table and index, and so without root. kMalformed: a forged tree.
  Step<Proof> Run(NodeSource& source);

 private:
  Step<bool> Open(NodeSource& source);
  Step<bool> Descend();
  Step<bool> End(size_t row);

  Root root_;
  Blinding& blinding_;
  Proof proof_;
  NodeRef next_;
  uint64_t rows_;
  uint16_t above_ = 0;
  NodePtr node_;  // the one we are in; null: `next_` is to be opened
  std::optional<BlobReader> value_;
  bool done_ = false;
};

}  // namespace holdfast::tree::patricia

#endif  // HOLDFAST_CORE_TREE_PATRICIA_PROVE_H_
