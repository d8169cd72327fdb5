#include "sim/disk.h"

#include <gtest/gtest.h>

#include <set>

#include "base/limits.h"
#include "host/kv/conformance.h"

namespace holdfast::host {
namespace {

// Reopening is a crash: what is behind a barrier must be there whatever the crash does to the rest.
class SimDiskUnderTest : public ProviderUnderTest {
 public:
  explicit SimDiskUnderTest(uint64_t seed) : seed_(seed), disk_(std::make_unique<sim::SimDisk>()) {}
  seam::Storage& storage() override { return *disk_; }
  void Reopen() override { disk_ = disk_->AfterCrash(seed_); }

 private:
  const uint64_t seed_;
  std::unique_ptr<sim::SimDisk> disk_;
};

INSTANTIATE_TEST_SUITE_P(
    SimDisk, StorageConformance,
    ::testing::Values(Provider{"LosesAllUnsynced", [] { return std::make_unique<SimDiskUnderTest>(0); }},
                      Provider{"MixesUnsynced", [] { return std::make_unique<SimDiskUnderTest>(77); }}),
    ProviderName);

}  // namespace
}  // namespace holdfast::host

namespace holdfast::sim {
namespace {

constexpr size_t kSector = limits::kSectorBytes;

std::string Text(SimDisk& disk, std::string_view name) {
  Result<UntrustedBytes> got = disk.Get(name);
  return got ? ToText(got->parse()) : "<" + std::string(CodeName(got.code())) + ">";
}

// Every text that some seed leaves under `name`.
std::set<std::string> Outcomes(const SimDisk& disk, std::string_view name, uint64_t seeds = 300) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < seeds; ++seed) seen.insert(Text(*disk.AfterCrash(seed), name));
  return seen;
}

TEST(SimDisk, AfterACrashEverythingBehindABarrierIsThereAndWhole) {
  SimDisk disk;
  ASSERT_TRUE(disk.Put("a", AsBytes("alpha")));
  ASSERT_TRUE(disk.Put("b", AsBytes("beta")));
  ASSERT_TRUE(disk.Delete("b"));
  ASSERT_TRUE(disk.Barrier());
  EXPECT_EQ(Outcomes(disk, "a"), std::set<std::string>{"alpha"});
  EXPECT_EQ(Outcomes(disk, "b"), std::set<std::string>{"<kNotFound>"});
}

TEST(SimDisk, AnUnsyncedPutIsLostOrTornOrThere) {
  SimDisk disk;
  ASSERT_TRUE(disk.Put("a", AsBytes("old")));
  ASSERT_TRUE(disk.Barrier());
  ASSERT_TRUE(disk.Put("a", AsBytes("new!")));
  EXPECT_EQ(Text(disk, "a"), "new!") << "the writer itself sees it";
  EXPECT_EQ(Outcomes(disk, "a"), (std::set<std::string>{"old", "", "n", "ne", "new", "new!"}));
}

TEST(SimDisk, AnUnsyncedDeleteMayComeBackToLife) {
  SimDisk disk;
  ASSERT_TRUE(disk.Put("a", AsBytes("x")));
  ASSERT_TRUE(disk.Barrier());
  ASSERT_TRUE(disk.Delete("a"));
  EXPECT_EQ(Outcomes(disk, "a"), (std::set<std::string>{"x", "<kNotFound>"}));
}

TEST(SimDisk, UnsyncedNamesFareIndependently) {
  SimDisk disk;
  ASSERT_TRUE(disk.Put("a", {}));
  ASSERT_TRUE(disk.Put("b", {}));
  std::set<std::pair<std::string, std::string>> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    auto next = disk.AfterCrash(seed);
    seen.insert({Text(*next, "a"), Text(*next, "b")});
  }
  EXPECT_EQ(seen.size(), 4u) << "none, either, both: there is no order without a barrier";
}

TEST(SimDisk, SeedZeroLosesAllAndSeedOneKeepsAll) {
  SimDisk disk;
  ASSERT_TRUE(disk.Put("a", AsBytes("new")));
  ASSERT_TRUE(disk.CreateAppendable("j", 4 * kSector, Bytes(kSector, 1)));
  disk.CrashAt(3);
  EXPECT_EQ(disk.Append("j", kSector, Bytes(2 * kSector, 7)).code(), Code::kCrashed);
  EXPECT_EQ(Text(*disk.AfterCrash(0), "a"), "<kNotFound>");
  EXPECT_EQ(Text(*disk.AfterCrash(1), "a"), "new");
  EXPECT_EQ(disk.AfterCrash(0)->objects()["j"][kSector], 0);
  EXPECT_EQ(disk.AfterCrash(1)->objects()["j"][3 * kSector - 1], 7);
}

TEST(SimDisk, AnAppendIsDurableWhenItReturns) {
  SimDisk disk;
  ASSERT_TRUE(disk.CreateAppendable("j", 4 * kSector, Bytes(kSector, 1)));
  ASSERT_TRUE(disk.Append("j", kSector, Bytes(kSector, 2)));
  Bytes want(kSector, 1);
  want.resize(2 * kSector, 2);
  want.resize(4 * kSector, 0);
  EXPECT_EQ(Outcomes(disk, "j"), std::set<std::string>{ToText(want)});
}

TEST(SimDisk, AnAppendCaughtByTheCrashLeavesAnySubsetOfItsSectorsAndNothingElse) {
  SimDisk disk;
  ASSERT_TRUE(disk.CreateAppendable("j", 8 * kSector, Bytes(kSector, 1)));
  disk.CrashAt(disk.operations() + 1);
  EXPECT_EQ(disk.Append("j", kSector, Bytes(3 * kSector, 9)).code(), Code::kCrashed);
  std::set<std::string> subsets;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Bytes after = disk.AfterCrash(seed)->objects()["j"];
    ASSERT_EQ(after.size(), 8 * kSector);
    std::string subset;
    for (size_t sector = 0; sector < 8; ++sector) {
      uint8_t first = after[sector * kSector];
      for (size_t i = 0; i < kSector; ++i)
        ASSERT_EQ(after[sector * kSector + i], first) << "a sector is never torn";
      subset += static_cast<char>('0' + first);
    }
    EXPECT_EQ(subset.substr(0, 1) + subset.substr(4), "10000") << "outside the append nothing changes";
    subsets.insert(subset.substr(1, 3));
  }
  EXPECT_EQ(subsets.size(), 8u);
}

TEST(SimDisk, AnAppendPastTheReserveCaughtByTheCrashMayLeaveAShorterFile) {
  SimDisk disk;
  ASSERT_TRUE(disk.CreateAppendable("j", kSector, Bytes(kSector, 1)));
  disk.CrashAt(disk.operations() + 1);
  EXPECT_EQ(disk.Append("j", kSector, Bytes(2 * kSector, 9)).code(), Code::kCrashed);
  std::set<size_t> sizes;
  for (uint64_t seed = 0; seed < 100; ++seed) sizes.insert(disk.AfterCrash(seed)->objects()["j"].size());
  EXPECT_EQ(sizes, (std::set<size_t>{kSector, 2 * kSector, 3 * kSector}));
}

TEST(SimDisk, ACreateCaughtByTheCrashLeavesNothingOrPart) {
  SimDisk disk;
  disk.CrashAt(1);
  EXPECT_EQ(disk.CreateAppendable("j", 4 * kSector, Bytes(kSector, 1)).code(), Code::kCrashed);
  bool absent = false, zeros = false, whole = false, cut = false;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto next = disk.AfterCrash(seed);
    auto it = next->objects().find("j");
    absent |= it == next->objects().end();
    if (it == next->objects().end()) continue;
    cut |= it->second.size() < 4 * kSector;
    zeros |= it->second.size() == 4 * kSector && it->second[0] == 0;
    whole |= it->second.size() == 4 * kSector && it->second[0] == 1;
  }
  EXPECT_TRUE(absent && zeros && whole && cut);
}

TEST(SimDisk, AfterTheCrashEverythingAnswersCrashed) {
  SimDisk disk;
  ASSERT_TRUE(disk.Put("a", {}));
  disk.CrashAt(2);
  EXPECT_EQ(disk.Barrier().code(), Code::kCrashed);
  EXPECT_TRUE(disk.crashed());
  EXPECT_EQ(disk.Get("a").code(), Code::kCrashed);
  EXPECT_EQ(disk.List("", "", 1).code(), Code::kCrashed);
  EXPECT_EQ(disk.Put("b", {}).code(), Code::kCrashed);
  EXPECT_EQ(disk.operations(), 2u);
  auto next = disk.AfterCrash(1);
  EXPECT_FALSE(next->crashed());
  EXPECT_EQ(next->operations(), 0u);
  EXPECT_EQ(Text(*next, "a"), "");
}

TEST(SimDisk, TheSameSeedGivesTheSameDisk) {
  SimDisk disk;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(disk.Put("n" + std::to_string(i % 20), Bytes(1000 + i, 5)));
  for (uint64_t seed : {2u, 3u, 99u})
    EXPECT_EQ(disk.AfterCrash(seed)->objects(), disk.AfterCrash(seed)->objects());
  EXPECT_NE(disk.AfterCrash(2)->objects(), disk.AfterCrash(3)->objects());
}

TEST(SimDisk, TheWatcherSeesACrashInEveryWriteOfOneRun) {
  SimDisk disk;
  std::vector<WriteKind> kinds;
  std::set<std::string> seen;
  disk.OnEveryWrite([&](const WriteOperation& op) {
    EXPECT_EQ(op.number, kinds.size() + 1);
    kinds.push_back(op.kind);
    for (uint64_t seed = 0; seed < 20; ++seed) seen.insert(Text(*disk.AfterCrash(seed), "a"));
  });
  ASSERT_TRUE(disk.Put("a", AsBytes("1")));
  ASSERT_TRUE(disk.Barrier());
  ASSERT_TRUE(disk.PutIfAbsent("b", {}));
  ASSERT_TRUE(disk.Delete("a"));
  EXPECT_EQ(kinds, (std::vector<WriteKind>{WriteKind::kPut, WriteKind::kBarrier, WriteKind::kPutIfAbsent,
                                           WriteKind::kDelete}));
  EXPECT_EQ(seen, (std::set<std::string>{"<kNotFound>", "", "1"}));
  EXPECT_FALSE(disk.crashed());
}

TEST(SimDisk, ACloneGoesItsOwnWay) {
  SimDisk disk;
  ASSERT_TRUE(disk.CreateAppendable("j", 4 * kSector, Bytes(kSector, 1)));
  ASSERT_TRUE(disk.Put("unsynced", AsBytes("x")));
  auto version = disk.GetVersioned("unsynced");
  ASSERT_TRUE(version);
  auto clone = disk.Clone();
  ASSERT_TRUE(disk.Append("j", kSector, Bytes(kSector, 2)));
  ASSERT_TRUE(clone->Append("j", kSector, Bytes(kSector, 3)));
  EXPECT_EQ(disk.objects()["j"][kSector], 2);
  EXPECT_EQ(clone->objects()["j"][kSector], 3);
  EXPECT_TRUE(clone->PutIfVersion("unsynced", AsBytes("y"), version->version));
  EXPECT_EQ(Text(disk, "unsynced"), "x");
}

TEST(SimDisk, AFullDiskRefusesKeepsWhatItHasAndRecovers) {
  SimDisk disk;
  ASSERT_TRUE(disk.Put("old", Bytes(100)));
  ASSERT_TRUE(disk.CreateAppendable("j", 4 * kSector, Bytes(kSector, 1)));
  disk.SetFreeBytes(10);
  EXPECT_EQ(disk.Put("new", Bytes(11, 7)).code(), Code::kFull);
  EXPECT_EQ(disk.Get("new")->size(), 10u) << "the name may hold a part of it";
  EXPECT_EQ(disk.CreateAppendable("k", 512, {}).code(), Code::kFull);
  EXPECT_TRUE(disk.Append("j", kSector, Bytes(3 * kSector, 2))) << "the reserve is there for this";
  EXPECT_EQ(disk.Append("j", 4 * kSector, Bytes(kSector, 2)).code(), Code::kFull);
  EXPECT_TRUE(disk.Put("old", Bytes(100))) << "replacing needs no more";
  EXPECT_TRUE(disk.Delete("new"));
  EXPECT_TRUE(disk.Put("small", Bytes(10)));
  EXPECT_TRUE(disk.Barrier());
  EXPECT_EQ(disk.AfterCrash(2)->Put("again", Bytes(1)).code(), Code::kFull);
  disk.SetFreeBytes(std::nullopt);
  EXPECT_TRUE(disk.Put("new", Bytes(1000)));
}

TEST(SimDisk, WhatIsNarrowedIsRefused) {
  SimDisk disk(seam::Capabilities{.append = false, .conditional_put = false, .value_bytes_max = 4});
  EXPECT_EQ(disk.CreateAppendable("j", 512, {}).code(), Code::kUnsupported);
  EXPECT_EQ(disk.PutIfVersion("v", {}, "").code(), Code::kUnsupported);
  EXPECT_EQ(disk.Put("v", Bytes(5)).code(), Code::kTooLarge);
  EXPECT_TRUE(disk.Put("v", Bytes(4)));
}

}  // namespace
}  // namespace holdfast::sim
