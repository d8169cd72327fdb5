#include "base/secret.h"

namespace holdfast {

void Wipe(void* p, size_t n) {
  if (n == 0) return;
  std::memset(p, 0, n);
  asm volatile("" : : "r"(p) : "memory");
}

bool ConstantTimeEqual(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  uint8_t diff = 0;
  for (size_t i = 0; i < a.size(); ++i) diff = static_cast<uint8_t>(diff | (a[i] ^ b[i]));
  asm volatile("" : "+r"(diff));
  return diff == 0;
}

}  // namespace holdfast
