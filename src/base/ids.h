// Strong ids: two numbers that could be swapped have two types.
#ifndef HOLDFAST_BASE_IDS_H_
#define HOLDFAST_BASE_IDS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace holdfast {

template <typename Tag, typename Rep = uint64_t>
struct Number {
  Rep value = 0;
  constexpr Number() = default;
  constexpr explicit Number(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const Number&, const Number&) = default;
  constexpr Number next() const { return Number(static_cast<Rep>(value + 1)); }
};

using LogIndex = Number<struct LogIndexTag>;        // 1 is the first entry; 0 = before the log
using Term = Number<struct TermTag>;                // rises at every opening
using FrameNumber = Number<struct FrameNumberTag>;  // never reused
using SaveNumber = Number<struct SaveNumberTag>;    // state-save-number
using Epoch = Number<struct EpochTag, uint32_t>;    // key epoch

// 128 random bits. Prints as 32 upper-case hex digits.
template <typename Tag>
struct Id128 {
  std::array<uint8_t, 16> bytes{};
  friend constexpr auto operator<=>(const Id128&, const Id128&) = default;
  ByteView view() const { return {bytes.data(), bytes.size()}; }
  std::string hex() const { return HexUpper(view()); }
  static Id128 From(ByteView b) {  // REQUIRES: b.size() == 16
    Id128 id;
    std::memcpy(id.bytes.data(), b.data(), 16);
    return id;
  }
};

using StoreId = Id128<struct StoreIdTag>;
using MemberId = Id128<struct MemberIdTag>;
using TableId = Id128<struct TableIdTag>;

}  // namespace holdfast

#endif  // HOLDFAST_BASE_IDS_H_
