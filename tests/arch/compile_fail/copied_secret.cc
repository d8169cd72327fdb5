// A key exists once: a copy is asked for by name, so that it can be found in review.
// expect: use of deleted function|call to deleted constructor
#include "base/secret.h"

holdfast::Key Twice(const holdfast::Key& key) {
#ifdef HF_MISUSE
  return key;
#else
  return key.Clone();
#endif
}
