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
#include "cli/typed_text.h"

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

TypedTable::TypedTable(const sdk::TableOptions& table)
    : key_(static_cast<tree::Type>(table.key_type)), value_(static_cast<tree::Type>(table.value_type)) {}

TypedTable::TypedTable(sdk::Client& client, const std::string& table, const std::string& tag,
                       const std::string& what)
    : TypedTable(Take(client.Describe(table, tag), what).options) {}

namespace {

std::string Parse(tree::Type type, const std::string& text, Code refusal, const std::string& what) {
  Result<std::string> bytes = ParseTyped(type, text);
  if (bytes) return std::move(bytes).value();
  FailWith(refusal, what + ": " + std::string(CodeText(refusal)) + ", " + std::string(tree::TypeName(type)));
}

}  // namespace

std::string TypedTable::Key(const std::string& text, const std::string& what) const {
  return Parse(key_, text, Code::kKeyType, what);
}
std::string TypedTable::Value(const std::string& text, const std::string& what) const {
  return Parse(value_, text, Code::kValueType, what);
}
std::string TypedTable::Bound(const std::string& text, const std::string& what) const {
  return text.empty() ? text : Key(text, what);
}
std::string TypedTable::IndexBound(const std::string& text, const std::string& what) const {
  if (value_ != tree::Type::kJson) return Value(text, what);
  const char first = text.empty() ? '{' : text.front();
  const bool scalar = first != '{' && first != '[' && tree::IsJson(AsBytes(text));
  return scalar ? text : JsonString(text);
}
const std::string& TypedTable::Prefix(const std::string& prefix, const std::string& what) const {
  bool has_prefixes = key_ == tree::Type::kBytes || key_ == tree::Type::kText;
  if (prefix.empty() || has_prefixes) return prefix;
  FailWith(Code::kUsage, what + ": usage: --prefix is for keys of bytes or text; these are " +
                             std::string(tree::TypeName(key_)));
}
std::string TypedTable::KeyText(std::string_view key) const { return TypedText(key_, key); }
std::string TypedTable::ValueText(std::string_view value) const { return TypedText(value_, value); }

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
      "\\t \\n \\r \\\\ \\xHH. Keys and values of typed tables are numbers in decimal, UUIDs, times as\n"
      "2026-11-22T06:52:51.000000Z, text and JSON as they are; with --json, base64 of the bytes.");
  kv->require_subcommand(1);
  AddKvRead(*kv, options, chosen);
  AddKvWrite(*kv, options, chosen);
  AddKvDump(*kv, options, chosen);
  AddKvLoad(*kv, options, chosen);
  AddKvTable(*kv, options, chosen);
}

}  // namespace holdfast::cli
