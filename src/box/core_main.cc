// holdfast-core: the trusted core as a process of its own. `holdfast serve` starts it with the descriptors of
// the channel; alone it can only say what this machine's sandbox is made of (--self-test).
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <sys/random.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "base/secret.h"
#include "box/core_server.h"
#include "box/inherited.h"
#include "box/sandbox.h"
#include "passphrase/passphrase.h"

namespace holdfast::box {
namespace {

// No stdio: it wants to know what kind of file it has, and there is a filter.
void Say(int fd, std::string_view text) { (void)!::write(fd, text.data(), text.size()); }

// All that libraries read from the machine, read while there is one.
void WakeLibraries() {
  HF_CHECK(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                                   OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
                               nullptr) == 1);
  HF_CHECK(sodium_init() >= 0);
  uint8_t first = 0;
  HF_CHECK(::getrandom(&first, 1, 0) == 1);  // waits, early in a machine's life
}

Result<SecretBytes> ReadPassphrase(const Inherited& in) {
  if (in.passphrase < 0) return Code::kNoPassphrase;
  Result<SecretBytes> passphrase = in.terminal ? passphrase::AskPassphrase(in.passphrase, "Passphrase: ")
                                               : passphrase::ReadPassphraseFile(in.passphrase);
  ::close(in.passphrase);
  if (passphrase && passphrase->view().empty()) return Code::kNoPassphrase;
  return passphrase;
}

int SelfTest() {
  int out = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  uint32_t in_force = Bit(seam::Isolation::kOwnProcess);
  pid_t parent = ::getppid();
  in_force |= Confine(parent, std::span<const int>(&out, out < 0 ? 0 : 1));
  WakeLibraries();
  in_force |= LeaveTheMachine(parent);
  in_force |= LockSecrets();
  in_force |= Filter();
  std::string text;
  for (const seam::IsolationInfo& info : seam::IsolationTable()) {
    bool is = (in_force & Bit(info.measure)) != 0;
    text += std::string(info.name) + (is ? ": in force\n" : ": not in force\n");
  }
  Say(out, text);
  return 0;
}

int Main(int argc, char** argv) {
  std::span<const char* const> words(argv + 1, argc > 1 ? static_cast<size_t>(argc - 1) : 0);
  if (words.size() == 1 && std::string_view(words[0]) == "--self-test") return SelfTest();
  std::optional<Inherited> in = ReadInherited(words);
  bool all_there = in.has_value();
  for (int fd : in ? in->Descriptors() : std::vector<int>()) all_there &= ::fcntl(fd, F_GETFD) >= 0;
  if (!all_there) {
    Say(STDERR_FILENO, "holdfast-core is started by holdfast serve\n");
    return CodeExit(Code::kUsage);
  }
  uint32_t isolation = Bit(seam::Isolation::kOwnProcess);
  isolation |= Confine(in->parent, in->Descriptors());
  WakeLibraries();
  isolation |= LeaveTheMachine(in->parent);
  isolation |= LockSecrets();
  Result<std::unique_ptr<CoreServer>> server = CoreServer::Open(*in);
  if (!server) {
    Say(STDERR_FILENO, "holdfast-core: " + std::string(CodeName(server.code())) + ": " +
                           std::string(CodeText(server.code())) + "\n");
    return CodeExit(server.code());
  }
  Result<SecretBytes> passphrase = ReadPassphrase(*in);
  isolation |= Filter();
  return (*server)->Run(std::move(passphrase), isolation);
}

}  // namespace
}  // namespace holdfast::box

int main(int argc, char** argv) { holdfast::box::WipeAndExit(holdfast::box::Main(argc, argv)); }
