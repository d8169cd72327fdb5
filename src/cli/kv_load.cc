// kv load: many records through one Session stream, durable, pipelined, in order.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/load_progress.h"
#include "cli/progress.h"
#include "cli/record_file.h"
#include "cli/text.h"
#include "sdk/session_stream.h"

namespace holdfast::cli {
namespace {

constexpr size_t kOutstanding = 32;  // batches on their way
constexpr size_t kBatchBytesTarget =
    256u << 10;  // x kOutstanding = 8 MiB, far below what makes a server say `overloaded`
constexpr size_t kUnansweredBytesMax = 32u << 20;  // the same for large values: two of the largest batches

struct LoadArguments {
  std::string table, file, format = "guess", acked;
  size_t batch_rows = 100;
  bool create = false, resume = false, progress = false;
};

// A batch on its way.
struct Sent {
  uint64_t number = 0;
  size_t bytes = 0;
  LoadPlace after;
  std::vector<std::string> keys;
};

// What the server has acknowledged; fed by the stream's thread. Outlives the stream.
class Acknowledged {
 public:
  Acknowledged(const std::string& path, const LoadPlace& begin) : place_(begin), rows_(begin.rows) {
    if (path.empty()) return;
    file_ = std::fopen(path.c_str(), "ae");
    if (file_ == nullptr) Fail(path, Code::kIo);
  }
  ~Acknowledged() {
    if (file_ != nullptr) (void)std::fclose(file_);
  }
  Acknowledged(const Acknowledged&) = delete;
  Acknowledged& operator=(const Acknowledged&) = delete;

  void Take(const Sent& sent, const Status& status) {
    std::lock_guard<std::mutex> lock(mutex_);
    bytes_ += sent.bytes;
    if (!status) {
      if (!failed_) failed_ = status.code();
      return;
    }
    rows_ += sent.keys.size();
    ahead_.emplace(sent.number, sent.after);
    for (auto at = ahead_.begin(); at != ahead_.end() && at->first == next_; at = ahead_.erase(at), ++next_)
      place_ = at->second;
    if (file_ == nullptr) return;
    for (const std::string& key : sent.keys) std::fprintf(file_, "%s\n", Escape(AsBytes(key)).c_str());
    (void)std::fflush(file_);  // a reader counts while we load
  }
  uint64_t rows() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return rows_;
  }
  uint64_t answered_bytes() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
  }
  // Every batch before it is acknowledged: one that failed holds it back.
  LoadPlace place() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return place_;
  }
  std::optional<Code> failed() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return failed_;
  }

 private:
  mutable std::mutex mutex_;
  FILE* file_ = nullptr;
  std::map<uint64_t, LoadPlace> ahead_;  // acknowledged before an earlier one: at most kOutstanding
  LoadPlace place_;
  uint64_t next_ = 0, rows_ = 0, bytes_ = 0;
  std::optional<Code> failed_;
};

class Loader {
 public:
  Loader(sdk::SessionStream& stream, Acknowledged& acknowledged, const LoadPlace& begin)
      : stream_(stream), acknowledged_(acknowledged) {
    next_.after = begin;
  }
  // `file`: after it has given the record.
  void Add(const std::string& table, Record record, const RecordFile& file) {
    next_.bytes += record.key.size() + record.value.size();
    next_.after = {file.offset(), file.next_line(), next_.after.rows + 1};
    next_.keys.push_back(record.key);
    batch_.operations.push_back(
        {sdk::Operation::Kind::kPut, table, std::move(record.key), std::move(record.value)});
  }
  size_t rows() const { return next_.keys.size(); }
  size_t bytes() const { return next_.bytes; }
  uint64_t read() const { return next_.after.rows; }
  Status Send() {
    if (next_.keys.empty()) return Ok();
    sent_bytes_ += next_.bytes;
    if (sent_bytes_ - acknowledged_.answered_bytes() > kUnansweredBytesMax) HF_TRY_VOID(stream_.Drain());
    Sent following{.number = next_.number + 1, .bytes = 0, .after = next_.after, .keys = {}};
    sdk::Batch batch = std::exchange(batch_, {});
    return stream_.Apply(batch, sdk::Wait::kDurable,
                         [&to = acknowledged_, sent = std::exchange(next_, std::move(following))](
                             const sdk::Answer& answer) { to.Take(sent, answer.status); });
  }

 private:
  sdk::SessionStream& stream_;
  Acknowledged& acknowledged_;
  sdk::Batch batch_;
  Sent next_;
  uint64_t sent_bytes_ = 0;
};

RecordFile::Format FormatOf(const std::string& name) {
  switch (RecordFormatOf(name).value_or(RecordFormat::kTsv)) {
    case RecordFormat::kJson:
      return RecordFile::Format::kJson;
    case RecordFormat::kJsonl:
      return RecordFile::Format::kJsonl;
    case RecordFormat::kCsv:
      return RecordFile::Format::kCsv;
    case RecordFormat::kTsv:
      break;
  }
  return name == "tsv" ? RecordFile::Format::kTsv : RecordFile::Format::kGuess;
}

// Reads until the end, or until a batch is refused. What is wrong with the input is a Failure: the batch that
// it would have been part of is not sent.
Status Feed(RecordFile& input, const LoadArguments& a, Loader& loader, const Acknowledged& acknowledged,
            const std::function<void()>& sent) {
  while (!acknowledged.failed()) {
    std::optional<Record> record = input.Next();
    if (!record) return loader.Send();
    loader.Add(a.table, std::move(*record), input);
    if (loader.rows() < a.batch_rows && loader.bytes() < kBatchBytesTarget) continue;
    HF_TRY_VOID(loader.Send());
    sent();
  }
  return Ok();
}

LoadPlace Begin(RecordFile& input, const LoadArguments& a, std::optional<LoadProgress>& progress,
                const std::string& store) {
  if (!a.resume) return {};
  progress.emplace(a.file, input.descriptor(), store, a.table, a.format);
  std::optional<LoadPlace> earlier = progress->Earlier();
  if (!earlier) return {};
  input.ContinueAt(earlier->offset, earlier->line);
  std::fprintf(stderr, "holdfast: note: %s: going on at line %llu, behind %llu records\n", a.file.c_str(),
               static_cast<unsigned long long>(earlier->line),
               static_cast<unsigned long long>(earlier->rows));
  return *earlier;
}

// Empty: there is no such table, which the server will say.
std::string TableId(sdk::Client& client, const std::string& name) {
  for (const sdk::Table& table : Take(client.ListTables(), "kv load"))
    if (table.name == name) return table.id;
  return "";
}

int Load(const KvOptions& options, const LoadArguments& a) {
  RecordFile input(a.file, FormatOf(a.format));
  std::optional<uint64_t> total = input.CountLines();
  sdk::ClientConfig config = ReadClientYaml(options.client_yaml);
  std::optional<LoadProgress> progress;
  const LoadPlace begin = Begin(input, a, progress, config.store_id);
  auto client = Take(sdk::Client::Connect(config), "connect");
  if (a.create) {
    Result<sdk::Written> made = client->CreateTable(a.table);
    if (!made && made.code() != Code::kTableExists) Fail("kv load", made.code());
  }
  if (progress) progress->OfTable(TableId(*client, a.table));
  Acknowledged acknowledged(a.acked, begin);
  auto stream = Take(sdk::SessionStream::Open(client->channel(), kOutstanding), "kv load");
  Loader loader(*stream, acknowledged, begin);
  ProgressBar bar("load " + Escape(AsBytes(a.table)), ProgressBar::Unit::kRecords, options.json, a.progress);
  auto tell = [&](bool now) {
    bar.Update(acknowledged.rows(), total.value_or(0));
    if (progress) progress->Reached(acknowledged.place(), now);
  };
  tell(false);
  Status sent;
  std::optional<Failure> wrong;
  try {
    sent = Feed(input, a, loader, acknowledged, [&] { tell(false); });
  } catch (const Failure& f) {
    wrong = f;
  }
  if (sent) sent = stream->Drain();
  stream.reset();  // every callback has been called
  tell(true);
  uint64_t rows = acknowledged.rows();
  std::optional<Code> failed = acknowledged.failed();
  if (!failed && !sent) failed = sent.code();
  if (failed && !wrong) wrong = Failure{*failed, "kv load: " + std::string(CodeText(*failed))};
  if (wrong) {
    FailWith(wrong->code, wrong->text + "; acknowledged " + std::to_string(rows) + " of " +
                              std::to_string(total.value_or(loader.read())));
  }
  if (progress) progress->Finished();
  rows -= begin.rows;
  PrintLine(options.json ? JsonLine().Number("loaded", rows).str()
                         : "loaded " + std::to_string(rows) + " records");
  return 0;
}

}  // namespace

void AddKvLoad(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen) {
  auto a = std::make_shared<LoadArguments>();
  CLI::App* load =
      AddKvCommand(kv, options, "load", "Write every record of a file, durably.",
                   "load colours colours.tsv --create\n"
                   "  holdfast kv -c D/client.yaml load colours colours.jsonl --format jsonl --resume");
  load->add_option("table", a->table)->required();
  load->add_option("file", a->file,
                   "key, tab, value a line, or JSON lines as scan prints them, or what dump writes; - reads "
                   "standard input")
      ->required();
  load->add_option("--format", a->format,
                   "tsv; json: base64, as --json prints it; jsonl: plain text, as dump --format jsonl; csv: "
                   "with a header. guess, by the first line, is never jsonl")
      ->check(CLI::IsMember({"guess", "tsv", "json", "jsonl", "csv"}))
      ->capture_default_str();
  load->add_option("--acked", a->acked,
                   "append each key to this file once the server has acknowledged it as durable");
  load->add_option("--batch", a->batch_rows, "records that are written together, all or nothing")
      ->check(CLI::Range(size_t{1}, limits::kBatchOpsMax))
      ->capture_default_str();
  load->add_flag("--resume", a->resume,
                 "keep what is acknowledged in FILE.progress, and go on there: run the same command again");
  load->add_flag("--progress", a->progress, "records, percentage and rate on stderr, a line a second");
  load->add_flag("--create", a->create, "create the table if there is none");
  load->callback([options, a, &chosen] { chosen = [options, a] { return Load(*options, *a); }; });
}

}  // namespace holdfast::cli
