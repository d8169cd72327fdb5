// From the head of a request to the whole answer; no socket.
#ifndef HOLDFAST_HOST_METRICS_HTTP_PAGES_INTERNAL_H_
#define HOLDFAST_HOST_METRICS_HTTP_PAGES_INTERNAL_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "host/metrics/metrics_server.h"

namespace holdfast::host {

// Lets one thread at a time ask the core: each question of a Server replaces the one before it.
class CoreTurn {
 public:
  explicit CoreTurn(std::function<CoreValues()> core) : core_(std::move(core)) {}
  CoreValues Ask();  // nothing also if the turn did not come within kCoreTurnMs

 private:
  const std::function<CoreValues()> core_;
  std::mutex mutex_;
  std::condition_variable free_;
  bool busy_ = false;
};

class HttpPages {
 public:
  explicit HttpPages(MetricSources sources);
  ~HttpPages();
  // `head` ends with an empty line and may be anything else. Status line, headers and body. Any thread.
  std::string Answer(std::string head) const;

 private:
  class Routes;
  std::unique_ptr<Routes> routes_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_METRICS_HTTP_PAGES_INTERNAL_H_
