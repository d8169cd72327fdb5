// `serve` opens the passphrase for another process: what it may tell without reading, and that it reads
// nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "base/limits.h"
#include "cli/failure.h"
#include "cli/passphrase.h"

namespace holdfast::cli {
namespace {

class Source : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("HOLDFAST_PASSPHRASE_FILE");
    std::string name = ::testing::TempDir() + "/source.XXXXXX";
    int fd = ::mkstemp(name.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    path_ = name;
    Write("quite secret\n");
  }
  void TearDown() override { ::unlink(path_.c_str()); }
  void Write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  // The one line that a command ends with.
  static std::string Line(const std::function<void()>& command) {
    try {
      command();
    } catch (const Failure& f) {
      return std::string(CodeName(f.code)) + ": " + f.text;
    }
    return "it did not fail";
  }
  std::string LineOfReading() const {
    return Line([&] { (void)ReadPassphrase(path_, "x"); });
  }
  std::string path_;
};

TEST_F(Source, IsOpenCloseOnExecAndUnread) {
  for (bool by_environment : {false, true}) {
    if (by_environment) ::setenv("HOLDFAST_PASSPHRASE_FILE", path_.c_str(), 1);
    PassphraseSource source = OpenPassphrase(by_environment ? "" : path_);
    ASSERT_GE(source.fd, 0);
    EXPECT_FALSE(source.terminal);
    EXPECT_EQ(source.path, path_);
    EXPECT_EQ(::lseek(source.fd, 0, SEEK_CUR), 0);
    EXPECT_EQ(::fcntl(source.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_EQ(::fcntl(source.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ::close(source.fd);
  }
  ::unsetenv("HOLDFAST_PASSPHRASE_FILE");
}

TEST_F(Source, RuleI2WhatOthersMayReadAndWhatIsNotThereEndsWithTheLineOfReadingIt) {
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  EXPECT_EQ(Line([&] { (void)OpenPassphrase(path_); }), LineOfReading());
  EXPECT_EQ(LineOfReading(), "kPassphraseFileMode: passphrase file " + path_ +
                                 " is readable by group or others; chmod 600 it");
  ::unlink(path_.c_str());
  EXPECT_EQ(Line([&] { (void)OpenPassphrase(path_); }), LineOfReading());
  EXPECT_EQ(LineOfReading(), "kNotFound: passphrase file " + path_ + ": not found");
}

TEST_F(Source, WhatOnlyTheReaderCanTellEndsWithTheSameLine) {
  for (auto [text, code] : {std::pair{std::string("\n"), Code::kNoPassphrase},
                            {std::string(limits::kPassphraseBytesMax + 1, 'a'), Code::kTooLarge}}) {
    Write(text);
    PassphraseSource source = OpenPassphrase(path_);
    EXPECT_EQ(Line([&, code = code] { FailPassphrase(source, code); }), LineOfReading());
    ::close(source.fd);
  }
}

TEST_F(Source, ACancelledPromptEndsTheProcessByTheSignalThatWasCaughtForIt) {
  PassphraseSource terminal;
  terminal.terminal = true;
  EXPECT_EXIT(
      {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        FailPassphrase(terminal, Code::kCancelled);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace holdfast::cli
