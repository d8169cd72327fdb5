// A passphrase is moved to where it is used and wiped behind it.
// expect: use of deleted function|call to deleted constructor
#include <utility>

#include "base/secret.h"

holdfast::SecretBytes Keep(holdfast::SecretBytes passphrase) {
#ifdef HF_MISUSE
  holdfast::SecretBytes kept = passphrase;
#else
  holdfast::SecretBytes kept = std::move(passphrase);
#endif
  return kept;
}
