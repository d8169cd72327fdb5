#include "core/kernel/atomic.h"

#include "crypto/hash.h"

namespace holdfast::kernel {
void AtomicBlock::Clear() {
  batch_ = Batch();
  bytes_ = EncodedBytes(batch_);
  written_.clear();
  observed_.clear();
  ranges_.clear();
}

Status AtomicBlock::Doom(Code why) {
  if (!doom_) doom_ = why;
  Clear();
  return *doom_;
}

bool AtomicBlock::Expired(uint64_t now_ms) const {
  return depth_ != 0 && now_ms > began_ms_ && now_ms - began_ms_ > limits::kAtomicMillisecondsMax;
}

Status AtomicBlock::Enter(uint64_t now_ms) {
  if (depth_ == 0) return Code::kInvalidArgument;
  if (doom_) return *doom_;
  if (Expired(now_ms)) return Doom(Code::kBlockLimit);
  return Ok();
}

Status AtomicBlock::Begin(uint64_t now_ms) {
  if (depth_ == 0) {
    Clear();
    began_ms_ = now_ms;
    depth_ = 1;
    return Ok();
  }
  HF_TRY_VOID(Enter(now_ms));
  if (depth_ == limits::kAtomicDepthMax) return Doom(Code::kBlockLimit);
  ++depth_;
  return Ok();
}

Result<std::optional<Batch>> AtomicBlock::End(uint64_t now_ms) {
  const Status entered = Enter(now_ms);
  if (depth_ == 0) return entered.error();
  if (--depth_ != 0) {
    if (!entered) return entered.error();
    return std::optional<Batch>();
  }
  doom_.reset();
  std::optional<Batch> batch;
  if (!batch_.operations.empty() || !batch_.compares.empty()) batch = std::move(batch_);
  Clear();
  if (!entered) return entered.error();
  return batch;
}

void AtomicBlock::Drop(Code why) {
  if (depth_ != 0) static_cast<void>(Doom(why));
}

Status AtomicBlock::Add(Operation o) {
  const Status good = Check(o);
  if (!good) return Doom(good.code());
  const size_t size = EncodedBytes(o);
  RowKey row(o.table, o.key);
  const bool is_range = o.kind == OperationKind::kDeleteRange;
  const auto it = is_range ? written_.end() : written_.find(row);
  // Writing a key again replaces the earlier write, unless a range deletion stands between the two.
  if (it != written_.end() && (ranges_.empty() || ranges_.back() < it->second)) {
    Operation& earlier = batch_.operations[it->second];
    bytes_ = bytes_ - EncodedBytes(earlier) + size;
    earlier = std::move(o);
  } else {
    bytes_ += size;
    const size_t place = batch_.operations.size();
    batch_.operations.push_back(std::move(o));
    if (is_range) {
      ranges_.push_back(place);
    } else {
      written_.insert_or_assign(std::move(row), place);
    }
  }
  if (batch_.operations.size() > limits::kBatchOpsMax || bytes_ > kCommandBytesMax)
    return Doom(Code::kBlockLimit);
  return Ok();
}

Status AtomicBlock::Put(uint64_t now_ms, const TableId& table, ByteView key, ByteView value) {
  HF_TRY_VOID(Enter(now_ms));
  if (value.size() > limits::kValueBytesMax) return Doom(Code::kValueSize);  // before it is copied
  return Add({OperationKind::kPut, table, ToBytes(key), ToBytes(value), {}});
}

Status AtomicBlock::Delete(uint64_t now_ms, const TableId& table, ByteView key) {
  HF_TRY_VOID(Enter(now_ms));
  return Add({OperationKind::kDelete, table, ToBytes(key), {}, {}});
}

Status AtomicBlock::DeleteRange(uint64_t now_ms, const TableId& table, ByteView key, ByteView end) {
  HF_TRY_VOID(Enter(now_ms));
  return Add({OperationKind::kDeleteRange, table, ToBytes(key), {}, ToBytes(end)});
}

bool AtomicBlock::RangeDeleted(const TableId& table, ByteView key, size_t from_operation) const {
  for (auto it = ranges_.rbegin(); it != ranges_.rend() && *it >= from_operation; ++it) {
    const Operation& o = batch_.operations[*it];
    if (o.table != table || holdfast::Compare(key, o.key) < 0) continue;
    if (o.end.empty() || holdfast::Compare(key, o.end) < 0) return true;
  }
  return false;
}

std::optional<AtomicBlock::Own> AtomicBlock::Overlaid(const TableId& table, ByteView key) const {
  const auto it = written_.find(RowKey(table, ToBytes(key)));
  const size_t from = it == written_.end() ? 0 : it->second;
  if (RangeDeleted(table, key, from)) return Own{};
  if (it == written_.end()) return std::nullopt;
  const Operation& o = batch_.operations[it->second];
  if (o.kind == OperationKind::kDelete) return Own{};
  return Own{true, o.value};
}

Status AtomicBlock::Observe(uint64_t now_ms, const TableId& table, ByteView key,
                            std::optional<ByteView> value) {
  HF_TRY_VOID(Enter(now_ms));
  Compare c{value ? CompareKind::kEquals : CompareKind::kAbsent, table, ToBytes(key), {}};
  const Status good = Check(c);
  if (!good) return Doom(good.code());
  if (value) c.value_sha256 = crypto::Sha256(*value);
  const auto [it, is_new] = observed_.try_emplace(RowKey(table, c.key), batch_.compares.size());
  if (!is_new) return batch_.compares[it->second] == c ? Ok() : Doom(Code::kConflict);
  bytes_ += EncodedBytes(c);
  batch_.compares.push_back(std::move(c));
  if (batch_.compares.size() > limits::kBatchOpsMax || bytes_ > kCommandBytesMax)
    return Doom(Code::kBlockLimit);
  return Ok();
}

}  // namespace holdfast::kernel
