#include "core/seal/segment.h"

#include "core/seal/attack_internal.h"
#include "core/seal/keyring.h"
#include "crypto/hash.h"
#include "vector_file.h"

namespace holdfast::seal {
namespace {

using attack::CodeOf;
using attack::FixedKey;
using attack::FixedStore;
using attack::FixedTable;
using vectors::RepeatingRandom;

constexpr std::string_view kName = "segments/00000000000000030001020304050607";

struct Node {
  std::string canonical, hints;
};

// A segment of the given nodes, and all it takes to open them.
struct Fixture {
  DomainKeys keys = DomainKeys::Derive(FixedKey(1));
  StoreId store = FixedStore(7);
  TableId table = FixedTable(1);
  std::vector<Extent> extents;
  std::vector<Address> addresses;
  SegmentBuilder::Sealed sealed;

  explicit Fixture(const std::vector<Node>& nodes, uint8_t salt = 3, std::string_view name = kName,
                   uint8_t table_no = 1, uint8_t store_no = 7, Epoch epoch = Epoch(1))
      : store(FixedStore(store_no)), table(FixedTable(table_no)) {
    SegmentBuilder builder(table);
    for (const Node& n : nodes) {
      addresses.push_back(NodeAddress(keys, AsBytes(n.canonical)));
      extents.push_back(builder.Add(addresses.back(), AsBytes(n.canonical), AsBytes(n.hints)));
    }
    RepeatingRandom random(Bytes(32, salt));
    sealed = builder.Finish(keys, epoch, store, name, random);
  }
  ByteView At(size_t i) const { return ByteView(sealed.bytes).subspan(extents[i].offset, extents[i].length); }
  Bytes Cipher(size_t i) const { return ToBytes(At(i).first(extents[i].length - crypto::kTagBytes)); }
  SegmentOpener Opener() const { return SegmentOpener(keys, sealed.header, store, kName, table); }
};

std::vector<Node> ThreeNodes() {
  return {{std::string(40, 'a'), ""}, {std::string(40, 'b'), "hint"}, {"c", "hints!"}};
}

TEST(Segment, IsByteForByteWhatAnotherImplementationMakes) {
  std::vector<vectors::Block> blocks = vectors::Load("segment.txt");
  const vectors::Block& s = blocks[0];
  RepeatingRandom salt(s.Hex("salt")), unused(Bytes(1));
  Keyring keyring = Keyring::Create(unused);
  TableId table = s.Id<TableId>("table");
  keyring.AddTable(table, Epoch(1), s.Key("table_key"));
  DomainKeys keys = keyring.TableKeys(table, Epoch(1), s.Hex("descriptor")).value();

  SegmentBuilder builder(table);
  for (size_t i = 1; i < blocks.size(); ++i) {
    Address address = NodeAddress(keys, blocks[i].Hex("canonical"));
    EXPECT_EQ(HexUpper(address), HexUpper(blocks[i].Hex("address"))) << i;
    Extent e = builder.Add(address, blocks[i].Hex("canonical"), blocks[i].Hex("hints"));
    EXPECT_EQ(e.offset, blocks[i].Number("offset"));
    EXPECT_EQ(e.length, blocks[i].Number("length"));
  }
  std::string name = s.Text("name");
  SegmentBuilder::Sealed sealed = builder.Finish(keys, Epoch(1), s.Id<StoreId>("store"), name, salt);
  EXPECT_EQ(HexUpper(sealed.bytes), HexUpper(s.Hex("sealed")));
  EXPECT_EQ(HexUpper(sealed.header.h), HexUpper(s.Hex("h")));
  EXPECT_EQ(HexUpper(sealed.sha256), HexUpper(s.Hex("sha256")));

  ObjectHeader header = ObjectHeader::Decode(s.Hex("sealed"), ObjectKind::kSegment).value();
  SegmentOpener opener(keys, header, s.Id<StoreId>("store"), name, table);
  Bytes theirs = s.Hex("sealed");
  for (size_t i = 1; i < blocks.size(); ++i) {
    Address address = NodeAddress(keys, blocks[i].Hex("canonical"));
    auto offset = static_cast<uint32_t>(blocks[i].Number("offset"));
    Result<OpenedNode> node =
        opener.Open(address, offset, ByteView(theirs).subspan(offset, blocks[i].Number("length")));
    ASSERT_TRUE(node) << i;
    EXPECT_EQ(HexUpper(node->canonical()), HexUpper(blocks[i].Hex("canonical")));
    Bytes hints = blocks[i].Hex("hints");
    EXPECT_EQ(HexUpper(node->tail().first(hints.size())), HexUpper(hints));
  }
}

TEST(Segment, GivesBackEveryNodeInAnyOrder) {
  Fixture f(ThreeNodes());
  SegmentOpener opener = f.Opener();
  for (size_t i : {2u, 0u, 1u, 2u}) {
    Result<OpenedNode> node = opener.Open(f.addresses[i], f.extents[i].offset, f.At(i));
    ASSERT_TRUE(node) << i;
    EXPECT_EQ(AsText(node->canonical()), ThreeNodes()[i].canonical);
    EXPECT_TRUE(AsText(node->tail()).starts_with(ThreeNodes()[i].hints));
    for (uint8_t x : node->tail().subspan(ThreeNodes()[i].hints.size())) EXPECT_EQ(x, 0);
    EXPECT_EQ(node->text.size() % 16, 0u);
  }
}

TEST(SegmentBuilder, IsEmptyAfterFinishAndCountsItsSize) {
  SegmentBuilder builder(FixedTable(1));
  DomainKeys keys = DomainKeys::Derive(FixedKey(1));
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.size_bytes(), kHeaderBytes);
  Extent first = builder.Add(NodeAddress(keys, AsBytes("x")), AsBytes("x"), {});
  EXPECT_EQ(first.offset, kHeaderBytes);
  EXPECT_EQ(first.length, 16 + crypto::kTagBytes);
  size_t size = builder.size_bytes();
  RepeatingRandom random(Bytes(32, 1));
  EXPECT_EQ(builder.Finish(keys, Epoch(1), FixedStore(1), kName, random).bytes.size(), size);
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.size_bytes(), kHeaderBytes);
  EXPECT_EQ(builder.Add(NodeAddress(keys, AsBytes("y")), AsBytes("y"), {}).offset, kHeaderBytes);
}

TEST(Segment, EveryFlippedBitOfANodeIsFound) {
  Fixture f(ThreeNodes());
  SegmentOpener opener = f.Opener();
  for (size_t i = 0; i < 3; ++i) {
    attack::FlipEveryBit(
        ToBytes(f.At(i)),
        [&](ByteView b) { return CodeOf(opener.Open(f.addresses[i], f.extents[i].offset, b)); },
        [](size_t) { return Code::kAuthFailed; });
  }
}

TEST(Segment, EveryTruncationOfANodeIsFoundAndSoIsEveryOverrun) {
  Fixture f(ThreeNodes());
  SegmentOpener opener = f.Opener();
  attack::CutEverywhere(
      ToBytes(f.At(1)),
      [&](ByteView b) { return CodeOf(opener.Open(f.addresses[1], f.extents[1].offset, b)); },
      [](size_t) { return Code::kAuthFailed; });
  ByteView more = ByteView(f.sealed.bytes).subspan(f.extents[1].offset, f.extents[1].length + 1);
  EXPECT_EQ(CodeOf(opener.Open(f.addresses[1], f.extents[1].offset, more)), Code::kAuthFailed);
}

TEST(RuleA4, TwoNodesSwappedInTheirSegmentDoNotOpen) {
  Fixture f(ThreeNodes());
  SegmentOpener opener = f.Opener();
  ASSERT_EQ(f.extents[0].length, f.extents[1].length);
  EXPECT_EQ(CodeOf(opener.Open(f.addresses[0], f.extents[0].offset, f.At(1))), Code::kAuthFailed);
  EXPECT_EQ(CodeOf(opener.Open(f.addresses[1], f.extents[0].offset, f.At(1))), Code::kAuthFailed) << "moved";
  EXPECT_EQ(CodeOf(opener.Open(f.addresses[1], f.extents[1].offset, f.At(0))), Code::kAuthFailed);
}

TEST(RuleA2, ANodeOpensUnderItsOwnAddressOnly) {
  Fixture f(ThreeNodes());
  SegmentOpener opener = f.Opener();
  for (size_t bit = 0; bit < kAddressBytes * 8; ++bit) {
    Address other = f.addresses[0];
    other[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_EQ(CodeOf(opener.Open(other, f.extents[0].offset, f.At(0))), Code::kAuthFailed) << bit;
  }
  EXPECT_TRUE(opener.Open(f.addresses[0], f.extents[0].offset, f.At(0)));
}

TEST(RuleA2, ANodeOpensUnderItsOwnStoreSegmentTableAndHeaderOnly) {
  Fixture f(ThreeNodes());
  auto open = [&](SegmentOpener opener) {
    return CodeOf(opener.Open(f.addresses[0], f.extents[0].offset, f.At(0)));
  };
  const ObjectHeader& h = f.sealed.header;
  EXPECT_EQ(open(f.Opener()), Code::kInternal) << "the honest one opens";
  EXPECT_EQ(open(SegmentOpener(f.keys, h, FixedStore(8), kName, f.table)), Code::kAuthFailed);
  EXPECT_EQ(open(SegmentOpener(f.keys, h, f.store, "segments/00000000000000030001020304050608", f.table)),
            Code::kAuthFailed);
  EXPECT_EQ(open(SegmentOpener(f.keys, h, f.store, kName, FixedTable(2))), Code::kAuthFailed);
  EXPECT_EQ(open(SegmentOpener(DomainKeys::Derive(FixedKey(2)), h, f.store, kName, f.table)),
            Code::kAuthFailed);
  ObjectHeader epoch = h, salt = h, hash = h;
  epoch.epoch = Epoch(2);
  salt.salt[31] ^= 1;
  hash.h[0] ^= 1;
  for (const ObjectHeader& other : {epoch, salt, hash}) {
    EXPECT_EQ(open(SegmentOpener(f.keys, other, f.store, kName, f.table)), Code::kAuthFailed);
  }
}

// What a clone of a running machine does: the same nodes, the same salt, other places for their children.
// Addresses do not see the hints, so only h keeps the two apart.
TEST(RuleA1, EqualNodesWithOtherHintsUnderOneSaltShareNoKeystream) {
  std::string canonical(64, 'a'), hints(12, '\0'), other = hints;
  other[5] ^= 1;
  Fixture a({{canonical, hints}, {"tail", ""}}), b({{canonical, other}, {"tail", ""}});
  ASSERT_EQ(a.sealed.header.salt, b.sealed.header.salt);
  ASSERT_EQ(a.addresses[0], b.addresses[0]);
  EXPECT_NE(a.sealed.header.h, b.sealed.header.h);
  for (size_t i :
       {0u, 1u}) {  // in the second node the texts are equal: equal ciphertext would betray one key
    Bytes streams = attack::Xor(a.Cipher(i), b.Cipher(i));
    EXPECT_NE(Bytes(streams.begin(), streams.begin() + 16), Bytes(16)) << i;
  }
}

TEST(RuleA1, SegmentsUnderOneSaltReachAnotherKeyWheneverAnythingDiffers) {
  std::string zeros(60, '\0');  // with its length in front, 64 bytes
  std::vector<Node> nodes{{zeros, ""}, {"x", ""}};
  std::vector<Bytes> streams;
  auto add = [&](const Fixture& f) { streams.push_back(f.Cipher(0)); };
  add(Fixture(nodes));
  add(Fixture(std::vector{Node{zeros, ""}}));                           // fewer nodes
  add(Fixture({{zeros, ""}, {"y", ""}}));                               // another node behind it
  add(Fixture({{zeros, ""}, {"x", std::string(1, '\0')}}));             // hints that look like padding
  add(Fixture({{zeros, ""}, {"x", "h"}}));                              // hints
  add(Fixture(nodes, 4));                                               // salt
  add(Fixture(nodes, 3, "segments/00000000000000040001020304050607"));  // name
  add(Fixture(nodes, 3, kName, 2));                                     // table
  add(Fixture(nodes, 3, kName, 1, 8));                                  // store
  add(Fixture(nodes, 3, kName, 1, 7, Epoch(2)));                        // epoch
  for (size_t i = 0; i < streams.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (i == 3 && j == 0) continue;  // see below
      EXPECT_NE(streams[i], streams[j]) << i << " and " << j;
    }
  }
  // A hint of zeros and padding are the same bytes in the same place: the same text, so the same key is no
  // reuse.
  EXPECT_EQ(streams[3], streams[0]);
}

TEST(RuleA1, NodesOfOneSegmentShareNoKeystreamEvenWhenEqual) {
  std::string zeros(60, '\0');
  Fixture f({{zeros, ""}, {zeros, ""}});
  EXPECT_NE(f.Cipher(0), f.Cipher(1));
}

TEST(NodeAddress, SaysItsAlgorithmAndDependsOnTableKeyAndText) {
  DomainKeys keys = DomainKeys::Derive(FixedKey(1));
  Address a = NodeAddress(keys, AsBytes("text"));
  EXPECT_EQ(a[0], 1);
  EXPECT_EQ(a, NodeAddress(keys, AsBytes("text")));
  EXPECT_NE(a, NodeAddress(keys, AsBytes("texu")));
  EXPECT_NE(a, NodeAddress(DomainKeys::Derive(FixedKey(2)), AsBytes("text")));
}

// Only a writer of ours could make these; the opener still must not read past the text.
TEST(SegmentOpener, RefusesAnAuthenticTextWhoseLengthDoesNotFit) {
  Fixture f(std::vector{Node{"x", ""}});
  Bytes aad = ToBytes(std::string_view("HFNODE"));
  Append(aad, f.sealed.header.Encode());
  Append(aad, EncodeBinding({f.store, kName, f.table.view()}));
  Append(aad, f.addresses[0]);
  auto open = [&](const Bytes& text) {
    Bytes sealed;
    crypto::AesGcm(ObjectKey(f.keys, f.sealed.header)).Seal(80, aad, text, sealed);
    return CodeOf(f.Opener().Open(f.addresses[0], 80, sealed));
  };
  EXPECT_EQ(open({}), Code::kMalformed);
  EXPECT_EQ(open({1, 0, 0}), Code::kMalformed);
  EXPECT_EQ(open({1, 0, 0, 0}), Code::kMalformed);
  EXPECT_EQ(open({0xFF, 0xFF, 0xFF, 0xFF, 1}), Code::kMalformed);
  EXPECT_EQ(open({1, 0, 0, 0, 9}), Code::kInternal) << "fits";
}

TEST(Segment, SealsSixtyFourMebibytesAndKeepsTheirDigest) {
  DomainKeys keys = DomainKeys::Derive(FixedKey(1));
  SegmentBuilder builder(FixedTable(1));
  Bytes canonical(1u << 20, 0x5A);
  std::vector<Extent> extents;
  Address address = NodeAddress(keys, canonical);
  for (int i = 0; i < 63; ++i) extents.push_back(builder.Add(address, canonical, {}));
  RepeatingRandom random(Bytes(32, 1));
  SegmentBuilder::Sealed sealed = builder.Finish(keys, Epoch(1), FixedStore(7), kName, random);
  EXPECT_EQ(sealed.sha256, crypto::Sha256(sealed.bytes));
  SegmentOpener opener(keys, sealed.header, FixedStore(7), kName, FixedTable(1));
  Result<OpenedNode> last = opener.Open(
      address, extents[62].offset, ByteView(sealed.bytes).subspan(extents[62].offset, extents[62].length));
  ASSERT_TRUE(last);
  EXPECT_TRUE(Equal(last->canonical(), canonical));
}

}  // namespace
}  // namespace holdfast::seal
