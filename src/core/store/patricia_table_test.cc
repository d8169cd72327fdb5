// Tables of the Patricia layout in a store: what a table holds decides its root, whatever happened to it.
#include "core/store/public_digests.h"
#include "core/store/store_rig_internal.h"
#include "core/store/verify.h"

namespace holdfast::store {
namespace {

tree::Descriptor PatriciaTable(bool inline_values = true, uint16_t leaf_rows = 16) {
  tree::Descriptor d;
  d.layout = tree::Layout::kPatricia;
  d.inner_children_max = tree::kPatriciaChildrenMax;
  d.leaf_rows_max = leaf_rows;
  d.inline_values = inline_values;
  return d;
}

// Equal ids and keys in every rig: the table is the first thing that each draws for.
struct PatriciaRig : Rig {
  void Begin(const tree::Descriptor& d) {
    ASSERT_TRUE(Init());
    ASSERT_TRUE(Open());
    ASSERT_TRUE(CreateTable("t", d));
  }
  tree::Root RootNow() { return s->state->CurrentView().RootOf(Table("t")); }
};

Rows SomeRows(uint64_t seed, size_t n) {
  crypto::SeededRandom random(seed);
  Rows rows;
  while (rows.size() < n) {
    std::string key = "user:" + std::to_string(random.Below(5000));
    if (random.Below(5) == 0) key = TestValue(random, 1 + random.Below(20));
    size_t size = random.Below(40) == 0 ? random.Below(150'000) : random.Below(300);
    rows[key] = TestValue(random, size);
  }
  return rows;
}

// Comes to `rows` by a way of its own: other rows in between, pieces, saves, crashes, cleaning.
void Wander(PatriciaRig& rig, const Rows& rows, uint64_t seed) {
  crypto::SeededRandom random(seed);
  std::vector<std::pair<std::string, std::string>> todo(rows.begin(), rows.end());
  for (size_t i = todo.size(); i > 1; --i) std::swap(todo[i - 1], todo[random.Below(i)]);
  size_t at = 0;
  for (int round = 0; at < todo.size(); ++round) {
    kernel::Batch batch;
    for (uint64_t n = 1 + random.Below(60); n > 0; --n) {
      if (random.Below(3) == 0 || at == todo.size()) {  // a stranger, or an old value
        std::string key = "user:" + std::to_string(random.Below(5000));
        batch.operations.push_back(Rig::Put(rig.Table("t"), key, TestValue(random, random.Below(400))));
        continue;
      }
      batch.operations.push_back(Rig::Put(rig.Table("t"), todo[at].first, todo[at].second));
      ++at;
    }
    ASSERT_TRUE(rig.Apply(batch));
    if (random.Below(3) == 0) {
      ASSERT_TRUE(rig.Save());
    }
    if (random.Below(12) == 0) {
      if (random.Below(2) == 0) {
        rig.Kill();
      } else {
        ASSERT_TRUE(rig.Close());
      }
      ASSERT_TRUE(rig.Open());
    }
  }
  kernel::Batch last;
  for (const auto& [k, v] : Rows(rig.oracle["t"])) {
    if (rows.count(k) == 0) last.operations.push_back(Rig::Del(rig.Table("t"), k));
  }
  for (const auto& [k, v] : rows) {
    if (rig.oracle["t"][k] != v) last.operations.push_back(Rig::Put(rig.Table("t"), k, v));
  }
  ASSERT_TRUE(rig.Apply(last));
  ASSERT_TRUE(rig.Save());
}

TEST(PatriciaTable, SameRowsSameRootWhateverHappened) {
  for (bool inline_values : {true, false}) {
    Rows rows = SomeRows(4, 500);
    PatriciaRig plain;
    ASSERT_NO_FATAL_FAILURE(plain.Begin(PatriciaTable(inline_values)));
    ASSERT_TRUE(plain.PutRows("t", rows));
    ASSERT_TRUE(plain.Save());
    tree::Root expected = plain.RootNow();
    EXPECT_EQ(expected.rows, rows.size());
    plain.ExpectRows("written at once");
    for (uint64_t seed : {1u, 2u, 3u}) {
      PatriciaRig rig;
      if (seed == 2)
        rig.options.placement = {.segment_bytes = 16'384, .garbage_slack_bytes = 0, .segments_slack = 4};
      ASSERT_NO_FATAL_FAILURE(rig.Begin(PatriciaTable(inline_values)));
      ASSERT_EQ(rig.Table("t"), plain.Table("t"));
      ASSERT_NO_FATAL_FAILURE(Wander(rig, rows, seed));
      EXPECT_EQ(rig.RootNow().ref.address, expected.ref.address) << seed;
      EXPECT_EQ(rig.RootNow().digest, expected.digest) << seed;
      rig.ExpectRows("after wandering");
      rig.ExpectClean("after wandering");
      ASSERT_TRUE(rig.Close());
      rig.ExpectClean("closed");
      host::MemoryStorage copy;
      auto restored = RestoreStore(*rig.disk, copy, AsBytes(kPassphrase), {});
      ASSERT_TRUE(restored) << CodeName(restored.code());
      EXPECT_FALSE(restored->verdict) << Show(restored->findings);
      ASSERT_TRUE(rig.Open());
      EXPECT_EQ(rig.RootNow().digest, expected.digest);
      rig.ExpectRows("opened again");
    }
  }
}

TEST(PatriciaTable, OtherRowsAnotherTableOrAnotherStoreHaveAnotherDigest) {
  std::set<Digest> digests;
  Rows rows = SomeRows(4, 60);
  for (int i = 0; i < 4; ++i) {
    PatriciaRig rig;
    rig.random = crypto::SeededRandom(i == 3 ? 2 : 1);  // another store
    ASSERT_NO_FATAL_FAILURE(rig.Begin(PatriciaTable()));
    ASSERT_TRUE(rig.CreateTable("u", PatriciaTable()));
    Rows mine = rows;
    if (i == 1) mine.begin()->second += "x";
    ASSERT_TRUE(rig.PutRows(i == 2 ? "u" : "t", mine));
    ASSERT_TRUE(rig.Save());
    digests.insert(rig.s->state->CurrentView().RootOf(rig.Table(i == 2 ? "u" : "t")).digest);
  }
  EXPECT_EQ(digests.size(), 4u);
}

TEST(PatriciaTable, CleaningMovesItsNodesAndKeepsRootAndBirths) {
  PatriciaRig rig;
  rig.options.placement = {.segment_bytes = 8192, .garbage_slack_bytes = 0, .segments_slack = 2};
  ASSERT_NO_FATAL_FAILURE(rig.Begin(PatriciaTable()));
  crypto::SeededRandom random(9);
  for (int i = 0; i < 25; ++i) {
    Rows some;
    for (int k = 0; k < 40; ++k)
      some["k" + std::to_string(random.Below(900))] =
          TestValue(random, random.Below(30) == 0 ? 100'000 : random.Below(250));
    ASSERT_TRUE(rig.PutRows("t", some));
    ASSERT_TRUE(rig.Save());
    rig.ExpectClean("save " + std::to_string(i));
  }
  rig.ExpectRows("in the end");
  uint64_t stored = 0;
  for (const auto& [name, bytes] : ImageOf(*rig.disk))
    stored += name.starts_with("segments/") ? bytes.size() : 0;
  uint64_t rows = 0;
  for (const auto& [k, v] : rig.oracle["t"]) rows += k.size() + v.size();
  EXPECT_LT(stored, 5 * rows) << "what died is cleaned away";
}

TEST(PatriciaTable, TheDeepestTableIsSavedCleanedVerifiedAndRead) {
  // Each key is a prefix of the next, so the way to the last row goes through a node for every byte.
  PatriciaRig rig;
  rig.options.placement = {.segment_bytes = 100'000, .garbage_slack_bytes = 0, .segments_slack = 2};
  ASSERT_NO_FATAL_FAILURE(rig.Begin(PatriciaTable(true, 4)));
  Rows all;
  for (size_t n = 1; n <= limits::kKeyBytesMax; ++n) all[std::string(n, 'k')] = std::to_string(n);
  ASSERT_TRUE(rig.PutRows("t", all));
  ASSERT_TRUE(rig.Save());
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(rig.PutRows("t", {{std::string(1000 + static_cast<size_t>(i), 'k'), "changed"}}));
    ASSERT_TRUE(rig.Save());
  }
  rig.ExpectClean("saved");
  ASSERT_TRUE(rig.Close());
  ASSERT_TRUE(rig.Open());
  rig.ExpectRows("opened again");
}

TEST(PatriciaTable, TagsKeepItAndGoInAnyOrder) {
  PatriciaRig rig;
  rig.options.placement = {.segment_bytes = 16'384, .garbage_slack_bytes = 0, .segments_slack = 2};
  ASSERT_NO_FATAL_FAILURE(rig.Begin(PatriciaTable()));
  crypto::SeededRandom random(3);
  for (int i = 0; i < 12; ++i) {
    kernel::Batch batch;
    for (int k = 0; k < 30; ++k) {
      std::string key = "k" + std::to_string(random.Below(300));
      if (random.Below(3) == 0) {
        batch.operations.push_back(Rig::Del(rig.Table("t"), key));
      } else {
        size_t size = random.Below(20) == 0 ? random.Below(150'000) : random.Below(250);
        batch.operations.push_back(Rig::Put(rig.Table("t"), key, TestValue(random, size)));
      }
    }
    ASSERT_TRUE(rig.Apply(batch));
    if (i % 2 == 0) {
      ASSERT_TRUE(rig.CreateTag("tag" + std::to_string(i)));
    } else {
      ASSERT_TRUE(rig.Save());
    }
    if (i == 7) {
      ASSERT_TRUE(rig.DropTag("tag4"));
    }
    if (i == 9) {
      ASSERT_TRUE(rig.DropTag("tag0"));
    }
    rig.ExpectTags("round " + std::to_string(i));
    rig.ExpectClean("round " + std::to_string(i));
  }
  for (int i : {10, 2, 8, 6}) {
    ASSERT_TRUE(rig.DropTag("tag" + std::to_string(i)));
    rig.ExpectClean("dropped " + std::to_string(i));
  }
  rig.ExpectRows("in the end");
}

TEST(PatriciaTable, VerifySeesAPublicDigestThatIsNotThatOfItsRows) {
  PatriciaRig rig;
  ASSERT_NO_FATAL_FAILURE(rig.Begin(PatriciaTable()));
  ASSERT_TRUE(rig.PutRows("t", SomeRows(8, 300)));
  ASSERT_TRUE(rig.PutRows("t", {{"large", std::string(200'000, 'x')}, {"half", std::string(70'000, 'y')}}));
  ASSERT_TRUE(rig.Save());
  VersionPtr version = rig.s->state->CurrentView().base;
  Table table = version->manifest.root.tables.at(rig.Table("t"));
  VersionNodes nodes(*rig.disk, version, rig.cache);
  struct Seen {
    size_t nodes = 0, wrong = 0;
  };
  auto check = [&](const Table& t, const seal::DomainKeys& keys, ByteView instead_of_first_chunk) {
    Seen seen;
    PublicDigests digests(t, keys);
    tree::Walk walk(t.root);
    for (;;) {
      auto visit = Drive(nodes, [&] { return walk.Next(nodes); });
      EXPECT_TRUE(visit);
      if (!visit || !*visit) return seen;
      tree::NodePtr node = (*visit)->node;
      if (node->type() == tree::NodeType::kChunk && !instead_of_first_chunk.empty()) {
        tree::EncodedNode other = tree::EncodeChunk(instead_of_first_chunk);
        node = tree::Node::Decode(other.canonical, other.hints).value();
        instead_of_first_chunk = {};
      }
      ++seen.nodes;
      if (!digests.Holds((*visit)->ref, *node)) ++seen.wrong;
    }
  };
  const seal::DomainKeys& keys = version->keys.at(table.id);
  Seen honest = check(table, keys, {});
  EXPECT_GT(honest.nodes, 30u);
  EXPECT_EQ(honest.wrong, 0u);
  Bytes other_chunk(64u << 10, 'z');
  EXPECT_EQ(check(table, keys, other_chunk).wrong, 1u);
  table.root.digest[5] ^= 1;
  EXPECT_EQ(check(table, keys, {}).wrong, 1u);
  table.root.digest[5] ^= 1;
  seal::DomainKeys strange = version->keys.at(kHeadsTable).Clone();
  EXPECT_GT(check(table, strange, {}).wrong, 10u) << "salts of another table";
}

}  // namespace
}  // namespace holdfast::store
