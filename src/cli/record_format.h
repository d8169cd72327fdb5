// A row as text in one of four formats, and back. `kv dump` writes them, `kv load` reads them
// (record_file.h).
//
//   tsv    key, tab, value, newline; escaped (text.h)
//   json   {"key":"<base64>","value":"<base64>"}, as `kv scan --json` prints; or "key_text", "value_text"
//   jsonl  {"key":"text","value":"text"}; what is not UTF-8 in "key_base64", "value_base64"
//   csv    RFC 4180: a header that names the columns, key or key_base64, then value or value_base64; CRLF
//
// What is written reads back as the same bytes, and there is one way to write a row: equal rows, equal files.
// Readers take more: other fields of an object are ignored, a CSV line may end in LF alone.
// Pure; memory is a few times that of the line.
#ifndef HOLDFAST_CLI_RECORD_FORMAT_H_
#define HOLDFAST_CLI_RECORD_FORMAT_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::cli {

struct Record {
  std::string key, value;
};

enum class RecordFormat { kTsv, kJson, kJsonl, kCsv };
std::optional<RecordFormat> RecordFormatOf(std::string_view name);  // "tsv" "json" "jsonl" "csv"

struct CsvColumns {
  bool key_base64 = false, value_base64 = false;
};

// kBadInput; a `why` for people. A line comes without its newline; of CSV it may be several lines.
Result<Record> ParseTsvRecord(std::string_view line, std::string* why);
Result<Record> ParseJsonRecord(std::string_view line, std::string* why);
Result<Record> ParseJsonlRecord(std::string_view line, std::string* why);
Result<CsvColumns> ParseCsvHeader(std::string_view line, std::string* why);
Result<Record> ParseCsvRecord(std::string_view lines, CsvColumns columns, std::string* why);

// The first line of a file in this format; empty but for CSV.
std::string RecordHeader(RecordFormat format, bool base64);
// A row with its line end. `base64`: also of what is UTF-8 (jsonl, csv). kBadInput: CSV without base64 of
// what is not UTF-8: its columns are chosen before the rows are known.
Result<std::string> RecordText(RecordFormat format, bool base64, const Record& record);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_RECORD_FORMAT_H_
