// The Session stream end to end (rules H1, H4).
#include "sdk/session_stream.h"

#include <mutex>

#include "sdk/test_server_internal.h"

namespace holdfast::sdk {
namespace {

class Session : public testing::Test {
 protected:
  void SetUp() override {
    client = server.NewClient("user.pem");
    ASSERT_TRUE(client->CreateTable("t").has_value());
    auto opened = SessionStream::Open(client->channel());
    ASSERT_TRUE(opened.has_value());
    stream = std::move(opened).value();
  }
  static std::string Key(int i) { return "k" + std::to_string(i); }
  TestServer server;
  std::unique_ptr<Client> client;
  std::unique_ptr<SessionStream> stream;
};

TEST_F(Session, KeepsSixtyFourWritesOutstanding) {
  server.backend.Hold(true);
  std::atomic<int> answered{0};
  for (int i = 0; i < 64; ++i) {
    ASSERT_TRUE(stream
                    ->Put("t", Key(i), "v", Wait::kDurable,
                          [&](const Answer& a) {
                            EXPECT_TRUE(a.status.has_value());
                            EXPECT_EQ(a.written.reached, Wait::kDurable);
                            ++answered;
                          })
                    .has_value());
  }
  EXPECT_TRUE(Eventually([&] { return server.backend.waiting() == 64; }))
      << "all of them are on their way at once";
  EXPECT_EQ(answered, 0);
  server.backend.Hold(false);
  ASSERT_TRUE(stream->Drain().has_value());
  EXPECT_EQ(answered, 64);
  EXPECT_TRUE(client->Get("t", Key(63))->found);
}

TEST_F(Session, TheServerTakesNoMoreThanItsLimitOutstanding) {
  auto wide = SessionStream::Open(client->channel(), 256);
  ASSERT_TRUE(wide.has_value());
  EXPECT_FALSE(SessionStream::Open(client->channel(), 257).has_value());
  server.backend.Hold(true);
  // Two streams of one client do not add up in one another.
  for (int i = 0; i < 256; ++i) ASSERT_TRUE((*wide)->Put("t", Key(i), "v", Wait::kDurable, {}).has_value());
  EXPECT_TRUE(Eventually([&] { return server.backend.waiting() == 256; }));
  server.backend.Hold(false);
  EXPECT_TRUE((*wide)->Drain().has_value());
}

// Rule H1.
TEST_F(Session, RuleH1AReadSeesTheWritesSentBeforeIt) {
  std::atomic<int> right{0};
  for (int i = 0; i < 200; ++i) {
    Wait wait = i % 2 == 0 ? Wait::kNone : Wait::kDurable;
    ASSERT_TRUE(stream->Put("t", "counter", std::to_string(i), wait, {}).has_value());
    // Later writes may have happened by the time it is read; the one before it must have.
    ASSERT_TRUE(stream
                    ->Get("t", "counter",
                          [&right, i](const Answer& a) {
                            if (a.status.has_value() && a.value.found && std::stoi(a.value.value) >= i)
                              ++right;
                          })
                    .has_value());
  }
  ASSERT_TRUE(stream->Drain().has_value());
  EXPECT_EQ(right, 200);
}

TEST_F(Session, OneFailedOperationLeavesTheOthersAlone) {
  Code codes[4] = {};
  uint64_t detail = 99;
  Batch batch;
  batch.compares = {{Compare::Kind::kAbsent, "t", "x", ""}, {Compare::Kind::kPresent, "t", "x", ""}};
  auto keep = [&](int i) {
    return [&codes, i](const Answer& a) { codes[i] = a.status.has_value() ? Code{} : a.status.code(); };
  };
  ASSERT_TRUE(stream->Put("missing", "k", "v", Wait::kDurable, keep(0)).has_value());
  ASSERT_TRUE(stream
                  ->Apply(batch, Wait::kDurable,
                          [&](const Answer& a) {
                            codes[1] = a.status.has_value() ? Code{} : a.status.code();
                            detail = a.detail;
                          })
                  .has_value());
  ASSERT_TRUE(stream->Put("t", "", "v", Wait::kDurable, keep(2)).has_value());
  ASSERT_TRUE(stream->Put("t", "k", "v", Wait::kDurable, keep(3)).has_value());
  ASSERT_TRUE(stream->Delete("t", "k", Wait::kDurable, {}).has_value());
  ASSERT_TRUE(stream->Sync({}).has_value());
  ASSERT_TRUE(stream->Drain().has_value());
  EXPECT_EQ(codes[0], Code::kNoTable);
  EXPECT_EQ(codes[1], Code::kConflict);
  EXPECT_EQ(detail, 1u);
  EXPECT_EQ(codes[2], Code::kKeySize);
  EXPECT_EQ(codes[3], Code{});
  EXPECT_FALSE(client->Get("t", "k")->found);
}

// Rule H4: the connection dies with 40 writes applied and not answered, and 24 not even applied.
TEST_F(Session, RuleH4WritesSentAgainAfterReconnectionHappenOnce) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(stream->Put("t", Key(i), "v", Wait::kDurable, {}).has_value());
  ASSERT_TRUE(stream->Drain().has_value());
  uint64_t session = stream->session();
  uint64_t before = server.backend.applied_batches();

  server.backend.Hold(true);
  std::atomic<int> answered{0}, failed{0};
  auto count = [&](const Answer& a) { ++(a.status.has_value() ? answered : failed); };
  for (int i = 10; i < 74; ++i) ASSERT_TRUE(stream->Put("t", Key(i), "v", Wait::kDurable, count).has_value());
  ASSERT_TRUE(Eventually([&] { return server.backend.waiting() == 64; }));
  server.net->Stop();  // every connection breaks; what was submitted is applied all the same
  EXPECT_FALSE(stream->Drain().has_value());
  EXPECT_EQ(stream->outstanding(), 64u);
  EXPECT_EQ(answered + failed, 0);
  server.backend.Hold(false);
  server.Stop();
  EXPECT_EQ(server.backend.applied_batches(), before + 64);

  server.Start();
  ASSERT_TRUE(Eventually([&] { return stream->Resume().has_value(); }));
  ASSERT_TRUE(stream->Drain().has_value());
  EXPECT_EQ(stream->session(), session);
  EXPECT_EQ(answered, 64);
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(server.backend.applied_batches(), before + 64) << "none happened twice";
  ASSERT_TRUE(stream->Put("t", "after", "v", Wait::kDurable, {}).has_value());
  ASSERT_TRUE(stream->Drain().has_value());
  EXPECT_TRUE(client->Get("t", "after")->found);
}

TEST_F(Session, RuleH4AForgottenSessionIsTooOldAndNothingHappens) {
  server.backend.ForgetSessions();
  Code code{};
  ASSERT_TRUE(stream
                  ->Put("t", "k", "v", Wait::kDurable,
                        [&](const Answer& a) { code = a.status.has_value() ? Code{} : a.status.code(); })
                  .has_value());
  ASSERT_TRUE(stream->Drain().has_value());
  EXPECT_EQ(code, Code::kSessionTooOld);
  EXPECT_FALSE(client->Get("t", "k")->found);
}

TEST_F(Session, UnansweredOperationsAreAnsweredWhenTheStreamIsGivenUp) {
  server.backend.Hold(true);
  int lost = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(stream
                    ->Put("t", Key(i), "v", Wait::kDurable,
                          [&](const Answer& a) {
                            if (!a.status.has_value() && a.status.code() == Code::kServerUnreachable) ++lost;
                          })
                    .has_value());
  }
  stream.reset();
  EXPECT_EQ(lost, 5);
  server.backend.Hold(false);
}

TEST_F(Session, LargeValuesPassInBothDirections) {
  std::string value(3u << 20, 'x');
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(stream->Put("t", Key(i), value, Wait::kDurable, {}).has_value());
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(
        stream->Get("t", Key(i), [&](const Answer& a) { right += a.value.value == value; }).has_value());
  }
  ASSERT_TRUE(stream->Drain().has_value());
  EXPECT_EQ(right, 8);
}

}  // namespace
}  // namespace holdfast::sdk
