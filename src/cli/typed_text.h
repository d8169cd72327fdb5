// Keys and values of typed tables as people write them, and back.
//
//   bytes, text, json    as they are
//   int64, uint64        decimal: -7, 18446744073709551615
//   uuid                 xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, read in either case, written in lower
//   timestamp            2026-11-22T06:52:51.000000Z; read with none to six digits of a second, UTC only
//
// What TypedText writes, ParseTyped reads as the same bytes. Pure.
#ifndef HOLDFAST_CLI_TYPED_TEXT_H_
#define HOLDFAST_CLI_TYPED_TEXT_H_

#include <string>
#include <string_view>

#include "base/result.h"
#include "core/tree/types.h"

namespace holdfast::cli {

// kBadInput: not of the type. Text and JSON are looked at too.
Result<std::string> ParseTyped(tree::Type type, std::string_view text);
// Bytes that are not of the type, which no table holds, come back as they are.
std::string TypedText(tree::Type type, std::string_view bytes);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_TYPED_TEXT_H_
