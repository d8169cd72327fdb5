#include "core/tree/overlay.h"

#include <gtest/gtest.h>

#include "core/tree/merge.h"
#include "core/tree/table_internal.h"

namespace holdfast::tree {
namespace {

TableId Id(uint8_t n) {
  TableId id;
  id.bytes[15] = n;
  return id;
}

TEST(Overlay, AnswersAsOfASequence) {
  Overlay o;
  o.Put(Id(1), AsBytes("k"), AsBytes("one"), 5);
  o.Erase(Id(1), AsBytes("k"), 7);
  o.Put(Id(1), AsBytes("k"), AsBytes("three"), 9);
  EXPECT_FALSE(o.Get(Id(1), AsBytes("k"), 4).has_value());
  EXPECT_EQ(ToText(o.Get(Id(1), AsBytes("k"), 6)->value), "one");
  EXPECT_TRUE(o.Get(Id(1), AsBytes("k"), 8)->erased);
  EXPECT_EQ(ToText(o.Get(Id(1), AsBytes("k"), 100)->value), "three");
  EXPECT_FALSE(o.Get(Id(2), AsBytes("k"), 100).has_value());
  EXPECT_FALSE(o.Get(Id(1), AsBytes("kk"), 100).has_value());
}

TEST(Overlay, TheSameSequenceReplacesItsOwnWrite) {
  Overlay o;
  o.Put(Id(1), AsBytes("k"), AsBytes("first"), 5);
  size_t bytes = o.memory_bytes();
  o.Put(Id(1), AsBytes("k"), AsBytes("other"), 5);
  EXPECT_EQ(o.memory_bytes(), bytes);
  EXPECT_EQ(ToText(o.Get(Id(1), AsBytes("k"), 5)->value), "other");
  EXPECT_EQ(o.rows(), 1u);
}

TEST(Overlay, CountsTheMemoryOfWhatItHolds) {
  Overlay o;
  EXPECT_EQ(o.memory_bytes(), 0u);
  o.Put(Id(1), AsBytes("k"), Bytes(100'000), 1);
  EXPECT_GE(o.memory_bytes(), 100'000u);
  o.Put(Id(1), AsBytes("k"), Bytes(100'000), 2);  // the older version is still held
  EXPECT_GE(o.memory_bytes(), 200'000u);
  EXPECT_LE(o.memory_bytes(), 201'000u);
}

TEST(Overlay, GivesTheNewestChangeOfEachKeyToAFold) {
  Overlay o;
  o.Put(Id(1), AsBytes("b"), AsBytes("1"), 1);
  o.Put(Id(1), AsBytes("a"), AsBytes("2"), 2);
  o.Erase(Id(1), AsBytes("b"), 3);
  o.Put(Id(2), AsBytes("z"), AsBytes("4"), 4);
  EXPECT_EQ(o.Tables(), (std::vector<TableId>{Id(1), Id(2)}));
  auto changes = o.Changes(Id(1));
  auto c = changes->Next();
  EXPECT_EQ(ToText(c->key), "a");
  EXPECT_EQ(ToText(c->value), "2");
  c = changes->Next();
  EXPECT_EQ(ToText(c->key), "b");
  EXPECT_TRUE(c->erase);
  EXPECT_FALSE(changes->Next().has_value());
  EXPECT_FALSE(o.Changes(Id(9))->Next().has_value());
}

TEST(OverlayCursor, StaysValidWhileMoreIsWritten) {
  Overlay o;
  OverlayCursor c(o, Id(1), 100);  // before the table is there
  EXPECT_FALSE(c.Next().has_value());
  o.Put(Id(1), AsBytes("b"), AsBytes("1"), 1);
  o.Put(Id(1), AsBytes("f"), AsBytes("1"), 1);
  EXPECT_EQ(ToText(c.Next()->key), "b");
  o.Put(Id(1), AsBytes("d"), AsBytes("2"), 2);
  o.Put(Id(1), AsBytes("e"), AsBytes("later"), 101);  // not of this snapshot
  EXPECT_EQ(ToText(c.Next()->key), "d");
  EXPECT_EQ(ToText(c.Next()->key), "f");
  EXPECT_FALSE(c.Next().has_value());
  EXPECT_EQ(ToText(c.Prev()->key), "f");
  EXPECT_EQ(ToText(c.Prev()->key), "d");
  EXPECT_EQ(ToText(c.Next()->key), "d");
  c.SeekTo(AsBytes("c"));
  EXPECT_EQ(ToText(c.Prev()->key), "b");
  EXPECT_FALSE(c.Prev().has_value());
  c.SeekToEnd();
  EXPECT_FALSE(c.Next().has_value());
  EXPECT_EQ(ToText(c.Prev()->key), "f");
}

// A tree, a frozen overlay and an active one that is written while cursors stand in it.
TEST(MergedCursor, ShowsWhatAMapShowsInBothDirections) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    crypto::SeededRandom random(seed);
    Table t(5, 4);
    Oracle oracle;
    List list = RandomChanges(random, seed == 5 ? 0 : 300, 600, 0, 100'000);
    ASSERT_EQ(t.Apply(list), Code{});
    ApplyTo(oracle, list);
    Overlay frozen, active;
    uint64_t sequence = 10;
    auto write = [&](Overlay& o, const List& l) {
      for (const auto& [k, v] : l) {
        ++sequence;
        if (v) {
          o.Put(Id(1), AsBytes(k), AsBytes(*v), sequence);
        } else {
          o.Erase(Id(1), AsBytes(k), sequence);
        }
      }
    };
    for (Overlay* o : {&frozen, &active}) {
      for (int i = 0; i < 2; ++i) {
        list = RandomChanges(random, 150, 600, 40, 1000);
        write(*o, list);
        ApplyTo(oracle, list);
      }
    }
    uint64_t snapshot = sequence;
    t.nodes.forgetful = true;
    MergedCursor cursor(Id(1), t.root, {&active, &frozen}, snapshot);
    auto at = oracle.begin();
    bool forward = true;
    for (int i = 0; i < 3000; ++i) {
      if (random.Below(50) == 0) write(active, RandomChanges(random, 3, 600, 40, 100));
      uint64_t what = random.Below(60);
      if (what == 0) {
        std::string k = RandomKey(random, 650);
        cursor.SeekTo(AsBytes(k));
        at = oracle.lower_bound(k);
        continue;
      }
      if (what == 1) {
        cursor.SeekToEnd();
        at = oracle.end();
        continue;
      }
      if (what < 5) forward = !forward;
      Keeping source(t.nodes);
      auto s = Finish(t.nodes, [&] { return forward ? cursor.Next(source) : cursor.Prev(source); });
      ASSERT_TRUE(s.done());
      if (forward ? at == oracle.end() : at == oracle.begin()) {
        ASSERT_FALSE(s.value().has_value());
        continue;
      }
      if (!forward) --at;
      ASSERT_TRUE(s.value().has_value());
      MergedCursor::Row& row = *s.value();
      ASSERT_EQ(ToText(row.key), at->first);
      Bytes value = row.bytes;
      if (row.stored) {
        BlobReader reader(row.stored->value);
        value = Finish(t.nodes, [&] { return reader.Run(t.nodes); }).value();
      }
      ASSERT_TRUE(ToText(value) == at->second);
      if (forward) ++at;
    }
  }
}

TEST(MergedCursor, OverAnEmptyTreeShowsTheOverlay) {
  Overlay o;
  MemoryNodes nodes;
  MergedCursor empty(Id(1), Root{}, {}, 9);
  EXPECT_FALSE(empty.Next(nodes).value().has_value());
  o.Put(Id(1), AsBytes("a"), AsBytes("v"), 1);
  o.Erase(Id(1), AsBytes("b"), 2);
  MergedCursor cursor(Id(1), Root{}, {&o}, 9);
  auto s = cursor.Next(nodes);
  ASSERT_TRUE(s.value().has_value());
  EXPECT_EQ(ToText(s.value()->bytes), "v");
  EXPECT_FALSE(cursor.Next(nodes).value().has_value());
  EXPECT_EQ(ToText(cursor.Prev(nodes).value()->key), "a");
}

TEST(Fold, OfAnOverlayGivesTheTreeThatReadersSaw) {
  crypto::SeededRandom random(4);
  Table t(6, 6);
  Oracle oracle;
  uint64_t sequence = 0;
  for (int round = 0; round < 10; ++round) {
    Overlay o;
    for (int i = 0; i < 400; ++i) {
      std::string k = RandomKey(random, 700), v = RandomValue(random, 100'000);
      ++sequence;
      if (random.Below(3) == 0) {
        o.Erase(Id(1), AsBytes(k), sequence);
        oracle.erase(k);
      } else {
        o.Put(Id(1), AsBytes(k), AsBytes(v), sequence);
        oracle[k] = v;
      }
    }
    auto changes = o.Changes(Id(1));
    Fold fold(t.descriptor, t.root, LogIndex(sequence), *changes, t.nodes);
    auto s = Finish(t.nodes, [&] { return fold.Run(t.nodes); });
    ASSERT_TRUE(s.done());
    t.root = s.value();
    ASSERT_EQ(t.root.rows, oracle.size());
    Cursor cursor(t.root);
    for (const auto& [k, v] : oracle) {
      auto row = cursor.Next(t.nodes);
      ASSERT_TRUE(row.value().has_value());
      ASSERT_EQ(ToText(row.value()->key), k);
    }
    ASSERT_FALSE(cursor.Next(t.nodes).value().has_value());
  }
}

}  // namespace
}  // namespace holdfast::tree
