#include "host/kv/json_answers.h"

#include <gtest/gtest.h>

namespace holdfast::host {
namespace {

TEST(JsonAnswers, RowsAreReadAsTheyWereWritten) {
  auto item = ParseDynamoItem(AsBytes(R"({"Item":{"w":{"S":"a-1"},"v":{"B":"Zm9v"},"z":{"N":"3"}}})"));
  ASSERT_TRUE(item && *item);
  EXPECT_EQ(ToText((*item)->bytes) + (*item)->write, "fooa-1");
  item = ParseDynamoItem(AsBytes("{}"));
  ASSERT_TRUE(item);
  EXPECT_FALSE(*item);
  auto entity = ParseAzureEntity(AsBytes(R"({"w":"a-1","z":6,"v1":"YmFy","v0":"Zm9v"})"));
  ASSERT_TRUE(entity);
  EXPECT_EQ(ToText(entity->bytes), "foobar") << "in the order of the properties' numbers";
  auto document =
      ParseFirestoreDocument(AsBytes(R"({"fields":{"w":{"stringValue":"a-1"}},"updateTime":"t"})"));
  ASSERT_TRUE(document);
  EXPECT_TRUE(document->bytes.empty());
}

TEST(JsonAnswers, WhatIsOfAnotherShapeIsRefused) {
  for (const char* json :
       {"", "{", "[]", "null", "7", R"({"Item":7})", R"({"Item":{"v":{"B":"Zm9v"}}})",
        R"({"Item":{"w":{"S":"a"},"v":{"B":"Zm9"}}})", R"({"Item":{"w":{"S":"a"},"v":{"B":7}}})"}) {
    EXPECT_EQ(ParseDynamoItem(AsBytes(json)).code(), Code::kMalformed) << json;
  }
  for (const char* json : {"{}", R"({"value":{}})", R"({"value":[{"RowKey":"61"}]})",
                           R"({"value":[{"z":1}]})", R"({"value":[{"RowKey":"61","z":-1}]})",
                           R"({"value":[{"RowKey":"61","z":1.5}]})", R"({"value":[7]})"}) {
    EXPECT_EQ(ParseAzureListing(AsBytes(json)).code(), Code::kMalformed) << json;
  }
  for (const char* name : {"..", ".", "a/b", "/"}) {
    std::string json = R"({"FileStatuses":{"FileStatus":[{"type":"FILE","length":1,"pathSuffix":")";
    EXPECT_EQ(ParseHdfsListing(AsBytes(json + name + "\"}]}}")).code(), Code::kMalformed) << name;
  }
}

TEST(JsonAnswers, DeepNestingIsNoCrash) {
  std::string deep(200'000, '[');
  EXPECT_EQ(ParseDynamoListing(AsBytes(deep)).code(), Code::kMalformed);
  EXPECT_EQ(ParseDynamoListing(AsBytes(deep + std::string(200'000, ']'))).code(), Code::kMalformed);
}

TEST(JsonAnswers, KeysKeepTheOrderOfNames) {
  const std::string names[] = {"A", "a-b", "a.b", "a/b", "a/b-c", "a0", "ab", "zz/1"};
  std::string before;
  for (const std::string& name : names) {
    EXPECT_LT(before, NameToKey(name));
    before = NameToKey(name);
    EXPECT_EQ(NameOfKey(before), name);
  }
  for (const char* odd : {"6", "6g", "6a6A", "6a"}) EXPECT_FALSE(NameOfKey(odd)) << odd;
}

}  // namespace
}  // namespace holdfast::host
