// Counts the fields of an encoded protobuf message before it is decoded.
//
// A field may be two bytes, and decoding makes an object of it that takes a hundred: 20 MiB of empty
// operations would become a gigabyte. Who counts first and refuses what has too many pays for bytes received
// and for so many objects, no more. A walk over the bytes, some nanoseconds a field; keeps nothing, allocates
// nothing, and takes the message in pieces, as the network gave it.
//
// Stricter than a decoder: groups (which no version of our API has) and anything that is not well-formed are
// refused, so that what passes is seen by the decoder with the same fields or fewer. It does not check what
// fields mean.
#ifndef HOLDFAST_CORE_REQUEST_FIELD_COUNT_H_
#define HOLDFAST_CORE_REQUEST_FIELD_COUNT_H_

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::request {

// Which fields of a message are messages themselves; all others are leaves. Shapes of one kind of request
// have at most kNestingMax levels.
struct Shape;
struct MessageField {
  uint32_t number = 0;
  const Shape* shape = nullptr;
};
struct Shape {
  std::span<const MessageField> messages;
};
inline constexpr size_t kNestingMax = 6;

class FieldCount {
 public:
  // A message of `bytes` bytes with at most `fields_max` fields, those of messages inside it included.
  // `shape` outlives this.
  FieldCount(const Shape& shape, uint64_t bytes, uint64_t fields_max);

  // The next piece. kTooLarge: more fields, or more bytes than were said. kMalformed: no message. Nothing may
  // be fed after an error.
  Status Feed(ByteView piece);
  // All was fed. kMalformed: it ends in the middle.
  Status Finish() const;
  uint64_t fields() const { return fields_; }

 private:
  enum class Expect : uint8_t { kTag, kNumber, kLength, kSkip };
  struct Level {
    const Shape* shape = nullptr;
    uint64_t end = 0;  // position behind its last byte
  };
  Status Tag(uint64_t tag);
  Status Length(uint64_t length);
  void CloseLevels();

  std::array<Level, kNestingMax> levels_;
  size_t depth_ = 0;  // of the innermost that is open
  Expect expect_ = Expect::kTag;
  uint32_t field_ = 0;  // whose length comes
  uint64_t at_ = 0, skip_to_ = 0, value_ = 0;
  unsigned shift_ = 0;
  uint64_t fields_ = 0;
  const uint64_t fields_max_;
};

}  // namespace holdfast::request

#endif  // HOLDFAST_CORE_REQUEST_FIELD_COUNT_H_
