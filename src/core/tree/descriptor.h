// What a table is: its name, its types and the shape of its tree. Hashed into its keys. Source:
// docs/format.md 5.
#ifndef HOLDFAST_CORE_TREE_DESCRIPTOR_H_
#define HOLDFAST_CORE_TREE_DESCRIPTOR_H_

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "core/tree/types.h"

namespace holdfast::tree {

// How a table's rows become nodes. Patricia: the root depends on the rows alone, and single rows can be
// proven (patricia_node.h).
enum class Layout : uint8_t { kBTree = 1, kPatricia = 2 };

// What an index is of. Its rows: index_key.h.
struct IndexOf {
  TableId table;
  std::string pointer;  // MayPoint for the table's values; at most limits::kIndexPointerBytesMax
  bool unique = false;
  friend bool operator==(const IndexOf&, const IndexOf&) = default;
};

struct Descriptor {
  std::string name;           // 1 to 128 bytes of UTF-8; empty for system tables only
  bool inline_values = true;  // values of up to 224 bytes lie in the leaf
  uint16_t leaf_rows_max = limits::kLeafRowsDefault;
  // Patricia: kPatriciaChildrenMax, and leaves of at most kPatriciaLeafRowsMax.
  uint16_t inner_children_max = limits::kInnerChildrenDefault;
  Layout layout = Layout::kBTree;
  Type key_type = Type::kBytes;  // one that MayBeKey
  Type value_type = Type::kBytes;
  bool transient = false;  // its rows are in memory alone (store/transient.h); never Patricia
  // A secondary index: a table that the core writes, named among its table's indexes alone. Keys and values
  // of it are bytes; never transient or Patricia.
  std::optional<IndexOf> index = {};
  // Values that are not inline are rows of this table instead, equal ones once (shared_value.h). Never
  // transient or Patricia. The other table names this one, and has no name or types of its own.
  std::optional<TableId> values_in = {}, values_of = {};
  friend bool operator==(const Descriptor&, const Descriptor&) = default;

  Bytes Encode() const;
  // errors  kMalformed; kUnknownFormat for a version, layout or type we do not know; kInvalidArgument for
  // orders out of the layout's bounds or keys of a type of values
  static Result<Descriptor> Decode(ByteView untrusted);

  // Whether a row may be in the table: kKeyType, kValueType. Linear in the bytes of text and JSON.
  Status CheckKey(ByteView key) const;
  Status CheckRow(ByteView key, ByteView value) const;
  bool may_share() const { return !transient && layout == Layout::kBTree; }
  // The core's own: no client reaches it, and it goes with the table that it is of.
  bool hidden() const { return index || values_of; }
  bool typed() const { return key_type != Type::kBytes || value_type != Type::kBytes; }
};

inline constexpr uint16_t kPatriciaLeafRowsMax = 32;  // of the longest rows: below limits::kLeafBytesMax
inline constexpr uint16_t kPatriciaChildrenMax = 17;  // a digit's sixteen values, and the end of a key

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_DESCRIPTOR_H_
