#include "host/kv/fault.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <set>
#include <thread>

#include "base/limits.h"
#include "host/kv/dir.h"
#include "host/kv/memory.h"
#include "host/kv/test_directory_internal.h"

namespace holdfast::host {
namespace {

using What = FaultPlan::What;
constexpr size_t kSector = limits::kSectorBytes;

std::string Text(seam::Storage& s, std::string_view name) {
  Result<UntrustedBytes> got = s.Get(name);
  return got ? ToText(got->parse()) : "<" + std::string(CodeName(got.code())) + ">";
}

FaultPlan At(uint64_t number, FaultPlan::Fault fault) {
  FaultPlan plan;
  plan.writes[number] = fault;
  return plan;
}

TEST(RuleI1Fault, AFailedWritePoisonsEveryLaterWriteAndReadsGoOn) {
  MemoryStorage inner;
  FaultStorage s(inner, At(2, {.what = What::kFail, .code = Code::kIo}));
  ASSERT_TRUE(s.Put("a", AsBytes("x")));
  EXPECT_EQ(s.Put("b", {}).code(), Code::kIo);
  EXPECT_EQ(s.Put("b", {}).code(), Code::kPoisoned);
  EXPECT_EQ(s.Delete("a").code(), Code::kPoisoned);
  EXPECT_EQ(s.Barrier().code(), Code::kPoisoned);
  EXPECT_EQ(s.PutIfVersion("b", {}, "").code(), Code::kPoisoned);
  EXPECT_EQ(s.CreateAppendable("j", 0, {}).code(), Code::kPoisoned);
  EXPECT_EQ(Text(s, "a"), "x");
  EXPECT_EQ(Text(inner, "b"), "<kNotFound>");
  EXPECT_EQ(s.writes(), 7u);
}

TEST(RuleI1Fault, AFailedBarrierPoisonsLikeAFailedWrite) {
  MemoryStorage inner;
  FaultStorage s(inner, At(1, {.what = What::kFail, .code = Code::kIo}));
  EXPECT_EQ(s.Barrier().code(), Code::kIo);
  EXPECT_EQ(s.Barrier().code(), Code::kPoisoned);
}

TEST(RuleI1Fault, AFullDiskDoesNotPoisonAndMayLeaveHalfAnObject) {
  MemoryStorage inner;
  FaultPlan plan = At(1, {.what = What::kTear, .code = Code::kFull});
  plan.writes[2] = {.what = What::kFail, .code = Code::kFull};
  plan.seed = 5;
  FaultStorage s(inner, plan);
  EXPECT_EQ(s.Put("a", Bytes(10'000, 7)).code(), Code::kFull);
  Result<UntrustedBytes> part = inner.Get("a");
  ASSERT_TRUE(part);
  EXPECT_LT(part->size(), 10'000u);
  EXPECT_EQ(s.Put("b", {}).code(), Code::kFull);
  EXPECT_EQ(Text(inner, "b"), "<kNotFound>");
  EXPECT_TRUE(s.Put("b", {}));
}

TEST(Fault, AReadFailsByItsNumberAndPoisonsNothing) {
  MemoryStorage inner;
  FaultPlan plan;
  plan.reads = {{1, Code::kIo}, {3, Code::kUnreachable}};
  FaultStorage s(inner, plan);
  ASSERT_TRUE(s.Put("a", AsBytes("x")));
  EXPECT_EQ(s.Get("a").code(), Code::kIo);
  EXPECT_EQ(Text(s, "a"), "x");
  EXPECT_EQ(s.List("", "", 1).code(), Code::kUnreachable);
  EXPECT_TRUE(s.Put("b", {}));
  EXPECT_EQ(s.reads(), 3u);
}

TEST(Fault, ADelayHoldsOneWriteWhileOthersPass) {
  MemoryStorage inner;
  std::mutex mutex;
  std::condition_variable changed;
  bool held = false, release = false;
  FaultPlan plan;
  plan.before = [&](const WriteOperation& op) {
    if (op.name != "slow") return;
    std::unique_lock lock(mutex);
    held = true;
    changed.notify_all();
    changed.wait(lock, [&] { return release; });
  };
  FaultStorage s(inner, plan);
  std::thread slow([&] { EXPECT_TRUE(s.Put("slow", AsBytes("late"))); });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return held; });
  }
  EXPECT_TRUE(s.Put("fast", AsBytes("x")));
  EXPECT_EQ(Text(s, "slow"), "<kNotFound>");
  {
    std::lock_guard lock(mutex);
    release = true;
  }
  changed.notify_all();
  slow.join();
  EXPECT_EQ(Text(s, "slow"), "late");
}

TEST(Fault, TheHookLearnsWhatIsWritten) {
  MemoryStorage inner;
  std::vector<std::pair<WriteKind, uint64_t>> seen;
  FaultPlan plan;
  plan.before = [&](const WriteOperation& op) { seen.push_back({op.kind, op.position}); };
  FaultStorage s(inner, plan);
  ASSERT_TRUE(s.CreateAppendable("j", 4096, Bytes(kSector)));
  ASSERT_TRUE(s.Append("j", kSector, Bytes(kSector)));
  ASSERT_TRUE(s.Trim("j", kSector));
  ASSERT_TRUE(s.Delete("j"));
  ASSERT_TRUE(s.Barrier());
  EXPECT_EQ(seen, (std::vector<std::pair<WriteKind, uint64_t>>{{WriteKind::kCreateAppendable, 4096},
                                                               {WriteKind::kAppend, kSector},
                                                               {WriteKind::kTrim, kSector},
                                                               {WriteKind::kDelete, 0},
                                                               {WriteKind::kBarrier, 0}}));
}

TEST(Fault, ATornAppendLeavesWholeSectorsAndZeros) {
  std::set<std::string> subsets;
  for (uint64_t seed = 2; seed < 100; ++seed) {
    MemoryStorage inner;
    FaultPlan plan = At(2, {.what = What::kTear, .code = Code::kIo});
    plan.seed = seed;
    FaultStorage s(inner, plan);
    ASSERT_TRUE(s.CreateAppendable("j", 8 * kSector, Bytes(kSector, 1)));
    EXPECT_EQ(s.Append("j", kSector, Bytes(3 * kSector, 9)).code(), Code::kIo);
    std::string all = Text(inner, "j");
    ASSERT_EQ(all.size(), 8 * kSector);
    std::string subset;
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(all.substr(i * kSector, kSector), std::string(kSector, all[i * kSector]));
      subset += static_cast<char>('0' + all[i * kSector]);
    }
    EXPECT_EQ(subset.substr(0, 1) + subset.substr(4), "10000");
    subsets.insert(subset.substr(1, 3));
  }
  EXPECT_EQ(subsets.size(), 8u) << "any subset, none and all included";
}

TEST(Fault, AfterACrashEverythingAnswersCrashed) {
  MemoryStorage inner;
  FaultStorage s(inner, At(2, {.what = What::kCrash}));
  ASSERT_TRUE(s.Put("a", {}));
  EXPECT_EQ(s.Barrier().code(), Code::kCrashed);
  EXPECT_TRUE(s.crashed());
  EXPECT_EQ(s.Get("a").code(), Code::kCrashed);
  EXPECT_EQ(s.List("", "", 1).code(), Code::kCrashed);
  EXPECT_EQ(s.GetVersioned("a").code(), Code::kCrashed);
  EXPECT_EQ(s.Put("a", {}).code(), Code::kCrashed);
  EXPECT_EQ(s.writes(), 2u);
}

// Over real files: what a barrier covered is whole; the rest is old, torn or new, each name for itself.
TEST(Fault, ACrashOverRealFilesDropsAndTearsWhatNoBarrierCovered) {
  std::set<std::string> overwritten, created, deleted;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    TestDirectory directory;
    auto inner = OpenDir(directory.path("store"), OpenMode::kCreate);
    ASSERT_TRUE(inner);
    FaultPlan plan;
    plan.drop_unsynced = true;
    plan.seed = seed;
    {
      FaultStorage s(**inner, plan);
      for (const char* name : {"kept", "over", "gone"}) ASSERT_TRUE(s.Put(name, AsBytes("old")));
      ASSERT_TRUE(s.Barrier());
      auto version = s.GetVersioned("over");
      ASSERT_TRUE(version);
      ASSERT_TRUE(s.PutIfVersion("over", AsBytes("new"), version->version));
      ASSERT_TRUE(s.Put("d/fresh", AsBytes("12")));
      ASSERT_TRUE(s.Delete("gone"));
      EXPECT_EQ(Text(s, "over") + Text(s, "d/fresh") + Text(s, "gone"), "new12<kNotFound>")
          << "the writer sees it";
      s.CrashNow();
    }
    inner.value().reset();
    auto next = OpenDir(directory.path("store"), OpenMode::kReadWrite);
    ASSERT_TRUE(next);
    EXPECT_EQ(Text(**next, "kept"), "old");
    overwritten.insert(Text(**next, "over"));
    created.insert(Text(**next, "d/fresh"));
    deleted.insert(Text(**next, "gone"));
  }
  EXPECT_EQ(overwritten, (std::set<std::string>{"old", "", "n", "ne", "new"}));
  EXPECT_EQ(created, (std::set<std::string>{"<kNotFound>", "", "1", "12"}));
  EXPECT_EQ(deleted, (std::set<std::string>{"old", "<kNotFound>"}));
}

TEST(Fault, ACrashInTheBarrierItselfMakesSomeOfItDurable) {
  std::set<std::pair<bool, bool>> seen;
  for (uint64_t seed = 2; seed < 60; ++seed) {
    MemoryStorage inner;
    FaultPlan plan = At(3, {.what = What::kCrash});
    plan.drop_unsynced = true;
    plan.seed = seed;
    FaultStorage s(inner, plan);
    ASSERT_TRUE(s.Put("a", {}));
    ASSERT_TRUE(s.Put("b", {}));
    EXPECT_EQ(s.Barrier().code(), Code::kCrashed);
    seen.insert({inner.Get("a").has_value(), inner.Get("b").has_value()});
  }
  EXPECT_EQ(seen.size(), 4u);
}

TEST(Fault, TheSameSeedGivesTheSameCrash) {
  auto run = [](uint64_t seed) {
    MemoryStorage inner;
    FaultPlan plan;
    plan.drop_unsynced = true;
    plan.seed = seed;
    FaultStorage s(inner, plan);
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(s.Put("n" + std::to_string(i % 9), Bytes(100 + i, 5)));
    s.CrashNow();
    auto all = seam::ListAll(inner, "");
    return all ? *all : std::vector<seam::ObjectInfo>();
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
  EXPECT_TRUE(run(0).empty());
  EXPECT_EQ(run(1).size(), 9u);
}

}  // namespace
}  // namespace holdfast::host
