#include "core/kernel/atomic.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"

namespace holdfast::kernel {
namespace {

TableId Table(uint8_t n) {
  TableId id;
  id.bytes.fill(n);
  return id;
}
const TableId kT = Table(1);

ByteView B(std::string_view s) { return AsBytes(s); }

std::optional<std::string> Seen(const AtomicBlock& block, std::string_view key, const TableId& table = kT) {
  const auto own = block.Overlaid(table, B(key));
  if (!own) return std::nullopt;
  return own->present ? ToText(own->value) : "(deleted)";
}

TEST(RuleH2, ABlockBecomesOneEntryAtTheOutermostEnd) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  ASSERT_TRUE(block.Put(0, kT, B("a"), B("1")));
  ASSERT_TRUE(block.Begin(0));
  ASSERT_TRUE(block.Delete(0, kT, B("b")));
  EXPECT_EQ(block.depth(), 2u);
  auto inner = block.End(0);
  ASSERT_TRUE(inner);
  EXPECT_FALSE(inner->has_value());
  auto outer = block.End(0);
  ASSERT_TRUE(outer && outer->has_value());
  const Batch& batch = **outer;
  ASSERT_EQ(batch.operations.size(), 2u);
  EXPECT_EQ(batch.operations[0].value, ToBytes("1"));
  EXPECT_EQ(batch.operations[1].kind, OperationKind::kDelete);
  EXPECT_TRUE(Check(batch));
  EXPECT_EQ(*DecodeBatch(Encode(batch)), batch);
  EXPECT_EQ(block.depth(), 0u);
}

TEST(RuleH2, ReadsInsideSeeTheBlocksOwnWrites) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  EXPECT_EQ(Seen(block, "a"), std::nullopt);
  ASSERT_TRUE(block.Put(0, kT, B("a"), B("1")));
  EXPECT_EQ(Seen(block, "a"), "1");
  EXPECT_EQ(Seen(block, "a", Table(2)), std::nullopt);
  ASSERT_TRUE(block.Put(0, kT, B("a"), B("2")));
  EXPECT_EQ(Seen(block, "a"), "2");
  ASSERT_TRUE(block.Delete(0, kT, B("a")));
  EXPECT_EQ(Seen(block, "a"), "(deleted)");
  auto batch = block.End(0);
  ASSERT_TRUE(batch && batch->has_value());
  EXPECT_EQ((*batch)->operations.size(), 1u);  // the last word on a key is the only one
}

TEST(RuleH2, ARangeDeletionHidesEarlierWritesAndNotLaterOnes) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  ASSERT_TRUE(block.Put(0, kT, B("b"), B("before")));
  ASSERT_TRUE(block.DeleteRange(0, kT, B("b"), B("d")));
  EXPECT_EQ(Seen(block, "a"), std::nullopt);
  EXPECT_EQ(Seen(block, "b"), "(deleted)");
  EXPECT_EQ(Seen(block, "c"), "(deleted)");
  EXPECT_EQ(Seen(block, "d"), std::nullopt);
  EXPECT_EQ(Seen(block, "c", Table(2)), std::nullopt);
  ASSERT_TRUE(block.Put(0, kT, B("b"), B("after")));
  EXPECT_EQ(Seen(block, "b"), "after");
  ASSERT_TRUE(block.DeleteRange(0, kT, {}, {}));
  EXPECT_EQ(Seen(block, "b"), "(deleted)");
  EXPECT_EQ(Seen(block, "zzz"), "(deleted)");
  auto batch = block.End(0);
  ASSERT_TRUE(batch && batch->has_value());
  ASSERT_EQ((*batch)->operations.size(), 4u);
  EXPECT_EQ((*batch)->operations[2].value, ToBytes("after"));
}

TEST(RuleH2, ReadsBecomeComparesAtApply) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  ASSERT_TRUE(block.Observe(0, kT, B("a"), B("value")));
  ASSERT_TRUE(block.Observe(0, kT, B("b"), std::nullopt));
  ASSERT_TRUE(block.Observe(0, kT, B("a"), B("value")));
  ASSERT_TRUE(block.Put(0, kT, B("c"), B("sum")));
  auto batch = block.End(0);
  ASSERT_TRUE(batch && batch->has_value());
  const std::vector<Compare> expected = {
      {CompareKind::kEquals, kT, ToBytes("a"), crypto::Sha256(B("value"))},
      {CompareKind::kAbsent, kT, ToBytes("b"), {}},
  };
  EXPECT_EQ((*batch)->compares, expected);
}

TEST(RuleH2, AKeyThatReadsDifferentlyTwiceIsAConflictAlready) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  ASSERT_TRUE(block.Observe(0, kT, B("a"), B("1")));
  EXPECT_EQ(block.Observe(0, kT, B("a"), B("2")).code(), Code::kConflict);
  EXPECT_EQ(block.End(0).code(), Code::kConflict);
}

TEST(RuleH2, ABlockOverItsBytesIsDroppedWhole) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  const Bytes big(limits::kValueBytesMax);
  ASSERT_TRUE(block.Put(0, kT, B("a"), big));
  EXPECT_EQ(block.Put(0, kT, B("b"), big).code(), Code::kBlockLimit);
  EXPECT_TRUE(block.doomed());
  EXPECT_EQ(Seen(block, "a"), std::nullopt);
  EXPECT_EQ(block.Put(0, kT, B("c"), B("small")).code(), Code::kBlockLimit);
  EXPECT_EQ(block.End(0).code(), Code::kBlockLimit);
  ASSERT_TRUE(block.Begin(0));  // the next block begins afresh
  auto batch = block.End(0);
  ASSERT_TRUE(batch);
  EXPECT_FALSE(batch->has_value());
}

TEST(RuleH2, WritingOneKeyOverAndOverTakesNoMoreThanItsLastValue) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  const Bytes big(limits::kValueBytesMax);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(block.Put(0, kT, B("a"), big));
  auto batch = block.End(0);
  ASSERT_TRUE(batch && batch->has_value());
  EXPECT_TRUE(Check(**batch));
}

TEST(RuleH2, ABlockOverItsOperationsOrReadsIsDropped) {
  AtomicBlock writes, reads;
  ASSERT_TRUE(writes.Begin(0));
  ASSERT_TRUE(reads.Begin(0));
  for (size_t i = 0; i < limits::kBatchOpsMax; ++i) {
    const std::string key = std::to_string(i);
    ASSERT_TRUE(writes.Delete(0, kT, B(key)));
    ASSERT_TRUE(reads.Observe(0, kT, B(key), std::nullopt));
  }
  EXPECT_EQ(writes.Delete(0, kT, B("one more")).code(), Code::kBlockLimit);
  EXPECT_EQ(reads.Observe(0, kT, B("one more"), std::nullopt).code(), Code::kBlockLimit);
  EXPECT_EQ(writes.End(0).code(), Code::kBlockLimit);
  EXPECT_EQ(reads.End(0).code(), Code::kBlockLimit);
}

TEST(RuleH2, ABlockOverItsTimeIsDroppedWhereverItIs) {
  const uint64_t late = 1000 + limits::kAtomicMillisecondsMax + 1;
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(1000));
  ASSERT_TRUE(block.Put(late - 1, kT, B("a"), B("1")));
  EXPECT_FALSE(block.Expired(late - 1));
  EXPECT_FALSE(block.Expired(0));  // a clock that jumps back ends nothing
  EXPECT_TRUE(block.Expired(late));
  EXPECT_EQ(block.Put(late, kT, B("b"), B("1")).code(), Code::kBlockLimit);
  EXPECT_EQ(block.End(1000).code(), Code::kBlockLimit);
  ASSERT_TRUE(block.Begin(1000));
  ASSERT_TRUE(block.Put(1000, kT, B("a"), B("1")));
  EXPECT_EQ(block.End(late).code(), Code::kBlockLimit);
}

TEST(RuleH2, ABlockTooDeepIsDropped) {
  AtomicBlock block;
  for (size_t i = 0; i < limits::kAtomicDepthMax; ++i) ASSERT_TRUE(block.Begin(0));
  EXPECT_EQ(block.Begin(0).code(), Code::kBlockLimit);
  for (size_t i = 0; i < limits::kAtomicDepthMax; ++i) EXPECT_EQ(block.End(0).code(), Code::kBlockLimit);
  EXPECT_EQ(block.End(0).code(), Code::kInvalidArgument);
}

TEST(RuleH2, ADroppedBlockReachesNothingThoughOuterLevelsEndIt) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  ASSERT_TRUE(block.Put(0, kT, B("a"), B("1")));
  ASSERT_TRUE(block.Begin(0));
  block.Drop();
  EXPECT_EQ(block.Begin(0).code(), Code::kCancelled);
  EXPECT_EQ(block.End(0).code(), Code::kCancelled);
  EXPECT_EQ(block.Put(0, kT, B("b"), B("2")).code(), Code::kCancelled);
  EXPECT_EQ(block.End(0).code(), Code::kCancelled);
}

TEST(RuleH2, ARefusedOperationDoomsTheBlockForAllOrNothing) {
  AtomicBlock block;
  ASSERT_TRUE(block.Begin(0));
  ASSERT_TRUE(block.Put(0, kT, B("a"), B("1")));
  EXPECT_EQ(block.Put(0, kT, {}, B("1")).code(), Code::kKeySize);
  EXPECT_EQ(block.End(0).code(), Code::kKeySize);
  ASSERT_TRUE(block.Begin(0));
  EXPECT_EQ(block.Put(0, kT, B("a"), Bytes(limits::kValueBytesMax + 1)).code(), Code::kValueSize);
  EXPECT_EQ(block.End(0).code(), Code::kValueSize);
}

TEST(AtomicBlock, OutsideABlockNothingIsTaken) {
  AtomicBlock block;
  EXPECT_EQ(block.Put(0, kT, B("a"), B("1")).code(), Code::kInvalidArgument);
  EXPECT_EQ(block.Observe(0, kT, B("a"), B("1")).code(), Code::kInvalidArgument);
  EXPECT_EQ(block.End(0).code(), Code::kInvalidArgument);
  block.Drop();
  EXPECT_FALSE(block.doomed());
}

}  // namespace
}  // namespace holdfast::kernel
