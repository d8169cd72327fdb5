// Records for `kv load`, batches for `kv batch` and what a broken load or dump leaves, of any bytes. The
// first byte chooses: a line of one format, a whole file of records (its format guessed, or CSV), a batch, a
// resume point. What is understood is written out as we write it and understood the same; what is refused
// says why in one line.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "cli/batch_file.h"
#include "cli/failure.h"
#include "cli/record_file.h"
#include "cli/resume_point.h"
#include "cli/text.h"

namespace holdfast::cli {
namespace {

bool OneLine(const std::string& text) {
  return !text.empty() &&
         std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

bool Same(const Record& a, const Record& b) { return a.key == b.key && a.value == b.value; }

Result<Record> ParseText(RecordFormat format, bool base64, std::string_view text, std::string* why) {
  text.remove_suffix(1);  // the newline
  switch (format) {
    case RecordFormat::kTsv:
      return ParseTsvRecord(text, why);
    case RecordFormat::kJson:
      return ParseJsonRecord(text, why);
    case RecordFormat::kJsonl:
      return ParseJsonlRecord(text, why);
    case RecordFormat::kCsv:
      break;
  }
  return ParseCsvRecord(text, {base64, base64}, why);
}

void CheckText(RecordFormat format, bool base64, const Record& record) {
  std::string why, text = RecordText(format, base64, record).value();
  HF_CHECK(text.ends_with('\n'));
  HF_CHECK(Same(ParseText(format, base64, text, &why).value(), record));
}

void CheckRecord(const Result<Record>& record, const std::string& why, size_t line_bytes) {
  if (!record) {
    HF_CHECK(record.code() == Code::kBadInput && OneLine(why));
    return;
  }
  HF_CHECK(record->key.size() + record->value.size() <= line_bytes);
  for (RecordFormat format : {RecordFormat::kTsv, RecordFormat::kJson, RecordFormat::kJsonl})
    for (bool base64 : {false, true}) CheckText(format, base64, *record);
  CheckText(RecordFormat::kCsv, true, *record);
  if (IsUtf8(AsBytes(record->key)) && IsUtf8(AsBytes(record->value))) {
    CheckText(RecordFormat::kCsv, false, *record);
  } else {
    HF_CHECK(!RecordText(RecordFormat::kCsv, false, *record));
  }
}

void TryFile(std::string_view text, RecordFile::Format format) {
  static const int fd = ::memfd_create("records", MFD_CLOEXEC);
  HF_CHECK(::ftruncate(fd, 0) == 0);
  HF_CHECK(::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  RecordFile file(path, format);
  const std::optional<uint64_t> lines = file.CountLines();
  uint64_t records = 0, offset = 0, line = 1;
  try {
    while (std::optional<Record> record = file.Next()) {
      if (records++ % 16 != 0) {  // reading on from any place gives what reading through gives
        offset = file.offset();
        line = file.next_line();
        continue;
      }
      HF_CHECK(file.offset() > offset && file.next_line() >= line);
      RecordFile again(path, format);
      if (records > 1) again.ContinueAt(offset, line);
      HF_CHECK(Same(again.Next().value(), *record) && again.offset() == file.offset() &&
               again.next_line() == file.next_line());
      offset = file.offset();
      line = file.next_line();
    }
    HF_CHECK(lines && *lines == records && file.offset() == text.size());
  } catch (const Failure& f) {
    HF_CHECK(f.code == Code::kBadInput && OneLine(f.text));
    HF_CHECK(*lines > records || (format == RecordFile::Format::kCsv && records == 0));  // the header
  }
}

template <typename Point>
void CheckPoint(const Result<Point>& point, Result<Point> (*parse)(std::string_view), std::string text) {
  if (!point) return HF_CHECK(point.code() == Code::kBadInput);
  HF_CHECK(OneLine(text.substr(0, text.size() - 1)) && parse(text).value() == *point);
}

void TryPoints(std::string_view text) {
  Result<LoadPoint> load = ParseLoadPoint(text);
  CheckPoint(load, ParseLoadPoint, load ? EncodeLoadPoint(*load) : "");
  Result<DumpPoint> dump = ParseDumpPoint(text);
  CheckPoint(dump, ParseDumpPoint, dump ? EncodeDumpPoint(*dump) : "");
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
    case 'l':
      CheckRecord(ParseJsonlRecord(text, &why), why, text.size());
      break;
    case 'c':
      CheckRecord(ParseCsvRecord(text, {}, &why), why, text.size());
      break;
    case 'C':
      CheckRecord(ParseCsvRecord(text, {true, true}, &why), why, text.size());
      break;
    case 'F':
      TryFile(text, RecordFile::Format::kCsv);
      break;
    case 'p':
      TryPoints(text);
      break;
    case 'b':
      TryBatch(text);
      break;
    default:
      TryFile(text, RecordFile::Format::kGuess);
  }
  return 0;
}
