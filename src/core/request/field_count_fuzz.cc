// The walk in pieces against a plain recursive one over the whole: the same fields, the same refusals.
#include <optional>

#include "base/check.h"
#include "core/request/field_count.h"

namespace holdfast::request {
namespace {

constexpr Shape kLeaves = {};
constexpr MessageField kInnerFields[] = {{1, &kLeaves}, {2, &kLeaves}};
constexpr Shape kInner = {kInnerFields};
constexpr MessageField kMiddleFields[] = {{4, &kLeaves}, {7, &kInner}};
constexpr Shape kMiddle = {kMiddleFields};
constexpr MessageField kTopFields[] = {{1, &kMiddle}, {2, &kInner}};
constexpr Shape kTop = {kTopFields};

std::optional<uint64_t> Varint(ByteView& in) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (in.empty()) return std::nullopt;
    uint8_t byte = in[0];
    in = in.subspan(1);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

// The fields of a well-formed message; nothing: it is none.
std::optional<uint64_t> Fields(const Shape& shape, ByteView in) {
  uint64_t n = 0;
  while (!in.empty()) {
    auto tag = Varint(in);
    if (!tag || *tag > UINT32_MAX || *tag >> 3 == 0) return std::nullopt;
    ++n;
    uint64_t length = 0;
    switch (*tag & 7) {
      case 0:
        if (!Varint(in)) return std::nullopt;
        continue;
      case 1:
        length = 8;
        break;
      case 5:
        length = 4;
        break;
      case 2: {
        auto said = Varint(in);
        if (!said) return std::nullopt;
        length = *said;
        break;
      }
      default:
        return std::nullopt;
    }
    if (length > in.size()) return std::nullopt;
    for (const MessageField& m : shape.messages) {
      if ((*tag & 7) != 2 || m.number != *tag >> 3) continue;
      auto inside = Fields(*m.shape, in.first(static_cast<size_t>(length)));
      if (!inside) return std::nullopt;
      n += *inside;
    }
    in = in.subspan(static_cast<size_t>(length));
  }
  return n;
}

// The first byte chooses the pieces, the second the limit.
void Compare(ByteView input) {
  if (input.size() < 2) return;
  size_t piece = input[0] == 0 ? SIZE_MAX : input[0];
  uint64_t limit = input[1];
  ByteView message = input.subspan(2);
  FieldCount count(kTop, message.size(), limit);
  Status status = Ok();
  for (ByteView rest = message; !rest.empty() && status.has_value();) {
    ByteView next = rest.first(std::min(piece, rest.size()));
    status = count.Feed(next);
    rest = rest.subspan(next.size());
  }
  if (status.has_value()) status = count.Finish();
  auto expected = Fields(kTop, message);
  if (status.has_value()) {
    HF_CHECK(expected && *expected == count.fields() && *expected <= limit);
  } else if (status.code() == Code::kTooLarge) {
    HF_CHECK(count.fields() == limit + 1 && (!expected || *expected > limit));
  } else {
    HF_CHECK(!expected);
  }
}

}  // namespace
}  // namespace holdfast::request

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::request::Compare({data, size});
  return 0;
}
