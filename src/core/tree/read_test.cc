#include "core/tree/read.h"

#include <gtest/gtest.h>

#include "core/tree/table_internal.h"

namespace holdfast::tree {
namespace {

// Repeats an operation of a reader; what it fetched is forgotten when it is done.
template <typename F>
auto Do(Table& t, F&& operation) {
  Keeping source(t.nodes);
  return Finish(t.nodes, [&] { return operation(source); });
}

std::string ValueOf(Table& t, const StoredValue& value) {
  BlobReader reader(value);
  auto s = Finish(t.nodes, [&] { return reader.Run(t.nodes); });  // holds one node at a time
  return s.done() ? ToText(s.value()) : "unreadable";
}

struct Filled {
  Table table;
  Oracle oracle;
  crypto::SeededRandom random;
  Filled(uint16_t leaf, uint16_t inner, uint64_t seed) : table(leaf, inner), random(seed) {
    for (int i = 0; i < 3; ++i) Change(400, 20);
    table.nodes.forgetful = true;
  }
  void Change(size_t n, unsigned erase) {
    List list = RandomChanges(random, n, 1200, erase, 200'000);
    HF_CHECK(table.Apply(list) == Code{});
    ApplyTo(oracle, list);
  }
};

TEST(Lookup, AnswersWhatAMapAnswers) {
  Filled f(4, 5, 1);
  for (int i = 0; i < 1500; ++i) {
    std::string k = RandomKey(f.random, 1300);
    auto s = Do(f.table, [&](NodeSource& source) { return Lookup(f.table.root, AsBytes(k), source); });
    ASSERT_TRUE(s.done());
    auto it = f.oracle.find(k);
    ASSERT_EQ(s.value().has_value(), it != f.oracle.end());
    if (s.value()) {
      EXPECT_EQ(ValueOf(f.table, s.value()->value), it->second);
    }
  }
}

TEST(Lookup, InAnEmptyTreeFindsNothing) {
  MemoryNodes nodes;
  auto s = Lookup(Root{}, AsBytes("a"), nodes);
  ASSERT_TRUE(s.done());
  EXPECT_FALSE(s.value().has_value());
}

TEST(Cursor, WalksLikeAMapIteratorInBothDirections) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Filled f(static_cast<uint16_t>(4 + seed * 3), 4, seed);
    Cursor cursor(f.table.root);
    auto at = f.oracle.begin();
    for (int i = 0; i < 4000; ++i) {
      uint64_t what = f.random.Below(40);
      if (what == 0 || i == 0) {
        std::string k = f.random.Below(5) == 0 ? "" : RandomKey(f.random, 1300);
        at = f.oracle.lower_bound(k);
        auto s = Do(f.table, [&](NodeSource& source) { return cursor.SeekTo(AsBytes(k), source); });
        ASSERT_TRUE(s.done());
        EXPECT_EQ(s.value(), at != f.oracle.end());
      } else if (what == 1) {
        at = f.oracle.end();
        auto s = Do(f.table, [&](NodeSource& source) { return cursor.SeekToEnd(source); });
        ASSERT_TRUE(s.done() && s.value());
      } else {
        bool forward = what % 8 < 4 ? (i / 300) % 2 == 0 : (i / 300) % 2 != 0 ? false : what % 2 == 0;
        auto s = Do(f.table,
                    [&](NodeSource& source) { return forward ? cursor.Next(source) : cursor.Prev(source); });
        ASSERT_TRUE(s.done());
        if (forward ? at == f.oracle.end() : at == f.oracle.begin()) {
          EXPECT_FALSE(s.value().has_value());
          continue;
        }
        if (!forward) --at;
        ASSERT_TRUE(s.value().has_value());
        EXPECT_EQ(ToText(s.value()->key), at->first);
        if (at->second.size() < 1000) {
          EXPECT_EQ(ValueOf(f.table, s.value()->value), at->second);
        }
        if (forward) ++at;
      }
    }
  }
}

TEST(Cursor, OfAnEmptyTreeHasNoRows) {
  MemoryNodes nodes;
  Cursor c((Root()));
  EXPECT_FALSE(c.SeekTo(AsBytes("a"), nodes).value());
  EXPECT_FALSE(c.SeekToEnd(nodes).value());
  EXPECT_FALSE(c.Next(nodes).value().has_value());
  EXPECT_FALSE(c.Prev(nodes).value().has_value());
}

TEST(BlobReader, RefusesChunksThatDoNotFitTheLength) {
  Table t;
  ASSERT_EQ(t.Apply({{"a", std::string(100'000, 'x')}}), Code{});
  auto found = Lookup(t.root, AsBytes("a"), t.nodes);
  for (uint64_t wrong :
       {uint64_t{65'536}, uint64_t{99'999}, uint64_t{100'001}, uint64_t{200'000}, UINT64_MAX}) {
    StoredValue v = found.value()->value;
    v.length = wrong;
    BlobReader reader(v);
    auto s = reader.Run(t.nodes);
    ASSERT_TRUE(s.failed()) << wrong;
    EXPECT_EQ(s.error().code(), Code::kMalformed);
  }
}

TEST(Walk, PrunesAndSkips) {
  Table t(4, 4);
  List list;
  for (uint64_t i = 0; i < 64; ++i) list[Numbered(i)] = i % 8 == 0 ? std::string(1000, 'b') : "v";
  ASSERT_EQ(t.Apply(list), Code{});  // 16 leaves, 8 chunks, 4 inner nodes, the root
  size_t visited = 0;
  for (Walk walk(t.root);;) {
    auto s = walk.Next(t.nodes);
    if (!s.value()) break;
    ++visited;
    if (s.value()->node->type() == NodeType::kLeaf) walk.Prune();
  }
  EXPECT_EQ(visited, 21u);
  // A node that fails is passed over; the rest is still reached.
  NodePtr root = t.nodes.Find(t.root.ref);
  NodeRef bad = root->child(1);
  t.nodes.Forge(bad.hint.segment, bad.address, EncodeChunk({}));
  size_t failed = 0;
  visited = 0;
  for (Walk walk(t.root);;) {
    auto s = walk.Next(t.nodes);
    if (s.failed()) {
      EXPECT_EQ(s.error().code(), Code::kMalformed);
      ++failed;
      walk.Skip();
      continue;
    }
    if (!s.value()) break;
    ++visited;
  }
  EXPECT_EQ(failed, 1u);
  EXPECT_EQ(visited, 29u - 7);
}

TEST(Walk, OfATreeWithACycleEnds) {
  MemoryNodes nodes;
  EncodedNode leaf = EncodeLeaf({{AsBytes("a"), {}}});
  Root root{false, nodes.Emit(EncodedNode(leaf)), 1};
  // The node names itself as its child: its level does not fit the second time.
  nodes.Forge(root.ref.hint.segment, root.ref.address, EncodeInner(31, {{{}, root.ref, 1}}));
  Walk walk(root);
  EXPECT_TRUE(walk.Next(nodes).done());
  auto s = walk.Next(nodes);
  ASSERT_TRUE(s.failed());
  EXPECT_EQ(s.error().code(), Code::kMalformed);
  walk.Skip();
  EXPECT_FALSE(walk.Next(nodes).value().has_value());

  EXPECT_EQ(Lookup(root, AsBytes("a"), nodes).error().code(), Code::kMalformed);
  Cursor cursor(root);
  EXPECT_EQ(cursor.SeekTo({}, nodes).error().code(), Code::kMalformed);
  Diff diff(root, Root{});
  EXPECT_EQ(diff.Next(nodes).error().code(), Code::kMalformed);
}

TEST(Walk, OfChunkListsWithinAChunkListEnds) {
  MemoryNodes nodes;
  NodeRef list = nodes.Emit(EncodeChunkList(
      {NodeRef{.address = {1}, .birth = {}, .hint = {}}, NodeRef{.address = {1}, .birth = {}, .hint = {}}}));
  nodes.Forge(list.hint.segment, list.address, EncodeChunkList({list, list}));
  StoredValue v;
  v.is_blob = true;
  v.length = 100'000;
  v.blob = list;
  Root root{false, nodes.Emit(EncodeLeaf({{AsBytes("a"), v}})), 1};
  Walk walk(root);
  EXPECT_TRUE(walk.Next(nodes).done());
  EXPECT_TRUE(walk.Next(nodes).done());
  EXPECT_TRUE(walk.Next(nodes).failed());
  EXPECT_TRUE(BlobReader(v).Run(nodes).failed());
}

TEST(Lookup, OfAKeyOutsideItsLeafsRangeIsAMiss) {
  Table t(4, 4);
  List list;
  for (uint64_t i = 0; i < 8; ++i) list[Numbered(i)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});
  NodePtr root = t.nodes.Find(t.root.ref);
  NodeRef first = root->child(0);
  std::string moved = Numbered(6);
  t.nodes.Forge(first.hint.segment, first.address, EncodeLeaf({{AsBytes(moved), {}}}));
  auto s = Lookup(t.root, AsBytes(Numbered(1)), t.nodes);
  ASSERT_TRUE(s.done());
  EXPECT_FALSE(s.value().has_value());
}

TEST(Diff, TellsExactlyWhatDiffers) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Filled f(static_cast<uint16_t>(3 + seed), static_cast<uint16_t>(10 - seed), seed);
    Root before = f.table.root;
    Oracle old = f.oracle;
    f.table.nodes.forgetful = false;
    if (seed % 3 == 0)
      f.Change(1000, 95);
    else
      f.Change(seed % 2 ? 5 : 200, 40);
    f.table.nodes.forgetful = true;
    for (bool swapped : {false, true}) {
      const Oracle &a = swapped ? f.oracle : old, &b = swapped ? old : f.oracle;
      Diff diff(swapped ? f.table.root : before, swapped ? before : f.table.root);
      std::string last;
      size_t changes = 0, expected = 0;
      for (;;) {
        auto s = Do(f.table, [&](NodeSource& source) { return diff.Next(source); });
        ASSERT_TRUE(s.done());
        if (!s.value()) break;
        std::string key = ToText(s.value()->key);
        EXPECT_GT(key, last);
        last = key;
        ++changes;
        auto ia = a.find(key), ib = b.find(key);
        ASSERT_EQ(s.value()->before.has_value(), ia != a.end());
        ASSERT_EQ(s.value()->after.has_value(), ib != b.end());
        if (ia != a.end()) {
          EXPECT_EQ(ValueOf(f.table, s.value()->before->value), ia->second);
        }
        if (ib != b.end()) {
          EXPECT_EQ(ValueOf(f.table, s.value()->after->value), ib->second);
        }
      }
      for (const auto& [k, v] : a) expected += b.count(k) == 0 || b.at(k) != v;
      for (const auto& [k, v] : b) expected += a.count(k) == 0;
      EXPECT_EQ(changes, expected);
    }
  }
}

TEST(Diff, OfOneChangeReadsTwoPaths) {
  Table t(16, 16);
  List list;
  for (uint64_t i = 0; i < 16 * 16 * 16 * 2; ++i) list[Numbered(i)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});
  Root before = t.root;
  ASSERT_EQ(t.Apply({{Numbered(777), "w"}}), Code{});
  t.nodes.forgetful = true;
  Diff diff(before, t.root);
  EXPECT_EQ(ToText(Finish(t.nodes, [&] { return diff.Next(t.nodes); }).value()->key), Numbered(777));
  EXPECT_FALSE(Finish(t.nodes, [&] { return diff.Next(t.nodes); }).value().has_value());
  EXPECT_EQ(t.nodes.needs, 8u);
}

}  // namespace
}  // namespace holdfast::tree
