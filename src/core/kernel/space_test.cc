// What the kernel takes, and what it asks for, while the provider's reserve is given up (rule I1).
#include "core/kernel/command.h"
#include "core/kernel/kernel_rig_internal.h"

namespace holdfast::kernel {
namespace {

Bytes BatchOf(std::initializer_list<OperationKind> kinds) {
  Batch batch;
  for (OperationKind kind : kinds) {
    Operation o;
    o.kind = kind;
    o.key = ToBytes("k");
    if (kind == OperationKind::kDeleteRange) o.end = ToBytes("l");
    batch.operations.push_back(std::move(o));
  }
  return Encode(batch);
}

struct Low : Rig {
  Low() {
    Measure(1'000);
    Do(SpaceLow{true});
  }
  void Send(Ticket ticket, journal::EntryKind kind, Bytes payload, Wait wait = Wait::kDurable) {
    Do(Submit{ticket, kind, std::move(payload), wait});
  }
  // The save that is due is made, and done.
  void SaveIsDone() {
    ASSERT_EQ(writes.size(), 1u);
    ASSERT_EQ(writes.front().entries->front().kind, journal::EntryKind::kSavePoint);
    LogIndex at = writes.front().first_index;
    Finish();
    Do(SaveFinished{at, Ok()});
  }
};

TEST(RuleI1, WhileTheReserveIsGoneOnlyWhatMakesLessIsTaken) {
  using journal::EntryKind;
  Low rig;
  EXPECT_TRUE(rig.kernel.full());
  rig.Send(1, EntryKind::kBatch, BatchOf({OperationKind::kPut}));
  rig.Send(2, EntryKind::kBatch, BatchOf({OperationKind::kDelete, OperationKind::kPut}));
  rig.Send(3, EntryKind::kCreateTable, {});
  rig.Send(4, EntryKind::kCreateTag, {});
  rig.Send(5, EntryKind::kBatch, ToBytes("no batch"));
  for (Ticket t = 1; t <= 5; ++t) EXPECT_EQ(rig.CodeOf(t), Code::kFull) << t;
  rig.Send(6, EntryKind::kBatch, BatchOf({OperationKind::kDelete, OperationKind::kDeleteRange}));
  rig.Send(7, EntryKind::kDropTable, {});
  rig.Send(8, EntryKind::kDropTag, {});
  rig.Send(9, EntryKind::kOpenSession, {});
  rig.Finish();
  for (Ticket t = 6; t <= 9; ++t) EXPECT_TRUE(rig.Succeeded(t)) << t;
  rig.Do(SpaceLow{false});
  EXPECT_FALSE(rig.kernel.full());
  rig.Send(10, EntryKind::kBatch, BatchOf({OperationKind::kPut}));
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(10));
}

TEST(RuleI1, WhatWasTakenAndIsInNoFrameIsRefusedWhenTheReserveGoes) {
  Rig rig;
  rig.Measure(1'000'000);
  rig.Put(1);
  rig.Put(2);  // these wait for the frame on its way
  rig.Put(3, Wait::kNone);
  rig.Do(Submit{4, journal::EntryKind::kBatch, BatchOf({OperationKind::kDelete}), Wait::kDurable});
  rig.Do(Sync{5});
  rig.Put(6);
  rig.Do(Sync{7});
  ASSERT_EQ(rig.writes.size(), 1u);
  rig.Do(SpaceLow{true});
  for (Ticket t : {2, 3, 6}) EXPECT_EQ(rig.CodeOf(t), Code::kFull) << t;
  for (Ticket t : {1, 4, 5, 7}) EXPECT_EQ(rig.ReplyTo(t), nullptr) << t;
  rig.Finish();
  rig.After(5'000'000);
  rig.Finish();
  for (Ticket t : {1, 4, 5, 7}) EXPECT_TRUE(rig.Succeeded(t)) << t;
  EXPECT_EQ(rig.kernel.metrics().pending_commands, 0u);
  EXPECT_EQ(rig.kernel.metrics().pending_bytes, 0u);
}

TEST(RuleI1, ASyncWhoseWritesWereAllRefusedIsAnsweredByWhatIsOnItsWay) {
  Rig rig;
  rig.Measure(1'000'000);
  rig.Put(1);
  rig.Put(2);
  rig.Do(Sync{3});
  rig.Do(SpaceLow{true});
  EXPECT_EQ(rig.CodeOf(2), Code::kFull);
  EXPECT_EQ(rig.ReplyTo(3), nullptr);
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(1));
  EXPECT_TRUE(rig.Succeeded(3));
}

// What one save condemns goes after the next (D3); then the reserve is asked for, each second.
TEST(RuleI1, WhileTheReserveIsGoneTwoSavesFollowAndThenItIsAskedForEachSecond) {
  Low rig;
  rig.After(1'000'000);
  rig.SaveIsDone();
  EXPECT_EQ(rig.reserves_asked, 0);
  rig.After(1'000'000);
  rig.SaveIsDone();
  rig.After(1'000'000);
  EXPECT_TRUE(rig.writes.empty()) << "no third save";
  int asked = rig.reserves_asked;
  EXPECT_GE(asked, 1);
  for (int i = 1; i <= 3; ++i) {
    rig.After(1'000'000);
    EXPECT_EQ(rig.reserves_asked, asked + i);
  }
  // A delete is followed by two more, after one whose save point may stand before it.
  rig.Send(1, journal::EntryKind::kBatch, BatchOf({OperationKind::kDelete}));
  ASSERT_EQ(rig.writes.size(), 2u);
  LogIndex first = rig.writes.front().first_index;
  rig.Finish();
  EXPECT_TRUE(rig.Succeeded(1));
  rig.Do(SaveFinished{first, Ok()});
  for (int i = 0; i < 2; ++i) {
    rig.After(1'000'000);
    rig.SaveIsDone();
  }
  asked = rig.reserves_asked;
  rig.After(2'000'000);
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_GT(rig.reserves_asked, asked);
  rig.Do(SpaceLow{false});
  asked = rig.reserves_asked;
  rig.After(5'000'000);
  EXPECT_EQ(rig.reserves_asked, asked);
}

TEST(RuleI1, WhileTheReserveIsGoneSavesGoOnAsLongAsTheyGiveSpaceBack) {
  Low rig;
  for (int i = 0; i < 5; ++i) {
    rig.After(1'000'000);
    ASSERT_EQ(rig.writes.size(), 1u) << i;
    LogIndex at = rig.writes.front().first_index;
    rig.Finish();
    rig.Do(SaveFinished{at, Ok(), i < 3 ? 16u << 20 : 4096u});
  }
  rig.After(3'000'000);
  EXPECT_TRUE(rig.writes.empty());
  EXPECT_GT(rig.reserves_asked, 0);
}

TEST(RuleI1, AStopDoesNotWaitForTheReserve) {
  Low rig;
  rig.Do(Stop{});
  rig.Finish();
  EXPECT_EQ(rig.stopped, 1);
}

}  // namespace
}  // namespace holdfast::kernel
