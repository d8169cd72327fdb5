// As for a Status: an answer that nobody reads may have been an error.
// expect: nodiscard|unused-result
#include "base/result.h"

holdfast::Result<int> Count();

int CountOrZero() {
#ifdef HF_MISUSE
  Count();
  return 0;
#else
  return Count().value_or(0);
#endif
}
