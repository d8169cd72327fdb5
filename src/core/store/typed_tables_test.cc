// Typed tables: whoever proposed an entry, no row that is not of its table's types is ever applied.
#include "core/store/store_rig_internal.h"
#include "vector_file.h"

namespace holdfast::store {
namespace {

tree::Descriptor NumbersToJson(tree::Layout layout) {
  tree::Descriptor d;
  d.key_type = tree::Type::kInt64;
  d.value_type = tree::Type::kJson;
  d.layout = layout;
  if (layout == tree::Layout::kPatricia) d.inner_children_max = tree::kPatriciaChildrenMax;
  return d;
}

std::string KeyOf(int64_t n) { return ToText(tree::FromInt64(n)); }

class TypedTables : public ::testing::TestWithParam<tree::Layout> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(rig.Init());
    ASSERT_TRUE(rig.Open());
    ASSERT_TRUE(rig.CreateTable("t", NumbersToJson(GetParam())));
    ASSERT_TRUE(rig.CreateTable("plain"));
    ASSERT_TRUE(rig.PutRows("t", {{KeyOf(-1), "{}"}, {KeyOf(1), "[1]"}}));
    ASSERT_EQ(rig.outcomes.at(0).code, Code{});
  }
  Code Try(const std::vector<kernel::Operation>& operations) {
    kernel::Batch batch;
    batch.operations = operations;
    EXPECT_TRUE(rig.Append({Rig::EntryOf(batch)}));
    return rig.outcomes.at(0).code;
  }
  Rig rig;
};

TEST_P(TypedTables, AnEntryWithARowOfAnotherTypeChangesNothingNowAndWhenItIsReplayed) {
  TableId t = rig.Table("t"), plain = rig.Table("plain");
  EXPECT_EQ(Try({Rig::Put(t, "1", "{}")}), Code::kKeyType);
  EXPECT_EQ(Try({Rig::Put(t, KeyOf(2), "{")}), Code::kValueType);
  EXPECT_EQ(Try({Rig::Put(t, KeyOf(2), "")}), Code::kValueType);
  EXPECT_EQ(Try({Rig::Del(t, "1")}), Code::kKeyType);
  EXPECT_EQ(Try({Rig::Put(plain, "k", "v"), Rig::Put(t, KeyOf(1), "2"), Rig::Put(t, KeyOf(2), "two")}),
            Code::kValueType);
  rig.ExpectRows("refused");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  rig.ExpectRows("replayed");
  ASSERT_TRUE(rig.Save());
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  EXPECT_EQ(Try({Rig::Put(rig.Table("t"), KeyOf(2), "{")}), Code::kValueType);
  rig.ExpectRows("of a save");
  ASSERT_TRUE(rig.Close());
  rig.ExpectClean("closed");
}

TEST_P(TypedTables, EndsOfRangesMayBeAnyBytes) {
  kernel::Batch batch;
  batch.operations = {Rig::DelRange(rig.Table("t"), "\x80", "\x80\x01")};
  ASSERT_TRUE(rig.Apply(batch));
  EXPECT_TRUE(rig.outcomes.at(0).ok());
  EXPECT_EQ(rig.oracle["t"].size(), 1u);
  rig.ExpectRows("the positive ones deleted");
}

TEST_P(TypedTables, ASessionHearsTheSameRefusalWhenItAsksAgain) {
  ASSERT_TRUE(rig.Append(
      {{journal::EntryKind::kOpenSession, Term(), kernel::Encode(kernel::OpenSession{ToBytes("client")})}}));
  kernel::Batch batch;
  batch.session = rig.s->state->position().index.value;
  batch.sequence = 1;
  batch.operations = {Rig::Put(rig.Table("t"), KeyOf(2), "nul")};
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(rig.Append({Rig::EntryOf(batch)}));
    EXPECT_EQ(rig.outcomes.at(0).code, Code::kValueType);
  }
  rig.ExpectRows("refused twice");
}

TEST(TypedTable, DescriptorsAgreeWithTheIndependentImplementation) {
  size_t seen = 0;
  for (const vectors::Block& b : vectors::Load("types.txt")) {
    size_t to = b.name.find(" to ");
    if (to == b.name.npos) continue;
    ++seen;
    tree::Descriptor d;
    d.name = "people";
    d.key_type = tree::TypeOf(b.name.substr(0, to)).value();
    d.value_type = tree::TypeOf(b.name.substr(to + 4)).value();
    EXPECT_EQ(HexUpper(d.Encode()), HexUpper(b.Hex("descriptor"))) << b.name;
    EXPECT_EQ(tree::Descriptor::Decode(b.Hex("descriptor")).value(), d);
  }
  EXPECT_EQ(seen, 3u);
}

TEST(TypedTable, ATableWithTypesThatNobodyKnowsIsNotMade) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  tree::Descriptor d;
  d.key_type = static_cast<tree::Type>(8);
  ASSERT_TRUE(rig.CreateTable("t", d));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kUnknownFormat);
  d.key_type = tree::Type::kJson;
  ASSERT_TRUE(rig.CreateTable("t", d));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kInvalidArgument);
  EXPECT_EQ(rig.Table("t"), TableId());
}

INSTANTIATE_TEST_SUITE_P(Layouts, TypedTables,
                         ::testing::Values(tree::Layout::kBTree, tree::Layout::kPatricia));

}  // namespace
}  // namespace holdfast::store
