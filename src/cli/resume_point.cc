#include "cli/resume_point.h"

#include <nlohmann/json.hpp>

#include "cli/text.h"

namespace holdfast::cli {
namespace {

// Fields of one object; the first that is missing makes all of it bad.
class Fields {
 public:
  explicit Fields(std::string_view text) : object_(nlohmann::json::parse(text, nullptr, false)) {
    good_ = object_.is_object();
  }
  std::string Text(const char* name) {
    const nlohmann::json* field = Find(name);
    if (field != nullptr && field->is_string()) return field->get<std::string>();
    good_ = false;
    return "";
  }
  std::string Raw(const char* name) {
    Result<Bytes> bytes = ParseBase64(Text(name));
    if (bytes) return ToText(*bytes);
    good_ = false;
    return "";
  }
  uint64_t Number(const char* name) {
    const nlohmann::json* field = Find(name);
    if (field != nullptr && field->is_number_unsigned()) return field->get<uint64_t>();
    good_ = false;
    return 0;
  }
  bool good() const { return good_; }

 private:
  const nlohmann::json* Find(const char* name) const {
    if (!object_.is_object()) return nullptr;
    auto at = object_.find(name);
    return at == object_.end() ? nullptr : &*at;
  }
  const nlohmann::json object_;
  bool good_ = false;
};

}  // namespace

// Names come from a command line: base64 keeps them whatever they are.
std::string EncodeLoadPoint(const LoadPoint& p) {
  JsonLine line;
  line.Text("store", p.store).Text("table", Base64(AsBytes(p.table))).Text("file", Base64(AsBytes(p.file)));
  line.Text("format", p.format).Number("bytes", p.bytes).Number("mtime_ns", p.mtime_ns);
  line.Number("offset", p.offset).Number("line", p.line).Number("rows", p.rows).Text("tail", p.tail);
  line.Text("table_id", p.table_id);
  return line.str() + "\n";
}

Result<LoadPoint> ParseLoadPoint(std::string_view text) {
  Fields f(text);
  LoadPoint p;
  p.store = f.Text("store");
  p.table = f.Raw("table");
  p.file = f.Raw("file");
  p.format = f.Text("format");
  p.bytes = f.Number("bytes");
  p.mtime_ns = f.Number("mtime_ns");
  p.offset = f.Number("offset");
  p.line = f.Number("line");
  p.rows = f.Number("rows");
  p.tail = f.Text("tail");
  p.table_id = f.Text("table_id");
  if (!f.good() || p.offset > p.bytes) return Code::kBadInput;
  return p;
}

std::string EncodeDumpPoint(const DumpPoint& p) {
  JsonLine line;
  line.Text("store", p.store).Text("table", Base64(AsBytes(p.table))).Text("tag", Base64(AsBytes(p.tag)));
  line.Text("format", p.format).Number("base64", p.base64 ? 1 : 0);
  line.Text("from", Base64(AsBytes(p.from))).Text("until", Base64(AsBytes(p.until)));
  line.Number("index", p.index).Number("offset", p.offset).Number("rows", p.rows);
  return line.Text("last_key", Base64(AsBytes(p.last_key))).str() + "\n";
}

Result<DumpPoint> ParseDumpPoint(std::string_view text) {
  Fields f(text);
  DumpPoint p;
  p.store = f.Text("store");
  p.table = f.Raw("table");
  p.tag = f.Raw("tag");
  p.format = f.Text("format");
  uint64_t base64 = f.Number("base64");
  p.base64 = base64 == 1;
  p.from = f.Raw("from");
  p.until = f.Raw("until");
  p.index = f.Number("index");
  p.offset = f.Number("offset");
  p.rows = f.Number("rows");
  p.last_key = f.Raw("last_key");
  if (!f.good() || base64 > 1 || p.last_key.empty() != (p.rows == 0)) return Code::kBadInput;
  return p;
}

}  // namespace holdfast::cli
