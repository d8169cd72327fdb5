// A write whose answer nobody reads may have failed.
// expect: nodiscard|unused-result
#include "base/result.h"

holdfast::Status Write();

holdfast::Status Save() {
#ifdef HF_MISUSE
  Write();
#else
  HF_TRY_VOID(Write());
#endif
  return holdfast::Ok();
}
