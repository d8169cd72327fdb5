#include "host/kv/json_answers.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "host/http/digest.h"

namespace holdfast::host {
namespace {

using Json = nlohmann::json;

constexpr size_t kFilesMax = 1u << 20;  // of one HDFS directory: its own default limit
constexpr int kPropertiesMax = 16;      // of an Azure entity that hold bytes

Json Parse(ByteView json) {
  return Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
}

// The value at a path of names; null where there is none.
const Json& At(const Json& json, std::initializer_list<const char*> path) {
  static const Json nothing;
  const Json* at = &json;
  for (const char* name : path) {
    auto it = at->is_object() ? at->find(name) : at->end();
    if (!at->is_object() || it == at->end()) return nothing;
    at = &*it;
  }
  return *at;
}

std::string TextAt(const Json& json, std::initializer_list<const char*> path) {
  const Json& at = At(json, path);
  return at.is_string() ? at.get<std::string>() : std::string();
}

// A number, or its digits in a string: both are in use.
std::optional<uint64_t> NumberAt(const Json& json, std::initializer_list<const char*> path) {
  const Json& at = At(json, path);
  if (at.is_number_unsigned()) return at.get<uint64_t>();
  if (!at.is_string()) return {};
  const auto& text = at.get_ref<const std::string&>();
  uint64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return n;
}

// Base64 at a path, appended; absent is nothing to append, anything else is refused.
bool AppendBytesAt(const Json& json, std::initializer_list<const char*> path, Bytes& to) {
  const Json& at = At(json, path);
  if (at.is_null()) return true;
  if (!at.is_string()) return false;
  std::optional<Bytes> bytes = ParseBase64(at.get_ref<const std::string&>());
  if (bytes) Append(to, *bytes);
  return bytes.has_value();
}

// The last word of "com.amazonaws…#Name" and "…/documents/collection/ID".
std::string Behind(const std::string& text, char mark) {
  size_t at = text.rfind(mark);
  return at == std::string::npos ? text : text.substr(at + 1);
}

}  // namespace

Result<std::optional<JsonRow>> ParseDynamoItem(ByteView json) {
  Json answer = Parse(json);
  if (!answer.is_object()) return Code::kMalformed;
  const Json& item = At(answer, {"Item"});
  if (item.is_null()) return std::optional<JsonRow>();
  JsonRow row;
  row.write = TextAt(item, {"w", "S"});
  if (row.write.empty() || !AppendBytesAt(item, {"v", "B"}, row.bytes)) return Code::kMalformed;
  return std::optional<JsonRow>(std::move(row));
}

Result<JsonListing> ParseDynamoListing(ByteView json) {
  Json answer = Parse(json);
  const Json& items = At(answer, {"Items"});
  if (!items.is_array() || items.size() > seam::kListPageMax) return Code::kMalformed;
  JsonListing listing;
  listing.more = !At(answer, {"LastEvaluatedKey"}).is_null();
  for (const Json& item : items) {
    std::optional<uint64_t> size = NumberAt(item, {"z", "N"});
    std::string name = TextAt(item, {"n", "S"});
    if (!size || name.empty()) return Code::kMalformed;
    listing.objects.push_back({std::move(name), *size});
  }
  return listing;
}

std::string ParseDynamoError(ByteView json) { return Behind(TextAt(Parse(json), {"__type"}), '#'); }
std::string ParseDynamoTableStatus(ByteView json) { return TextAt(Parse(json), {"Table", "TableStatus"}); }

Result<JsonRow> ParseAzureEntity(ByteView json) {
  Json answer = Parse(json);
  JsonRow row;
  row.write = TextAt(answer, {"w"});
  if (row.write.empty()) return Code::kMalformed;
  for (int i = 0; i < kPropertiesMax; ++i) {
    if (!AppendBytesAt(answer, {("v" + std::to_string(i)).c_str()}, row.bytes)) return Code::kMalformed;
  }
  return row;
}

Result<JsonListing> ParseAzureListing(ByteView json) {
  Json answer = Parse(json);
  const Json& values = At(answer, {"value"});
  if (!values.is_array() || values.size() > seam::kListPageMax) return Code::kMalformed;
  JsonListing listing;
  for (const Json& value : values) {
    std::optional<uint64_t> size = NumberAt(value, {"z"});
    std::string key = TextAt(value, {"RowKey"});
    if (!size || key.empty()) return Code::kMalformed;
    listing.objects.push_back({std::move(key), *size});
  }
  return listing;
}

std::string ParseAzureError(ByteView json) { return TextAt(Parse(json), {"odata.error", "code"}); }

Result<JsonRow> ParseFirestoreDocument(ByteView json) {
  Json answer = Parse(json);
  JsonRow row;
  row.write = TextAt(answer, {"fields", "w", "stringValue"});
  row.stamp = TextAt(answer, {"updateTime"});
  if (row.write.empty() || row.stamp.empty() ||
      !AppendBytesAt(answer, {"fields", "v", "bytesValue"}, row.bytes)) {
    return Code::kMalformed;
  }
  return row;
}

Result<JsonListing> ParseFirestoreListing(ByteView json) {
  Json answer = Parse(json);
  // One element that holds no document says only when it was read.
  if (!answer.is_array() || answer.size() > seam::kListPageMax + 1) return Code::kMalformed;
  JsonListing listing;
  for (const Json& element : answer) {
    if (At(element, {"document"}).is_null()) continue;
    std::optional<uint64_t> size = NumberAt(element, {"document", "fields", "z", "integerValue"});
    std::string key = Behind(TextAt(element, {"document", "name"}), '/');
    if (!size || key.empty()) return Code::kMalformed;
    listing.objects.push_back({std::move(key), *size});
  }
  return listing;
}

std::string ParseFirestoreError(ByteView json) {
  Json answer = Parse(json);
  return TextAt(answer.is_array() && !answer.empty() ? answer[0] : answer, {"error", "status"});
}

namespace {

Result<HdfsFile> FileOf(const Json& status) {
  HdfsFile file;
  std::string type = TextAt(status, {"type"});
  std::optional<uint64_t> size = NumberAt(status, {"length"});
  if ((type != "FILE" && type != "DIRECTORY") || !size) return Code::kMalformed;
  file.name = TextAt(status, {"pathSuffix"});
  file.directory = type == "DIRECTORY";
  file.size_bytes = *size;
  // Two steps at once, or out of the directory.
  if (file.name.find('/') != std::string::npos || file.name == "." || file.name == "..")
    return Code::kMalformed;
  return file;
}

}  // namespace

Result<std::vector<HdfsFile>> ParseHdfsListing(ByteView json) {
  Json answer = Parse(json);
  const Json& files = At(answer, {"FileStatuses", "FileStatus"});
  if (!files.is_array() || files.size() > kFilesMax) return Code::kMalformed;
  std::vector<HdfsFile> out;
  for (const Json& status : files) {
    HF_TRY(HdfsFile file, FileOf(status));
    out.push_back(std::move(file));
  }
  return out;
}

Result<HdfsFile> ParseHdfsStatus(ByteView json) { return FileOf(At(Parse(json), {"FileStatus"})); }
std::string ParseHdfsError(ByteView json) { return TextAt(Parse(json), {"RemoteException", "exception"}); }

std::string NameToKey(std::string_view name) { return HexUpper(AsBytes(name)); }

std::optional<std::string> NameOfKey(std::string_view key) {
  std::optional<Bytes> bytes = ParseHex(key);
  if (!bytes || HexUpper(*bytes) != key) return {};
  return ToText(*bytes);
}

}  // namespace holdfast::host
