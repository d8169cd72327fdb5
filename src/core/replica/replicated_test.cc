// Several providers at once, each with threads of its own: hung, lying, full, behind.
#include "core/replica/replicated.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>

#include "crypto/hash.h"
#include "host/kv/fault.h"
#include "host/kv/memory.h"

namespace holdfast::replica {
namespace {

// Hangs while it is closed.
class Gate {
 public:
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  void Open() {
    std::lock_guard lock(mutex_);
    closed_ = false;
    changed_.notify_all();
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !closed_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
};

class Gated : public host::MemoryStorage {
 public:
  Gate gate;
  std::atomic<Code> failing{Code{}};  // what every write answers
  std::atomic<bool> lies{false};      // in every byte that it gives
  std::atomic<int> appends{0};

  Result<UntrustedBytes> Get(std::string_view name) override {
    gate.Pass();
    return Twist(MemoryStorage::Get(name));
  }
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
    gate.Pass();
    return Twist(MemoryStorage::GetRange(name, offset, length));
  }
  Status Put(std::string_view name, ByteView bytes) override {
    HF_TRY_VOID(Pass());
    return MemoryStorage::Put(name, bytes);
  }
  Status PutIfAbsent(std::string_view name, ByteView bytes) override {
    HF_TRY_VOID(Pass());
    return MemoryStorage::PutIfAbsent(name, bytes);
  }
  Status Barrier() override { return Pass(); }
  Status CreateAppendable(std::string_view name, uint64_t reserve, ByteView first) override {
    HF_TRY_VOID(Pass());
    return MemoryStorage::CreateAppendable(name, reserve, first);
  }
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override {
    ++appends;
    HF_TRY_VOID(Pass());
    return MemoryStorage::Append(name, offset, bytes);
  }

 private:
  Status Pass() {
    gate.Pass();
    Code code = failing;
    return code == Code{} ? Ok() : Status(code);
  }
  Result<UntrustedBytes> Twist(Result<UntrustedBytes> bytes) {
    if (!bytes || !lies) return bytes;
    Bytes b = std::move(bytes).value().take();
    for (uint8_t& x : b) x ^= 0x55;
    return UntrustedBytes(std::move(b));
  }
};

constexpr const char* kFile = "members/AA/journal/00000000000000000001";

struct Three {
  Gated providers[3];
  std::vector<std::pair<size_t, Code>> accused;
  std::mutex mutex;
  std::unique_ptr<ReplicatedStorage> all;

  explicit Three(ReplicaOptions options = {}, uint32_t write = 2) {
    options.accused = [this](size_t p, Code c) {
      std::lock_guard lock(mutex);
      accused.emplace_back(p, c);
    };
    all = std::make_unique<ReplicatedStorage>(
        std::vector<seam::Storage*>{&providers[0], &providers[1], &providers[2]}, seam::Quorum{3, write},
        options);
    all->Adopt({}, {});
  }
  ~Three() {
    for (Gated& g : providers) g.gate.Open();
  }
  // Until it is so; the test's own time is the limit.
  template <typename P>
  void Until(P&& is_so) {
    while (!is_so()) std::this_thread::yield();
  }
  bool Current(size_t i) { return all->States()[i].current && all->States()[i].queued == 0; }
};

Bytes Block(size_t n, uint8_t fill) { return Bytes(n, fill); }

TEST(Replicated, AHungProviderHoldsUpNobodyAndCatchesUpWhenItAnswers) {
  Three t;
  t.providers[1].gate.Close();
  ASSERT_TRUE(t.all->CreateAppendable(kFile, 4096, Block(512, 1)));
  for (int i = 1; i < 40; ++i)
    ASSERT_TRUE(t.all->Append(kFile, i * 512, Block(512, static_cast<uint8_t>(i))));
  ASSERT_TRUE(t.all->Put("segments/A", Block(100, 7)));
  ASSERT_TRUE(t.all->Barrier());
  EXPECT_GT(t.all->States()[1].queued, 30u);
  t.providers[1].gate.Open();
  t.Until([&] { return t.Current(1); });
  EXPECT_EQ(t.providers[1].GetRange(kFile, 0, 40 * 512)->parse().size(), 40u * 512);
  EXPECT_TRUE(Equal(t.providers[1].GetRange(kFile, 0, 40 * 512)->parse(),
                    t.providers[0].GetRange(kFile, 0, 40 * 512)->parse()));
  EXPECT_TRUE(t.providers[1].Get("segments/A"));
}

TEST(Replicated, BeyondItsQueueAProviderIsBehindAndCopiesWhatItLacks) {
  Three t({.queue_bytes_max = 4096});
  t.providers[2].gate.Close();
  ASSERT_TRUE(t.all->CreateAppendable(kFile, 0, Block(512, 1)));
  for (int i = 1; i < 100; ++i)
    ASSERT_TRUE(t.all->Append(kFile, i * 512, Block(512, static_cast<uint8_t>(i))));
  t.Until([&] { return t.all->States()[2].why == Code::kOverloaded; });
  EXPECT_LE(t.all->States()[2].queued_bytes, 4096u) << "the queue is the bound on memory";
  t.providers[2].gate.Open();
  t.Until([&] { return t.Current(2); });
  EXPECT_TRUE(Equal(t.providers[2].GetRange(kFile, 0, 100 * 512)->parse(),
                    t.providers[0].GetRange(kFile, 0, 100 * 512)->parse()));
}

TEST(Replicated, ALiarIsNamedItsBytesAreNeverReturnedAndItIsRepaired) {
  Three t;
  Bytes good = Block(1000, 9);
  ASSERT_TRUE(t.all->Put("segments/A", good));
  ASSERT_TRUE(t.all->Barrier());
  t.Until([&] { return t.Current(0) && t.Current(1) && t.Current(2); });
  ASSERT_TRUE(t.providers[0].Put("segments/A", Block(1000, 8)));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Equal(t.all->Get("segments/A")->parse(), good));
  t.Until([&] { return t.Current(0); });
  EXPECT_TRUE(Equal(t.providers[0].Get("segments/A")->parse(), good)) << "repaired";
  EXPECT_EQ(t.all->States()[0].bad_objects, 1u);
  std::lock_guard lock(t.mutex);
  ASSERT_EQ(t.accused.size(), 1u);
  EXPECT_EQ(t.accused[0].first, 0u);
}

TEST(Replicated, ReadsGoOnWhereAnotherHangs) {
  Three t({.read_patience_ms = 50});
  ASSERT_TRUE(t.all->Put("segments/A", Block(10, 1)));
  t.Until([&] { return t.Current(0) && t.Current(1) && t.Current(2); });
  t.providers[0].gate.Close();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(t.all->GetRange("segments/A", 0, 10));
}

TEST(RuleI1Replicated, AFullProviderIsToldOfOnlyWhenTooFewHaveRoom) {
  Three t;
  t.providers[0].failing = Code::kFull;
  ASSERT_TRUE(t.all->CreateAppendable(kFile, 0, Block(512, 1)));
  t.providers[1].failing = Code::kFull;
  EXPECT_EQ(t.all->Append(kFile, 512, Block(512, 2)).code(), Code::kFull);
  EXPECT_EQ(t.all->Append(kFile, 512, Block(512, 2)).code(), Code::kFull) << "the same frame, made again";
  t.providers[1].failing = Code{};
  Status again = Code::kFull;
  while (!again && again.code() == Code::kFull) again = t.all->Append(kFile, 512, Block(512, 2));
  ASSERT_TRUE(again);
  t.providers[0].failing = Code{};
  t.Until([&] { return t.Current(0) && t.Current(1) && t.Current(2); });
  for (Gated& g : t.providers) EXPECT_EQ(g.GetRange(kFile, 0, 4096)->parse().size(), 1024u);
}

TEST(RuleI1Replicated, AFrameThatFoundNoSpaceMayComeAgainSealedAnew) {
  Three t;
  ASSERT_TRUE(t.all->CreateAppendable(kFile, 0, Block(512, 1)));
  for (size_t i : {0, 1}) t.providers[i].failing = Code::kFull;
  EXPECT_EQ(t.all->Append(kFile, 512, Block(1024, 2)).code(), Code::kFull);
  t.Until([&] { return t.providers[2].GetRange(kFile, 0, 4096)->parse().size() == 1536; });  // it has it
  for (size_t i : {0, 1}) t.providers[i].failing = Code{};
  Status again = Code::kFull;
  while (!again && again.code() == Code::kFull) again = t.all->Append(kFile, 512, Block(512, 3));
  ASSERT_TRUE(again);
  t.Until([&] { return t.Current(0) && t.Current(1) && t.Current(2); });
  for (Gated& g : t.providers) {
    Bytes bytes = g.GetRange(kFile, 0, 4096).value().take();
    ASSERT_EQ(bytes.size(), 1024u);
    EXPECT_EQ(bytes[600], 3);
  }
}

TEST(Replicated, FramesThatWaitForADistantProviderGoTogether) {
  Three t;
  t.all->QueueJournal();
  ASSERT_TRUE(t.all->CreateAppendable(kFile, 0, Block(512, 1)));
  ASSERT_TRUE(t.all->WaitJournal(t.all->JournalSequence()));
  for (Gated& g : t.providers) g.gate.Close();
  std::vector<uint64_t> sequences;
  for (int i = 1; i <= 50; ++i) {
    ASSERT_TRUE(t.all->Append(kFile, i * 512, Block(512, static_cast<uint8_t>(i)))) << "it is only queued";
    sequences.push_back(t.all->JournalSequence());
  }
  for (Gated& g : t.providers) g.gate.Open();
  for (uint64_t s : sequences) EXPECT_TRUE(t.all->WaitJournal(s));
  t.Until([&] { return t.Current(0) && t.Current(1) && t.Current(2); });
  for (Gated& g : t.providers) {
    EXPECT_LE(g.appends, 3);
    EXPECT_EQ(g.GetRange(kFile, 0, 1 << 20)->parse().size(), 51u * 512);
  }
}

TEST(Replicated, AWriteWaitsForItsQuorumAndGivesUpOnlyWhenTold) {
  Three t;
  for (size_t i : {0, 1}) t.providers[i].failing = Code::kUnreachable;
  auto written = std::async(std::launch::async, [&] { return t.all->Put("segments/A", Block(10, 1)); });
  t.Until([&] { return t.all->States()[0].errors > 1 && t.all->States()[1].errors > 1; });
  EXPECT_EQ(written.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  t.providers[1].failing = Code{};
  EXPECT_TRUE(written.get());
  t.providers[1].failing = Code::kUnreachable;
  auto lost = std::async(std::launch::async, [&] { return t.all->Put("segments/B", Block(10, 1)); });
  t.Until([&] { return t.all->States()[1].queued > 0 && t.all->States()[1].errors > 2; });
  t.all->GiveUpWaiting();
  EXPECT_EQ(lost.get().code(), Code::kUnreachable);
}

TEST(RuleC2Replicated, ANameThatAnotherOpenerTookIsRefusedAndNotReplaced) {
  Three t;
  for (size_t i : {0, 1}) ASSERT_TRUE(t.providers[i].Put(kFile, Block(512, 99)));
  EXPECT_EQ(t.all->CreateAppendable(kFile, 0, Block(512, 1)).code(), Code::kExists);
  t.all->CatchUp(2000);
  for (size_t i : {0, 1}) EXPECT_EQ(t.providers[i].Get(kFile)->parse()[0], 99) << "the other's frame stays";
}

TEST(Replicated, ScrubFindsWhatNobodyHasReadAndRepairsIt) {
  Three t;
  for (char c = 'A'; c < 'K'; ++c) ASSERT_TRUE(t.all->Put(std::string("segments/") + c, Block(1000, 3)));
  ASSERT_TRUE(t.all->CreateAppendable(kFile, 0, Block(512, 4)));
  t.Until([&] { return t.Current(0) && t.Current(1) && t.Current(2); });
  ASSERT_TRUE(t.providers[2].Put("segments/C", Block(1000, 5)));
  ASSERT_TRUE(t.providers[1].Delete(kFile));
  uint64_t steps = 0;
  EXPECT_EQ(t.all->Scrub([&](size_t, uint64_t) { return ++steps > 0; }), 2u);
  EXPECT_GE(steps, 30u);
  t.Until([&] { return t.Current(0) && t.Current(1) && t.Current(2); });
  EXPECT_EQ(t.all->Scrub([](size_t, uint64_t) { return true; }), 0u);
}

TEST(Replicated, APoisonedProviderIsBehindUntilItTakesWritesAgain) {
  Three t;
  t.providers[0].failing = Code::kPoisoned;
  ASSERT_TRUE(t.all->Put("segments/A", Block(10, 1)));
  ASSERT_TRUE(t.all->Barrier());
  t.Until([&] { return !t.all->States()[0].current; });
  EXPECT_EQ(t.all->States()[0].why, Code::kPoisoned);
  t.providers[0].failing = Code{};
  t.all->CatchUp(20'000);
  t.Until([&] { return t.Current(0); });
  EXPECT_TRUE(t.providers[0].Get("segments/A"));
  EXPECT_EQ(t.all->States()[0].repaired, 1u);
}

}  // namespace
}  // namespace holdfast::replica
