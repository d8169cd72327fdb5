#include "host/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "host/metrics/exposition_internal.h"

namespace holdfast::host {
namespace {

using Clock = std::chrono::steady_clock;

// A peer over real TCP that can do everything wrong.
class Peer {
 public:
  explicit Peer(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~Peer() { ::close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool connected() const { return connected_; }
  void Send(std::string_view text) const {
    while (!text.empty()) {
      ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return;  // the server has had enough
      text.remove_prefix(static_cast<size_t>(n));
    }
  }
  std::string ReadAll() const {
    std::string all;
    char piece[8192];
    for (ssize_t n; (n = ::recv(fd_, piece, sizeof piece, 0)) > 0;) all.append(piece, static_cast<size_t>(n));
    return all;
  }

 private:
  int fd_;
  bool connected_ = false;
};

std::string StatusOf(const std::string& answer) { return answer.substr(0, answer.find("\r\n")); }
std::string BodyOf(const std::string& answer) {
  size_t end = answer.find("\r\n\r\n");
  return end == answer.npos ? "" : answer.substr(end + 4);
}

class MetricsServerTest : public ::testing::Test {
 protected:
  void Start() {
    MetricSources sources;
    sources.core = [this] { return core_(); };
    sources.host = [](HostValues* values) { (*values)[HostMetric::kConnections] = 77; };
    Result<std::unique_ptr<MetricsServer>> server = MetricsServer::Start("127.0.0.1", 0, std::move(sources));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
  }
  std::string Ask(const std::string& bytes) {
    Peer peer(server_->port());
    peer.Send(bytes);
    return peer.ReadAll();
  }
  std::string Get(const std::string& path) { return Ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); }

  std::function<CoreValues()> core_ = [] { return std::vector<uint64_t>(seam::kMetrics, 3); };
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, MetricsAreTheNumbersOfCoreAndHostInTheDeclaredFormat) {
  Start();
  std::string answer = Get("/metrics");
  EXPECT_EQ(StatusOf(answer), "HTTP/1.1 200 OK");
  EXPECT_NE(answer.find("Content-Type: text/plain; version=0.0.4"), answer.npos) << answer.substr(0, 300);
  EXPECT_NE(answer.find("Connection: close"), answer.npos);
  Exposition read(BodyOf(answer));
  EXPECT_EQ(read.Get("holdfast_connections"), "3");
  EXPECT_EQ(read.Get("holdfast_host_connections"), "77");
  EXPECT_EQ(read.Get("holdfast_core_up"), "1");
  EXPECT_NE(read.Get("holdfast_host_resident_bytes"), "0");
  EXPECT_NE(read.Get("holdfast_host_scrape_seconds"), "0.000000000");
}

TEST_F(MetricsServerTest, WithoutTheCoreMetricsStillAnswerAndHealthDoesNot) {
  core_ = [] { return CoreValues{}; };
  Start();
  std::string answer = Get("/metrics");
  EXPECT_EQ(StatusOf(answer), "HTTP/1.1 200 OK");
  EXPECT_EQ(Exposition(BodyOf(answer)).Get("holdfast_core_up"), "0");
  EXPECT_EQ(StatusOf(Get("/healthz")), "HTTP/1.1 503 Service Unavailable");
}

TEST_F(MetricsServerTest, HealthIsTheCoresAnswer) {
  Start();
  std::string answer = Get("/healthz");
  EXPECT_EQ(StatusOf(answer), "HTTP/1.1 200 OK");
  EXPECT_EQ(BodyOf(answer), "ok\n");
}

TEST_F(MetricsServerTest, NothingElseIsThereAndNoOtherMethod) {
  Start();
  for (const char* path : {"/", "/metrics/", "/Metrics", "//metrics", "/metrics/../healthz", "/etc/passwd",
                           "/..%2f..%2fetc/passwd", "/metrics%00"}) {
    EXPECT_EQ(StatusOf(Get(path)), "HTTP/1.1 404 Not Found") << path;
  }
  EXPECT_EQ(StatusOf(Get("/metrics?name[]=x")), "HTTP/1.1 200 OK");
  for (const char* method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"}) {
    std::string answer = Ask(std::string(method) + " /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(StatusOf(answer), "HTTP/1.1 405 Method Not Allowed") << method;
    EXPECT_NE(answer.find("Allow: GET"), answer.npos) << method;
  }
}

TEST_F(MetricsServerTest, WhatIsNoHttpGetsARefusalOrNothingAndHarmsNobody) {
  Start();
  const std::string cases[] = {"BREW /metrics HTTP/1.1\r\n\r\n",
                               "GET /metrics\r\n\r\n",
                               "GET /metrics HTTP/2.0\r\n\r\n",
                               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                               "\r\n\r\n",
                               "\r\n\r\n\r\n\r\n",
                               std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15),
                               std::string("GET \0 HTTP/1.1\r\n\r\n", 18),
                               "GET " + std::string(4000, '%') + " HTTP/1.1\r\n\r\n",
                               std::string(500, '\xff') + "\r\n\r\n"};
  for (const std::string& bytes : cases) {
    std::string status = StatusOf(Ask(bytes));
    EXPECT_TRUE(status.empty() || status.starts_with("HTTP/1.1 4")) << bytes.substr(0, 40) << ": " << status;
  }
  uint64_t seed = 1;  // every byte can be anything
  for (int i = 0; i < 200; ++i) {
    std::string bytes = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nRange: bytes=0-1\r\n\r\n";
    for (int change = 0; change < 4; ++change) {
      seed = seed * 6364136223846793005 + 1442695040888963407;
      bytes[(seed >> 33) % (bytes.size() - 4)] = static_cast<char>(seed >> 24);
    }
    std::string status = StatusOf(Ask(bytes));
    EXPECT_TRUE(status.empty() || status.starts_with("HTTP/1.1 ")) << status;
  }
  EXPECT_EQ(StatusOf(Get("/healthz")), "HTTP/1.1 200 OK");
}

TEST_F(MetricsServerTest, AHeadBeyondItsLimitIsRefusedHoweverItIsMade) {
  Start();
  std::string one_line = "GET /metrics HTTP/1.1\r\nCookie: " + std::string(kHeadBytesMax, 'x') + "\r\n\r\n";
  std::string lines = "GET /metrics HTTP/1.1\r\n";
  while (lines.size() <= kHeadBytesMax) lines += "a: b\r\n";
  std::string path = "GET /" + std::string(kHeadBytesMax, 'x') + " HTTP/1.1\r\n\r\n";
  std::string endless(4u << 20, 'x');
  for (const std::string& bytes : {one_line, lines + "\r\n", path, endless}) {
    EXPECT_EQ(StatusOf(Ask(bytes)).substr(0, 12), "HTTP/1.1 431") << bytes.substr(0, 40);
  }
  std::string fits = "GET /metrics HTTP/1.1\r\nCookie: " + std::string(kHeadBytesMax - 100, 'x') + "\r\n\r\n";
  EXPECT_EQ(StatusOf(Ask(fits)), "HTTP/1.1 200 OK");
}

TEST_F(MetricsServerTest, RangesDoNotMultiplyTheAnswer) {
  Start();
  size_t whole = BodyOf(Get("/metrics")).size();
  std::string ranges = "bytes=0-";
  while (ranges.size() < kHeadBytesMax - 200) ranges += ",0-";
  std::string answer = Ask("GET /metrics HTTP/1.1\r\nRange: " + ranges + "\r\n\r\n");
  EXPECT_EQ(StatusOf(answer), "HTTP/1.1 200 OK");
  EXPECT_NEAR(static_cast<double>(BodyOf(answer).size()), static_cast<double>(whole), 100);
}

TEST_F(MetricsServerTest, OneRequestAConnection) {
  Start();
  std::string request = "GET /healthz HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", flood;
  for (int i = 0; i < 200; ++i) flood += request;
  std::string answer = Ask(flood);
  EXPECT_EQ(answer.find("HTTP/1.1 200 OK"), 0u);
  EXPECT_EQ(answer.find("HTTP/1.1", 1), answer.npos) << "a second answer";
}

TEST_F(MetricsServerTest, TheCoreIsNeverAskedByTwoAtOnceAndEverybodyGetsAnAnswer) {
  std::atomic<int> inside{0}, most{0};
  core_ = [&] {
    int now = ++inside;
    if (now > most) most = now;
    std::this_thread::yield();
    --inside;
    return std::vector<uint64_t>(seam::kMetrics, 1);
  };
  Start();
  std::vector<std::future<int>> askers;
  for (int i = 0; i < 16; ++i) {
    askers.push_back(std::async(std::launch::async, [&] {
      int up = 0;
      for (int n = 0; n < 10; ++n) up += StatusOf(Get("/healthz")) == "HTTP/1.1 200 OK";
      return up;
    }));
  }
  for (auto& a : askers) EXPECT_EQ(a.get(), 10);
  EXPECT_EQ(most, 1);
}

TEST_F(MetricsServerTest, ACoreThatHangsCostsABoundedWaitForEachOfManyScrapers) {
  constexpr auto kCore = std::chrono::milliseconds(1000);
  core_ = [&] {
    std::this_thread::sleep_for(kCore);  // as AskMetrics does when the core does not answer
    return CoreValues{};
  };
  Start();
  auto begin = Clock::now();
  std::vector<std::future<std::string>> askers;
  for (int i = 0; i < kMetricsConnectionsMax; ++i) {
    askers.push_back(std::async(std::launch::async, [&] { return StatusOf(Get("/metrics")); }));
  }
  for (auto& a : askers) EXPECT_EQ(a.get(), "HTTP/1.1 200 OK");
  auto bound = kCore + std::chrono::milliseconds(kCoreTurnMs) + std::chrono::seconds(1);
  EXPECT_LT(Clock::now() - begin, bound) << "waits must not add up";
}

// Takes kHeadMs: the promise is that long.
TEST_F(MetricsServerTest, PeersThatSendNothingGiveTheirPlacesUpAfterTheirTime) {
  Start();
  std::vector<std::unique_ptr<Peer>> silent;
  for (int i = 0; i < kMetricsConnectionsMax; ++i) {
    silent.push_back(std::make_unique<Peer>(server_->port()));
    silent.back()->Send("GET /metrics HTT");
  }
  auto begin = Clock::now();
  EXPECT_EQ(StatusOf(Get("/healthz")), "HTTP/1.1 200 OK") << "it waited in the kernel, and was served";
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(2 * kHeadMs));
  for (auto& peer : silent) EXPECT_EQ(StatusOf(peer->ReadAll()), "HTTP/1.1 408 Request Timeout");
}

TEST_F(MetricsServerTest, StopsAtOnceWhateverThePeersDoAndTwice) {
  Start();
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < kMetricsConnectionsMax + 4; ++i) {
    peers.push_back(std::make_unique<Peer>(server_->port()));
    peers.back()->Send("GET /met");
  }
  uint16_t port = server_->port();
  auto begin = Clock::now();
  server_->Stop();
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(kHeadMs / 2));
  server_->Stop();
  EXPECT_FALSE(Peer(port).connected());
  for (auto& peer : peers) EXPECT_EQ(peer->ReadAll(), "");
  server_.reset();
}

TEST_F(MetricsServerTest, APortInUseIsSaidAndNotShared) {
  Start();
  MetricSources sources{[] { return CoreValues{}; }, [](HostValues*) {}};
  EXPECT_EQ(MetricsServer::Start("127.0.0.1", server_->port(), sources).code(), Code::kInUse);
  EXPECT_EQ(MetricsServer::Start("localhost", 0, sources).code(), Code::kInvalidArgument);
  EXPECT_EQ(StatusOf(Get("/healthz")), "HTTP/1.1 200 OK");
}

TEST_F(MetricsServerTest, ACompressedAnswerIsGivenToWhoAsksForOne) {
  Start();
  std::string answer = Ask("GET /metrics HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n");
  EXPECT_NE(answer.find("Content-Encoding: gzip"), answer.npos);
  EXPECT_TRUE(BodyOf(answer).starts_with("\x1f\x8b"));
}

}  // namespace
}  // namespace holdfast::host
