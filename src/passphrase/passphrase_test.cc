#include "passphrase/passphrase.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "base/limits.h"

namespace holdfast::passphrase {
namespace {

constexpr int kPatienceMs = 10'000;

class PassphraseFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "/passphrase.XXXXXX";
    fd_ = ::mkstemp(name.data());
    ASSERT_GE(fd_, 0);
    ::unlink(name.c_str());  // what counts is what is open
  }
  void TearDown() override { ::close(fd_); }
  void Write(const std::string& text) {
    ASSERT_EQ(::ftruncate(fd_, 0), 0);
    ASSERT_EQ(::pwrite(fd_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    ASSERT_EQ(::lseek(fd_, 0, SEEK_SET), 0);
  }
  std::string Read() {
    Result<SecretBytes> r = ReadPassphraseFile(fd_);
    return r ? ToText(r->view()) : "refused: " + std::string(CodeName(r.code()));
  }
  Code Refusal() {
    Result<SecretBytes> r = ReadPassphraseFile(fd_);
    return r ? Code{} : r.code();
  }
  int fd_ = -1;
};

TEST_F(PassphraseFile, OneFinalNewlineIsNotPartOfIt) {
  for (auto [text, passphrase] : {std::pair{"one two\n", "one two"},
                                  {"one two\r\n", "one two"},
                                  {"one two", "one two"},
                                  {" one \n\n", " one \n"},
                                  {"one\r", "one\r"},
                                  {"a\nb", "a\nb"}}) {
    Write(text);
    EXPECT_EQ(Read(), passphrase);
  }
}

TEST_F(PassphraseFile, RuleI2WhatGroupOrOthersMayReadIsRefusedWhateverItsNameWas) {
  Write("secret enough\n");
  for (mode_t mode : {0640u, 0604u, 0620u, 0601u}) {
    ASSERT_EQ(::fchmod(fd_, mode), 0);
    EXPECT_EQ(Refusal(), Code::kPassphraseFileMode) << std::oct << mode;
    Status checked = CheckPassphraseFile(fd_);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.code(), Code::kPassphraseFileMode);
  }
  ASSERT_EQ(::fchmod(fd_, 0400), 0);
  EXPECT_EQ(Read(), "secret enough") << "a refusal, and a check, took bytes of it";
}

TEST_F(PassphraseFile, CheckingReadsNoByte) {
  Write("secret enough\n");
  EXPECT_TRUE(CheckPassphraseFile(fd_));
  EXPECT_EQ(::lseek(fd_, 0, SEEK_CUR), 0);
}

TEST_F(PassphraseFile, EmptyAndTooLongAreRefusedAndTheLimitIsNot) {
  for (const char* empty : {"", "\n", "\r\n"}) {
    Write(empty);
    EXPECT_EQ(Refusal(), Code::kNoPassphrase);
  }
  for (const char* end : {"", "\n", "\r\n"}) {
    Write(std::string(limits::kPassphraseBytesMax, 'a') + end);
    EXPECT_EQ(Read().size(), limits::kPassphraseBytesMax);
    Write(std::string(limits::kPassphraseBytesMax + 1, 'a') + end);
    EXPECT_EQ(Refusal(), Code::kTooLarge);
  }
  Write(std::string(1u << 20, 'a'));
  EXPECT_EQ(Refusal(), Code::kTooLarge);
}

TEST_F(PassphraseFile, WhatCannotBeReadIsAnError) {
  int closed = ::dup(fd_);
  ::close(closed);
  EXPECT_EQ(ReadPassphraseFile(closed).code(), Code::kIo);
  int folder = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  EXPECT_EQ(ReadPassphraseFile(folder).code(), Code::kPassphraseFileMode);
  ::close(folder);
  int writable = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(ReadPassphraseFile(writable).code(), Code::kIo) << "a device has no mode to check, and no bytes";
  ::close(writable);
}

TEST(PassphrasePipe, MayComeInPieces) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  std::thread writer([&] {
    for (char c : std::string("in pieces\n")) EXPECT_EQ(::write(pipe[1], &c, 1), 1);
    ::close(pipe[1]);
  });
  Result<SecretBytes> r = ReadPassphraseFile(pipe[0]);
  writer.join();
  ::close(pipe[0]);
  ASSERT_TRUE(r);
  EXPECT_EQ(ToText(r->view()), "in pieces");
}

// A terminal with a person at it: the test.
class PassphraseTerminal : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::openpty(&person_, &tty_, nullptr, nullptr, nullptr), 0); }
  void TearDown() override {
    if (asking_.joinable()) asking_.join();
    if (person_ >= 0) ::close(person_);
    ::close(tty_);
  }
  void Ask() {
    asking_ = std::thread([this] { answer_ = AskPassphrase(tty_, "Secret: "); });
    SeeUntil("Secret: ");
  }
  void Type(const std::string& text) {
    ASSERT_EQ(::write(person_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  Result<SecretBytes> Answer() {
    asking_.join();
    return std::move(*answer_);
  }
  void SeeUntil(const std::string& text) {
    while (seen_.find(text) == std::string::npos) {
      struct pollfd p {
        person_, POLLIN, 0
      };
      ASSERT_EQ(::poll(&p, 1, kPatienceMs), 1) << "seen: " << seen_;
      std::array<char, 256> block{};
      ssize_t n = ::read(person_, block.data(), block.size());
      ASSERT_GT(n, 0) << "seen: " << seen_;
      seen_.append(block.data(), static_cast<size_t>(n));
    }
  }
  struct termios Settings() const {
    struct termios t {};
    EXPECT_EQ(::tcgetattr(tty_, &t), 0);
    return t;
  }
  static bool Same(const struct termios& a, const struct termios& b) {
    return a.c_lflag == b.c_lflag && a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag &&
           std::equal(std::begin(a.c_cc), std::end(a.c_cc), std::begin(b.c_cc));
  }

  int person_ = -1, tty_ = -1;
  std::thread asking_;
  std::optional<Result<SecretBytes>> answer_;
  std::string seen_;
};

TEST_F(PassphraseTerminal, WhatIsTypedIsNotEchoedAndTheTerminalIsAsBefore) {
  struct termios before = Settings();
  ASSERT_NE(before.c_lflag & ECHO, 0u);
  Ask();
  EXPECT_EQ(Settings().c_lflag & ECHO, 0u);
  Type("quite secret\n");
  Result<SecretBytes> r = Answer();
  ASSERT_TRUE(r);
  EXPECT_EQ(ToText(r->view()), "quite secret");
  SeeUntil("\n");
  EXPECT_EQ(seen_, "Secret: \r\n");
  EXPECT_TRUE(Same(before, Settings()));
}

TEST_F(PassphraseTerminal, AskedTwiceGivesTwoLines) {
  for (const char* line : {"first", "second"}) {
    Ask();
    Type(std::string(line) + "\n");
    Result<SecretBytes> r = Answer();
    ASSERT_TRUE(r);
    EXPECT_EQ(ToText(r->view()), line);
    seen_.clear();
  }
}

TEST_F(PassphraseTerminal, WhatWasTypedBeforeThePromptIsThrownAway) {
  Type("typed too early\n");
  struct pollfd p {
    tty_, POLLIN, 0
  };
  ASSERT_EQ(::poll(&p, 1, kPatienceMs), 1);
  Ask();
  Type("the answer\n");
  Result<SecretBytes> r = Answer();
  ASSERT_TRUE(r);
  EXPECT_EQ(ToText(r->view()), "the answer");
}

TEST_F(PassphraseTerminal, AnEmptyLineAndTheEndOfInputAreEmptyAnswers) {
  for (const char* typed : {"\n", "\x04"}) {
    Ask();
    Type(typed);
    Result<SecretBytes> r = Answer();
    ASSERT_TRUE(r);
    EXPECT_TRUE(r->view().empty());
    seen_.clear();
  }
}

TEST_F(PassphraseTerminal, TheInterruptAndQuitKeysCancelAndTheTerminalIsAsBefore) {
  struct termios before = Settings();
  for (const char* key : {"\x03", "half a passphrase\x03", "\x1c"}) {
    Ask();
    Type(key);
    Result<SecretBytes> r = Answer();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.code(), Code::kCancelled);
    EXPECT_TRUE(Same(before, Settings()));
    seen_.clear();
  }
}

TEST_F(PassphraseTerminal, ALineThatIsTooLongIsRefusedAndItsRestIsNoAnswerToTheNextQuestion) {
  struct termios before = Settings();
  Ask();
  Type(std::string(limits::kPassphraseBytesMax + 200, 'a') + "\n");
  Result<SecretBytes> r = Answer();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.code(), Code::kTooLarge);
  EXPECT_TRUE(Same(before, Settings()));
  seen_.clear();
  Ask();
  Type("short\n");
  r = Answer();
  ASSERT_TRUE(r);
  EXPECT_EQ(ToText(r->view()), "short");
}

TEST_F(PassphraseTerminal, ATerminalThatGoesAwayIsAnError) {
  Ask();
  ::close(std::exchange(person_, -1));
  Result<SecretBytes> r = Answer();
  // Linux ends what waits with an error, and answers later reads with the end of the file.
  if (r) {
    EXPECT_TRUE(r->view().empty());
  } else {
    EXPECT_EQ(r.code(), Code::kIo);
  }
}

TEST(PassphraseLine, WhatFollowsTheLineIsLeftForTheNextWhoReads) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::write(pipe[1], "one\ntwo\n", 8), 8);
  ::close(pipe[1]);
  for (const char* line : {"one", "two", ""}) {
    Result<SecretBytes> r = AskPassphrase(pipe[0], "");
    ASSERT_TRUE(r);
    EXPECT_EQ(ToText(r->view()), line);
  }
  ::close(pipe[0]);
}

}  // namespace
}  // namespace holdfast::passphrase
