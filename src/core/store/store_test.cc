#include "core/store/store_rig_internal.h"

namespace holdfast::store {
namespace {

TEST(Store, GivesBackWhatWasWrittenAtEveryStage) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  rig.ExpectClean("after init");
  ASSERT_TRUE(rig.Open()) << Show(rig.findings);
  rig.ExpectClean("after the first opening");
  ASSERT_TRUE(rig.CreateTable("one"));
  tree::Descriptor small;
  small.leaf_rows_max = 4;
  small.inner_children_max = 4;
  small.inline_values = false;
  ASSERT_TRUE(rig.CreateTable("two", small));
  crypto::SeededRandom data(7);
  for (int round = 0; round < 8; ++round) {
    Rows rows;
    for (int i = 0; i < 100; ++i) {
      size_t size = data.Below(20) == 0 ? data.Below(3000) : data.Below(60);
      rows["key " + std::to_string(data.Below(400))] = TestValue(data, size);
    }
    ASSERT_TRUE(rig.PutRows("one", rows));
    ASSERT_TRUE(rig.PutRows("two", rows));
    std::string when = "round " + std::to_string(round);
    rig.ExpectRows(when);
    if (round % 2 == 1) {
      Status saved = rig.Save();
      ASSERT_TRUE(saved) << CodeName(saved.code()) << " " << saved.error().file() << saved.error().line();
      rig.ExpectRows(when + ", saved");
      rig.ExpectClean(when + ", saved");
    }
    if (round % 3 == 0) {
      ASSERT_TRUE(rig.Close());
    } else {
      rig.Kill();
    }
    rig.ExpectClean(when + ", closed");
    ASSERT_TRUE(rig.Open()) << when << Show(rig.findings);
    rig.ExpectRows(when + ", reopened");
    rig.ExpectClean(when + ", reopened");
  }
}

}  // namespace
}  // namespace holdfast::store
