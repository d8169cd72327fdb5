#include "cli/record_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/text.h"

namespace holdfast::cli {
namespace {

Result<std::string> FromBase64(std::string_view text, std::string_view name, std::string_view hint,
                               std::string* why) {
  if (Result<Bytes> bytes = ParseBase64(text)) return ToText(*bytes);
  *why = "\"" + std::string(name) + "\" is not base64" + std::string(hint);
  return Code::kBadInput;
}

// One of two fields: plain text or base64.
Result<std::string> JsonField(const nlohmann::json& object, const std::string& plain,
                              const std::string& base64, std::string_view hint, std::string* why) {
  bool is_plain = object.contains(plain);
  if (!is_plain && !object.contains(base64)) {
    *why = "no \"" + base64 + "\" and no \"" + plain + "\"";
    return Code::kBadInput;
  }
  const nlohmann::json& field = object[is_plain ? plain : base64];
  if (!field.is_string()) {
    *why = "\"" + (is_plain ? plain : base64) + "\" is not a string";
    return Code::kBadInput;
  }
  const auto& text = field.get_ref<const std::string&>();
  if (is_plain) return text;
  return FromBase64(text, base64, hint, why);
}

Result<nlohmann::json> JsonObject(std::string_view line, std::string* why) {
  nlohmann::json object = nlohmann::json::parse(line, nullptr, false);
  if (object.is_object()) return object;
  *why = "not a JSON object";
  return Code::kBadInput;
}

// Takes a field from the front of `rest`, which then begins with the comma behind it or is empty.
Result<std::string> TakeCsvField(std::string_view& rest, std::string* why) {
  std::string field;
  if (!rest.starts_with('"')) {
    field = rest.substr(0, rest.find(','));
    rest.remove_prefix(field.size());
    if (field.find_first_of("\"\r\n") == std::string::npos) return field;
    *why = "a quote or line end in a field that is not quoted";
    return Code::kBadInput;
  }
  for (;;) {
    rest.remove_prefix(1);
    size_t quote = rest.find('"');
    if (quote == std::string_view::npos) {
      *why = "a quote that is never closed";
      return Code::kBadInput;
    }
    field += rest.substr(0, quote);
    rest.remove_prefix(quote + 1);
    if (!rest.starts_with('"')) break;
    field += '"';
  }
  if (rest.empty() || rest.starts_with(',')) return field;
  *why = "text behind a closing quote";
  return Code::kBadInput;
}

Result<Record> CsvFields(std::string_view lines, std::string* why) {
  if (lines.ends_with('\r')) lines.remove_suffix(1);
  HF_TRY(std::string first, TakeCsvField(lines, why));
  if (lines.starts_with(',')) {
    lines.remove_prefix(1);
    HF_TRY(std::string second, TakeCsvField(lines, why));
    if (lines.empty()) return Record{std::move(first), std::move(second)};
  }
  *why = "not two fields with one comma between them";
  return Code::kBadInput;
}

// Quoted is whatever a reader of CSV might take for something else, also spaces that it might trim.
std::string CsvField(const std::string& text, bool base64) {
  if (base64) return Base64(AsBytes(text));
  auto plain = [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7F && c != ',' && c != '"';
  };
  auto inside = [&](char c) { return c == ' ' || plain(c); };
  bool bare = std::all_of(text.begin(), text.end(), inside) &&
              (text.empty() || (plain(text.front()) && plain(text.back())));
  if (bare) return text;
  std::string out = "\"";
  for (char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

void AddJsonl(JsonLine& line, const std::string& name, const std::string& bytes, bool base64) {
  if (base64 || !IsUtf8(AsBytes(bytes))) {
    line.Text(name + "_base64", Base64(AsBytes(bytes)));
  } else {
    line.Text(name, bytes);
  }
}

}  // namespace

std::optional<RecordFormat> RecordFormatOf(std::string_view name) {
  if (name == "tsv") return RecordFormat::kTsv;
  if (name == "json") return RecordFormat::kJson;
  if (name == "jsonl") return RecordFormat::kJsonl;
  if (name == "csv") return RecordFormat::kCsv;
  return std::nullopt;
}

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
  HF_TRY(nlohmann::json object, JsonObject(line, why));
  HF_TRY(std::string key, JsonField(object, "key_text", "key", " (plain text goes into \"key_text\")", why));
  HF_TRY(std::string value,
         JsonField(object, "value_text", "value", " (plain text goes into \"value_text\")", why));
  return Record{std::move(key), std::move(value)};
}

Result<Record> ParseJsonlRecord(std::string_view line, std::string* why) {
  HF_TRY(nlohmann::json object, JsonObject(line, why));
  for (const std::string name : {"key", "value"}) {
    if (!object.contains(name) || !object.contains(name + "_base64")) continue;
    *why = "both \"" + name + "\" and \"" + name + "_base64\"";
    return Code::kBadInput;
  }
  HF_TRY(std::string key, JsonField(object, "key", "key_base64", "", why));
  HF_TRY(std::string value, JsonField(object, "value", "value_base64", "", why));
  return Record{std::move(key), std::move(value)};
}

Result<CsvColumns> ParseCsvHeader(std::string_view line, std::string* why) {
  if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);  // spreadsheets write a byte order mark
  Result<Record> names = CsvFields(line, why);
  if (names && (names->key == "key" || names->key == "key_base64") &&
      (names->value == "value" || names->value == "value_base64")) {
    return CsvColumns{names->key == "key_base64", names->value == "value_base64"};
  }
  *why = "the header is not key,value or key_base64,value_base64";
  return Code::kBadInput;
}

Result<Record> ParseCsvRecord(std::string_view lines, CsvColumns columns, std::string* why) {
  HF_TRY(Record record, CsvFields(lines, why));
  if (columns.key_base64) {
    HF_TRY(record.key, FromBase64(record.key, "key_base64", "", why));
  }
  if (columns.value_base64) {
    HF_TRY(record.value, FromBase64(record.value, "value_base64", "", why));
  }
  return record;
}

std::string RecordHeader(RecordFormat format, bool base64) {
  if (format != RecordFormat::kCsv) return "";
  return base64 ? "key_base64,value_base64\r\n" : "key,value\r\n";
}

Result<std::string> RecordText(RecordFormat format, bool base64, const Record& r) {
  switch (format) {
    case RecordFormat::kTsv:
      return Escape(AsBytes(r.key)) + "\t" + Escape(AsBytes(r.value)) + "\n";
    case RecordFormat::kJson:
      return JsonLine().Text("key", Base64(AsBytes(r.key))).Text("value", Base64(AsBytes(r.value))).str() +
             "\n";
    case RecordFormat::kJsonl: {
      JsonLine line;
      AddJsonl(line, "key", r.key, base64);
      AddJsonl(line, "value", r.value, base64);
      return line.str() + "\n";
    }
    case RecordFormat::kCsv:
      break;
  }
  if (!base64 && !(IsUtf8(AsBytes(r.key)) && IsUtf8(AsBytes(r.value)))) return Code::kBadInput;
  return CsvField(r.key, base64) + "," + CsvField(r.value, base64) + "\r\n";
}

}  // namespace holdfast::cli
