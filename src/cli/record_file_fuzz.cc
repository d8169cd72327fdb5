// Records for `kv load` and batches for `kv batch`, of any bytes. The first byte chooses: a TSV line, a JSON
// line, a whole file of records, a batch. What is understood is written out as we write it and understood the
// same; what is refused says why in one line.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "cli/batch_file.h"
#include "cli/failure.h"
#include "cli/record_file.h"
#include "cli/text.h"

namespace holdfast::cli {
namespace {

bool OneLine(const std::string& text) {
  return !text.empty() &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

bool Same(const Record& a, const Record& b) { return a.key == b.key && a.value == b.value; }

std::string Tsv(const Record& r) { return Escape(AsBytes(r.key)) + "\t" + Escape(AsBytes(r.value)); }
std::string Json(const Record& r) {
  return JsonLine().Text("key", Base64(AsBytes(r.key))).Text("value", Base64(AsBytes(r.value))).str();
}

void CheckRecord(const Result<Record>& record, const std::string& why, size_t line_bytes) {
  if (!record) {
    HF_CHECK(record.code() == Code::kBadInput && OneLine(why));
    return;
  }
  HF_CHECK(record->key.size() + record->value.size() <= line_bytes);
  std::string again;
  HF_CHECK(Same(ParseTsvRecord(Tsv(*record), &again).value(), *record));
  HF_CHECK(Same(ParseJsonRecord(Json(*record), &again).value(), *record));
}

void TryFile(std::string_view text) {
  static const int fd = ::memfd_create("records", MFD_CLOEXEC);
  HF_CHECK(::ftruncate(fd, 0) == 0);
  HF_CHECK(::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  RecordFile file("/proc/self/fd/" + std::to_string(fd), RecordFile::Format::kGuess);
  const std::optional<uint64_t> lines = file.CountLines();
  uint64_t records = 0;
  try {
    while (file.Next()) ++records;
    HF_CHECK(lines && *lines == records);
  } catch (const Failure& f) {
    HF_CHECK(f.code == Code::kBadInput && OneLine(f.text) && *lines > records);
  }
}

std::string Line(const sdk::Operation& o) {
  bool put = o.kind == sdk::Operation::Kind::kPut;
  std::string line = (put ? "put\t" : "del\t") + Escape(AsBytes(o.table)) + "\t" + Escape(AsBytes(o.key));
  return line + (put ? "\t" + Escape(AsBytes(o.value)) : "") + "\n";
}
std::string Line(const sdk::Compare& c) {
  using Kind = sdk::Compare::Kind;
  std::string line = c.kind == Kind::kAbsent    ? "absent\t"
                     : c.kind == Kind::kPresent ? "present\t"
                                                : "equals\t";
  line += Escape(AsBytes(c.table)) + "\t" + Escape(AsBytes(c.key));
  return line + (c.kind == Kind::kEquals ? "\t" + Escape(AsBytes(c.value)) : "") + "\n";
}
std::string Write(const sdk::Batch& batch) {
  std::string text;
  for (const sdk::Compare& c : batch.compares) text += Line(c);
  for (const sdk::Operation& o : batch.operations) text += Line(o);
  return text;
}

void TryBatch(std::string_view text) {
  std::string why;
  Result<sdk::Batch> batch = ParseBatchFile(text, &why);
  if (!batch) {
    HF_CHECK((batch.code() == Code::kBadInput || batch.code() == Code::kBatchSize) && OneLine(why));
    return;
  }
  HF_CHECK(batch->operations.size() <= limits::kBatchOpsMax &&
           batch->compares.size() <= limits::kBatchOpsMax);
  const std::string again = Write(*batch);
  HF_CHECK(Write(ParseBatchFile(again, &why).value()) == again);
}

}  // namespace
}  // namespace holdfast::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;       // NOLINT: a fuzzer's one function
  using namespace holdfast::cli;  // NOLINT
  if (size == 0) return 0;
  std::string_view text = AsText({data + 1, size - 1});
  std::string why;
  switch (data[0]) {
    case 't':
      CheckRecord(ParseTsvRecord(text, &why), why, text.size());
      break;
    case 'j':
      CheckRecord(ParseJsonRecord(text, &why), why, text.size());
      break;
    case 'b':
      TryBatch(text);
      break;
    default:
      TryFile(text);
  }
  return 0;
}
