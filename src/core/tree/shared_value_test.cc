#include "core/tree/shared_value.h"

#include <gtest/gtest.h>

#include "core/tree/table_internal.h"

namespace holdfast::tree {
namespace {

Table Sharing(uint16_t leaf, uint16_t inner, bool inline_values = true) {
  Table t(leaf, inner, inline_values);
  t.descriptor.values_in.emplace();
  return t;
}

StoredValue Shared(const Address& address, uint64_t length) {
  StoredValue v;
  v.is_shared = true;
  v.length = length;
  v.blob.address = address;
  return v;
}

// Few different values, long and short.
std::string SomeValue(crypto::SeededRandom& random) {
  uint64_t n = random.Below(12);
  return std::string(n < 4 ? n * 50 : n * 10'000, static_cast<char>('a' + n));
}

List SomeChanges(crypto::SeededRandom& random, size_t n, uint64_t space, unsigned erase_percent) {
  List list;
  for (size_t i = 0; i < n; ++i) {
    std::string key = RandomKey(random, space);
    if (random.Below(100) < erase_percent) {
      list[key] = std::nullopt;
    } else {
      list[key] = SomeValue(random);
    }
  }
  return list;
}

std::map<Address, int64_t> CountsOf(const Table& t) {
  std::map<Address, int64_t> counts;
  for (const auto& [address, shared] : t.nodes.shared) {
    if (shared.rows != 0) counts[address] = shared.rows;
  }
  return counts;
}

struct Content {
  Oracle rows;
  std::map<Address, int64_t> counts;
};

Content ReadAll(Table& t) {
  Content c;
  Cursor cursor(t.root);
  EXPECT_TRUE(cursor.SeekTo({}, t.nodes).done());
  for (;;) {
    auto row = cursor.Next(t.nodes);
    EXPECT_TRUE(row.done());
    if (!row.done() || !row.value()) return c;
    const StoredValue& v = row.value()->value;
    EXPECT_FALSE(v.is_blob) << "a table that shares values has no blobs of its own";
    std::string& value = c.rows[ToText(row.value()->key)];
    if (!v.is_shared) {
      value = ToText(v.inline_bytes);
      continue;
    }
    ++c.counts[v.blob.address];
    value = t.nodes.shared.at(v.blob.address).value;
    EXPECT_EQ(v.length, value.size());
  }
}

TEST(SharedValues, AFoldSaysOfEachHowManyRowsCameAndWent) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    crypto::SeededRandom random(seed);
    Table t = Sharing(static_cast<uint16_t>(4 + random.Below(13)),
                      static_cast<uint16_t>(4 + random.Below(13)), seed % 3 != 0);
    Oracle oracle;
    for (int round = 0; round < 10; ++round) {
      List list = SomeChanges(random, 1 + random.Below(400), 600, round % 3 == 2 ? 80 : 20);
      Table parts = t;
      ASSERT_EQ(t.Apply(list), Code{});
      ASSERT_EQ(parts.ApplyInParts(list, 2 + random.Below(30)), Code{});
      ApplyTo(oracle, list);
      EXPECT_EQ(t.root.ref.address, parts.root.ref.address);
      EXPECT_EQ(CountsOf(t), CountsOf(parts)) << "the parts of a fold count as the whole does";
      Content c = ReadAll(t);
      ASSERT_TRUE(c.rows == oracle) << "seed " << seed << " round " << round;
      ASSERT_EQ(c.counts, CountsOf(t)) << "seed " << seed << " round " << round;
      if (HasFailure()) return;
    }
  }
}

TEST(SharedValues, PuttingTheSameValueAgainChangesNothing) {
  Table t = Sharing(4, 4);
  List list;
  for (uint64_t i = 0; i < 50; ++i) list[Numbered(i)] = std::string(1000, 'v');
  ASSERT_EQ(t.Apply(list), Code{});
  const size_t emitted = t.nodes.emitted;
  const auto counts = CountsOf(t);
  ASSERT_EQ(t.Apply(list), Code{});
  EXPECT_EQ(t.nodes.emitted, emitted);
  EXPECT_EQ(CountsOf(t), counts);
  EXPECT_EQ(counts.begin()->second, 50);
}

TEST(SharedValues, ATreeDoesNotDependOnTheOrderOfItsFolds) {
  Table a = Sharing(8, 8), b = Sharing(8, 8);
  List one, two;
  for (uint64_t i = 0; i < 8; ++i) (i < 4 ? one : two)[Numbered(i)] = std::string(1000 + i % 2, 'v');
  List both = one;
  both.insert(two.begin(), two.end());
  ASSERT_EQ(a.Apply(one), Code{});
  ASSERT_EQ(a.Apply(two), Code{});
  ASSERT_EQ(b.Apply(both), Code{});
  EXPECT_EQ(a.root.ref.address, b.root.ref.address) << "rows with shared values have no birth";
}

TEST(SharedValues, ADiffTellsOtherValuesFromTheSame) {
  Table t = Sharing(4, 4);
  List list;
  for (uint64_t i = 0; i < 40; ++i) list[Numbered(i)] = std::string(1000, i % 2 == 0 ? 'v' : 'w');
  ASSERT_EQ(t.Apply(list), Code{});
  const Root before = t.root;
  // A value of the same length, an inline one, and a neighbour rewritten with them.
  ASSERT_EQ(
      t.Apply({{Numbered(4), std::string(1000, 'x')}, {Numbered(5), "short"}, {Numbered(6), std::nullopt}}),
      Code{});
  Diff diff(before, t.root);
  std::vector<std::string> keys;
  for (;;) {
    auto change = diff.Next(t.nodes);
    ASSERT_TRUE(change.done());
    if (!change.value()) break;
    keys.push_back(ToText(change.value()->key));
  }
  EXPECT_EQ(keys, (std::vector<std::string>{Numbered(4), Numbered(5), Numbered(6)}));
}

TEST(SharedValues, AreReadFromTheTableOfValuesAndFromNowhereElse) {
  const std::string value(150'000, 'v'), small = "small";
  Table values;
  const Address address = FakeAddress(AsBytes(value)), small_address = FakeAddress(AsBytes(small));
  ASSERT_EQ(values.Apply({{ToText(address), value}, {ToText(small_address), small}}), Code{});
  values.nodes.forgetful = true;
  auto read = [&](StoredValue v, const Root& in) {
    BlobReader reader(v, in);
    Keeping kept(values.nodes);
    return Finish(values.nodes, [&] { return reader.Run(kept); });
  };
  const StoredValue v = Shared(address, value.size());
  EXPECT_EQ(ToText(read(v, values.root).value()), value);
  EXPECT_EQ(read(v, Root{}).error().code(), Code::kMalformed) << "no table";
  StoredValue other = v;
  other.length = value.size() - 1;
  EXPECT_EQ(read(other, values.root).error().code(), Code::kMalformed) << "another length";
  other = v;
  other.blob.address[5] ^= 1;
  EXPECT_EQ(read(other, values.root).error().code(), Code::kMalformed) << "no such value";
  const StoredValue inside = Shared(small_address, small.size());
  EXPECT_EQ(ToText(read(inside, values.root).value()), small);
}

TEST(SharedValues, RowsOfValuesAreReadStrictly) {
  Address a = FakeAddress(AsBytes("v"));
  const Bytes counted = EncodeSharedCount(2);
  StoredValue inlined;
  inlined.inline_bytes = counted;
  inlined.length = counted.size();
  auto row = ReadSharedRow(SharedCountKey(a), inlined);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->address, a);
  EXPECT_EQ(row->count, 2u);
  EXPECT_FALSE(ReadSharedRow(a, inlined)->count) << "a value that looks like a count";
  Bytes key = SharedCountKey(a);
  key.push_back(0);
  EXPECT_FALSE(ReadSharedRow(key, inlined));
  key = SharedCountKey(a);
  key.back() = 2;
  EXPECT_FALSE(ReadSharedRow(key, inlined));
  EXPECT_FALSE(ReadSharedRow(ByteView(a).first(32), inlined));
  Bytes one(8);
  one[0] = 1;
  inlined.inline_bytes = one;
  EXPECT_FALSE(ReadSharedRow(SharedCountKey(a), inlined)) << "a count of one is an absent one";
  a[0] = 2;
  EXPECT_FALSE(ReadSharedRow(a, inlined)) << "an algorithm that nobody knows";
}

TEST(SharedValues, WithinATableThatSharesNoneAreAForgery) {
  Table t(4, 4);
  ASSERT_EQ(t.Apply({{"a", "1"}}), Code{});
  const StoredValue v = Shared(FakeAddress(AsBytes("v")), 1000);
  t.nodes.Forge(t.root.ref.hint.segment, t.root.ref.address, EncodeLeaf({{AsBytes("a"), v}}));
  EXPECT_EQ(t.Apply({{"a", "2"}}), Code::kMalformed);
}

TEST(SharedValues, DescriptorsNameEachOther) {
  Descriptor d;
  d.name = "t";
  d.values_in.emplace();
  d.values_in->bytes[3] = 7;
  EXPECT_EQ(Descriptor::Decode(d.Encode()).value(), d);
  EXPECT_TRUE(d.may_share());
  EXPECT_FALSE(d.hidden());
  Descriptor values;
  values.values_of = d.values_in;
  EXPECT_EQ(Descriptor::Decode(values.Encode()).value(), values);
  EXPECT_TRUE(values.hidden());
  values.name = "named";
  EXPECT_EQ(Descriptor::Decode(values.Encode()).code(), Code::kInvalidArgument);
  values.name.clear();
  values.value_type = Type::kJson;
  EXPECT_EQ(Descriptor::Decode(values.Encode()).code(), Code::kInvalidArgument);
  d.layout = Layout::kPatricia;
  d.inner_children_max = kPatriciaChildrenMax;
  EXPECT_FALSE(d.may_share());
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace holdfast::tree
