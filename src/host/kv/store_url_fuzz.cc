// Any bytes as a store URL: understood or refused, and what is understood can be written back and read the
// same. As the URL of a remote provider: what a host name, a path or a header is made of has nothing in it
// that would mean something else there.
#include "base/check.h"
#include "host/kv/open.h"
#include "host/kv/remote_url_internal.h"

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
  auto remote = host::ParseRemoteUrl(*url, {"region", "table"});
  if (!remote) {
    HF_CHECK(remote.code() == Code::kBadUrl);
    return 0;
  }
  for (const std::string& part : remote->path) HF_CHECK(!part.empty() && part.find('/') == std::string::npos);
  if (remote->endpoint.empty()) return 0;
  HF_CHECK(remote->endpoint.find_first_of("@?#% \\") == std::string::npos);
  HF_CHECK(host::HostHeaderOf(remote->endpoint).find('/') == std::string::npos);
  (void)host::IsLoopbackOrTls(remote->endpoint);
  (void)host::PathOf(remote->endpoint);
  return 0;
}
