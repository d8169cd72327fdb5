#include "core/request/field_count.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast::request {
namespace {

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kDelimited = 2, kFixed32 = 5 };

constexpr unsigned kVarintBitsMax = 63;  // of the shift: ten bytes

}  // namespace

FieldCount::FieldCount(const Shape& shape, uint64_t bytes, uint64_t fields_max) : fields_max_(fields_max) {
  levels_[0] = {&shape, bytes};
}

void FieldCount::CloseLevels() {
  while (depth_ > 0 && at_ == levels_[depth_].end) --depth_;
}

Status FieldCount::Tag(uint64_t tag) {
  if (tag > UINT32_MAX || tag >> 3 == 0) return Code::kMalformed;
  if (++fields_ > fields_max_) return Code::kTooLarge;
  field_ = static_cast<uint32_t>(tag >> 3);
  uint64_t left = levels_[depth_].end - at_;
  switch (tag & 7) {
    case kVarint:
      expect_ = Expect::kNumber;
      return Ok();
    case kDelimited:
      expect_ = Expect::kLength;
      return Ok();
    case kFixed64:
    case kFixed32: {
      uint64_t size = (tag & 7) == kFixed64 ? 8 : 4;
      if (size > left) return Code::kMalformed;
      expect_ = Expect::kSkip;
      skip_to_ = at_ + size;
      return Ok();
    }
    default:
      return Code::kMalformed;
  }
}

Status FieldCount::Length(uint64_t length) {
  if (length > levels_[depth_].end - at_) return Code::kMalformed;
  uint64_t end = at_ + length;
  for (const MessageField& m : levels_[depth_].shape->messages) {
    if (m.number != field_) continue;
    HF_CHECK(depth_ + 1 < kNestingMax);
    levels_[++depth_] = {m.shape, end};
    expect_ = Expect::kTag;
    CloseLevels();
    return Ok();
  }
  expect_ = length == 0 ? Expect::kTag : Expect::kSkip;
  skip_to_ = end;
  if (length == 0) CloseLevels();
  return Ok();
}

Status FieldCount::Feed(ByteView piece) {
  if (piece.size() > levels_[0].end - at_) return Code::kTooLarge;
  for (size_t i = 0; i < piece.size();) {
    if (expect_ == Expect::kSkip) {
      uint64_t step = std::min<uint64_t>(skip_to_ - at_, piece.size() - i);
      at_ += step;
      i += static_cast<size_t>(step);
      if (at_ < skip_to_) return Ok();
      expect_ = Expect::kTag;
      CloseLevels();
      continue;
    }
    if (at_ == levels_[depth_].end) return Code::kMalformed;  // a number that its message cuts off
    uint8_t byte = piece[i++];
    ++at_;
    if (shift_ > kVarintBitsMax) return Code::kMalformed;
    value_ |= uint64_t{byte & 0x7Fu} << shift_;
    shift_ += 7;
    if ((byte & 0x80) != 0) continue;
    uint64_t value = value_;
    value_ = 0;
    shift_ = 0;
    if (expect_ == Expect::kTag) {
      HF_TRY_VOID(Tag(value));
    } else if (expect_ == Expect::kLength) {
      HF_TRY_VOID(Length(value));
    } else {
      expect_ = Expect::kTag;
      CloseLevels();
    }
  }
  return Ok();
}

Status FieldCount::Finish() const {
  bool whole = depth_ == 0 && at_ == levels_[0].end && expect_ == Expect::kTag && shift_ == 0;
  return whole ? Ok() : Status(Code::kMalformed);
}

}  // namespace holdfast::request
