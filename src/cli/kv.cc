#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>

#include "base/limits.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/text.h"

namespace holdfast::cli {

CLI::App* AddKvCommand(CLI::App& kv, const std::shared_ptr<KvOptions>& options, const std::string& name,
                       const std::string& what, const std::string& example) {
  CLI::App* c = kv.add_subcommand(name, what);
  c->add_option("-c,--client", options->client_yaml, "client.yaml (else HOLDFAST_CLIENT)");
  c->add_flag("--json", options->json, "print JSON, keys and values in base64");
  c->footer("Example:\n  holdfast kv -c D/client.yaml " + example);
  return c;
}

void AddWait(CLI::App& command, const std::shared_ptr<KvOptions>& options) {
  command.add_option("--wait", options->wait, "none: answered before it is durable")
      ->check(CLI::IsMember({"none", "durable"}))
      ->capture_default_str();
}

sdk::ClientConfig ReadClientYaml(const std::string& option) {
  const char* environment = std::getenv("HOLDFAST_CLIENT");
  std::string path = !option.empty() || environment == nullptr ? option : environment;
  if (path.empty()) FailWith(Code::kUsage, "usage: -c client.yaml is missing (or set HOLDFAST_CLIENT)");
  std::string why;
  Result<sdk::ClientConfig> config = sdk::LoadClientConfig(path, &why);
  if (!config)
    FailWith(config.code(), path + ": " + (why.empty() ? std::string(CodeText(config.code())) : why));
  return std::move(config).value();
}

std::unique_ptr<sdk::Client> ConnectUser(const KvOptions& options) {
  return Take(sdk::Client::Connect(ReadClientYaml(options.client_yaml)), "connect");
}

sdk::Wait WaitOf(const KvOptions& options) {
  return options.wait == "none" ? sdk::Wait::kNone : sdk::Wait::kDurable;
}

void PrintLine(const std::string& line) {
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fputc('\n', stdout) == EOF) {
    FailWith(Code::kIo, "standard output: cannot be written");
  }
}

int PrintWritten(const KvOptions& options, const sdk::Written& written) {
  if (!options.json) return 0;
  JsonLine line;
  line.Number("term", written.term).Number("index", written.index);
  PrintLine(line.Text("reached", written.reached == sdk::Wait::kDurable ? "durable" : "none").str());
  return 0;
}

std::string ReadAllStdin(size_t bytes_max) {
  std::string text;
  char block[65'536];
  size_t n = 0;
  while ((n = std::fread(block, 1, sizeof(block), stdin)) > 0) {
    text.append(block, n);
    if (text.size() > bytes_max) Fail("standard input", Code::kTooLarge);
  }
  if (std::ferror(stdin) != 0) Fail("standard input", Code::kIo);
  return text;
}

std::string ValueArgument(const std::string& argument) {
  return argument == "-" ? ReadAllStdin(limits::kValueBytesMax) : argument;
}

void AddKv(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<KvOptions>();
  CLI::App* kv = app.add_subcommand("kv", "Keys and values of a running server.");
  kv->add_option("-c,--client", options->client_yaml, "client.yaml (else HOLDFAST_CLIENT)");
  kv->add_flag("--json", options->json, "print JSON, keys and values in base64");
  kv->footer(
      "Example:\n  holdfast kv -c D/client.yaml table create colours\n"
      "  holdfast kv -c D/client.yaml put colours sky blue\n\n"
      "In lines of text, tab, newline, backslash, control characters and bytes that are not UTF-8 are "
      "escaped: "
      "\\t \\n \\r \\\\ \\xHH.");
  kv->require_subcommand(1);
  AddKvRead(*kv, options, chosen);
  AddKvWrite(*kv, options, chosen);
  AddKvDump(*kv, options, chosen);
  AddKvLoad(*kv, options, chosen);
  AddKvTable(*kv, options, chosen);
}

}  // namespace holdfast::cli
