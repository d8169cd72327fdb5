// A way through JSON that IsJson has accepted: values are found and skipped, never built. Pure, no memory but
// for names with escapes; linear; recursion at most kJsonDepthMax deep, as IsJson saw to.
#ifndef HOLDFAST_CORE_TREE_JSON_SCAN_INTERNAL_H_
#define HOLDFAST_CORE_TREE_JSON_SCAN_INTERNAL_H_

#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace holdfast::tree {

// The value at a pointer of RFC 6901, without white space around it; of a name that stands twice, the first.
// Nothing: it leads nowhere. REQUIRES: IsJson(text).
std::optional<std::string_view> FindJson(std::string_view text, std::string_view pointer);

// The text that a string stands for, as UTF-8. REQUIRES: `quoted` is one, with its quotes.
void AppendJsonString(std::string_view quoted, Bytes& out);

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_JSON_SCAN_INTERNAL_H_
