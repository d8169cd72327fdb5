#ifndef HOLDFAST_CLI_STORE_COMMANDS_INTERNAL_H_
#define HOLDFAST_CLI_STORE_COMMANDS_INTERNAL_H_

#include "cli/cli.h"

namespace holdfast::cli {

void AddVerify(CLI::App& app, Chosen& chosen);
void AddRestore(CLI::App& app, Chosen& chosen);
void AddPassphrase(CLI::App& app, Chosen& chosen);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_STORE_COMMANDS_INTERNAL_H_
