// Any bytes as /proc/locks: no crash, and never a process number that no lock line can hold.
#include "base/bytes.h"
#include "base/check.h"
#include "host/kv/dir.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  std::optional<int> pid = host::FindLockHolder(AsText({data, size}), 0xfe, 0, 77);
  HF_CHECK(!pid || *pid > 0);
  return 0;
}
