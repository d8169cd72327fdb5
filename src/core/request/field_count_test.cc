#include "core/request/field_count.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::request {
namespace {

// { 1: leaf, 2: { 3: leaf, 4: { leaves } } }
constexpr Shape kLeaves = {};
constexpr MessageField kMiddleFields[] = {{4, &kLeaves}};
constexpr Shape kMiddle = {kMiddleFields};
constexpr MessageField kTopFields[] = {{2, &kMiddle}};
constexpr Shape kTop = {kTopFields};

std::string Varint(uint64_t n) {
  std::string out;
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  return out + static_cast<char>(n);
}
std::string Number(uint32_t field, uint64_t n) { return Varint(field << 3) + Varint(n); }
std::string Delimited(uint32_t field, const std::string& bytes) {
  return Varint(field << 3 | 2) + Varint(bytes.size()) + bytes;
}

// In pieces of `piece` bytes.
Result<uint64_t> Count(const std::string& bytes, uint64_t fields_max = 1000, size_t piece = SIZE_MAX) {
  FieldCount count(kTop, bytes.size(), fields_max);
  for (size_t i = 0; i < bytes.size(); i += std::min(piece, bytes.size())) {
    HF_TRY_VOID(count.Feed(AsBytes(std::string_view(bytes).substr(i, piece))));
  }
  HF_TRY_VOID(count.Finish());
  return count.fields();
}

TEST(FieldCount, CountsWhatIsInMessagesInsideAndTakesLeavesForWhatTheyAre) {
  EXPECT_EQ(Count("").value(), 0u);
  EXPECT_EQ(Count(Number(1, 300)).value(), 1u);
  EXPECT_EQ(Count(Delimited(1, Number(1, 1) + Number(1, 1))).value(), 1u) << "a leaf is not looked into";
  EXPECT_EQ(Count(Delimited(2, Number(3, 1) + Number(3, UINT64_MAX))).value(), 3u);
  EXPECT_EQ(Count(Delimited(2, Delimited(4, Number(9, 1)) + Number(3, 1)) + Number(1, 0)).value(), 5u);
  EXPECT_EQ(Count(Delimited(2, Delimited(2, "\xFF\xFF"))).value(), 2u) << "2 is a leaf one level further in";
  EXPECT_EQ(Count(Delimited(2, "") + Delimited(2, "")).value(), 2u);
  EXPECT_EQ(
      Count(Varint(7 << 3 | 1) + std::string(8, 'x') + Varint(7 << 3 | 5) + std::string(4, 'x')).value(), 2u);
}

TEST(FieldCount, RefusesTheFieldBeyondTheLimitAtWhateverDepth) {
  std::string ten;
  for (int i = 0; i < 10; ++i) ten += Number(3, 1);
  EXPECT_EQ(Count(ten, 10).value(), 10u);
  EXPECT_EQ(Count(ten, 9).code(), Code::kTooLarge);
  EXPECT_EQ(Count(Delimited(2, ten), 10).code(), Code::kTooLarge);
  EXPECT_EQ(Count(Delimited(2, Delimited(4, ten)), 11).code(), Code::kTooLarge);
  EXPECT_EQ(Count(Delimited(2, Delimited(4, ten)), 12).value(), 12u);
}

TEST(FieldCount, MillionsOfEmptyMessagesEndAtTheLimit) {
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += Delimited(2, "");
  FieldCount count(kTop, bytes.size(), 200'000);
  EXPECT_EQ(count.Feed(AsBytes(bytes)).code(), Code::kTooLarge);
  EXPECT_EQ(count.fields(), 200'001u);
}

TEST(FieldCount, RefusesWhatIsNoMessage) {
  for (const std::string& bad : {
           Varint(1 << 3 | 3) + Varint(1 << 3 | 4),  // a group
           Varint(1 << 3 | 4),
           Varint(1 << 3 | 6),
           Varint(1 << 3 | 7),
           Varint(0) + Varint(1),                  // field 0
           Varint(uint64_t{1} << 35) + Varint(1),  // a field number beyond all
           std::string(10, '\x80') + '\x01',       // eleven bytes of a number
           Varint(1 << 3) + std::string(10, '\xFF') + '\x01',
           Varint(1 << 3),
           Varint(1 << 3 | 2),  // cut off
           Delimited(1, "abc").substr(0, 4),
           Varint(1 << 3 | 2) + Varint(UINT64_MAX),
           Varint(1 << 3 | 1) + "1234567",
           Varint(1 << 3 | 5) + "123",
           std::string("\x80"),
           Delimited(2, Varint(3 << 3)) + Varint(1),  // a number reaches out of its message
           Delimited(2, Varint(3 << 3 | 2) + Varint(1)) + "x",
           Delimited(2, Varint(4 << 3 | 2) + Varint(2)) + Number(1, 1),
           Delimited(2, Varint(3 << 3 | 1) + "1234567") + "8",
       }) {
    Result<uint64_t> whole = Count(bad), bytewise = Count(bad, 1000, 1);
    EXPECT_EQ(whole.has_value() ? Code{} : whole.code(), Code::kMalformed) << testing::PrintToString(bad);
    EXPECT_EQ(bytewise.has_value() ? Code{} : bytewise.code(), Code::kMalformed)
        << testing::PrintToString(bad);
  }
}

TEST(FieldCount, PiecesMakeNoDifference) {
  std::string bytes = Number(1, 1u << 30);
  bytes += Delimited(2, Delimited(4, Number(300, 1) + Delimited(5, std::string(300, 'x'))) + Number(3, 7));
  bytes += Delimited(2, "") + Delimited(1, std::string(200, 'y')) + Delimited(2, Delimited(4, ""));
  uint64_t whole = Count(bytes).value();
  for (size_t piece = 1; piece < bytes.size(); ++piece) EXPECT_EQ(Count(bytes, 1000, piece).value(), whole);
}

TEST(FieldCount, MoreBytesThanWereSaidAreRefusedAndFewerAreNotWhole) {
  std::string bytes = Number(1, 1);
  FieldCount count(kTop, bytes.size(), 10);
  ASSERT_TRUE(count.Feed(AsBytes(bytes)).has_value());
  EXPECT_TRUE(count.Finish().has_value());
  EXPECT_EQ(count.Feed(AsBytes("x")).code(), Code::kTooLarge);
  FieldCount longer(kTop, bytes.size() + 1, 10);
  ASSERT_TRUE(longer.Feed(AsBytes(bytes)).has_value());
  EXPECT_EQ(longer.Finish().code(), Code::kMalformed);
}

}  // namespace
}  // namespace holdfast::request
