// The new tree's half of patricia::Fold: takes parts in key order, makes nodes.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_SPINE_INTERNAL_H_
#define HOLDFAST_CORE_TREE_PATRICIA_SPINE_INTERNAL_H_

#include <map>
#include <variant>

#include "core/tree/descriptor.h"
#include "core/tree/patricia_digest.h"
#include "core/tree/source.h"

namespace holdfast::tree::patricia {

// A whole node, old or new, and all below it.
struct Whole {
  NodeRef ref;
  uint64_t rows = 0;
  Digest digest{};
};

class Spine {
 public:
  // The references outlive it.
  Spine(const Descriptor& descriptor, LogIndex birth, NodeSink& sink, Blinding& blinding)
      : rows_max_(descriptor.leaf_rows_max), birth_(birth), sink_(sink), blinding_(blinding) {}

  // The next part: keys ascend, none of one part lies between those of another. Done: taken. Need: fetch,
  // call again with the same. kMalformed: a part that the order forbids, i.e. a forged tree.
  struct Part {
    Prefix known;                   // of a row: the whole key
    std::variant<Row, Whole> what;  // a row, or a node of the old tree
  };
  Step<bool> Add(Part& part, NodeSource& source);
  // All parts are in.
  Step<Root> Finish(NodeSource& source);
  // An inner node of the old tree whose parts have all been added. If the same comes out again, it is kept;
  // else it is dead.
  void Replaced(const Whole& old) { replaced_[old.digest] = old; }
  NodeRef Emit(EncodedNode node);

 private:
  using Rows = std::vector<Row>;  // few enough for a leaf
  struct Fragment {               // of an inner node: branches of one digit, one of them on top
    uint16_t digit = 0;
    uint64_t rows = 0;
    Digest digest{};
    std::vector<Child> children;
  };
  using Sub = std::variant<Rows, Whole, Fragment>;
  struct Open {
    uint16_t bit;
    Sub left;
    bool settled = false;  // has more rows than a leaf, known before it is closed
  };

  static uint64_t RowsOf(const Sub& sub);
  Step<bool> Close(NodeSource& source);
  Step<bool> JoinRows(Sub& left, Sub& right, NodeSource& source);
  Fragment JoinBranch(uint16_t bit, Sub left, Sub right);
  Fragment AsFragment(Sub sub, uint16_t digit);
  Whole MakeNode(Sub sub);
  Whole MakeLeaf(const Rows& rows);
  Whole MakeInner(const Fragment& f);
  void Settle();
  void ForgetReplaced();

  size_t rows_max_;
  LogIndex birth_;
  NodeSink& sink_;
  Blinding& blinding_;
  std::vector<Open> open_;  // bits ascend
  std::optional<Sub> last_;
  Bytes last_key_;  // of the part added last, as far as it is known
  uint16_t last_bits_ = 0;
  size_t loose_ = 0;  // rows in open_ that are in no node yet, at most
  std::map<Digest, Whole> replaced_;
};

}  // namespace holdfast::tree::patricia

#endif  // HOLDFAST_CORE_TREE_PATRICIA_SPINE_INTERNAL_H_
