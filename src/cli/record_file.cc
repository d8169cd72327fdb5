#include "cli/record_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "cli/failure.h"

namespace holdfast::cli {
namespace {

bool IsCsvHeader(std::string_view line) {
  std::string why;
  return ParseCsvHeader(line, &why).has_value();
}

}  // namespace

RecordFile::RecordFile(const std::string& path, Format format) : path_(path), format_(format) {
  if (path == "-") {
    file_ = stdin;
    return;
  }
  struct stat s {};
  file_ = std::fopen(path.c_str(), "rbe");
  if (file_ == nullptr)
    Fail(path, errno == ENOENT ? Code::kNotFound : errno == EACCES ? Code::kPermission : Code::kIo);
  if (::fstat(::fileno(file_), &s) != 0 || S_ISDIR(s.st_mode)) FailWith(Code::kIo, path + ": not a file");
}

RecordFile::~RecordFile() {
  if (file_ != nullptr && file_ != stdin) (void)std::fclose(file_);
}

void RecordFile::FailHere(const std::string& why) const {
  FailWith(Code::kBadInput, path_ + " line " + std::to_string(line_) + ": " + why);
}

std::optional<uint64_t> RecordFile::CountLines() {
  struct stat s {};
  if (::fstat(::fileno(file_), &s) != 0 || !S_ISREG(s.st_mode)) return std::nullopt;
  bool csv = format_ == Format::kCsv || (format_ == Format::kGuess && NextLine() && IsCsvHeader(text_));
  std::rewind(file_);
  std::array<char, 65'536> block{};
  uint64_t lines = 0;
  size_t n = 0;
  bool blank = true, quoted = false;  // of a line: empty lines are no records
  while ((n = std::fread(block.data(), 1, block.size(), file_)) > 0) {
    for (char c : std::string_view(block.data(), n)) {
      if (csv && c == '"') quoted = !quoted;
      bool end = c == '\n' && !quoted;
      if (!end && blank && !(csv && c == '\r')) {
        ++lines;
        blank = false;
      }
      blank = blank || end;
    }
  }
  std::rewind(file_);
  offset_ = 0;
  line_ = next_line_ = 1;
  return csv && lines > 0 ? lines - 1 : lines;
}

// By hand: getline would take a line of any length into memory before anybody could refuse it.
bool RecordFile::ReadLine() {
  text_.clear();
  line_ = next_line_;
  bool quoted = false;
  int c = 0;
  while ((c = ::getc_unlocked(file_)) != EOF) {
    ++offset_;
    if (c == '\n') {
      ++next_line_;
      if (!quoted) break;
    }
    if (text_.size() == kLineBytesMax) Fail(path_ + " line " + std::to_string(line_), Code::kTooLarge);
    if (c == '"' && format_ == Format::kCsv) quoted = !quoted;
    text_.push_back(static_cast<char>(c));
  }
  if (c == EOF && std::ferror(file_) != 0) Fail(path_, Code::kIo);
  return c != EOF || !text_.empty();
}

bool RecordFile::Blank() const {
  return text_.empty() || (format_ == Format::kCsv && text_.find_first_not_of('\r') == std::string::npos);
}

bool RecordFile::NextLine() {
  do {
    if (!ReadLine()) return false;
  } while (Blank());
  return true;
}

void RecordFile::TakeHeader() {
  std::string why;
  Result<CsvColumns> columns = ParseCsvHeader(text_, &why);
  if (!columns) FailHere(why);
  columns_ = *columns;
}

void RecordFile::Settle() {
  settled_ = true;
  if (format_ == Format::kGuess) {
    if (text_.starts_with('{') && path_.ends_with(".jsonl")) {
      FailWith(Code::kUsage, "usage: " + path_ + ": --format jsonl if \"key\" is plain text (as kv dump " +
                                 "--format jsonl writes), --format json if it is base64 (as --json prints)");
    }
    format_ = text_.starts_with('{') ? Format::kJson : IsCsvHeader(text_) ? Format::kCsv : Format::kTsv;
  }
  if (format_ == Format::kCsv) TakeHeader();
}

void RecordFile::ContinueAt(uint64_t offset, uint64_t next_line) {
  if (!settled_ && NextLine()) Settle();
  if (::fseeko(file_, static_cast<off_t>(offset), SEEK_SET) != 0) Fail(path_, Code::kIo);
  offset_ = offset;
  next_line_ = next_line;
}

std::optional<Record> RecordFile::Next() {
  if (!NextLine()) return std::nullopt;
  if (!settled_) {
    Settle();
    if (format_ == Format::kCsv && !NextLine()) return std::nullopt;
  }
  std::string why;
  Result<Record> record = format_ == Format::kJson    ? ParseJsonRecord(text_, &why)
                          : format_ == Format::kJsonl ? ParseJsonlRecord(text_, &why)
                          : format_ == Format::kCsv   ? ParseCsvRecord(text_, columns_, &why)
                                                      : ParseTsvRecord(text_, &why);
  if (!record) FailHere(why);
  if (record->key.empty() || record->key.size() > limits::kKeyBytesMax)
    FailHere("keys have 1 to 1,024 bytes");
  if (record->value.size() > limits::kValueBytesMax) FailHere("values have at most 16 MiB");
  return std::move(record).value();
}

}  // namespace holdfast::cli
