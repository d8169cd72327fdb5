#include "cli/batch_file.h"

#include <algorithm>

#include "base/limits.h"
#include "cli/text.h"

namespace holdfast::cli {
namespace {

Result<std::string> Field(std::string_view text, std::string* why) {
  Result<Bytes> bytes = Unescape(text);
  if (bytes) return ToText(*bytes);
  *why = "a backslash that is no escape";
  return bytes.error();
}

Status AddLine(std::string_view line, sdk::Batch& batch, std::string* why) {
  using Condition = sdk::Compare::Kind;
  using Change = sdk::Operation::Kind;
  std::string_view what = line.substr(0, line.find('\t'));
  bool with_value = what == "put" || what == "equals";
  bool known = with_value || what == "del" || what == "absent" || what == "present";
  if (!known || std::count(line.begin(), line.end(), '\t') != (with_value ? 3 : 2)) {
    *why = "expected put|equals TABLE KEY VALUE or del|absent|present TABLE KEY, with tabs";
    return Code::kBadInput;
  }
  std::vector<std::string_view> f = SplitTabs(line);
  HF_TRY(std::string table, Field(f[1], why));
  HF_TRY(std::string key, Field(f[2], why));
  HF_TRY(std::string value, Field(with_value ? f[3] : std::string_view(), why));
  if (what == "put" || what == "del") {
    batch.operations.push_back(
        {what == "put" ? Change::kPut : Change::kDelete, std::move(table), std::move(key), std::move(value)});
  } else {
    Condition kind = what == "absent"    ? Condition::kAbsent
                     : what == "present" ? Condition::kPresent
                                         : Condition::kEquals;
    batch.compares.push_back({kind, std::move(table), std::move(key), std::move(value)});
  }
  if (std::max(batch.operations.size(), batch.compares.size()) <= limits::kBatchOpsMax) return Ok();
  *why = std::string(CodeText(Code::kBatchSize));
  return Code::kBatchSize;
}

}  // namespace

Result<sdk::Batch> ParseBatchFile(std::string_view text, std::string* why) {
  sdk::Batch batch;
  for (size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty()) continue;
    Status added = AddLine(line, batch, why);
    if (added) continue;
    *why = "line " + std::to_string(number) + ": " + *why;
    return added.error();
  }
  return batch;
}

}  // namespace holdfast::cli
