#include "cli/record_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "cli/failure.h"

namespace holdfast::cli {
namespace {

class RecordFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/records.XXXXXX";
    ::close(::mkstemp(name.data()));
    path_ = name;
  }
  void TearDown() override { ::unlink(path_.c_str()); }
  void Write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  std::string path_;
};

TEST_F(RecordFileTest, ReadsTsvWithEscapesAndCountsRecordsBeforehand) {
  Write("a\t1\n\nb\\tc\t\\xFF\\n\nlast\t");
  RecordFile file(path_, RecordFile::Format::kGuess);
  EXPECT_EQ(file.CountLines(), 3u);
  EXPECT_EQ(file.Next()->value, "1");
  std::optional<Record> second = file.Next();
  EXPECT_EQ(second->key, "b\tc");
  EXPECT_EQ(second->value, "\xFF\n");
  std::optional<Record> third = file.Next();
  EXPECT_EQ(third->key, "last");
  EXPECT_EQ(third->value, "");
  EXPECT_FALSE(file.Next());
}

TEST_F(RecordFileTest, GuessesJsonLinesAndTakesBase64OrText) {
  Write(
      "{\"key\":\"YQ==\",\"value\":\"/"
      "w==\"}\n{\"key_text\":\"b\",\"value_text\":\"\\u00e4\",\"more\":[1]}\n");
  RecordFile file(path_, RecordFile::Format::kGuess);
  std::optional<Record> first = file.Next();
  EXPECT_EQ(first->key, "a");
  EXPECT_EQ(first->value, "\xFF");
  EXPECT_EQ(file.Next()->value, "ä");
  EXPECT_FALSE(file.Next());
}

TEST_F(RecordFileTest, NamesTheLineThatIsWrong) {
  Write("a\t1\nno tab\n");
  RecordFile file(path_, RecordFile::Format::kTsv);
  (void)file.Next();
  try {
    (void)file.Next();
    FAIL();
  } catch (const Failure& f) {
    EXPECT_EQ(f.code, Code::kBadInput);
    EXPECT_EQ(f.text, path_ + " line 2: not one key, one tab, one value");
  }
}

TEST(RecordFileLimits, ALineWithoutEndIsRefusedAtTheLimitAndNotReadToItsEnd) {
  RecordFile file("/dev/zero", RecordFile::Format::kTsv);
  EXPECT_FALSE(file.CountLines());
  try {
    (void)file.Next();
    FAIL();
  } catch (const Failure& f) {
    EXPECT_EQ(f.code, Code::kTooLarge);
    EXPECT_TRUE(f.text.starts_with("/dev/zero line 1: ")) << f.text;
  }
}

TEST(Record, RefusesWhatIsAmbiguous) {
  std::string why;
  for (const char* bad : {"", "a", "a\tb\tc", "a\\q\tb"}) EXPECT_FALSE(ParseTsvRecord(bad, &why)) << bad;
  for (const char* bad : {"", "[]", "{", "{\"key\":\"YQ==\"}", "{\"key\":1,\"value\":\"\"}",
                          "{\"key\":\"a\",\"value\":\"\"}"}) {
    EXPECT_FALSE(ParseJsonRecord(bad, &why)) << bad;
  }
}

}  // namespace
}  // namespace holdfast::cli
