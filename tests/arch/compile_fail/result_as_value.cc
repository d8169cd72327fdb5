// A Result is no value until somebody has looked at it.
// expect: cannot convert|no viable conversion
#include "base/result.h"

holdfast::Result<int> Count();

int Twice() {
#ifdef HF_MISUSE
  int n = Count();
  return 2 * n;
#else
  holdfast::Result<int> n = Count();
  return n.has_value() ? 2 * *n : 0;
#endif
}
