// Any bytes as a store URL: understood or refused, and what is understood can be written back and read the
// same.
#include "base/check.h"
#include "host/kv/open.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  auto url = host::ParseStoreUrl(AsText({data, size}));
  if (!url) return 0;
  std::string again = url->scheme + ":" + url->path;
  char separator = '?';
  for (const auto& [name, value] : url->parameters) {
    again += separator + name + "=" + value;
    separator = '&';
  }
  auto twice = host::ParseStoreUrl(again);
  HF_CHECK(twice.has_value() && twice->scheme == url->scheme && twice->path == url->path &&
           twice->parameters == url->parameters);
  return 0;
}
