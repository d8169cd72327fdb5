// One HTTP connection's bytes: a head in, an answer out, within fixed sizes and times. Knows where a head
// ends and nothing else of HTTP.
#ifndef HOLDFAST_HOST_METRICS_HTTP_CONNECTION_INTERNAL_H_
#define HOLDFAST_HOST_METRICS_HTTP_CONNECTION_INTERNAL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::host {

// A socket bound to the literal and listening, not blocking. errors: as MetricsServer::Start
Result<int> ListenOn(const std::string& address, uint16_t port, int backlog, uint16_t* chosen);

class HttpConnection {
 public:
  // Owns `fd`, which must not block. Every wait ends at once when `stop_fd` becomes readable (kStopping).
  HttpConnection(int fd, int stop_fd) : fd_(fd), stop_fd_(stop_fd) {}
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Up to and with the first empty line; what the peer sent behind it is dropped.
  // errors  kTooLarge (no empty line within max_bytes), kDeadline, kPeerGone, kStopping
  Result<std::string> ReadHead(size_t max_bytes, int timeout_ms);
  // Writes all and closes, so that the peer can read it. Nobody is told if it could not: it is its answer.
  void Finish(std::string_view answer, int timeout_ms);

 private:
  Status Wait(short events, int64_t until_ms) const;
  int fd_, stop_fd_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_METRICS_HTTP_CONNECTION_INTERNAL_H_
