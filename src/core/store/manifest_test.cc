#include "core/store/manifest.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/codec.h"
#include "core/store/slots.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "vector_file.h"

namespace holdfast::store {
namespace {

Manifest Example() {
  crypto::SeededRandom random(4);
  Manifest m;
  m.store = m.root.store = random.NewId<StoreId>();
  m.member = random.NewId<MemberId>();
  m.save = SaveNumber(12);
  m.root.position = {LogIndex(99), Term(3), {}};
  for (int i = 0; i < 3; ++i) {
    Table t;
    t.id = random.NewId<TableId>();
    t.epoch = Epoch(1);
    t.descriptor.name = "table " + std::to_string(i);
    if (i > 0) {
      t.root.empty = false;
      t.root.ref.address.fill(static_cast<uint8_t>(i));
      t.root.ref.birth = LogIndex(50);
      t.root.ref.hint = {static_cast<uint32_t>(i), 80, 400};
      t.root.rows = 7;
    }
    m.root.tables[t.id] = t;
  }
  for (uint64_t at : {60, 80, 80}) {
    Tag tag{"tag " + std::to_string(m.root.tags.size()), {LogIndex(at), Term(2), {}}, m.root.tables};
    tag.tables.erase(tag.tables.begin());
    m.root.tags.emplace(tag.name, tag);
  }
  m.cleanings_owed = 2;
  m.garbage_before = 1234;
  m.frame.number = FrameNumber(31);
  m.next_segment = 9;
  for (uint32_t n : {1u, 2u, 8u}) {
    Segment s;
    s.number = n;
    s.id = random.NewId<SegmentId>();
    s.size = 1000 * n;
    s.spans.Add(kNow, kNow, 100 + n);
    if (n > 1) s.spans.Add(LogIndex(60), LogIndex(60), 200);
    if (n > 2) {
      s.spans.Add(LogIndex(60), kNow, 300);
      s.spans.Add(LogIndex(60), LogIndex(80), 150);
      s.blobs = true;
    }
    s.born = SaveNumber(n);
    m.segments[n] = s;
  }
  for (uint32_t n : {1u, 2u, 8u, 9u, 10u}) {
    Group g;
    g.slot = static_cast<uint8_t>(n < 3 ? 0 : n - 8);
    g.first = n;
    g.id = random.NewId<GroupId>();
    g.segments = 7 * n;
    g.size = 100 + n;
    g.sha256.fill(static_cast<uint8_t>(n));
    g.text.fill(static_cast<uint8_t>(0x80 + n));
    m.groups.push_back(g);
  }
  return m;
}

Bytes GroupOf(const Manifest& m) { return EncodeGroup(m.segments.begin(), m.segments.size()); }

TEST(Manifest, DecodesToWhatWasEncodedAndNothingElseDecodes) {
  Manifest m = Example();
  Bytes text = m.Encode();
  auto back = Manifest::Decode(text);
  ASSERT_TRUE(back) << CodeName(back.code());
  EXPECT_EQ(back->Encode(), text);
  EXPECT_EQ(back->groups, m.groups);
  EXPECT_TRUE(back->segments.empty());
  for (size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(Manifest::Decode(ByteView(text).first(n))) << n;
  text.push_back(0);
  EXPECT_FALSE(Manifest::Decode(text));
}

TEST(ManifestGroup, DecodesToWhatWasEncodedAndNothingElseDecodes) {
  Manifest m = Example();
  Bytes text = GroupOf(m);
  auto back = DecodeGroup(text, m.root.Line());
  ASSERT_TRUE(back) << CodeName(back.code());
  ASSERT_EQ(back->size(), m.segments.size());
  for (const Segment& s : *back) EXPECT_EQ(s, m.segments.at(s.number));
  for (size_t n = 0; n < text.size(); ++n)
    EXPECT_FALSE(DecodeGroup(ByteView(text).first(n), m.root.Line())) << n;
  text.push_back(0);
  EXPECT_FALSE(DecodeGroup(text, m.root.Line()));
  EXPECT_FALSE(DecodeGroup(EncodeGroup(m.segments.begin(), 0), m.root.Line())) << "of no segment";
}

// Written from docs/format.md by a program that shares no code with ours.
TEST(Manifest, RootTagsAndSpansAreThoseOfTheVectors) {
  std::vector<vectors::Block> blocks = vectors::Load("manifest.txt");
  ASSERT_EQ(blocks.size(), 3u);
  const vectors::Block &r = blocks[0], &v = blocks[1], &g = blocks[2];
  auto root = LogicalRoot::Decode(r.Hex("text"));
  ASSERT_TRUE(root) << CodeName(root.code());
  EXPECT_EQ(root->Encode(), r.Hex("text"));
  EXPECT_EQ(ToBytes(root->ComputeDigest(r.Key("key"))), r.Hex("digest"));
  EXPECT_EQ(root->position.index, LogIndex(r.Number("index")));
  EXPECT_EQ(root->tables.size(), 3u);
  ASSERT_EQ(root->tags.size(), 2u);
  const Tag &before = root->tags.at("before"), &after = root->tags.at("after");
  EXPECT_EQ(before.position.index, LogIndex(30));
  EXPECT_EQ(after.position.index, LogIndex(40));
  EXPECT_EQ(ToBytes(before.position.chain), r.Hex("before_chain"));
  TableId people = r.Id<TableId>("people");
  EXPECT_EQ(ToBytes(before.tables.at(people).root.ref.address), r.Hex("before_people_address"));
  EXPECT_EQ(root->Line().all(), (std::vector<LogIndex>{LogIndex(30), LogIndex(40)}));

  auto m = Manifest::Decode(v.Hex("text"));
  ASSERT_TRUE(m) << CodeName(m.code());
  EXPECT_EQ(m->Encode(), v.Hex("text"));
  EXPECT_EQ(m->save, SaveNumber(v.Number("save")));
  EXPECT_EQ(m->cleanings_owed, 2);
  EXPECT_EQ(m->root.tags.at("before").tables.at(people).root.ref.hint, (tree::Hint{1, 80, 256}));
  EXPECT_EQ(m->root.tags.at("after").tables.at(people).root.ref.hint, (tree::Hint{2, 192, 256}));
  ASSERT_EQ(m->groups.size(), 4u);
  const Group& listed = m->groups[0];
  EXPECT_EQ(listed.slot, 0);
  EXPECT_EQ(m->groups[1].slot, m->slot());
  EXPECT_EQ(m->groups[2].first, 3u);
  EXPECT_EQ(m->groups[3].slot, kNoSlot);

  Bytes sealed = g.Hex("sealed"), group = g.Hex("text");
  EXPECT_EQ(GroupName(m->groups[1].id), g.Text("name"));
  EXPECT_EQ(m->groups[1].size, sealed.size());
  EXPECT_EQ(m->groups[1].sha256, crypto::Sha256(sealed));
  EXPECT_EQ(m->groups[1].text, crypto::Sha256(group));
  auto opened = seal::OpenObject(seal::DomainKeys::Derive(g.Key("root")), seal::ObjectKind::kGroup,
                                 {m->store, GroupName(m->groups[1].id)}, sealed);
  ASSERT_TRUE(opened) << CodeName(opened.code());
  EXPECT_EQ(*opened, group);
  auto segments = DecodeGroup(group, m->root.Line());
  ASSERT_TRUE(segments) << CodeName(segments.code());
  ASSERT_EQ(segments->size(), m->groups[1].segments);
  const Segment& s = segments->at(0);
  EXPECT_TRUE(s.blobs);
  EXPECT_EQ(s.spans.items()[1], (Span{LogIndex(30), LogIndex(40), 200}));
  EXPECT_EQ(s.spans.live(), 300u + 500u + 600u);
  EXPECT_EQ(s.live_bytes(), 2100u);
  EXPECT_TRUE(segments->at(1).spans.empty());
  Segments as_map;
  for (const Segment& one : *segments) as_map.emplace(one.number, one);
  EXPECT_EQ(EncodeGroup(as_map.begin(), as_map.size()), group);
}

TEST(Manifest, OneFromBeforeThereWereTagsOrGroupsIsRefusedByItsVersion) {
  for (uint32_t version : {1u, 2u}) {
    Bytes text = Example().Encode();
    StoreLittle<uint32_t>(text.data(), version);
    EXPECT_EQ(Manifest::Decode(text).code(), Code::kUnknownFormat);
  }
  Bytes root = Example().root.Encode();
  root[7] = '1';
  EXPECT_EQ(LogicalRoot::Decode(root).code(), Code::kUnknownFormat);
}

TEST(ManifestGroup, ASpanOfNoTagIsRefused) {
  Manifest m = Example();
  TagLine line = m.root.Line();
  Bytes text = GroupOf(m);
  size_t span = text.size() - 8;  // the last one is of segment 8: first tag 60 .. now
  EXPECT_TRUE(DecodeGroup(text, line));
  for (uint16_t ordinal : {uint16_t{2}, uint16_t{7}, uint16_t{0xFFFE}}) {
    Bytes other = text;
    StoreLittle(other.data() + span, ordinal);
    EXPECT_FALSE(DecodeGroup(other, line)) << ordinal;
  }
  Bytes more = text;
  StoreLittle<uint32_t>(more.data() + span + 4, 8000);
  EXPECT_FALSE(DecodeGroup(more, line)) << "more than the segment has";
  EXPECT_FALSE(DecodeGroup(text, TagLine({LogIndex(60)}))) << "80 is no tag of the root";
  m.segments.erase(8);
  Bytes unnamed;  // a tag that no span names
  Writer(unnamed).U32(2).U64(60).U64(80).Raw(ByteView(GroupOf(m)).subspan(4 + 8));
  EXPECT_TRUE(DecodeGroup(GroupOf(m), line));
  EXPECT_FALSE(DecodeGroup(unnamed, line));
}

TEST(Manifest, GroupsThatAreNotInOrderAreRefused) {
  Manifest m = Example();
  ASSERT_TRUE(Manifest::Decode(m.Encode()));
  for (auto change : std::vector<std::function<void(Groups&)>>{
           [](Groups& g) { std::swap(g[0], g[1]); }, [](Groups& g) { g[1] = g[0]; },
           [](Groups& g) { g[1].first = g[0].first; }, [](Groups& g) { g[0].first = 0; },
           [](Groups& g) { g[0].segments = 0; }, [](Groups& g) { g.back().slot = 3; },
           [](Groups& g) { g[0].size = limits::kManifestBytesMax + 1; },
           [](Groups& g) { g[0].size = g[1].size = limits::kManifestBytesMax / 2 + 1; }}) {
    Manifest wrong = m;
    change(wrong.groups);
    EXPECT_EQ(Manifest::Decode(wrong.Encode()).code(), Code::kMalformed);
  }
}

TEST(Manifest, WhateverByteDiffersItIsRefusedOrAnotherManifest) {
  Manifest example = Example();
  Bytes text = example.Encode();
  for (size_t i = 0; i < text.size(); ++i) {
    Bytes other = text;
    other[i] ^= 0x41;
    auto m = Manifest::Decode(other);
    if (m) {
      EXPECT_EQ(m->Encode(), other) << "byte " << i << " is not canonical";
    }
  }
  text = GroupOf(example);
  for (size_t i = 0; i < text.size(); ++i) {
    Bytes other = text;
    other[i] ^= 0x41;
    auto segments = DecodeGroup(other, example.root.Line());
    if (!segments) continue;
    Segments as_map;
    for (const Segment& s : *segments) as_map.emplace(s.number, s);
    EXPECT_EQ(EncodeGroup(as_map.begin(), as_map.size()), other) << "byte " << i << " is not canonical";
  }
}

TEST(RuleD1, TheLogicalRootSaysNothingAboutPlaces) {
  Manifest m = Example(), moved = Example();
  for (auto& [id, t] : moved.root.tables) t.root.ref.hint = {5, 6, 7};
  moved.segments.clear();
  moved.member.bytes[0] ^= 1;
  Key key = crypto::SeededRandom(1).NewKey();
  EXPECT_EQ(m.root.Encode(), moved.root.Encode());
  EXPECT_EQ(m.root.ComputeDigest(key), moved.root.ComputeDigest(key));
  moved.root.tables.begin()->second.descriptor.name += "x";
  EXPECT_NE(m.root.ComputeDigest(key), moved.root.ComputeDigest(key));
}

TEST(ServerState, HasItsSizeAndRefusesEveryFlippedBit) {
  crypto::SeededRandom random(5);
  Bytes text = ServerState{random.NewId<StoreId>(), random.NewId<MemberId>()}.Encode();
  ASSERT_EQ(text.size(), kServerStateBytes);
  EXPECT_TRUE(ServerState::Decode(text));
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    Bytes other = text;
    other[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(ServerState::Decode(other)) << bit;
  }
}

}  // namespace
}  // namespace holdfast::store
