// What keys and values of a table may be. Everything is kept as bytes; a type says which bytes, so that what
// one client writes every other can read, and so that keys sort as what they mean. Pure. Source:
// docs/format.md 5.
#ifndef HOLDFAST_CORE_TREE_TYPES_H_
#define HOLDFAST_CORE_TREE_TYPES_H_

#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace holdfast::tree {

enum class Type : uint8_t {
  kBytes = 1,      // any
  kText = 2,       // UTF-8
  kInt64 = 3,      // 8 bytes, big-endian, the sign bit flipped: they sort as the numbers do
  kUint64 = 4,     // 8 bytes, big-endian
  kUuid = 5,       // 16 bytes, of any version
  kTimestamp = 6,  // as kInt64: microseconds since 1970-01-01T00:00:00Z, without leap seconds
  kJson = 7,       // RFC 8259 text, of values only
};

// "bytes" "text" "int64" "uint64" "uuid" "timestamp" "json".
std::string_view TypeName(Type type);
std::optional<Type> TypeOf(std::string_view name);
bool IsKnown(Type type);
inline bool MayBeKey(Type type) { return type != Type::kJson; }  // one meaning would have many keys

// Whether the bytes are of the type. `type` is a known one. Linear in the bytes; needs no memory.
bool IsOf(Type type, ByteView untrusted);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(ByteView untrusted);

// One value of RFC 8259 in UTF-8 with white space around it: no byte order mark, no comments, no NaN; escaped
// surrogates come in pairs. Names may repeat and numbers may be of any size, as the RFC has it.
bool IsJson(ByteView untrusted);
inline constexpr unsigned kJsonDepthMax = 64;  // arrays and objects within each other: readers recurse

// Integers as they are kept, and back from 8 bytes.
Bytes FromInt64(int64_t n);
Bytes FromUint64(uint64_t n);
int64_t Int64Of(ByteView bytes);
uint64_t Uint64Of(ByteView bytes);

// What RFC 3339 can write: the years 0000 to 9999.
inline constexpr int64_t kTimestampMin = -62'167'219'200'000'000;
inline constexpr int64_t kTimestampMax = 253'402'300'799'999'999;

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_TYPES_H_
