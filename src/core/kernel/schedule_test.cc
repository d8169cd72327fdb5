// The schedule of the header's comment, rule by rule, in virtual time.
#include "core/kernel/kernel_rig_internal.h"

namespace holdfast::kernel {
namespace {

constexpr uint64_t kNever = UINT64_MAX;

TEST(Schedule, AnIdleKernelAsksForNoTick) {
  Rig rig;
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);
  rig.Measure(500);
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);
  rig.After(3'600'000'000);
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);
}

TEST(Schedule, AWaiterOnAnIdleKernelIsWrittenAtOnce) {
  Rig rig;
  rig.Put(1);
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].first_index, LogIndex(2));
  EXPECT_EQ(rig.writes[0].number, FrameNumber(5));
  EXPECT_EQ(rig.writes[0].watermark, LogIndex(1));
  EXPECT_EQ(rig.writes[0].term, Term(1));
}

TEST(Schedule, TheCommitTimeIsMeasuredAndSmoothed) {
  Rig rig;
  rig.Measure(8000);
  EXPECT_EQ(rig.kernel.metrics().commit_us_ewma, 8000u);
  rig.Measure(16000);
  EXPECT_EQ(rig.kernel.metrics().commit_us_ewma, 9000u);
}

TEST(Schedule, WithAWaiterTheNextWaveClosesOneCommitTimeAfterTheLastOne) {
  Rig rig;
  rig.Measure(10'000);
  rig.Put(1);
  ASSERT_EQ(rig.writes.size(), 1u);
  const uint64_t closed = rig.now_us;
  rig.After(100);
  rig.Put(2);
  rig.Put(3);
  EXPECT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), closed + 10'000);
  rig.At(closed + 9'999);
  EXPECT_EQ(rig.writes.size(), 1u);
  rig.At(closed + 10'000);
  ASSERT_EQ(rig.writes.size(), 2u);
  EXPECT_EQ(rig.writes[1].entries->size(), 2u);
}

TEST(Schedule, WithAWaiterTheNextWaveClosesAtOnceWhenNothingIsInFlight) {
  Rig rig;
  rig.Measure(10'000);
  rig.Put(1);
  rig.After(100);
  rig.Put(2);
  EXPECT_EQ(rig.writes.size(), 1u);
  rig.Stable();
  EXPECT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].entries->front().payload, Bytes(10, 2));
}

TEST(Schedule, WhenNobodyWaitsTheTimerIsTwentyMillisecondsSinceTheLastCommit) {
  Rig rig;
  rig.Measure(1'000);
  const uint64_t committed = rig.now_us;
  rig.After(5'000);
  rig.Put(1, Wait::kNone);
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), committed + 20'000);
  rig.At(committed + 19'999);
  EXPECT_TRUE(rig.writes.empty());
  rig.At(committed + 20'000);
  EXPECT_EQ(rig.writes.size(), 1u);
}

TEST(Schedule, WhenNobodyWaitsASlowProviderStretchesTheTimer) {
  Rig rig;
  rig.Measure(250'000);
  const uint64_t committed = rig.now_us;
  rig.Put(1, Wait::kNone);
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), committed + 500'000);
}

TEST(Schedule, AWaiterTakesThoseAlongWhoDoNotWait) {
  Rig rig;
  rig.Measure(1'000);
  rig.Put(1, Wait::kNone);
  EXPECT_TRUE(rig.writes.empty());
  rig.Put(2);
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].entries->size(), 2u);
}

TEST(Schedule, PendingBytesAtTheCapCloseTheWaveAtOnce) {
  Options options;
  options.wave_bytes_cap = 1000;
  Rig rig(options);
  rig.Measure(10'000);
  rig.Put(1, Wait::kNone, 600);
  EXPECT_TRUE(rig.writes.empty());
  rig.Put(2, Wait::kNone, 400);
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].entries->size(), 2u);
}

TEST(Schedule, AWaveOverTheCapIsCutAndTheRestFollows) {
  Options options;
  options.wave_bytes_cap = 1000;
  options.waves_in_flight_max = 1;
  Rig rig(options);
  rig.Put(1);
  for (Ticket t = 2; t <= 5; ++t) rig.Put(t, Wait::kDurable, 400);
  rig.Stable();
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].entries->size(), 2u);
  rig.Stable();
  ASSERT_EQ(rig.writes.size(), 1u);
  EXPECT_EQ(rig.writes[0].entries->size(), 2u);
}

TEST(Schedule, AFrameNeverHoldsMoreEntriesThanItsLimit) {
  Options options;
  options.waves_in_flight_max = 1;
  options.pending_commands_max = 200'000;
  Rig rig(options);
  rig.Put(1);
  for (Ticket t = 2; t < 2 + limits::kFrameEntriesMax + 7; ++t) rig.Put(t, Wait::kDurable, 0);
  rig.Stable();
  EXPECT_EQ(rig.writes.front().entries->size(), limits::kFrameEntriesMax);
  rig.Stable();
  EXPECT_EQ(rig.writes.front().entries->size(), 7u);
}

TEST(Schedule, AFrameOfTheLargestCommandsStaysWithinTheFrameLimit) {
  Options options;
  options.wave_bytes_cap = 1u << 30;
  options.waves_in_flight_max = 1;
  Rig rig(options);
  rig.Put(1);
  for (Ticket t = 2; t <= 4; ++t) rig.Put(t, Wait::kDurable, 16u << 20);
  rig.Stable();
  EXPECT_EQ(rig.writes.front().entries->size(), 1u);  // two would be padded to the class of 48 MiB
}

TEST(Schedule, NoMoreFramesAreInFlightThanTheLimit) {
  Rig rig;
  rig.Measure(1'000);
  for (Ticket t = 1; t <= 20; ++t) {
    rig.Put(t);
    rig.After(5'000);
    EXPECT_LE(rig.kernel.metrics().in_flight, limits::kWavesInFlightMax);
  }
  EXPECT_EQ(rig.writes.size(), limits::kWavesInFlightMax);
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), kNever);  // only a finished frame can change anything
}

TEST(Schedule, AWaveFillsWhileTheOneBeforeItIsOnItsWay) {
  Rig rig;
  for (Ticket t = 1; t <= 200; ++t) rig.Put(t);
  EXPECT_EQ(rig.writes.size(), 1u);
  rig.Finish();
  EXPECT_LE(rig.kernel.metrics().waves, 3u);  // 200 concurrent durable writers end in at most three
  for (Ticket t = 1; t <= 200; ++t) EXPECT_TRUE(rig.Succeeded(t)) << t;
}

TEST(Schedule, AWaveSharesItsEntriesWithTheApplier) {
  Rig rig;
  rig.Put(1);
  const auto entries = rig.writes.front().entries;
  rig.Stable();
  ASSERT_EQ(rig.applies.size(), 1u);
  EXPECT_EQ(rig.applies[0].entries, entries);
  EXPECT_EQ(rig.applies[0].frame, FrameNumber(5));
  EXPECT_EQ(rig.applies[0].tickets, std::vector<Ticket>{1});
}

TEST(Schedule, TimeThatJumpsBackNeitherStopsNorRewindsATimer) {
  Rig rig;
  rig.Measure(1'000);
  rig.Put(1, Wait::kNone);
  rig.now_us = 500;  // the host's clock was set back by a second
  rig.Do(Tick{});
  EXPECT_EQ(rig.kernel.NextDeadlineUs(), 500u + 20'000);
  rig.At(500 + 20'000);
  EXPECT_EQ(rig.writes.size(), 1u);
}

TEST(Schedule, AWaiterIsServedThoughTimeStandsStill) {
  Rig rig;
  for (Ticket t = 1; t <= 50; ++t) rig.Put(t);
  rig.Finish(0);
  for (Ticket t = 1; t <= 50; ++t) EXPECT_TRUE(rig.Succeeded(t)) << t;
}

TEST(Schedule, AJumpToTheEndOfTimeIsSurvived) {
  Options options;
  options.save_period_ms = 1000;
  Rig rig(options);
  rig.now_us = UINT64_MAX;
  rig.Put(1);
  rig.Finish(0);
  EXPECT_TRUE(rig.Succeeded(1));
  rig.now_us = 5;
  rig.Put(2, Wait::kNone);
  rig.At(3'000'000);
  EXPECT_TRUE(rig.Succeeded(2));
}

// The predecessor's deadlock: its timer fired while a member was open, set a flag, and the member's close,
// which should have looked at the flag, did not; everybody who came later waited for ever. Here nothing is
// remembered: the schedule is computed afresh after every event.
TEST(Schedule, ATimerThatFiresWhileNothingCanBeWrittenLosesNobody) {
  Rig rig;
  rig.Measure(1'000);
  rig.Put(1);
  rig.After(1'000);
  rig.Put(2);
  ASSERT_EQ(rig.writes.size(), 2u);  // as many as may be
  rig.Put(3);
  rig.Put(4, Wait::kNone);
  rig.After(100'000);  // every timer has fired, with nobody able to act on it
  EXPECT_EQ(rig.writes.size(), 2u);
  rig.Stable();  // one event, no tick
  ASSERT_EQ(rig.writes.size(), 2u);
  EXPECT_EQ(rig.writes[1].entries->size(), 2u);
  rig.Put(5);
  rig.Finish();
  for (Ticket t = 1; t <= 5; ++t) EXPECT_TRUE(rig.Succeeded(t)) << t;
}

}  // namespace
}  // namespace holdfast::kernel
