#include "core/journal/writer.h"

#include <gtest/gtest.h>

#include "core/journal/journal_rig_internal.h"

namespace holdfast::journal {
namespace {

constexpr uint64_t kSector = limits::kSectorBytes;

TEST(JournalWriter, RollsToAFileNamedByTheFrameThatDidNotFitAndTrimsTheFullOne) {
  Rig rig;
  TearingDisk disk(true);
  Opener o(rig, disk, 4 * kSector);
  ASSERT_TRUE(o.Open());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(o.Write({"small"}));
  ASSERT_TRUE(o.Write({std::string(600, 'x')}));  // two sectors; one is left
  ASSERT_EQ(disk.objects.size(), 2u);
  EXPECT_EQ(disk.objects[rig.Name(1)].size(), 3 * kSector);
  EXPECT_EQ(disk.objects[rig.Name(4)].size(), 4 * kSector);
  ASSERT_TRUE(o.Write({std::string(9000, 'x')}));  // larger than a file: has one of its own
  EXPECT_TRUE(disk.objects.contains(rig.Name(5)));
  ASSERT_TRUE(o.Write({"small"}));
  EXPECT_TRUE(disk.objects.contains(rig.Name(6)));
  EXPECT_EQ(rig.Read(disk).end, o.position);
}

TEST(JournalWriter, WritesOneObjectPerFrameWhereNothingCanBeAppended) {
  Rig rig;
  TearingDisk disk(false);
  Opener o(rig, disk);
  ASSERT_TRUE(o.Open());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(o.Write({"wave"}));
  ASSERT_EQ(disk.objects.size(), 4u);
  for (uint64_t n = 1; n <= 4; ++n) EXPECT_EQ(disk.objects[rig.Name(n)].size(), kSector);
}

TEST(RuleB3, OpeningNeverTakesAnObjectThatIsThere) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    Opener a(rig, disk), b(rig, disk);
    ASSERT_TRUE(a.Open());
    Chain seen = rig.Read(disk);
    ASSERT_TRUE(b.Open());
    auto before = disk.objects;
    JournalWriter late(disk, {rig.id, 4096});  // an opener that had read before b wrote its barrier
    Frame f = b.Make(FrameKind::kBarrier, {});
    f.number = b.last.number;
    EXPECT_EQ(late.Open(seen, f.number, rig.Seal(f)).code(), Code::kExists);
    EXPECT_TRUE(b.Write({"unharmed"}));
    EXPECT_EQ(rig.Read(disk).end, b.position);
  }
}

TEST(RuleB4, AnOpeningTrimsTheFileToTheLastAcceptedFrame) {
  Rig rig;
  TearingDisk disk(true);
  Opener a(rig, disk);
  ASSERT_TRUE(a.Open());
  ASSERT_TRUE(a.Write({"kept"}));
  Bytes& file = disk.objects[rig.Name(1)];
  std::fill_n(file.begin() + 3 * static_cast<ptrdiff_t>(kSector), kSector,
              uint8_t{7});  // torn: its header did not arrive
  ASSERT_TRUE(Opener(rig, disk).Open());
  EXPECT_EQ(disk.objects[rig.Name(1)].size(), 2 * kSector);
}

TEST(RuleC2, AnObjectUnderOurNextNumberMeansThatAnotherOpenedAndFencesUs) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    Opener a(rig, disk, 2 * kSector);
    ASSERT_TRUE(a.Open());
    ASSERT_TRUE(a.Write({"full"}));
    disk.objects[rig.Name(3)] = {1};
    EXPECT_EQ(a.Write({"next"}).code(), Code::kFenced);
    EXPECT_EQ(a.Retry().code(), Code::kPoisoned);
  }
}

TEST(RuleD3, TheCutDeletesWhatIsWhollyBelowAndNothingElse) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    Opener o(rig, disk, 2 * kSector);
    ASSERT_TRUE(o.Open());
    for (int i = 0; i < 9; ++i) ASSERT_TRUE(o.Write({"wave"}));
    disk.objects[JournalPrefix(rig.id.member) + "alien"] = {1};
    for (uint64_t cut = 1; cut <= 12; ++cut) {
      ASSERT_TRUE(o.writer->CutBelow(FrameNumber(cut)));
      for (uint64_t n = 1; n <= 10; n += append ? 2 : 1) {
        bool below = append ? n + 2 <= cut : n + 1 <= cut;
        bool newest = n == (append ? 9u : 10u);
        EXPECT_EQ(disk.objects.contains(rig.Name(n)), !below || newest) << "file " << n << " cut " << cut;
      }
    }
    EXPECT_TRUE(disk.objects.contains(JournalPrefix(rig.id.member) + "alien"));
  }
}

TEST(RuleI1, AFullDiskAbandonsTheFrameAndTheSameBytesCanBeWrittenLater) {
  for (bool append : {true, false}) {
    for (bool rolling : {true, false}) {
      Rig rig;
      TearingDisk disk(append);
      Opener o(rig, disk, rolling ? 2 * kSector : 8 * kSector);
      ASSERT_TRUE(o.Open());
      ASSERT_TRUE(o.Write({"one"}));
      LogPosition before = o.position;
      disk.full_operations = 3;
      EXPECT_EQ(o.Write({"two"}).code(), Code::kFull);
      EXPECT_EQ(o.Retry().code(), Code::kFull);
      EXPECT_EQ(o.Retry().code(), Code::kFull);
      Chain chain = rig.Read(disk);
      EXPECT_TRUE(!chain.tampered && chain.end == before) << Show(chain);
      EXPECT_TRUE(o.Retry());
      EXPECT_TRUE(o.Write({"three"}));
      EXPECT_EQ(rig.Read(disk).end, o.position);
    }
  }
}

TEST(RuleI1, AFullDiskStopsAnOpeningThatCanBeTriedAgain) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    disk.full_operations = 1;
    EXPECT_EQ(Opener(rig, disk).Open().code(), Code::kFull);
    Opener o(rig, disk);
    EXPECT_TRUE(o.Open());
    EXPECT_EQ(rig.Read(disk).end, o.position);
  }
}

TEST(RuleI1, AnyOtherFailurePoisonsTheWriter) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    Opener o(rig, disk);
    ASSERT_TRUE(o.Open());
    disk.operations_before_crash = 0;
    EXPECT_EQ(o.Write({"lost"}).code(), Code::kCrashed);
    disk.Reboot();  // the disk would write again; we do not know what it holds
    EXPECT_EQ(o.Retry().code(), Code::kPoisoned);
    EXPECT_EQ(o.writer->CutBelow(FrameNumber(1)).code(), Code::kPoisoned);
  }
}

}  // namespace
}  // namespace holdfast::journal
