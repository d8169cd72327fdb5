// kv load: many records through one Session stream, durable, pipelined, in order.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/progress.h"
#include "cli/record_file.h"
#include "cli/text.h"
#include "sdk/session_stream.h"

namespace holdfast::cli {
namespace {

constexpr size_t kOutstanding = 32;  // batches on their way
constexpr size_t kBatchBytesTarget =
    256u << 10;  // x kOutstanding = 8 MiB, far below what makes a server say `overloaded`

struct LoadArguments {
  std::string table, file, format = "guess", acked;
  size_t batch_rows = 100;
  bool create = false;
};

// What the server has acknowledged; fed by the stream's thread. Outlives the stream.
class Acknowledged {
 public:
  explicit Acknowledged(const std::string& path) {
    if (path.empty()) return;
    file_ = std::fopen(path.c_str(), "ae");
    if (file_ == nullptr) Fail(path, Code::kIo);
  }
  ~Acknowledged() {
    if (file_ != nullptr) (void)std::fclose(file_);
  }
  Acknowledged(const Acknowledged&) = delete;
  Acknowledged& operator=(const Acknowledged&) = delete;

  void Take(const std::vector<std::string>& keys, const Status& status) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!status) {
      if (!failed_) failed_ = status.code();
      return;
    }
    rows_ += keys.size();
    if (file_ == nullptr) return;
    for (const std::string& key : keys) std::fprintf(file_, "%s\n", Escape(AsBytes(key)).c_str());
    (void)std::fflush(file_);  // a reader counts while we load
  }
  uint64_t rows() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return rows_;
  }
  std::optional<Code> failed() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return failed_;
  }

 private:
  mutable std::mutex mutex_;
  FILE* file_ = nullptr;
  uint64_t rows_ = 0;
  std::optional<Code> failed_;
};

class Loader {
 public:
  Loader(sdk::SessionStream& stream, Acknowledged& acknowledged)
      : stream_(stream), acknowledged_(acknowledged) {}
  void Add(const std::string& table, Record record) {
    bytes_ += record.key.size() + record.value.size();
    keys_.push_back(record.key);
    batch_.operations.push_back(
        {sdk::Operation::Kind::kPut, table, std::move(record.key), std::move(record.value)});
  }
  size_t rows() const { return keys_.size(); }
  size_t bytes() const { return bytes_; }
  Status Send() {
    if (keys_.empty()) return Ok();
    bytes_ = 0;
    sdk::Batch batch = std::exchange(batch_, {});
    return stream_.Apply(batch, sdk::Wait::kDurable,
                         [&to = acknowledged_, keys = std::exchange(keys_, {})](const sdk::Answer& answer) {
                           to.Take(keys, answer.status);
                         });
  }

 private:
  sdk::SessionStream& stream_;
  Acknowledged& acknowledged_;
  sdk::Batch batch_;
  std::vector<std::string> keys_;
  size_t bytes_ = 0;
};

RecordFile::Format FormatOf(const std::string& name) {
  return name == "tsv"    ? RecordFile::Format::kTsv
         : name == "json" ? RecordFile::Format::kJson
                          : RecordFile::Format::kGuess;
}

int Load(const KvOptions& options, const LoadArguments& a) {
  RecordFile input(a.file, FormatOf(a.format));
  std::optional<uint64_t> total = input.CountLines();
  auto client = ConnectUser(options);
  if (a.create) {
    Result<sdk::Written> made = client->CreateTable(a.table);
    if (!made && made.code() != Code::kTableExists) Fail("kv load", made.code());
  }
  Acknowledged acknowledged(a.acked);
  auto stream = Take(sdk::SessionStream::Open(client->channel(), kOutstanding), "kv load");
  Loader loader(*stream, acknowledged);
  ProgressBar bar("load " + Escape(AsBytes(a.table)), ProgressBar::Unit::kRecords, options.json);
  uint64_t read = 0;
  Status sent;
  while (sent && !acknowledged.failed()) {
    std::optional<Record> record = input.Next();
    if (!record) break;
    ++read;
    loader.Add(a.table, std::move(*record));
    if (loader.rows() >= a.batch_rows || loader.bytes() >= kBatchBytesTarget) {
      sent = loader.Send();
      bar.Update(acknowledged.rows(), total.value_or(0));
    }
  }
  if (sent) sent = loader.Send();
  if (sent) sent = stream->Drain();
  stream.reset();  // every callback has been called
  uint64_t rows = acknowledged.rows();
  bar.Update(rows, total.value_or(0));
  std::optional<Code> failed = acknowledged.failed();
  if (!failed && !sent) failed = sent.code();
  if (failed) {
    FailWith(*failed, "kv load: " + std::string(CodeText(*failed)) + "; acknowledged " +
                          std::to_string(rows) + " of " + std::to_string(total.value_or(read)));
  }
  PrintLine(options.json ? JsonLine().Number("loaded", rows).str()
                         : "loaded " + std::to_string(rows) + " records");
  return 0;
}

}  // namespace

void AddKvLoad(CLI::App& kv, const std::shared_ptr<KvOptions>& options, Chosen& chosen) {
  auto a = std::make_shared<LoadArguments>();
  CLI::App* load = AddKvCommand(kv, options, "load", "Write every record of a file, durably.",
                                "load colours colours.tsv --create");
  load->add_option("table", a->table)->required();
  load->add_option("file", a->file,
                   "key, tab, value a line, or JSON lines as scan prints them; - reads standard input")
      ->required();
  load->add_option("--format", a->format)
      ->check(CLI::IsMember({"guess", "tsv", "json"}))
      ->capture_default_str();
  load->add_option("--acked", a->acked,
                   "append each key to this file once the server has acknowledged it as durable");
  load->add_option("--batch", a->batch_rows, "records that are written together, all or nothing")
      ->check(CLI::Range(size_t{1}, limits::kBatchOpsMax))
      ->capture_default_str();
  load->add_flag("--create", a->create, "create the table if there is none");
  load->callback([options, a, &chosen] { chosen = [options, a] { return Load(*options, *a); }; });
}

}  // namespace holdfast::cli
