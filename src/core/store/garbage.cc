#include "core/store/garbage.h"

#include <algorithm>

#include "core/store/manifest.h"

namespace holdfast::store {

namespace {

bool Before(const Span& s, LogIndex first, LogIndex last) {
  return s.first != first ? s.first < first : s.last < last;
}

}  // namespace

TagLine::TagLine(std::vector<LogIndex> at) : at_(std::move(at)) {
  std::sort(at_.begin(), at_.end());
  at_.erase(std::unique(at_.begin(), at_.end()), at_.end());
}

LogIndex TagLine::FirstSeeing(LogIndex birth) const {
  auto it = std::lower_bound(at_.begin(), at_.end(), birth);
  return it == at_.end() ? kNow : *it;
}

LogIndex TagLine::LastBefore(LogIndex at) const {
  auto it = std::lower_bound(at_.begin(), at_.end(), at);
  return it == at_.begin() ? LogIndex() : *std::prev(it);
}

bool TagLine::Has(LogIndex at) const { return std::binary_search(at_.begin(), at_.end(), at); }

void Spans::Add(LogIndex first, LogIndex last, uint64_t bytes) {
  if (bytes == 0) return;
  auto it = std::lower_bound(items_.begin(), items_.end(), 0,
                             [&](const Span& s, int) { return Before(s, first, last); });
  if (it == items_.end() || it->first != first || it->last != last) it = items_.insert(it, {first, last, 0});
  it->bytes += bytes;
}

void Spans::Remove(LogIndex first, LogIndex last, uint64_t bytes) {
  auto it = std::lower_bound(items_.begin(), items_.end(), 0,
                             [&](const Span& s, int) { return Before(s, first, last); });
  if (it == items_.end() || it->first != first || it->last != last) return;
  it->bytes -= std::min(it->bytes, bytes);
  if (it->bytes == 0) items_.erase(it);
}

void Spans::AllDie(const TagLine& line) {
  Spans after;
  for (const Span& s : items_) {
    LogIndex last = s.last == kNow ? line.Newest() : s.last;
    if (s.first <= last) after.Add(s.first, last, s.bytes);
  }
  items_ = std::move(after.items_);
}

void Spans::Rename(const TagLine& line, LogIndex made) {
  Spans after;
  for (const Span& s : items_) {
    LogIndex first = s.first, last = s.last;
    if (first == kNow && made != LogIndex()) first = made;
    if (first != kNow) first = line.FirstSeeing(first);
    if (last != kNow && !line.Has(last)) last = line.LastBefore(last);
    if (first <= last) after.Add(first, last, s.bytes);
  }
  items_ = std::move(after.items_);
}

uint64_t Spans::total() const {
  uint64_t n = 0;
  for (const Span& s : items_) n += s.bytes;
  return n;
}

uint64_t Spans::live() const {
  uint64_t n = 0;
  for (const Span& s : items_) n += s.last == kNow ? s.bytes : 0;
  return n;
}

void Deaths::Add(const tree::NodeRef& ref) {
  if (ref.birth == LogIndex()) {
    chunks_.push_back(ref.hint);
    return;
  }
  for (const tree::Hint& chunk : chunks_) bytes_[{chunk.segment, ref.birth}] += chunk.length;
  chunks_.clear();
  bytes_[{ref.hint.segment, ref.birth}] += ref.hint.length;
}

void Deaths::MergeFrom(Deaths& other) {
  for (const auto& [birth, n] : other.bytes_) bytes_[birth] += n;
  other.bytes_.clear();
}

void Deaths::TakeFrom(std::map<uint32_t, Segment>& segments, const TagLine& line) {
  for (const auto& [birth, n] : bytes_) {
    auto it = segments.find(birth.segment);
    if (it == segments.end()) continue;
    LogIndex first = line.FirstSeeing(birth.at);
    it->second.spans.Remove(first, kNow, n);
    if (first != kNow) it->second.spans.Add(first, line.Newest(), n);
  }
  bytes_.clear();
}

}  // namespace holdfast::store
