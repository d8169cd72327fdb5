#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "host/metrics/http_connection_internal.h"

namespace holdfast::host {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kLongMs = 20'000;  // never waited out

class HttpConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
    stop_ = ::eventfd(0, EFD_NONBLOCK);
    connection_ = std::make_unique<HttpConnection>(fds[0], stop_);
    peer_ = fds[1];
  }
  void TearDown() override {
    connection_.reset();
    if (peer_ >= 0) ::close(peer_);
    ::close(stop_);
  }
  void Send(const std::string& text) {
    ASSERT_EQ(::send(peer_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  void Stop() {
    uint64_t one = 1;
    ASSERT_EQ(::write(stop_, &one, sizeof one), 8);
  }
  std::unique_ptr<HttpConnection> connection_;
  int peer_ = -1, stop_ = -1;
};

TEST_F(HttpConnectionTest, AHeadEndsAtTheFirstEmptyLineAndTheRestIsDropped) {
  Send("GET / HTTP/1.1\r\nA: b\r\n\r\nGET /second HTTP/1.1\r\n\r\n");
  Result<std::string> head = connection_->ReadHead(100, kLongMs);
  ASSERT_TRUE(head);
  EXPECT_EQ(*head, "GET / HTTP/1.1\r\nA: b\r\n\r\n");
}

TEST_F(HttpConnectionTest, TheEndIsFoundHoweverTheBytesArrive) {
  std::string whole = "GET / HTTP/1.1\r\nA: \r\r\n\n\r\nB: c\r\n\r\n";
  auto head = std::async(std::launch::async, [&] { return connection_->ReadHead(100, kLongMs); });
  for (char c : whole) {
    Send(std::string(1, c));
    std::this_thread::yield();
  }
  Result<std::string> got = head.get();
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, whole);
}

TEST_F(HttpConnectionTest, TheLimitIsExact) {
  std::string head = "GET / HTTP/1.1\r\nA: " + std::string(50, 'x') + "\r\n\r\n";
  Send(head);
  EXPECT_TRUE(connection_->ReadHead(head.size(), kLongMs));
  Send(head);
  EXPECT_EQ(connection_->ReadHead(head.size() - 1, kLongMs).code(), Code::kTooLarge);
}

TEST_F(HttpConnectionTest, WithoutAnEndAtTheLimitNoMoreIsRead) {
  Send(std::string(1000, 'x'));
  EXPECT_EQ(connection_->ReadHead(100, kLongMs).code(), Code::kTooLarge);
  char rest[2000];
  // What it did not take is still there: its memory is the limit, not what the peer sends.
  connection_->Finish("", 100);
  EXPECT_EQ(::recv(peer_, rest, sizeof rest, MSG_DONTWAIT), 0);
}

TEST_F(HttpConnectionTest, AByteNowAndThenDoesNotProlongTheTime) {
  std::atomic<bool> ended{false};
  std::thread drip([&] {
    while (!ended) {
      (void)!::send(peer_, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  auto begin = Clock::now();
  EXPECT_EQ(connection_->ReadHead(1u << 20, 200).code(), Code::kDeadline);
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(190));
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
  ended = true;
  drip.join();
}

TEST_F(HttpConnectionTest, APeerThatGoesBeforeTheEndIsGone) {
  Send("GET / HTTP/1.1\r\n");
  ::close(std::exchange(peer_, -1));
  EXPECT_EQ(connection_->ReadHead(100, kLongMs).code(), Code::kPeerGone);
}

TEST_F(HttpConnectionTest, AStopEndsEveryWaitAtOnce) {
  auto begin = Clock::now();
  auto head = std::async(std::launch::async, [&] { return connection_->ReadHead(100, kLongMs); });
  Stop();
  EXPECT_EQ(head.get().code(), Code::kStopping);
  connection_->Finish(std::string(16u << 20, 'x'), kLongMs);  // nobody reads it
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(kLongMs));
}

TEST_F(HttpConnectionTest, APeerThatDoesNotReadIsLeftAfterItsTime) {
  auto begin = Clock::now();
  connection_->Finish(std::string(16u << 20, 'x'), 200);
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(190));
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(HttpConnectionTest, AnAnswerArrivesWholeAlthoughThePeerStillSends) {
  std::string answer(1u << 20, 'a');
  auto got = std::async(std::launch::async, [&] {
    std::string all;
    char piece[65536];
    for (ssize_t n; (n = ::recv(peer_, piece, sizeof piece, 0)) > 0;)
      all.append(piece, static_cast<size_t>(n));
    ::close(std::exchange(peer_, -1));
    return all;
  });
  Send("bytes of a body that nobody asked for");
  connection_->Finish(answer, kLongMs);
  EXPECT_TRUE(got.get() == answer);
}

TEST(ListenOn, TakesLiteralsOnlyAndSaysWhyNot) {
  uint16_t port = 0, other = 0;
  for (const char* bad : {"localhost", "", "127.0.0.1:80", "300.1.1.1", "192.0.2.1"}) {
    EXPECT_EQ(ListenOn(bad, 0, 1, &port).code(), Code::kInvalidArgument) << bad;
  }
  Result<int> first = ListenOn("127.0.0.1", 0, 1, &port);
  ASSERT_TRUE(first);
  EXPECT_NE(port, 0);
  EXPECT_EQ(ListenOn("127.0.0.1", port, 1, &other).code(), Code::kInUse)
      << "two servers may not share a port";
  ::close(*first);
  Result<int> again = ListenOn("127.0.0.1", port, 1, &other);
  ASSERT_TRUE(again);
  EXPECT_EQ(other, port);
  ::close(*again);
}

}  // namespace
}  // namespace holdfast::host
