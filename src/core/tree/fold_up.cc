// The way up: content is cut into nodes, and those into their parents.
#include <algorithm>
#include <utility>

#include "core/tree/fold_state_internal.h"

namespace holdfast::tree::internal {

// Held holds all of a node's new content.
void FoldState::CloseContent(size_t level) {
  Level& l = levels[level];
  if (!path.empty()) path.back().changed = true;
  if (!l.held.empty() && !l.prev.empty() && cut.Underfull(l.held, level)) {
    l.prev.Append(l.held);
    std::swap(l.prev, l.held);
  }
  if (cut.Oversize(l.held, level)) tasks.push_back({Work::kSpill, level});
  if (path.empty()) {
    top = level;
    phase = Phase::kTop;
  }
}

// The content of a frame joins its level, as rows of a leaf do one by one.
void FoldState::CloseFrame(size_t level, Content&& content) {
  closing = std::move(content);
  tasks.push_back({Work::kClose, level});
  BeginContent(level);  // its task comes first
}

Content& FoldState::Collecting(size_t level) {
  return FrameOpen(level) ? path[path[0].node->level() - level].content : levels[level].held;
}

Going FoldState::CloseInner(Frame& f) {
  size_t own = f.node->level();
  Level& below = levels[own - 1u];
  std::vector<Entry>& entries = f.content.entries;
  if (!f.changed) {
    path.pop_back();
    if (path.empty()) {
      result = before;
      phase = Phase::kDone;
    } else {
      --path.back().next;
    }
    return true;
  }
  if (!below.held.empty() && below.prev.empty() && cut.Underfull(below.held, own - 1u) && !entries.empty() &&
      entries.back().untouched && entries.back().wraps == 0) {
    // No neighbour follows: the one before it is read and put in front.
    Content joined;
    if (own == 1) joined.rows.separator = entries.back().separator;
    std::string end = own == 1 ? below.held.rows.separator : below.held.entries.front().separator;
    Going g = AppendOld(entries.back(), own - 1u, AsBytes(end), joined);
    if (!g.done()) return g;
    entries.pop_back();
    joined.Append(below.held);
    below.held = std::move(joined);
    return true;
  }
  if (!below.held.empty() || !below.prev.empty()) {
    tasks.push_back({Work::kFlush, own - 1u});
    return true;
  }
  Content content = std::move(f.content);
  if (place && path.size() == 1) {
    part = {true, std::move(content.entries)};
    phase = Phase::kDone;
    return true;
  }
  sink.Dead(f.self.ref);
  path.pop_back();
  CloseFrame(own, std::move(content));
  return true;
}

// Reads an old node and takes its content over.
Going FoldState::AppendOld(const Entry& e, size_t level, const std::optional<ByteView>& end, Content& to) {
  NodePtr found = source->Find(e.ref);
  if (found == nullptr) return Need{e.ref};
  if (Status fits = Fits(*found, level, e.separator, end); !fits) return fits.error();
  const Node& node = *found;
  if (level == 0) {
    to.rows.AppendRun(node, 0, node.count(), sink);
  } else {
    for (size_t i = 0; i < node.count(); ++i) to.entries.push_back(EntryOf(node, i, e.separator));
  }
  sink.Dead(e.ref);
  return true;
}

Going FoldState::RunTask() {
  Task t = tasks.back();
  Level& l = levels[t.level];
  if (t.work == Work::kClose) {
    tasks.pop_back();
    l.held.Append(closing);
    CloseContent(t.level);
    return true;
  }
  if (t.work != Work::kSpill || cut.Oversize(l.held, t.level)) {
    if (!l.prev.empty()) return CutOne(t.level, l.prev, cut.FirstEven(l.prev, t.level));
    if (t.work == Work::kSpill) return CutOne(t.level, l.held, cut.FirstFull(l.held, t.level));
    if (t.work == Work::kFlush && !l.held.empty())
      return CutOne(t.level, l.held, cut.FirstEven(l.held, t.level));
  }
  if (t.work == Work::kShift) std::swap(l.prev, l.held);
  tasks.pop_back();
  return true;
}

// Makes a node of the first n rows or entries and hands it to the level above.
Going FoldState::CutOne(size_t level, Content& c, size_t n) {
  if (level + 1 >= limits::kTreeLevelsMax) return Code::kMalformed;
  Entry up;
  if (level == 0) {
    up.separator = c.rows.separator;
    up.rows = n;
    c.rows.TakeLeaf(n, leaf_made);
    up.ref = Emit(std::move(leaf_made));
    PushUp(1, std::move(up));
    return true;
  }
  auto first = c.entries.begin(), last = first + static_cast<ptrdiff_t>(n);
  if (n == 1) {
    up = std::move(*first);
    ++up.wraps;
  } else {
    std::vector<InnerChild> children;
    children.reserve(n);
    for (auto it = first; it != last; ++it) {
      Going g = Settle(*it, level);
      if (!g.done()) return g;
      children.push_back({AsBytes(it == first ? std::string_view() : it->separator), it->ref, it->rows});
      up.rows += it->rows;
    }
    up.separator = first->separator;
    up.ref = Emit(EncodeInner(static_cast<uint8_t>(level), children));
  }
  c.entries.erase(first, last);
  PushUp(level + 1, std::move(up));
  return true;
}

void FoldState::PushUp(size_t level, Entry e) {
  Collecting(level).entries.push_back(std::move(e));
  if (!FrameOpen(level) && cut.Oversize(levels[level].held, level)) tasks.push_back({Work::kSpill, level});
}

// The entry of a node of `level` becomes final: an old child leaves its place if that is to be emptied, and
// inner nodes with one child are made.
Going FoldState::Settle(Entry& e, size_t level) {
  if (e.untouched && sink.ShouldMove(e.ref)) {
    Going g = Move(e);
    if (!g.done()) return g;
  }
  e.untouched = false;
  for (; e.wraps > 0; --e.wraps) {
    e.ref = Emit(EncodeInner(static_cast<uint8_t>(level - e.wraps), {{{}, e.ref, e.rows}}));
  }
  return true;
}

// Writes an old node again as it is. Its address and birth stay, so the members' roots do.
Going FoldState::Move(Entry& e) {
  NodePtr node = source->Find(e.ref);
  if (node == nullptr) return Need{e.ref};
  EncodedNode again{ToBytes(node->canonical()), {}};
  for (const NodeRef& r : node->References()) {
    Hint h = sink.Forward(r.hint);
    uint8_t bytes[12];
    StoreLittle(bytes, h.segment);
    StoreLittle(bytes + 4, h.offset);
    StoreLittle(bytes + 8, h.length);
    Append(again.hints, bytes);
  }
  NodeRef now = sink.Emit(std::move(again));
  if (now.address != e.ref.address) return Code::kMalformed;
  sink.Dead(e.ref);
  e.ref.hint = now.hint;
  return true;
}

Going FoldState::TopStep() {
  Level& l = levels[top];
  bool above = std::any_of(levels.begin() + static_cast<ptrdiff_t>(top) + 1, levels.end(),
                           [](const Level& x) { return !x.prev.empty() || !x.held.empty(); });
  if (!above && l.prev.empty() && l.held.empty()) {
    result = Root{};
    phase = Phase::kDone;
    return true;
  }
  if (top > 0 && !above && l.prev.empty() && l.held.entries.size() == 1)
    return Collapse(l.held.entries[0], top - 1);
  if (!l.prev.empty() || !l.held.empty()) {
    tasks.push_back({Work::kFlush, top});
    return true;
  }
  ++top;
  return true;
}

// One node is left: it is the root, unless it has one child itself.
Going FoldState::Collapse(Entry e, size_t level) {
  level -= e.wraps;
  e.wraps = 0;
  if (level > 0 && e.untouched) {
    NodePtr node = source->Find(e.ref);
    if (node == nullptr) return Need{e.ref};
    if (Status fits = Fits(*node, level, e.separator, std::nullopt); !fits) return fits.error();
    if (node->count() == 1) {
      Entry child = EntryOf(*node, 0, e.separator);
      sink.Dead(e.ref);
      levels[top].held.entries[0] = std::move(child);
      levels[top].held.entries[0].wraps = static_cast<uint8_t>(top - 1 - (level - 1));
      return true;
    }
  }
  result = Root{.empty = false, .ref = e.ref, .rows = e.rows};
  phase = Phase::kDone;
  return true;
}

}  // namespace holdfast::tree::internal
