#include "cli/record_file.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "cli/failure.h"
#include "cli/text.h"

namespace holdfast::cli {
namespace {

Result<std::string> JsonField(const nlohmann::json& object, const char* name, std::string* why) {
  std::string text_name = std::string(name) + "_text";
  bool plain = object.contains(text_name);
  if (!plain && !object.contains(name)) {
    *why = std::string("no \"") + name + "\" and no \"" + text_name + "\"";
    return Code::kBadInput;
  }
  const nlohmann::json& field = plain ? object[text_name] : object[name];
  if (!field.is_string()) {
    *why = std::string("\"") + name + "\" is not a string";
    return Code::kBadInput;
  }
  const auto& text = field.get_ref<const std::string&>();
  if (plain) return text;
  Result<Bytes> bytes = ParseBase64(text);
  if (!bytes) {
    *why = std::string("\"") + name + "\" is not base64 (plain text goes into \"" + text_name + "\")";
    return Code::kBadInput;
  }
  return ToText(*bytes);
}

}  // namespace

Result<Record> ParseTsvRecord(std::string_view line, std::string* why) {
  size_t tab = line.find('\t');
  if (tab == std::string_view::npos || line.find('\t', tab + 1) != std::string_view::npos) {
    *why = "not one key, one tab, one value";
    return Code::kBadInput;
  }
  Result<Bytes> key = Unescape(line.substr(0, tab)), value = Unescape(line.substr(tab + 1));
  if (!key || !value) {
    *why = "a backslash that is no escape";
    return Code::kBadInput;
  }
  return Record{ToText(*key), ToText(*value)};
}

Result<Record> ParseJsonRecord(std::string_view line, std::string* why) {
  nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) {
    *why = "not a JSON object";
    return Code::kBadInput;
  }
  HF_TRY(std::string key, JsonField(object, "key", why));
  HF_TRY(std::string value, JsonField(object, "value", why));
  return Record{std::move(key), std::move(value)};
}

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

std::optional<uint64_t> RecordFile::CountLines() {
  struct stat s {};
  if (::fstat(::fileno(file_), &s) != 0 || !S_ISREG(s.st_mode)) return std::nullopt;
  std::array<char, 65'536> block{};
  uint64_t lines = 0;
  size_t n = 0;
  bool at_start = true;  // of a line: empty lines are no records
  while ((n = std::fread(block.data(), 1, block.size(), file_)) > 0) {
    for (char c : std::string_view(block.data(), n)) {
      if (c != '\n' && at_start) ++lines;
      at_start = c == '\n';
    }
  }
  std::rewind(file_);
  return lines;
}

// By hand: getline would take a line of any length into memory before anybody could refuse it.
bool RecordFile::ReadLine() {
  text_.clear();
  int c = ::getc_unlocked(file_);
  if (c != EOF) ++line_;
  for (; c != EOF && c != '\n'; c = ::getc_unlocked(file_)) {
    if (text_.size() == kLineBytesMax) Fail(path_ + " line " + std::to_string(line_), Code::kTooLarge);
    text_.push_back(static_cast<char>(c));
  }
  if (c == EOF && std::ferror(file_) != 0) Fail(path_, Code::kIo);
  return c != EOF || !text_.empty();
}

std::optional<Record> RecordFile::Next() {
  do {
    if (!ReadLine()) return std::nullopt;
  } while (text_.empty());
  if (format_ == Format::kGuess) format_ = text_.starts_with('{') ? Format::kJson : Format::kTsv;
  std::string why;
  Result<Record> record =
      format_ == Format::kJson ? ParseJsonRecord(text_, &why) : ParseTsvRecord(text_, &why);
  if (!record) FailWith(Code::kBadInput, path_ + " line " + std::to_string(line_) + ": " + why);
  return std::move(record).value();
}

}  // namespace holdfast::cli
