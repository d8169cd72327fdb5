// kv put, del, cas, batch, sync.
#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "base/limits.h"
#include "cli/batch_file.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"

namespace holdfast::cli {
namespace {

// What a batch of the largest size takes as text, every byte escaped as \xHH, and its table names.
constexpr size_t kBatchTextBytesMax =
    4 * limits::kBatchBytesMax + 8 * limits::kKeyBytesMax * limits::kBatchOpsMax;

struct WriteArguments {
  std::string table, key, value, old_value, file;
  bool absent = false, remove = false, has_value = false, has_old = false;
};

// Keys and values as people write them, to those of the tables.
sdk::Batch Typed(sdk::Client& client, sdk::Batch batch, const std::string& what) {
  std::map<std::string, TypedTable> tables;
  auto types = [&](const std::string& table) -> const TypedTable& {
    auto it = tables.find(table);
    if (it == tables.end()) it = tables.emplace(table, TypedTable(client, table, {}, what)).first;
    return it->second;
  };
  for (sdk::Compare& c : batch.compares) {
    c.key = types(c.table).Key(c.key, what);
    if (c.kind == sdk::Compare::Kind::kEquals) c.value = types(c.table).Value(c.value, what);
  }
  for (sdk::Operation& o : batch.operations) {
    o.key = types(o.table).Key(o.key, what);
    if (o.kind == sdk::Operation::Kind::kPut) o.value = types(o.table).Value(o.value, what);
  }
  return batch;
}

sdk::Written Apply(const KvOptions& options, sdk::Batch batch, sdk::Wait wait, const std::string& what) {
  auto client = ConnectUser(options);
  uint64_t failed = 0;
  Result<sdk::Written> written = client->Apply(Typed(*client, std::move(batch), what), wait, &failed);
  if (!written && written.code() == Code::kConflict) {
    FailWith(Code::kConflict,
             what + ": compare " + std::to_string(failed + 1) + " did not hold; nothing was changed");
  }
  return Take(std::move(written), what);
}

int Put(const KvOptions& options, const WriteArguments& a) {
  std::string value = ValueArgument(a.value);
  auto client = ConnectUser(options);
  TypedTable types(*client, a.table, {}, "kv put");
  std::string key = types.Key(a.key, "kv put");
  value = types.Value(value, "kv put");
  return PrintWritten(options, Take(client->Put(a.table, key, value, WaitOf(options)), "kv put"));
}

int Delete(const KvOptions& options, const WriteArguments& a) {
  auto client = ConnectUser(options);
  std::string key = TypedTable(*client, a.table, {}, "kv del").Key(a.key, "kv del");
  return PrintWritten(options, Take(client->Delete(a.table, key, WaitOf(options)), "kv del"));
}

int CompareAndSet(const KvOptions& options, const WriteArguments& a) {
  if (a.absent == a.has_old) FailWith(Code::kUsage, "usage: kv cas takes one of --old and --absent");
  if (a.remove == a.has_value) FailWith(Code::kUsage, "usage: kv cas takes a new value or --delete");
  using Kind = sdk::Compare::Kind;
  sdk::Batch batch;
  batch.compares.push_back({a.absent ? Kind::kAbsent : Kind::kEquals, a.table, a.key, a.old_value});
  batch.operations.push_back({a.remove ? sdk::Operation::Kind::kDelete : sdk::Operation::Kind::kPut, a.table,
                              a.key, a.remove ? std::string() : ValueArgument(a.value)});
  return PrintWritten(options, Apply(options, std::move(batch), sdk::Wait::kDurable, "kv cas"));
}

std::string ReadBatchFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) Fail(path, Code::kNotFound);
  std::string text;
  std::array<char, 65'536> block;
  while (in.read(block.data(), block.size()), in.gcount() > 0) {
    text.append(block.data(), static_cast<size_t>(in.gcount()));
    if (text.size() > kBatchTextBytesMax) Fail(path, Code::kTooLarge);
  }
  return text;
}

int ApplyBatch(const KvOptions& options, const WriteArguments& a) {
  std::string text;
  if (a.file == "-") {
    text = ReadAllStdin(kBatchTextBytesMax);
  } else {
    text = ReadBatchFile(a.file);
  }
  std::string why;
  Result<sdk::Batch> batch = ParseBatchFile(text, &why);
  if (!batch) FailWith(batch.code(), a.file + " " + why);
  return PrintWritten(options, Apply(options, std::move(*batch), WaitOf(options), "kv batch"));
}

int Sync(const KvOptions& options, const WriteArguments&) {
  auto client = ConnectUser(options);
  sdk::Written written = Take(client->Sync(), "kv sync");
  if (!options.json) PrintLine("everything written before is durable");
  return PrintWritten(options, written);
}

}  // namespace

void AddKvWrite(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen) {
  auto a = std::make_shared<WriteArguments>();
  auto run = [options, a, &chosen](int (*f)(const KvOptions&, const WriteArguments&)) {
    return [options, a, f, &chosen] { chosen = [options, a, f] { return f(*options, *a); }; };
  };

  CLI::App* put = AddKvCommand(kv, options, "put", "Write a value.", "put colours sky blue");
  put->add_option("table", a->table)->required();
  put->add_option("key", a->key)->required();
  put->add_option("value", a->value, "- reads standard input")->required();
  AddWait(*put, options);
  put->callback(run(Put));

  CLI::App* del =
      AddKvCommand(kv, options, "del", "Delete a key. Deleting what is absent is fine.", "del colours sky");
  del->add_option("table", a->table)->required();
  del->add_option("key", a->key)->required();
  AddWait(*del, options);
  del->callback(run(Delete));

  CLI::App* cas =
      AddKvCommand(kv, options, "cas", "Write only if the present value is as expected; else exit 1.",
                   "cas colours sky grey --old blue");
  cas->add_option("table", a->table)->required();
  cas->add_option("key", a->key)->required();
  CLI::Option* value = cas->add_option("value", a->value, "the new value; - reads standard input");
  CLI::Option* old_value = cas->add_option("--old", a->old_value, "the value it must have");
  cas->add_flag("--absent", a->absent, "there must be no such key");
  cas->add_flag("--delete", a->remove, "delete it instead of writing");
  cas->callback([a, value, old_value, then = run(CompareAndSet)] {
    a->has_value = value->count() > 0;
    a->has_old = old_value->count() > 0;
    then();
  });

  CLI::App* batch = AddKvCommand(
      kv, options, "batch", "Apply many changes, all or nothing, if all compares hold.", "batch changes.tsv");
  batch
      ->add_option("file", a->file,
                   "lines of put TABLE KEY VALUE, del TABLE KEY, absent TABLE KEY, present TABLE KEY, equals "
                   "TABLE KEY VALUE, "
                   "separated by tabs and escaped as in scan; - reads standard input")
      ->required();
  AddWait(*batch, options);
  batch->callback(run(ApplyBatch));

  CLI::App* sync =
      AddKvCommand(kv, options, "sync", "Wait until everything written before is durable.", "sync");
  sync->callback(run(Sync));
}

}  // namespace holdfast::cli
