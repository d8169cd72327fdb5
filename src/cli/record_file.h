// The input of `kv load`: records of record_format.h, one after the other.
//
// Empty lines are skipped. Bounded: a record has at most kLineBytesMax bytes. What is wrong is a Failure with
// "FILE line N: why", where N is the record's first line.
#ifndef HOLDFAST_CLI_RECORD_FILE_H_
#define HOLDFAST_CLI_RECORD_FILE_H_

#include <cstdio>
#include <optional>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "cli/record_format.h"

namespace holdfast::cli {

// Every byte as six (\u00XX in JSON), and room.
inline constexpr size_t kLineBytesMax = 7 * (limits::kValueBytesMax + limits::kKeyBytesMax);

class RecordFile {
 public:
  // kGuess, by the first line: kJson when it begins with '{', kCsv when it is a header of CSV, else kTsv. It
  // never means kJsonl, whose "key" is not the "key" of kJson: a file FILE.jsonl is refused, kUsage.
  enum class Format { kGuess, kTsv, kJson, kJsonl, kCsv };
  // "-" is standard input. Fails (Failure) when it cannot be opened.
  RecordFile(const std::string& path, Format format);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // Of what can be read twice; begins again at the first line. Records, whether they are good or not.
  std::optional<uint64_t> CountLines();
  std::optional<Record> Next();
  // Where the record behind the last one begins: bytes before it; lines before it, and one.
  uint64_t offset() const { return offset_; }
  uint64_t next_line() const { return next_line_; }
  // Goes on at such a place; of CSV the header is read before. Needs a file that is no pipe.
  void ContinueAt(uint64_t offset, uint64_t next_line);
  int descriptor() const { return ::fileno(file_); }

 private:
  bool ReadLine();
  bool Blank() const;
  bool NextLine();    // that is not blank
  void Settle();      // what text_, the first line, says about the format
  void TakeHeader();  // of CSV, from text_
  [[noreturn]] void FailHere(const std::string& why) const;
  const std::string path_;
  Format format_;
  CsvColumns columns_;
  bool settled_ = false;
  FILE* file_ = nullptr;
  std::string text_;  // of the record
  uint64_t offset_ = 0, line_ = 1, next_line_ = 1;
};

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_RECORD_FILE_H_
