// One HTTP client for every provider that speaks it: libcurl, with everything bounded.
//
//   HttpClient client(options);
//   client.Send(request, sign) -> HttpAnswer           blocking; any number of threads at once
//
// Connections are kept and used again, one for each call that is under way (at most kConnectionsKept idle).
// TLS 1.2 or later, peers checked against the system's roots or `ca_file`; there is no way to turn that off.
// Redirects are not followed and cookies not kept. Proxies: the variables that curl knows (https_proxy, …).
//
// Retries: a connection that fails or stalls, and the answers 429, 500, 502, 503, 504 (and what
// `HttpRequest::throttled` says) are tried again, kAttemptsMax times in all, after a random pause below
// first * 2^n (Retry-After is honoured up to the longest). All calls share a budget: a retry takes one, ten
// answers give one back; without budget a call fails at once, so that a provider in trouble is not hit
// harder by all of us together. A caller must expect that any request was sent, and had its effect, more than
// once: curl too sends again when a kept connection turns out to be closed.
//
// Nothing is logged. Errors carry no text: neither URLs nor headers can leak through them.
#ifndef HOLDFAST_HOST_HTTP_CLIENT_H_
#define HOLDFAST_HOST_HTTP_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/untrusted.h"

namespace holdfast::host {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string, std::less<>> headers;  // lower-case names; of several the last
  UntrustedBytes body;
  bool ok() const { return status >= 200 && status < 300; }
  std::string_view Header(std::string_view name) const;  // empty: not there
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::map<std::string, std::string> headers;
  ByteView body;
  uint64_t answer_bytes_max = 1u << 20;
  std::function<bool(const HttpAnswer&)> throttled;  // more answers that are worth another try
};

struct HttpOptions {
  std::string ca_file;  // PEM; empty: the system's roots
  int attempts_max = 7;
  uint64_t backoff_first_ms = 50;   // 50, 100, … 1,600: some two seconds in all
  uint64_t backoff_most_ms = 5000;  // also of Retry-After
  long connect_timeout_ms = 5000;
  long stall_timeout_s = 20;   // not one byte for so long: a paused provider
  long call_seconds_max = 30;  // no attempt begins later: a paused provider costs one more stall at most
};

class HttpClient {
 public:
  static constexpr int kRetryBudget = 100;
  static constexpr int kAnswersForARetry = 10;
  static constexpr size_t kConnectionsKept = 16;        // more calls at once than the storage lanes make
  static constexpr size_t kHeaderBytesMax = 64u << 10;  // of one answer

  explicit HttpClient(HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `sign` is called ahead of each attempt and may change headers (dates, signatures).
  //   errors  kUnreachable: no answer after all attempts, or a peer that TLS does not accept.
  //           kTooLarge: the body exceeds answer_bytes_max. kMalformed: not HTTP.
  // An answer that was worth another try is returned as it is when there is none left.
  Result<HttpAnswer> Send(HttpRequest request, const std::function<void(HttpRequest&)>& sign = {});

 private:
  struct Handle;
  // `again`: it failed in a way that another attempt may not.
  Result<HttpAnswer> Attempt(const HttpRequest& request, bool& again);
  bool TakeRetry();
  void GiveBack();

  const HttpOptions options_;
  std::atomic<int> tenths_;  // of retries left
  std::mutex mutex_;         // idle_
  std::vector<std::unique_ptr<Handle>> idle_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_HTTP_CLIENT_H_
