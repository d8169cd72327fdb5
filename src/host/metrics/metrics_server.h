// Numbers over HTTP/1.1, in the clear, for Prometheus and for probes:
//
//   GET /metrics   200, text/plain; version=0.0.4: metrics_text.h. Also without the core (holdfast_core_up 0)
//   GET /healthz   200 "ok" if the core answers, else 503
//   anything else  404; another method 405; what is no HTTP 400; a head too large 431; one too slow 408
//
// No TLS and no authentication: whoever reaches the port reads the numbers, and nothing but numbers is there.
// Whoever chooses an address beyond loopback decides who may.
//
// A stranger at the port costs four threads and some memory, never the service of the store:
//
//   connections served at once    kMetricsConnectionsMax; further ones wait in the kernel (kMetricsBacklog)
//   request line and headers      kHeadBytesMax in all; bodies are not read; nothing but the first request of
//                                 a connection is answered (no keep-alive)
//   time to send the head         kHeadMs in all, not from byte to byte; the same for taking the answer
//   questions to the core         one at a time
#ifndef HOLDFAST_HOST_METRICS_METRICS_SERVER_H_
#define HOLDFAST_HOST_METRICS_METRICS_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "host/metrics/metrics_text.h"

namespace holdfast::host {

inline constexpr int kMetricsConnectionsMax = 4;  // a scraper, a probe, a person, and one that hangs
inline constexpr int kMetricsBacklog = 8;  // short: a scraper waits kHeadMs for each four that hang before it
inline constexpr size_t kHeadBytesMax = 8u << 10;  // a browser's cookies for the same host go along
inline constexpr int kHeadMs = 5000;
// So long a request waits for its turn at the core; then it is answered as if the core had not answered. With
// the time that the core gets, the bound of a scrape; scrapers wait 10 s.
inline constexpr int kCoreTurnMs = 1000;

struct MetricSources {
  // Asks the core; may take about a second. Never called by two threads at once.
  std::function<CoreValues()> core;
  // Adds what its owner knows of connections and storage. From several threads at once.
  std::function<void(HostValues*)> host;
};

class MetricsServer {
 public:
  // `address` is an IPv4 or IPv6 literal; port 0 picks one. Accepts when it returns. The sources are called
  // until Stop has returned.
  // errors  kInvalidArgument (no literal, or no address of this machine), kInUse, kPermission, kIo
  static Result<std::unique_ptr<MetricsServer>> Start(const std::string& address, uint16_t port,
                                                      MetricSources sources);
  ~MetricsServer();

  uint16_t port() const;
  // Closes all connections and joins; waits for no peer, only for a question that is at the core. Again: no
  // effect. One thread.
  void Stop();

 private:
  struct State;
  explicit MetricsServer(std::unique_ptr<State> s);
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_METRICS_METRICS_SERVER_H_
