#include "core/store/store_rig_internal.h"

namespace holdfast::store {
namespace {

// F3 says what an anchor in the host's hands does NOT find. If this test fails, the threat model promises too
// little.
TEST(RuleF3, AHostThatPutsBackTheStoreTogetherWithItsAnchorIsNotFound) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.PutRows("t", {{"k", "old"}}));
  ASSERT_TRUE(rig.Close());
  Image store_before = ImageOf(rig.own_disk), anchor_before = ImageOf(rig.anchor);
  Oracle then = rig.oracle;
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.PutRows("t", {{"k", "new"}}));
  ASSERT_TRUE(rig.Close());

  auto store_back = DiskOf(store_before), anchor_back = DiskOf(anchor_before);
  std::vector<Finding> findings;
  auto both =
      OpenStore(*store_back, anchor_back.get(), AsBytes(kPassphrase), rig.options, rig.random, &findings);
  ASSERT_TRUE(both.has_value()) << Show(findings);
  EXPECT_TRUE((*both)->freshness.proven) << "the old anchor proves the old store";
  VersionNodes nodes(*store_back, (*both)->state->CurrentView().base, rig.cache);
  ExpectSameRows(ReadRows(*(*both)->state, nodes).value(), then, "both put back");

  // An anchor that somebody else kept does find it.
  auto store_alone = DiskOf(store_before);
  EXPECT_EQ(
      OpenStore(*store_alone, &rig.anchor, AsBytes(kPassphrase), rig.options, rig.random, &findings).code(),
      Code::kRolledBack);
}

}  // namespace
}  // namespace holdfast::store
