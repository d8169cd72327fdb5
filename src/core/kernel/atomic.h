// An atomic block (rule H2): changes that are buffered by their owner and become one log entry, or nothing.
//
//   Begin ── Put, Delete, DeleteRange, Overlaid, Observe ── Begin … End ── … ── End ──> one Batch
//
// Blocks nest freely; only the outermost End gives a batch. Reads inside see the block's own writes
// (Overlaid); a read that went to the store is told with Observe and becomes a compare, so that the batch
// conflicts at apply when somebody else has changed what the block has read. There is no rollback of a part:
// a block that is dropped, is over a limit or was refused one of its operations is *doomed*. It keeps
// nothing, its operations answer why, and so does its outermost End; nothing of it reaches the log. An owner
// that dies takes its block along.
//
// Limits: limits::kAtomicDepthMax levels, limits::kAtomicMillisecondsMax from the outermost Begin, and those
// of one batch. Not here: scans. A scan cannot be compared at apply, so it sees neither the block's writes
// nor is it protected. Not thread-safe. Cost: O(log operations) a call, plus O(range deletions) for Overlaid.
// Source: docs/format.md 7; design §3 two-tier commit ("atomic blocks nest, are short").
#ifndef HOLDFAST_CORE_KERNEL_ATOMIC_H_
#define HOLDFAST_CORE_KERNEL_ATOMIC_H_

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/kernel/command.h"

namespace holdfast::kernel {

class AtomicBlock {
 public:
  // `now_ms` everywhere: any clock of the owner's; only its forward distance from the outermost Begin counts.
  // kBlockLimit: too deep (this Begin does not count, and dooms the block); or why the block is doomed.
  Status Begin(uint64_t now_ms);
  // Outermost: the batch, or nothing when the block neither wrote nor observed. Inner: nothing.
  // The owner adds session and sequence. A batch with compares must be submitted `durable` (rule H1).
  //   errors  why the block was doomed; kInvalidArgument without a Begin
  Result<std::optional<Batch>> End(uint64_t now_ms);
  // Dooms the block, whatever its depth; the Ends still outstanding remain due.
  void Drop(Code why = Code::kCancelled);

  // errors  kInvalidArgument outside a block; kBlockLimit (operations, bytes or time), kKeySize, kValueSize:
  // doomed
  Status Put(uint64_t now_ms, const TableId& table, ByteView key, ByteView value);
  Status Delete(uint64_t now_ms, const TableId& table, ByteView key);
  Status DeleteRange(uint64_t now_ms, const TableId& table, ByteView key, ByteView end);

  struct Own {
    bool present = false;  // false: the block has deleted it
    ByteView value;        // until the next change of the block
  };
  // What the block itself has made of the key; nothing = ask the store, then Observe.
  std::optional<Own> Overlaid(const TableId& table, ByteView key) const;
  // The store answered `value` (nothing = absent) to a read of the block.
  //   errors  as Put; kConflict: the store has changed since the block first read the key: doomed
  Status Observe(uint64_t now_ms, const TableId& table, ByteView key, std::optional<ByteView> value);

  size_t depth() const { return depth_; }
  bool doomed() const { return doom_.has_value(); }
  size_t compares() const { return batch_.compares.size(); }
  bool Expired(uint64_t now_ms) const;  // for the owner that wants to drop what nobody ends

 private:
  using RowKey = std::pair<TableId, Bytes>;
  Status Enter(uint64_t now_ms);
  Status Doom(Code why);
  Status Add(Operation o);
  bool RangeDeleted(const TableId& table, ByteView key, size_t from_operation) const;
  void Clear();

  size_t depth_ = 0;
  uint64_t began_ms_ = 0;
  std::optional<Code> doom_;
  Batch batch_;
  size_t bytes_ = 0;                   // encoded
  std::map<RowKey, size_t> written_;   // -> the last operation on that key
  std::map<RowKey, size_t> observed_;  // -> its compare
  std::vector<size_t> ranges_;         // range deletions, in order
};

}  // namespace holdfast::kernel

#endif  // HOLDFAST_CORE_KERNEL_ATOMIC_H_
