#include "core/tree/overlay.h"

#include <algorithm>

#include "base/check.h"
#include "core/tree/key_head_internal.h"

namespace holdfast::tree {
namespace {

constexpr size_t kBlockBytesMax = 2u << 20;
constexpr size_t kRowsAhead = 4;     // fetched into the processor's cache while a fold is busy with this one
constexpr unsigned kLevelsMax = 16;  // of inner nodes: 16^16 rows

}  // namespace

Overlay::Arena::Arena() : memory_(std::pmr::get_default_resource()) {}

Overlay::Arena::~Arena() {
  for (const Block& b : blocks_) memory_->deallocate(b.at, b.bytes, alignof(uint64_t));
}

void* Overlay::Arena::Take(size_t bytes) {
  bytes = (bytes + 7) & ~size_t{7};
  if (bytes > left_) {
    size_t block = std::max(bytes, next_block_);
    next_block_ = std::min(kBlockBytesMax, 2 * next_block_);
    blocks_.push_back({memory_->allocate(block, alignof(uint64_t)), block});
    uint8_t* begin = static_cast<uint8_t*>(blocks_.back().at);
    if (block - bytes <= left_) return begin;  // a large one for itself: what is left serves on
    at_ = begin;
    left_ = block;
  }
  void* p = at_;
  at_ += bytes;
  left_ -= bytes;
  return p;
}

template <typename T>
T* Overlay::NewNode() {
  T* node = new (arena_.Take(sizeof(T))) T;
  node->count = 0;
  memory_bytes_ += sizeof(T);
  return node;
}

const Overlay::Table* Overlay::TableOf(const TableId& table) const {
  auto it = tables_.find(table);
  return it == tables_.end() ? nullptr : &it->second;
}

// ---- The tree

namespace {

// How many of the ascending rows are below the key.
template <typename Row>
size_t CountBelow(const uint64_t* heads, Row* const* rows, size_t count, uint64_t head, ByteView key) {
  size_t n = 0, left = count;
  for (; left > 1; left -= left / 2) n += heads[n + left / 2 - 1] < head ? left / 2 : 0;
  if (left == 1 && heads[n] < head) ++n;
  while (n < count && heads[n] == head && Compare(rows[n]->key(), key) < 0) ++n;
  return n;
}

}  // namespace

Overlay::Leaf* Overlay::LeafFor(const Table& table, ByteView key, Inner** path, unsigned* places) {
  uint64_t head = KeyHead(key);
  void* node = table.root;
  for (unsigned level = 0; level < table.levels; ++level) {
    Inner* inner = static_cast<Inner*>(node);
    size_t below = CountBelow(inner->heads + 1, inner->firsts + 1, inner->count - 1, head, key);
    // The child that begins with the key itself holds it.
    if (below + 1 < inner->count && inner->heads[below + 1] == head &&
        Equal(inner->firsts[below + 1]->key(), key)) {
      ++below;
    }
    if (path != nullptr) {
      path[level] = inner;
      places[level] = static_cast<unsigned>(below);
    }
    node = inner->children[below];
  }
  return static_cast<Leaf*>(node);
}

Overlay::Position Overlay::LowerBound(const Table& table, ByteView key) {
  Leaf* leaf = LeafFor(table, key, nullptr, nullptr);
  size_t at = CountBelow(leaf->heads, leaf->rows, leaf->count, KeyHead(key), key);
  if (at == leaf->count && leaf->next != nullptr) return {leaf->next, 0};
  return {leaf, at};
}

const Overlay::Row* Overlay::Find(const Table& table, ByteView key) {
  if (table.root == nullptr) return nullptr;
  Leaf* leaf = LeafFor(table, key, nullptr, nullptr);
  uint64_t head = KeyHead(key);
  size_t at = CountBelow(leaf->heads, leaf->rows, leaf->count, head, key);
  if (at == leaf->count || leaf->heads[at] != head || !Equal(leaf->rows[at]->key(), key)) return nullptr;
  return leaf->rows[at];
}

Overlay::Row* Overlay::FindOrInsert(Table& table, ByteView key) {
  if (table.root == nullptr) {
    Leaf* leaf = NewNode<Leaf>();
    leaf->next = leaf->before = nullptr;
    table.root = table.first = table.last = leaf;
  }
  Inner* path[kLevelsMax];
  unsigned places[kLevelsMax];
  uint64_t head = KeyHead(key);
  Leaf* leaf = LeafFor(table, key, path, places);
  size_t at = CountBelow(leaf->heads, leaf->rows, leaf->count, head, key);
  if (at < leaf->count && leaf->heads[at] == head && Equal(leaf->rows[at]->key(), key)) return leaf->rows[at];

  if (leaf->count == kFanout) {
    Split(table, path, places, leaf, at == kFanout && leaf == table.last);
    leaf = LeafFor(table, key, path, places);
    at = CountBelow(leaf->heads, leaf->rows, leaf->count, head, key);
  }
  Row* row = new (arena_.Take(sizeof(Row) + key.size())) Row{nullptr, static_cast<uint32_t>(key.size())};
  std::memcpy(row + 1, key.data(), key.size());
  std::copy_backward(leaf->heads + at, leaf->heads + leaf->count, leaf->heads + leaf->count + 1);
  std::copy_backward(leaf->rows + at, leaf->rows + leaf->count, leaf->rows + leaf->count + 1);
  leaf->heads[at] = head;
  leaf->rows[at] = row;
  ++leaf->count;
  ++table.rows;
  ++rows_;
  memory_bytes_ += sizeof(Row) + key.size();
  return row;
}

// A full leaf becomes two, and so on upwards. At the end of the table the new one starts empty but for one
// row, so that ascending keys leave full leaves.
void Overlay::Split(Table& table, Inner** path, const unsigned* places, Leaf* left, bool at_end) {
  Leaf* right = NewNode<Leaf>();
  size_t keep = at_end ? kFanout - 1 : kFanout / 2;
  right->count = static_cast<uint32_t>(kFanout - keep);
  std::copy(left->heads + keep, left->heads + kFanout, right->heads);
  std::copy(left->rows + keep, left->rows + kFanout, right->rows);
  left->count = static_cast<uint32_t>(keep);
  right->next = left->next;
  right->before = left;
  (left->next != nullptr ? left->next->before : table.last) = right;
  left->next = right;

  void *lower = left, *upper = right;
  uint64_t head = right->heads[0];
  const Row* first = right->rows[0];
  for (unsigned level = table.levels; level-- > 0;) {
    Inner* inner = path[level];
    size_t at = places[level] + 1u;
    Inner* into = inner;
    Inner* next = nullptr;
    if (inner->count == kFanout) {
      next = NewNode<Inner>();
      size_t half = at_end && at == kFanout ? kFanout - 1 : kFanout / 2;
      next->count = static_cast<uint32_t>(kFanout - half);
      std::copy(inner->heads + half, inner->heads + kFanout, next->heads);
      std::copy(inner->firsts + half, inner->firsts + kFanout, next->firsts);
      std::copy(inner->children + half, inner->children + kFanout, next->children);
      inner->count = static_cast<uint32_t>(half);
      if (at > half) {
        into = next;
        at -= half;
      }
    }
    std::copy_backward(into->heads + at, into->heads + into->count, into->heads + into->count + 1);
    std::copy_backward(into->firsts + at, into->firsts + into->count, into->firsts + into->count + 1);
    std::copy_backward(into->children + at, into->children + into->count, into->children + into->count + 1);
    into->heads[at] = head;
    into->firsts[at] = first;
    into->children[at] = upper;
    ++into->count;
    if (next == nullptr) return;
    lower = inner;
    upper = next;
    head = next->heads[0];
    first = next->firsts[0];
  }
  Inner* root = NewNode<Inner>();
  root->count = 2;
  root->heads[0] = 0;
  root->firsts[0] = nullptr;
  root->children[0] = lower;
  root->heads[1] = head;
  root->firsts[1] = first;
  root->children[1] = upper;
  table.root = root;
  HF_CHECK(++table.levels < kLevelsMax);
}

// ---- Writing and reading

void Overlay::Write(const TableId& id, ByteView key, ByteView value, bool erased, uint64_t sequence) {
  HF_CHECK(sequence >= last_sequence_ && key.size() <= INT32_MAX && value.size() <= INT32_MAX);
  last_sequence_ = sequence;
  if (last_id_ == nullptr || *last_id_ != id) {
    auto [it, is_new] = tables_.try_emplace(id);
    last_id_ = &it->first;
    last_table_ = &it->second;
  }
  Row* row = FindOrInsert(*last_table_, key);
  Version* older = row->newest;
  if (older != nullptr && older->sequence == sequence) {
    if (value.size() <= older->bytes) {  // nobody reads it yet
      if (!value.empty()) std::memcpy(older + 1, value.data(), value.size());
      older->bytes = static_cast<uint32_t>(value.size());
      older->erased = erased;
      return;
    }
    older = older->older;
  }
  Version* version = new (arena_.Take(sizeof(Version) + value.size()))
      Version{older, sequence, static_cast<uint32_t>(value.size()), erased};
  if (!value.empty()) std::memcpy(version + 1, value.data(), value.size());
  memory_bytes_ += sizeof(Version) + value.size();
  row->newest = version;
}

void Overlay::Expect(const TableId& id, ByteView key) const {
  if (last_id_ == nullptr || *last_id_ != id || last_table_->levels == 0) return;
  const char* leaf = reinterpret_cast<const char*>(LeafFor(*last_table_, key, nullptr, nullptr));
  for (size_t line = 0; line < sizeof(Leaf); line += 64) __builtin_prefetch(leaf + line, 1);
}

void Overlay::Put(const TableId& table, ByteView key, ByteView value, uint64_t sequence) {
  Write(table, key, value, false, sequence);
}

void Overlay::Erase(const TableId& table, ByteView key, uint64_t sequence) {
  Write(table, key, {}, true, sequence);
}

const Overlay::Version* Overlay::At(const Row& row, uint64_t sequence) {
  const Version* v = row.newest;
  while (v != nullptr && v->sequence > sequence) v = v->older;
  return v;
}

std::optional<Overlay::Hit> Overlay::Get(const TableId& id, ByteView key, uint64_t at_sequence) const {
  const Table* table = TableOf(id);
  if (table == nullptr) return std::nullopt;
  const Row* row = Find(*table, key);
  if (row == nullptr) return std::nullopt;
  const Version* v = At(*row, at_sequence);
  if (v == nullptr) return std::nullopt;
  return Hit{v->erased, v->value()};
}

size_t Overlay::rows(const TableId& id) const {
  const Table* table = TableOf(id);
  return table == nullptr ? 0 : table->rows;
}

std::unique_ptr<ChangeSource> Overlay::Changes(const TableId& id, ByteView from,
                                               std::optional<ByteView> until) const {
  class Newest : public ChangeSource {
   public:
    Newest(const Table* table, ByteView from, std::optional<ByteView> until) : table_(table) {
      if (table_ == nullptr || table_->root == nullptr) return;
      at_ = LowerBound(*table_, from);
      if (until) end_ = LowerBound(*table_, *until);
    }
    std::optional<Change> Next() override {
      if (at_.leaf != nullptr && at_.at == at_.leaf->count) at_ = {at_.leaf->next, 0};
      if (at_.leaf == nullptr || (at_.leaf == end_.leaf && at_.at >= end_.at)) return std::nullopt;
      const Row& row = *at_.leaf->rows[at_.at++];
      if (at_.at + kRowsAhead < at_.leaf->count) __builtin_prefetch(at_.leaf->rows[at_.at + kRowsAhead]);
      if (at_.at < at_.leaf->count) __builtin_prefetch(at_.leaf->rows[at_.at]->newest);
      return Change{row.key(), row.newest->value(), row.newest->erased};
    }
    void SkipTo(ByteView key) override {
      if (at_.leaf != nullptr && at_.at == at_.leaf->count) at_ = {at_.leaf->next, 0};
      if (at_.leaf == nullptr) return;
      Position there = LowerBound(*table_, key);
      if (!(KeyAt(at_) < KeyAt(there))) return;
      at_ = KeyAt(there) < KeyAt(end_) ? there : Position{};
    }
    void SkipAll() override { at_ = {}; }

   private:
    struct KeyOrEnd {
      std::optional<ByteView> key;  // nothing: behind all
      bool operator<(const KeyOrEnd& o) const { return key && (!o.key || Compare(*key, *o.key) < 0); }
    };
    static KeyOrEnd KeyAt(const Position& p) {
      if (p.leaf == nullptr || p.at == p.leaf->count) return {};
      return {p.leaf->rows[p.at]->key()};
    }
    const Table* table_;
    Position at_, end_;
  };
  return std::make_unique<Newest>(TableOf(id), from, until);
}

std::vector<TableId> Overlay::Tables() const {
  std::vector<TableId> out;
  for (const auto& [id, table] : tables_) out.push_back(id);
  return out;
}

// ---- The cursor

OverlayCursor::OverlayCursor(const Overlay& overlay, const TableId& table, uint64_t at_sequence)
    : overlay_(&overlay), table_(table), sequence_(at_sequence) {}

void OverlayCursor::SeekTo(ByteView k) {
  sought_ = ToBytes(k);
  key_ = sought_;
  behind_ = at_end_ = false;
  at_ = {};
}

void OverlayCursor::SeekToEnd() {
  at_end_ = true;
  at_ = {};
}

bool OverlayCursor::Settle() {
  if (in_ == nullptr) in_ = overlay_->TableOf(table_);  // it may appear after the cursor was made
  if (in_ == nullptr || in_->root == nullptr) return false;
  if (at_.leaf != nullptr && rows_then_ == in_->rows) return true;
  rows_then_ = in_->rows;
  if (at_end_) {
    at_ = {in_->last, in_->last->count};
    return true;
  }
  at_ = Overlay::LowerBound(*in_, key_);
  if (behind_ && at_.at < at_.leaf->count && Equal(at_.leaf->rows[at_.at]->key(), key_)) ++at_.at;
  return true;
}

std::optional<OverlayCursor::Row> OverlayCursor::Next() {
  if (!Settle() || at_end_) return std::nullopt;
  Overlay::Position p = at_;
  for (;; ++p.at) {
    if (p.at >= p.leaf->count) {
      if (p.leaf->next == nullptr) return std::nullopt;
      p = {p.leaf->next, 0};
    }
    const Overlay::Row& row = *p.leaf->rows[p.at];
    const Overlay::Version* v = Overlay::At(row, sequence_);
    if (v == nullptr) continue;
    at_ = {p.leaf, p.at + 1};
    key_ = row.key();
    behind_ = true;
    return Row{row.key(), {v->erased, v->value()}};
  }
}

std::optional<OverlayCursor::Row> OverlayCursor::Prev() {
  if (!Settle()) return std::nullopt;
  Overlay::Position p = at_;
  for (;;) {
    if (p.at == 0) {
      if (p.leaf->before == nullptr) return std::nullopt;
      p = {p.leaf->before, p.leaf->before->count};
    }
    const Overlay::Row& row = *p.leaf->rows[--p.at];
    const Overlay::Version* v = Overlay::At(row, sequence_);
    if (v == nullptr) continue;
    at_ = p;
    key_ = row.key();
    behind_ = at_end_ = false;
    return Row{row.key(), {v->erased, v->value()}};
  }
}

}  // namespace holdfast::tree
