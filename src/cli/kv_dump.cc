// kv dump: the rows of one snapshot as text, to standard output or into a file that is there when it is
// whole.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cli/durable_file.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/progress.h"
#include "cli/record_format.h"
#include "cli/resume_point.h"
#include "cli/text.h"

namespace holdfast::cli {
namespace {

// Between two syncs of FILE.part with its progress: what a broken dump writes again at most.
constexpr uint64_t kPointBytes = 4u << 20;

struct DumpArguments {
  std::string table, format, out;
  sdk::ScanOptions scan;
  bool base64 = false, resume = false, progress = false;
};

bool IsPlain(const DumpArguments& a) {  // as it has always been: lines on standard output, nothing on stderr
  return a.format.empty() && a.out.empty();
}

[[noreturn]] void FailUsage(const std::string& why) { FailWith(Code::kUsage, "usage: kv dump " + why); }

RecordFormat CheckUsage(const KvOptions& options, const DumpArguments& a) {
  bool narrowed = !a.scan.from.empty() || !a.scan.until.empty() || !a.scan.tag.empty();
  if (a.table.empty() && (!IsPlain(a) || narrowed || a.resume))
    FailUsage("of all tables takes no such option");
  if (options.json && !a.format.empty()) FailUsage("takes one of --json and --format");
  if (a.base64 && a.format != "csv" && a.format != "jsonl") FailUsage("--base64 is of csv and jsonl");
  if (a.resume && a.out.empty()) FailUsage("--resume needs --out");
  return RecordFormatOf(a.format).value_or(options.json ? RecordFormat::kJson : RecordFormat::kTsv);
}

std::string RowOf(const KvOptions& options, const std::string& table, const sdk::KeyValue& row) {
  ByteView key = AsBytes(row.key), value = AsBytes(row.value);
  if (!options.json) return Escape(AsBytes(table)) + "\t" + Escape(key) + "\t" + Escape(value);
  return JsonLine().Text("table", table).Text("key", Base64(key)).Text("value", Base64(value)).str();
}

int DumpAllTables(const KvOptions& options) {
  auto client = ConnectUser(options);
  // What is written in between does not tear the picture more than table by table.
  for (const sdk::Table& table : Take(client->ListTables(), "kv dump")) {
    (void)Take(client->Scan(table.name, {},
                            [&](const sdk::KeyValue& row) {
                              PrintLine(RowOf(options, table.name, row));
                              return true;
                            }),
               "kv dump");
  }
  return 0;
}

// Whether the rows are the same whenever they are read: a tag, or TABLE@TAG where no table has that name.
bool IsOfATag(sdk::Client& client, const DumpArguments& a) {
  if (!a.scan.tag.empty()) return true;
  if (a.table.find('@') == std::string::npos) return false;
  for (const sdk::Table& table : Take(client.ListTables(), "kv dump"))
    if (table.name == a.table) return false;
  return true;
}

class TableDump {
 public:
  TableDump(const KvOptions& options, const DumpArguments& a)
      : a_(a),
        format_(CheckUsage(options, a)),
        config_(ReadClientYaml(options.client_yaml)),
        client_(Take(sdk::Client::Connect(config_), "connect")),
        bar_("dump " + Escape(AsBytes(a.table)), ProgressBar::Unit::kRecords, options.json, a.progress) {}

  int Run() {
    uint64_t keep = a_.resume ? Earlier() : 0;
    if (!a_.out.empty()) part_.emplace(a_.out, keep);
    try {
      Stream(keep == 0);
    } catch (const Failure& f) {
      if (!part_) throw;
      if (!a_.resume) {
        part_->Discard();
        throw;
      }
      KeepPoint();
      FailWith(f.code, f.text + "; " + a_.out + ".part is kept for --resume");
    }
    if (part_) {
      part_->Complete();
      if (a_.resume) RemoveIfThere(PointPath());
    }
    if (!IsPlain(a_)) {
      std::fflush(stdout);
      std::fprintf(stderr, "dumped %llu rows of %s at index %llu\n",
                   static_cast<unsigned long long>(point_.rows), Escape(AsBytes(a_.table)).c_str(),
                   static_cast<unsigned long long>(point_.index));
    }
    return 0;
  }

 private:
  std::string PointPath() const { return a_.out + ".part.progress"; }

  // Where an earlier dump of the same rows had come to: so many bytes of FILE.part are good.
  uint64_t Earlier() {
    if (!IsOfATag(*client_, a_)) {
      FailUsage("--resume needs a tag (--tag NAME, or TABLE@NAME): only what a tag keeps is the same when " +
                std::string("it is read again"));
    }
    point_ = {.store = config_.store_id,
              .table = a_.table,
              .tag = a_.scan.tag,
              .format = a_.format.empty() ? (format_ == RecordFormat::kJson ? "json" : "tsv") : a_.format,
              .base64 = a_.base64,
              .from = a_.scan.from,
              .until = a_.scan.until,
              .index = 0,
              .offset = 0,
              .rows = 0,
              .last_key = ""};
    sdk::ScanOptions one = a_.scan;
    one.limit = 1;
    point_.index = Take(client_->Scan(a_.table, one, [](const sdk::KeyValue&) { return true; }), "kv dump");
    std::optional<std::string> text = ReadIfThere(PointPath());
    if (!text) return 0;
    Result<DumpPoint> earlier = ParseDumpPoint(*text);
    DumpPoint same = point_;
    if (earlier) {
      same.offset = earlier->offset;
      same.rows = earlier->rows;
      same.last_key = earlier->last_key;
    }
    if (!earlier || !(same == *earlier))
      FailWith(Code::kBadInput, PointPath() +
                                    ": not of this dump: another store, table, tag, range, format or "
                                    "index; remove it to begin again");
    point_ = same;
    std::fprintf(stderr, "holdfast: note: %s.part: going on behind %llu rows\n", a_.out.c_str(),
                 static_cast<unsigned long long>(point_.rows));
    return point_.offset;
  }

  void Stream(bool from_the_beginning) {
    if (from_the_beginning) Write(RecordHeader(format_, a_.base64));
    sdk::ScanOptions scan = a_.scan;
    if (!point_.last_key.empty()) scan.from = point_.last_key;
    const std::string passed = point_.last_key;  // is read once more: a longer key might be no key at all
    bar_.Update(point_.rows, 0);
    std::optional<Failure> wrong;  // not thrown through the reader of a stream
    Result<uint64_t> index = client_->Scan(a_.table, scan, [&](sdk::KeyValue row) {
      if (!passed.empty() && row.key == passed) return true;
      try {
        Add({std::move(row.key), std::move(row.value)});
      } catch (const Failure& f) {
        wrong = f;
      }
      return !wrong;
    });
    if (wrong) throw Failure(*wrong);
    if (!index) Fail("kv dump", index.code());
    if (a_.resume && *index != point_.index) Fail("kv dump", Code::kSnapshotTooOld);
    point_.index = *index;
    bar_.Update(point_.rows, 0);
  }

  void Add(Record row) {
    Result<std::string> text = RecordText(format_, a_.base64, row);
    if (!text) {
      FailWith(text.code(), "kv dump: row " + std::to_string(point_.rows + 1) +
                                " is not UTF-8, which CSV cannot show: use --base64");
    }
    Write(*text);
    ++point_.rows;
    point_.last_key = std::move(row.key);
    bar_.Update(point_.rows, 0);
    if (a_.resume && part_->offset() - point_.offset >= kPointBytes) KeepPoint();
  }

  void Write(const std::string& text) {
    if (part_) return part_->Write(text);
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
      FailWith(Code::kIo, "standard output: cannot be written");
  }

  void KeepPoint() {
    part_->Sync();
    point_.offset = part_->offset();
    WriteDurably(PointPath(), EncodeDumpPoint(point_));
  }

  const DumpArguments& a_;
  const RecordFormat format_;
  const sdk::ClientConfig config_;
  const std::unique_ptr<sdk::Client> client_;
  ProgressBar bar_;
  std::optional<PartFile> part_;
  DumpPoint point_;
};

int Dump(const KvOptions& options, const DumpArguments& a) {
  if (!a.table.empty()) return TableDump(options, a).Run();
  (void)CheckUsage(options, a);
  return DumpAllTables(options);
}

}  // namespace

void AddKvDump(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen) {
  auto a = std::make_shared<DumpArguments>();
  CLI::App* dump = AddKvCommand(
      kv, options, "dump",
      "Print a table: key, tab, value; one snapshot. Or all tables: table, tab, key, tab, value.",
      "dump colours\n"
      "  holdfast kv -c D/client.yaml dump colours --format csv --base64 --out colours.csv\n"
      "  holdfast kv -c D/client.yaml dump colours --tag t --format jsonl --out colours.jsonl --resume");
  dump->add_option("table", a->table);
  dump->add_option("--format", a->format,
                   "tsv; jsonl: {\"key\":…,\"value\":…}, what is not UTF-8 as key_base64, value_base64; csv: "
                   "RFC 4180, a header key,value")
      ->check(CLI::IsMember({"tsv", "jsonl", "csv"}));
  dump->add_flag("--base64", a->base64, "csv, jsonl: columns or fields key_base64, value_base64 throughout");
  dump->add_option("--out", a->out, "into FILE.part, which becomes FILE when it is whole and durable");
  dump->add_option("--from", a->scan.from, "first key");
  dump->add_option("--until", a->scan.until, "keys before this one");
  dump->add_option("--tag", a->scan.tag, "what this tag keeps");
  dump->add_flag("--resume", a->resume,
                 "of a tag, with --out: note how far FILE.part is, and go on there after a break");
  dump->add_flag("--progress", a->progress, "rows and rate on stderr, a line a second");
  dump->callback([options, a, &chosen] { chosen = [options, a] { return Dump(*options, *a); }; });
}

}  // namespace holdfast::cli
