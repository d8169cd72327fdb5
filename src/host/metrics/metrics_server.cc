#include "host/metrics/metrics_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "host/metrics/http_connection_internal.h"
#include "host/metrics/http_pages_internal.h"

namespace holdfast::host {
namespace {

constexpr int kAcceptPauseMs = 100;  // after a descriptor shortage: a connection that waits keeps poll awake

std::string Refusal(Code code) {
  const char* status = code == Code::kTooLarge   ? "431 Request Header Fields Too Large"
                       : code == Code::kDeadline ? "408 Request Timeout"
                                                 : nullptr;
  if (status == nullptr) return {};
  return std::string("HTTP/1.1 ") + status + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
}

}  // namespace

// kMetricsConnectionsMax threads, each of which accepts, serves and closes one connection after the other:
// the number of threads is the bound, and nothing is queued on our side.
struct MetricsServer::State {
  explicit State(MetricSources sources) : pages(std::move(sources)) {}
  ~State() {
    if (listener >= 0) ::close(listener);
    if (stop >= 0) ::close(stop);
  }

  void Work() {
    for (;;) {
      pollfd fds[2] = {{listener, POLLIN, 0}, {stop, POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) continue;  // EINTR
      if (fds[1].revents != 0) return;
      int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        Serve(fd);
      } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        (void)::poll(&fds[1], 1, kAcceptPauseMs);
      }
    }
  }

  void Serve(int fd) const {
    HttpConnection connection(fd, stop);
    Result<std::string> head = connection.ReadHead(kHeadBytesMax, kHeadMs);
    std::string answer = head ? pages.Answer(std::move(*head)) : Refusal(head.code());
    if (!answer.empty()) connection.Finish(answer, kHeadMs);
  }

  const HttpPages pages;
  int listener = -1;
  int stop = -1;  // eventfd; readable from the stop on, for every thread
  uint16_t port = 0;
  std::vector<std::thread> threads;
};

MetricsServer::MetricsServer(std::unique_ptr<State> s) : s_(std::move(s)) {}
MetricsServer::~MetricsServer() { Stop(); }
uint16_t MetricsServer::port() const { return s_->port; }

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address, uint16_t port,
                                                            MetricSources sources) {
  auto s = std::make_unique<State>(std::move(sources));
  HF_TRY(s->listener, ListenOn(address, port, kMetricsBacklog, &s->port));
  s->stop = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s->stop < 0) return Code::kIo;
  State& state = *s;
  for (int i = 0; i < kMetricsConnectionsMax; ++i) state.threads.emplace_back([&state] { state.Work(); });
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(s)));
}

void MetricsServer::Stop() {
  uint64_t one = 1;
  (void)!::write(s_->stop, &one, sizeof one);
  for (std::thread& t : s_->threads) t.join();
  s_->threads.clear();
  // Nobody is left in the kernel's queue of connections either.
  if (s_->listener >= 0) ::close(std::exchange(s_->listener, -1));
}

}  // namespace holdfast::host
