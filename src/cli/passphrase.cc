#include "cli/passphrase.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/limits.h"
#include "cli/failure.h"

namespace holdfast::cli {
namespace {

constexpr size_t kWords = 6;
constexpr double kBitsWanted = 60;  // 2^60 Argon2id runs at 0.4 s are out of reach

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// One line, or all there is until the end of the file; the buffer does not grow, so no copy is left behind.
class LineBuffer {
 public:
  ~LineBuffer() { Wipe(bytes_.data(), bytes_.size()); }
  // False: a read failed.
  bool Fill(int fd, bool until_newline) {
    while (used_ < bytes_.size()) {
      ssize_t n = ::read(fd, bytes_.data() + used_, bytes_.size() - used_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      if (n == 0) return true;
      used_ += static_cast<size_t>(n);
      if (until_newline && bytes_[used_ - 1] == '\n') return true;
    }
    return true;
  }
  SecretBytes Take(const std::string& what) const {
    size_t n = used_;
    if (n > 0 && bytes_[n - 1] == '\n') --n;
    if (n > 0 && n < used_ && bytes_[n - 1] == '\r') --n;
    if (n > limits::kPassphraseBytesMax) Fail(what, Code::kTooLarge);
    return SecretBytes(ByteView(bytes_.data(), n));
  }

 private:
  std::array<uint8_t, limits::kPassphraseBytesMax + 3> bytes_{};
  size_t used_ = 0;
};

SecretBytes ReadFile(const std::string& path) {
  const std::string what = "passphrase file " + path;
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (fd.get() < 0)
    Fail(what, errno == ENOENT ? Code::kNotFound : errno == EACCES ? Code::kPermission : Code::kIo);
  struct stat s {};
  if (::fstat(fd.get(), &s) != 0) Fail(what, Code::kIo);
  // Checked on what is open, not on the name: the name may be swapped in between.
  if (!S_ISCHR(s.st_mode) && (s.st_mode & 077) != 0) {
    FailWith(Code::kPassphraseFileMode, what + " is readable by group or others; chmod 600 it");
  }
  LineBuffer buffer;
  if (!buffer.Fill(fd.get(), false)) Fail(what, Code::kIo);
  SecretBytes passphrase = buffer.Take(what);
  if (passphrase.view().empty()) FailWith(Code::kNoPassphrase, what + " is empty");
  return passphrase;
}

class Terminal {
 public:
  Terminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
    if (fd_.get() < 0) {
      FailWith(Code::kNoPassphrase, "no passphrase given: use --passphrase-file, or run on a terminal");
    }
  }
  void Say(std::string_view text) const { (void)!::write(fd_.get(), text.data(), text.size()); }
  SecretBytes Ask(const std::string& prompt) const {
    struct termios old {};
    bool is_terminal = ::tcgetattr(fd_.get(), &old) == 0;
    if (is_terminal) {
      struct termios quiet = old;
      quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
      (void)::tcsetattr(fd_.get(), TCSAFLUSH, &quiet);
    }
    Say(prompt);  // once nothing is echoed and what was typed before is gone
    LineBuffer buffer;
    bool ok = buffer.Fill(fd_.get(), true);
    if (is_terminal) (void)::tcsetattr(fd_.get(), TCSAFLUSH, &old);
    Say("\n");
    if (!ok) Fail("terminal", Code::kIo);
    return buffer.Take("passphrase");
  }

 private:
  const Descriptor fd_;
};

void WarnIfWeak(ByteView passphrase) {
  if (std::optional<std::string> why = Weakness(passphrase)) {
    std::fprintf(stderr, "holdfast: warning: weak passphrase: %s\n", why->c_str());
  }
}

}  // namespace

std::string FileOrEnvironment(const std::string& file) {
  if (!file.empty()) return file;
  const char* env = std::getenv("HOLDFAST_PASSPHRASE_FILE");
  return env == nullptr ? "" : env;
}

SecretBytes ReadPassphrase(const std::string& file, const std::string& prompt) {
  std::string path = FileOrEnvironment(file);
  if (!path.empty()) return ReadFile(path);
  SecretBytes passphrase = Terminal().Ask(prompt + ": ");
  if (passphrase.view().empty()) Fail("passphrase", Code::kNoPassphrase);
  return passphrase;
}

SecretBytes ReadNewPassphrase(const std::string& file, crypto::Random& random) {
  if (!file.empty()) {
    SecretBytes passphrase = ReadFile(file);
    WarnIfWeak(passphrase.view());
    return passphrase;
  }
  Terminal terminal;
  SecretBytes first = terminal.Ask("New passphrase (empty: make one for me): ");
  if (first.view().empty()) {
    first = GeneratePassphrase(random);
    terminal.Say("Write this down; without it the store is lost:\n\n    ");
    terminal.Say(AsText(first.view()));
    terminal.Say("\n\n");
  } else {
    WarnIfWeak(first.view());
  }
  SecretBytes second = terminal.Ask("The same again: ");
  if (!ConstantTimeEqual(first.view(), second.view())) {
    FailWith(Code::kNoPassphrase, "the two passphrases differ; nothing was done");
  }
  return first;
}

SecretBytes GeneratePassphrase(crypto::Random& random) {
  constexpr std::string_view kConsonants = "bdfghjklmnprstvz", kVowels = "aiou";
  static_assert(kConsonants.size() == 16 && kVowels.size() == 4);  // 4 + 2 + 4 + 2 + 4 bits a word, none lost
  Secret<2 * kWords> bits;
  random.Fill(bits.mutable_view());
  std::array<uint8_t, kWords * 6 - 1> text{};
  size_t at = 0;
  for (size_t w = 0; w < kWords; ++w) {
    uint16_t v = LoadLittle<uint16_t>(bits.view().data() + 2 * w);
    if (w != 0) text[at++] = '-';
    for (int shift : {12, 10, 6, 4, 0}) {
      bool vowel = shift == 10 || shift == 4;
      size_t digit = static_cast<size_t>(v >> shift) & (vowel ? 3 : 15);
      text[at++] = static_cast<uint8_t>(vowel ? kVowels[digit] : kConsonants[digit]);
    }
  }
  SecretBytes passphrase{ByteView(text)};
  Wipe(text.data(), text.size());
  return passphrase;
}

std::optional<std::string> Weakness(ByteView passphrase) {
  bool lower = false, upper = false, digit = false, other = false;
  for (uint8_t c : passphrase) {
    lower |= c >= 'a' && c <= 'z';
    upper |= c >= 'A' && c <= 'Z';
    digit |= c >= '0' && c <= '9';
    other |= !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'));
  }
  int alphabet = 26 * lower + 26 * upper + 10 * digit + 30 * other;
  double each = alphabet > 0 ? std::log2(alphabet) : 0;
  std::set<uint8_t> different(passphrase.begin(), passphrase.end());
  // Repeated characters say little: "aaaaaaaaaaaaaaaa" is one, not sixteen.
  double bits =
      each * std::min(static_cast<double>(passphrase.size()), 2.0 * static_cast<double>(different.size()));
  if (passphrase.size() < 12) return "shorter than 12 characters";
  if (bits < kBitsWanted) return "too few different characters";
  return std::nullopt;
}

void ForbidCoreDumps() {
  struct rlimit none {};
  (void)::setrlimit(RLIMIT_CORE, &none);
  (void)::prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace holdfast::cli
