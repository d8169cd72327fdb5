// Rows that the store keeps of itself, in tables that no client sees; docs/format.md 7. What decodes encodes
// to the same bytes.
#ifndef HOLDFAST_CORE_STORE_ROWS_H_
#define HOLDFAST_CORE_STORE_ROWS_H_

#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace holdfast::store {

// kHeadsTable, under HeadsKey: a point of the log that an anchor may name (rule F1).
struct HeadRow {
  Term term;
  Digest chain{};
  Bytes Encode() const;
  static Result<HeadRow> Decode(ByteView untrusted);  // kMalformed
};

// kSessionsTable, under the session's id: what its last commands came to (rule H4).
struct SessionRow {
  struct Result {
    uint64_t sequence = 0;
    Code code{};  // 0 = done
    uint64_t detail = 0;
  };
  uint64_t highest = 0;  // sequence
  LogIndex last_used;
  std::vector<Result> results;
  Bytes Encode() const;
  static holdfast::Result<SessionRow> Decode(ByteView untrusted);  // kMalformed
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_ROWS_H_
