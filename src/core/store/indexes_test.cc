// Indexes of a store: whatever is written, and however it is opened again, they are what the rows make them.
#include "core/store/indexes.h"

#include "core/store/store_rig_internal.h"
#include "core/store/verify_indexes.h"
#include "core/tree/index_key.h"

namespace holdfast::store {
namespace {

tree::Descriptor JsonTable(tree::Layout layout = tree::Layout::kBTree) {
  tree::Descriptor d;
  d.value_type = tree::Type::kJson;
  d.leaf_rows_max = limits::kOrderMin;
  d.layout = layout;
  if (layout == tree::Layout::kPatricia) d.inner_children_max = tree::kPatriciaChildrenMax;
  return d;
}

class IndexRig {
 public:
  IndexRig() {
    EXPECT_TRUE(rig.Init());
    EXPECT_TRUE(rig.Open());
  }
  Code Try(const std::vector<kernel::Operation>& operations) {
    kernel::Batch batch;
    batch.operations = operations;
    EXPECT_TRUE(rig.Append({Rig::EntryOf(batch)}));
    return rig.outcomes.at(0).code;
  }
  kernel::CreateTable Command(const std::string& name, const TableId& of, const std::string& pointer,
                              bool unique) {
    tree::Descriptor d;
    d.name = name;
    d.leaf_rows_max = limits::kOrderMin;
    d.index = tree::IndexOf{of, pointer, unique};
    return {rig.random.NewId<TableId>(), Epoch(1), rig.random.NewKey(), d.Encode()};
  }
  Code Index(const std::string& table, const std::string& name, const std::string& pointer,
             bool unique = false) {
    kernel::CreateTable c = Command(name, rig.Table(table), pointer, unique);
    EXPECT_TRUE(rig.Append({{journal::EntryKind::kCreateTable, Term(), kernel::Encode(c)}}));
    return rig.outcomes.at(0).code;
  }
  TableId IndexId(const std::string& table, const std::string& name) {
    auto found = rig.s->state->FindIndex(rig.Table(table), name);
    EXPECT_TRUE(found.has_value()) << name;
    return found ? found->first : TableId();
  }
  // What each index holds, against what a pass over the rows gives.
  void ExpectIndexes(const std::string& when) {
    const State& state = *rig.s->state;
    VersionNodes nodes(*rig.disk, state.CurrentView().base, rig.cache);
    for (const auto& [id, table] : state.tables()) {
      if (!table.descriptor.index) continue;
      const tree::IndexOf& of = *table.descriptor.index;
      const tree::Type type = state.tables().at(of.table).descriptor.value_type;
      Rows expected;
      for (const auto& [key, value] : ReadTable(of.table, nodes)) {
        auto field = tree::FieldOf(type, of.pointer, AsBytes(value));
        if (!field) continue;
        tree::IndexRow row = tree::IndexRowOf(*field, AsBytes(key), of.unique);
        expected[ToText(row.key)] = ToText(row.value);
      }
      EXPECT_TRUE(ReadTable(id, nodes) == expected) << when << ": " << table.descriptor.name;
    }
  }
  Rows ReadTable(const TableId& id, NodeAccess& nodes) {
    Rows rows;
    const View view = rig.s->state->CurrentView();
    tree::MergedCursor cursor = view.Scan(id);
    for (;;) {
      auto row = Drive(nodes, [&] { return cursor.Next(nodes); });
      EXPECT_TRUE(row.has_value());
      if (!row || !*row) return rows;
      rows[ToText((*row)->key)] = ToText(*RowValue(view, id, **row, nodes));
    }
  }
  Rig rig;
};

TEST(Indexes, AnEntryNamesNoIndexRowsAndMayNotTouchThem) {
  IndexRig r;
  ASSERT_TRUE(r.rig.CreateTable("t", JsonTable()));
  ASSERT_EQ(r.Index("t", "by a", "/a"), Code{});
  TableId t = r.rig.Table("t"), index = r.IndexId("t", "by a");
  ASSERT_EQ(r.Try({Rig::Put(t, "k", R"({"a":1})")}), Code{});
  EXPECT_EQ(r.Try({Rig::Put(index, "k", "")}), Code::kNoTable);
  EXPECT_EQ(r.Try({Rig::DelRange(index, "", "")}), Code::kNoTable);
  kernel::Batch compare;
  compare.compares = {{kernel::CompareKind::kAbsent, index, ToBytes("k"), {}}};
  ASSERT_TRUE(r.rig.Append({Rig::EntryOf(compare)}));
  EXPECT_EQ(r.rig.outcomes.at(0).code, Code::kNoTable);
  EXPECT_EQ(r.rig.s->state->FindTable("by a"), nullptr) << "an index is no table by its name";
  ASSERT_TRUE(r.rig.CreateTable("by a"));
  EXPECT_EQ(r.Index("by a", "by a", ""), Code{}) << "names of indexes are their table's own";
  r.ExpectIndexes("now");
}

TEST(Indexes, WhatMayNotBeIsRefusedAndChangesNothing) {
  IndexRig r;
  ASSERT_TRUE(r.rig.CreateTable("t", JsonTable()));
  ASSERT_TRUE(r.rig.CreateTable("bytes"));
  tree::Descriptor transient;
  transient.transient = true;
  ASSERT_TRUE(r.rig.CreateTable("gone", transient));
  EXPECT_EQ(r.Index("no such", "i", ""), Code::kNoTable);
  EXPECT_EQ(r.Index("bytes", "i", "/a"), Code::kIndexPointer);
  EXPECT_EQ(r.Index("gone", "i", ""), Code::kInvalidArgument);
  EXPECT_EQ(r.Index("t", "i", "/a"), Code{});
  EXPECT_EQ(r.Index("t", "i", "/b"), Code::kIndexExists);
  kernel::CreateTable of_index = r.Command("j", r.IndexId("t", "i"), "", false);
  ASSERT_TRUE(r.rig.Append({{journal::EntryKind::kCreateTable, Term(), kernel::Encode(of_index)}}));
  EXPECT_EQ(r.rig.outcomes.at(0).code, Code::kNoTable);
  for (size_t i = 1; i < limits::kIndexesMax; ++i) EXPECT_EQ(r.Index("t", std::to_string(i), "/a"), Code{});
  EXPECT_EQ(r.Index("t", "one more", "/a"), Code::kTooManyIndexes);
  ASSERT_TRUE(r.rig.DropTable("t"));
  EXPECT_TRUE(r.rig.s->state->indexes().empty()) << "indexes go with their table";
  ASSERT_TRUE(r.rig.Save());
  ASSERT_TRUE(r.rig.Close());
  r.rig.ExpectClean("dropped");
}

TEST(Indexes, ATableAndItsIndexesComeTogetherOrNotAtAll) {
  IndexRig r;
  tree::Descriptor d = JsonTable();
  d.name = "t";
  kernel::CreateTables together;
  together.tables.push_back({r.rig.random.NewId<TableId>(), Epoch(1), r.rig.random.NewKey(), d.Encode()});
  const TableId t = together.tables[0].table;
  together.tables.push_back(r.Command("a", t, "/a", false));
  together.tables.push_back(r.Command("a", t, "/b", false));
  auto append = [&] {
    EXPECT_TRUE(r.rig.Append({{journal::EntryKind::kCreateTables, Term(), kernel::Encode(together)}}));
    return r.rig.outcomes.at(0).code;
  };
  EXPECT_EQ(append(), Code::kIndexExists);
  EXPECT_EQ(r.rig.s->state->FindTable("t"), nullptr);
  together.tables.pop_back();
  together.tables.push_back(r.Command("b", t, "/b", true));
  EXPECT_EQ(append(), Code{});
  EXPECT_EQ(append(), Code::kTableExists);
  EXPECT_EQ(r.Try({Rig::Put(t, "k", R"({"a":1,"b":2})"), Rig::Put(t, "l", R"({"a":1,"b":3})")}), Code{});
  r.ExpectIndexes("made together");
}

TEST(Indexes, AUniqueIndexIsNeverGivenTwoRowsOfOneValue) {
  IndexRig r;
  ASSERT_TRUE(r.rig.CreateTable("t", JsonTable()));
  ASSERT_EQ(r.Index("t", "u", "/a", true), Code{});
  TableId t = r.rig.Table("t");
  const std::string one = R"({"a":1})", two = R"({"a":2})", none = "{}";
  ASSERT_EQ(
      r.Try({Rig::Put(t, "k", one), Rig::Put(t, "l", two), Rig::Put(t, "m", none), Rig::Put(t, "n", none)}),
      Code{});
  EXPECT_EQ(r.Try({Rig::Put(t, "x", one)}), Code::kNotUnique);
  EXPECT_EQ(r.Try({Rig::Put(t, "x", "{}"), Rig::Put(t, "m", R"({"a":1.0})")}), Code::kNotUnique);
  EXPECT_EQ(r.Try({Rig::Put(t, "x", R"({"a":3})"), Rig::Put(t, "y", R"({"a":3})")}), Code::kNotUnique);
  EXPECT_EQ(r.Try({Rig::Put(t, "k", R"({"a":1,"b":0})")}), Code{}) << "of itself";
  EXPECT_EQ(r.Try({Rig::Put(t, "k", two), Rig::Put(t, "l", one)}), Code{}) << "they change places";
  EXPECT_EQ(r.Try({Rig::Del(t, "k"), Rig::Put(t, "x", two)}), Code{}) << "one takes the other's place";
  EXPECT_EQ(r.Try({Rig::DelRange(t, "l", "m"), Rig::Put(t, "y", one)}), Code{});
  EXPECT_EQ(r.Try({Rig::Put(t, "z", R"({"a":9})"), Rig::Del(t, "z"), Rig::Put(t, "w", R"({"a":9})")}),
            Code{});
  r.ExpectIndexes("unique");
  EXPECT_EQ(r.Index("t", "all", ""), Code{});
  ASSERT_EQ(r.Try({Rig::Put(t, "p", R"({"c":1})"), Rig::Put(t, "q", R"({"c":1})")}), Code{});
  EXPECT_EQ(r.Index("t", "not", "/c", true), Code::kNotUnique) << "of rows that are there";
  EXPECT_FALSE(r.rig.s->state->FindIndex(t, "not").has_value());
  r.ExpectIndexes("refused");
}

TEST(Indexes, AValueThatIsTooLongForAnIndexRowIsRefused) {
  IndexRig r;
  ASSERT_TRUE(r.rig.CreateTable("t"));
  ASSERT_EQ(r.Index("t", "i", ""), Code{});
  TableId t = r.rig.Table("t");
  EXPECT_EQ(r.Try({Rig::Put(t, "k", std::string(1021, 'v'))}), Code{});
  EXPECT_EQ(r.Try({Rig::Put(t, "k", std::string(1022, 'v'))}), Code::kIndexRowSize);
  EXPECT_EQ(r.Try({Rig::Put(t, "k", std::string(511, '\0'))}), Code::kIndexRowSize) << "zeros take two bytes";
  ASSERT_TRUE(r.rig.CreateTable("long"));
  ASSERT_EQ(r.Try({Rig::Put(r.rig.Table("long"), "k", std::string(2'000, 'v'))}), Code{});
  EXPECT_EQ(r.Index("long", "i", ""), Code::kIndexRowSize);
  r.ExpectIndexes("refused");
}

// Random batches over rows that meet in few values; saves, openings, tags and indexes that come and go
// between.
class RandomIndexes : public ::testing::TestWithParam<tree::Layout> {};

TEST_P(RandomIndexes, AreWhatTheRowsMakeThemThroughSavesTagsAndOpenings) {
  IndexRig r;
  crypto::SeededRandom random(GetParam() == tree::Layout::kBTree ? 71 : 72);
  ASSERT_TRUE(r.rig.CreateTable("t", JsonTable(GetParam())));
  ASSERT_TRUE(r.rig.CreateTable("other"));
  ASSERT_EQ(r.Index("t", "a", "/a"), Code{});
  ASSERT_EQ(r.Index("t", "u", "/u/0", true), Code{});
  ASSERT_EQ(r.Index("other", "whole", ""), Code{});
  size_t not_unique = 0;
  auto key = [&] { return "k" + std::to_string(random.Below(120)); };
  for (int step = 0; step < 250; ++step) {
    TableId t = r.rig.Table("t"), other = r.rig.Table("other");
    std::vector<kernel::Operation> operations;
    for (uint64_t n = 1 + random.Below(12); n > 0; --n) {
      const std::string json = R"({"a":)" + std::to_string(random.Below(9)) + R"(,"u":[)" +
                               std::to_string(random.Below(2'000)) + R"(],"late":"\u0000)" +
                               std::to_string(random.Below(50)) + R"(","pad":")" +
                               std::string(random.Below(random.Below(20) == 0 ? 70'000 : 300), 'p') + "\"}";
      switch (random.Below(8)) {
        case 0:
          operations.push_back(Rig::Del(t, key()));
          break;
        case 1: {
          std::string from = key();
          operations.push_back(Rig::DelRange(t, from, from + "5"));
          break;
        }
        case 2:
          operations.push_back(Rig::Put(other, key(), std::string(random.Below(5), '\0')));
          break;
        case 3:
          operations.push_back(Rig::Put(t, key(), "[]"));
          break;
        default:
          operations.push_back(Rig::Put(t, key(), json));
      }
    }
    Code code = r.Try(operations);
    not_unique += code == Code::kNotUnique ? 1 : 0;
    ASSERT_TRUE(code == Code{} || code == Code::kNotUnique) << CodeName(code);
    if (step % 10 == 0) {
      ASSERT_TRUE(r.rig.Save());
    }
    if (step % 70 == 5) {
      ASSERT_TRUE(r.rig.CreateTag("tag" + std::to_string(step)));
    }
    if (step % 40 == 7) {  // one that is built from rows in the tree and above it
      ASSERT_EQ(r.Index("t", "late", "/late"), Code{});
    } else if (step % 40 == 27) {
      kernel::DropTable drop{r.IndexId("t", "late")};
      ASSERT_TRUE(r.rig.Append({{journal::EntryKind::kDropTable, Term(), kernel::Encode(drop)}}));
    }
    if (step % 25 == 3) {
      r.ExpectIndexes("step " + std::to_string(step));
      if (random.Below(2) == 0) {
        ASSERT_TRUE(r.rig.Close());
      }
      r.rig.Kill();
      ASSERT_TRUE(r.rig.Open());
      r.ExpectIndexes("opened at step " + std::to_string(step));
    }
  }
  EXPECT_GT(not_unique, 3u);
  ASSERT_TRUE(r.rig.Save());
  ASSERT_TRUE(r.rig.Close());
  r.rig.ExpectClean("at the end");
}

INSTANTIATE_TEST_SUITE_P(Layouts, RandomIndexes,
                         ::testing::Values(tree::Layout::kBTree, tree::Layout::kPatricia));

// A store whose applier forgot an index row, as a mistake of ours would leave it: verify says so.
TEST(Indexes, VerifyFindsARowThatAnIndexLacksOrHasTooMany) {
  IndexRig r;
  ASSERT_TRUE(r.rig.CreateTable("t", JsonTable()));
  ASSERT_EQ(r.Index("t", "a", "/a"), Code{});
  TableId t = r.rig.Table("t");
  ASSERT_EQ(r.Try({Rig::Put(t, "k", R"({"a":1})"), Rig::Put(t, "l", R"({"a":2})")}), Code{});
  ASSERT_TRUE(r.rig.Save());
  VersionPtr base = r.rig.s->state->CurrentView().base;
  VersionNodes nodes(*r.rig.disk, base, r.rig.cache);
  Tables tables = base->manifest.root.tables;
  const TableId index = r.IndexId("t", "a");
  EXPECT_TRUE(IndexHolds(tables, tables.at(index), nodes).value());
  Tables without_rows = tables;
  without_rows.at(t).root = tree::Root();
  EXPECT_FALSE(IndexHolds(without_rows, tables.at(index), nodes).value()) << "too many";
  Tables without_index = tables;
  without_index.at(index).root = tree::Root();
  EXPECT_FALSE(IndexHolds(without_index, without_index.at(index), nodes).value()) << "too few";
  Tables another = tables;
  another.at(index).descriptor.index->pointer = "/b";
  EXPECT_FALSE(IndexHolds(another, another.at(index), nodes).value());
  another.at(index).descriptor.index->unique = true;
  another.at(index).descriptor.index->pointer = "/a";
  EXPECT_FALSE(IndexHolds(another, another.at(index), nodes).value());
}

}  // namespace
}  // namespace holdfast::store
