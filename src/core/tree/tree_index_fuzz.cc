// A row of strangers in an index: a pointer, a newline, a JSON value. What is JSON has a field or none; the
// field gives one index row, which leads back to its key; the field's own bounds have that row.
#include <algorithm>

#include "base/check.h"
#include "core/tree/index_key.h"

using namespace holdfast;

namespace {

bool In(const tree::IndexRange& range, ByteView key) {
  return !range.empty && Compare(key, range.from) >= 0 &&
         (range.until.empty() || Compare(key, range.until) < 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  ByteView input(bytes, size);
  auto end = std::find(input.begin(), input.end(), '\n');
  if (end == input.end()) return 0;
  std::string pointer = ToText(input.first(static_cast<size_t>(end - input.begin())));
  ByteView value = input.subspan(pointer.size() + 1);
  HF_CHECK(tree::RangeOf(tree::Type::kJson, {ToBytes(value), {}, {}, {}}).has_value() ==
           (tree::IsJson(value) && tree::FieldOf(tree::Type::kJson, "", value).has_value()));
  static_cast<void>(tree::KeyOfIndexRow(value, {}, false));
  if (!tree::MayPoint(tree::Type::kJson, pointer) || !tree::IsJson(value)) return 0;
  auto field = tree::FieldOf(tree::Type::kJson, pointer, value);
  if (!field) return 0;
  for (bool unique : {false, true}) {
    tree::IndexRow row = tree::IndexRowOf(*field, AsBytes("key"), unique);
    HF_CHECK(tree::KeyOfIndexRow(row.key, row.value, unique).value() == ToBytes("key"));
    auto same = tree::RangeOf(tree::Type::kBytes, {{}, {}, {}, *field});
    HF_CHECK(In(*same, row.key));
    if (pointer.empty())
      HF_CHECK(In(*tree::RangeOf(tree::Type::kJson, {{}, {}, {}, ToBytes(value)}), row.key));
  }
  return 0;
}
