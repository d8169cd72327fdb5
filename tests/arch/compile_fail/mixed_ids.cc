// All ids are 16 bytes; a member's is no store's.
// expect: could not convert|no matching function|cannot convert|invalid initialization|no viable conversion
#include "base/ids.h"

void Open(const holdfast::StoreId& store);

void OpenOf(const holdfast::StoreId& store, const holdfast::MemberId& member) {
  static_cast<void>(member), static_cast<void>(store);
#ifdef HF_MISUSE
  Open(member);
#else
  Open(store);
#endif
}
