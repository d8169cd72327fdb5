#include "cli/text.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(Escape, LeavesTextAloneAndShowsTheRest) {
  EXPECT_EQ(Escape(AsBytes("plain Žluťoučký 漢字 🙂")), "plain Žluťoučký 漢字 🙂");
  EXPECT_EQ(Escape(AsBytes("a\tb\nc\rd\\e")), "a\\tb\\nc\\rd\\\\e");
  EXPECT_EQ(Escape(AsBytes(std::string_view("\x00\x1b[31m\x7f", 7))), "\\x00\\x1B[31m\\x7F");
  EXPECT_EQ(Escape(AsBytes("\xff\xc3(")), "\\xFF\\xC3(");
  EXPECT_EQ(Escape(AsBytes("\xc2\x9b")), "\\xC2\\x9B") << "a C1 control character drives terminals";
  EXPECT_EQ(Escape(AsBytes("\xed\xa0\x80")), "\\xED\\xA0\\x80") << "a surrogate is no UTF-8";
  EXPECT_EQ(Escape(AsBytes("\xc0\x80")), "\\xC0\\x80") << "an overlong form is no UTF-8";
}

TEST(Escape, EveryPairOfBytesComesBack) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      Bytes in = {static_cast<uint8_t>(a), static_cast<uint8_t>(b), 'x'};
      std::string text = Escape(in);
      EXPECT_EQ(text.find_first_of("\t\n"), std::string::npos);
      Result<Bytes> out = Unescape(text);
      ASSERT_TRUE(out) << text;
      ASSERT_EQ(*out, in) << text;
    }
  }
}

TEST(Unescape, RefusesWhatEscapeNeverWrites) {
  for (const char* bad : {"\\", "a\\", "\\x", "\\x1", "\\xg0", "\\q"}) EXPECT_FALSE(Unescape(bad)) << bad;
}

TEST(Base64, HasTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (auto [plain, text] : vectors) {
    EXPECT_EQ(Base64(AsBytes(plain)), text);
    Result<Bytes> back = ParseBase64(text);
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(ToText(*back), plain);
  }
}

TEST(Base64, RefusesOtherTextsForTheSameBytes) {
  for (const char* bad : {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Z g="}) {
    EXPECT_FALSE(ParseBase64(bad)) << bad;
  }
}

TEST(JsonLine, QuotesWhatMustBeQuoted) {
  JsonLine line;
  line.Text("a\"b", "x\ny\xff").Number("n", 7).Bool("t", true);
  EXPECT_EQ(line.str(), "{\"a\\\"b\":\"x\\u000Ay\\ufffd\",\"n\":7,\"t\":true}");
}

TEST(Text, NumbersForPeople) {
  EXPECT_EQ(Thousands(1234567), "1,234,567");
  EXPECT_EQ(Thousands(999), "999");
  EXPECT_EQ(HumanBytes(512), "512 B");
  EXPECT_EQ(HumanBytes(12'900'000), "12.3 MiB");
}

}  // namespace
}  // namespace holdfast::cli
