// The suite of every provider (conformance.h) against a service that is running already:
//
//   HF_REMOTE_URL='s3://bucket/{}?endpoint=http://127.0.0.1:9000' remote_conformance [--gtest_…]
//
// "{}" becomes a new word for each test, so that each gets a place of its own. As it is, inside the fault
// wrapper, and inside the fault wrapper that keeps back what is not synced. A few tests beyond the contract
// say what every remote provider promises about opening.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "host/kv/conformance.h"
#include "host/kv/fault.h"
#include "host/kv/open.h"

namespace holdfast::host {
namespace {

std::string UrlTemplate() {
  const char* url = ::getenv("HF_REMOTE_URL");
  return url == nullptr ? "" : url;
}

std::string NewUrl() {
  static int count = 0;
  std::string url = UrlTemplate();
  size_t at = url.find("{}");
  HF_CHECK(at != std::string::npos);
  return url.replace(at, 2, "t" + std::to_string(::getpid()) + "x" + std::to_string(++count));
}

std::unique_ptr<seam::Storage> Opened(const std::string& url, OpenMode mode) {
  auto opened = OpenStorage(url, mode);
  if (!opened) std::fprintf(stderr, "%s\n", std::string(CodeName(opened.code())).c_str());
  HF_CHECK(opened.has_value());
  return std::move(opened).value();
}

std::string CodeOfOpening(const std::string& url, OpenMode mode) {
  auto opened = OpenStorage(url, mode);
  return std::string(opened ? "opened" : CodeName(opened.code()));
}

class RemoteUnderTest : public ProviderUnderTest {
 public:
  enum class Wrap { kNone, kFault, kBuffered };
  explicit RemoteUnderTest(Wrap wrap) : wrap_(wrap), url_(NewUrl()) { Open(OpenMode::kCreate); }
  seam::Storage& storage() override { return wrapped_ ? *wrapped_ : *storage_; }
  void Reopen() override {
    wrapped_.reset();
    storage_.reset();
    Open(OpenMode::kReadWrite);
  }

 private:
  void Open(OpenMode mode) {
    storage_ = Opened(url_, mode);
    if (wrap_ == Wrap::kNone) return;
    FaultPlan plan;
    plan.drop_unsynced = wrap_ == Wrap::kBuffered;
    wrapped_ = std::make_unique<FaultStorage>(*storage_, plan);
  }
  const Wrap wrap_;
  const std::string url_;
  std::unique_ptr<seam::Storage> storage_, wrapped_;
};

using Wrap = RemoteUnderTest::Wrap;
INSTANTIATE_TEST_SUITE_P(
    Remote, StorageConformance,
    ::testing::Values(Provider{"Plain", [] { return std::make_unique<RemoteUnderTest>(Wrap::kNone); }},
                      Provider{"NoFault", [] { return std::make_unique<RemoteUnderTest>(Wrap::kFault); }},
                      Provider{"Buffered",
                               [] { return std::make_unique<RemoteUnderTest>(Wrap::kBuffered); }}),
    ProviderName);

TEST(RemoteOpening, CreatesOnlyWhereNothingIsAndFindsOnlyWhatIsThere) {
  std::string url = NewUrl();
  EXPECT_EQ(CodeOfOpening(url, OpenMode::kReadWrite), "kNoStore");
  EXPECT_EQ(CodeOfOpening(url, OpenMode::kReadOnly), "kNoStore");
  ASSERT_TRUE(Opened(url, OpenMode::kCreate)->Put("unlockers", AsBytes("x")));
  EXPECT_EQ(CodeOfOpening(url, OpenMode::kCreate), "kNotEmpty");
  EXPECT_EQ(CodeOfOpening(url, OpenMode::kReadWrite), "opened");
}

TEST(RemoteOpening, AReaderWritesNothingAndIsToldSo) {
  std::string url = NewUrl();
  ASSERT_TRUE(Opened(url, OpenMode::kCreate)->Put("a", AsBytes("x")));
  auto reader = Opened(url, OpenMode::kReadOnly);
  EXPECT_TRUE(reader->capabilities().read_only);
  EXPECT_FALSE(reader->capabilities().exclusive);
  EXPECT_EQ(reader->Put("a", {}).code(), Code::kReadOnly);
  EXPECT_EQ(reader->PutIfAbsent("b", {}).code(), Code::kReadOnly);
  EXPECT_EQ(reader->Delete("a").code(), Code::kReadOnly);
  EXPECT_TRUE(reader->Barrier());
  auto got = reader->Get("a");
  ASSERT_TRUE(got);
  EXPECT_EQ(ToText(got->parse()), "x");
}

// Two openers that know nothing of each other, as on two machines: what the capability promises holds between
// them.
TEST(RemoteOpening, TwoOpenersCannotBothCreateOneObject) {
  std::string url = NewUrl();
  auto one = Opened(url, OpenMode::kCreate);
  if (!one->capabilities().conditional_put) GTEST_SKIP() << "the service has no conditional put";
  ASSERT_TRUE(one->Put("first", {}));
  auto second = OpenStorage(url, OpenMode::kReadWrite);
  if (!second && second.code() == Code::kInUse) return;  // there is a lock: even better
  ASSERT_TRUE(second);
  seam::Storage& two = **second;
  for (int round = 0; round < 10; ++round) {
    std::string name = "journal/" + std::to_string(round);
    std::atomic<int> won = 0, lost = 0;
    auto create = [&](seam::Storage& s) {
      Status done = s.PutIfAbsent(name, AsBytes("the same bytes from both"));
      if (done) ++won;
      if (!done && (done.code() == Code::kExists || done.code() == Code::kFenced)) ++lost;
    };
    std::thread other([&] { create(two); });
    create(*one);
    other.join();
    ASSERT_EQ(won, 1) << round << ", lost " << lost;
    ASSERT_EQ(lost, 1) << round;
  }
  auto seen = two.GetVersioned("first");
  ASSERT_TRUE(seen);
  auto mine = one->PutIfVersion("first", AsBytes("one"), seen->version);
  auto late = two.PutIfVersion("first", AsBytes("two"), seen->version);
  EXPECT_NE(mine.has_value(), late.has_value());
}

// The same of replacing, and of objects that lie in parts: one wins, and what is there is his, whole.
TEST(RemoteOpening, TwoOpenersCannotBothReplaceOneVersionAndNeitherSpoilsTheOthers) {
  std::string url = NewUrl();
  auto one = Opened(url, OpenMode::kCreate);
  if (!one->capabilities().conditional_put) GTEST_SKIP() << "the service has no conditional put";
  ASSERT_TRUE(one->Put("first", {}));
  auto second = OpenStorage(url, OpenMode::kReadWrite);
  if (!second && second.code() == Code::kInUse) return;
  ASSERT_TRUE(second);
  seam::Storage* both[] = {one.get(), second->get()};
  const size_t large = std::min<uint64_t>(one->capabilities().value_bytes_preferred * 2 + 100, 3u << 20);
  for (size_t size : {size_t{72}, large}) {
    std::string name = "slot/" + std::to_string(size);
    ASSERT_TRUE(one->Put(name, Bytes(size, 9)));
    for (uint8_t round = 0; round < 5; ++round) {
      auto seen = both[round % 2]->GetVersioned(name);
      ASSERT_TRUE(seen);
      bool won[2] = {false, false};
      Code lost[2] = {};
      auto replace = [&](size_t who) {
        auto done =
            both[who]->PutIfVersion(name, Bytes(size, static_cast<uint8_t>(2 * round + who)), seen->version);
        won[who] = done.has_value();
        if (!done) lost[who] = done.code();
      };
      std::thread other([&] { replace(1); });
      replace(0);
      other.join();
      ASSERT_NE(won[0], won[1]) << size << ", round " << int{round};
      EXPECT_EQ(lost[won[0] ? 1 : 0], Code::kVersionMismatch);
      auto there = both[won[0] ? 1 : 0]->Get(name);
      ASSERT_TRUE(there) << CodeName(there.code());
      EXPECT_EQ(there->size(), size);
      EXPECT_TRUE(Equal(there->parse(), Bytes(size, static_cast<uint8_t>(2 * round + (won[0] ? 0 : 1)))));
    }
  }
}

// Of a service that knows locks: the command cuts every connection, as a network does, and a second opener
// comes.
TEST(RemoteOpening, AWriterThatLostItsLockIsFenced) {
  const char* cut = ::getenv("HF_REMOTE_CUT");
  if (cut == nullptr) GTEST_SKIP() << "no command that cuts connections";
  std::string url = NewUrl();
  auto first = Opened(url, OpenMode::kCreate);
  ASSERT_TRUE(first->Put("a", AsBytes("first")));
  EXPECT_EQ(CodeOfOpening(url, OpenMode::kReadWrite), "kInUse");
  EXPECT_EQ(CodeOfOpening(url, OpenMode::kReadOnly), "kInUse");
  ASSERT_EQ(std::system(cut), 0);
  ASSERT_TRUE(first->Put("a", AsBytes("still the only one")));
  auto second = Opened(url, OpenMode::kReadWrite);
  EXPECT_EQ(first->Put("a", AsBytes("too late")).code(), Code::kFenced);
  EXPECT_EQ(first->PutIfAbsent("b", AsBytes("too late")).code(), Code::kPoisoned);
  EXPECT_EQ(first->Barrier().code(), Code::kPoisoned);
  auto got = second->Get("a");
  ASSERT_TRUE(got);
  EXPECT_EQ(ToText(got->parse()), "still the only one");
  EXPECT_EQ(second->Get("b").code(), Code::kNotFound);
}

// Many calls under way at once share no lock: with 20 ms for each request, eight of them in a row would take
// 160 ms. Only where the test says how slow the service is.
TEST(RemoteOpening, CallsRunSideBySide) {
  const char* slow = ::getenv("HF_REMOTE_DELAY_MS");
  if (slow == nullptr) GTEST_SKIP() << "the service is not slow";
  const auto delay = std::chrono::milliseconds(std::atoi(slow));
  auto storage = Opened(NewUrl(), OpenMode::kCreate);
  for (int round = 0; round < 2; ++round) {  // the first makes the connections
    auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] { EXPECT_TRUE(storage->Put("side/" + std::to_string(t), Bytes(100))); });
    }
    for (std::thread& t : threads) t.join();
    auto took = std::chrono::steady_clock::now() - begin;
    if (round == 1) {
      EXPECT_LT(took, delay * 5);
    }
  }
}

}  // namespace
}  // namespace holdfast::host

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (::getenv("HF_REMOTE_URL") == nullptr) {
    std::fprintf(stderr, "HF_REMOTE_URL says which service; tests/providers starts one\n");
    return 2;
  }
  return RUN_ALL_TESTS();
}
