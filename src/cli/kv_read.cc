// kv get, scan, watch.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/proof_file.h"
#include "cli/text.h"
#include "core/tree/proof.h"

namespace holdfast::cli {
namespace {

struct ReadArguments {
  std::string table, key, proof;
  sdk::ScanOptions scan;
  uint64_t at_least = 0, limit = 0, from_index = 0;
  double timeout_s = 0;
  bool marks = false;
  std::string index;
  std::optional<std::string> equals;
};

void PrintRaw(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
    FailWith(Code::kIo, "standard output: cannot be written");
}

std::string RowLine(const KvOptions& options, const TypedTable& types, const sdk::KeyValue& row) {
  if (!options.json)
    return Escape(AsBytes(types.KeyText(row.key))) + "\t" + Escape(AsBytes(types.ValueText(row.value)));
  JsonLine line;
  return line.Text("key", Base64(AsBytes(row.key))).Text("value", Base64(AsBytes(row.value))).str();
}

// What a proof shows, looked into before it is believed. It goes to a.proof.
int GetProven(const KvOptions& options, const ReadArguments& a) {
  auto client = ConnectUser(options);
  TypedTable types(*client, a.table, {}, "kv get");
  std::string key = types.Key(a.key, "kv get");
  std::string file = Take(client->Prove(a.table, key, a.at_least), "kv get");
  tree::Proof proof = Take(tree::Proof::Decode(AsBytes(file)), "kv get");
  Need(proof.Check(), "kv get");
  if (ToText(proof.key) != key) Fail("kv get", Code::kProofRefused);
  WriteProofFile(a.proof, file);
  const auto* row = std::get_if<tree::Proof::Included>(&proof.end);
  if (row == nullptr) return 1;
  if (options.json && a.proof != "-") {
    JsonLine line;
    line.Text("key", Base64(proof.key)).Text("value", Base64(row->value));
    line.Number("index", proof.index.value).Text("root", HexUpper(proof.root));
    PrintLine(line.str());
  } else if (a.proof != "-") {
    PrintRaw(types.ValueText(AsText(row->value)));
  }
  return 0;
}

int Get(const KvOptions& options, const ReadArguments& a) {
  if (!a.proof.empty()) return GetProven(options, a);
  auto client = ConnectUser(options);
  TypedTable types(*client, a.table, a.scan.tag, "kv get");
  std::string key = types.Key(a.key, "kv get");
  sdk::Value value = Take(client->Get(a.table, key, a.at_least, a.scan.tag), "kv get");
  if (!value.found) return 1;  // an answer, not an error: nothing is printed
  if (options.json) {
    JsonLine line;
    line.Text("key", Base64(AsBytes(key))).Text("value", Base64(AsBytes(value.value)));
    PrintLine(line.Number("index", value.index).str());
  } else {
    PrintRaw(types.ValueText(value.value));
  }
  return 0;
}

sdk::ScanOptions::By ByIndex(const ReadArguments& a, const TypedTable& types) {
  sdk::ScanOptions::By by{a.index};
  if (!a.scan.from.empty()) by.from = types.IndexBound(a.scan.from, "kv scan");
  if (!a.scan.until.empty()) by.until = types.IndexBound(a.scan.until, "kv scan");
  if (!a.scan.prefix.empty()) by.prefix = a.scan.prefix;
  if (a.equals) by.equals = types.IndexBound(*a.equals, "kv scan");
  return by;
}

int Scan(const KvOptions& options, const ReadArguments& a) {
  auto client = ConnectUser(options);
  TypedTable types(*client, a.table, a.scan.tag, "kv scan");
  sdk::ScanOptions scan = a.scan;
  if (!a.index.empty()) {
    scan.by = ByIndex(a, types);
    scan.prefix = scan.from = scan.until = {};
  } else if (a.equals) {
    FailWith(Code::kUsage, "kv scan: --equals needs --index");
  }
  scan.prefix = types.Prefix(scan.prefix, "kv scan");
  scan.from = types.Bound(scan.from, "kv scan");
  scan.until = types.Bound(scan.until, "kv scan");
  (void)Take(client->Scan(a.table, scan,
                          [&](sdk::KeyValue row) {
                            PrintLine(RowLine(options, types, row));
                            return true;
                          }),
             "kv scan");
  return 0;
}

std::string ChangeLine(const KvOptions& options, const TypedTable& types, const sdk::Change& change) {
  const char* kind = change.kind == sdk::Change::Kind::kPut       ? "put"
                     : change.kind == sdk::Change::Kind::kDeleted ? "del"
                                                                  : "mark";
  bool mark = change.kind == sdk::Change::Kind::kMark, put = change.kind == sdk::Change::Kind::kPut;
  if (!options.json) {
    std::string line = std::to_string(change.index) + "\t" + kind;
    if (!mark) line += "\t" + Escape(AsBytes(types.KeyText(change.key)));
    if (put) line += "\t" + Escape(AsBytes(types.ValueText(change.value)));
    return line;
  }
  JsonLine line;
  line.Number("index", change.index).Text("kind", kind);
  if (!mark) line.Text("key", Base64(AsBytes(change.key)));
  if (put) line.Text("value", Base64(AsBytes(change.value)));
  return line.str();
}

int Watch(const KvOptions& options, const ReadArguments& a) {
  auto client = ConnectUser(options);
  TypedTable types(*client, a.table, {}, "kv watch");
  uint64_t seen = 0;
  const std::string& prefix = types.Prefix(a.scan.prefix, "kv watch");
  Status end = client->Watch(a.table, prefix, a.from_index, static_cast<uint64_t>(a.timeout_s * 1000),
                             [&](sdk::Change change) {
                               bool mark = change.kind == sdk::Change::Kind::kMark;
                               if (mark && !a.marks) return true;
                               PrintLine(ChangeLine(options, types, change));
                               std::fflush(stdout);  // whoever reads us waits for each change
                               if (!mark) ++seen;
                               return a.limit == 0 || seen < a.limit;
                             });
  if (!end && !(end.code() == Code::kDeadline && a.timeout_s > 0)) Fail("kv watch", end.code());
  return 0;
}

void AddRange(CLI::App& c, const std::shared_ptr<ReadArguments>& a) {
  c.add_option("--prefix", a->scan.prefix, "keys that begin so");
  c.add_option("--from", a->scan.from, "first key");
  c.add_option("--until", a->scan.until, "keys before this one");
  c.add_option("--limit", a->scan.limit, "at most so many rows");
  c.add_flag("--reverse", a->scan.reverse, "descending");
}

}  // namespace

void AddKvRead(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen) {
  auto a = std::make_shared<ReadArguments>();
  auto run = [options, a, &chosen](int (*f)(const KvOptions&, const ReadArguments&)) {
    return [options, a, f, &chosen] { chosen = [options, a, f] { return f(*options, *a); }; };
  };

  CLI::App* get = AddKvCommand(kv, options, "get", "Print a value as it is. Absent: exit 1, nothing printed.",
                               "get colours sky");
  get->add_option("table", a->table)->required();
  get->add_option("key", a->key)->required();
  get->add_option("--at-least", a->at_least, "wait until this index is applied");
  get->add_option("--tag", a->scan.tag, "read what this tag keeps");
  get->add_option(
      "--proof", a->proof,
      "of a patricia table: write a proof of the answer to this file (-: to stdout, in its place); "
      "saves first if the key has changed");
  get->callback(run(Get));

  CLI::App* scan = AddKvCommand(kv, options, "scan", "Print rows: key, tab, value. One snapshot.",
                                "scan colours --prefix s");
  scan->add_option("table", a->table)->required();
  AddRange(*scan, a);
  scan->add_option("--index", a->index,
                   "in the order of this index; --from, --until and --prefix are then of what is indexed");
  scan->add_option("--equals", a->equals, "with --index: rows with this value");
  scan->add_option("--at-least", a->scan.at_least, "wait until this index is applied");
  scan->add_option("--tag", a->scan.tag, "read what this tag keeps");
  scan->callback(run(Scan));

  CLI::App* watch = AddKvCommand(kv, options, "watch",
                                 "Print changes as they become durable: index, put or del, key, value.",
                                 "watch colours --limit 1");
  watch->add_option("table", a->table)->required();
  watch->add_option("--prefix", a->scan.prefix, "keys that begin so");
  watch->add_option("--from", a->from_index, "first index of interest (default: from now)");
  watch->add_option("--limit", a->limit, "end after so many changes");
  watch->add_option("--timeout", a->timeout_s, "end after so many seconds")->check(CLI::Range(0.0, 86'400.0));
  watch->add_flag("--marks", a->marks, "also tell up to which index all has been sent");
  watch->callback(run(Watch));
}

}  // namespace holdfast::cli
