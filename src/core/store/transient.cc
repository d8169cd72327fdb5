#include "core/store/transient.h"

#include "crypto/hash.h"

namespace holdfast::store {
namespace {

size_t SizeOf(ByteView key, ByteView value) {
  return key.size() + value.size() + TransientRows::kRowOverheadBytes;
}

bool Holds(const kernel::Compare& c, const Bytes* value) {
  switch (c.kind) {
    case kernel::CompareKind::kAbsent:
      return value == nullptr;
    case kernel::CompareKind::kPresent:
      return value != nullptr;
    case kernel::CompareKind::kEquals:
      return value != nullptr && crypto::Sha256(*value) == c.value_sha256;
  }
  return false;
}

}  // namespace

void TransientRows::DropTable(const TableId& table) {
  auto it = tables_.find(table);
  if (it == tables_.end()) return;
  for (const auto& [key, value] : it->second) bytes_ -= SizeOf(key, value);
  tables_.erase(it);
}

size_t TransientRows::rows(const TableId& table) const {
  auto it = tables_.find(table);
  return it == tables_.end() ? 0 : it->second.size();
}

const Bytes* TransientRows::Get(const TableId& table, ByteView key) const {
  auto rows = tables_.find(table);
  if (rows == tables_.end()) return nullptr;
  auto row = rows->second.find(key);
  return row == rows->second.end() ? nullptr : &row->second;
}

void TransientRows::Scan(const TableId& table, ByteView from, ByteView until, bool reverse,
                         const std::function<bool(ByteView, ByteView)>& row) const {
  auto it = tables_.find(table);
  if (it == tables_.end()) return;
  const Rows& rows = it->second;
  auto begin = rows.lower_bound(from), end = until.empty() ? rows.end() : rows.lower_bound(until);
  if (!until.empty() && Compare(from, until) >= 0) return;
  while (begin != end) {
    auto at = reverse ? --end : begin++;
    if (!row(at->first, at->second)) return;
  }
}

Outcome TransientRows::Check(const kernel::Batch& batch) const {
  for (size_t i = 0; i < batch.compares.size(); ++i) {
    const kernel::Compare& c = batch.compares[i];
    if (!Has(c.table)) return {Code::kNoTable};
    if (!Holds(c, Get(c.table, c.key))) return {Code::kConflict, i};
  }
  // An upper bound: what the batch deletes, or writes twice, is not taken off.
  size_t more = 0;
  for (const kernel::Operation& op : batch.operations) {
    if (!Has(op.table)) return {Code::kNoTable};
    if (op.kind != kernel::OperationKind::kPut) continue;
    const Bytes* old = Get(op.table, op.key);
    const size_t is = SizeOf(op.key, op.value), was = old == nullptr ? 0 : SizeOf(op.key, *old);
    more += is > was ? is - was : 0;
  }
  if (more > 0 && bytes_ + more > bytes_max_) return {Code::kTransientFull};
  return {};
}

void TransientRows::Put(Rows& rows, const kernel::Operation& write) {
  auto [it, is_new] = rows.try_emplace(write.key);
  if (!is_new) bytes_ -= SizeOf(write.key, it->second);
  it->second = write.value;
  bytes_ += SizeOf(write.key, write.value);
}

TransientRows::Rows::iterator TransientRows::Erase(Rows& rows, Rows::iterator at) {
  bytes_ -= SizeOf(at->first, at->second);
  return rows.erase(at);
}

Outcome TransientRows::Apply(const kernel::Batch& batch, std::vector<Change>& changes,
                             std::deque<Bytes>& erased) {
  const Outcome good = Check(batch);
  if (!good.ok()) return good;
  for (const kernel::Operation& op : batch.operations) {
    Rows& rows = tables_.at(op.table);
    if (op.kind == kernel::OperationKind::kPut) {
      Put(rows, op);
      changes.push_back({op.table, op.key, ByteView(op.value)});
    } else if (op.kind == kernel::OperationKind::kDelete) {
      if (auto it = rows.find(op.key); it != rows.end()) Erase(rows, it);
      changes.push_back({op.table, op.key, std::nullopt});
    } else {
      auto it = rows.lower_bound(op.key);
      while (it != rows.end() && (op.end.empty() || Compare(it->first, op.end) < 0)) {
        erased.push_back(it->first);
        changes.push_back({op.table, erased.back(), std::nullopt});
        it = Erase(rows, it);
      }
    }
  }
  return {};
}

}  // namespace holdfast::store
