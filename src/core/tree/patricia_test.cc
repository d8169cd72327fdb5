#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/codec.h"
#include "core/tree/patricia_read.h"
#include "core/tree/patricia_table_internal.h"

namespace holdfast::tree::patricia {
namespace {

// ---- The digest once more, from the text of docs/format.md, over strings of '0' and '1'.

std::string BitText(const std::string& key) {
  std::string bits;
  for (char c : key) {
    bits += '1';
    for (int i = 7; i >= 0; --i) bits += static_cast<uint8_t>(c) >> i & 1 ? '1' : '0';
  }
  return bits + '0';
}

Bytes BytesOf(const std::string& bits) {
  Bytes out;
  for (size_t at = 0; at < bits.size() && bits[at] == '1'; at += 9) {
    uint8_t b = 0;
    for (size_t i = 1; i < 9 && at + i < bits.size(); ++i)
      b = static_cast<uint8_t>(b | (bits[at + i] - '0') << (8 - i));
    out.push_back(b);
  }
  return out;
}

Digest PlainDigest(const std::vector<std::pair<std::string, Digest>>& rows, size_t from, size_t to) {
  if (to - from == 1) return rows[from].second;
  const std::string &first = rows[from].first, &last = rows[to - 1].first;
  size_t bit = 0;
  while (first[bit] == last[bit]) ++bit;
  size_t middle = from;
  while (rows[middle].first[bit] == '0') ++middle;
  Bytes text = ToBytes("holdfast branch");
  Writer w(text);
  w.U8(0).U16(static_cast<uint16_t>(bit)).Blob16(BytesOf(first.substr(0, bit)));
  w.Raw(PlainDigest(rows, from, middle)).Raw(PlainDigest(rows, middle, to));
  return crypto::Sha256(text);
}

Digest PlainDigest(const Oracle& rows, ByteView key) {
  std::vector<std::pair<std::string, Digest>> ends;
  for (const auto& [k, v] : rows) {
    Bytes salted = ToBytes("row"), hidden = ToBytes("holdfast value"), row = ToBytes("holdfast row");
    Digest value = crypto::Sha256(AsBytes(v));
    Writer(salted).Blob16(AsBytes(k)).Raw(value);
    Writer(hidden).U8(0).Raw(crypto::HmacSha256(key, {salted})).Raw(value);
    Writer(row).U8(0).Blob16(AsBytes(k)).Raw(crypto::Sha256(hidden));
    ends.emplace_back(BitText(k), crypto::Sha256(row));
  }
  return ends.empty() ? Digest{} : PlainDigest(ends, 0, ends.size());
}

// ---- The shape, as the page says it.

void CheckShape(PatriciaTable& table, const Oracle& oracle) {
  ASSERT_EQ(table.root.empty, oracle.empty());
  ASSERT_EQ(table.root.rows, oracle.size());
  EXPECT_EQ(table.root.digest, PlainDigest(oracle, AsBytes("a key of the table")));
  std::set<uint32_t> reached;
  std::map<uint32_t, Digest> said;  // by its parent
  if (!table.root.empty) said[table.root.ref.hint.segment] = table.root.digest;
  Walk walk(table.root);
  size_t rows = 0;
  for (;;) {
    auto step = Finish(table.nodes, [&] { return walk.Next(table.nodes); });
    ASSERT_TRUE(step.done());
    if (!step.value()) break;
    const Node& n = *step.value()->node;
    uint32_t place = step.value()->ref.hint.segment;
    EXPECT_TRUE(reached.insert(place).second);
    if (!IsNode(n)) continue;
    if (IsLeaf(n)) {
      rows += n.count();
      EXPECT_LE(n.count(), table.descriptor.leaf_rows_max);
      EXPECT_EQ(Ends::OfLeaf(n, table.blinding).All(), said[place]);
    } else {
      EXPECT_GT(n.total_rows(), table.descriptor.leaf_rows_max);
      EXPECT_EQ(Ends(Inner(n)).All(), said[place]);
      for (size_t i = 0; i < n.count(); ++i) said[n.child(i).hint.segment] = Inner(n).digest(i);
    }
  }
  EXPECT_EQ(rows, oracle.size());
  EXPECT_EQ(reached, table.nodes.live) << "what is live is what is reached";
  EXPECT_EQ(table.nodes.dead_twice, 0u);
}

List RandomAwkward(crypto::SeededRandom& random, size_t n, unsigned erase_percent, size_t large_max) {
  List list;
  for (size_t i = 0; i < n; ++i) {
    std::string key = AwkwardKey(random);
    bool erase = random.Below(100) < erase_percent;
    list[key] = erase ? std::nullopt : std::optional<std::string>(RandomValue(random, large_max));
  }
  return list;
}

TEST(PatriciaKey, BitsSortAsKeysDoAndNoneBeginsAnother) {
  crypto::SeededRandom random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string a = AwkwardKey(random), b = AwkwardKey(random);
    std::string x = BitText(a), y = BitText(b);
    EXPECT_EQ(x < y, a < b);
    uint16_t d = FirstDifference(AsBytes(a), AsBytes(b));
    if (a == b) {
      EXPECT_EQ(d, 0xFFFF);
      continue;
    }
    ASSERT_LT(d, std::min(x.size(), y.size()));
    EXPECT_EQ(d, std::mismatch(x.begin(), x.end(), y.begin()).first - x.begin());
    EXPECT_EQ(BitAt(AsBytes(a), d), x[d] == '1');
    uint16_t some = static_cast<uint16_t>(random.Below(x.size() + 1));
    Prefix p = FirstBits(AsBytes(a), some);
    EXPECT_EQ(p.bytes, BytesOf(x.substr(0, some)));
    Side side = y.compare(0, some, x, 0, some) == 0     ? Side::kInside
                : y.substr(0, some) < x.substr(0, some) ? Side::kBefore
                                                        : Side::kBehind;
    EXPECT_EQ(SideOf(AsBytes(b), p), side);
  }
}

TEST(PatriciaFold, AnyHistoryEndsInTheSameRoot) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    crypto::SeededRandom random(seed);
    uint16_t leaf = static_cast<uint16_t>(seed % 3 == 0 ? 4 : seed % 3 == 1 ? 16 : 32);
    PatriciaTable table(leaf, seed % 4 != 0);
    table.nodes.forgetful = seed % 2 == 0;
    Oracle oracle;
    for (int round = 0; round < 30; ++round) {
      unsigned erase = round % 10 == 9 ? 90 : 30;
      List list = RandomAwkward(random, 1 + random.Below(round % 5 == 0 ? 200 : 12), erase,
                                round % 7 == 0 ? 200'000 : 400);
      ApplyTo(oracle, list);
      ASSERT_EQ(table.Apply(list), holdfast::Code{});
      if (random.Below(4) == 0) table.nodes.Collect();
      ASSERT_NO_FATAL_FAILURE(CheckShape(table, oracle));
      if (round % 6 != 5) continue;
      // Others that come to the same rows: at once, and one by one from both ends and the middle.
      PatriciaTable loaded(leaf, seed % 4 != 0);
      ASSERT_EQ(loaded.Load(oracle), holdfast::Code{});
      EXPECT_EQ(loaded.root.ref.address, table.root.ref.address);
      EXPECT_EQ(loaded.root.digest, table.root.digest);
      EXPECT_EQ(Contents(table.root, table.nodes), oracle);
    }
  }
}

TEST(PatriciaFold, OrderOfSingleWritesDoesNotMatter) {
  crypto::SeededRandom random(77);
  Oracle rows;
  while (rows.size() < 150) rows[AwkwardKey(random)] = RandomValue(random, 300);
  std::vector<std::string> keys;
  for (const auto& [k, v] : rows) keys.push_back(k);
  PatriciaTable loaded;
  ASSERT_EQ(loaded.Load(rows), holdfast::Code{});
  for (int order = 0; order < 4; ++order) {
    if (order == 1) std::reverse(keys.begin(), keys.end());
    for (size_t i = keys.size(); order > 1 && i > 1; --i) std::swap(keys[i - 1], keys[random.Below(i)]);
    PatriciaTable table;
    for (size_t i = 0; i < keys.size(); ++i) {
      ASSERT_EQ(table.Apply({{keys[i], rows[keys[i]]}, {"passing" + std::to_string(i % 7), "by"}}),
                holdfast::Code{});
    }
    for (int i = 0; i < 7; ++i)
      ASSERT_EQ(table.Apply({{"passing" + std::to_string(i), std::nullopt}}), holdfast::Code{});
    EXPECT_EQ(table.root.ref.address, loaded.root.ref.address);
    EXPECT_EQ(table.root.digest, loaded.root.digest);
  }
}

TEST(PatriciaFold, WhatChangesNothingWritesNothing) {
  crypto::SeededRandom random(5);
  PatriciaTable table(16, false);
  Oracle rows;
  while (rows.size() < 800) rows[AwkwardKey(random)] = RandomValue(random, 300);
  ASSERT_EQ(table.Load(rows), holdfast::Code{});
  Root before = table.root;
  size_t emitted = table.nodes.emitted;
  List nothing;
  for (const auto& [k, v] : rows) {
    if (random.Below(3) == 0) nothing[k] = v;
    if (random.Below(3) == 0 && rows.count(k + "x") == 0) nothing[k + "x"] = std::nullopt;
  }
  ASSERT_EQ(table.Apply(nothing), holdfast::Code{});
  EXPECT_EQ(table.nodes.emitted, emitted);
  EXPECT_EQ(table.root.ref.hint, before.ref.hint);
  EXPECT_EQ(table.root.ref.birth, before.ref.birth);
  EXPECT_EQ(table.root.digest, before.digest);
  ASSERT_NO_FATAL_FAILURE(CheckShape(table, rows));
}

TEST(PatriciaFold, OneChangeWritesOnlyItsPath) {
  PatriciaTable table;
  Oracle rows;
  for (uint64_t i = 0; i < 20'000; ++i) {
    Digest d = crypto::Sha256(AsBytes(Numbered(i)));
    rows[ToText(ByteView(d).first(16))] = "v";
  }
  ASSERT_EQ(table.Load(rows), holdfast::Code{});
  size_t leaves = 0;
  for (const auto& place : table.nodes.live) (void)place, ++leaves;
  EXPECT_LT(leaves, rows.size() / 4);
  size_t emitted = table.nodes.emitted, needs = table.nodes.needs;
  table.nodes.forgetful = true;
  ASSERT_EQ(table.Apply({{rows.begin()->first, "w"}, {"new", "x"}}), holdfast::Code{});
  EXPECT_LE(table.nodes.emitted - emitted, 12u);
  EXPECT_LE(table.nodes.needs - needs, 14u);
}

TEST(PatriciaFold, EmptiedItIsTheEmptyTree) {
  PatriciaTable table;
  ASSERT_EQ(table.Apply({{"a", "1"}, {"ab", std::string(100'000, 'x')}}), holdfast::Code{});
  ASSERT_EQ(table.Apply({{"a", std::nullopt}, {"ab", std::nullopt}}), holdfast::Code{});
  EXPECT_TRUE(table.root.empty);
  EXPECT_EQ(table.root.rows, 0u);
  EXPECT_EQ(table.root.digest, Digest{});
  EXPECT_TRUE(table.nodes.live.empty());
  ASSERT_EQ(table.Apply({{"zz", std::nullopt}}), holdfast::Code{});
  EXPECT_TRUE(table.root.empty);
}

TEST(PatriciaFold, BirthsTravelOutsideTheAddress) {
  PatriciaTable early, late;
  late.index = 1000;
  List rows;
  for (uint64_t i = 0; i < 300; ++i) rows[Numbered(i)] = std::string(i % 3 == 0 ? 1000 : 5, 'x');
  ASSERT_EQ(early.Apply(rows), holdfast::Code{});
  ASSERT_EQ(late.Apply(rows), holdfast::Code{});
  EXPECT_EQ(early.root.ref.address, late.root.ref.address);
  ASSERT_EQ(late.Apply({{Numbered(7), "changed"}}), holdfast::Code{});
  std::set<uint64_t> births;
  Walk walk(late.root);
  for (;;) {
    auto step = Finish(late.nodes, [&] { return walk.Next(late.nodes); });
    ASSERT_TRUE(step.done());
    if (!step.value()) break;
    births.insert(step.value()->ref.birth.value);
  }
  EXPECT_EQ(births, (std::set<uint64_t>{1001, 1002}));
}

TEST(PatriciaFold, TheDeepestTreeIsFoldedReadAndWalked) {
  // Every key is a prefix of the next: a branch for each byte of the longest.
  PatriciaTable table(4);
  Oracle rows;
  for (size_t n = 1; n <= limits::kKeyBytesMax; ++n) rows[std::string(n, 'k')] = std::to_string(n);
  ASSERT_EQ(table.Load(rows), holdfast::Code{});
  ASSERT_NO_FATAL_FAILURE(CheckShape(table, rows));
  for (size_t n : {1u, 511u, 1024u}) {
    auto found = Lookup(table.root, AsBytes(std::string(n, 'k')), table.nodes);
    ASSERT_TRUE(found.done() && found.value());
    EXPECT_EQ(ToText(found.value()->value.inline_bytes), std::to_string(n));
  }
  List list;
  for (size_t n = 2; n <= limits::kKeyBytesMax; n += 2) list[std::string(n, 'k')] = std::nullopt;
  ApplyTo(rows, list);
  ASSERT_EQ(table.Apply(list), holdfast::Code{});
  ASSERT_NO_FATAL_FAILURE(CheckShape(table, rows));
}

// Counts what was given and not yet written, in leaves of two rows.
class Watched : public ListChanges {
 public:
  Watched(const List& list, const MemoryNodes& nodes) : ListChanges(list), nodes_(nodes) {}
  std::optional<Change> Next() override {
    waiting = std::max(waiting, given_ - std::min(given_, 2 * nodes_.emitted));
    ++given_;
    return ListChanges::Next();
  }
  size_t waiting = 0;

 private:
  const MemoryNodes& nodes_;
  size_t given_ = 0;
};

TEST(PatriciaFold, RowsThatWaitForTheirLeafAreFew) {
  // A spine with a small leaf at each of its branches: they must be written as the spine grows.
  PatriciaTable table(16);
  List list;
  for (size_t n = 1; n <= 1000; ++n) {
    for (char end : {'A', 'B'}) list[std::string(n, 'k') + end] = "v";
  }
  Watched changes(list, table.nodes);
  Fold fold(table.descriptor, table.root, LogIndex(1), changes, table.nodes, table.blinding);
  auto done = Finish(table.nodes, [&] { return fold.Run(table.nodes); });
  ASSERT_TRUE(done.done());
  EXPECT_EQ(done.value().rows, 2000u);
  EXPECT_LE(changes.waiting, 3u * 16 + 4);
}

TEST(PatriciaFold, ATreeWhosePartsDoNotFitIsRefused) {
  PatriciaTable table;
  Oracle rows;
  for (uint64_t i = 0; i < 3000; ++i) rows[Numbered(i * 977)] = "v";
  ASSERT_EQ(table.Load(rows), holdfast::Code{});
  auto root = table.nodes.Find(table.root.ref);
  ASSERT_TRUE(root && IsInner(*root));
  NodeRef first = root->child(0), second = root->child(1);
  NodePtr other = table.nodes.Find(second);
  table.nodes.Forge(first.hint.segment, first.address,
                    {ToBytes(other->canonical()), [&] { return EncodeTail(*other, other->References()); }()});
  EXPECT_EQ(table.Apply({{rows.begin()->first, "changed"}}), holdfast::Code::kMalformed);
}

// ---- Reading

TEST(PatriciaRead, LookupsAndCursorsAgreeWithTheOracle) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    crypto::SeededRandom random(seed);
    PatriciaTable table(seed % 2 == 0 ? 4 : 16);
    Oracle oracle;
    for (int round = 0; round < 4; ++round) {
      List list = RandomAwkward(random, 150, 20, 300);
      ApplyTo(oracle, list);
      ASSERT_EQ(table.Apply(list), holdfast::Code{});
    }
    table.nodes.forgetful = true;
    Keeping keeping(table.nodes);
    for (int i = 0; i < 400; ++i) {
      std::string k = AwkwardKey(random);
      keeping.Forget();
      auto found = Finish(table.nodes, [&] { return Lookup(table.root, AsBytes(k), keeping); });
      ASSERT_TRUE(found.done());
      ASSERT_EQ(found.value().has_value(), oracle.count(k) == 1) << i;

      Cursor cursor(table.root);
      auto at = oracle.lower_bound(k);
      auto sought = Finish(table.nodes, [&] { return cursor.SeekTo(AsBytes(k), keeping); });
      ASSERT_TRUE(sought.done());
      ASSERT_EQ(sought.value(), at != oracle.end());
      for (int step = 0; step < 12; ++step) {
        bool forward = step < 2 || random.Below(2) == 0;
        auto row = Finish(table.nodes, [&] { return forward ? cursor.Next(keeping) : cursor.Prev(keeping); });
        ASSERT_TRUE(row.done());
        if (forward ? at == oracle.end() : at == oracle.begin()) {
          ASSERT_FALSE(row.value());
          continue;
        }
        if (!forward) --at;
        ASSERT_TRUE(row.value());
        ASSERT_EQ(ToText(row.value()->key), at->first);
        if (forward) ++at;
      }
    }
    Cursor back(table.root);
    ASSERT_TRUE(Finish(table.nodes, [&] { return back.SeekToEnd(keeping); }).done());
    for (auto it = oracle.rbegin(); it != oracle.rend(); ++it) {
      auto row = Finish(table.nodes, [&] { return back.Prev(keeping); });
      ASSERT_TRUE(row.done() && row.value());
      ASSERT_EQ(ToText(row.value()->key), it->first);
    }
    auto end = Finish(table.nodes, [&] { return back.Prev(keeping); });
    ASSERT_TRUE(end.done() && !end.value());
  }
}

TEST(PatriciaDiff, SaysExactlyWhatDiffersAndReadsLittleElse) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    crypto::SeededRandom random(seed);
    PatriciaTable table(seed % 2 == 0 ? 4 : 16);
    Oracle before;
    List list = RandomAwkward(random, seed == 8 ? 0 : 500, 0, 300);
    ApplyTo(before, list);
    ASSERT_EQ(table.Apply(list), holdfast::Code{});
    Root was = table.root;
    Oracle after = before;
    for (int i = 0; i < 3; ++i) {
      list = RandomAwkward(random, 1 + random.Below(seed % 3 == 0 ? 200 : 5), seed == 7 ? 95 : 40, 100'000);
      ApplyTo(after, list);
      ASSERT_EQ(table.Apply(list), holdfast::Code{});
    }
    std::map<std::string, std::pair<bool, bool>> expected, seen;
    for (const auto& [k, v] : before) {
      if (!after.count(k) || after[k] != v) expected[k] = {true, after.count(k) == 1};
    }
    for (const auto& [k, v] : after) {
      if (!before.count(k)) expected[k] = {false, true};
    }
    Keeping keeping(table.nodes);
    tree::Diff diff(was, table.root);
    std::string last;
    for (;;) {
      auto step = Finish(table.nodes, [&] { return diff.Next(keeping); });
      ASSERT_TRUE(step.done());
      if (!step.value()) break;
      std::string key = ToText(step.value()->key);
      EXPECT_LT(last, key);
      last = key;
      seen[key] = {step.value()->before.has_value(), step.value()->after.has_value()};
    }
    EXPECT_EQ(seen, expected);
  }
}

TEST(PatriciaRead, AForgedPathIsRefusedAndEnds) {
  PatriciaTable table;
  Oracle rows;
  for (uint64_t i = 0; i < 2000; ++i) rows[Numbered(i * 7919)] = "v";
  ASSERT_EQ(table.Load(rows), holdfast::Code{});
  NodePtr root = table.nodes.Find(table.root.ref);
  // The root below itself.
  auto forge = [&](size_t place) {
    std::vector<Child> children;
    for (size_t i = 0; i < root->count(); ++i) {
      NodeRef ref = i == place ? table.root.ref : root->child(i);
      children.push_back({i == 0 ? Parting{0} : Inner(*root).code(i), ref,
                          i == place ? root->total_rows() : root->rows(i), Inner(*root).digest(i)});
    }
    table.nodes.Forge(table.root.ref.hint.segment, table.root.ref.address,
                      EncodeInner(Inner(*root).digit(), Inner(*root).prefix(), children));
  };
  forge(root->count() - 1);  // where a cursor comes by turning
  Cursor turning(table.root);
  for (size_t i = 0;; ++i) {
    ASSERT_LE(i, rows.size());
    auto row = turning.Next(table.nodes);
    if (row.failed()) break;
    ASSERT_TRUE(row.done() && row.value());
  }
  forge(0);
  auto found = Lookup(table.root, AsBytes(rows.begin()->first), table.nodes);
  EXPECT_TRUE(found.failed());
  Cursor cursor(table.root);
  EXPECT_TRUE(cursor.Next(table.nodes).failed());
  Walk walk(table.root);
  ASSERT_TRUE(walk.Next(table.nodes).done());
  EXPECT_TRUE(walk.Next(table.nodes).failed());
}

// ---- Nodes

NodeRef Ref(uint8_t seed) {
  NodeRef r;
  r.address[0] = 1;
  r.address[32] = seed;
  r.birth = LogIndex(seed * 100u);
  r.hint = {seed, seed * 2u, seed * 3u};
  return r;
}

bool Decodes(const EncodedNode& e) { return Node::Decode(e.canonical, e.hints).has_value(); }

EncodedNode Partings(uint16_t digit, std::string_view prefix, const std::vector<Parting>& codes) {
  std::vector<Child> children{{0, Ref(1), 1, {}}};
  for (Parting c : codes) children.push_back({c, Ref(2), 2, {}});
  return EncodeInner(digit, AsBytes(prefix), children);
}

TEST(PatriciaNode, GivesBackWhatWasPutIn) {
  Row plain, blob;
  plain.key = ToBytes("a");
  plain.inline_value = ToBytes("value");
  blob.key = ToBytes("ab");
  blob.is_blob = true;
  blob.length = 100'000;
  blob.sha256.fill(9);
  blob.blob = Ref(4);
  EncodedNode e = EncodeLeaf({plain, blob});
  auto leaf = Node::Decode(e.canonical, e.hints);
  ASSERT_TRUE(leaf.has_value());
  EXPECT_EQ(ToText((*leaf)->value(0).inline_bytes), "value");
  EXPECT_EQ((*leaf)->value(1).blob.address, Ref(4).address);
  EXPECT_EQ((*leaf)->value(1).blob.birth, LogIndex(400));
  EXPECT_EQ((*leaf)->value(1).blob.hint, Ref(4).hint);
  EXPECT_EQ(ValueSha256(**leaf, 1), blob.sha256);
  EXPECT_EQ((*leaf)->LowerBound(AsBytes("aa")), 1u);
  EXPECT_EQ(EncodeTail(**leaf, (*leaf)->References()), e.hints);

  Digest d;
  d.fill(7);
  e = EncodeInner(3, AsBytes("xP"), {{0, Ref(1), 3, {}}, {0b10, Ref(2), 40, d}, {0b1, Ref(3), 5, {}}});
  auto inner = Node::Decode(e.canonical, e.hints);
  ASSERT_TRUE(inner.has_value());
  Inner view(**inner);
  EXPECT_EQ((*inner)->total_rows(), 48u);
  EXPECT_EQ((*inner)->rows(1), 40u);
  EXPECT_EQ((*inner)->child(2).birth, LogIndex(300));
  EXPECT_EQ(view.digest(1), d);
  EXPECT_EQ(view.bit(1), 15);
  EXPECT_EQ(view.known(1).bits, 16);
  EXPECT_EQ(ToText(view.known(1).bytes), "xT");
  EXPECT_EQ(view.ChildFor(AsBytes("xQ")), 0u);
  EXPECT_EQ(view.ChildFor(AsBytes("xV")), 1u);
  EXPECT_EQ(view.ChildFor(AsBytes("xX")), 2u);
}

TEST(PatriciaNode, WhatBreaksARuleIsRefused) {
  EXPECT_TRUE(Decodes(Partings(2, "x", {0b1})));           // "x" itself, and longer keys
  EXPECT_TRUE(Decodes(Partings(2, "x", {0b11})));          // by the upper nibble
  EXPECT_TRUE(Decodes(Partings(2, "x", {0b1, 0b11})));     //
  EXPECT_TRUE(Decodes(Partings(3, "xP", {0b100, 0b10})));  //
  EXPECT_TRUE(Decodes(Partings(3, "xP", {0b10, 0b1})));    //
  EXPECT_FALSE(Decodes(Partings(2, "x", {})));             // one child
  EXPECT_FALSE(Decodes(Partings(2, "x", {0})));            // no branch
  EXPECT_FALSE(Decodes(Partings(2, "x", {0b10})));         // below the end of a key
  EXPECT_FALSE(Decodes(Partings(2, "x", {0b1, 0b1})));     // a branch twice
  EXPECT_FALSE(Decodes(Partings(3, "xP", {0b1, 0b10})));   // to the right of its right side
  EXPECT_FALSE(Decodes(Partings(3, "xP", {0b10, 0b11})));  // neither above nor below
  EXPECT_FALSE(Decodes(Partings(3, "xP", {0b10000})));     // in the next digit
  EXPECT_FALSE(Decodes(Partings(2, "x", {0b100000})));     //
  EXPECT_FALSE(Decodes(Partings(2, "xy", {0b1})));         // prefix of another length
  EXPECT_FALSE(Decodes(Partings(3, "xQ", {0b1})));         // which says more than it may
  EXPECT_FALSE(Decodes(Partings(0, "", {0b1})));           // an empty key
  EXPECT_TRUE(Decodes(Partings(2047, std::string(1024, '\0'), {0b1})));
  EXPECT_FALSE(Decodes(Partings(2048, std::string(1024, '\0'), {0b1})));
  EncodedNode two = Partings(2, "x", {0b1});
  two.canonical[4 + 2 + 2 + 1 + 1 + 33] = 2;  // two rows with the key that ends
  EXPECT_FALSE(Decodes(two));
  EncodedNode none = Partings(2, "x", {0b11});
  none.canonical[4 + 2 + 2 + 1 + 1 + 33] = 0;
  EXPECT_FALSE(Decodes(none));
  for (size_t n : {1u, 12u, 24u, 40u}) {  // a tail that is too short or too long
    EncodedNode e = Partings(2, "x", {0b1});
    e.hints.resize(n == 40 ? 56 : n);
    EXPECT_FALSE(Decodes(e)) << n;
  }
  Row a, b;
  a.key = ToBytes("a");
  b.key = ToBytes("b");
  EXPECT_TRUE(Decodes(EncodeLeaf({a, b})));
  EXPECT_FALSE(Decodes(EncodeLeaf({b, a})));
  EXPECT_FALSE(Decodes(EncodeLeaf({a, a})));
  EXPECT_FALSE(Decodes(EncodeLeaf({})));
  EXPECT_FALSE(Decodes(EncodeLeaf({Row()})));
  a.inline_value.resize(limits::kInlineValueBytesMax + 1);
  EXPECT_FALSE(Decodes(EncodeLeaf({a})));
  a.is_blob = true;
  a.length = limits::kValueBytesMax + 1;
  a.blob = Ref(1);
  EXPECT_FALSE(Decodes(EncodeLeaf({a})));
  std::vector<Row> many(kLeafRowsMax + 1);
  for (size_t i = 0; i < many.size(); ++i) many[i].key = {static_cast<uint8_t>(i)};
  EXPECT_FALSE(Decodes(EncodeLeaf(many)));
}

TEST(PatriciaNode, EveryTruncationIsRefused) {
  EncodedNode e = Partings(3, "xP", {0b100, 0b10});
  for (size_t n = 0; n < e.canonical.size(); ++n)
    EXPECT_FALSE(Node::Decode(ByteView(e.canonical).first(n), e.hints).has_value());
}

}  // namespace
}  // namespace holdfast::tree::patricia
