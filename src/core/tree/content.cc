#include <algorithm>

#include "base/codec.h"
#include "core/tree/content_internal.h"

namespace holdfast::tree::internal {
namespace {

constexpr size_t kNodeHeadBytes = 4, kHintBytes = 12;

void AppendHint(Bytes& to, const Hint& h) { Writer(to).U32(h.segment).U32(h.offset).U32(h.length); }

// The shortest separator between two neighbours.  REQUIRES: below < above
ByteView Between(ByteView below, ByteView above) {
  size_t same = 0;
  while (same < below.size() && below[same] == above[same]) ++same;
  return above.first(same + 1);
}

}  // namespace

void Rows::Start(ByteView key, bool is_blob) {
  HF_CHECK(at_.empty() || Compare(this->key(at_.size() - 1), key) < 0);
  at_.push_back({static_cast<uint32_t>(text_.size()), static_cast<uint16_t>(key.size()), is_blob});
  Writer(text_).Blob16(key);
}

void Rows::AppendRun(const Node& leaf, size_t from, size_t to, NodeSink& forward) {
  if (from >= to) return;
  ByteView text = leaf.canonical();
  auto offset_of = [&](size_t i) {
    return i == leaf.count() ? text.size() : static_cast<size_t>(leaf.key(i).data() - text.data()) - 2;
  };
  HF_CHECK(at_.empty() || Compare(key(at_.size() - 1), leaf.key(from)) < 0);
  size_t first = offset_of(from);
  ByteView run = text.subspan(first, offset_of(to) - first);
  for (size_t i = from; i < to; ++i) {
    uint32_t offset = static_cast<uint32_t>(text_.size() + offset_of(i) - first);
    if (!leaf.has_blobs()) {
      at_.push_back({offset, static_cast<uint16_t>(leaf.key(i).size()), false});
      continue;
    }
    StoredValue v = leaf.value(i);
    at_.push_back({offset, static_cast<uint16_t>(leaf.key(i).size()), v.is_blob});
    if (v.is_blob) AppendHint(hints_, forward.Forward(v.blob.hint));
  }
  holdfast::Append(text_, run);
}

void Rows::AppendInline(ByteView key, ByteView value) {
  Start(key, false);
  Writer(text_).U8(0).Blob16(value);
}

void Rows::AppendBlob(ByteView key, uint64_t length, const NodeRef& blob) {
  Start(key, true);
  Writer(text_).U8(1).U64(length).Raw(blob.address).Num(blob.birth);
  AppendHint(hints_, blob.hint);
}

void Rows::AppendShared(ByteView key, uint64_t length, const Address& value) {
  Start(key, false);
  Writer(text_).U8(2).U64(length).Raw(value);
}

void Rows::Append(const Rows& other) {
  if (other.count() == 0) return;
  HF_CHECK(at_.empty() || Compare(key(at_.size() - 1), other.key(0)) < 0);
  uint32_t base = static_cast<uint32_t>(text_.size());
  for (const At& a : other.at_) at_.push_back({a.offset + base, a.key_bytes, a.is_blob});
  holdfast::Append(text_, other.text_);
  holdfast::Append(hints_, other.hints_);
}

void Rows::Truncate(size_t n) {
  if (n >= at_.size()) return;
  text_.resize(at_[n].offset);
  at_.resize(n);
  size_t blobs =
      static_cast<size_t>(std::count_if(at_.begin(), at_.end(), [](const At& a) { return a.is_blob; }));
  hints_.resize(blobs * kHintBytes);
}

void Rows::Clear() {
  text_.clear();
  hints_.clear();
  at_.clear();
}

size_t Rows::BytesOf(size_t from, size_t n) const {
  if (n == 0) return 0;
  size_t end = from + n == at_.size() ? text_.size() : at_[from + n].offset;
  return end - at_[from].offset;
}

void Rows::TakeLeaf(size_t n, EncodedNode& e) {
  size_t bytes = BytesOf(0, n), hints = 0;
  for (size_t i = 0; i < n; ++i) hints += at_[i].is_blob ? kHintBytes : 0;
  e.canonical.clear();
  e.canonical.reserve(kNodeHeadBytes + bytes);
  Writer w(e.canonical);
  w.U8(static_cast<uint8_t>(NodeType::kLeaf))
      .U8(0)
      .U16(static_cast<uint16_t>(n))
      .Raw(ByteView(text_).first(bytes));
  e.hints.assign(hints_.begin(), hints_.begin() + static_cast<ptrdiff_t>(hints));
  if (n == at_.size()) {
    Clear();
    return;
  }
  separator = ToText(Between(key(n - 1), key(n)));
  text_.erase(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(bytes));
  hints_.erase(hints_.begin(), hints_.begin() + static_cast<ptrdiff_t>(hints));
  at_.erase(at_.begin(), at_.begin() + static_cast<ptrdiff_t>(n));
  for (At& a : at_) a.offset -= static_cast<uint32_t>(bytes);
}

void Content::Append(Content& other) {
  rows.Append(other.rows);
  std::move(other.entries.begin(), other.entries.end(), std::back_inserter(entries));
  other.Clear();
}

size_t Cut::Max(size_t level) const {
  return level == 0 ? descriptor.leaf_rows_max : descriptor.inner_children_max;
}

bool Cut::Underfull(const Content& c, size_t level) const {
  size_t quarter = Max(level) / 4;
  if (level == 0) return c.rows.count() < quarter && c.rows.bytes() < limits::kLeafBytesMax / 4;
  return c.entries.size() < std::max<size_t>(2, quarter);
}

bool Cut::Oversize(const Content& c, size_t level) const {
  return c.count(level) > 2 * Max(level) || (level == 0 && c.rows.bytes() > 2 * limits::kLeafBytesMax);
}

size_t Cut::FirstFull(const Content& c, size_t level) const {
  size_t n = std::min(c.count(level), Max(level));
  while (level == 0 && n > 1 && kNodeHeadBytes + c.rows.BytesOf(0, n) > limits::kLeafBytesMax) --n;
  return n;
}

size_t Cut::FirstEven(const Content& c, size_t level) const {
  size_t count = c.count(level), max = Max(level);
  auto part = [&](size_t nodes, size_t i) { return count / nodes + (i < count % nodes ? 1 : 0); };
  auto fits = [&](size_t nodes) {
    for (size_t i = 0, at = 0; i < nodes; at += part(nodes, i), ++i) {
      if (kNodeHeadBytes + c.rows.BytesOf(at, part(nodes, i)) > limits::kLeafBytesMax) return false;
    }
    return true;
  };
  size_t nodes = (count + max - 1) / max;
  // Ends: one row of the longest key and value is far below the limit.
  while (level == 0 && nodes < count && !fits(nodes)) ++nodes;
  return part(nodes, 0);
}

}  // namespace holdfast::tree::internal
