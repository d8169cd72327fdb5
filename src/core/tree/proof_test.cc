#include "core/tree/proof.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "core/tree/patricia_prove.h"
#include "core/tree/patricia_table_internal.h"

namespace holdfast::tree {
namespace {

using patricia::AwkwardKey;
using patricia::PatriciaTable;

StoreId Store(uint8_t n) {
  StoreId id;
  id.bytes[0] = n;
  return id;
}
TableId TableOf(uint8_t n) {
  TableId id;
  id.bytes[3] = n;
  return id;
}

Proof Prove(PatriciaTable& table, std::string_view key, uint8_t store = 1, uint8_t id = 2) {
  patricia::Prover prover(table.root, AsBytes(key), table.blinding);
  Keeping keeping(table.nodes);
  auto made = Finish(table.nodes, [&] { return prover.Run(keeping); });
  HF_CHECK(made.done());
  Proof p = std::move(made.value());
  p.store = Store(store);
  p.table = TableOf(id);
  p.index = LogIndex(99);
  p.root = patricia::TableDigest(p.store, p.table, p.rows, table.root.digest);
  return p;
}

// What a client makes of the bytes: the claim, if it holds for this root.
std::optional<Proof> Accepted(const Bytes& file, const Digest& root) {
  auto p = Proof::Decode(file);
  if (!p || !p->Check() || p->root != root) return std::nullopt;
  return *p;
}

struct Model {
  PatriciaTable table;
  Oracle rows;
  Digest root{};
  explicit Model(uint64_t seed, size_t n, uint16_t leaf = 16) : table(leaf, seed % 2 == 0) {
    crypto::SeededRandom random(seed);
    while (rows.size() < n) rows[AwkwardKey(random)] = RandomValue(random, 100'000);
    HF_CHECK(table.Load(rows) == Code{});
    table.nodes.forgetful = true;
    root = patricia::TableDigest(Store(1), TableOf(2), rows.size(), table.root.digest);
  }
};

TEST(Proof, EveryRowIsShownAndEveryAbsentKeyExcluded) {
  crypto::SeededRandom random(1);
  for (size_t n : {0u, 1u, 2u, 15u, 16u, 17u, 60u, 400u}) {
    Model m(n + 1, n, n % 3 == 0 ? 4 : 16);
    for (const auto& [k, v] : m.rows) {
      auto p = Accepted(Prove(m.table, k).Encode(), m.root);
      ASSERT_TRUE(p);
      ASSERT_TRUE(p->included());
      EXPECT_EQ(ToText(p->key), k);
      EXPECT_EQ(ToText(std::get<Proof::Included>(p->end).value), v);
    }
    std::set<std::string> absent;
    for (int i = 0; i < 300; ++i) absent.insert(AwkwardKey(random));
    for (const auto& [k, v] : m.rows) {  // just beside what is there
      absent.insert(k + '\0');
      if (k.size() > 1) absent.insert(k.substr(0, k.size() - 1));
      std::string other = k;
      other[random.Below(k.size())] ^= static_cast<char>(1u << random.Below(8));
      absent.insert(other);
    }
    for (const std::string& k : absent) {
      if (m.rows.count(k) == 1 || k.empty() || k.size() > limits::kKeyBytesMax) continue;
      auto p = Accepted(Prove(m.table, k).Encode(), m.root);
      ASSERT_TRUE(p);
      ASSERT_FALSE(p->included());
      EXPECT_EQ(ToText(p->key), k);
    }
  }
}

TEST(Proof, AllKindsOfEndsOccur) {
  Model none(0, 0), some(3, 300);
  EXPECT_TRUE(std::holds_alternative<Proof::Empty>(Prove(none.table, "k").end));
  bool row = false, branch = false;
  crypto::SeededRandom random(4);
  for (int i = 0; i < 200; ++i) {
    Proof p = Prove(some.table, AwkwardKey(random));
    row = row || std::holds_alternative<Proof::OtherRow>(p.end);
    branch = branch || std::holds_alternative<Proof::OtherBranch>(p.end);
  }
  EXPECT_TRUE(row && branch);
}

TEST(Proof, EveryFlippedBitIsRefused) {
  Model m(6, 200);
  std::string of_branch;
  crypto::SeededRandom random(8);
  while (of_branch.empty()) {
    std::string k = AwkwardKey(random);
    if (k.size() < 40 && std::holds_alternative<Proof::OtherBranch>(Prove(m.table, k).end)) of_branch = k;
  }
  std::string short_key;
  for (const auto& [k, v] : m.rows)
    if (v.size() < 20 && k.size() < 20 && k.size() > 2) short_key = k;
  for (const std::string& key : {short_key, short_key + "!", of_branch}) {
    Bytes file = Prove(m.table, key).Encode();
    ASSERT_TRUE(Accepted(file, m.root));
    ASSERT_LT(file.size(), 2000u);
    for (size_t bit = 0; bit < file.size() * 8; ++bit) {
      Bytes bent = file;
      bent[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      auto p = Proof::Decode(bent);
      EXPECT_TRUE(!p || !p->Check()) << "bit " << bit;
    }
    for (size_t n = 0; n < file.size(); ++n) EXPECT_FALSE(Proof::Decode(ByteView(file).first(n)).has_value());
    file.push_back(0);
    EXPECT_FALSE(Proof::Decode(file).has_value());
  }
}

// As above, by somebody who computes the sum at the end anew. The root holds all but the index; and what
// shows that one key is absent may show it of another.
TEST(Proof, AFlippedBitUnderANewSumProvesNothingThatIsNotSo) {
  Model m(6, 200);
  for (std::string key : {m.rows.begin()->first, std::string("not there")}) {
    Bytes file = Prove(m.table, key).Encode();
    for (size_t bit = 0; bit < (file.size() - 32) * 8; ++bit) {
      Bytes bent(file.begin(), file.end() - 32);
      bent[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
      Append(bent, crypto::Sha256(bent));
      auto p = Accepted(bent, m.root);
      if (!p) continue;
      if (p->index != LogIndex(99)) {
        EXPECT_EQ(ToText(p->key), key);
      } else {
        EXPECT_FALSE(p->included()) << "bit " << bit;
        EXPECT_EQ(m.rows.count(ToText(p->key)), 0u) << "bit " << bit;
      }
    }
  }
}

TEST(Proof, HoldsForNoOtherKeyRootTableOrStore) {
  Model m(10, 150), other(12, 150);
  crypto::SeededRandom random(2);
  for (const auto& [k, v] : m.rows) {
    Proof honest = Prove(m.table, k);
    auto refused = [&](auto&& change) {
      Proof p = honest;
      change(p);
      return !Accepted(p.Encode(), m.root);
    };
    EXPECT_TRUE(refused([](Proof& p) { p.table = TableOf(3); }));
    EXPECT_TRUE(refused([](Proof& p) { p.store = Store(9); }));
    EXPECT_TRUE(refused([](Proof& p) { ++p.rows; }));
    EXPECT_TRUE(refused([&](Proof& p) { p.root = other.root; }));
    EXPECT_TRUE(refused([&](Proof& p) { p.key.push_back('x'); }));
    EXPECT_TRUE(refused([&](Proof& p) { std::get<Proof::Included>(p.end).value.push_back('x'); }));
    EXPECT_TRUE(refused([&](Proof& p) { std::get<Proof::Included>(p.end).salt[0] ^= 1; }));
    EXPECT_TRUE(refused([&](Proof& p) { p.end = Proof::Empty{}; }));
    EXPECT_TRUE(refused([&](Proof& p) { p.path.clear(); }));
    EXPECT_TRUE(refused([&](Proof& p) { p.path.pop_back(); }));
    // The row as its own neighbour, to show that it is not there.
    EXPECT_TRUE(refused([&](Proof& p) {
      auto row = std::get<Proof::Included>(p.end);
      p.end = Proof::OtherRow{p.key, patricia::Commitment(row.salt, crypto::Sha256(row.value))};
    }));
    // Another row's way under this key, and the other way round.
    Proof elsewhere = Prove(m.table, m.rows.upper_bound(k) == m.rows.end() ? m.rows.begin()->first
                                                                           : m.rows.upper_bound(k)->first);
    EXPECT_TRUE(refused([&](Proof& p) { p.path = elsewhere.path; }));
    EXPECT_TRUE(refused([&](Proof& p) { p.end = elsewhere.end; }));
    // A row that is there, excluded by a row that is there too but elsewhere.
    EXPECT_TRUE(refused([&](Proof& p) {
      auto row = std::get<Proof::Included>(elsewhere.end);
      p.path = elsewhere.path;
      p.end = Proof::OtherRow{elsewhere.key, patricia::Commitment(row.salt, crypto::Sha256(row.value))};
    }));
    // A branch on its way shown as one that it parts from.
    for (size_t i = 0; i < honest.path.size(); ++i) {
      EXPECT_TRUE(refused([&](Proof& p) {
        patricia::Prefix prefix = patricia::FirstBits(p.key, p.path[i].bit);
        p.end = Proof::OtherBranch{prefix, p.path[i].other_side, p.path[i].other_side};
        p.path.resize(i);
      }));
    }
  }
}

TEST(Proof, TheSameRowHasAnotherRootAfterAnotherRowChanges) {
  Model m(14, 100);
  std::string key = m.rows.begin()->first, last = m.rows.rbegin()->first;
  Bytes before = Prove(m.table, key).Encode();
  ASSERT_EQ(m.table.Apply({{last, "changed"}}), Code{});
  Digest root = patricia::TableDigest(Store(1), TableOf(2), m.rows.size(), m.table.root.digest);
  EXPECT_TRUE(Accepted(before, m.root));
  EXPECT_FALSE(Accepted(before, root));
  EXPECT_TRUE(Accepted(Prove(m.table, key).Encode(), root));
}

// Written by tests/fuzz/make_seeds.py, from the text of docs/format.md.
TEST(Proof, OneOfAnotherImplementationHolds) {
  std::ifstream in(HF_SOURCE_DIR "/tests/fuzz/corpus/tree_proof_fuzz/whole_file", std::ios::binary);
  std::string file((std::istreambuf_iterator<char>(in)), {});
  ASSERT_GT(file.size(), 100u);
  auto p = Proof::Decode(AsBytes(file).subspan(1));
  ASSERT_TRUE(p.has_value());
  EXPECT_TRUE(p->Check());
  EXPECT_EQ(ToText(p->key), "user:12");
  EXPECT_EQ(ToText(std::get<Proof::Included>(p->end).value), "twelve");
  PatriciaTable table;
  ASSERT_EQ(
      table.Apply(
          {{"a", "1"}, {"ab", "22"}, {"b", ""}, {"user:1", "one"}, {"user:12", "twelve"}, {"user:2", "two"}}),
      Code{});
  EXPECT_EQ(patricia::TableDigest({}, {}, 6, table.root.digest), p->root);
}

TEST(Proof, IsSmallInALargeTable) {
  PatriciaTable table;
  Oracle rows;
  for (uint64_t i = 0; i < 100'000; ++i) {
    Digest d = crypto::Sha256(AsBytes(Numbered(i)));
    rows[ToText(ByteView(d).first(16))] = "value";
  }
  ASSERT_EQ(table.Load(rows), Code{});
  size_t sum = 0, n = 0;
  for (auto it = rows.begin(); n < 200; std::advance(it, 400), ++n)
    sum += Prove(table, it->first).Encode().size();
  EXPECT_LT(sum / n, 900u) << "about 34 bytes for each doubling of the table, and 230";
}

TEST(Proof, NothingOfAnotherRowCanBeGuessed) {
  // Two tables that differ in one value, under keys that differ: no digest of the one shows in the other.
  PatriciaTable a, b(16, true, "another key");
  List rows{{"k1", "yes"}, {"k2", "no"}, {"k3", "yes"}};
  ASSERT_EQ(a.Apply(rows), Code{});
  ASSERT_EQ(b.Apply(rows), Code{});
  std::set<Digest> seen;
  size_t n = 0;
  for (PatriciaTable* t : {&a, &b}) {
    for (const char* key : {"k1", "k2", "k3"}) {
      for (const Proof::Branch& branch : Prove(*t, key).path) seen.insert(branch.other_side), ++n;
    }
  }
  EXPECT_EQ(n, 10u);
  EXPECT_EQ(seen.size(), 8u) << "of either table: three rows and one branch";
  // Equal values of one table have different commitments too.
  auto end = [&](const char* key) { return std::get<Proof::Included>(Prove(a, key).end).salt; };
  EXPECT_NE(end("k1"), end("k3"));
}

}  // namespace
}  // namespace holdfast::tree
