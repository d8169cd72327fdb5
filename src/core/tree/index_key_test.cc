#include "core/tree/index_key.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/tree/json_scan_internal.h"

namespace holdfast::tree {
namespace {

std::string Found(std::string_view json, std::string_view pointer) {
  EXPECT_TRUE(IsJson(AsBytes(json))) << json;
  EXPECT_TRUE(MayPoint(Type::kJson, pointer)) << pointer;
  auto found = FindJson(json, pointer);
  return found ? std::string(*found) : "nothing";
}
std::optional<Bytes> Field(std::string_view json, std::string_view pointer = "") {
  EXPECT_TRUE(IsJson(AsBytes(json))) << json;
  return FieldOf(Type::kJson, pointer, AsBytes(json));
}

TEST(IndexKey, PointersLeadWhereTheRfcSays) {
  // The document of RFC 6901, section 5.
  const std::string document =
      R"({"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8})";
  EXPECT_EQ(Found(document, ""), document);
  EXPECT_EQ(Found(document, "/foo"), R"(["bar", "baz"])");
  EXPECT_EQ(Found(document, "/foo/0"), R"("bar")");
  EXPECT_EQ(Found(document, "/foo/1"), R"("baz")");
  const std::vector<std::string> pointers = {"/",     "/a~1b", "/c%d", "/e^f", "/g|h",
                                             "/i\\j", "/k\"l", "/ ",   "/m~0n"};
  for (size_t i = 0; i < pointers.size(); ++i) EXPECT_EQ(Found(document, pointers[i]), std::to_string(i));
  for (const char* nowhere : {"/foo/2", "/foo/-", "/foo/01", "/foo/00", "/foo/+1", "/foo/0/x", "/bar",
                              "/foo/", "/foo/99999999999999999999", "//", "/m~1n"}) {
    EXPECT_EQ(Found(document, nowhere), "nothing") << nowhere;
  }
  EXPECT_EQ(Found(R"( { "a" : { "b" : [ [ ] , { } , [ 1 , "]}" , null ] ] } } )", "/a/b/2/1"), R"("]}")");
  EXPECT_EQ(Found(R"({"a":1,"a":2})", "/a"), "1") << "of a name that stands twice, the first";
  EXPECT_EQ(Found(R"({"\u0061\ud83d\ude00":1})", "/a\xF0\x9F\x98\x80"), "1") << "names are compared as text";
  for (const char* bad : {"a", "~", "/~", "/~2", "/a~", "/\xff"})
    EXPECT_FALSE(MayPoint(Type::kJson, bad)) << bad;
  EXPECT_FALSE(MayPoint(Type::kText, "/a"));
  EXPECT_TRUE(MayPoint(Type::kText, ""));
}

TEST(IndexKey, JsonFieldsSortByKindThenAsWhatTheyMean) {
  const std::vector<std::string> ascending = {"null",
                                              "false",
                                              "true",
                                              "-1e308",
                                              "-17",
                                              "-0.5",
                                              "-5e-324",
                                              "0",
                                              "5e-324",
                                              "1e-7",
                                              "0.5",
                                              "9",
                                              "10",
                                              "1e2",
                                              "18446744073709551616",
                                              "1e308",
                                              R"("")",
                                              R"("\u0000")",
                                              R"("A")",
                                              R"("AB")",
                                              R"("B")",
                                              R"("\u00fc")",
                                              R"("\ud83d\ude00")"};
  std::vector<Bytes> fields;
  for (const std::string& json : ascending) {
    ASSERT_TRUE(Field(json)) << json;
    fields.push_back(*Field(json));
  }
  EXPECT_TRUE(std::is_sorted(fields.begin(), fields.end()));
  EXPECT_EQ(std::adjacent_find(fields.begin(), fields.end()), fields.end());
  EXPECT_EQ(Field("-0"), Field("0.0e5")) << "there is one zero";
  EXPECT_EQ(Field("100"), Field("1E+2"));
  EXPECT_EQ(Field("9007199254740993"), Field("9007199254740992")) << "as the nearest double";
  EXPECT_EQ(Field(R"("\u0041\n\/")"), Field("\"A\\n/\""));
  for (const char* none : {"{}", "[1]", "1e999", "-1e999", "1e-999"}) EXPECT_FALSE(Field(none)) << none;
  EXPECT_FALSE(Field(R"({"a":1})", "/b"));
}

TEST(IndexKey, IndexRowsSortByFieldThenKeyAndLeadBack) {
  const std::string zero(1, '\0');
  const std::vector<std::string> texts = {"",     zero,   zero + zero, zero + "\xff",    zero + "a",
                                          "\x01", "a",    "a" + zero,  "a" + zero + "b", "a\x01",
                                          "ab",   "\xff", "\xff\xff"};
  std::vector<std::pair<std::string, std::string>> rows;
  for (const std::string& field : texts) {
    for (const std::string& key : texts) {
      if (!key.empty()) rows.emplace_back(field, key);
    }
  }
  std::vector<Bytes> keys;
  for (const auto& [field, key] : rows) {
    for (bool unique : {false, true}) {
      IndexRow row = IndexRowOf(AsBytes(field), AsBytes(key), unique);
      EXPECT_EQ(KeyOfIndexRow(row.key, row.value, unique).value(), ToBytes(key));
      EXPECT_EQ(KeyOfIndexRow(row.key, row.value, !unique).code(), Code::kMalformed);
    }
    keys.push_back(IndexRowOf(AsBytes(field), AsBytes(key), false).key);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t k = 0; k < rows.size(); ++k) EXPECT_EQ(rows[i] < rows[k], Compare(keys[i], keys[k]) < 0);
  }
  for (const char* bad : {"", "a", "\x01\x02"})
    EXPECT_EQ(KeyOfIndexRow(AsBytes(bad), {}, false).code(), Code::kMalformed);
  EXPECT_EQ(KeyOfIndexRow(Bytes{'a', 0, 1, 'k'}, {}, false).code(), Code::kMalformed) << "00 01 is no escape";
}

// Against all rows: a range has those whose field is within, whatever zeros stand in it.
TEST(IndexKey, RangesHaveTheRowsWhoseFieldsAreWithinAndNoOthers) {
  const std::string zero(1, '\0');
  const std::vector<std::string> texts = {"",   zero,       zero + zero,      zero + "\xff",
                                          "a",  "a" + zero, "a" + zero + "b", "a\x01",
                                          "ab", "b",        "\xff",           "\xff\xff"};
  auto in = [](const IndexRange& range, const std::string& field) {
    Bytes key = IndexRowOf(AsBytes(field), AsBytes("k"), false).key;
    return !range.empty && Compare(key, range.from) >= 0 &&
           (range.until.empty() || Compare(key, range.until) < 0);
  };
  for (const std::string& a : texts) {
    for (const std::string& b : texts) {
      FieldBounds between{ToBytes(a), ToBytes(b), {}, {}}, begun{{}, {}, ToBytes(a), {}},
          same{{}, {}, {}, ToBytes(a)};
      EXPECT_EQ(in(RangeOf(Type::kBytes, between).value(), b), false);
      for (const std::string& field : texts) {
        EXPECT_EQ(in(RangeOf(Type::kBytes, between).value(), field), a <= field && field < b);
        EXPECT_EQ(in(RangeOf(Type::kBytes, begun).value(), field), field.starts_with(a));
        EXPECT_EQ(in(RangeOf(Type::kBytes, same).value(), field), field == a);
      }
    }
  }
}

TEST(IndexKey, BoundsThatAreNoFieldsAreRefused) {
  auto code = [](Type type, const FieldBounds& bounds) { return RangeOf(type, bounds).code(); };
  EXPECT_EQ(code(Type::kJson, {ToBytes("x"), {}, {}, {}}), Code::kInvalidArgument);
  EXPECT_EQ(code(Type::kJson, {ToBytes("{}"), {}, {}, {}}), Code::kInvalidArgument);
  EXPECT_EQ(code(Type::kJson, {{}, {}, {}, ToBytes("[]")}), Code::kInvalidArgument);
  EXPECT_EQ(code(Type::kInt64, {ToBytes("1"), {}, {}, {}}), Code::kInvalidArgument);
  EXPECT_EQ(code(Type::kInt64, {{}, {}, ToBytes("1"), {}}), Code::kInvalidArgument);
  EXPECT_EQ(code(Type::kBytes, {ToBytes("1"), {}, {}, ToBytes("1")}), Code::kInvalidArgument);
  EXPECT_TRUE(RangeOf(Type::kJson, {{}, {}, ToBytes("pre"), {}}).has_value());
}

}  // namespace
}  // namespace holdfast::tree
