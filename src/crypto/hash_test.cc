#include "crypto/hash.h"

#include <gtest/gtest.h>

#include "vector_file.h"

namespace holdfast::crypto {
namespace {

using vectors::Block;
using vectors::Load;

std::string Hex(ByteView b) { return HexUpper(b); }
Bytes FromHex(std::string_view s) { return *ParseHex(s); }
Bytes Repeat(uint8_t x, size_t n) { return Bytes(n, x); }
Bytes Ascending(uint8_t first, size_t n) {
  Bytes b;
  for (size_t i = 0; i < n; ++i) b.push_back(static_cast<uint8_t>(first + i));
  return b;
}

TEST(Sha256, GivesTheDigestsOfFips180) {
  EXPECT_EQ(Hex(Sha256(ByteView{})), "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855");
  EXPECT_EQ(Hex(Sha256(AsBytes("abc"))), "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD");
  EXPECT_EQ(Hex(Sha256(AsBytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248D6A61D20638B8E5C026930C3E6039A33CE45964FF2167F6ECEDD419DB06C1");
}

TEST(Sha256, AgreesWithAnotherImplementationAtEveryAwkwardSize) {
  int seen = 0;
  for (const Block& b : Load("hash.txt")) {
    if (!b.name.starts_with("sha256")) continue;
    ++seen;
    Bytes input = b.Hex("input");
    EXPECT_EQ(Hex(Sha256(input)), Hex(b.Hex("digest"))) << b.name;
    Sha256Stream stream;
    for (uint8_t x : input) stream.Update({&x, 1});
    EXPECT_EQ(Hex(stream.Finish()), Hex(b.Hex("digest"))) << b.name;
    stream.Update(input);
    EXPECT_EQ(Hex(stream.Finish()), Hex(b.Hex("digest"))) << "second message, " << b.name;
  }
  EXPECT_EQ(seen, 11);
}

TEST(HmacSha256, GivesTheDigestsOfRfc4231) {
  struct {
    Bytes key, input;
    std::string_view digest;
  } cases[] = {
      {Repeat(0x0b, 20), ToBytes(std::string_view("Hi There")),
       "B0344C61D8DB38535CA8AFCEAF0BF12B881DC200C9833DA726E9376C2E32CFF7"},
      {ToBytes(std::string_view("Jefe")), ToBytes(std::string_view("what do ya want for nothing?")),
       "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843"},
      {Repeat(0xaa, 20), Repeat(0xdd, 50),
       "773EA91E36800E46854DB8EBD09181A72959098B3EF8C122D9635514CED565FE"},
      {Ascending(1, 25), Repeat(0xcd, 50),
       "82558A389A443C0EA4CC819899F2083A85F0FAA3E578F8077A2E3FF46729665B"},
      {Repeat(0xaa, 131), ToBytes(std::string_view("Test Using Larger Than Block-Size Key - Hash Key First")),
       "60E431591EE0B67F0D8A26AACBF5B77F8E0BC6213728C5140546040F0EE37F54"},
      {Repeat(0xaa, 131),
       ToBytes(
           std::string_view("This is a test using a larger than block-size key and a larger than block-size "
                            "data. The key needs to be hashed before being used by the HMAC algorithm.")),
       "9B09FFA71B942FCB27635FBCD5B0E944BFDC63644F0713938A7F51535C3A35E2"},
  };
  for (const auto& c : cases) EXPECT_EQ(Hex(HmacSha256(c.key, {c.input})), c.digest);
}

TEST(HmacSha256, AgreesWithAnotherImplementationAtEveryKeySize) {
  int seen = 0;
  for (const Block& b : Load("hash.txt")) {
    if (!b.name.starts_with("hmac")) continue;
    ++seen;
    EXPECT_EQ(Hex(HmacSha256(b.Hex("key"), {b.Hex("input")})), Hex(b.Hex("digest"))) << b.name;
  }
  EXPECT_EQ(seen, 7);
}

TEST(HmacSha256, DoesNotCareHowTheMessageIsCutIntoParts) {
  Bytes key = Ascending(0, 32), message = Ascending(7, 200);
  Digest whole = HmacSha256(key, {message});
  for (size_t cut = 0; cut <= message.size(); ++cut) {
    ByteView m(message);
    EXPECT_EQ(HmacSha256(key, {m.first(cut), m.subspan(cut)}), whole) << cut;
  }
}

TEST(HmacStream, StartsAFreshMessageUnderTheSameKeyAfterFinish) {
  Bytes key = Ascending(0, 32);
  HmacStream stream(key);
  stream.Update(AsBytes("one"));
  EXPECT_EQ(stream.Finish(), HmacSha256(key, {AsBytes("one")}));
  EXPECT_EQ(stream.Finish(), HmacSha256(key, {ByteView{}}));
  stream.Update(AsBytes("two"));
  HmacStream moved = std::move(stream);
  EXPECT_EQ(moved.Finish(), HmacSha256(key, {AsBytes("two")}));
}

// The RFC asks for 42 and 82 bytes; ours always gives the first 32 of them.
TEST(HkdfSha256, GivesTheFirst32BytesOfRfc5869) {
  EXPECT_EQ(Hex(HkdfSha256(Repeat(0x0b, 22), Ascending(0, 13), Ascending(0xf0, 10)).view()),
            "3CB25F25FAACD57A90434F64D0362F2A2D2D0A90CF1A5A4C5DB02D56ECC4C5BF");
  EXPECT_EQ(Hex(HkdfSha256(Ascending(0, 80), Ascending(0x60, 80), Ascending(0xb0, 80)).view()),
            "B11E398DC80327A1C8E7F78C596A49344F012EDA2D4EFAD8A050CC4C19AFA97C");
  EXPECT_EQ(Hex(HkdfSha256(Repeat(0x0b, 22), {}, {}).view()),
            "8DA4E775A563C18F715F802A063C5A31B8A11F5C5EE1879EC3454E5F3C738D2D");
}

TEST(HkdfSha256, AgreesWithAnotherImplementation) {
  int seen = 0;
  for (const Block& b : Load("hash.txt")) {
    if (!b.name.starts_with("hkdf")) continue;
    ++seen;
    EXPECT_EQ(Hex(HkdfSha256(b.Hex("ikm"), b.Hex("salt"), b.Hex("info")).view()), Hex(b.Hex("key")))
        << b.name;
  }
  EXPECT_EQ(seen, 4);
}

TEST(DeriveKey, AgreesWithAnotherImplementation) {
  for (const char* name : {"kdf", "kdf no context"}) {
    Block b = vectors::LoadOne("hash.txt", name);
    EXPECT_EQ(Hex(DeriveKey(b.Key("key_in"), b.Text("label"), b.Hex("context")).view()), Hex(b.Hex("key")))
        << name;
  }
}

TEST(DeriveKey, DoesNotLetALabelRunIntoItsContext) {
  Key key{ByteView(Repeat(1, 32))};
  auto derive = [&](std::string_view label, std::string_view context) {
    return Hex(DeriveKey(key, label, AsBytes(context)).view());
  };
  EXPECT_NE(derive("ab", "c"), derive("a", "bc"));
  EXPECT_NE(derive("a", ""), derive("", "a"));
  EXPECT_NE(derive("a", "x"), derive("b", "x"));
  EXPECT_NE(derive("a", "x"), derive("a", "y"));
  EXPECT_EQ(derive("a", "x"), derive("a", "x"));
}

TEST(DeriveKey, DependsOnEveryBitOfTheKey) {
  std::string first = Hex(DeriveKey(Key{ByteView(FromHex(std::string(64, '0')))}, "l").view());
  for (size_t bit = 0; bit < 256; ++bit) {
    Bytes k(32);
    k[bit / 8] = static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_NE(Hex(DeriveKey(Key{ByteView(k)}, "l").view()), first) << bit;
  }
}

}  // namespace
}  // namespace holdfast::crypto
