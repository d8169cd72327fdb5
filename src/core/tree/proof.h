// Proofs that a row is in a Patricia table, or that none with that key is: checked by anybody, without keys,
// against the table's public root. Source: docs/format.md 12, docs/decisions/0013.
//
//      root ── store, table, rows, top          what is shown: at each branch on the key's way down the
//        └ branch 3 ── digest of the other side  other side's digest, and what stands at the end of it
//            └ branch 11 ── digest of the other side
//                └ the row; or another row, or a branch, that the key would have to pass
#ifndef HOLDFAST_CORE_TREE_PROOF_H_
#define HOLDFAST_CORE_TREE_PROOF_H_

#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "core/tree/patricia_key.h"

namespace holdfast::tree {

struct Proof {
  StoreId store;
  TableId table;
  LogIndex index;     // of the save that the root is of: what the prover says, the root does not hold it
  uint64_t rows = 0;  // of the table
  Digest root{};
  Bytes key;
  struct Branch {
    uint16_t bit;
    Digest other_side;
  };
  std::vector<Branch> path;  // from the top down

  struct Included {
    Digest salt{};
    Bytes value;
  };
  struct Empty {};   // no row at all
  struct OtherRow {  // where the key leads
    Bytes key;
    Digest commitment{};  // to its value, which it hides
  };
  struct OtherBranch {  // the key parts from all rows below it
    patricia::Prefix prefix;
    Digest left{}, right{};
  };
  std::variant<Included, Empty, OtherRow, OtherBranch> end = Empty{};

  bool included() const { return std::holds_alternative<Included>(end); }

  Bytes Encode() const;
  //   errors  kBadInput       no proof, by its first bytes
  //           kUnknownFormat  of a later version
  //           kProofRefused   damaged: every byte counts
  static Result<Proof> Decode(ByteView untrusted);

  // Whether it shows what it claims, of its root. kProofRefused. Whether the root is one to be trusted is the
  // caller's to compare. That no row has the key rests on the root being of a well-formed tree: whoever made
  // the root vouches for that, and for each row being where its key says.
  Status Check() const;
};

// The largest value and key, the deepest path, and what is around.
inline constexpr size_t kProofBytesMax =
    limits::kValueBytesMax + 2 * limits::kKeyBytesMax + size_t{patricia::kBitsMax} * (2 + 32) + 1024;

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_PROOF_H_
