#include "core/store/store_rig_internal.h"

namespace holdfast::store {
namespace {

journal::Entry SavePointEntry() {
  return {journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})};
}

TEST(PreCommitHook, RunsAtEverySavePointAndItsRowsAreOfThatSave) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  TableId t = rig.Table("t");
  std::vector<LogIndex> ran;
  rig.s->state->AddPreCommitHook([&](LogIndex at, tree::Overlay& rows) {
    ran.push_back(at);
    rows.Put(t, AsBytes("stable"), AsBytes(std::to_string(ran.size())), at.value);
  });
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(rig.Append({SavePointEntry()}));
    ASSERT_EQ(ran.size(), static_cast<size_t>(i));
    EXPECT_EQ(ran.back(), rig.s->state->CurrentView().base->manifest.root.position.index);
    // In the tree of this very save, not only in an overlay above it.
    View view = rig.s->state->CurrentView();
    VersionNodes nodes(*rig.disk, view.base, rig.cache);
    auto value = TreeGet(view, t, AsBytes("stable"), nodes);
    ASSERT_TRUE(value.has_value() && value->has_value());
    EXPECT_EQ(ToText(**value), std::to_string(i));
  }
}

TEST(PreCommitHook, RunsInTheOrderOfRegistration) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  std::string order;
  for (char c : {'a', 'b', 'c'})
    rig.s->state->AddPreCommitHook([&order, c](LogIndex, tree::Overlay&) { order += c; });
  ASSERT_TRUE(rig.Append({SavePointEntry()}));
  EXPECT_EQ(order, "abc");
}

}  // namespace
}  // namespace holdfast::store
