// Reading a passphrase from a descriptor that is already open: a file's, or a terminal's. Used by the core's
// process, which inherits the descriptor, and by the offline commands, which open it themselves. No name is
// opened here and no descriptor is closed. What was read is in the SecretBytes that is returned and nowhere
// else: buffers are on the stack, do not grow and are wiped. One thread at a time for one descriptor.
#ifndef HOLDFAST_PASSPHRASE_PASSPHRASE_H_
#define HOLDFAST_PASSPHRASE_PASSPHRASE_H_

#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace holdfast::passphrase {

// Whether the open file may hold a passphrase: only its owner may read it, unless it is a character device.
// Looks at what is open, not at a name, which may be swapped in between; reads no byte.
// Errors: kPassphraseFileMode; kIo.
Status CheckPassphraseFile(int fd);

// All of the file from its present position, less a final newline and a \r before that; checked as above.
// Blocks until the end of the file or limits::kPassphraseBytesMax.
// Errors: those of CheckPassphraseFile; kNoPassphrase (empty); kTooLarge; kIo.
Result<SecretBytes> ReadPassphraseFile(int fd);

// Writes the prompt and reads one line, which is not echoed; what was typed before is thrown away. The
// terminal is afterwards as it was, whatever happens. An empty line is an empty answer, not an error: the
// caller knows what it means. Blocks until somebody types.
// Errors: kCancelled (the interrupt or quit key, which end the prompt instead of the process); kTooLarge (the
// rest of the line is thrown away); kIo (the terminal is gone).
Result<SecretBytes> AskPassphrase(int tty_fd, std::string_view prompt);

}  // namespace holdfast::passphrase

#endif  // HOLDFAST_PASSPHRASE_PASSPHRASE_H_
