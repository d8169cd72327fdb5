// What the kv commands share: which server, how to print, and the option every write has.
#ifndef HOLDFAST_CLI_KV_INTERNAL_H_
#define HOLDFAST_CLI_KV_INTERNAL_H_

#include <memory>
#include <string>

#include "cli/cli.h"
#include "core/tree/types.h"
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

// What a table's keys and values are: to bytes from what people write, and back (typed_text.h). `what` begins
// the line that says what is wrong.
class TypedTable {
 public:
  explicit TypedTable(const sdk::TableOptions& table);
  // Asks the server, and fails with its answer.
  TypedTable(sdk::Client& client, const std::string& table, const std::string& tag, const std::string& what);

  std::string Key(const std::string& text, const std::string& what) const;    // fails with kKeyType
  std::string Value(const std::string& text, const std::string& what) const;  // fails with kValueType
  // Of a scan or a watch; an empty one is none. kUsage: keys of this type have no prefixes.
  std::string Bound(const std::string& text, const std::string& what) const;
  const std::string& Prefix(const std::string& prefix, const std::string& what) const;
  // A bound of an index: as a value; of JSON what is no JSON scalar is a string.
  std::string IndexBound(const std::string& text, const std::string& what) const;
  std::string KeyText(std::string_view key) const;
  std::string ValueText(std::string_view value) const;

 private:
  tree::Type key_, value_;
};

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
