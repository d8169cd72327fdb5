#include "base/crc32c.h"

#include <array>

namespace holdfast {
namespace {
constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> t{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    t[i] = c;
  }
  return t;
}
constexpr auto kTable = MakeTable();
}  // namespace

uint32_t Crc32c(ByteView b) {
  uint32_t c = 0xFFFFFFFFu;
  for (uint8_t x : b) c = kTable[(c ^ x) & 0xFF] ^ (c >> 8);
  return ~c;
}

}  // namespace holdfast
