#include "cli/typed_text.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/bytes.h"
#include "vector_file.h"

namespace holdfast::cli {
namespace {

using tree::Type;

TEST(TypedText, WhatIsWrittenIsReadAsTheSameBytes) {
  const std::pair<Type, const char*> texts[] = {{Type::kInt64, "-9223372036854775808"},
                                                {Type::kInt64, "0"},
                                                {Type::kInt64, "9223372036854775807"},
                                                {Type::kUint64, "18446744073709551615"},
                                                {Type::kUuid, "00112233-4455-6677-8899-aabbccddeeff"},
                                                {Type::kTimestamp, "0000-01-01T00:00:00.000000Z"},
                                                {Type::kTimestamp, "1969-12-31T23:59:59.999999Z"},
                                                {Type::kTimestamp, "1970-01-01T00:00:00.000000Z"},
                                                {Type::kTimestamp, "2024-02-29T12:34:56.000007Z"},
                                                {Type::kTimestamp, "9999-12-31T23:59:59.999999Z"},
                                                {Type::kText, "\xC3\xBC\t"},
                                                {Type::kJson, "{\"a\": [1]}"},
                                                {Type::kBytes, "\xFF"}};
  for (auto [type, text] : texts) {
    Result<std::string> bytes = ParseTyped(type, text);
    ASSERT_TRUE(bytes.has_value()) << text;
    EXPECT_TRUE(tree::IsOf(type, AsBytes(*bytes))) << text;
    EXPECT_EQ(TypedText(type, *bytes), text);
  }
}

TEST(TypedText, TheBytesAreThoseOfTheFormat) {
  auto hex = [](Type type, const char* text) { return HexUpper(AsBytes(ParseTyped(type, text).value())); };
  EXPECT_EQ(hex(Type::kInt64, "-1"), "7FFFFFFFFFFFFFFF");
  EXPECT_EQ(hex(Type::kUint64, "258"), "0000000000000102");
  EXPECT_EQ(hex(Type::kTimestamp, "1970-01-01T00:00:01Z"), "80000000000F4240");
  EXPECT_EQ(hex(Type::kTimestamp, "1970-01-01T00:00:00.25Z"), "800000000003D090");
  EXPECT_EQ(hex(Type::kUuid, "00112233-4455-6677-8899-AABBCCDDEEFF"), "00112233445566778899AABBCCDDEEFF");
}

TEST(TypedText, AgreesWithTheIndependentImplementation) {
  size_t seen = 0;
  for (const vectors::Block& b : vectors::Load("types.txt")) {
    auto type = tree::TypeOf(b.name.substr(0, b.name.find(' ')));
    if (!type || !b.values.contains("text")) continue;
    ++seen;
    std::string text = ToText(b.Hex("text")), bytes = ToText(b.Hex("bytes"));
    EXPECT_TRUE(ParseTyped(*type, text).value() == bytes) << text;
    EXPECT_EQ(TypedText(*type, bytes), text);
  }
  EXPECT_EQ(seen, 15u);
}

TEST(TypedText, WhatIsNotOfTheTypeIsRefused) {
  for (const char* bad : {"", " 1", "1 ", "+1", "1.0", "0x1", "one", "9223372036854775808", "--1"})
    EXPECT_FALSE(ParseTyped(Type::kInt64, bad).has_value()) << bad;
  for (const char* bad : {"", "-1", "18446744073709551616"})
    EXPECT_FALSE(ParseTyped(Type::kUint64, bad).has_value()) << bad;
  for (const char* bad : {"", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef",
                          "00112233-4455-6677-8899-aabbccddeefg", "0011223-34455-6677-8899-aabbccddeeff",
                          "00112233-4455-6677-8899-aabbccddee-f", "{0112233-4455-6677-8899-aabbccddeef}"})
    EXPECT_FALSE(ParseTyped(Type::kUuid, bad).has_value()) << bad;
  for (const char* bad :
       {"", "2026-11-22", "2026-11-22T06:52:51", "2026-11-22 06:52:51Z", "2026-11-22T06:52:51+00:00",
        "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-11-22T24:00:00Z",
        "2026-11-22T23:60:00Z", "2026-11-22T23:59:60Z", "2026-11-22T06:52:51.Z",
        "2026-11-22T06:52:51.1234567Z", "2026-11-22T06:52:51.-1Z", "2026-11-22T06:52:51z",
        "12026-11-22T06:52:51Z", "-026-11-22T06:52:51Z"})
    EXPECT_FALSE(ParseTyped(Type::kTimestamp, bad).has_value()) << bad;
  EXPECT_FALSE(ParseTyped(Type::kText, "\xFF").has_value());
  EXPECT_FALSE(ParseTyped(Type::kJson, "{").has_value());
}

TEST(TypedText, BytesThatNoTableHoldsAreShownAsTheyAre) {
  EXPECT_EQ(TypedText(Type::kUint64, "abc"), "abc");
  EXPECT_EQ(TypedText(Type::kTimestamp, std::string(8, '\xFF')), std::string(8, '\xFF'));
}

}  // namespace
}  // namespace holdfast::cli
