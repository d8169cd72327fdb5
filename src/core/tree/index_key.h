// Secondary indexes: which value of a row is indexed, and where its index row stands.
//
// An index is a table of its own whose rows say where the rows of another table stand, in the order of a
// field of their values:
//
//   row of the table   key                          value {"city":"Ulm", ...}
//   row of an index    escaped field 00 00 key      nothing
//   of a unique one    escaped field 00 00          key
//
// Escaped: 00 becomes 00 FF, so that index rows sort as their fields do, then as their keys. The field is,
// for a table whose values are
//   json                 the value at an RFC 6901 pointer (the empty one: the whole value): null, false,
//                        true, a number or a string. They sort in this order, numbers as numbers, strings as
//                        their UTF-8. Of a name that stands twice in one object, the first counts. Numbers
//                        are compared as the nearest double. Not indexed: what is not there, objects, arrays,
//                        numbers that no double is near (1e999).
//   of any other type    the whole value, as bytes: integers and times sort as what they mean.
//
// Pure. Linear in the value. Source: docs/format.md 5; RFC 6901; decision 0020.
#ifndef HOLDFAST_CORE_TREE_INDEX_KEY_H_
#define HOLDFAST_CORE_TREE_INDEX_KEY_H_

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "core/tree/types.h"

namespace holdfast::tree {

// Whether an index with this pointer may be on a table with values of this type: a pointer of RFC 6901, and
// an empty one where values are no JSON.
bool MayPoint(Type value_type, std::string_view pointer);

// The field of a row that an index has. Nothing: the row is not in the index.
// REQUIRES: IsOf(value_type, value), MayPoint(value_type, pointer).
std::optional<Bytes> FieldOf(Type value_type, std::string_view pointer, ByteView value);

struct IndexRow {
  Bytes key, value;
};
// Maybe longer than a key may be: the caller looks (kIndexRowSize).
IndexRow IndexRowOf(ByteView field, ByteView key, bool unique);
// The key of the row that an index row leads to. kMalformed: it is none.
Result<Bytes> KeyOfIndexRow(ByteView key, ByteView value, bool unique);

// Rows of an index, by fields: `from` <= field < `until`, all that begin with `prefix` (of JSON: strings),
// or those that are `equals`; what is not given is no bound. Fields are given as values of the type are: JSON
// ones as JSON text of a scalar, but a prefix as the beginning of the string itself.
struct FieldBounds {
  std::optional<Bytes> from, until, prefix, equals;
};
struct IndexRange {
  Bytes from, until;  // of the index's keys; empty `until`: to the end
  bool empty = false;
};
// kInvalidArgument: a bound that is no field; `equals` with another bound; `prefix` where values are neither
// text, JSON nor bytes.
Result<IndexRange> RangeOf(Type value_type, const FieldBounds& bounds);

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_INDEX_KEY_H_
