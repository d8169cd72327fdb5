// A bare integer becomes an index only where somebody says so.
// expect: could not convert|no matching function|cannot convert|invalid initialization|no viable conversion
#include "base/ids.h"

void Cut(holdfast::LogIndex below);

void CutAll(unsigned long n) {
#ifdef HF_MISUSE
  Cut(n);
#else
  Cut(holdfast::LogIndex(n));
#endif
}
