#include "core/tree/node.h"

#include <gtest/gtest.h>

#include "base/codec.h"
#include "core/tree/descriptor.h"
#include "core/tree/memory_nodes_internal.h"
#include "crypto/random.h"

namespace holdfast::tree {
namespace {

NodeRef Ref(uint8_t seed) {
  NodeRef r;
  r.address[0] = 1;
  r.address[32] = seed;
  r.birth = LogIndex(seed * 100u);
  r.hint = {seed, seed * 2u, seed * 3u};
  return r;
}

StoredValue Inline(std::string_view s) {
  StoredValue v;
  v.inline_bytes = AsBytes(s);
  v.length = s.size();
  return v;
}
StoredValue Blob(uint64_t length, uint8_t seed) {
  StoredValue v;
  v.is_blob = true;
  v.length = length;
  v.blob = Ref(seed);
  return v;
}

Bytes Padded(Bytes tail) {
  while (tail.size() % 16 != 0) tail.push_back(0);
  return tail;
}

bool Decodes(const EncodedNode& e) { return Node::Decode(e.canonical, e.hints).has_value(); }

TEST(Node, LeafGivesBackItsRows) {
  EncodedNode e = EncodeLeaf({{AsBytes("a"), Inline("")},
                              {AsBytes("ab"), Blob(1000, 3)},
                              {AsBytes("abcdefgh"), Inline("value")},
                              {AsBytes("abcdefghi"), Blob(1 << 20, 4)}});
  auto r = Node::Decode(e.canonical, Padded(e.hints));
  ASSERT_TRUE(r.has_value());
  const Node& n = **r;
  EXPECT_EQ(n.type(), NodeType::kLeaf);
  EXPECT_EQ(n.level(), 0);
  ASSERT_EQ(n.count(), 4u);
  EXPECT_EQ(n.total_rows(), 4u);
  EXPECT_EQ(ToText(n.key(2)), "abcdefgh");
  EXPECT_EQ(ToText(n.value(2).inline_bytes), "value");
  EXPECT_FALSE(n.value(0).is_blob);
  EXPECT_EQ(n.value(0).length, 0u);
  StoredValue blob = n.value(3);
  EXPECT_TRUE(blob.is_blob);
  EXPECT_EQ(blob.length, 1u << 20);
  EXPECT_EQ(blob.blob.address, Ref(4).address);
  EXPECT_EQ(blob.blob.birth, LogIndex(400));
  EXPECT_EQ(blob.blob.hint, Ref(4).hint);
  auto refs = n.References();
  ASSERT_EQ(refs.size(), 2u);
  EXPECT_EQ(refs[0].hint, Ref(3).hint);
  EXPECT_GE(n.memory_bytes(), e.canonical.size() + e.hints.size());
}

TEST(Node, InnerGivesBackItsChildren) {
  EncodedNode e = EncodeInner(3, {{{}, Ref(1), 10}, {AsBytes("m"), Ref(2), 20}, {AsBytes("mm"), Ref(3), 30}});
  auto r = Node::Decode(e.canonical, e.hints);
  ASSERT_TRUE(r.has_value());
  const Node& n = **r;
  EXPECT_EQ(n.level(), 3);
  EXPECT_EQ(n.total_rows(), 60u);
  EXPECT_EQ(n.rows(1), 20u);
  EXPECT_EQ(n.child(2).hint, Ref(3).hint);
  EXPECT_EQ(n.child(2).birth, LogIndex(300));
  EXPECT_EQ(n.ChildFor(AsBytes("a")), 0u);
  EXPECT_EQ(n.ChildFor(AsBytes("m")), 1u);
  EXPECT_EQ(n.ChildFor(AsBytes("ma")), 1u);
  EXPECT_EQ(n.ChildFor(AsBytes("mm")), 2u);
  EXPECT_EQ(n.ChildFor(AsBytes("z")), 2u);
  EXPECT_EQ(n.References().size(), 3u);
}

TEST(Node, ChunkAndChunkListGiveBackTheirs) {
  EncodedNode c = EncodeChunk(AsBytes("bytes"));
  auto chunk = Node::Decode(c.canonical, {});
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(ToText((*chunk)->chunk()), "bytes");
  EncodedNode l = EncodeChunkList({Ref(1), Ref(2)});
  auto list = Node::Decode(l.canonical, Padded(l.hints));
  ASSERT_TRUE(list.has_value());
  ASSERT_EQ((*list)->References().size(), 2u);
  EXPECT_EQ((*list)->child(1).hint, Ref(2).hint);
  EXPECT_EQ((*list)->child(1).birth, LogIndex(0));
}

TEST(Node, SearchAgreesWithComparingKeys) {
  crypto::SeededRandom random(3);
  for (int round = 0; round < 200; ++round) {
    std::set<std::string> keys;
    auto any = [&] {
      std::string s(1 + random.Below(12), 0);
      for (char& c : s) c = static_cast<char>(random.Below(3) == 0 ? 0 : random.Below(3) * 127);
      return s;
    };
    while (keys.size() < 1 + random.Below(20)) keys.insert(any());
    std::vector<LeafRow> rows;
    std::vector<std::string> sorted(keys.begin(), keys.end());
    for (const auto& k : sorted) rows.push_back({AsBytes(k), {}});
    EncodedNode e = EncodeLeaf(rows);
    auto n = Node::Decode(e.canonical, e.hints);
    ASSERT_TRUE(n.has_value());
    for (int i = 0; i < 50; ++i) {
      std::string k = any();
      EXPECT_EQ((*n)->LowerBound(AsBytes(k)),
                static_cast<size_t>(std::lower_bound(sorted.begin(), sorted.end(), k) - sorted.begin()));
    }
  }
}

TEST(Node, ALeafIsSearchedWithoutANodeWithTheSameAnswers) {
  std::vector<LeafRow> rows = {
      {AsBytes("b"), Inline("")}, {AsBytes("bb"), Blob(1000, 3)}, {AsBytes("c"), Inline("value")}};
  EncodedNode e = EncodeLeaf(rows);
  ByteView value;
  for (std::string_view absent : {"", "a", "ba", "bbb", "d", "cc"})
    EXPECT_EQ(FindInLeaf(e.canonical, AsBytes(absent), value), InLeaf::kAbsent) << absent;
  EXPECT_EQ(FindInLeaf(e.canonical, AsBytes("b"), value), InLeaf::kFound);
  EXPECT_TRUE(value.empty());
  EXPECT_EQ(FindInLeaf(e.canonical, AsBytes("c"), value), InLeaf::kFound);
  EXPECT_EQ(ToText(value), "value");
  EXPECT_EQ(FindInLeaf(e.canonical, AsBytes("bb"), value), InLeaf::kElsewhere) << "a blob";
  for (size_t n = 0; n < e.canonical.size(); ++n) {
    InLeaf cut = FindInLeaf(ByteView(e.canonical).first(n), AsBytes("c"), value);
    EXPECT_EQ(cut, InLeaf::kElsewhere) << "the first " << n << " bytes";
  }
  EXPECT_EQ(FindInLeaf(EncodeInner(1, {{{}, Ref(1), 4}}).canonical, AsBytes("c"), value), InLeaf::kElsewhere);
  EXPECT_EQ(FindInLeaf(EncodeChunk(AsBytes("c")).canonical, AsBytes("c"), value), InLeaf::kElsewhere);
}

TEST(Node, RefusesKeysThatDoNotAscend) {
  EXPECT_FALSE(Decodes(EncodeLeaf({{AsBytes("b"), {}}, {AsBytes("a"), {}}})));
  EXPECT_FALSE(Decodes(EncodeLeaf({{AsBytes("a"), {}}, {AsBytes("a"), {}}})));
  EXPECT_FALSE(Decodes(EncodeLeaf({{AsBytes("aaaaaaaab"), {}}, {AsBytes("aaaaaaaaa"), {}}})));
  EXPECT_FALSE(
      Decodes(EncodeInner(1, {{{}, Ref(1), 1}, {AsBytes("b"), Ref(1), 1}, {AsBytes("a"), Ref(1), 1}})));
}

TEST(Node, RefusesWhatIsOutOfBounds) {
  EXPECT_FALSE(Decodes(EncodeLeaf({})));
  EXPECT_FALSE(Decodes(EncodeLeaf({{{}, {}}})));  // empty key
  std::string longest(1024, 'k');
  EXPECT_TRUE(Decodes(EncodeLeaf({{AsBytes(longest), {}}})));
  longest += "k";
  EXPECT_FALSE(Decodes(EncodeLeaf({{AsBytes(longest), {}}})));
  std::string value(224, 'v');
  EXPECT_TRUE(Decodes(EncodeLeaf({{AsBytes("k"), Inline(value)}})));
  value += "v";
  EXPECT_FALSE(Decodes(EncodeLeaf({{AsBytes("k"), Inline(value)}})));
  EXPECT_FALSE(Decodes(EncodeLeaf({{AsBytes("k"), Blob(limits::kValueBytesMax + 1, 1)}})));
  EXPECT_FALSE(Decodes(EncodeInner(0, {{{}, Ref(1), 1}, {AsBytes("b"), Ref(1), 1}})));
  EXPECT_FALSE(Decodes(EncodeInner(limits::kTreeLevelsMax, {{{}, Ref(1), 1}, {AsBytes("b"), Ref(1), 1}})));
  EXPECT_FALSE(Decodes(EncodeInner(1, {})));
  EXPECT_FALSE(Decodes(EncodeInner(1, {{AsBytes("a"), Ref(1), 1}})));  // first separator not empty
  EXPECT_FALSE(Decodes(EncodeInner(1, {{{}, Ref(1), 0}})));            // no rows below
  EXPECT_FALSE(Decodes(EncodeInner(1, {{{}, Ref(1), UINT64_MAX}, {AsBytes("b"), Ref(1), 1}})));
  NodeRef other = Ref(1);
  other.address[0] = 2;
  EXPECT_FALSE(Decodes(EncodeInner(1, {{{}, other, 1}})));  // an algorithm we do not know
  EXPECT_FALSE(Decodes(EncodeChunkList({Ref(1)})));
  EXPECT_FALSE(Decodes(EncodeChunkList(std::vector<NodeRef>(257, Ref(1)))));
  EXPECT_FALSE(Decodes(EncodeChunk(Bytes(limits::kBlobChunkBytes + 1))));
  std::vector<std::string> names;
  std::vector<LeafRow> rows;
  for (int i = 0; i < 257; ++i) names.push_back({static_cast<char>(1 + i / 256), static_cast<char>(i)});
  for (const auto& n : names) rows.push_back({AsBytes(n), {}});
  EXPECT_FALSE(Decodes(EncodeLeaf(rows)));
}

TEST(Node, RefusesEveryTruncationAndEveryExtraByte) {
  EncodedNode e = EncodeLeaf({{AsBytes("a"), Inline("12")}, {AsBytes("b"), Blob(1000, 3)}});
  for (size_t n = 0; n < e.canonical.size(); ++n) {
    EXPECT_FALSE(Node::Decode(ByteView(e.canonical).first(n), e.hints).has_value()) << n;
  }
  for (size_t n = 0; n < e.hints.size(); ++n) {
    EXPECT_FALSE(Node::Decode(e.canonical, ByteView(e.hints).first(n)).has_value()) << n;
  }
  Bytes more = e.canonical;
  more.push_back(0);
  EXPECT_FALSE(Node::Decode(more, e.hints).has_value());
  Bytes tail = e.hints;
  tail.resize(tail.size() + 15);
  EXPECT_TRUE(Node::Decode(e.canonical, tail).has_value());
  tail.back() = 1;
  EXPECT_FALSE(Node::Decode(e.canonical, tail).has_value());
  tail.back() = 0;
  tail.push_back(0);
  EXPECT_FALSE(Node::Decode(e.canonical, tail).has_value());
}

TEST(Node, BytesAreThoseOfTheFormatDocument) {
  EncodedNode e = EncodeLeaf({{AsBytes("k"), Inline("v")}, {AsBytes("m"), Blob(7, 3)}});
  EXPECT_EQ(HexUpper(e.canonical),
            "01000200"  // leaf, level 0, two rows
            "01006B"
            "00"
            "010076"  // k, inline, v
            "01006D"
            "01"
            "0700000000000000"                                                    // m, blob of 7 bytes
            "010000000000000000000000000000000000000000000000000000000000000003"  // address
            "2C01000000000000");                                                  // birth 300
  EXPECT_EQ(HexUpper(e.hints), "030000000600000009000000");
  EncodedNode i = EncodeInner(1, {{{}, Ref(1), 5}});
  EXPECT_EQ(HexUpper(i.canonical),
            "02010100"
            "0000"
            "010000000000000000000000000000000000000000000000000000000000000001"
            "6400000000000000"
            "0500000000000000");
}

TEST(Descriptor, RoundTripsAndHasTheDocumentedBytes) {
  Descriptor d;
  d.name = "ab";
  d.inline_values = false;
  d.leaf_rows_max = 4;
  d.inner_children_max = 256;
  EXPECT_EQ(HexUpper(d.Encode()),
            "0100"
            "02006162"
            "01"
            "01"
            "00"
            "01"
            "0400"
            "0001"
            "0000");
  auto back = Descriptor::Decode(d.Encode());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, d);
  d.name.clear();  // a system table's
  EXPECT_TRUE(Descriptor::Decode(d.Encode()).has_value());
}

TEST(Descriptor, APatriciaTableHasItsOwnBounds) {
  Descriptor d;
  d.name = "t";
  d.layout = Layout::kPatricia;
  d.inner_children_max = kPatriciaChildrenMax;
  EXPECT_EQ(d.Encode()[8], 2);
  auto back = Descriptor::Decode(d.Encode());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, d);
  d.leaf_rows_max = kPatriciaLeafRowsMax;
  EXPECT_TRUE(Descriptor::Decode(d.Encode()).has_value());
  d.leaf_rows_max = kPatriciaLeafRowsMax + 1;
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kInvalidArgument);
  d.leaf_rows_max = limits::kOrderMin - 1;
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kInvalidArgument);
}

TEST(Descriptor, ARoleHasAVersionOfItsOwnAndNoTableWithoutOneChanges) {
  Descriptor d;
  d.name = "t";
  const Bytes plain = d.Encode();
  EXPECT_EQ(plain[0], 1);
  d.transient = true;
  Bytes b = d.Encode();
  EXPECT_EQ(Descriptor::Decode(b).value(), d);
  b.back() = 0;  // no role: version 1 says that
  EXPECT_EQ(Descriptor::Decode(b).code(), Code::kUnknownFormat);
  b.back() = 5;
  EXPECT_EQ(Descriptor::Decode(b).code(), Code::kUnknownFormat);
  d.layout = Layout::kPatricia;
  d.inner_children_max = kPatriciaChildrenMax;
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kInvalidArgument);
  d = Descriptor();
  d.name = "i";
  d.index = IndexOf{TableId(), "/a~1b", true};
  b = d.Encode();
  EXPECT_EQ(Descriptor::Decode(b).value(), d);
  for (size_t n = plain.size(); n < b.size(); ++n)
    EXPECT_FALSE(Descriptor::Decode(ByteView(b).first(n))) << n;
  d.index->pointer = "no slash";
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kInvalidArgument);
  d.index->pointer = "/" + std::string(limits::kIndexPointerBytesMax, 'p');
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kMalformed);
  d.index->pointer.clear();
  d.value_type = Type::kJson;
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kInvalidArgument) << "its rows are the core's own";
}

TEST(Descriptor, RefusesWhatItDoesNotKnow) {
  Descriptor d;
  d.name = "t";
  auto with = [&](size_t at, uint8_t byte) {
    Bytes b = d.Encode();
    b[at] = byte;
    auto r = Descriptor::Decode(b);
    return r.has_value() ? Code{} : r.code();
  };
  EXPECT_EQ(with(0, 3), Code::kUnknownFormat);     // version
  EXPECT_EQ(with(0, 2), Code::kMalformed);         // which has a role behind it
  EXPECT_EQ(with(8, 3), Code::kUnknownFormat);     // layout
  EXPECT_EQ(with(8, 0), Code::kUnknownFormat);     //
  EXPECT_EQ(with(8, 2), Code::kInvalidArgument);   // whose inner nodes have another shape
  EXPECT_EQ(with(7, 2), Code::kMalformed);         // inlining
  EXPECT_EQ(with(9, 3), Code::kInvalidArgument);   // leaf rows
  EXPECT_EQ(with(12, 2), Code::kInvalidArgument);  // inner children, high byte
  EXPECT_EQ(with(13, 1), Code::kUnknownFormat);    // indexes
  for (std::string bad : {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "a\x80"}) {
    d.name = bad;
    auto r = Descriptor::Decode(d.Encode());
    EXPECT_FALSE(r.has_value()) << bad;
  }
  for (std::string good : {"\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x8E\x89"}) {
    d.name = good;
    EXPECT_TRUE(Descriptor::Decode(d.Encode()).has_value()) << good;
  }
  d.name = std::string(128, 'n');
  EXPECT_TRUE(Descriptor::Decode(d.Encode()).has_value());
  d.name += "n";
  EXPECT_FALSE(Descriptor::Decode(d.Encode()).has_value());
  d.name = "t";
  Bytes b = d.Encode();
  for (size_t n = 0; n < b.size(); ++n) EXPECT_FALSE(Descriptor::Decode(ByteView(b).first(n)).has_value());
}

}  // namespace
}  // namespace holdfast::tree
