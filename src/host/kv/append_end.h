// Where the next append of an appendable must go: one rule for every provider, so that they cannot drift
// apart.
//
//   0        end of what was appended        size (reserved, zeros behind the end)
//   |#############|..............................|
//
// The end is known to who created the appendable or appended to it since it was opened. To a new opener the
// zeros of the reserve are indistinguishable from appended zeros, so it may begin at any sector inside the
// object; from then on its end is known too.
#ifndef HOLDFAST_HOST_KV_APPEND_END_H_
#define HOLDFAST_HOST_KV_APPEND_END_H_

#include <cstdint>
#include <optional>

#include "base/limits.h"
#include "base/result.h"

namespace holdfast::host {

inline constexpr uint64_t RoundUpToSector(uint64_t n) {
  return (n + limits::kSectorBytes - 1) / limits::kSectorBytes * limits::kSectorBytes;
}

// kInvalidArgument, unless an append at `offset` continues an appendable of `size_bytes` without a hole or
// overlap.
inline Status CheckAppend(std::optional<uint64_t> end, uint64_t size_bytes, uint64_t offset) {
  if (offset % limits::kSectorBytes != 0) return Code::kInvalidArgument;
  if (end ? offset != *end : offset > RoundUpToSector(size_bytes)) return Code::kInvalidArgument;
  return Ok();
}

// The end after a cut to `size_bytes`.
inline std::optional<uint64_t> EndAfterTrim(std::optional<uint64_t> end, uint64_t size_bytes) {
  uint64_t cut = RoundUpToSector(size_bytes);
  return end && *end < cut ? end : std::optional(cut);
}

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_APPEND_END_H_
