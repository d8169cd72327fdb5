// What the kv commands share: which server, how to print, and the option every write has.
#ifndef HOLDFAST_CLI_KV_INTERNAL_H_
#define HOLDFAST_CLI_KV_INTERNAL_H_

#include <memory>
#include <string>

#include "cli/cli.h"
#include "sdk/client.h"

namespace holdfast::cli {

struct KvOptions {
  std::string client_yaml;  // else HOLDFAST_CLIENT
  std::string wait = "durable";
  bool json = false;
};

// A subcommand with -c and --json; `example` goes into its help.
CLI::App* AddKvCommand(CLI::App& kv, const std::shared_ptr<KvOptions>& options, const std::string& name,
                       const std::string& what, const std::string& example);
void AddWait(CLI::App& command, const std::shared_ptr<KvOptions>& options);

// Option, then HOLDFAST_CLIENT. Fails with a usage error when there is neither.
sdk::ClientConfig ReadClientYaml(const std::string& option);
std::unique_ptr<sdk::Client> ConnectUser(const KvOptions& options);

sdk::Wait WaitOf(const KvOptions& options);
// A write's outcome: nothing, or with --json {"term":…,"index":…,"reached":"durable"}.
int PrintWritten(const KvOptions& options, const sdk::Written& written);
std::string ReadAllStdin(size_t bytes_max);
// The argument, or standard input for "-".
std::string ValueArgument(const std::string& argument);
// A line on stdout. Fails when it cannot be written.
void PrintLine(const std::string& line);

void AddKvRead(CLI::App& kv, const std::shared_ptr<KvOptions>& options,
               Chosen& chosen);  // get scan watch
void AddKvWrite(CLI::App& kv, const std::shared_ptr<KvOptions>& options,
                Chosen& chosen);  // put del cas batch sync
void AddKvDump(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen);
void AddKvLoad(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen);
void AddKvTable(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_KV_INTERNAL_H_
