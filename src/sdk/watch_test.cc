// Watch end to end (rule H3).
#include <mutex>
#include <thread>

#include "sdk/test_server_internal.h"

namespace holdfast::sdk {
namespace {

class WatchTest : public testing::Test {
 protected:
  void SetUp() override {
    client = server.NewClient("user.pem");
    ASSERT_TRUE(client->CreateTable("t").has_value());
  }
  // Runs a watch until `enough` says so; what it saw, marks left out.
  std::vector<Change> Collect(uint64_t from, size_t changes, const std::function<void()>& started) {
    std::vector<Change> seen;
    Status status = client->Watch(
        "t", prefix, from, 20'000,
        [&](Change c) {
          if (c.kind != Change::Kind::kMark) seen.push_back(std::move(c));
          return seen.size() < changes;
        },
        started);
    EXPECT_TRUE(status.has_value());
    return seen;
  }
  TestServer server;
  std::unique_ptr<Client> client;
  std::string prefix;
};

TEST_F(WatchTest, RuleH3FromNowSendsWhatComesAfterInIndexOrder) {
  ASSERT_TRUE(client->Put("t", "before", "1").has_value());
  auto writer = server.NewClient();
  auto seen = Collect(0, 3, [&] {
    ASSERT_TRUE(writer->Put("t", "a", "1").has_value());
    ASSERT_TRUE(writer->Put("t", "b", "2").has_value());
    ASSERT_TRUE(writer->Delete("t", "a").has_value());
  });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].key, "a");
  EXPECT_EQ(seen[0].value, "1");
  EXPECT_EQ(seen[1].key, "b");
  EXPECT_EQ(seen[2].kind, Change::Kind::kDeleted);
  EXPECT_LT(seen[0].index, seen[1].index);
  EXPECT_LT(seen[1].index, seen[2].index);
  EXPECT_TRUE(Eventually([&] { return server.backend.watches() == 0; }))
      << "a watch that nobody reads is freed";
}

TEST_F(WatchTest, RuleH3FromAnIndexStartsThereAndAMarkFollowsWhatItCovers) {
  auto first = client->Put("t", "x1", "1");
  auto second = client->Put("t", "x2", "2");
  ASSERT_TRUE(client->Put("t", "y", "3").has_value());
  prefix = "x";
  EXPECT_EQ(Collect(first->index, 2, {})[1].key, "x2");
  std::vector<Change> seen;
  Status status = client->Watch("t", "x", second->index, 20'000, [&](Change c) {
    seen.push_back(c);
    return c.kind != Change::Kind::kMark;
  });
  ASSERT_TRUE(status.has_value());
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].key, "x2");
  EXPECT_GT(seen[1].index, second->index) << "the mark covers the change of another prefix";
}

TEST_F(WatchTest, RuleH3FromBelowWhatIsKeptIsTooOld) {
  ASSERT_TRUE(client->Put("t", "a", "1").has_value());
  server.backend.ForgetHistory();
  Status status = client->Watch("t", "", 1, 5'000, [](Change) { return true; });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.code(), Code::kSnapshotTooOld);
}

TEST_F(WatchTest, RuleH3ASlowWatcherIsEndedAndNotBuffered) {
  server.backend.watch_queue_max = 64;
  auto writer = server.NewClient();
  std::mutex gate;
  gate.lock();
  size_t seen = 0;
  Code ended{};
  std::atomic<bool> started{false};
  std::thread watcher([&] {
    Status status = client->Watch(
        "t", "", 0, 60'000,
        [&](Change) {
          std::lock_guard wait(gate);  // reads one change, then stands still
          ++seen;
          return true;
        },
        [&] { started = true; });
    if (!status.has_value()) ended = status.code();
  });
  ASSERT_TRUE(Eventually([&] { return started.load(); }));
  std::string value(100'000, 'v');
  // More than the connection, gRPC and the queue hold together.
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(writer->Put("t", "k" + std::to_string(i), value).has_value());
  EXPECT_TRUE(Eventually([&] { return server.backend.watches() == 0; }))
      << "ended while its reader stands still";
  gate.unlock();
  watcher.join();
  EXPECT_EQ(ended, Code::kOverloaded);
  EXPECT_LT(seen, 400u);
}

TEST_F(WatchTest, EndsAtItsDeadlineAndWhenItsTableIsDropped) {
  Status status = client->Watch("t", "", 0, 300, [](Change) { return true; });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.code(), Code::kDeadline);
  auto other = server.NewClient();
  status = client->Watch(
      "t", "", 0, 20'000, [](Change) { return true; },
      [&] { EXPECT_TRUE(other->DropTable("t").has_value()); });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.code(), Code::kNoTable);
}

}  // namespace
}  // namespace holdfast::sdk
