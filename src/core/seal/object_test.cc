#include "core/seal/object.h"

#include "base/crc32c.h"
#include "core/seal/attack_internal.h"
#include "crypto/aead.h"
#include "vector_file.h"

namespace holdfast::seal {
namespace {

using attack::CodeOf;
using attack::FixedKey;
using attack::FixedStore;
using vectors::RepeatingRandom;

constexpr std::string_view kName = "enclave-state/0/core-enclave";
constexpr size_t kOverheadBytes = kHeaderBytes + crypto::kTagBytes;

struct Sealer {
  DomainKeys keys = DomainKeys::Derive(FixedKey(1));
  StoreId store = FixedStore(7);
  Bytes Seal(std::string_view text, uint8_t salt = 3, std::string_view name = kName, ByteView extra = {},
             ObjectKind kind = ObjectKind::kManifest, Epoch epoch = Epoch(1)) const {
    RepeatingRandom random(Bytes(32, salt));
    return SealObject(keys, kind, epoch, {store, name, extra}, AsBytes(text), random);
  }
  Code Open(ByteView sealed) const {
    return CodeOf(OpenObject(keys, ObjectKind::kManifest, {store, kName}, sealed));
  }
};

// Puts a right checksum over a changed header, as somebody who means harm would.
Bytes WithChecksum(Bytes b) {
  StoreLittle<uint32_t>(b.data() + 12, 0);
  StoreLittle<uint32_t>(b.data() + 12, Crc32c(ByteView(b).first(kHeaderBytes)));
  return b;
}

Binding BindingOf(const vectors::Block& b, const std::string& name, const Bytes& extra) {
  return {b.Id<StoreId>("store"), name, extra};
}

TEST(SealedObject, IsByteForByteWhatAnotherImplementationMakes) {
  int seen = 0;
  for (const vectors::Block& b : vectors::Load("object.txt")) {
    ++seen;
    DomainKeys keys = DomainKeys::Derive(b.Key("root"));
    std::string name = b.Text("name");
    Bytes extra = b.Hex("extra");
    RepeatingRandom random(b.Hex("salt"));
    auto kind = static_cast<ObjectKind>(b.Number("kind"));
    Epoch epoch(static_cast<uint32_t>(b.Number("epoch")));
    Bytes sealed = SealObject(keys, kind, epoch, BindingOf(b, name, extra), b.Hex("text"), random);
    EXPECT_EQ(HexUpper(sealed), HexUpper(b.Hex("sealed"))) << b.name;

    Result<ObjectHeader> header = ObjectHeader::Decode(b.Hex("sealed"), kind);
    ASSERT_TRUE(header) << b.name;
    EXPECT_EQ(header->epoch, epoch);
    EXPECT_EQ(HexUpper(header->h), HexUpper(b.Hex("h")));
    EXPECT_EQ(HexUpper(ObjectKey(keys, *header).view()), HexUpper(b.Hex("key")));
    EXPECT_EQ(ObjectHash(keys, *header, BindingOf(b, name, extra), b.Hex("text")), header->h);
    EXPECT_EQ(HexUpper(header->Encode()), HexUpper(ByteView(sealed).first(kHeaderBytes)));
  }
  EXPECT_EQ(seen, 4);
}

TEST(SealedObject, OpensWhatAnotherImplementationMade) {
  for (const vectors::Block& b : vectors::Load("object.txt")) {
    std::string name = b.Text("name");
    Bytes extra = b.Hex("extra");
    Result<Bytes> text =
        OpenObject(DomainKeys::Derive(b.Key("root")), static_cast<ObjectKind>(b.Number("kind")),
                   BindingOf(b, name, extra), b.Hex("sealed"));
    ASSERT_TRUE(text) << b.name;
    EXPECT_EQ(*text, b.Hex("text")) << b.name;
  }
}

TEST(DomainKeys, AreThoseOfAnotherImplementation) {
  vectors::Block b = vectors::LoadOne("keys.txt", "domain");
  DomainKeys keys = DomainKeys::Derive(b.Key("root"));
  EXPECT_EQ(HexUpper(keys.seal.view()), HexUpper(b.Hex("seal")));
  EXPECT_EQ(HexUpper(keys.hash.view()), HexUpper(b.Hex("hash")));
  EXPECT_EQ(HexUpper(keys.address.view()), HexUpper(b.Hex("address")));
}

TEST(SealedObject, EveryFlippedBitIsFoundAndNamed) {
  Sealer s;
  attack::FlipEveryBit(
      s.Seal("a manifest's text"), [&](ByteView b) { return s.Open(b); },
      [](size_t byte) {
        if (byte < 4) return Code::kMalformed;            // no longer says what it is
        if (byte < kHeaderBytes) return Code::kChecksum;  // header: damage is found without a key
        return Code::kAuthFailed;
      });
}

TEST(SealedObject, EveryTruncationIsFound) {
  Sealer s;
  Bytes whole = s.Seal("a manifest's text");
  attack::CutEverywhere(
      whole, [&](ByteView b) { return s.Open(b); },
      [](size_t n) { return n < kHeaderBytes ? Code::kMalformed : Code::kAuthFailed; });
  whole.push_back(0);
  EXPECT_EQ(s.Open(whole), Code::kAuthFailed);
}

TEST(SealedObject, AChangedHeaderWithARightChecksumIsFoundToo) {
  Sealer s;
  Bytes whole = s.Seal("a manifest's text");
  for (size_t bit = 4 * 8; bit < kHeaderBytes * 8; ++bit) {
    size_t byte = bit / 8;
    if (byte >= 12 && byte < 16) continue;  // the checksum itself
    Bytes b = whole;
    b[byte] ^= static_cast<uint8_t>(1u << (bit % 8));
    Code expected = byte == 4 ? Code::kTampered : byte < 8 ? Code::kUnknownFormat : Code::kAuthFailed;
    EXPECT_EQ(CodeName(s.Open(WithChecksum(b))), CodeName(expected)) << "byte " << byte;
  }
}

TEST(SealedObject, AnotherKindIsTamperingEvenUnderTheSameKeys) {
  Sealer s;
  for (ObjectKind kind : {ObjectKind::kSegment, ObjectKind::kFrame, ObjectKind::kKeyring}) {
    EXPECT_EQ(s.Open(s.Seal("text", 3, kName, {}, kind)), Code::kTampered);
  }
}

TEST(RuleA2, AnObjectOpensUnderItsOwnStoreNameAndExtraOnly) {
  Sealer s;
  Bytes sealed = s.Seal("text", 3, kName, AsBytes("extra"));
  auto open = [&](StoreId store, std::string_view name, std::string_view extra) {
    return CodeOf(OpenObject(s.keys, ObjectKind::kManifest, {store, name, AsBytes(extra)}, sealed));
  };
  ASSERT_TRUE(OpenObject(s.keys, ObjectKind::kManifest, {s.store, kName, AsBytes("extra")}, sealed));
  EXPECT_EQ(open(FixedStore(8), kName, "extra"), Code::kAuthFailed);
  EXPECT_EQ(open(s.store, "enclave-state/1/core-enclave", "extra"), Code::kAuthFailed)
      << "swapped between slots";
  EXPECT_EQ(open(s.store, kName, ""), Code::kAuthFailed);
  EXPECT_EQ(open(s.store, kName, "extrb"), Code::kAuthFailed);
}

TEST(RuleA2, ANameDoesNotRunIntoItsExtra) {
  Sealer s;
  Bytes sealed = s.Seal("text", 3, "ab", AsBytes("c"));
  EXPECT_EQ(CodeOf(OpenObject(s.keys, ObjectKind::kManifest, {s.store, "a", AsBytes("bc")}, sealed)),
            Code::kAuthFailed);
  EXPECT_NE(EncodeBinding({s.store, "ab", AsBytes("c")}), EncodeBinding({s.store, "a", AsBytes("bc")}));
  EXPECT_NE(EncodeBinding({s.store, "ab"}), EncodeBinding({s.store, "", AsBytes("ab")}));
}

TEST(RuleA2, AHeaderMovedToAnotherTextOpensNothing) {
  Sealer s;
  Bytes a = s.Seal("first text", 1), b = s.Seal("other text", 2);
  Bytes mixed(a.begin(), a.begin() + kHeaderBytes);
  Append(mixed, ByteView(b).subspan(kHeaderBytes));
  EXPECT_EQ(s.Open(mixed), Code::kAuthFailed);
}

TEST(SealedObject, OpensUnderNoOtherDomainsKeys) {
  Sealer s;
  Bytes sealed = s.Seal("text");
  DomainKeys other = DomainKeys::Derive(FixedKey(2));
  EXPECT_EQ(CodeOf(OpenObject(other, ObjectKind::kManifest, {s.store, kName}, sealed)), Code::kAuthFailed);
}

TEST(SealedObject, IsAskedForUnderANameNobodyCanHaveSealed) {
  Sealer s;
  std::string name(70'000, 'n');  // a hostile listing may say anything
  EXPECT_EQ(CodeOf(OpenObject(s.keys, ObjectKind::kManifest, {s.store, name}, s.Seal("text"))),
            Code::kAuthFailed);
}

// A live clone of a running machine draws the same salt. If its text differs in one bit, it must reach
// another key: under one key the xor of two ciphertexts is the xor of their texts.
TEST(RuleA1, ACloneThatDrawsTheSameSaltSharesNoKeystreamWithADifferentText) {
  Sealer s;
  std::string text(64, 'a');
  Bytes first = s.Seal(text);
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string other = text;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << (bit % 8)));
    Bytes second = s.Seal(other);
    ASSERT_TRUE(Equal(ByteView(first).subspan(16, 32), ByteView(second).subspan(16, 32)))
        << "the salts are equal";
    Bytes streams =
        attack::Xor(ByteView(first).subspan(kHeaderBytes, 64), ByteView(second).subspan(kHeaderBytes, 64));
    EXPECT_NE(streams, attack::Xor(AsBytes(text), AsBytes(other))) << bit;
  }
}

TEST(RuleA1, TheSameSaltWithOtherAssociatedDataReachesAnotherKey) {
  Sealer s;
  std::string zeros(64, '\0');  // sealing zeros shows the keystream
  std::vector<Bytes> streams;
  auto add = [&](const Bytes& sealed) {
    streams.push_back(ToBytes(ByteView(sealed).subspan(kHeaderBytes, 64)));
  };
  add(s.Seal(zeros));
  add(s.Seal(zeros, 3, "enclave-state/1/core-enclave"));
  add(s.Seal(zeros, 3, kName, AsBytes("extra")));
  add(s.Seal(zeros, 3, kName, {}, ObjectKind::kFrame));
  add(s.Seal(zeros, 3, kName, {}, ObjectKind::kManifest, Epoch(2)));
  add(s.Seal(zeros, 4));
  add(s.Seal(zeros + '\0'));
  s.store = FixedStore(8);
  add(s.Seal(zeros));
  for (size_t i = 0; i < streams.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(streams[i], streams[j]) << i << " and " << j;
  }
}

TEST(RuleA1, TheSameSaltWithTheSameTextGivesTheSameBytesAndSoReleasesNothing) {
  Sealer s;
  EXPECT_EQ(s.Seal("text"), s.Seal("text"));
}

TEST(SealedObject, CostsItsHeaderAndOneTag) {
  Sealer s;
  for (size_t n : {0, 1, 511, 100'000}) EXPECT_EQ(s.Seal(std::string(n, 'x')).size(), n + kOverheadBytes);
}

TEST(ObjectHeader, DecodesFromTheFrontOfALongerObject) {
  Sealer s;
  Bytes sealed = s.Seal("text");
  Result<ObjectHeader> header = ObjectHeader::Decode(sealed, ObjectKind::kManifest);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->epoch, Epoch(1));
  EXPECT_EQ(header->salt[0], 3);
}

}  // namespace
}  // namespace holdfast::seal
