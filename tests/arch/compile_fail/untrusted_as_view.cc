// Bytes that nobody verified do not pass as ours: whoever reads them says `parse`.
// expect: could not convert|no matching function|cannot convert|invalid initialization|no viable conversion
#include "base/untrusted.h"

size_t Use(holdfast::ByteView bytes);

size_t Read(const holdfast::UntrustedBytes& bytes) {
#ifdef HF_MISUSE
  return Use(bytes);
#else
  return Use(bytes.parse());
#endif
}
