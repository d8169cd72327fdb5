// Log entries and their chain: what all members agree on. Source: docs/format.md 6, 7.
#ifndef HOLDFAST_CORE_JOURNAL_ENTRY_H_
#define HOLDFAST_CORE_JOURNAL_ENTRY_H_

#include "base/codec.h"
#include "base/ids.h"
#include "base/secret.h"

namespace holdfast::journal {

enum class EntryKind : uint8_t {
  kOpened = 1,
  kBatch = 2,
  kCreateTable = 3,
  kDropTable = 4,
  kSavePoint = 5,
  kClosed = 6,
  kOpenSession = 7,
  kCreateTag = 8,
  kDropTag = 9,
  kCreateTables = 10,
};
inline constexpr EntryKind kLastEntryKind = EntryKind::kCreateTables;

struct Entry {
  EntryKind kind{};
  Term term;
  Bytes payload;  // layout by kind: docs/format.md 7; opaque to journal, kernel and consensus
  friend bool operator==(const Entry&, const Entry&) = default;
};

// A place in the log: the last entry that a state contains, and the chain up to it.
struct LogPosition {
  LogIndex index;
  Term term;
  Digest chain{};
  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

// The position after `entry` is appended. Cost: one HMAC over the payload.
LogPosition Extend(const Key& chain_key, const LogPosition& before, const Entry& entry);

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_ENTRY_H_
