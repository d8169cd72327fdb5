#include "core/tree/fold.h"

#include <gtest/gtest.h>

#include "core/tree/table_internal.h"

namespace holdfast::tree {
namespace {

struct Content {
  Oracle rows;
  std::set<uint32_t> reached;
};

// Reads everything through Walk, checks the shape and every rule between nodes.
class Shape {
 public:
  explicit Shape(Table& t) : t_(t), source_(t.nodes) {}
  Content Check() {
    Content c;
    if (!t_.root.empty) {
      NodePtr root = Get(t_.root.ref);
      EXPECT_EQ(Below(t_.root.ref, root->level(), "", nullptr, true, c), t_.root.rows);
      EXPECT_TRUE(root->type() == NodeType::kLeaf || root->count() >= 2);
    }
    Walk walk(t_.root);
    std::set<uint32_t> walked;
    for (;;) {
      auto s = Finish(t_.nodes, [&] { return walk.Next(source_); });
      EXPECT_TRUE(s.done());
      if (!s.done() || !s.value()) break;
      EXPECT_TRUE(walked.insert(Place(s.value()->ref)).second) << "two references to one place";
    }
    EXPECT_EQ(walked, c.reached);
    EXPECT_EQ(t_.nodes.live, c.reached) << "emitted minus dead is not what is reachable";
    EXPECT_EQ(t_.nodes.dead_twice, 0u);
    EXPECT_EQ(t_.root.rows, c.rows.size());
    return c;
  }

 private:
  uint32_t Place(const NodeRef& ref) { return t_.nodes.Forward(ref.hint).segment; }
  NodePtr Get(NodeRef ref) {
    ref.hint = t_.nodes.Forward(ref.hint);
    auto it = Finish(t_.nodes, [&]() -> Step<NodePtr> {
      NodePtr n = source_.Find(ref);
      if (n) return n;
      return Need{ref};
    });
    HF_CHECK(it.done());
    EXPECT_EQ(FakeAddress(it.value()->canonical()), ref.address);
    return it.value();
  }
  uint64_t Below(const NodeRef& ref, size_t level, const std::string& from, const std::string* end,
                 bool is_root, Content& c) {
    EXPECT_TRUE(c.reached.insert(Place(ref)).second);
    NodePtr n = Get(ref);
    EXPECT_EQ(n->level(), level);
    EXPECT_LE(ref.birth.value, t_.index);
    if (level == 0) return Leaf(*n, from, end, c);
    EXPECT_EQ(n->type(), NodeType::kInner);
    EXPECT_LE(n->count(), t_.descriptor.inner_children_max);
    (void)is_root;
    uint64_t rows = 0;
    for (size_t i = 0; i < n->count(); ++i) {
      std::string low = i == 0 ? from : ToText(n->key(i));
      std::string high = i + 1 < n->count() ? ToText(n->key(i + 1)) : (end ? *end : "");
      EXPECT_TRUE(i == 0 || low > from);
      uint64_t r = Below(n->child(i), level - 1, low, i + 1 < n->count() ? &high : end, false, c);
      EXPECT_EQ(r, n->rows(i));
      rows += r;
    }
    return rows;
  }
  uint64_t Leaf(const Node& n, const std::string& from, const std::string* end, Content& c) {
    EXPECT_EQ(n.type(), NodeType::kLeaf);
    EXPECT_LE(n.count(), t_.descriptor.leaf_rows_max);
    EXPECT_LE(n.canonical().size(), limits::kLeafBytesMax);
    for (size_t i = 0; i < n.count(); ++i) {
      std::string key = ToText(n.key(i));
      EXPECT_GE(key, from);
      EXPECT_TRUE(end == nullptr || key < *end);
      StoredValue v = n.value(i);
      bool may_inline = t_.descriptor.inline_values && v.length <= limits::kInlineValueBytesMax;
      EXPECT_EQ(v.is_blob, !may_inline);
      if (v.is_blob) Blob(v, c);
      BlobReader reader(v);
      auto s = Finish(t_.nodes, [&] { return reader.Run(source_); });
      EXPECT_TRUE(s.done());
      if (s.done()) c.rows[key] = ToText(s.value());
    }
    return n.count();
  }
  void Blob(const StoredValue& v, Content& c) {
    EXPECT_TRUE(c.reached.insert(Place(v.blob)).second);
    if (v.length <= limits::kBlobChunkBytes) return;
    NodePtr list = Get(v.blob);
    for (const NodeRef& r : list->References()) EXPECT_TRUE(c.reached.insert(Place(r)).second);
  }
  class Forwarding : public NodeSource {
   public:
    explicit Forwarding(MemoryNodes& n) : nodes_(n), kept_(n) {}
    NodePtr Find(const NodeRef& ref) override {
      NodeRef r = ref;
      r.hint = nodes_.Forward(r.hint);
      if (nodes_.forgetful) nodes_.Fetch(r);
      return kept_.Find(r);
    }

   private:
    MemoryNodes& nodes_;
    Keeping kept_;
  };
  Table& t_;
  Forwarding source_;
};

struct Orders {
  uint16_t leaf, inner;
  bool inline_values;
};

class RandomFolds : public testing::TestWithParam<Orders> {};

TEST_P(RandomFolds, HoldWhatAMapHolds) {
  Orders o = GetParam();
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    crypto::SeededRandom random(seed * 1000 + o.leaf + o.inner);
    Table forgetful(o.leaf, o.inner, o.inline_values), cached(o.leaf, o.inner, o.inline_values);
    forgetful.nodes.forgetful = true;
    Oracle oracle;
    uint64_t space = 40 + random.Below(3000);
    for (int round = 0; round < 12; ++round) {
      // From rounds of growth to rounds that erase nearly everything.
      unsigned erase = round % 4 == 3 ? 90 : round % 4 == 2 ? 50 : 10;
      size_t n = random.Below(3) == 0 ? 1 + random.Below(5) : 1 + random.Below(space);
      List list = RandomChanges(random, n, space, erase, seed == 1 ? 300'000 : 3'000);
      if (round == 11) {
        for (const auto& [k, v] : oracle) list[k] = std::nullopt;
      }
      ASSERT_EQ(forgetful.Apply(list), Code{});
      ASSERT_EQ(cached.Apply(list), Code{});
      ApplyTo(oracle, list);
      EXPECT_EQ(forgetful.root.empty, cached.root.empty);
      EXPECT_EQ(forgetful.root.ref.address, cached.root.ref.address) << "interruptions changed the root";
      EXPECT_EQ(forgetful.root.ref.birth, cached.root.ref.birth);
      EXPECT_EQ(forgetful.nodes.emitted, cached.nodes.emitted) << "something was done twice";
      EXPECT_EQ(cached.nodes.needs, 0u);
      ASSERT_TRUE(Shape(forgetful).Check().rows == oracle);
      ASSERT_TRUE(Shape(cached).Check().rows == oracle);
      forgetful.nodes.Collect();
      cached.nodes.Collect();
      if (testing::Test::HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, RandomFolds,
                         testing::Values(Orders{4, 4, true}, Orders{16, 64, true}, Orders{5, 7, false},
                                         Orders{16, 16, true}, Orders{8, 4, true}, Orders{256, 256, true}),
                         [](const auto& i) {
                           return "Leaf" + std::to_string(i.param.leaf) + "Inner" +
                                  std::to_string(i.param.inner);
                         });

TEST(BulkLoad, FillsNodesAndSharesTheLastTwoEvenly) {
  Table t(16, 16);
  List list;
  for (uint64_t i = 0; i < 16 * 1000 + 5; ++i) list[Numbered(i)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});
  Content c = Shape(t).Check();
  EXPECT_EQ(c.rows.size(), list.size());
  // 1,001 leaves, 63 inner nodes above them, then 4, then the root.
  EXPECT_EQ(c.reached.size(), 1001u + 63 + 4 + 1);
}

TEST(BulkLoad, OfOneFullLeafMakesOneNode) {
  for (uint64_t n : {1, 16, 17, 32, 33, 64}) {
    Table t(16, 64);
    List list;
    for (uint64_t i = 0; i < n; ++i) list[Numbered(i)] = "v";
    ASSERT_EQ(t.Apply(list), Code{});
    size_t leaves = (n + 15) / 16;
    EXPECT_EQ(Shape(t).Check().reached.size(), leaves + (leaves > 1 ? 1 : 0));
  }
}

TEST(Fold, OfNoChangesKeepsTheRootUnread) {
  Table t;
  ASSERT_EQ(t.Apply({{"a", "1"}}), Code{});
  Root before = t.root;
  t.nodes.forgetful = true;
  ASSERT_EQ(t.Apply({}), Code{});
  EXPECT_EQ(t.root.ref.hint, before.ref.hint);
  EXPECT_EQ(t.nodes.needs, 0u);
}

TEST(Fold, KeepsALeafWhoseChangesChangeNothing) {
  Table t(4, 4);
  List list;
  for (uint64_t i = 0; i < 200; ++i) list[Numbered(i * 2)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});
  Root before = t.root;
  size_t emitted = t.nodes.emitted;
  ASSERT_EQ(t.Apply({{Numbered(3), std::nullopt}, {Numbered(101), std::nullopt}, {Numbered(20), "v"}}),
            Code{});
  EXPECT_EQ(t.root.ref.hint, before.ref.hint);
  EXPECT_EQ(t.nodes.emitted, emitted);
  Shape(t).Check();
}

TEST(Fold, ReadsOnlyThePathsOfChanges) {
  Table t(16, 16);
  List list;
  for (uint64_t i = 0; i < 16 * 16 * 16 * 2; ++i) list[Numbered(i)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});
  t.nodes.forgetful = true;
  size_t emitted = t.nodes.emitted;
  ASSERT_EQ(t.Apply({{Numbered(777), "w"}}), Code{});
  EXPECT_EQ(t.nodes.needs, 4u);  // four levels
  EXPECT_EQ(t.nodes.emitted - emitted, 4u);
}

TEST(RuleD5, MovedAndForwardedNodesKeepTheirAddressesAndTheRoot) {
  crypto::SeededRandom random(5);
  Table a(8, 8), b(8, 8);
  b.nodes.forgetful = true;
  Oracle oracle;
  for (int round = 0; round < 15; ++round) {
    List list = RandomChanges(random, 1 + random.Below(300), 1500, round % 3 == 2 ? 60 : 10, 100'000);
    // b moves children out of half of all places, and has some moved behind its back.
    b.nodes.should_move = [&](const Hint& h) { return h.segment % 2 == static_cast<uint32_t>(round % 2); };
    ASSERT_EQ(a.Apply(list), Code{});
    ASSERT_EQ(b.Apply(list), Code{});
    ApplyTo(oracle, list);
    ASSERT_EQ(a.root.ref.address, b.root.ref.address);
    ASSERT_EQ(a.root.ref.birth, b.root.ref.birth);
    ASSERT_TRUE(Shape(b).Check().rows == oracle);
    if (testing::Test::HasFailure()) return;
    std::vector<uint32_t> live(b.nodes.live.begin(), b.nodes.live.end());
    for (uint32_t s : live) {
      if (s % 5 == 0) b.nodes.Relocate(s);
    }
    b.root.ref.hint = b.nodes.Forward(b.root.ref.hint);  // the manifest's, not a node's
  }
  EXPECT_GT(b.nodes.emitted, a.nodes.emitted);
}

TEST(Fold, MovesUntouchedChildrenOfRewrittenNodesOnly) {
  Table t(4, 4);
  List list;
  for (uint64_t i = 0; i < 64; ++i) list[Numbered(i)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});  // 16 leaves, 4 inner nodes, a root
  t.nodes.should_move = [](const Hint&) { return true; };
  size_t emitted = t.nodes.emitted;
  ASSERT_EQ(t.Apply({{Numbered(0), "w"}}), Code{});
  // The path (3), three other leaves below its lowest inner node, three other inner nodes below the root.
  EXPECT_EQ(t.nodes.emitted - emitted, 3u + 3 + 3);
  Shape(t).Check();
}

TEST(Fold, LeavesTheOldRootReadable) {
  Table t(4, 4);
  crypto::SeededRandom random(9);
  Oracle oracle;
  List list = RandomChanges(random, 300, 500, 0, 100'000);
  ApplyTo(oracle, list);
  ASSERT_EQ(t.Apply(list), Code{});
  Root old = t.root;
  ASSERT_EQ(t.Apply(RandomChanges(random, 300, 500, 50, 1000)), Code{});
  Cursor cursor(old);
  ASSERT_TRUE(cursor.SeekTo({}, t.nodes).done());
  for (const auto& [k, v] : oracle) {
    auto row = cursor.Next(t.nodes);
    ASSERT_TRUE(row.done() && row.value());
    EXPECT_EQ(ToText(row.value()->key), k);
    BlobReader reader(row.value()->value);
    EXPECT_EQ(ToText(reader.Run(t.nodes).value()), v);
  }
}

TEST(Fold, LeavesWithLongRowsStayBelowTheirSizeLimit) {
  Table t(256, 256);
  List list;
  for (uint64_t i = 0; i < 400; ++i) list[std::string(1000, 'p') + Numbered(i)] = std::string(224, 'v');
  ASSERT_EQ(t.Apply(list), Code{});
  EXPECT_EQ(Shape(t).Check().rows.size(), 400u);  // checks the limit for each leaf
  List more;
  for (uint64_t i = 0; i < 400; i += 3)
    more[std::string(1000, 'p') + Numbered(i) + "x"] = std::string(200, 'w');
  ASSERT_EQ(t.Apply(more), Code{});
  Shape(t).Check();
}

TEST(Fold, ErasingAQueueFromItsFrontKeepsTheTreeLow) {
  Table t(8, 8);
  uint64_t head = 0, tail = 0;
  for (int round = 0; round < 200; ++round) {
    List list;
    for (int i = 0; i < 40; ++i) list[Numbered(tail++)] = "v";
    while (tail - head > 100) list[Numbered(head++)] = std::nullopt;
    ASSERT_EQ(t.Apply(list), Code{});
    Content c = Shape(t).Check();
    ASSERT_EQ(c.rows.size(), std::min<uint64_t>(tail, 100));
    ASSERT_LE(c.reached.size(), 60u);
    t.nodes.Collect();
  }
}

// ---- Forged trees: what the tree library meets if keys leaked. It says so and stops.

TEST(Fold, RefusesLeavesWithKeysOutsideTheirRange) {
  Table t(4, 4);
  List list;
  for (uint64_t i = 0; i < 40; ++i) list[Numbered(i)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});
  NodePtr root = t.nodes.Find(t.root.ref);
  NodePtr inner = t.nodes.Find(root->child(0));
  NodeRef leaf = inner->child(1);
  std::string high = Numbered(1000);
  t.nodes.Forge(leaf.hint.segment, leaf.address, EncodeLeaf({{AsBytes(high), {}}}));
  EXPECT_EQ(t.Apply({{Numbered(5), "w"}}), Code::kMalformed);
}

TEST(Fold, RefusesAChildOfTheWrongLevel) {
  Table t(4, 4);
  List list;
  for (uint64_t i = 0; i < 40; ++i) list[Numbered(i)] = "v";
  ASSERT_EQ(t.Apply(list), Code{});
  NodePtr root = t.nodes.Find(t.root.ref);
  NodeRef child = root->child(0);
  t.nodes.Forge(child.hint.segment, child.address,
                EncodeInner(root->level(), {{{}, t.root.ref, 1}}));  // a cycle
  EXPECT_EQ(t.Apply({{Numbered(1), "w"}}), Code::kMalformed);
}

TEST(Fold, InPartsReachesTheSameRootAsAtOnce) {
  size_t parted = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    crypto::SeededRandom random(seed);
    uint16_t leaf = static_cast<uint16_t>(4 + random.Below(10)),
             inner = static_cast<uint16_t>(4 + random.Below(8));
    Table whole(leaf, inner);
    Oracle oracle;
    uint64_t space = 200 + random.Below(3000);
    for (int round = 0; round < 8; ++round) {
      // Many, few, none that change anything, and such that empty whole ranges.
      List list = RandomChanges(random, round == 0 ? space : 1 + random.Below(space), space,
                                static_cast<unsigned>(random.Below(100)), 300);
      if (round % 3 == 2) {
        for (const auto& [k, v] : oracle) {
          if (k > "k3" && k < "k7") list[k] = std::nullopt;
        }
      }
      if (round == 5) {
        list.clear();
        for (const auto& [k, v] : oracle) list[k] = v;
      }
      ApplyTo(oracle, list);
      Table parts = whole;
      size_t enough = 2 + random.Below(60);
      auto places = Finish(parts.nodes, [&] { return PlacesOf(parts.root, enough, parts.nodes); });
      ASSERT_TRUE(places.done());
      parted += places.value().size();
      ASSERT_EQ(parts.ApplyInParts(list, enough), Code{});
      ASSERT_EQ(whole.Apply(list), Code{});
      ASSERT_EQ(whole.root.empty, parts.root.empty) << "seed " << seed << " round " << round;
      ASSERT_EQ(whole.root.ref.address, parts.root.ref.address) << "seed " << seed << " round " << round;
      ASSERT_EQ(Shape(parts).Check().rows, oracle);
      if (random.Below(2) == 0) whole = parts;
    }
  }
  EXPECT_GT(parted, 1000u);
}

}  // namespace
}  // namespace holdfast::tree
