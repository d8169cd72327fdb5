// Files with a proof in them: written by `kv get --proof`, read by `verify-proof`.
#ifndef HOLDFAST_CLI_PROOF_FILE_H_
#define HOLDFAST_CLI_PROOF_FILE_H_

#include <string>
#include <string_view>

namespace holdfast::cli {

// "-": standard output. Fails with kIo.
void WriteProofFile(const std::string& path, std::string_view bytes);
// "-": standard input. Fails with kNotFound, kIo, kTooLarge (more than any proof has).
std::string ReadProofFile(const std::string& path);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_PROOF_FILE_H_
