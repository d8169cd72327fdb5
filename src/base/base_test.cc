#include <gtest/gtest.h>

#include <set>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast {
namespace {

TEST(Codes, HaveUniqueNumbersAndAnExitCodeOfOneTwoOrThree) {
  std::set<int> seen;
#define HF_CODE(name, number, exit, text)           \
  EXPECT_TRUE(seen.insert(number).second) << #name; \
  EXPECT_TRUE((exit) >= 1 && (exit) <= 3) << #name; \
  EXPECT_EQ(CodeExit(Code::name), exit);
#include "base/codes.def"
#undef HF_CODE
}

TEST(Codes, KeepTheNumbersThatOthersHaveStored) {
  EXPECT_EQ(static_cast<int>(Code::kWrongPassphrase), 200);
  EXPECT_EQ(static_cast<int>(Code::kTampered), 401);
  EXPECT_EQ(static_cast<int>(Code::kConflict), 500);
}

Result<int> Half(int x) {
  if (x % 2 != 0) return Code::kInvalidArgument;
  return x / 2;
}
Result<int> Quarter(int x) {
  HF_TRY(int h, Half(x));
  return Half(h);
}

TEST(Result, CarriesTheFirstErrorToTheCaller) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).code(), Code::kInvalidArgument);
  EXPECT_EQ(Quarter(7).code(), Code::kInvalidArgument);
}

TEST(ResultDeathTest, StopsWhenTheWrongSideIsTaken) { EXPECT_DEATH((void)Half(3).value(), "check failed"); }

TEST(Codec, ReaderRefusesToReadPastTheEnd) {
  Bytes b;
  Writer(b).U32(7).Blob16(AsBytes("abc"));
  for (size_t n = 0; n < b.size(); ++n) {
    Reader r(ByteView(b).first(n));
    r.U32();
    r.Blob16();
    EXPECT_FALSE(r.Finish()) << n;
  }
  Reader r(b);
  EXPECT_EQ(r.U32(), 7u);
  EXPECT_EQ(AsText(r.Blob16()), "abc");
  EXPECT_TRUE(r.Finish());
}

TEST(Codec, ReaderRefusesACountThatTheInputCannotHold) {
  Bytes b;
  Writer(b).U32(0xFFFFFFFF).U64(0);
  Reader r(b);
  EXPECT_EQ(r.Count32(8), 0u);
  EXPECT_FALSE(r.ok());
}

TEST(Bytes, HexRoundTripsAndRefusesOddOrForeignDigits) {
  EXPECT_EQ(HexUpper(AsBytes("\x01\xAB")), "01AB");
  EXPECT_EQ(*ParseHex("01ab"), ToBytes("\x01\xAB"));
  EXPECT_FALSE(ParseHex("0").has_value());
  EXPECT_FALSE(ParseHex("0g").has_value());
}

TEST(Crc32c, MatchesThePublishedVectors) {  // RFC 3720 B.4
  EXPECT_EQ(Crc32c(Bytes(32, 0x00)), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(Bytes(32, 0xFF)), 0x62A8AB43u);
}

TEST(Secret, IsEmptyAfterItWasMoved) {
  Key a{Bytes(32, 7)};
  Key b = std::move(a);
  EXPECT_TRUE(Equal(b.view(), Bytes(32, 7)));
  EXPECT_TRUE(a.view().empty());  // NOLINT: the point of the test
}

TEST(Secret, LivesInTheGivenMemoryIsWipedThereAndSpillsToTheHeapWhenItIsFull) {
  constexpr size_t kBytes = 4096;
  alignas(64) static uint8_t memory[kBytes];
  auto inside = [](const uint8_t* p) { return p >= memory && p < memory + kBytes; };
  Key before{Bytes(32, 1)};
  UseSecretMemory(memory, kBytes);
  EXPECT_EQ(SecretMemoryNow().bytes, kBytes);
  {
    Key key{Bytes(32, 7)};
    SecretBytes longer{Bytes(1000, 8)};  // 16 slots
    EXPECT_TRUE(inside(key.view().data()));
    EXPECT_TRUE(inside(longer.view().data()));
    EXPECT_EQ(SecretMemoryNow().used, 17u * 64);
    SecretBytes too_long{Bytes(kBytes, 9)};
    EXPECT_FALSE(inside(too_long.view().data()));
    EXPECT_EQ(SecretMemoryNow().outside, 1u);
    std::vector<Key> many;
    for (int i = 0; i < 100; ++i) many.push_back(Key{Bytes(32, static_cast<uint8_t>(i))});
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(Equal(many[i].view(), Bytes(32, static_cast<uint8_t>(i))));
    EXPECT_EQ(SecretMemoryNow().used, kBytes);
    many.erase(many.begin() + 3, many.begin() + 40);  // holes are found again
    SecretBytes in_hole{Bytes(10 * 64, 5)};
    EXPECT_TRUE(inside(in_hole.view().data()));
  }
  EXPECT_EQ(SecretMemoryNow().used, 0u);
  for (uint8_t byte : memory) ASSERT_EQ(byte, 0);
  { Key dropped = std::move(before); }  // from the heap, where it was made
  UseSecretMemory(nullptr, 0);
}

TEST(Secret, ConstantTimeEqualComparesSizesAndEveryByte) {
  Bytes a(32, 1), b(32, 1);
  EXPECT_TRUE(ConstantTimeEqual(a, b));
  b[31] ^= 1;
  EXPECT_FALSE(ConstantTimeEqual(a, b));
  EXPECT_FALSE(ConstantTimeEqual(a, ByteView(a).first(31)));
}

}  // namespace
}  // namespace holdfast
