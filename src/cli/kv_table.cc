// kv table create, drop, list.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/text.h"

namespace holdfast::cli {
namespace {

struct TableArguments {
  std::string table;
  bool never_inline = false, transient = false, share_values = false;
  uint32_t order = 0;
  std::string layout = "btree", key_type = "bytes", value_type = "bytes";
  std::vector<std::string> indexes, unique_indexes;
  std::string index, pointer;
  bool unique = false;
};

// NAME, or NAME=POINTER.
sdk::Index IndexNamed(const std::string& text, bool unique) {
  size_t at = text.find('=');
  return {text.substr(0, at), at == text.npos ? "" : text.substr(at + 1), unique};
}

sdk::Type TypeNamed(const std::string& name) {  // one that the parser has let through
  return static_cast<sdk::Type>(tree::TypeOf(name).value());
}
std::string NameOf(sdk::Type type) { return std::string(tree::TypeName(static_cast<tree::Type>(type))); }

int Create(const KvOptions& options, const TableArguments& a) {
  auto client = ConnectUser(options);
  sdk::TableOptions table;
  table.never_inline = a.never_inline;
  table.leaf_rows_max = table.inner_children_max = a.order;
  table.transient = a.transient;
  table.share_values = a.share_values;
  for (const std::string& text : a.indexes) table.indexes.push_back(IndexNamed(text, false));
  for (const std::string& text : a.unique_indexes) table.indexes.push_back(IndexNamed(text, true));
  table.key_type = TypeNamed(a.key_type);
  table.value_type = TypeNamed(a.value_type);
  if (a.layout == "patricia") {
    table.layout = sdk::Layout::kPatricia;
    table.inner_children_max = 0;  // the layout's own
  }
  return PrintWritten(options, Take(client->CreateTable(a.table, table), "kv table create"));
}

int Drop(const KvOptions& options, const TableArguments& a) {
  auto client = ConnectUser(options);
  return PrintWritten(options, Take(client->DropTable(a.table), "kv table drop"));
}

int CreateIndex(const KvOptions& options, const TableArguments& a) {
  auto client = ConnectUser(options);
  sdk::Index index{a.index, a.pointer, a.unique};
  return PrintWritten(options, Take(client->CreateIndex(a.table, index), "kv index create"));
}

int DropIndex(const KvOptions& options, const TableArguments& a) {
  auto client = ConnectUser(options);
  return PrintWritten(options, Take(client->DropIndex(a.table, a.index), "kv index drop"));
}

int ListIndexes(const KvOptions& options, const TableArguments& a) {
  auto client = ConnectUser(options);
  for (const sdk::Index& index : Take(client->Describe(a.table), "kv index list").options.indexes) {
    if (options.json) {
      JsonLine line;
      line.Text("index", index.name).Text("pointer", index.pointer);
      PrintLine(line.Bool("unique", index.unique).str());
    } else {
      PrintLine(Escape(AsBytes(index.name)) + "\t" + Escape(AsBytes(index.pointer)) +
                (index.unique ? "\tunique" : ""));
    }
  }
  return 0;
}

int List(const KvOptions& options, const TableArguments&) {
  auto client = ConnectUser(options);
  for (const sdk::Table& table : Take(client->ListTables(), "kv table list")) {
    if (!options.json) {
      PrintLine(Escape(AsBytes(table.name)) + "\t" + std::to_string(table.rows) + "\t" +
                NameOf(table.options.key_type) + "\t" + NameOf(table.options.value_type) +
                (table.options.transient ? "\ttransient" : "") +
                (table.options.share_values ? "\tshares values" : ""));
      continue;
    }
    JsonLine line;
    line.Text("table", table.name).Text("id", table.id);
    line.Number(table.options.transient ? "rows" : "rows_at_last_save", table.rows);
    line.Bool("transient", table.options.transient);
    line.Number("indexes", table.options.indexes.size());
    line.Bool("never_inline", table.options.never_inline);
    line.Bool("share_values", table.options.share_values);
    bool patricia = table.options.layout == sdk::Layout::kPatricia;
    line.Text("layout", patricia ? "patricia" : "btree");
    line.Text("key_type", NameOf(table.options.key_type));
    line.Text("value_type", NameOf(table.options.value_type));
    if (table.root_index != 0) line.Text("root", table.root).Number("root_index", table.root_index);
    PrintLine(line.str());
  }
  return 0;
}

int Root(const KvOptions& options, const TableArguments& a) {
  auto client = ConnectUser(options);
  for (const sdk::Table& table : Take(client->ListTables(), "kv root")) {
    if (table.name != a.table) continue;
    if (table.root_index == 0) Fail("kv root", Code::kNoProof);
    if (options.json) {
      JsonLine line;
      line.Text("table", table.name).Text("id", table.id).Text("root", table.root);
      PrintLine(line.Number("root_index", table.root_index).Number("rows", table.rows).str());
    } else {
      PrintLine(table.root);
    }
    return 0;
  }
  Fail("kv root", Code::kNoTable);
}

}  // namespace

void AddKvTable(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen) {
  CLI::App* table = kv.add_subcommand("table", "Create, drop and list tables.");
  table->add_option("-c,--client", options->client_yaml, "client.yaml (else HOLDFAST_CLIENT)");
  table->add_flag("--json", options->json, "print JSON");
  table->require_subcommand(1);
  table->footer("Example:\n  holdfast kv -c D/client.yaml table create colours");
  auto a = std::make_shared<TableArguments>();
  auto run = [options, a, &chosen](int (*f)(const KvOptions&, const TableArguments&)) {
    return [options, a, f, &chosen] { chosen = [options, a, f] { return f(*options, *a); }; };
  };
  CLI::App* create = AddKvCommand(*table, options, "create", "Create a table: 1 to 128 bytes of UTF-8.",
                                  "table create colours");
  create->add_option("table", a->table)->required();
  create->add_flag("--never-inline,--no-inline", a->never_inline, "values never lie in the leaves");
  create
      ->add_option("--layout", a->layout,
                   "patricia: the root depends on the rows alone, and rows can be proven (kv get --proof)")
      ->check(CLI::IsMember({"btree", "patricia"}))
      ->capture_default_str();
  create->add_flag("--transient", a->transient,
                   "rows in memory alone: fast, never on storage, gone when the server stops");
  create->add_flag("--share-values", a->share_values,
                   "store equal values above 224 bytes once, however many rows have them");
  create
      ->add_option("--key-type", a->key_type, "what keys must be; integers and times sort as what they mean")
      ->check(CLI::IsMember({"bytes", "text", "int64", "uint64", "uuid", "timestamp"}))
      ->capture_default_str();
  create->add_option("--value-type", a->value_type, "what values must be")
      ->check(CLI::IsMember({"bytes", "text", "int64", "uint64", "uuid", "timestamp", "json"}))
      ->capture_default_str();
  create->add_option(
      "--index", a->indexes,
      "NAME, or of JSON NAME=/POINTER (RFC 6901): scan by it with kv scan --index; may be given "
      "several times");
  create->add_option("--unique-index", a->unique_indexes,
                     "the same, and no two rows may have the same value");
  create
      ->add_option("--order", a->order,
                   "rows of a leaf and children of an inner node (default: 16 and 64; patricia: rows, to 32)")
      ->check(CLI::Range(limits::kOrderMin, limits::kOrderMax));
  create->callback(run(Create));
  CLI::App* drop =
      AddKvCommand(*table, options, "drop", "Drop a table with all its rows.", "table drop colours");
  drop->add_option("table", a->table)->required();
  drop->callback(run(Drop));
  CLI::App* list = AddKvCommand(*table, options, "list",
                                "Name, rows as of the last save (of transient tables: now), type of keys, "
                                "type of values, \"transient\", \"shares values\".",
                                "table list");
  list->callback(run(List));
  CLI::App* index = kv.add_subcommand("index", "Create, drop and list secondary indexes of a table.");
  index->add_option("-c,--client", options->client_yaml, "client.yaml (else HOLDFAST_CLIENT)");
  index->add_flag("--json", options->json, "print JSON");
  index->require_subcommand(1);
  index->footer("Example:\n  holdfast kv -c D/client.yaml index create people by-city /address/city");
  CLI::App* add = AddKvCommand(*index, options, "create",
                               "Build an index from the rows that are there: at most a million.",
                               "index create people by-city /address/city");
  add->add_option("table", a->table)->required();
  add->add_option("name", a->index)->required();
  add->add_option("pointer", a->pointer, "of JSON values: RFC 6901 (default: the whole value)");
  add->add_flag("--unique", a->unique, "no two rows may have the same value");
  add->callback(run(CreateIndex));
  CLI::App* remove =
      AddKvCommand(*index, options, "drop", "Drop an index; the rows stay.", "index drop people by-city");
  remove->add_option("table", a->table)->required();
  remove->add_option("name", a->index)->required();
  remove->callback(run(DropIndex));
  CLI::App* indexes =
      AddKvCommand(*index, options, "list", "Name, pointer, \"unique\".", "index list people");
  indexes->add_option("table", a->table)->required();
  indexes->callback(run(ListIndexes));
  CLI::App* root = AddKvCommand(
      kv, options, "root", "Print the root of a patricia table as of the last save: what proofs lead to.",
      "root colours");
  root->add_option("table", a->table)->required();
  root->callback(run(Root));
}

}  // namespace holdfast::cli
