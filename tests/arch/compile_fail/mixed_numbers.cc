// A log index in the place of a term would elect the wrong leader.
// expect: could not convert|no matching function|cannot convert|invalid initialization|no viable conversion
#include "base/ids.h"

void Vote(holdfast::Term term, holdfast::LogIndex last);

void Ask(holdfast::Term term, holdfast::LogIndex last) {
#ifdef HF_MISUSE
  Vote(last, term);
#else
  Vote(term, last);
#endif
}
