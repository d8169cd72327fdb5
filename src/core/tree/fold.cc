// The fold as an explicit machine. For each level there are two pieces of content that are not cut into nodes
// yet:
//
//   level l + 1:   ... entries of the parent being made:  [ref] [ref] [ref] ...
//                                                            ^ cut off at the front, in key order
//   level l:       prev (a finished neighbour)  |  held (being filled)
//
// `prev` is kept back so that an underfull `held` can join it without reading what was just written. What an
// inner node that is being visited will consist of is collected in its frame and joins its level when the
// frame closes: so what lies below one inner node can be folded by itself (PartFold), with the same result.
// Every step first finds the nodes it needs and only then changes anything, so it can be repeated after a
// Need.
#include "core/tree/fold.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "core/tree/content_internal.h"

namespace holdfast::tree {
namespace {

using internal::Content;
using internal::Cut;
using internal::Entry;

using Going = Step<bool>;  // done: go on

}  // namespace

namespace internal {

// What a PartFold leaves: the entries that its node will consist of, not cut yet.
struct Part {
  bool changed = false;
  std::vector<Entry> entries;
};

struct FoldState {
  FoldState(const Descriptor& d, const Root& b, LogIndex i, ChangeSource& c, NodeSink& s)
      : descriptor(d), before(b), birth(i), changes(c), sink(s), cut{d} {}

  // An inner node on the way down, and what it will consist of.
  struct Frame {
    NodePtr node;
    Entry self;
    std::optional<ByteView> end;  // keys below stop before it
    size_t next = 0;              // child
    Content content{};
    bool changed = false;
  };
  struct Leaf {
    NodePtr node;  // null: the empty tree
    Entry self;
    std::optional<ByteView> end;
    size_t row = 0, start = 0;
    bool changed = false;
  };
  struct Level {
    Content prev, held;
  };
  // Work that comes before anything else; the last one first.
  enum class Work : uint8_t { kShift, kFlush, kSpill, kClose };
  struct Task {
    Work work;
    size_t level;
  };
  enum class Phase : uint8_t { kStart, kPartStart, kInner, kLeaf, kTop, kDone };

  const Descriptor& descriptor;
  Root before;
  LogIndex birth;
  ChangeSource& changes;
  NodeSink& sink;
  Cut cut;
  NodeSource* source = nullptr;
  std::optional<ChangeSource::Change> change;
  std::vector<Frame> path;
  Leaf leaf;
  std::array<Level, limits::kTreeLevelsMax + 2> levels;
  std::vector<Task> tasks;
  Phase phase = Phase::kStart;
  size_t top = 0;
  Root result;
  std::optional<Error> failure;
  bool change_taken = false;  // from the source, once at least
  // Of a whole fold: what was folded before, by the place of its node.
  std::map<Hint, Part> parts;
  // Of a part: its node, and what becomes of it.
  std::optional<FoldPlace> place;
  Part part;
  Content closing;  // of a frame that ended, on its way to its level

  Going Run(NodeSource& nodes);
  Going StepOnce();
  Going Start();
  Going StartPart();
  Going RunTask();
  Going InnerStep();
  Going EnterChild(Frame& f, size_t level);
  Going PassChild(Frame& f, size_t level);
  Going EnterPart(Frame& f, size_t level, Part& done);
  void CloseFrame(size_t level, Content&& content);
  Going CloseInner(Frame& f);
  Going LeafStep();
  void CloseLeaf();
  void CloseContent(size_t level);
  Going TopStep();
  Going Collapse(Entry e, size_t level);

  Going CutOne(size_t level, Content& c, size_t n);
  Going Settle(Entry& e, size_t level);
  Going Move(Entry& e);
  size_t BeginContent(size_t level);
  void PushUp(size_t level, Entry e);
  // Where entries of this level are collected now: the frame that is open there, else the level itself.
  Content& Collecting(size_t level);
  bool FrameOpen(size_t level) const {
    return !path.empty() && level <= path[0].node->level() && path[0].node->level() - level < path.size();
  }
  Going AppendOld(const Entry& e, size_t level, const std::optional<ByteView>& end, Content& to);

  static Status Fits(const Node& node, size_t level, const std::string& from,
                     const std::optional<ByteView>& end);
  Entry EntryOf(const Node& node, size_t i, const std::string& first) const;
  NodeRef Forwarded(NodeRef ref) const {
    ref.hint = sink.Forward(ref.hint);
    return ref;
  }
  NodeRef Emit(EncodedNode node) {
    NodeRef ref = sink.Emit(std::move(node));
    ref.birth = birth;
    return ref;
  }
  Going KillBlob(const StoredValue& value);
  void Put(const ChangeSource::Change& c);
  bool ChangeBefore(const std::optional<ByteView>& end) const {
    return change.has_value() && (!end || Compare(change->key, *end) < 0);
  }
};

Going FoldState::Run(NodeSource& nodes) {
  source = &nodes;
  while (phase != Phase::kDone) {
    if (failure) return *failure;
    Going g = StepOnce();
    if (g.needs()) return g;
    if (g.failed()) failure = g.error();
  }
  return true;
}

Going FoldState::StepOnce() {
  if (!tasks.empty()) return RunTask();
  switch (phase) {
    case Phase::kStart:
      return Start();
    case Phase::kPartStart:
      return StartPart();
    case Phase::kInner:
      return InnerStep();
    case Phase::kLeaf:
      return LeafStep();
    case Phase::kTop:
      return TopStep();
    case Phase::kDone:
      break;
  }
  return true;
}

// ---- The way down

Going FoldState::Start() {
  if (!std::exchange(change_taken, true)) change = changes.Next();
  if (!change) {
    result = before;
    phase = Phase::kDone;
    return true;
  }
  if (before.empty) {
    phase = Phase::kLeaf;
    return true;
  }
  Entry root{
      .separator = {}, .ref = Forwarded(before.ref), .rows = before.rows, .wraps = 0, .untouched = true};
  NodePtr node = source->Find(root.ref);
  if (node == nullptr) return Need{root.ref};
  if (node->type() == NodeType::kLeaf) {
    leaf = Leaf{.node = std::move(node), .self = std::move(root), .end = {}};
    phase = Phase::kLeaf;
  } else if (node->type() == NodeType::kInner) {
    path.push_back(Frame{.node = std::move(node), .self = std::move(root), .end = {}});
    phase = Phase::kInner;
  } else {
    return Code::kMalformed;
  }
  return true;
}

Going FoldState::StartPart() {
  if (!std::exchange(change_taken, true)) change = changes.Next();
  if (!change) {
    phase = Phase::kDone;
    return true;
  }
  Entry self{.separator = place->from, .ref = place->ref, .rows = place->rows, .wraps = 0, .untouched = true};
  NodePtr node = source->Find(self.ref);
  if (node == nullptr) return Need{self.ref};
  std::optional<ByteView> end;
  if (place->until) end = AsBytes(*place->until);
  if (Status fits = Fits(*node, place->level, self.separator, end); !fits) return fits.error();
  path.push_back(Frame{.node = std::move(node), .self = std::move(self), .end = end});
  phase = Phase::kInner;
  return true;
}

// What a node shows by itself was checked when it was decoded; here, that it stands where its parent says: a
// node with keys outside its range would break the order of what we write.
Status FoldState::Fits(const Node& node, size_t level, const std::string& from,
                       const std::optional<ByteView>& end) {
  if (node.type() != (level == 0 ? NodeType::kLeaf : NodeType::kInner) || node.level() != level) {
    return Code::kMalformed;
  }
  size_t first = level == 0 ? 0 : 1;
  if (first < node.count()) {
    int low = Compare(node.key(first), AsBytes(from));
    if (level == 0 ? low < 0 : low <= 0) return Code::kMalformed;
    if (end && Compare(node.key(node.count() - 1), *end) >= 0) return Code::kMalformed;
  }
  return Ok();
}

Entry FoldState::EntryOf(const Node& node, size_t i, const std::string& first) const {
  return {.separator = i == 0 ? first : ToText(node.key(i)),
          .ref = Forwarded(node.child(i)),
          .rows = node.rows(i),
          .wraps = 0,
          .untouched = true};
}

Going FoldState::InnerStep() {
  Frame& f = path.back();
  size_t level = f.node->level() - 1u;  // the children's
  if (f.next == f.node->count()) return CloseInner(f);
  size_t target = ChangeBefore(f.end) ? f.node->ChildFor(change->key) : f.node->count();
  if (f.next < target) return PassChild(f, level);
  return EnterChild(f, level);
}

// A child without changes: kept by reference, unless an underfull neighbour to its left needs its rows.
Going FoldState::PassChild(Frame& f, size_t level) {
  Level& l = levels[level];
  Entry e = EntryOf(*f.node, f.next, f.self.separator);
  if (!l.held.empty() && cut.Underfull(l.held, level)) {
    std::optional<ByteView> end = f.end;
    if (f.next + 1 < f.node->count()) end = f.node->key(f.next + 1);
    Going g = AppendOld(e, level, end, l.held);
    if (!g.done()) return g;
    ++f.next;
    if (cut.Oversize(l.held, level)) tasks.push_back({Work::kSpill, level});
    return true;
  }
  if (!l.held.empty() || !l.prev.empty()) {
    tasks.push_back({Work::kFlush, level});
    return true;
  }
  ++f.next;
  f.content.entries.push_back(std::move(e));
  return true;
}

// Its changes are used up; what it will consist of is there already.
Going FoldState::EnterPart(Frame& f, size_t level, Part& done) {
  if (f.next + 1 < f.node->count()) {
    changes.SkipTo(f.node->key(f.next + 1));
  } else if (f.end) {
    changes.SkipTo(*f.end);
  } else {
    changes.SkipAll();
  }
  change = changes.Next();
  if (!done.changed) return true;  // passed by, next
  Entry e = EntryOf(*f.node, f.next, f.self.separator);
  ++f.next;
  f.changed = true;
  sink.Dead(e.ref);
  Content content;
  content.entries = std::move(done.entries);
  CloseFrame(level, std::move(content));
  return true;
}

Going FoldState::EnterChild(Frame& f, size_t level) {
  Entry e = EntryOf(*f.node, f.next, f.self.separator);
  if (!parts.empty()) {
    if (auto done = parts.find(f.node->child(f.next).hint); done != parts.end())
      return EnterPart(f, level, done->second);
  }
  NodePtr found = source->Find(e.ref);
  if (found == nullptr) return Need{e.ref};
  std::optional<ByteView> end = f.end;
  if (f.next + 1 < f.node->count()) end = f.node->key(f.next + 1);
  if (Status fits = Fits(*found, level, e.separator, end); !fits) return fits.error();
  ++f.next;
  if (level == 0) {
    size_t start = BeginContent(level);
    leaf = Leaf{.node = std::move(found), .self = std::move(e), .end = end, .row = 0, .start = start};
    phase = Phase::kLeaf;
  } else {
    path.push_back(Frame{.node = std::move(found), .self = std::move(e), .end = end});
  }
  return true;
}

// Content of a touched node is about to go to held. What is there steps back, unless it is underfull: then
// both join.
size_t FoldState::BeginContent(size_t level) {
  size_t start = levels[level].held.count(level);
  if (start == 0 || cut.Underfull(levels[level].held, level)) return start;
  tasks.push_back({Work::kShift, level});
  return 0;
}

// ---- Rows

Going FoldState::LeafStep() {
  Content& held = levels[0].held;
  if (leaf.start == 0 && held.empty()) held.rows.separator = leaf.self.separator;
  size_t count = leaf.node ? leaf.node->count() : 0;
  auto copy_to = [&](size_t to) {
    if (leaf.row < to) held.rows.AppendRun(*leaf.node, leaf.row, to, sink);
    leaf.row = std::max(leaf.row, to);
  };
  while (ChangeBefore(leaf.end)) {
    if (leaf.changed && cut.Oversize(held, 0)) {
      tasks.push_back({Work::kSpill, 0});
      return true;
    }
    size_t at = leaf.node ? leaf.node->LowerBound(change->key) : 0;
    copy_to(at);
    bool same_key = at < count && Equal(leaf.node->key(at), change->key);
    if (same_key) {
      StoredValue old = leaf.node->value(at);
      bool same = !change->erase && !old.is_blob && Equal(old.inline_bytes, change->value);
      if (!same) {
        Going g = KillBlob(old);
        if (!g.done()) return g;
        leaf.row = at + 1;
        leaf.changed = true;
        if (!change->erase) Put(*change);
      }
    } else if (!change->erase) {
      leaf.changed = true;
      Put(*change);
    }
    change = changes.Next();
  }
  copy_to(count);
  CloseLeaf();
  return true;
}

void FoldState::CloseLeaf() {
  phase = path.empty() ? Phase::kTop : Phase::kInner;
  if (!leaf.changed) {
    levels[0].held.rows.Truncate(leaf.start);
    if (path.empty()) {
      result = before;
      phase = Phase::kDone;
    } else {
      --path.back().next;  // it will be passed by: its changes are used up
    }
    leaf.node.reset();
    return;
  }
  if (leaf.node) sink.Dead(leaf.self.ref);
  leaf.node.reset();
  leaf.changed = false;
  CloseContent(0);
}

void FoldState::Put(const ChangeSource::Change& c) {
  HF_CHECK(!c.key.empty() && c.key.size() <= limits::kKeyBytesMax &&
           c.value.size() <= limits::kValueBytesMax);
  internal::Rows& rows = levels[0].held.rows;
  if (descriptor.inline_values && c.value.size() <= limits::kInlineValueBytesMax) {
    rows.AppendInline(c.key, c.value);
    return;
  }
  if (c.value.size() <= limits::kBlobChunkBytes) {
    rows.AppendBlob(c.key, c.value.size(), Emit(EncodeChunk(c.value)));
    return;
  }
  std::vector<NodeRef> chunks;
  for (size_t at = 0; at < c.value.size(); at += limits::kBlobChunkBytes) {
    size_t n = std::min(limits::kBlobChunkBytes, c.value.size() - at);
    chunks.push_back(Emit(EncodeChunk(c.value.subspan(at, n))));
  }
  rows.AppendBlob(c.key, c.value.size(), Emit(EncodeChunkList(chunks)));
}

Going FoldState::KillBlob(const StoredValue& value) {
  if (!value.is_blob) return true;
  NodeRef ref = Forwarded(value.blob);
  if (value.length > limits::kBlobChunkBytes) {
    NodePtr list = source->Find(ref);
    if (list == nullptr) return Need{ref};
    size_t chunks = (value.length + limits::kBlobChunkBytes - 1) / limits::kBlobChunkBytes;
    if (list->type() != NodeType::kChunkList || list->count() != chunks) return Code::kMalformed;
    for (NodeRef chunk : list->References()) {
      chunk.birth = ref.birth;  // they were made together
      sink.Dead(Forwarded(chunk));
    }
  }
  sink.Dead(ref);
  return true;
}

// ---- The way up

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
    up.ref = Emit(c.rows.TakeLeaf(n));
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
  if (e.untouched && sink.ShouldMove(e.ref.hint)) {
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

}  // namespace internal

using internal::FoldState;

Fold::Fold(const Descriptor& descriptor, const Root& before, LogIndex birth, ChangeSource& changes,
           NodeSink& sink)
    : s_(std::make_unique<FoldState>(descriptor, before, birth, changes, sink)) {}
Fold::~Fold() = default;

void Fold::Take(PartFold& part) {
  HF_CHECK(s_->phase == FoldState::Phase::kStart && part.s_->phase == FoldState::Phase::kDone);
  s_->parts.emplace(part.s_->place->ref.hint, std::move(part.s_->part));
}

Step<Root> Fold::Run(NodeSource& source) {
  Going g = s_->Run(source);
  if (g.needs()) return Need{g.need()};
  if (g.failed()) return g.error();
  return s_->result;
}

PartFold::PartFold(const Descriptor& descriptor, FoldPlace place, LogIndex birth, ChangeSource& changes,
                   NodeSink& sink)
    : s_(std::make_unique<FoldState>(descriptor, Root{}, birth, changes, sink)) {
  s_->place = std::move(place);
  s_->phase = FoldState::Phase::kPartStart;
}
PartFold::~PartFold() = default;
PartFold::PartFold(PartFold&&) noexcept = default;

Step<bool> PartFold::Run(NodeSource& source) {
  Going g = s_->Run(source);
  if (g.done()) return s_->part.changed;
  return g;
}

Step<std::vector<FoldPlace>> PlacesOf(const Root& root, size_t enough, NodeSource& source) {
  using Places = std::vector<FoldPlace>;
  if (root.empty) return Places();
  NodePtr top = source.Find(root.ref);
  if (top == nullptr) return Need{root.ref};
  if (top->type() != NodeType::kInner) return Places();
  Places places{{.ref = root.ref, .from = {}, .until = {}, .rows = root.rows, .level = top->level()}};
  while (places.size() < enough && places.front().level > 1) {
    Places below;
    for (const FoldPlace& p : places) {
      NodePtr node = source.Find(p.ref);
      if (node == nullptr) return Need{p.ref};
      if (node->type() != NodeType::kInner || node->level() != p.level) return Code::kMalformed;
      for (size_t i = 0; i < node->count(); ++i) {
        NodeRef ref = node->child(i);
        FoldPlace child{.ref = ref,
                        .from = i == 0 ? p.from : ToText(node->key(i)),
                        .until = p.until,
                        .rows = node->rows(i),
                        .level = static_cast<uint8_t>(p.level - 1)};
        if (i + 1 < node->count()) child.until = ToText(node->key(i + 1));
        below.push_back(std::move(child));
      }
    }
    places = std::move(below);
  }
  if (places.size() == 1) places.clear();
  return places;
}

}  // namespace holdfast::tree
