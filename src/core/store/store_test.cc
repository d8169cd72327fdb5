// What a store does for those who use it, at every stage of its life: fresh, open, saved, closed, killed,
// reopened.
#include "core/store/store_rig_internal.h"
#include "crypto/hash.h"

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
  for (int round = 0; round < 12; ++round) {
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
      ASSERT_TRUE(rig.Save());
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

TEST(Store, KeepsValuesOfEverySizeWholeThroughSavesAndReopening) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("blobs"));
  crypto::SeededRandom data(3);
  for (size_t size : {0, 1, 223, 224, 225, 300, 65'535, 65'536, 65'537, 131'072, 200'000, 5'000'000})
    ASSERT_TRUE(rig.PutRows("blobs", {{"size " + std::to_string(size), TestValue(data, size)}})) << size;
  rig.ExpectRows("in the overlay");
  ASSERT_TRUE(rig.Save());
  rig.ExpectRows("saved");
  rig.ExpectClean("saved");
  // Replaced by another size, shrunk to inline, removed.
  ASSERT_TRUE(rig.PutRows("blobs", {{"size 200000", TestValue(data, 100'000)},
                                    {"size 65537", "now small"},
                                    {"size 1", TestValue(data, 70'000)}}));
  kernel::Batch remove;
  remove.operations = {Rig::Del(rig.Table("blobs"), "size 5000000")};
  ASSERT_TRUE(rig.Apply(remove));
  ASSERT_TRUE(rig.Save());
  rig.ExpectRows("saved again");
  rig.ExpectClean("saved again");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  rig.ExpectRows("reopened");
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.Close());
  rig.ExpectClean("closed");
}

TEST(Store, DroppedTablesAreGoneAndTheirSegmentsAreCollected) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("kept"));
  ASSERT_TRUE(rig.CreateTable("dropped"));
  Rows rows;
  for (int i = 0; i < 500; ++i) rows["k" + std::to_string(i)] = "v" + std::to_string(i);
  ASSERT_TRUE(rig.PutRows("kept", rows));
  ASSERT_TRUE(rig.PutRows("dropped", rows));
  TableId old_id = rig.Table("dropped");
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.DropTable("dropped"));
  rig.ExpectRows("dropped");
  ASSERT_TRUE(rig.CreateTable("dropped"));  // the name is free again, the table another
  EXPECT_NE(rig.Table("dropped"), old_id);
  rig.ExpectRows("created again: empty");
  kernel::Batch late;
  late.operations = {Rig::Put(old_id, "k", "v")};
  ASSERT_TRUE(rig.Append({Rig::EntryOf(late)}));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kNoTable);
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  rig.ExpectRows("replayed");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(rig.Save());
    rig.ExpectClean("save " + std::to_string(i));
  }
  for (const auto& [number, s] : rig.s->state->CurrentView().base->manifest.segments)
    EXPECT_NE(s.table, old_id) << "two saves later nothing of it is listed";
  rig.ExpectRows("saved");
}

TEST(Store, RefusesASecondTableOfOneNameAndTheDropOfASystemTable) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.CreateTable("t"));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kTableExists);
  for (const TableId& id : {kHeadsTable, kSystemTable, kSessionsTable}) {
    ASSERT_TRUE(
        rig.Append({{journal::EntryKind::kDropTable, Term(), kernel::Encode(kernel::DropTable{id})}}));
    EXPECT_EQ(rig.outcomes.at(0).code, Code::kNoTable);
  }
  ASSERT_TRUE(rig.Save());
  rig.ExpectClean("saved");
}

TEST(Store, ABatchIsAllOrNothing) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  TableId t = rig.Table("t");
  ASSERT_TRUE(rig.PutRows("t", {{"a", "1"}, {"b", "2"}}));
  auto compare = [&](kernel::CompareKind kind, std::string_view key, std::string_view value = "") {
    return kernel::Compare{kind, t, ToBytes(key), crypto::Sha256(AsBytes(value))};
  };
  kernel::Batch batch;
  batch.compares = {compare(kernel::CompareKind::kPresent, "a"), compare(kernel::CompareKind::kAbsent, "c"),
                    compare(kernel::CompareKind::kEquals, "b", "2")};
  batch.operations = {Rig::Put(t, "c", "3"), Rig::Del(t, "a")};
  for (bool saved : {false, true}) {
    if (saved) {
      ASSERT_TRUE(rig.PutRows("t", {{"a", "1"}}));
      kernel::Batch undo;
      undo.operations = {Rig::Del(t, "c")};
      ASSERT_TRUE(rig.Apply(undo));
      ASSERT_TRUE(rig.Save());
    }
    ASSERT_TRUE(rig.Apply(batch));
    EXPECT_TRUE(rig.outcomes.at(0).ok());
    rig.ExpectRows("done");
    ASSERT_TRUE(rig.Apply(batch));
    EXPECT_EQ(rig.outcomes.at(0).code, Code::kConflict);
    EXPECT_EQ(rig.outcomes.at(0).detail, 0u) << "the first compare failed";
    rig.ExpectRows("refused: nothing was done");
  }
  kernel::Batch third = batch;
  third.compares = {compare(kernel::CompareKind::kPresent, "b"),
                    compare(kernel::CompareKind::kEquals, "b", "x")};
  ASSERT_TRUE(rig.Apply(third));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kConflict);
  EXPECT_EQ(rig.outcomes.at(0).detail, 1u);
  kernel::Batch stray = batch;
  stray.compares.clear();
  stray.operations.push_back(Rig::Put(TableId(), "x", "y"));
  ASSERT_TRUE(rig.Append({Rig::EntryOf(stray)}));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kNoTable);
  rig.ExpectRows("nothing of it");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  rig.ExpectRows("replayed");
}

TEST(Store, ARangeDeletionTakesWhatIsInTreeAndOverlaysAndEarlierInItsBatch) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  TableId t = rig.Table("t");
  Rows rows;
  for (int i = 100; i < 400; ++i) rows["k" + std::to_string(i)] = "v";
  ASSERT_TRUE(rig.PutRows("t", rows));
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.PutRows("t", {{"k150x", "overlay"}, {"k500", "overlay"}}));
  kernel::Batch batch;
  batch.operations = {Rig::Put(t, "k155y", "of the batch itself"), Rig::Put(t, "k120", "replaced"),
                      Rig::DelRange(t, "k150", "k200"), Rig::Put(t, "k160", "written again")};
  ASSERT_TRUE(rig.Apply(batch));
  rig.ExpectRows("one range");
  ASSERT_TRUE(rig.Save());
  rig.ExpectRows("saved");
  batch.operations = {Rig::DelRange(t, "k390", "")};
  ASSERT_TRUE(rig.Apply(batch));
  rig.ExpectRows("to the end");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  rig.ExpectRows("replayed");
  batch.operations = {Rig::DelRange(t, "", "")};
  ASSERT_TRUE(rig.Apply(batch));
  EXPECT_TRUE(rig.oracle["t"].empty());
  rig.ExpectRows("all of it");
  ASSERT_TRUE(rig.Save());
  rig.ExpectRows("saved empty");
  rig.ExpectClean("saved empty");
}

kernel::Batch Numbered(const Rig& rig, uint64_t session, uint64_t sequence, std::string_view value) {
  kernel::Batch b;
  b.session = session;
  b.sequence = sequence;
  b.operations = {Rig::Put(rig.Table("t"), "k", value)};
  return b;
}

TEST(RuleH4, ACommandThatIsSentAgainIsAnsweredAsBeforeAndNotDoneAgain) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.Append(
      {{journal::EntryKind::kOpenSession, Term(), kernel::Encode(kernel::OpenSession{ToBytes("serial")})}}));
  uint64_t session = rig.s->state->position().index.value;
  ASSERT_TRUE(rig.Apply(Numbered(rig, session, 1, "first")));
  kernel::Batch refused = Numbered(rig, session, 2, "never");
  refused.compares = {{kernel::CompareKind::kAbsent, rig.Table("t"), ToBytes("k"), {}}};
  ASSERT_TRUE(rig.Apply(refused));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kConflict);
  ASSERT_TRUE(rig.PutRows("t", {{"k", "by somebody else"}}));

  auto repeat = [&](const std::string& when) {
    ASSERT_TRUE(rig.Append({Rig::EntryOf(Numbered(rig, session, 1, "first"))})) << when;
    EXPECT_TRUE(rig.outcomes.at(0).ok()) << when;
    // The refused one would succeed now if it were done: it has been answered.
    kernel::Batch same = refused;
    same.compares[0].kind = kernel::CompareKind::kPresent;
    ASSERT_TRUE(rig.Append({Rig::EntryOf(same)})) << when;
    EXPECT_EQ(rig.outcomes.at(0).code, Code::kConflict) << when;
    ASSERT_TRUE(rig.Append({Rig::EntryOf(Numbered(rig, session + 1000, 1, "unknown session"))})) << when;
    EXPECT_EQ(rig.outcomes.at(0).code, Code::kSessionTooOld) << when;
    rig.ExpectRows(when);
  };
  repeat("in memory");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  repeat("replayed");
  ASSERT_TRUE(rig.Save());
  repeat("saved");
  ASSERT_TRUE(rig.Close());
  ASSERT_TRUE(rig.Open());
  repeat("loaded");
  ASSERT_TRUE(rig.Apply(Numbered(rig, session, 3, "third")));
  EXPECT_TRUE(rig.outcomes.at(0).ok());
  rig.ExpectRows("goes on");
}

TEST(RuleH4, AResultThatIsNoLongerKeptIsTooOldAndNeverDoneAgain) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.Append(
      {{journal::EntryKind::kOpenSession, Term(), kernel::Encode(kernel::OpenSession{ToBytes("serial")})}}));
  uint64_t session = rig.s->state->position().index.value;
  for (uint64_t i = 1; i <= limits::kStreamOpsOutstandingMax + 1; ++i)
    ASSERT_TRUE(rig.Apply(Numbered(rig, session, i, std::to_string(i))));
  for (int again = 0; again < 2; ++again) {
    ASSERT_TRUE(rig.Append({Rig::EntryOf(Numbered(rig, session, 1, "again"))}));
    EXPECT_EQ(rig.outcomes.at(0).code, Code::kSessionTooOld);
    ASSERT_TRUE(rig.Append({Rig::EntryOf(Numbered(rig, session, 2, "again"))}));
    EXPECT_TRUE(rig.outcomes.at(0).ok()) << "the last 256 are kept";
  }
  rig.ExpectRows("nothing was done again");
}

TEST(Store, ReadsWithACacheThatHoldsNothing) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  tree::Descriptor deep;
  deep.leaf_rows_max = deep.inner_children_max = 4;
  ASSERT_TRUE(rig.CreateTable("deep", deep));
  crypto::SeededRandom data(5);
  Rows rows;
  for (int i = 0; i < 1000; ++i) rows["k" + std::to_string(i)] = TestValue(data, i % 100 == 0 ? 70'000 : 20);
  ASSERT_TRUE(rig.PutRows("deep", rows));
  ASSERT_TRUE(rig.Save());
  rig.cache = NodeCache(0);
  rig.ExpectRows("without a cache");
  ASSERT_TRUE(rig.PutRows("deep", {{"k500", "new"}, {"k1", TestValue(data, 100'000)}}));
  rig.cache = NodeCache(0);
  ASSERT_TRUE(rig.Save());
  rig.ExpectRows("saved without a cache");
  rig.ExpectClean("saved without a cache");
}

}  // namespace
}  // namespace holdfast::store
