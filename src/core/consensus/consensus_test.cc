#include "core/consensus/consensus.h"

#include <gtest/gtest.h>

namespace holdfast::consensus {
namespace {

TEST(SingleMember, BeginsCommittedAtTheEndOfItsLog) {
  SingleMember member(Term(3), LogIndex(10));
  EXPECT_TRUE(member.is_leader());
  EXPECT_EQ(member.term(), Term(3));
  EXPECT_EQ(member.last(), LogIndex(10));
  EXPECT_EQ(member.committed(), LogIndex(10));
}

TEST(SingleMember, GivesIndexesWithoutGaps) {
  SingleMember member(Term(1), LogIndex(0));
  EXPECT_EQ(member.Propose(3), LogIndex(1));
  EXPECT_EQ(member.Propose(1), LogIndex(4));
  EXPECT_EQ(member.last(), LogIndex(4));
}

TEST(SingleMember, CommitsWhatIsStableHereAndNothingElse) {
  SingleMember member(Term(1), LogIndex(5));
  member.Propose(4);
  EXPECT_EQ(member.committed(), LogIndex(5));
  member.LocalStable(LogIndex(7));
  EXPECT_EQ(member.committed(), LogIndex(7));
}

TEST(SingleMember, NeverTakesACommitBack) {
  SingleMember member(Term(1), LogIndex(5));
  member.Propose(4);
  member.LocalStable(LogIndex(9));
  member.LocalStable(LogIndex(6));
  EXPECT_EQ(member.committed(), LogIndex(9));
}

TEST(SingleMember, DoesNotCommitWhatNobodyProposed) {
  SingleMember member(Term(1), LogIndex(5));
  member.LocalStable(LogIndex(6));
  EXPECT_EQ(member.committed(), LogIndex(5));
}

}  // namespace
}  // namespace holdfast::consensus
