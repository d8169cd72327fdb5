#include "host/net/net.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/limits.h"

namespace holdfast::host {
namespace {

// A core that records and grants what the test tells it to.
class Core : public seam::CoreEndpoint {
 public:
  struct Stream {
    seam::Listener listener{};
    Bytes bytes;
    uint64_t credit = 0;
    bool closed = false;
  };
  void FromHost(seam::HostToCore message) override {
    std::lock_guard lock(mutex_);
    if (auto* m = std::get_if<seam::StreamOpened>(&message)) streams_[m->id.value].listener = m->listener;
    if (auto* m = std::get_if<seam::StreamBytes>(&message)) Append(streams_[m->id.value].bytes, m->bytes);
    if (auto* m = std::get_if<seam::StreamCredit>(&message)) streams_[m->id.value].credit += m->bytes;
    if (auto* m = std::get_if<seam::StreamClosed>(&message)) streams_[m->id.value].closed = true;
    changed_.notify_all();
  }
  bool WaitFor(const std::function<bool(std::map<uint64_t, Stream>&)>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return holds(streams_); });
  }
  // The newest stream, once there is one.
  seam::StreamId Newest() {
    EXPECT_TRUE(WaitFor([](auto& s) { return !s.empty() && s.rbegin()->second.credit > 0; }));
    std::lock_guard lock(mutex_);
    return seam::StreamId(streams_.rbegin()->first);
  }
  Stream Get(seam::StreamId id) {
    std::lock_guard lock(mutex_);
    return streams_[id.value];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, Stream> streams_;
};

class NetTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(net.Start().has_value());
    auto listened = net.Listen(seam::Listener::kUser, "127.0.0.1", 0);
    ASSERT_TRUE(listened.has_value());
    port = *listened;
  }
  void TearDown() override {
    net.Stop();
    for (int fd : sockets) close(fd);
  }
  int Connect() {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    sockets.push_back(fd);
    return fd;
  }
  static size_t ReadToEnd(int fd) {
    char buffer[65536];
    size_t total = 0;
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) total += static_cast<size_t>(n);
    return total;
  }
  Core core;
  Net net{core};
  uint16_t port = 0;
  std::vector<int> sockets;
};

TEST_F(NetTest, PortZeroPicksOneAndATakenOneIsRefused) {
  EXPECT_NE(port, 0);
  auto taken = net.Listen(seam::Listener::kAdmin, "127.0.0.1", port);
  ASSERT_FALSE(taken.has_value());
  EXPECT_EQ(taken.code(), Code::kInUse);
  EXPECT_EQ(net.Listen(seam::Listener::kAdmin, "localhost", 0).code(), Code::kInvalidArgument);
  EXPECT_EQ(net.Listen(seam::Listener::kAdmin, "203.0.113.1", 0).code(), Code::kInvalidArgument);
  auto admin = net.Listen(seam::Listener::kAdmin, "127.0.0.1", 0);
  ASSERT_TRUE(admin.has_value());
  port = *admin;
  Connect();
  EXPECT_EQ(core.Get(core.Newest()).listener, seam::Listener::kAdmin);
}

TEST_F(NetTest, ReadsOnlyWhatTheCoreHasGranted) {
  int fd = Connect();
  seam::StreamId id = core.Newest();
  ASSERT_EQ(send(fd, "0123456789", 10, 0), 10);
  net.FromCore(seam::StreamCredit{id, 4});
  EXPECT_TRUE(core.WaitFor([&](auto& s) { return s[id.value].bytes.size() == 4; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(ToText(core.Get(id).bytes), "0123");
  net.FromCore(seam::StreamCredit{id, 100});
  EXPECT_TRUE(core.WaitFor([&](auto& s) { return s[id.value].bytes.size() == 10; }));
}

TEST_F(NetTest, ACoreThatSendsMoreThanItWasGrantedLosesTheConnection) {
  int fd = Connect();
  seam::StreamId id = core.Newest();
  ASSERT_EQ(core.Get(id).credit, kNetWindowBytes);
  net.FromCore(seam::StreamBytes{id, Bytes(kNetWindowBytes + 1)});
  EXPECT_EQ(ReadToEnd(fd), 0u);
  EXPECT_TRUE(core.WaitFor([&](auto& s) { return s[id.value].closed; }));
}

TEST_F(NetTest, CreditReturnsAsThePeerTakesBytes) {
  int fd = Connect();
  seam::StreamId id = core.Newest();
  size_t sent = 0, want = 20u << 20;
  std::thread reader([&] { EXPECT_EQ(ReadToEnd(fd), want); });
  while (sent < want) {
    ASSERT_TRUE(core.WaitFor([&](auto& s) { return s[id.value].credit - sent >= 65536; }));
    net.FromCore(seam::StreamBytes{id, Bytes(65536, 'x')});
    sent += 65536;
  }
  net.FromCore(seam::StreamClosed{id});
  reader.join();
}

TEST_F(NetTest, TheLastBytesArriveBeforeTheCloseEvenIfThePeerStillSends) {
  int fd = Connect();
  seam::StreamId id = core.Newest();
  std::string unread(100'000, 'u');
  ASSERT_GT(send(fd, unread.data(), unread.size(), 0), 0);
  net.FromCore(seam::StreamBytes{id, Bytes(1000, 'l')});
  net.FromCore(seam::StreamClosed{id});
  EXPECT_EQ(ReadToEnd(fd), 1000u) << "a reset would have swallowed them";
  shutdown(fd, SHUT_WR);
  for (int i = 0; i < 1000 && net.connections() != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(net.connections(), 0u);
  EXPECT_FALSE(core.Get(id).closed) << "each side says it once, and the core was first";
}

TEST_F(NetTest, APeerThatGoesIsToldToTheCore) {
  int fd = Connect();
  seam::StreamId id = core.Newest();
  net.FromCore(seam::StreamCredit{id, 100});
  shutdown(fd, SHUT_RDWR);
  EXPECT_TRUE(core.WaitFor([&](auto& s) { return s[id.value].closed; }));
  net.FromCore(seam::StreamBytes{id, Bytes(10)});
  net.FromCore(seam::StreamClosed{id});
  net.FromCore(seam::StreamCredit{seam::StreamId(999), 1});
  EXPECT_EQ(net.connections(), 0u);
}

TEST_F(NetTest, BeyondTheLimitConnectionsWaitUntilOneHasGone) {
  std::vector<int> fds;
  for (size_t i = 0; i < limits::kConnectionsMax + 20; ++i) fds.push_back(Connect());
  EXPECT_TRUE(core.WaitFor([](auto& s) { return s.size() == limits::kConnectionsMax; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(net.connections(), limits::kConnectionsMax);
  net.FromCore(seam::StreamCredit{core.Newest(), 1});
  for (int i = 0; i < 20; ++i) shutdown(fds[static_cast<size_t>(i)], SHUT_RDWR);
  core.WaitFor([this](auto& s) {
    for (auto& [id, stream] : s) net.FromCore(seam::StreamCredit{seam::StreamId(id), 1});
    return true;
  });
  EXPECT_TRUE(core.WaitFor([](auto& s) { return s.size() == limits::kConnectionsMax + 20; }));
}

TEST_F(NetTest, AfterStopListeningNobodyElseConnects) {
  Connect();
  core.Newest();
  net.StopListening();
  for (int i = 0; i < 1000; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool refused = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0;
    close(fd);
    if (refused) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  FAIL() << "still accepting";
}

}  // namespace
}  // namespace holdfast::host
