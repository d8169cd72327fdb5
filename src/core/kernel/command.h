// What a log entry says: the payloads of docs/format.md 7, as plain structs.
//
// Decoding is bounded and canonical: a payload is refused with kMalformed when a size, a count or a kind is
// outside its limits or a byte is left over, and nothing of it is kept. Every Encode is the inverse of its
// Decode. Whoever builds a command from a client's wishes asks Check() first; it names what is wrong in the
// client's terms. What a command does to the tables is the applier's business (core/store).
#ifndef HOLDFAST_CORE_KERNEL_COMMAND_H_
#define HOLDFAST_CORE_KERNEL_COMMAND_H_

#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/journal/entry.h"

namespace holdfast::kernel {

// The largest payload of an entry: 16 MiB of content (one value of 16 MiB fits), 1 MiB for its framing.
inline constexpr size_t kCommandBytesMax = limits::kBatchBytesMax + (1u << 20);
inline constexpr uint32_t kFoldVersion = 1;

enum class CompareKind : uint8_t { kAbsent = 1, kPresent = 2, kEquals = 3 };
enum class OperationKind : uint8_t { kPut = 1, kDelete = 2, kDeleteRange = 3 };

// Evaluated at apply, before any operation of the batch; one that does not hold makes the whole batch
// kConflict.
struct Compare {
  CompareKind kind = CompareKind::kAbsent;
  TableId table;
  Bytes key;              // 1 to 1,024 bytes
  Digest value_sha256{};  // kEquals: SHA-256 of the value
  friend bool operator==(const Compare&, const Compare&) = default;
};

struct Operation {
  OperationKind kind = OperationKind::kPut;
  TableId table;
  Bytes key;    // 1 to 1,024 bytes; kDeleteRange: first key of the range, empty = from the first row
  Bytes value;  // kPut: up to 16 MiB
  Bytes end;    // kDeleteRange: the first key behind the range, above `key`; empty = to the last row
  friend bool operator==(const Operation&, const Operation&) = default;
};

// All or nothing. Operations take effect in their order.
struct Batch {
  uint64_t session = 0;   // index of the session's entry; 0 = none: no idempotency (rule H4)
  uint64_t sequence = 0;  // of the command within its session
  std::vector<Compare> compares;
  std::vector<Operation> operations;
  friend bool operator==(const Batch&, const Batch&) = default;
};

// The same without copies: views into the payload, valid as long as it is.
struct CompareView {
  CompareKind kind = CompareKind::kAbsent;
  TableId table;
  ByteView key;
  Digest value_sha256{};
};
struct OperationView {
  OperationKind kind = OperationKind::kPut;
  TableId table;
  ByteView key, value, end;
};
struct BatchView {
  uint64_t session = 0, sequence = 0;
  std::vector<CompareView> compares;
  std::vector<OperationView> operations;
};

struct CreateTable {
  TableId table;
  Epoch epoch;
  Key key;           // drawn by the proposer (rule D1)
  Bytes descriptor;  // docs/format.md 5; opaque here
};
// All or nothing: a table, the table of its shared values, its indexes.
struct CreateTables {
  std::vector<CreateTable> tables;  // 1 to kCreatedTogetherMax
};
inline constexpr size_t kCreatedTogetherMax = 2 + limits::kIndexesMax;
struct DropTable {
  TableId table;
};
struct SavePoint {
  uint32_t fold_version = kFoldVersion;
};
struct OpenSession {
  Bytes client_serial;
};
struct Opened {
  MemberId member;
};
// The state of the next save point is kept under the name until it is dropped.
struct CreateTag {
  Bytes name;  // 1 to 128 bytes; of UTF-8, which the proposer checks
};
struct DropTag {
  Bytes name;
};

// errors  kKeySize, kValueSize, kBatchSize (operations, compares or bytes), kInvalidArgument (an empty or
// inverted range)
Status Check(const Batch& batch);
Status Check(const Compare& compare);
Status Check(const Operation& operation);
size_t EncodedBytes(const Batch& batch);
size_t EncodedBytes(const Compare& compare);
size_t EncodedBytes(const Operation& operation);

// REQUIRES: Check(batch), or the like: blobs within their length fields.
Bytes Encode(const Batch& batch);
Bytes Encode(const CreateTable& command);
Bytes Encode(const CreateTables& command);
Bytes Encode(const DropTable& command);
Bytes Encode(const SavePoint& command);
Bytes Encode(const OpenSession& command);
Bytes Encode(const Opened& command);
Bytes Encode(const CreateTag& command);
Bytes Encode(const DropTag& command);

// Whether the entry may leave more in the store than there was: all but deletes, drops and what opens a
// session.
bool TakesSpace(journal::EntryKind kind, ByteView payload);

// Each: kMalformed.
Result<Batch> DecodeBatch(ByteView payload);
Result<BatchView> DecodeBatchView(ByteView payload);
Result<CreateTable> DecodeCreateTable(ByteView payload);
Result<CreateTables> DecodeCreateTables(ByteView payload);
Result<DropTable> DecodeDropTable(ByteView payload);
Result<SavePoint> DecodeSavePoint(ByteView payload);  // any fold version: who folds decides what it can
Result<OpenSession> DecodeOpenSession(ByteView payload);
Result<Opened> DecodeOpened(ByteView payload);
Result<CreateTag> DecodeCreateTag(ByteView payload);
Result<DropTag> DecodeDropTag(ByteView payload);

}  // namespace holdfast::kernel

#endif  // HOLDFAST_CORE_KERNEL_COMMAND_H_
