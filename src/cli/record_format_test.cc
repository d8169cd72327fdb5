#include "cli/record_format.h"

#include <gtest/gtest.h>

#include "cli/resume_point.h"

namespace holdfast::cli {
namespace {

using Format = RecordFormat;

TEST(RecordText, IsWhatThePagesSay) {
  const Record text{"a\"b", "c,\r\nd"}, bytes{"k", "\xFF"};
  EXPECT_EQ(RecordText(Format::kTsv, false, text).value(), "a\"b\tc,\\r\\nd\n");
  EXPECT_EQ(RecordText(Format::kJsonl, false, text).value(),
            "{\"key\":\"a\\\"b\",\"value\":\"c,\\u000D\\u000Ad\"}\n");
  EXPECT_EQ(RecordText(Format::kJsonl, false, bytes).value(), "{\"key\":\"k\",\"value_base64\":\"/w==\"}\n");
  EXPECT_EQ(RecordText(Format::kCsv, false, text).value(), "\"a\"\"b\",\"c,\r\nd\"\r\n");
  EXPECT_EQ(RecordText(Format::kCsv, true, bytes).value(), "aw==,/w==\r\n");
  EXPECT_EQ(RecordText(Format::kCsv, false, {"a b", ""}).value(), "a b,\r\n");
  EXPECT_EQ(RecordText(Format::kCsv, false, {" a", "b "}).value(), "\" a\",\"b \"\r\n");
  EXPECT_EQ(RecordText(Format::kCsv, false, bytes).code(), Code::kBadInput);
  EXPECT_EQ(RecordHeader(Format::kCsv, true), "key_base64,value_base64\r\n");
  EXPECT_EQ(RecordHeader(Format::kJsonl, true), "");
}

TEST(CsvRecord, TakesOneOrTwoLinesAndRefusesWhatRfc4180DoesNotHave) {
  std::string why;
  Result<Record> record = ParseCsvRecord("\"a\"\"\n,\",b\r", {}, &why);
  ASSERT_TRUE(record) << why;
  EXPECT_EQ(record->key, "a\"\n,");
  EXPECT_EQ(record->value, "b");
  for (const char* bad : {"", "a", "a,b,c", "a,b\"", "\"a\"b,c", "\"a,b", "a\rb,c", "\""}) {
    why.clear();
    EXPECT_FALSE(ParseCsvRecord(bad, {}, &why)) << bad;
    EXPECT_FALSE(why.empty()) << bad;
  }
  EXPECT_FALSE(ParseCsvRecord("a,", {true, false}, &why));
  EXPECT_EQ(why, "\"key_base64\" is not base64");
  for (const char* good : {"key,value", "\xEF\xBB\xBFkey,value\r", "\"key\",value_base64"})
    EXPECT_TRUE(ParseCsvHeader(good, &why)) << good;
  for (const char* bad : {"", "key", "value,key", "Key,Value", "key,value,more", "key, value"})
    EXPECT_FALSE(ParseCsvHeader(bad, &why)) << bad;
}

TEST(JsonlRecord, TellsTextFromBase64AndRefusesBoth) {
  std::string why;
  Result<Record> record = ParseJsonlRecord("{\"value\":\"YQ==\",\"key_base64\":\"YQ==\",\"more\":1}", &why);
  ASSERT_TRUE(record) << why;
  EXPECT_EQ(record->key, "a");
  EXPECT_EQ(record->value, "YQ==");
  for (const char* bad : {"", "[]", "{\"key\":\"a\"}", "{\"key\":1,\"value\":\"\"}",
                          "{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"\"}",
                          "{\"key_base64\":\"a\",\"value\":\"\"}", "{\"key\":\"\xff\",\"value\":\"\"}"}) {
    EXPECT_FALSE(ParseJsonlRecord(bad, &why)) << bad;
  }
}

TEST(ResumePoint, ComesBackAsItWasWhateverTheNamesAre) {
  LoadPoint load{.store = "00",
                 .table = "t\xFF",
                 .file = "a\nb",
                 .format = "tsv",
                 .table_id = "01",
                 .bytes = 9,
                 .mtime_ns = 8,
                 .offset = 7,
                 .line = 6,
                 .rows = 5,
                 .tail = "AB"};
  EXPECT_EQ(ParseLoadPoint(EncodeLoadPoint(load)).value(), load);
  DumpPoint dump{.store = "00",
                 .table = "t",
                 .tag = "\xFF",
                 .format = "csv",
                 .base64 = true,
                 .from = "\x01",
                 .until = "",
                 .index = 4,
                 .offset = 3,
                 .rows = 2,
                 .last_key = std::string("\0", 1)};
  EXPECT_EQ(ParseDumpPoint(EncodeDumpPoint(dump)).value(), dump);
  load.offset = 10;  // behind its end
  for (const std::string& bad :
       {EncodeLoadPoint(load), EncodeDumpPoint(dump), std::string("{}"), std::string()})
    EXPECT_EQ(ParseLoadPoint(bad).code(), Code::kBadInput) << bad;
  dump.last_key.clear();
  for (const std::string& bad :
       {EncodeLoadPoint(load), EncodeDumpPoint(dump), std::string("[]"), std::string()})
    EXPECT_EQ(ParseDumpPoint(bad).code(), Code::kBadInput) << bad;
}

}  // namespace
}  // namespace holdfast::cli
