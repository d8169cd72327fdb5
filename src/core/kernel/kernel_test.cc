// What the kernel promises to those who wait: one answer each, in order, and nothing more than was reached.
#include "core/kernel/kernel.h"

#include "core/kernel/command.h"
#include "core/kernel/kernel_rig_internal.h"

namespace holdfast::kernel {
namespace {

using journal::EntryKind;
using journal::FrameKind;

constexpr uint64_t kNever = UINT64_MAX;

std::vector<Ticket> Tickets(const std::vector<Reply>& replies) {
  std::vector<Ticket> t;
  for (const Reply& r : replies) t.push_back(r.ticket);
  return t;
}

// -- H1: what was reached

TEST(RuleH1, WaitNoneIsAnsweredWithTermAndIndexOnceTheEntryIsInAWave) {
  Rig rig;
  rig.Put(1, Wait::kNone);
  EXPECT_EQ(rig.ReplyTo(1), nullptr);
  rig.After(20'000);
  ASSERT_EQ(rig.writes.size(), 1u);
  ASSERT_TRUE(rig.Succeeded(1));
  EXPECT_EQ(rig.ReplyTo(1)->index, LogIndex(2));
  EXPECT_EQ(rig.ReplyTo(1)->term, Term(1));
  EXPECT_EQ(rig.ReplyTo(1)->reached, Wait::kNone);
}

TEST(RuleH1, WaitDurableIsAnsweredOnlyWhenStableAndApplied) {
  Rig rig;
  rig.Put(1);
  EXPECT_TRUE(rig.replies.empty());
  EXPECT_EQ(rig.kernel.committed(), LogIndex(1));
  rig.Stable();
  EXPECT_TRUE(rig.replies.empty());
  EXPECT_EQ(rig.kernel.committed(), LogIndex(2));
  EXPECT_EQ(rig.kernel.stable(), LogIndex(2));
  EXPECT_EQ(rig.kernel.applied(), LogIndex(1));
  rig.ApplyAll();
  ASSERT_TRUE(rig.Succeeded(1));
  EXPECT_EQ(rig.ReplyTo(1)->reached, Wait::kDurable);
  EXPECT_EQ(rig.ReplyTo(1)->index, LogIndex(2));
  EXPECT_EQ(rig.kernel.applied(), LogIndex(2));
}

TEST(RuleH1, TheApplierIsNotAskedForAVerdictThatNobodyAwaits) {
  Rig rig;
  rig.Put(1, Wait::kNone);
  rig.Put(2);
  rig.Stable();
  EXPECT_EQ(rig.applies.front().tickets, (std::vector<Ticket>{0, 2}));
}

TEST(RuleH1, ReadersSeeNoEntryThatIsNotStable) {
  Rig rig;
  rig.Put(1);
  EXPECT_TRUE(rig.applies.empty());
  rig.Stable();
  EXPECT_EQ(rig.applies.size(), 1u);
}

TEST(RuleH1, TheAppliersVerdictIsTheAnswerAndTheEntryIsDurableAllTheSame) {
  Rig rig;
  rig.Put(1);
  rig.Stable();
  rig.Do(Applied{LogIndex(2), 0, {{1, Code::kConflict, 17}}});
  EXPECT_EQ(rig.CodeOf(1), Code::kConflict);
  EXPECT_EQ(rig.ReplyTo(1)->detail, 17u);
  EXPECT_EQ(rig.ReplyTo(1)->index, LogIndex(2));
  EXPECT_EQ(rig.ReplyTo(1)->reached, Wait::kDurable);
}

TEST(Kernel, AnswersComeInLogOrder) {
  Rig rig;
  std::vector<Ticket> expected;
  for (Ticket t = 1; t <= 40; ++t) {
    rig.Put(t);
    expected.push_back(t);
    if (t % 7 == 0) rig.Stable();
    if (t % 11 == 0) rig.ApplyAll();
  }
  rig.Finish();
  EXPECT_EQ(Tickets(rig.replies), expected);
  LogIndex last;
  for (const Reply& r : rig.replies) {
    EXPECT_GT(r.index, last);
    last = r.index;
  }
}

TEST(Kernel, AppliersMayAnswerInPieces) {
  Rig rig;
  rig.Put(1);
  for (Ticket t = 2; t <= 4; ++t) rig.Put(t);
  rig.Stable();
  rig.Stable();
  rig.Do(Applied{LogIndex(3), 0, {{1, Ok(), 0}, {2, Code::kNoTable, 0}}});
  EXPECT_EQ(Tickets(rig.replies), (std::vector<Ticket>{1, 2}));
  EXPECT_EQ(rig.CodeOf(2), Code::kNoTable);
  rig.Do(Applied{LogIndex(5), 0, {{4, Code::kConflict, 0}, {3, Ok(), 0}}});
  EXPECT_EQ(Tickets(rig.replies), (std::vector<Ticket>{1, 2, 3, 4}));
  EXPECT_EQ(rig.CodeOf(4), Code::kConflict);
}

TEST(Kernel, AnApplierThatClaimsTooMuchIsLoggedAndNotBelieved) {
  Rig rig;
  rig.Put(1);
  rig.Do(Applied{LogIndex(2), 0, {}});
  EXPECT_TRUE(rig.replies.empty());
  EXPECT_EQ(rig.kernel.applied(), LogIndex(1));
  EXPECT_EQ(rig.logs.size(), 1u);
}

TEST(Kernel, AStableReportForAFrameThatIsNotInFlightIsLoggedAndIgnored) {
  Rig rig;
  rig.Put(1);
  rig.Do(FrameStable{FrameNumber(99)});
  rig.Do(FrameStable{FrameNumber(4)});
  EXPECT_TRUE(rig.applies.empty());
  EXPECT_EQ(rig.logs.size(), 2u);
  rig.Stable();
  rig.Do(FrameStable{FrameNumber(5)});
  EXPECT_EQ(rig.applies.size(), 1u);
  rig.ApplyAll();
  EXPECT_TRUE(rig.Succeeded(1));
}

TEST(Kernel, AStableReportOutOfOrderAcknowledgesNothing) {
  Rig rig;
  rig.Measure(1'000);
  rig.Put(1);
  rig.After(1'000);
  rig.Put(2);
  ASSERT_EQ(rig.writes.size(), 2u);
  rig.Do(FrameStable{rig.writes[1].number});
  EXPECT_TRUE(rig.applies.empty());
  EXPECT_EQ(rig.CodeOf(1), Code::kInternal);  // who reports so is not to be believed
  EXPECT_EQ(rig.CodeOf(2), Code::kInternal);
  rig.Put(3);
  EXPECT_EQ(rig.CodeOf(3), Code::kInternal);
}

TEST(Kernel, TheWatermarkIsWhatWasStableWhenTheFrameWasCut) {
  Rig rig;
  rig.Measure(1'000);
  rig.Put(1);
  rig.After(1'000);
  rig.Put(2);
  ASSERT_EQ(rig.writes.size(), 2u);
  EXPECT_EQ(rig.writes[0].watermark, LogIndex(2));
  EXPECT_EQ(rig.writes[1].watermark, LogIndex(2));
  rig.Stable();
  rig.Put(3);
  rig.After(1'000);
  EXPECT_EQ(rig.writes.back().watermark, LogIndex(3));
  EXPECT_EQ(rig.writes.back().number, FrameNumber(8));
}

// -- Sync

TEST(Sync, WithNothingToWaitForIsAnsweredAtOnce) {
  Rig rig;
  rig.Do(Sync{1});
  ASSERT_TRUE(rig.Succeeded(1));
  EXPECT_EQ(rig.ReplyTo(1)->index, LogIndex(1));
}

TEST(Sync, WaitsForEverythingSubmittedBeforeItAndNothingAfter) {
  Rig rig;
  rig.Put(1, Wait::kNone);
  rig.Do(Sync{2});  // a waiter: the wave goes at once
  ASSERT_EQ(rig.writes.size(), 1u);
  rig.Put(3);
  rig.Stable();
  EXPECT_EQ(rig.ReplyTo(2), nullptr);
  rig.ApplyAll();
  EXPECT_TRUE(rig.Succeeded(2));
  EXPECT_EQ(rig.ReplyTo(2)->index, LogIndex(2));
  EXPECT_EQ(rig.ReplyTo(2)->reached, Wait::kDurable);
  EXPECT_EQ(rig.ReplyTo(3), nullptr);
}

TEST(Sync, WaitsForAWaveThatIsOnItsWay) {
  Rig rig;
  rig.Put(1);
  rig.Do(Sync{2});
  rig.Stable();
  EXPECT_TRUE(rig.replies.empty());
  rig.ApplyAll();
  EXPECT_EQ(Tickets(rig.replies), (std::vector<Ticket>{1, 2}));
}

TEST(Sync, IsAWaiterOnlyUntilItsWaveIsCut) {
  Rig rig;
  rig.Put(1, Wait::kNone);
  rig.Do(Sync{2});
  rig.Finish();
  rig.Put(3, Wait::kNone);
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_NE(rig.kernel.NextDeadlineUs(), kNever);
}

// -- back-pressure

TEST(BackPressure, PendingBytesOverTheLimitAreOverloadedAndNothingIsEnqueued) {
  Options options;
  options.pending_bytes_max = 1000;
  options.waves_in_flight_max = 1;
  Rig rig(options);
  rig.Put(1);
  rig.Put(2, Wait::kDurable, 900);
  rig.Put(3, Wait::kDurable, 200);
  EXPECT_EQ(rig.CodeOf(3), Code::kOverloaded);
  EXPECT_EQ(rig.kernel.metrics().pending_bytes, 900u);
  EXPECT_EQ(rig.kernel.metrics().overloaded, 1u);
  rig.Put(4, Wait::kDurable, 100);
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(2));
  EXPECT_TRUE(rig.Succeeded(4));
  rig.Put(5, Wait::kDurable, 200);
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(5));
}

TEST(BackPressure, PendingCommandsOverTheLimitAreOverloaded) {
  Options options;
  options.pending_commands_max = 3;
  options.waves_in_flight_max = 1;
  Rig rig(options);
  for (Ticket t = 1; t <= 4; ++t) rig.Put(t);
  rig.Put(5);
  EXPECT_EQ(rig.CodeOf(5), Code::kOverloaded);
  rig.Stable();
  rig.Put(6);
  EXPECT_EQ(rig.ReplyTo(6), nullptr);
}

TEST(BackPressure, ACommandLargerThanAFrameCanCarryIsRefused) {
  Rig rig;
  rig.Put(1, Wait::kDurable, kCommandBytesMax + 1);
  EXPECT_EQ(rig.CodeOf(1), Code::kTooLarge);
  rig.Put(2, Wait::kDurable, kCommandBytesMax);
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(2));
}

TEST(BackPressure, WhileDirtyBytesAreOverTheirLimitAndASaveRunsNoWaveIsCut) {
  Options options;
  options.dirty_bytes_save = 1000;
  options.dirty_bytes_max = 2000;
  options.pending_commands_max = 2;
  Rig rig(options);
  rig.Put(1);
  rig.Stable();
  rig.ApplyAll(2500);
  ASSERT_EQ(rig.writes.size(), 1u);  // the save point goes through: it is what helps
  const LogIndex save = rig.writes[0].first_index;
  rig.Put(2);
  rig.Put(3);
  rig.Stable();
  rig.ApplyAll(2500);
  rig.Put(4);
  EXPECT_EQ(rig.CodeOf(4), Code::kOverloaded);
  rig.After(10'000'000);
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);
  rig.Do(SaveFinished{save, Ok()});
  EXPECT_EQ(rig.writes.size(), 1u);
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(2));
  EXPECT_TRUE(rig.Succeeded(3));
}

// A wave of 100 KiB waits for what the one before it costs: nothing up to three quarters of the limit, then
// by the square of the way there.
TEST(BackPressure, NearTheirLimitDirtyBytesCostTimeWhileASaveRuns) {
  Options options;
  options.dirty_bytes_save = 1000;
  options.dirty_bytes_max = 4000;
  Rig rig(options);
  constexpr size_t kBytes = 100 << 10;
  Ticket ticket = 1;
  uint64_t last_cut_us = 0;
  auto wave = [&](uint64_t dirty) {  // how long after the last wave's cut it is cut
    rig.Put(ticket++, Wait::kDurable, kBytes);
    if (rig.writes.empty()) rig.At(rig.kernel.NextDeadlineUs());
    uint64_t cut_us = rig.now_us;
    EXPECT_EQ(rig.writes.size(), 1u);
    rig.Stable();
    rig.ApplyAll(dirty);
    return cut_us - std::exchange(last_cut_us, cut_us);
  };
  wave(1500);
  ASSERT_EQ(rig.writes.size(), 1u);
  const LogIndex save = rig.writes[0].first_index;
  rig.Stable();
  rig.ApplyAll(1500);
  wave(3000);
  EXPECT_EQ(wave(3500), 0u);                       // at once: three quarters are free
  EXPECT_EQ(wave(3999), 100 * kPaceUsPerKiB / 4);  // half of the way
  uint64_t nearly = wave(3999);
  EXPECT_GT(nearly, 100 * kPaceUsPerKiB * 9 / 10);
  EXPECT_LE(nearly, 100 * kPaceUsPerKiB);
  rig.Do(SaveFinished{save, Ok()});
  EXPECT_EQ(wave(100), 0u);
}

TEST(BackPressure, AFailedSaveUnderPressureIsTriedAgain) {
  Options options;
  options.dirty_bytes_save = 1000;
  options.dirty_bytes_max = 2000;
  Rig rig(options);
  rig.Put(1);
  rig.Stable();
  rig.ApplyAll(2500);
  rig.Put(2);
  const LogIndex save = rig.writes[0].first_index;
  rig.Stable();
  rig.ApplyAll(2500);
  rig.Do(SaveFinished{save, Code::kFull});
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), rig.now_us + 1'000'000);
  rig.After(1'000'000);
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].entries->front().kind, EntryKind::kSavePoint);
}

TEST(BackPressure, ASlowApplierHoldsTheWavesSoThatMemoryIsBounded) {
  Options options;
  options.pending_commands_max = 3;
  Rig rig(options);
  int refused = 0;
  for (Ticket t = 1; t <= 50; ++t) {
    rig.Put(t);
    while (!rig.writes.empty()) rig.Stable();
    refused += rig.CodeOf(t) == Code::kOverloaded ? 1 : 0;
  }
  EXPECT_LE(50 - refused, 3 + 3);
  rig.Finish();
  for (Ticket t = 1; t <= 50; ++t) EXPECT_NE(rig.ReplyTo(t), nullptr);
}

TEST(BackPressure, KindsThatAreNotAClientsAreRefused) {
  Rig rig;
  for (const EntryKind kind : {EntryKind::kOpened, EntryKind::kSavePoint, EntryKind::kClosed}) {
    const Ticket t = 10 + static_cast<Ticket>(kind);
    rig.Do(Submit{t, kind, {}, Wait::kDurable});
    EXPECT_EQ(rig.CodeOf(t), Code::kInvalidArgument);
  }
  EXPECT_TRUE(rig.writes.empty());
}

// -- I1: failure

struct TwoInFlight : Rig {
  TwoInFlight() {
    Measure(1'000);
    Put(1);
    After(1'000);
    Put(2);
    Put(3);
    EXPECT_EQ(writes.size(), 2u);
  }
};

TEST(RuleI1, WithoutSpaceTheSameFramesAreWrittenAgainInOrderEverySecond) {
  TwoInFlight rig;
  const std::deque<WriteFrame> before = rig.writes;
  for (int round = 0; round < 3; ++round) {
    rig.Refuse();
    EXPECT_TRUE(rig.kernel.full());
    const uint64_t due = rig.now_us + 1'000'000;
    EXPECT_EQ(rig.kernel.NextDeadlineUs(), due);
    rig.At(due - 1);
    EXPECT_TRUE(rig.writes.empty());
    rig.At(due);
    ASSERT_EQ(rig.writes.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(rig.writes[i].number, before[i].number);
      EXPECT_EQ(rig.writes[i].first_index, before[i].first_index);
      EXPECT_EQ(rig.writes[i].watermark, before[i].watermark);
      EXPECT_EQ(rig.writes[i].entries, before[i].entries);
    }
  }
  EXPECT_EQ(rig.kernel.metrics().full_retries, 3u);
  rig.Finish();
  EXPECT_FALSE(rig.kernel.full());
  EXPECT_EQ(Tickets(rig.replies), (std::vector<Ticket>{1, 2, 3}));
  for (Ticket t = 1; t <= 3; ++t) EXPECT_TRUE(rig.Succeeded(t));
}

TEST(RuleI1, WithoutSpaceNewWritesGetFullAndAcceptedOnesAreKept) {
  TwoInFlight rig;
  rig.Put(4);  // accepted before
  rig.Refuse();
  rig.Put(5);
  EXPECT_EQ(rig.CodeOf(5), Code::kFull);
  rig.Do(RequestSave{6});
  EXPECT_EQ(rig.CodeOf(6), Code::kFull);
  EXPECT_EQ(rig.ReplyTo(4), nullptr);
  rig.After(1'000'000);
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(4));
  rig.Put(7);
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(7));
}

TEST(RuleI1, NothingIsWrittenAgainBeforeTheExecutorHasGivenUpTheLaterFrames) {
  TwoInFlight rig;
  const WriteFrame second = rig.writes[1];
  rig.Do(FrameFailed{rig.writes[0].number, Code::kFull});
  rig.writes.clear();
  rig.After(5'000'000);
  EXPECT_TRUE(rig.writes.empty());
  rig.Do(FrameFailed{second.number, Code::kFull});
  rig.After(1'000'000);
  EXPECT_EQ(rig.writes.size(), 2u);
}

TEST(RuleI1, AFrameRefusedBeforeItsForerunnerIsReportedIsNotForgotten) {
  TwoInFlight rig;
  rig.Do(FrameFailed{rig.writes[1].number, Code::kFull});
  rig.writes.pop_back();
  rig.Stable();
  EXPECT_TRUE(rig.kernel.full());
  rig.After(1'000'000);
  ASSERT_EQ(rig.writes.size(), 1u);
  rig.Finish();
  for (Ticket t = 1; t <= 3; ++t) EXPECT_TRUE(rig.Succeeded(t)) << t;
}

TEST(RuleI1, AnyOtherFailureFailsEverythingPendingAndEverythingLater) {
  for (const Code code : {Code::kPoisoned, Code::kIo, Code::kFenced, Code::kCrashed}) {
    TwoInFlight rig;
    rig.Put(4);
    rig.Do(Sync{5});
    rig.Do(RequestSave{6});
    rig.Do(FrameFailed{rig.writes[0].number, code});
    EXPECT_EQ(Tickets(rig.replies), (std::vector<Ticket>{1, 2, 3, 4, 5, 6}));
    for (Ticket t = 1; t <= 6; ++t) EXPECT_EQ(rig.CodeOf(t), code);
    rig.Put(7);
    rig.Put(8, Wait::kNone);
    rig.Do(Sync{9});
    rig.Do(RequestSave{10});
    for (Ticket t = 7; t <= 10; ++t) EXPECT_EQ(rig.CodeOf(t), code);
    EXPECT_EQ(rig.stopped, 0);
    EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);
    EXPECT_EQ(rig.kernel.applied(), LogIndex(2));
  }
}

TEST(RuleI1, WhatWasCommittedBeforeAFailureIsStillAppliedAndAcknowledged) {
  TwoInFlight rig;
  rig.Stable();
  rig.Do(FrameFailed{rig.writes[0].number, Code::kIo});
  EXPECT_EQ(rig.CodeOf(2), Code::kIo);
  EXPECT_EQ(rig.ReplyTo(1), nullptr);
  rig.ApplyAll();
  EXPECT_TRUE(rig.Succeeded(1));
}

TEST(RuleI1, TheTimeAFrameWaitedForSpaceIsNotTakenForACommitTime) {
  TwoInFlight rig;
  const uint64_t before = rig.kernel.metrics().commit_us_ewma;
  rig.Refuse();
  rig.After(1'000'000);
  rig.Finish();
  EXPECT_LE(rig.kernel.metrics().commit_us_ewma, before);
}

}  // namespace
}  // namespace holdfast::kernel
