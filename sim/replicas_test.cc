// A store on one to three simulated disks, every quorum: the power goes at every write of a run, and what any
// sufficient set of the disks still holds has every acknowledged wave.
#include <gtest/gtest.h>

#include "core/replica/replicated.h"
#include "core/store/verify.h"
#include "sim/disk.h"
#include "sim/world.h"

namespace holdfast::sim {
namespace {

using Disks = std::vector<std::unique_ptr<SimDisk>>;

struct Run {
  uint32_t providers, write;
  uint64_t seed;
  uint64_t waves;
  bool last_is_whole = false;  // the last one knows no appending
};

std::unique_ptr<replica::ReplicatedStorage> Join(const Disks& disks, seam::Quorum quorum,
                                                 uint64_t absent = UINT64_MAX) {
  std::vector<seam::Storage*> storages;
  for (size_t i = 0; i < disks.size(); ++i) storages.push_back(i == absent ? nullptr : disks[i].get());
  return std::make_unique<replica::ReplicatedStorage>(
      storages, quorum, replica::ReplicaOptions{.threads = replica::Threads::kNone});
}

// A prefix of the log that holds everything acknowledged; nobody is blamed for a crash.
void ExpectPrefix(const World& world, seam::Storage& storage, seam::Storage& anchor,
                  const std::string& when) {
  crypto::SeededRandom random(99);
  std::vector<store::Finding> findings;
  auto opened = store::OpenStore(storage, &anchor, AsBytes(kSimPassphrase), {.journal_file_bytes = 16u << 10},
                                 random, &findings);
  std::string said;
  for (const store::Finding& f : findings) said += "\n  " + f.Line();
  ASSERT_TRUE(opened) << when << ": " << CodeName(opened.code()) << said;
  store::OpenedStore& s = **opened;
  for (const store::Finding& f : s.findings) EXPECT_FALSE(f.bad()) << when << ": " << f.Line();
  LogIndex found(s.state->position().index.value - 1);
  ASSERT_GE(found, world.acknowledged()) << when << ": an acknowledged wave is lost";
  ASSERT_LE(found, world.proposed()) << when;
  const Model* model = world.ModelAt(found);
  ASSERT_TRUE(model != nullptr) << when;
  store::NodeCache cache(1u << 20);
  store::VersionNodes nodes(storage, s.state->CurrentView().base, cache);
  auto tables = ReadTables(*s.state, nodes);
  ASSERT_TRUE(tables) << when << ": " << CodeName(tables.code());
  ASSERT_TRUE(*tables == model->tables) << when << ": the state is not that of index " << found.value;
}

void CutThePowerEverywhere(const Run& run) {
  seam::Quorum quorum{run.providers, run.write};
  Disks disks;
  for (uint32_t i = 0; i < run.providers; ++i) {
    seam::Capabilities can = SimDisk::AllCapabilities();
    can.append = !(run.last_is_whole && i + 1 == run.providers);
    disks.push_back(std::make_unique<SimDisk>(can));
  }
  auto anchor = std::make_unique<SimDisk>();
  auto all = Join(disks, quorum);
  ASSERT_TRUE(World::Init(run.seed, *all, *anchor));
  all = Join(disks, quorum);
  WorldConfig config{.seed = run.seed, .waves = run.waves};
  config.kernel.save_period_ms = 100;
  World world(config, *all, *anchor);
  bool open = false;
  uint64_t writes = 0, looked_at = 0;
  for (size_t d = 0; d < disks.size(); ++d) {
    disks[d]->OnEveryWrite([&](const WriteOperation&) {
      uint64_t k = ++writes;
      if (!open || ::testing::Test::HasFatalFailure()) return;
      ++looked_at;
      std::string when = std::to_string(run.write) + " of " + std::to_string(run.providers) + ", write " +
                         std::to_string(k) + " at disk " + std::to_string(d);
      // All lose power at once, each with a fate of its own; then one of them may be gone for good.
      Disks after;
      for (size_t i = 0; i < disks.size(); ++i)
        after.push_back(disks[i]->AfterCrash(run.seed * 7919 + k * 31 + i));
      auto kept = anchor->AfterCrash(k % 2);
      uint64_t lost = quorum.open() < run.providers ? k % (run.providers + 1) : UINT64_MAX;  // and n: none
      auto joined = Join(after, quorum, lost);
      ASSERT_NO_FATAL_FAILURE(ExpectPrefix(world, *joined, *kept, when));
    });
  }
  ASSERT_TRUE(world.Open());
  open = true;
  world.Run();
  open = false;
  EXPECT_TRUE(world.stopped()) << CodeName(world.failure().value_or(Code{}));
  EXPECT_TRUE(world.complaints.empty()) << world.complaints.front();
  EXPECT_GT(world.saves(), 0u);
  EXPECT_GT(looked_at, 60u * run.providers);
}

class RuleC2Quorums : public ::testing::TestWithParam<Run> {};
TEST_P(RuleC2Quorums, KeepsEveryAcknowledgedWaveThroughAPowerCutAtEveryWrite) {
  CutThePowerEverywhere(GetParam());
}
INSTANTIATE_TEST_SUITE_P(EveryQuorum, RuleC2Quorums,
                         ::testing::Values(Run{1, 1, 11, 60}, Run{2, 1, 12, 60}, Run{2, 2, 13, 60},
                                           Run{3, 1, 14, 60}, Run{3, 2, 15, 80}, Run{3, 3, 16, 60},
                                           Run{3, 2, 17, 60, true}),
                         [](const auto& one) {
                           return std::to_string(one.param.write) + "Of" +
                                  std::to_string(one.param.providers) +
                                  (one.param.last_is_whole ? "OneWithoutAppend" : "");
                         });

// One disk dies for good in the middle; the world does not notice.
TEST(RuleC2Simulated, OneOfThreeDisksMayDieAtAnyTimeAndTheRunGoesOn) {
  for (uint64_t at = 5; at < 200; at += 19) {
    std::string when = "disk 1 dies at its write " + std::to_string(at);
    Disks disks;
    for (int i = 0; i < 3; ++i) disks.push_back(std::make_unique<SimDisk>());
    auto anchor = std::make_unique<SimDisk>();
    auto all = Join(disks, {3, 2});
    ASSERT_TRUE(World::Init(at, *all, *anchor));
    disks[1]->CrashAt(disks[1]->operations() + at);
    all = Join(disks, {3, 2});
    WorldConfig config{.seed = at, .waves = 60};
    config.kernel.save_period_ms = 100;
    World world(config, *all, *anchor);
    ASSERT_TRUE(world.Open()) << when;
    world.Run();
    EXPECT_TRUE(world.stopped()) << when << CodeName(world.failure().value_or(Code{}));
    EXPECT_TRUE(world.complaints.empty()) << world.complaints.front();
    all.reset();
    Disks after;
    after.push_back(disks[0]->AfterCrash(0));
    after.push_back(disks[1]->AfterCrash(at));
    after.push_back(disks[2]->AfterCrash(0));
    // With the dead one back and another gone.
    auto joined = Join(after, {3, 2}, at % 2 == 0 ? 0 : 2);
    ASSERT_NO_FATAL_FAILURE(ExpectPrefix(world, *joined, *anchor, when));
    for (const seam::CopyState& c : joined->States())
      EXPECT_TRUE(c.current || c.why == Code::kUnreachable) << when;
  }
}

}  // namespace
}  // namespace holdfast::sim
