// What strangers may hold open: at each limit the next one is refused with its code, and a place that is
// left, on whatever way, can be taken again.
#include <future>
#include <thread>

#include "sdk/rpc_internal.h"
#include "sdk/session_stream.h"
#include "sdk/test_server_internal.h"
#include "seam/metrics.h"

namespace holdfast::sdk {
namespace {

using seam::Metric;

constexpr size_t kMax = 2;

uint64_t Value(Metric m) { return seam::Metrics().Get(m); }

template <typename T>
Code CodeIn(const Result<T>& r) {
  return r.has_value() ? Code{} : r.code();
}

class Admission : public testing::Test {
 protected:
  void SetUp() override {
    client = server.NewClient("user.pem");
    ASSERT_TRUE(client->CreateTable("t").has_value());
    for (Metric m : {Metric::kWatches, Metric::kSessionStreams, Metric::kWaits}) ASSERT_EQ(Value(m), 0u);
  }
  void TearDown() override {
    server.backend.Hold(false);
    server.Stop();
    for (Metric m : {Metric::kWatches, Metric::kSessionStreams, Metric::kWaits}) EXPECT_EQ(Value(m), 0u);
  }

  // A watch that ends with the first change it sees, or with `timeout_ms`.
  std::future<Status> StartWatch(const std::string& client_file = "user.pem", uint64_t timeout_ms = 20'000) {
    auto started = std::make_shared<std::promise<void>>();
    auto done = std::async(std::launch::async, [=, this] {
      return server.NewClient(client_file)
          ->Watch(
              "t", "", 0, timeout_ms, [](Change c) { return c.kind == Change::Kind::kMark; },
              [started] { started->set_value(); });
    });
    started->get_future().wait();
    return done;
  }
  Code Watch(const std::string& table, uint64_t timeout_ms = 20'000) {
    Status s = client->Watch(table, "", 0, timeout_ms, [](const Change&) { return false; });
    return s.has_value() ? Code{} : s.code();
  }

  TestServer server{
      session::ServerOptions{.watches_max = kMax, .session_streams_max = kMax, .waits_max = kMax}};
  std::unique_ptr<Client> client;
};

TEST_F(Admission, TheLimitsAreMetrics) {
  EXPECT_EQ(Value(Metric::kWatchesMax), kMax);
  EXPECT_EQ(Value(Metric::kSessionStreamsMax), kMax);
  EXPECT_EQ(Value(Metric::kWaitsMax), kMax);
}

TEST_F(Admission, AWatchTooManyIsRefusedAndOneThatEndsMakesRoom) {
  uint64_t refused = Value(Metric::kRefusedWatches);
  auto first = StartWatch(), second = StartWatch();
  EXPECT_EQ(Value(Metric::kWatches), kMax);
  EXPECT_EQ(Watch("t"), Code::kTooManyWatches);
  EXPECT_EQ(Value(Metric::kRefusedWatches), refused + 1);
  EXPECT_EQ(server.backend.watches(), kMax) << "the backend never heard of it";
  ASSERT_TRUE(client->Put("t", "k", "v").has_value());
  EXPECT_TRUE(first.get().has_value());
  EXPECT_TRUE(second.get().has_value());
  EXPECT_TRUE(Eventually([] { return Value(Metric::kWatches) == 0; }));
  EXPECT_EQ(Watch("t", 50), Code::kDeadline) << "admitted";
}

TEST_F(Admission, AWatchLeavesItsPlaceHoweverItEnds) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Watch("absent"), Code::kNoTable);
    EXPECT_EQ(Watch("t", 20), Code::kDeadline);
    EXPECT_TRUE(Eventually([] { return Value(Metric::kWatches) == 0; }));
  }
  auto revoked = StartWatch(), dropped = StartWatch("admin.pem");
  ASSERT_TRUE(server.NewAdmin()->RevokeClient(server.user_serial).has_value());
  EXPECT_FALSE(revoked.get().has_value());
  EXPECT_TRUE(Eventually([] { return Value(Metric::kWatches) == 1; }));
  ASSERT_TRUE(server.NewClient("admin.pem")->DropTable("t").has_value());
  EXPECT_FALSE(dropped.get().has_value());
  EXPECT_TRUE(Eventually([] { return Value(Metric::kWatches) == 0; }));
}

TEST_F(Admission, AStreamTooManyIsRefusedAndOneThatIsClosedMakesRoom) {
  uint64_t refused = Value(Metric::kRefusedStreams);
  auto first = SessionStream::Open(client->channel()), second = SessionStream::Open(client->channel());
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(Value(Metric::kSessionStreams), kMax);
  EXPECT_EQ(CodeIn(SessionStream::Open(client->channel())), Code::kTooManyStreams);
  EXPECT_EQ(Value(Metric::kRefusedStreams), refused + 1);
  ASSERT_TRUE((*second)->Put("t", "k", "v", Wait::kDurable, {}).has_value());
  EXPECT_TRUE((*second)->Drain().has_value()) << "the others are served";
  first->reset();
  EXPECT_TRUE(Eventually([] { return Value(Metric::kSessionStreams) == 1; }));
  EXPECT_TRUE(SessionStream::Open(client->channel()).has_value());
}

TEST_F(Admission, AStreamWhoseConnectionIsCutLeavesItsPlaceThoughItsWritesAreNotAnswered) {
  auto cut = SessionStream::Open(client->channel());
  ASSERT_TRUE(cut.has_value());
  server.backend.Hold(true);
  ASSERT_TRUE((*cut)->Put("t", "k", "v", Wait::kDurable, {}).has_value());
  EXPECT_TRUE(Eventually([&] { return server.backend.waiting() == 1; }));
  server.backend.Hold(false);
  ASSERT_TRUE((*cut)->Drain().has_value());
  ASSERT_TRUE(server.NewAdmin()->RevokeClient(server.user_serial).has_value());
  EXPECT_TRUE(Eventually([] { return Value(Metric::kSessionStreams) == 0; }));
}

TEST_F(Admission, CallsBeyondThoseThatMayWaitAreRefusedAndReadsThatNeedNotWaitAreServed) {
  uint64_t refused = Value(Metric::kRefusedWaits);
  server.backend.Hold(true);
  std::vector<std::future<Code>> waiting;
  for (size_t i = 0; i < kMax; ++i) {
    waiting.push_back(std::async(std::launch::async, [&] { return CodeIn(client->Put("t", "k", "v")); }));
  }
  EXPECT_TRUE(Eventually([&] { return server.backend.waiting() == kMax; }));
  EXPECT_EQ(Value(Metric::kWaits), kMax);
  EXPECT_EQ(CodeIn(client->Put("t", "k", "w")), Code::kTooManyWaits);
  EXPECT_EQ(CodeIn(client->Delete("t", "k")), Code::kTooManyWaits);
  EXPECT_EQ(CodeIn(client->Sync()), Code::kTooManyWaits);
  EXPECT_EQ(CodeIn(client->CreateTable("u")), Code::kTooManyWaits);
  EXPECT_EQ(CodeIn(client->DropTable("t")), Code::kTooManyWaits);
  EXPECT_EQ(CodeIn(client->Get("t", "k", 1'000)), Code::kTooManyWaits);
  ScanOptions later{.at_least = 1'000};
  EXPECT_EQ(CodeIn(client->Scan("t", later, [](const KeyValue&) { return true; })), Code::kTooManyWaits);
  EXPECT_EQ(Value(Metric::kRefusedWaits), refused + 7);
  EXPECT_EQ(server.backend.waiting(), kMax) << "what is refused has not happened";
  EXPECT_EQ(CodeIn(client->Get("t", "k")), Code{});
  EXPECT_EQ(CodeIn(client->Scan("t", {}, [](const KeyValue&) { return true; })), Code{});
  server.backend.Hold(false);
  for (auto& w : waiting) EXPECT_EQ(w.get(), Code{});
  EXPECT_EQ(Value(Metric::kWaits), 0u) << "left before the answer";
  EXPECT_EQ(CodeIn(client->Put("t", "k", "w")), Code{});
}

TEST_F(Admission, AReadThatWaitsLeavesItsPlaceAtItsDeadlineWhenItsClientGoesAndWhenItIsAnswered) {
  Client hasty(client->channel(), 100);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(CodeIn(hasty.Get("t", "k", 1'000)), Code::kDeadline);
    EXPECT_TRUE(Eventually([] { return Value(Metric::kWaits) == 0; }));
  }
  server.backend.Hold(true);
  auto written = client->Put("t", "k", "v", Wait::kNone);
  ASSERT_TRUE(written.has_value());
  auto get = std::async(std::launch::async, [&] { return client->Get("t", "k", written->index)->found; });
  auto scan = std::async(std::launch::async, [&] {
    return CodeIn(
        client->Scan("t", ScanOptions{.at_least = written->index}, [](const KeyValue&) { return true; }));
  });
  EXPECT_TRUE(Eventually([] { return Value(Metric::kWaits) == kMax; }));
  server.backend.Hold(false);
  EXPECT_TRUE(get.get());
  EXPECT_EQ(scan.get(), Code{});
  EXPECT_EQ(Value(Metric::kWaits), 0u);
}

TEST(Waiting, ReadsThatWaitForTheFutureTakeNoThreadFromTheOthers) {
  TestServer server;
  auto client = server.NewClient();
  ASSERT_TRUE(client->CreateTable("t").has_value());
  // Polled in turns, so many would leave each of the others a fraction of a second to wait.
  constexpr size_t kWaiting = 600;
  std::vector<std::shared_ptr<Channel>> channels;  // 128 streams each
  for (int i = 0; i < 6; ++i) channels.push_back(server.NewClient()->channel());
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::atomic<size_t> ended{0};
  v1::GetRequest request;
  request.set_table("t");
  request.set_key("k");
  request.set_at_least(1'000'000);
  v1::GetReply replies[kWaiting];
  for (size_t i = 0; i < kWaiting; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    auto stub = v1::Kv::NewStub(channels[i % channels.size()]->grpc_channel);
    stub->async()->Get(contexts[i].get(), &request, &replies[i], [&](grpc::Status) { ++ended; });
  }
  EXPECT_TRUE(Eventually([] { return Value(Metric::kWaits) == kWaiting; }));
  auto since = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(client->Get("t", "k").has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - since, std::chrono::seconds(5));
  EXPECT_EQ(ended, 0u);
  for (auto& c : contexts) c->TryCancel();
  EXPECT_TRUE(Eventually([&] { return ended == kWaiting && Value(Metric::kWaits) == 0; }))
      << "those who leave";
}

TEST_F(Admission, AWriteWhoseClientHasGoneKeepsItsPlaceUntilItIsAnswered) {
  server.backend.Hold(true);
  Client hasty(client->channel(), 100);
  EXPECT_EQ(CodeIn(hasty.Put("t", "k", "v")), Code::kDeadline);
  EXPECT_EQ(Value(Metric::kWaits), 1u) << "it is still in memory";
  server.backend.Hold(false);
  EXPECT_TRUE(Eventually([] { return Value(Metric::kWaits) == 0; }));
}

}  // namespace
}  // namespace holdfast::sdk
