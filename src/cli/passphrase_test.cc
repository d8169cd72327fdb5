#include "cli/passphrase.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "base/limits.h"
#include "cli/failure.h"

namespace holdfast::cli {
namespace {

class PassphraseFile : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("HOLDFAST_PASSPHRASE_FILE");
    std::string name = ::testing::TempDir() + "/passphrase.XXXXXX";
    int fd = ::mkstemp(name.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    path_ = name;
  }
  void TearDown() override { ::unlink(path_.c_str()); }
  void Write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  std::string Read() { return ToText(ReadPassphrase(path_, "x").view()); }
  Code Refusal() {
    try {
      (void)ReadPassphrase(path_, "x");
    } catch (const Failure& f) {
      return f.code;
    }
    return Code{};
  }
  std::string path_;
};

TEST_F(PassphraseFile, AFinalNewlineIsNotPartOfIt) {
  Write("one two\n");
  EXPECT_EQ(Read(), "one two");
  Write("one two\r\n");
  EXPECT_EQ(Read(), "one two");
  Write("one two");
  EXPECT_EQ(Read(), "one two");
  Write(" one \n\n");
  EXPECT_EQ(Read(), " one \n") << "only one newline goes";
}

TEST_F(PassphraseFile, RuleI2AGroupOrWorldReadableFileIsRefused) {
  Write("secret enough\n");
  for (mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    EXPECT_EQ(Refusal(), Code::kPassphraseFileMode) << std::oct << mode;
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0400), 0);
  EXPECT_EQ(Read(), "secret enough");
}

TEST_F(PassphraseFile, EmptyAbsentAndTooLongAreRefused) {
  Write("\n");
  EXPECT_EQ(Refusal(), Code::kNoPassphrase);
  Write(std::string(limits::kPassphraseBytesMax, 'a') + "\n");
  EXPECT_EQ(Read().size(), limits::kPassphraseBytesMax);
  Write(std::string(limits::kPassphraseBytesMax + 1, 'a'));
  EXPECT_EQ(Refusal(), Code::kTooLarge);
  Write(std::string(1u << 20, 'a'));
  EXPECT_EQ(Refusal(), Code::kTooLarge);
  ::unlink(path_.c_str());
  EXPECT_EQ(Refusal(), Code::kNotFound);
}

TEST_F(PassphraseFile, TheOptionComesBeforeTheEnvironment) {
  Write("from the file");
  ::setenv("HOLDFAST_PASSPHRASE_FILE", "/nowhere", 1);
  EXPECT_EQ(Read(), "from the file");
  ::setenv("HOLDFAST_PASSPHRASE_FILE", path_.c_str(), 1);
  EXPECT_EQ(ToText(ReadPassphrase("", "x").view()), "from the file");
  ::unsetenv("HOLDFAST_PASSPHRASE_FILE");
}

TEST(Passphrase, GeneratedOnesDifferAndAreNotWeak) {
  crypto::SeededRandom random(7);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    std::string p = ToText(GeneratePassphrase(random).view());
    EXPECT_EQ(p.size(), 35u) << p;
    EXPECT_FALSE(Weakness(AsBytes(p))) << p;
    EXPECT_TRUE(seen.insert(p).second) << p;
  }
}

TEST(Passphrase, ShortAndRepetitiveOnesAreWeak) {
  for (const char* weak : {"", "secret", "12345678901", "aaaaaaaaaaaaaaaaaaaaaaaa", "abababababababababab",
                           "1212121212121212"}) {
    EXPECT_TRUE(Weakness(AsBytes(weak))) << weak;
  }
  EXPECT_FALSE(Weakness(AsBytes("correct horse battery staple")));
}

}  // namespace
}  // namespace holdfast::cli
