// Save points and the clean stop.
#include "core/kernel/command.h"
#include "core/kernel/kernel_rig_internal.h"

namespace holdfast::kernel {
namespace {

using journal::EntryKind;
using journal::FrameKind;

constexpr uint64_t kNever = UINT64_MAX;

bool IsSave(const WriteFrame& w) {
  return w.entries->size() == 1 && w.entries->front().kind == EntryKind::kSavePoint;
}

// Lets the save point on its way commit and apply; answers its index.
LogIndex Commit(Rig& rig) {
  while (!rig.writes.empty()) {
    const WriteFrame w = rig.writes.front();
    rig.Stable();
    rig.ApplyAll();
    if (IsSave(w)) return w.first_index;
  }
  ADD_FAILURE() << "there is no save point";
  return LogIndex();
}

TEST(RuleD1, ASavePointIsALogEntryThatCarriesTheFoldVersionInAFrameOfItsOwn) {
  Rig rig;
  rig.Do(RequestSave{1});
  ASSERT_EQ(rig.writes.size(), 1u);
  ASSERT_TRUE(IsSave(rig.writes[0]));
  EXPECT_EQ(rig.writes[0].kind, FrameKind::kWave);
  EXPECT_EQ(rig.writes[0].entries->front().payload, (Bytes{1, 0, 0, 0}));
  EXPECT_EQ(rig.writes[0].first_index, LogIndex(2));
  rig.Stable();
  ASSERT_EQ(rig.applies.size(), 1u);  // every member folds where the log says
  EXPECT_EQ(rig.applies[0].first_index, LogIndex(2));
}

TEST(RuleD1, TwoSavesNeverRunAtOnce) {
  Options options;
  options.save_period_ms = 1;
  options.dirty_bytes_save = 1;
  Rig rig(options);
  rig.Put(1);
  rig.Stable();
  rig.ApplyAll(100);
  int saves = 0;
  for (Ticket t = 10; t < 60; ++t) {
    rig.Put(t);
    rig.Do(RequestSave{t + 100});
    rig.After(10'000);
    while (!rig.writes.empty()) {
      saves += IsSave(rig.writes.front()) ? 1 : 0;
      rig.Stable();
      rig.ApplyAll(100);
    }
  }
  EXPECT_EQ(saves, 1);
}

TEST(RuleD4, ARequestReturnsWhenItsSavePointIsDurableInASlot) {
  Rig rig;
  rig.Put(1);
  rig.Finish();
  rig.Do(RequestSave{2});
  const LogIndex save = Commit(rig);
  EXPECT_EQ(rig.ReplyTo(2), nullptr);
  rig.Do(SaveFinished{save, Ok()});
  ASSERT_TRUE(rig.Succeeded(2));
  EXPECT_EQ(rig.ReplyTo(2)->index, save);
  EXPECT_GE(rig.ReplyTo(2)->index, LogIndex(2));
  EXPECT_EQ(rig.ReplyTo(2)->reached, Wait::kDurable);
}

TEST(RuleD4, ASaveThatRunsAtOrAboveTheCommittedIndexServesTheRequest) {
  Rig rig;
  rig.Do(RequestSave{1});
  rig.Do(RequestSave{2});  // not even on disk
  const LogIndex save = Commit(rig);
  rig.Do(RequestSave{3});  // committed == the save point
  EXPECT_TRUE(rig.writes.empty());
  rig.Do(SaveFinished{save, Ok()});
  for (Ticket t = 1; t <= 3; ++t) EXPECT_TRUE(rig.Succeeded(t)) << t;
  EXPECT_TRUE(rig.writes.empty());
}

TEST(RuleD4, ASaveThatRunsBelowTheCommittedIndexIsFollowedByAnother) {
  Rig rig;
  rig.Do(RequestSave{1});
  const LogIndex first = Commit(rig);
  rig.Put(2);
  rig.Finish();
  const LogIndex committed = rig.kernel.committed();
  rig.Do(RequestSave{3});
  EXPECT_TRUE(rig.writes.empty());
  rig.Do(SaveFinished{first, Ok()});
  EXPECT_TRUE(rig.Succeeded(1));
  EXPECT_EQ(rig.ReplyTo(3), nullptr);
  const LogIndex second = Commit(rig);
  rig.Do(SaveFinished{second, Ok()});
  ASSERT_TRUE(rig.Succeeded(3));
  EXPECT_GE(rig.ReplyTo(3)->index, committed);
}

TEST(RuleD4, ASavePointDoesNotWaitBehindWhatIsPending) {
  Options options;
  options.waves_in_flight_max = 1;
  Rig rig(options);
  rig.Put(1);
  rig.Put(2);
  rig.Do(RequestSave{3});
  rig.Stable();
  EXPECT_TRUE(IsSave(rig.writes.front()));
}

TEST(Save, AFailedSaveIsReportedToThoseWhoAskedAndNotRepeatedForThem) {
  Rig rig;
  rig.Do(RequestSave{1});
  rig.Do(SaveFinished{Commit(rig), Code::kFull});
  EXPECT_EQ(rig.CodeOf(1), Code::kFull);
  rig.After(60'000'000);
  EXPECT_TRUE(rig.writes.empty());
}

TEST(Save, ByPeriodOnlyWhenSomethingHasChanged) {
  Options options;
  options.save_period_ms = 10'000;
  Rig rig(options);
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), 0u);  // the period begins with the first event
  rig.Do(Tick{});
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), rig.now_us + 10'000'000);
  rig.After(10'000'000);
  rig.Do(SaveFinished{Commit(rig), Ok()});  // what the opening wrote
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);
  rig.After(60'000'000);
  EXPECT_TRUE(rig.writes.empty());
  rig.Put(1);
  EXPECT_FALSE(IsSave(rig.writes.front()));
  rig.Stable();
  ASSERT_EQ(rig.writes.size(), 1u);  // long overdue
  EXPECT_TRUE(IsSave(rig.writes.front()));
}

TEST(Save, ARequestedSaveResetsThePeriod) {
  Options options;
  options.save_period_ms = 10'000;
  Rig rig(options);
  rig.Do(Tick{});
  rig.After(9'000'000);
  rig.Do(RequestSave{1});
  rig.Do(SaveFinished{Commit(rig), Ok()});
  rig.Put(2);
  rig.Finish();
  EXPECT_GE(rig.kernel.NextDeadlineUs(), rig.now_us + 9'900'000);
  rig.After(2'000'000);
  EXPECT_TRUE(rig.writes.empty());
}

TEST(Save, AFailedPeriodicSaveIsRetriedAfterABreak) {
  Options options;
  options.save_period_ms = 10'000;
  Rig rig(options);
  rig.Do(Tick{});
  rig.After(10'000'000);
  rig.Do(SaveFinished{Commit(rig), Code::kIo});
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), rig.now_us + 1'000'000);
  rig.After(1'000'000);
  EXPECT_EQ(rig.writes.size(), 1u);
}

TEST(Save, ByDirtyBytes) {
  Options options;
  options.dirty_bytes_save = 1000;
  Rig rig(options);
  rig.Put(1);
  rig.Stable();
  rig.ApplyAll(999);
  EXPECT_TRUE(rig.writes.empty());
  rig.Put(2);
  rig.Stable();
  rig.ApplyAll(1000);
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_TRUE(IsSave(rig.writes[0]));
  const LogIndex save = rig.writes[0].first_index;
  rig.Stable();
  rig.ApplyAll(1000);
  rig.Do(SaveFinished{save, Ok()});
  EXPECT_TRUE(rig.writes.empty());  // what the save has cleaned is not counted again
  EXPECT_EQ(rig.kernel.metrics().saves, 1u);
}

TEST(Save, AReportOfASaveThatNobodyStartedChangesNothing) {
  Rig rig;
  rig.Do(SaveFinished{LogIndex(77), Ok()});
  rig.Do(SaveFinished{LogIndex(1), Code::kIo});
  EXPECT_EQ(rig.logs.size(), 2u);
  EXPECT_EQ(rig.kernel.metrics().saves, 0u);
  rig.Do(RequestSave{1});
  rig.Do(SaveFinished{LogIndex(77), Ok()});
  EXPECT_EQ(rig.ReplyTo(1), nullptr);
}

TEST(Save, ALateReportOfAnOlderSaveDoesNotEndTheOneThatRuns) {
  Rig rig;
  rig.Do(RequestSave{1});
  const LogIndex first = Commit(rig);
  rig.Do(SaveFinished{first, Ok()});
  rig.Put(2);
  rig.Finish();
  rig.Do(RequestSave{3});
  const LogIndex second = Commit(rig);
  rig.Do(SaveFinished{first, Ok()});
  EXPECT_EQ(rig.ReplyTo(3), nullptr);
  rig.Do(RequestSave{4});
  EXPECT_TRUE(rig.writes.empty());
  rig.Do(SaveFinished{second, Ok()});
  EXPECT_TRUE(rig.Succeeded(3));
  EXPECT_TRUE(rig.Succeeded(4));
}

TEST(Save, ASaveThatRunsStillFinishesAfterStorageFailed) {
  Rig rig;
  rig.Do(RequestSave{1});
  const LogIndex save = Commit(rig);
  rig.Put(2);
  rig.Do(FrameFailed{rig.writes.front().number, Code::kIo});
  EXPECT_EQ(rig.CodeOf(2), Code::kIo);
  EXPECT_EQ(rig.ReplyTo(1), nullptr);
  rig.Do(SaveFinished{save, Ok()});
  EXPECT_TRUE(rig.Succeeded(1));
}

// -- Stop

TEST(Stop, AnIdleKernelWritesItsClosingFrameAndStops) {
  Rig rig;
  rig.Do(Stop{});
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].kind, FrameKind::kClosing);
  ASSERT_EQ(rig.writes[0].entries->size(), 1u);
  EXPECT_EQ(rig.writes[0].entries->front().kind, EntryKind::kClosed);
  EXPECT_TRUE(rig.writes[0].entries->front().payload.empty());
  EXPECT_EQ(rig.stopped, 0);
  rig.Stable();
  EXPECT_EQ(rig.stopped, 1);
}

TEST(Stop, WhatIsPendingIsWrittenAndAnsweredFirst) {
  Options options;
  options.waves_in_flight_max = 1;
  Rig rig(options);
  rig.Put(1);
  rig.Put(2);
  rig.Put(3, Wait::kNone);
  rig.Do(Stop{});
  rig.Put(4);
  rig.Do(Sync{5});
  rig.Do(RequestSave{6});
  for (Ticket t = 4; t <= 6; ++t) EXPECT_EQ(rig.CodeOf(t), Code::kStopping);
  while (rig.stopped == 0 && !rig.writes.empty()) {
    if (rig.writes.front().kind == FrameKind::kClosing) {
      for (Ticket t = 1; t <= 3; ++t) EXPECT_TRUE(rig.Succeeded(t)) << t;
    }
    rig.Stable();
    rig.ApplyAll();
  }
  EXPECT_EQ(rig.stopped, 1);
}

TEST(Stop, ASecondStopIsNothing) {
  Rig rig;
  rig.Do(Stop{});
  rig.Do(Stop{});
  EXPECT_EQ(rig.writes.size(), 1u);
  rig.Stable();
  rig.Do(Stop{});
  rig.Do(Tick{});
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_EQ(rig.stopped, 1);
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);
  rig.Put(1);
  EXPECT_EQ(rig.CodeOf(1), Code::kStopping);
}

TEST(Stop, WaitsForTheSaveThatRuns) {
  Rig rig;
  rig.Do(RequestSave{1});
  rig.Do(Stop{});
  const LogIndex save = Commit(rig);
  EXPECT_TRUE(rig.writes.empty());
  rig.Do(SaveFinished{save, Ok()});
  EXPECT_TRUE(rig.Succeeded(1));
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].kind, FrameKind::kClosing);
}

TEST(Stop, WaitsForASaveThatNobodyAskedFor) {
  Options options;
  options.dirty_bytes_save = 100;
  Rig rig(options);
  rig.Put(1);
  rig.Stable();
  rig.ApplyAll(100);
  const LogIndex save = Commit(rig);
  rig.Do(Stop{});
  EXPECT_TRUE(rig.writes.empty());
  rig.Do(SaveFinished{save, Code::kIo});
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].kind, FrameKind::kClosing);
}

TEST(Stop, DoesNotBeginASaveThatNobodyAskedFor) {
  Options options;
  options.dirty_bytes_save = 100;
  options.waves_in_flight_max = 1;
  Rig rig(options);
  rig.Put(1);
  rig.Stable();
  rig.Put(2);
  rig.ApplyAll(100);  // a save is due, and there is no room for its frame
  rig.Do(Stop{});
  rig.Stable();
  rig.ApplyAll(100);
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].kind, FrameKind::kClosing);
}

TEST(Stop, ClosesOnlyWhenEverythingIsApplied) {
  Rig rig;
  rig.Put(1);
  rig.Do(Stop{});
  rig.Stable();
  EXPECT_TRUE(rig.writes.empty());
  rig.ApplyAll();
  EXPECT_TRUE(rig.Succeeded(1));
  EXPECT_EQ(rig.writes.size(), 1u);
}

TEST(Stop, DoesNotWaitForSpace) {
  Rig rig;
  rig.Put(1);
  rig.Put(2);
  rig.Refuse();
  rig.Do(Stop{});
  ASSERT_EQ(rig.writes.size(), 1u);  // one more try, at once
  EXPECT_EQ(rig.stopped, 0);
  rig.Refuse();
  EXPECT_EQ(rig.CodeOf(1), Code::kFull);
  EXPECT_EQ(rig.CodeOf(2), Code::kFull);
  EXPECT_EQ(rig.stopped, 1);
}

TEST(Stop, WithoutSpaceForTheClosingFrameStopsWithoutIt) {
  Rig rig;
  rig.Do(Stop{});
  rig.Refuse();
  EXPECT_EQ(rig.stopped, 1);
}

TEST(Stop, AfterAFailureStopsWithoutWriting) {
  Rig rig;
  rig.Put(1);
  rig.Do(FrameFailed{rig.writes.front().number, Code::kFenced});
  rig.writes.clear();
  rig.Do(Stop{});
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_EQ(rig.stopped, 1);
}

}  // namespace
}  // namespace holdfast::kernel
