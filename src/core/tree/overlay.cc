#include "core/tree/overlay.h"

#include <algorithm>
#include <iterator>

namespace holdfast::tree {
namespace {

// A map node (4 words of tree, key and vector headers) with its block's overhead, and the blocks of key and
// versions.
constexpr size_t kRowOverhead = 160;
constexpr size_t kVersionOverhead = 64;

}  // namespace

void Overlay::Write(const TableId& table, ByteView key, Version version) {
  HF_CHECK(version.sequence >= last_sequence_);
  last_sequence_ = version.sequence;
  Table& rows = tables_[table];
  auto it = rows.lower_bound(key);
  if (it == rows.end() || !Equal(it->first, key)) {
    it = rows.emplace_hint(it, ToBytes(key), Versions{});
    ++rows_;
    memory_bytes_ += kRowOverhead + key.size();
  }
  Versions& versions = it->second;
  if (!versions.empty() && versions.back().sequence == version.sequence) {
    memory_bytes_ -= kVersionOverhead + versions.back().value.size();
    versions.pop_back();
  }
  memory_bytes_ += kVersionOverhead + version.value.size();
  versions.push_back(std::move(version));
}

void Overlay::Put(const TableId& table, ByteView key, ByteView value, uint64_t sequence) {
  Write(table, key, {sequence, false, ToBytes(value)});
}

void Overlay::Erase(const TableId& table, ByteView key, uint64_t sequence) {
  Write(table, key, {sequence, true, {}});
}

const Overlay::Version* Overlay::At(const Versions& versions, uint64_t sequence) {
  for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
    if (it->sequence <= sequence) return &*it;
  }
  return nullptr;
}

std::optional<Overlay::Hit> Overlay::Get(const TableId& table, ByteView key, uint64_t at_sequence) const {
  auto rows = tables_.find(table);
  if (rows == tables_.end()) return std::nullopt;
  auto it = rows->second.find(key);
  if (it == rows->second.end()) return std::nullopt;
  const Version* v = At(it->second, at_sequence);
  if (v == nullptr) return std::nullopt;
  return Hit{v->erased, v->value};
}

std::unique_ptr<ChangeSource> Overlay::Changes(const TableId& table) const {
  class Newest : public ChangeSource {
   public:
    explicit Newest(const Table* rows) : rows_(rows) {
      if (rows_ != nullptr) at_ = rows_->begin();
    }
    std::optional<Change> Next() override {
      if (rows_ == nullptr || at_ == rows_->end()) return std::nullopt;
      const Version& v = at_->second.back();
      Change c{at_->first, v.value, v.erased};
      ++at_;
      return c;
    }

   private:
    const Table* rows_;
    Table::const_iterator at_;
  };
  auto it = tables_.find(table);
  return std::make_unique<Newest>(it == tables_.end() ? nullptr : &it->second);
}

std::vector<TableId> Overlay::Tables() const {
  std::vector<TableId> out;
  for (const auto& [table, rows] : tables_) out.push_back(table);
  return out;
}

OverlayCursor::OverlayCursor(const Overlay& overlay, const TableId& table, uint64_t at_sequence)
    : overlay_(&overlay), table_(table), sequence_(at_sequence) {}

// The table may appear after the cursor was made.
const Overlay::Table* OverlayCursor::Find() const {
  auto it = overlay_->tables_.find(table_);
  return it == overlay_->tables_.end() ? nullptr : &it->second;
}

void OverlayCursor::SeekTo(ByteView k) {
  key_ = ToBytes(k);
  behind_ = at_end_ = false;
  at_.reset();
}

void OverlayCursor::SeekToEnd() {
  at_end_ = true;
  at_.reset();
}

std::optional<OverlayCursor::Row> OverlayCursor::Next() {
  const Overlay::Table* rows = Find();
  if (rows == nullptr || at_end_) return std::nullopt;
  auto it = at_ ? (behind_ ? std::next(*at_) : *at_) : rows->lower_bound(key_);
  for (; it != rows->end(); ++it) {
    const Overlay::Version* v = Overlay::At(it->second, sequence_);
    if (v == nullptr) continue;
    at_ = it;
    behind_ = true;
    return Row{it->first, {v->erased, v->value}};
  }
  return std::nullopt;
}

std::optional<OverlayCursor::Row> OverlayCursor::Prev() {
  const Overlay::Table* rows = Find();
  if (rows == nullptr) return std::nullopt;
  auto it = at_ ? (behind_ ? std::next(*at_) : *at_) : at_end_ ? rows->end() : rows->lower_bound(key_);
  while (it != rows->begin()) {
    --it;
    const Overlay::Version* v = Overlay::At(it->second, sequence_);
    if (v == nullptr) continue;
    at_ = it;
    behind_ = at_end_ = false;
    return Row{it->first, {v->erased, v->value}};
  }
  return std::nullopt;
}

}  // namespace holdfast::tree
