// Shared values: of a table that asks for it, values that do not lie in the leaf are rows of a table of
// values, so that equal ones are stored once.
//
//   row of the table      key                  length, address of the value
//   row of the values     address [33]         the value
//                         address [33] || 01   u64: how many rows refer to it, if they are more than one
//
// So no row there is a count of 0, and no count is 1. The address is a keyed hash of the whole value: who has
// no key cannot try values against it, and equal values of two tables have nothing in common.
//
// Source: docs/format.md 5; decision 0022.
#ifndef HOLDFAST_CORE_TREE_SHARED_VALUE_H_
#define HOLDFAST_CORE_TREE_SHARED_VALUE_H_

#include "core/tree/read.h"
#include "crypto/hash.h"

namespace holdfast::tree {

// 0x01 || HMAC(KDF(address key, "holdfast shared value"), value). `keys`: of the table that shares. Not
// thread-safe.
class SharedAddresses {
 public:
  explicit SharedAddresses(const seal::DomainKeys& keys);
  Address Of(ByteView value);

 private:
  crypto::HmacStream mac_;
};

Bytes SharedCountKey(const Address& value);
Bytes EncodeSharedCount(uint64_t count);  // REQUIRES: above 1

// A row of a table of values.
struct SharedRow {
  Address address{};
  std::optional<uint64_t> count;  // of a row that counts; nothing: the row has the value
};
// kMalformed: it is neither.
Result<SharedRow> ReadSharedRow(ByteView key, const StoredValue& value);

// How many rows refer to a value, as the table of values has it; 0: it does not have it. kMalformed: its
// count is none.
Step<uint64_t> SharedCountOf(const Root& values, const Address& value, NodeSource& source);

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_SHARED_VALUE_H_
