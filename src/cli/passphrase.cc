#include "cli/passphrase.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "cli/failure.h"
#include "passphrase/passphrase.h"

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

constexpr const char* kNoTerminal = "no passphrase given: use --passphrase-file, or run on a terminal";

PassphraseSource OpenFile(const std::string& path) {
  PassphraseSource source{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY), false, path};
  if (source.fd < 0) {
    FailPassphrase(source, errno == ENOENT   ? Code::kNotFound
                           : errno == EACCES ? Code::kPermission
                                             : Code::kIo);
  }
  return source;
}

PassphraseSource OpenTerminal() {
  PassphraseSource source{::open("/dev/tty", O_RDWR | O_CLOEXEC), true, "/dev/tty"};
  if (source.fd < 0) FailWith(Code::kNoPassphrase, kNoTerminal);
  return source;
}

SecretBytes ReadFile(const std::string& path) {
  PassphraseSource source = OpenFile(path);
  Descriptor fd(source.fd);
  Result<SecretBytes> read = passphrase::ReadPassphraseFile(fd.get());
  if (!read) FailPassphrase(source, read.code());
  return std::move(read).value();
}

class Terminal {
 public:
  Terminal() : source_(OpenTerminal()), fd_(source_.fd) {}
  void Say(std::string_view text) const { (void)!::write(fd_.get(), text.data(), text.size()); }
  SecretBytes Ask(const std::string& prompt) const {
    Result<SecretBytes> answer = passphrase::AskPassphrase(fd_.get(), prompt);
    if (!answer) FailPassphrase(source_, answer.code());
    return std::move(answer).value();
  }

 private:
  const PassphraseSource source_;
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

PassphraseSource OpenPassphrase(const std::string& file) {
  std::string path = FileOrEnvironment(file);
  if (path.empty()) return OpenTerminal();
  PassphraseSource source = OpenFile(path);
  if (Status may = passphrase::CheckPassphraseFile(source.fd); !may) {
    ::close(source.fd);
    FailPassphrase(source, may.code());
  }
  return source;
}

void FailPassphrase(const PassphraseSource& source, Code code) {
  // The interrupt key did not end the process, so that the terminal could be put back; now it does.
  if (code == Code::kCancelled) {
    sigset_t interrupt;
    ::sigemptyset(&interrupt);
    ::sigaddset(&interrupt, SIGINT);
    (void)std::signal(SIGINT, SIG_DFL);
    (void)::pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);  // `serve` waits for it elsewhere
    (void)std::raise(SIGINT);
  }
  if (source.terminal) Fail(code == Code::kIo ? "terminal" : "passphrase", code);
  const std::string what = "passphrase file " + source.path;
  if (code == Code::kPassphraseFileMode)
    FailWith(code, what + " is readable by group or others; chmod 600 it");
  if (code == Code::kNoPassphrase) FailWith(code, what + " is empty");
  Fail(what, code);
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
