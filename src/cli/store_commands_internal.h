#ifndef HOLDFAST_CLI_STORE_COMMANDS_INTERNAL_H_
#define HOLDFAST_CLI_STORE_COMMANDS_INTERNAL_H_

#include <memory>
#include <string>

#include "cli/cli.h"

namespace holdfast::cli {

void AddVerify(CLI::App& app, Chosen& chosen);
void AddRestore(CLI::App& app, Chosen& chosen);
void AddPassphrase(CLI::App& app, Chosen& chosen);
void AddTag(CLI::App& app, Chosen& chosen);
void AddProvider(CLI::App& app, Chosen& chosen);
void AddDiff(CLI::App& app, Chosen& chosen);
// `config`: what -c of the command above it says; null where there is none above.
void AddGc(CLI::App& app, Chosen& chosen, std::shared_ptr<const std::string> config);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_STORE_COMMANDS_INTERNAL_H_
