// The input of `kv load`: records one a line, as `kv scan` prints them.
//
//   tsv    key, tab, value; escaped (text.h)
//   json   {"key":"<base64>","value":"<base64>"}; or "key_text", "value_text" with plain text; other fields
//   are ignored
//
// Empty lines are skipped. Bounded: a line has at most kLineBytesMax bytes.
#ifndef HOLDFAST_CLI_RECORD_FILE_H_
#define HOLDFAST_CLI_RECORD_FILE_H_

#include <cstdio>
#include <optional>
#include <string>

#include "base/limits.h"
#include "base/result.h"

namespace holdfast::cli {

inline constexpr size_t kLineBytesMax =
    5 * (limits::kValueBytesMax + limits::kKeyBytesMax);  // every byte as \xHH, and room

struct Record {
  std::string key, value;
};

// kBadInput; a `why` for people.
Result<Record> ParseTsvRecord(std::string_view line, std::string* why);
Result<Record> ParseJsonRecord(std::string_view line, std::string* why);

class RecordFile {
 public:
  enum class Format { kGuess, kTsv, kJson };  // guess: json when the first line begins with '{'
  // "-" is standard input. Fails (Failure) when it cannot be opened.
  RecordFile(const std::string& path, Format format);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  std::optional<uint64_t> CountLines();  // of what can be read twice; begins again at the first line
  std::optional<Record> Next();          // Fails with "FILE line N: why"
  uint64_t line() const { return line_; }

 private:
  bool ReadLine();
  const std::string path_;
  Format format_;
  FILE* file_ = nullptr;
  std::string text_;  // of the line
  uint64_t line_ = 0;
};

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_RECORD_FILE_H_
