#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "host/metrics/http_pages_internal.h"
#include "host/metrics/process_numbers.h"

namespace holdfast::host {
namespace {

constexpr const char* kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";
constexpr const char* kPlainText = "text/plain; charset=utf-8";

// A connection as the library sees it: the head is there already, the answer is kept.
class HeadStream : public httplib::Stream {
 public:
  explicit HeadStream(std::string head) : head_(std::move(head)) {}
  bool is_readable() const override { return at_ < head_.size(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    size = std::min(size, head_.size() - at_);
    std::memcpy(to, head_.data() + at_, size);
    at_ += size;
    return static_cast<ssize_t>(size);
  }
  ssize_t write(const char* from, size_t size) override {
    answer_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return INVALID_SOCKET; }
  std::string Take() { return std::move(answer_); }

 private:
  std::string head_, answer_;
  size_t at_ = 0;
};

}  // namespace

CoreValues CoreTurn::Ask() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!free_.wait_for(lock, std::chrono::milliseconds(kCoreTurnMs), [this] { return !busy_; })) return {};
  busy_ = true;
  struct Leave {
    CoreTurn* turn;
    ~Leave() {
      std::lock_guard<std::mutex> again(turn->mutex_);
      turn->busy_ = false;
      turn->free_.notify_one();
    }
  } leave{this};
  lock.unlock();
  return core_();
}

// Of the library we use what reads a request and writes an answer. Its listener lets two processes share a
// port (SO_REUSEPORT), answers 500 once the process has 1,024 descriptors (select), and bounds neither the
// number of headers nor the time of a request.
class HttpPages::Routes : public httplib::Server {
 public:
  explicit Routes(MetricSources sources) : sources_(std::move(sources)), turn_(sources_.core) {
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      Route(request, &response);
      return HandlerResponse::Handled;
    });
  }

  std::string Answer(std::string head) {
    HeadStream stream(std::move(head));
    bool closed = false;
    // A head full of ranges would be answered with a page for each.
    auto whole = [](httplib::Request& request) { request.ranges.clear(); };
    (void)process_request(stream, /*close_connection=*/true, closed, whole);
    return stream.Take();
  }

 private:
  void Route(const httplib::Request& request, httplib::Response* response) {
    bool metrics = request.path == "/metrics";
    if (!metrics && request.path != "/healthz") return Say(404, "not found\n", response);
    if (request.method != "GET") {
      response->set_header("Allow", "GET");
      return Say(405, "GET only\n", response);
    }
    if (metrics) return Metrics(response);
    bool up = turn_.Ask().has_value();
    Say(up ? 200 : 503, up ? "ok\n" : "the core does not answer\n", response);
  }

  static void Say(int status, const char* text, httplib::Response* response) {
    response->status = status;
    response->set_content(text, kPlainText);
  }

  void Metrics(httplib::Response* response) {
    auto begin = std::chrono::steady_clock::now();
    CoreValues core = turn_.Ask();
    HostValues host;
    AddProcessNumbers(&host);
    sources_.host(&host);
    auto took = std::chrono::steady_clock::now() - begin;
    host[HostMetric::kScrapeTime] =
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
    response->status = 200;
    response->set_content(RenderMetrics(core, host), kPrometheusText);
  }

  const MetricSources sources_;
  CoreTurn turn_;
};

HttpPages::HttpPages(MetricSources sources) : routes_(std::make_unique<Routes>(std::move(sources))) {}
HttpPages::~HttpPages() = default;
std::string HttpPages::Answer(std::string head) const { return routes_->Answer(std::move(head)); }

}  // namespace holdfast::host
