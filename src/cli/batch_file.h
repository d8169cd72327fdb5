// The input of `kv batch`: one change or condition a line; fields are separated by tabs and escaped (text.h).
//
//   put TABLE KEY VALUE    del TABLE KEY
//   equals TABLE KEY VALUE    absent TABLE KEY    present TABLE KEY
//
// Empty lines are skipped. Pure; memory is bounded by that of the text and the limits of a batch.
#ifndef HOLDFAST_CLI_BATCH_FILE_H_
#define HOLDFAST_CLI_BATCH_FILE_H_

#include <string>
#include <string_view>

#include "sdk/client.h"

namespace holdfast::cli {

// errors  kBadInput; kBatchSize: more lines of one sort than a batch may have. `why` says for people which
//         line and what is wrong with it: "line 2: a backslash that is no escape".
Result<sdk::Batch> ParseBatchFile(std::string_view text, std::string* why);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_BATCH_FILE_H_
