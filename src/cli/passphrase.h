// Where passphrases come from: a file that only its owner can read, or the terminal. Never an argument or a
// variable: both show in `ps` and in core files.
#ifndef HOLDFAST_CLI_PASSPHRASE_H_
#define HOLDFAST_CLI_PASSPHRASE_H_

#include <optional>
#include <string>

#include "base/secret.h"
#include "crypto/random.h"

namespace holdfast::cli {

// `file`: the option's value, empty if it was not given; then HOLDFAST_PASSPHRASE_FILE; then a prompt on
// /dev/tty. A final newline is not part of the passphrase. Fails: kPassphraseFileMode (readable by group or
// others), kNoPassphrase (empty, or no terminal), kTooLarge, kPermission, kNotFound.
SecretBytes ReadPassphrase(const std::string& file, const std::string& prompt);

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
