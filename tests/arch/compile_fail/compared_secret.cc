// Comparing keys with == would take time that depends on where they differ.
// expect: no match for .operator==.|invalid operands to binary expression
#include "base/secret.h"

bool Same(const holdfast::Key& a, const holdfast::Key& b) {
#ifdef HF_MISUSE
  return a == b;
#else
  return holdfast::ConstantTimeEqual(a.view(), b.view());
#endif
}
