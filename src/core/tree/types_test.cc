#include "core/tree/types.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "core/tree/descriptor.h"

namespace holdfast::tree {
namespace {

bool Json(std::string_view text) { return IsJson(AsBytes(text)); }

std::string Nested(size_t depth, const std::string& open, const std::string& close) {
  std::string text;
  for (size_t i = 0; i < depth; ++i) text += open;
  text += "0";
  for (size_t i = 0; i < depth; ++i) text += close;
  return text;
}

TEST(Types, JsonIsWhatTheRfcSaysAndNothingElse) {
  for (const char* good : {"0",
                           "-0",
                           "-1.5e+9",
                           "1E5",
                           "0.0",
                           "12345678901234567890123",
                           "1e999",
                           "\"\"",
                           "\"\\u00e9\\/\\b\"",
                           "\"\\ud83c\\udf89\"",
                           "\"\xF0\x9F\x8E\x89\"",
                           "\"\x7F\"",
                           "true",
                           " false\r\n",
                           "\tnull ",
                           "[]",
                           "[ ]",
                           "{}",
                           "{ }",
                           "[1,[2,{}]]",
                           R"({"a":1,"a":[ "b" , null ],"":{}})"}) {
    EXPECT_TRUE(Json(good)) << good;
  }
  for (const char* bad : {"",
                          " ",
                          "01",
                          "-",
                          "+1",
                          ".5",
                          "1.",
                          "1e",
                          "1e+",
                          "0x1",
                          "NaN",
                          "Infinity",
                          "tru",
                          "truee",
                          "True",
                          "\"",
                          "\"\n\"",
                          "\"\\x41\"",
                          "\"\\u12g4\"",
                          "\"\\u123\"",
                          "\"\\\"",
                          "'a'",
                          "[",
                          "]",
                          "[1,]",
                          "[,1]",
                          "[1 2]",
                          "[1}",
                          "{",
                          "{1:2}",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":1,}",
                          "{\"a\" 1}",
                          "{a:1}",
                          "1 2",
                          "// c\n1",
                          "\xEF\xBB\xBF"
                          "1",
                          "\"\xFF\"",
                          "\"\xED\xA0\x80\"",
                          "\"\\ud800\"",
                          "\"\\ud800\\u0041\"",
                          "\"\\udc00\"",
                          "\"\\ud800x\"",
                          "1\x0B"}) {
    EXPECT_FALSE(Json(bad)) << bad;
  }
  EXPECT_FALSE(Json(std::string_view("1\0", 2)));
  EXPECT_FALSE(Json(std::string_view("\"\0\"", 3)));
  EXPECT_FALSE(Json(std::string_view("\"\\\0\"", 4)));
}

TEST(Types, JsonNestsToItsBoundAndNoDeeperHoweverLongItIs) {
  EXPECT_TRUE(Json(Nested(kJsonDepthMax, "[", "]")));
  EXPECT_FALSE(Json(Nested(kJsonDepthMax + 1, "[", "]")));
  EXPECT_TRUE(Json(Nested(kJsonDepthMax, "{\"k\":", "}")));
  EXPECT_FALSE(Json(Nested(kJsonDepthMax + 1, "{\"k\":", "}")));
  EXPECT_FALSE(Json(std::string(1'000'000, '[')));
}

TEST(Types, IntegersAreKeptSoThatBytesSortAsTheyDo) {
  const int64_t low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();
  const std::vector<int64_t> ascending = {low, low + 1, -65'536, -256, -1, 0, 1, 255, 256, high - 1, high};
  for (size_t i = 0; i < ascending.size(); ++i) {
    EXPECT_EQ(Int64Of(FromInt64(ascending[i])), ascending[i]);
    if (i == 0) continue;
    EXPECT_LT(Compare(FromInt64(ascending[i - 1]), FromInt64(ascending[i])), 0) << ascending[i];
  }
  EXPECT_EQ(HexUpper(FromInt64(-1)), "7FFFFFFFFFFFFFFF");
  EXPECT_EQ(HexUpper(FromUint64(258)), "0000000000000102");
  EXPECT_EQ(Uint64Of(FromUint64(~uint64_t{0})), ~uint64_t{0});
}

TEST(Types, EachTypeTakesItsBytesAndNoOthers) {
  const Bytes seven(7), eight(8), nine(9), fifteen(15), sixteen(16), none, no_text = {0xC0, 0x80};
  for (Type t : {Type::kInt64, Type::kUint64}) {
    EXPECT_TRUE(IsOf(t, eight));
    for (const Bytes& b : {none, seven, nine}) EXPECT_FALSE(IsOf(t, b));
  }
  EXPECT_TRUE(IsOf(Type::kUuid, sixteen));
  EXPECT_FALSE(IsOf(Type::kUuid, fifteen));
  EXPECT_TRUE(IsOf(Type::kText, none));
  EXPECT_FALSE(IsOf(Type::kText, no_text));
  EXPECT_TRUE(IsOf(Type::kBytes, no_text));
  EXPECT_FALSE(IsOf(Type::kJson, none));
  for (int64_t t : {kTimestampMin, int64_t{0}, kTimestampMax})
    EXPECT_TRUE(IsOf(Type::kTimestamp, FromInt64(t)));
  EXPECT_FALSE(IsOf(Type::kTimestamp, FromInt64(kTimestampMin - 1)));
  EXPECT_FALSE(IsOf(Type::kTimestamp, FromInt64(kTimestampMax + 1)));
  EXPECT_FALSE(IsOf(Type::kTimestamp, seven));
}

TEST(Types, NamesAreOneToOne) {
  for (uint8_t n = 1; n <= 7; ++n) {
    auto type = static_cast<Type>(n);
    EXPECT_TRUE(IsKnown(type));
    EXPECT_EQ(TypeOf(TypeName(type)), type);
  }
  EXPECT_FALSE(IsKnown(Type{0}));
  EXPECT_FALSE(IsKnown(Type{8}));
  EXPECT_EQ(TypeOf("unknown"), std::nullopt);
}

TEST(Types, ADescriptorKeepsItsTypesAndSaysWhichRowsFit) {
  Descriptor d;
  d.name = "t";
  d.key_type = Type::kInt64;
  d.value_type = Type::kJson;
  EXPECT_EQ(HexUpper(d.Encode()),
            "01000100740307010110004000"
            "0000");
  auto back = Descriptor::Decode(d.Encode());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, d);
  EXPECT_TRUE(d.CheckRow(FromInt64(-1), AsBytes("{}")));
  EXPECT_EQ(d.CheckRow(FromInt64(-1), AsBytes("{")).code(), Code::kValueType);
  EXPECT_EQ(d.CheckRow(AsBytes("1"), AsBytes("{")).code(), Code::kKeyType);
  d.key_type = Type::kJson;
  EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kInvalidArgument);
  for (uint8_t unknown : {uint8_t{0}, uint8_t{8}, uint8_t{255}}) {
    d.key_type = static_cast<Type>(unknown);
    EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kUnknownFormat);
    std::swap(d.key_type, d.value_type);
    EXPECT_EQ(Descriptor::Decode(d.Encode()).code(), Code::kUnknownFormat);
    d.value_type = Type::kBytes;
  }
}

}  // namespace
}  // namespace holdfast::tree
