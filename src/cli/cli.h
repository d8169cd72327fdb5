// The command line: docs/operating.md and `holdfast --help` say what each command does; names, outputs and
// exit codes are a contract. One file a group of commands; each Add… declares its options and leaves in
// `chosen` what is to be run.
#ifndef HOLDFAST_CLI_CLI_H_
#define HOLDFAST_CLI_CLI_H_

#include <functional>

namespace CLI {
class App;
}

namespace holdfast::cli {

using Chosen = std::function<int()>;  // the exit code

void AddInit(CLI::App& app, Chosen& chosen);
void AddServe(CLI::App& app, Chosen& chosen);
void AddKv(CLI::App& app, Chosen& chosen);
void AddStore(CLI::App& app, Chosen& chosen);  // verify, restore, passphrase, tag, diff, gc, provider
void AddProof(CLI::App& app, Chosen& chosen);  // verify-proof
void AddAdmin(CLI::App& app, Chosen& chosen);
void AddBench(CLI::App& app, Chosen& chosen);

// All of them, with what the command line says of itself. Parsing runs nothing: it throws CLI::Error, or
// leaves in `chosen` what was asked for.
void AddCommands(CLI::App& app, Chosen& chosen);

// Parses, runs, and turns a Failure into its line and exit code. Nothing escapes it.
int Main(int argc, char** argv);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_CLI_H_
