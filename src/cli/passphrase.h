// Where passphrases come from: a file that only its owner can read, or the terminal. Never an argument or a
// variable: both show in `ps` and in core files.
#ifndef HOLDFAST_CLI_PASSPHRASE_H_
#define HOLDFAST_CLI_PASSPHRASE_H_

#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "crypto/random.h"

namespace holdfast::cli {

// `file`: the option's value, empty if it was not given; then HOLDFAST_PASSPHRASE_FILE; then a prompt on
// /dev/tty. A final newline is not part of the passphrase. Fails: kPassphraseFileMode (readable by group or
// others), kNoPassphrase (empty, or no terminal), kTooLarge, kPermission, kNotFound.
SecretBytes ReadPassphrase(const std::string& file, const std::string& prompt);

// Where `serve` gets the passphrase from, open and not read: the host hands the descriptor to the core's
// process and never holds a byte of what is in it.
struct PassphraseSource {
  int fd = -1;            // close-on-exec; the caller closes it
  bool terminal = false;  // ask on it (passphrase::AskPassphrase); else read it (ReadPassphraseFile)
  std::string path;       // for messages
};
// The option's file, else HOLDFAST_PASSPHRASE_FILE's, else /dev/tty. Fails as ReadPassphrase does where that
// can be told without reading: kNotFound, kPermission, kPassphraseFileMode, kNoPassphrase (no terminal).
PassphraseSource OpenPassphrase(const std::string& file);

// How the command ends when the source, read here or by the core, gave `code` instead of a passphrase. One
// line, the same whoever read it; after kCancelled the process ends by SIGINT, as if it had never been
// caught.
[[noreturn]] void FailPassphrase(const PassphraseSource& source, Code code);

// For a new store or a new passphrase: the same file or, without one, a prompt that asks twice and offers to
// make one; a weak one is remarked upon on stderr. The environment is not asked: it names the present
// passphrase, not the next.
SecretBytes ReadNewPassphrase(const std::string& file, crypto::Random& random);

// The option's value or, if it is empty, HOLDFAST_PASSPHRASE_FILE.
std::string FileOrEnvironment(const std::string& file);

// Six pronounceable words of 16 random bits each, 96 bits: "lusab-babad-gutih-tugad-himug-sodiv".
SecretBytes GeneratePassphrase(crypto::Random& random);

// Why a passphrase is weak, or nothing. A coarse upper bound on what a guesser needs; it praises nothing.
std::optional<std::string> Weakness(ByteView passphrase);

// Keys and passphrases of this process stay out of core files and away from debuggers of the same user.
void ForbidCoreDumps();

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_PASSPHRASE_H_
