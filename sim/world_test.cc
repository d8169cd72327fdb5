// Whole runs of a simulated store: crashes at every write, lost slots, full disks, clones.
#include "sim/world.h"

#include <gtest/gtest.h>

#include <set>

#include "core/store/verify.h"
#include "sim/disk.h"

namespace holdfast::sim {
namespace {

std::string Show(const std::vector<store::Finding>& findings) {
  std::string s;
  for (const store::Finding& f : findings) s += "\n  " + f.Line();
  return s;
}

struct Machine {
  std::unique_ptr<SimDisk> disk = std::make_unique<SimDisk>(), anchor = std::make_unique<SimDisk>();
  // Who keeps the anchor replaces it in one go: it is the old one or the new one, never a part.
  Machine AfterCrash(uint64_t seed) const {
    return {disk->AfterCrash(seed), anchor->AfterCrash(seed / 3 % 2)};
  }
  Machine Clone() const { return {disk->Clone(), anchor->Clone()}; }
};

void ExpectClean(const Machine& m, const std::string& when, bool nothing_left_over) {
  store::VerifyOptions options;
  options.anchor = ToBytes(m.anchor->Get(store::kAnchorName)->parse());
  auto report = store::VerifyStore(*m.disk, AsBytes(kSimPassphrase), options);
  ASSERT_TRUE(report) << when << ": " << CodeName(report.code());
  ASSERT_FALSE(report->verdict) << when << ": " << CodeName(*report->verdict) << Show(report->findings);
  EXPECT_TRUE(report->freshness.proven) << when;
  if (!nothing_left_over) return;
  for (const store::Finding& f : report->findings)
    EXPECT_TRUE(f.kind == store::Finding::Kind::kLeftover || f.kind == store::Finding::Kind::kNote)
        << when << ": " << f.Line();
}

// Opens what a crash has left: it must be a prefix of the log that holds everything acknowledged.
void ExpectPrefix(const World& world, Machine& m, const std::string& when, bool go_on) {
  crypto::SeededRandom random(99);
  store::OpenOptions options{.journal_file_bytes = 16u << 10};
  std::vector<store::Finding> findings;
  auto opened =
      store::OpenStore(*m.disk, m.anchor.get(), AsBytes(kSimPassphrase), options, random, &findings);
  ASSERT_TRUE(opened) << when << ": " << CodeName(opened.code()) << Show(findings);
  store::OpenedStore& s = **opened;
  LogIndex found(s.state->position().index.value - 1);  // without the entry of this opening
  ASSERT_GE(found, world.acknowledged()) << when << ": an acknowledged wave is lost";
  ASSERT_LE(found, world.proposed()) << when;
  const Model* model = world.ModelAt(found);
  ASSERT_TRUE(model != nullptr) << when;
  store::NodeCache cache(1u << 20);
  store::VersionNodes nodes(*m.disk, s.state->CurrentView().base, cache);
  auto tables = ReadTables(*s.state, nodes);
  ASSERT_TRUE(tables) << when << ": " << CodeName(tables.code());
  ASSERT_TRUE(*tables == model->tables) << when << ": the state is not that of index " << found.value;
  auto tags = ReadTags(*s.state, nodes);
  ASSERT_TRUE(tags) << when << ": " << CodeName(tags.code());
  ASSERT_TRUE(SameTags(*tags, model->tags)) << when << ": the tags are not those of index " << found.value;
  if (!go_on) return;

  TableId id = random.NewId<TableId>();
  tree::Descriptor d;
  d.name = "made after the crash";
  journal::Entry create{journal::EntryKind::kCreateTable, Term(),
                        kernel::Encode(kernel::CreateTable{id, Epoch(1), random.NewKey(), d.Encode()})};
  kernel::Batch batch;
  batch.operations = {{kernel::OperationKind::kPut, id, ToBytes("k"), ToBytes("v"), {}}};
  journal::Entry put{journal::EntryKind::kBatch, Term(), kernel::Encode(batch)};
  journal::Entry save{journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})};
  for (const auto& entries : std::vector<std::vector<journal::Entry>>{{create}, {put}, {save}, {put}}) {
    Status done =
        store::AppendInline(*m.disk, m.anchor.get(), s, journal::FrameKind::kWave, entries, cache, random);
    ASSERT_TRUE(done) << when << ": " << CodeName(done.code());
  }
  ExpectClean(m, when + ", gone on", true);
}

void DestroyNewestSlot(Machine& m, uint64_t choice) {
  std::map<std::string, Bytes>& objects = m.disk->objects();
  int newest = 0;
  uint64_t highest = 0;
  for (int slot : {0, 1}) {
    auto it = objects.find(store::SlotName(slot, "state-save-number"));
    if (it == objects.end() || it->second.size() != store::kSaveNumberBytes) continue;
    uint64_t number = LoadLittle<uint64_t>(it->second.data());
    if (number >= highest) highest = number, newest = slot;
  }
  auto file = [&](const char* name) { return store::SlotName(newest, name); };
  switch (choice % 3) {
    case 0:
      objects.erase(file("state-save-number"));
      break;
    case 1:
      objects[file("core-enclave")][100] ^= 1;
      break;
    default:
      for (const char* name : {"core-enclave", "key-enclave", "server-state", "state-save-number"})
        objects.erase(file(name));
  }
}

// True if the other slot is whole: a crash in mid-save leaves one slot alone.
bool HasBothSlots(const Machine& m) {
  for (int slot : {0, 1}) {
    auto number = m.disk->Get(store::SlotName(slot, "state-save-number"));
    if (!number || number->size() != store::kSaveNumberBytes) return false;
  }
  return true;
}

// Every write of a run, caught in mid-flight. Of `parts` runs of this test each looks at its share, so that
// they can go side by side; together they cover every write.
struct CrashRun {
  uint64_t seed;
  uint64_t waves;
  uint64_t part = 0, parts = 1;
  bool append = true;  // else every frame is an object
};

void CrashEverywhere(const CrashRun& run) {
  Machine machine;
  seam::Capabilities can = SimDisk::AllCapabilities();
  can.append = run.append;
  machine.disk = std::make_unique<SimDisk>(can);
  ASSERT_TRUE(World::Init(run.seed, *machine.disk, *machine.anchor));
  WorldConfig config{.seed = run.seed, .waves = run.waves};
  if (run.waves < 100) config.kernel.save_period_ms = 100;  // short runs meet saves too
  World world(config, *machine.disk, *machine.anchor);
  uint64_t writes = 0, looked_at = 0, both_slots = 0;
  bool open = false;
  auto crash_here = [&](const char* which) {
    uint64_t k = ++writes;
    if (k % run.parts != run.part || ::testing::Test::HasFatalFailure() || !open) return;
    ++looked_at;
    std::string when = "seed " + std::to_string(run.seed) + ", crash at write " + std::to_string(k) + " (" +
                       which + " disk)";
    uint64_t crash_seed = k % 5 == 0 ? 0 : k % 5 == 1 ? 1 : run.seed * 1'000'003 + k;
    Machine next = machine.AfterCrash(crash_seed);
    ASSERT_NO_FATAL_FAILURE(ExpectClean(next, when, false));
    if (HasBothSlots(next)) {
      ++both_slots;
      Machine without_newest = next.Clone();
      DestroyNewestSlot(without_newest, k);
      ASSERT_NO_FATAL_FAILURE(
          ExpectPrefix(world, without_newest, when + ", newest slot destroyed", k % 7 == 0));
    }
    ASSERT_NO_FATAL_FAILURE(ExpectPrefix(world, next, when, true));
  };
  // The first opening is a part of the run, but nothing is known yet of what it must hold: crashes in there
  // are OpeningCrashes'.
  ASSERT_TRUE(world.Open());
  open = true;
  machine.disk->OnEveryWrite([&](const WriteOperation&) { crash_here("store's"); });
  machine.anchor->OnEveryWrite([&](const WriteOperation&) { crash_here("anchor's"); });
  world.Run();
  ASSERT_FALSE(::testing::Test::HasFatalFailure());
  EXPECT_TRUE(world.stopped());
  for (const std::string& c : world.complaints) ADD_FAILURE() << "seed " << run.seed << ": " << c;
  EXPECT_GE(world.waves(), run.waves);
  EXPECT_GT(world.saves(), run.waves / 50);
  EXPECT_GT(writes, run.waves) << "each wave is at least one write";
  EXPECT_GE(looked_at, writes / run.parts);
  EXPECT_GT(both_slots, 0u);
  ::testing::Test::RecordProperty("writes", static_cast<int>(writes));
  ::testing::Test::RecordProperty("saves", static_cast<int>(world.saves()));
  ::testing::Test::RecordProperty("looked_at", static_cast<int>(looked_at));
}

// 1,000 waves, a crash at every write: the parts are the remainders of the write's number by four.
TEST(CrashAtEveryWrite, OfAThousandWavesPart0) { CrashEverywhere({7, 1000, 0, 4}); }
TEST(CrashAtEveryWrite, OfAThousandWavesPart1) { CrashEverywhere({7, 1000, 1, 4}); }
TEST(CrashAtEveryWrite, OfAThousandWavesPart2) { CrashEverywhere({7, 1000, 2, 4}); }
TEST(CrashAtEveryWrite, OfAThousandWavesPart3) { CrashEverywhere({7, 1000, 3, 4}); }
TEST(CrashAtEveryWrite, OfShortRunsOfManySeeds) {
  for (uint64_t seed = 100; seed < 112; ++seed) ASSERT_NO_FATAL_FAILURE(CrashEverywhere({seed, 40}));
}

TEST(CrashAtEveryWrite, WhereEveryFrameIsAnObject) {
  for (uint64_t seed = 200; seed < 206; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CrashEverywhere({.seed = seed, .waves = 60, .append = false}));
  }
}

// Recovery is itself a run that can be cut at every write, and cut again.
TEST(CrashAtEveryWrite, OfAnOpening) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Machine machine;
    ASSERT_TRUE(World::Init(seed, *machine.disk, *machine.anchor));
    World world({.seed = seed, .waves = 60}, *machine.disk, *machine.anchor);
    ASSERT_TRUE(world.Open());
    // A crash at some write in the middle: with and without a save under way.
    machine.disk->CrashAt(machine.disk->operations() + 30 + seed * 7);
    world.Run();
    ASSERT_EQ(world.failure(), Code::kCrashed);
    Machine crashed = machine.AfterCrash(seed);
    for (uint64_t k = 1;; ++k) {
      std::string when = "seed " + std::to_string(seed) + ", opening cut at write " + std::to_string(k);
      Machine trial = crashed.Clone();
      trial.disk->CrashAt(k);
      crypto::SeededRandom random(k);
      store::OpenOptions options{.journal_file_bytes = 16u << 10};
      auto opened = store::OpenStore(*trial.disk, trial.anchor.get(), AsBytes(kSimPassphrase), options,
                                     random, nullptr);
      if (opened) break;
      ASSERT_EQ(opened.code(), Code::kCrashed) << when;
      Machine next = trial.AfterCrash(k * 13 + seed);
      ASSERT_NO_FATAL_FAILURE(ExpectClean(next, when, false));
      auto again =
          store::OpenStore(*next.disk, next.anchor.get(), AsBytes(kSimPassphrase), options, random, nullptr);
      ASSERT_TRUE(again) << when << CodeName(again.code());
      store::NodeCache cache(1u << 20);
      store::VersionNodes nodes(*next.disk, (*again)->state->CurrentView().base, cache);
      auto tables = ReadTables(*(*again)->state, nodes);
      ASSERT_TRUE(tables) << when;
      bool prefix = false;
      for (LogIndex i = world.acknowledged(); i <= world.proposed(); i = i.next())
        prefix = prefix || (world.ModelAt(i) != nullptr && world.ModelAt(i)->tables == *tables);
      EXPECT_TRUE(prefix) << when;
      ASSERT_LT(k, 500u);
    }
  }
}

TEST(Simulator, TheSameSeedIsTheSameRun) {
  for (uint64_t seed : {1, 2, 3, 4, 5}) {
    std::vector<Digest> traces;
    std::vector<std::map<std::string, Bytes>> images;
    for (int again = 0; again < 2; ++again) {
      Machine machine;
      ASSERT_TRUE(World::Init(seed, *machine.disk, *machine.anchor));
      World world({.seed = seed, .waves = 150}, *machine.disk, *machine.anchor);
      ASSERT_TRUE(world.Open());
      world.Run();
      EXPECT_TRUE(world.stopped());
      for (const std::string& c : world.complaints) ADD_FAILURE() << "seed " << seed << ": " << c;
      traces.push_back(world.TraceDigest());
      images.push_back(machine.disk->AfterCrash(1)->objects());
    }
    EXPECT_EQ(traces[0], traces[1]) << "seed " << seed;
    EXPECT_TRUE(images[0] == images[1]) << "seed " << seed << ": other bytes on disk";
  }
}

TEST(Simulator, EveryOutcomeAndEveryRowIsAsTheModelSays) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Machine machine;
    ASSERT_TRUE(World::Init(seed, *machine.disk, *machine.anchor));
    World world({.seed = seed, .waves = 200}, *machine.disk, *machine.anchor);
    ASSERT_TRUE(world.Open());
    world.Run();
    EXPECT_TRUE(world.stopped());
    for (const std::string& c : world.complaints) ADD_FAILURE() << "seed " << seed << ": " << c;
    Machine next = machine.AfterCrash(0);  // after a clean stop nothing is left to lose
    ASSERT_NO_FATAL_FAILURE(ExpectClean(next, "stopped", true));
    ASSERT_NO_FATAL_FAILURE(ExpectPrefix(world, next, "seed " + std::to_string(seed) + ", reopened", true));
  }
}

// Acknowledgements stop, reads go on, and nothing that was promised is lost; with space it goes on by itself.
TEST(RuleI1, AFullDiskStopsAcknowledgementsNotReadsAndPassesWithSpace) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    std::string when = "seed " + std::to_string(seed);
    Machine machine;
    ASSERT_TRUE(World::Init(seed, *machine.disk, *machine.anchor));
    World world({.seed = seed, .waves = 2500}, *machine.disk, *machine.anchor);
    ASSERT_TRUE(world.Open());
    for (int round = 0; round < 3; ++round) {
      world.Run(world.now_us() + 1'000'000);
      machine.disk->SetFreeBytes(500 + seed * 997 % 9000);
      world.Run(world.now_us() + 5'000'000);
      ASSERT_FALSE(world.failure()) << when << CodeName(*world.failure());
      uint64_t replies = world.durable_replies();
      LogIndex acknowledged = world.acknowledged();
      bool full = world.full();
      world.Run(world.now_us() + 20'000'000);
      if (full) {
        EXPECT_EQ(world.durable_replies(), replies) << when << ": acknowledged without space";
        EXPECT_EQ(world.acknowledged(), acknowledged) << when;
      }
      // Reads go on, from trees and overlays.
      store::NodeCache cache(1u << 20);
      store::VersionNodes nodes(*machine.disk, world.store().state->CurrentView().base, cache);
      auto tables = ReadTables(*world.store().state, nodes);
      ASSERT_TRUE(tables) << when;
      const Model* model = world.ModelAt(world.store().state->position().index);
      if (model != nullptr) {
        EXPECT_TRUE(*tables == model->tables) << when;
      }
      // The power may go while it is full.
      Machine crashed = machine.AfterCrash(seed + 1);
      crashed.disk->SetFreeBytes(std::nullopt);
      ASSERT_NO_FATAL_FAILURE(ExpectClean(crashed, when + ", crashed while full", false));
      ASSERT_NO_FATAL_FAILURE(ExpectPrefix(world, crashed, when + ", crashed while full", true));
      machine.disk->SetFreeBytes(std::nullopt);
      world.Run(world.now_us() + 5'000'000);
      EXPECT_GT(world.durable_replies(), replies) << when << ": space is back";
    }
    world.Run();
    EXPECT_TRUE(world.stopped()) << when;
    for (const std::string& c : world.complaints) ADD_FAILURE() << when << ": " << c;
    EXPECT_GT(world.refusals().count(Code::kFull), 0u) << when << ": this test never met a full disk";
    Machine next = machine.AfterCrash(0);
    ASSERT_NO_FATAL_FAILURE(ExpectClean(next, when, true));
    ASSERT_NO_FATAL_FAILURE(ExpectPrefix(world, next, when, true));
  }
}

TEST(Simulator, WhatIsNotFoldedYetIsBoundedInMemory) {
  Machine machine;
  ASSERT_TRUE(World::Init(3, *machine.disk, *machine.anchor));
  WorldConfig config{.seed = 3, .waves = 600, .clients = 40, .value_bytes_max = 4000};
  config.kernel = {.wave_bytes_cap = 32u << 10, .dirty_bytes_save = 64u << 10, .dirty_bytes_max = 128u << 10};
  World world(config, *machine.disk, *machine.anchor);
  ASSERT_TRUE(world.Open());
  world.Run();
  EXPECT_TRUE(world.stopped());
  for (const std::string& c : world.complaints) ADD_FAILURE() << c;
  // What was on its way when the limit was met still arrives: the waves in flight and the one that crossed
  // it.
  uint64_t in_flight = (config.kernel.waves_in_flight_max + 1) * 2 * config.kernel.wave_bytes_cap;
  EXPECT_LE(world.dirty_bytes_max_seen(), config.kernel.dirty_bytes_max + in_flight);
  EXPECT_GT(world.dirty_bytes_max_seen(), config.kernel.dirty_bytes_save);
}

}  // namespace
}  // namespace holdfast::sim
