// Public digests of the Patricia layout: a commitment to all rows of a table that needs no key to check and
// tells nothing about rows that are not shown. Source: docs/format.md 5, docs/decisions/0011.
//
//     salt       = HMAC(blinding key, "row" || blob16 key || SHA-256(value))
//     commitment = SHA-256("holdfast value" || 0 || salt || SHA-256(value))
//     row        = SHA-256("holdfast row" || 0 || blob16 key || commitment)
//     branch     = SHA-256("holdfast branch" || 0 || u16 bit || blob16 bytes of the bits before || left ||
//     right) table      = SHA-256("holdfast table" || 0 || store id || table id || u64 rows || top, zeros if
//     empty)
//
// The same row has the same salt, so the digest of a table depends on its rows alone. A salt is shown with
// its row; the commitments of others cannot be guessed without theirs.
#ifndef HOLDFAST_CORE_TREE_PATRICIA_DIGEST_H_
#define HOLDFAST_CORE_TREE_PATRICIA_DIGEST_H_

#include "core/seal/object.h"
#include "core/tree/patricia_node.h"
#include "crypto/hash.h"

namespace holdfast::tree::patricia {

Digest Commitment(const Digest& salt, const Digest& value_sha256);
Digest RowDigest(ByteView key, const Digest& commitment);
// `key`: any key (or prefix) below the branch.
Digest BranchDigest(ByteView key, uint16_t bit, const Digest& left, const Digest& right);
Digest TableDigest(const StoreId& store, const TableId& table, uint64_t rows, const Digest& top);

// Salts of one table's rows. Not thread-safe.
class Blinding {
 public:
  explicit Blinding(ByteView key) : mac_(key) {}
  // Under the key derived from the table's.
  static Blinding Of(const seal::DomainKeys& keys);
  Digest Salt(ByteView key, const Digest& value_sha256);
  Digest RowOf(ByteView key, const Digest& value_sha256);  // the row's digest

 private:
  crypto::HmacStream mac_;
};

// The digest of a part of a tree whose ends are at hand. At most some dozens of ends: it recurs.
class Ends {
 public:
  struct End {
    ByteView key;  // or what is known of it
    uint16_t bit;  // in which it parts from the end before; nothing for the first
    Digest digest;
  };
  // Of a leaf's rows. REQUIRES: IsLeaf(leaf).
  static Ends OfLeaf(const Node& leaf, Blinding& blinding);
  static Ends OfRows(const std::vector<Row>& rows, Blinding& blinding);
  // Of an inner node's children.
  explicit Ends(const Inner& inner);

  size_t count() const { return ends_.size(); }
  const End& at(size_t i) const { return ends_[i]; }
  size_t Top(size_t first, size_t last) const;  // as Inner::Top
  Digest Of(size_t first, size_t last) const;   // of those ends and what is between
  Digest All() const { return Of(0, count() - 1); }

 private:
  Ends() = default;
  void Add(ByteView key, const Digest& digest);
  std::vector<End> ends_;
  std::vector<Bytes> owned_;
};

}  // namespace holdfast::tree::patricia

#endif  // HOLDFAST_CORE_TREE_PATRICIA_DIGEST_H_
