// The way down, the rows, and the calls that fold.h promises.
#include "core/tree/fold.h"

#include <algorithm>
#include <utility>

#include "core/tree/fold_state_internal.h"

namespace holdfast::tree {
namespace internal {

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
    OpenFrame(std::move(node), std::move(root), {});
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
  OpenFrame(std::move(node), std::move(self), end);
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

// Where most leaves change, all of them are brought near at once: one by one each is a wait for memory.
void FoldState::OpenFrame(NodePtr node, Entry self, std::optional<ByteView> end) {
  if (node->level() == 1) {
    if (leaves_entered >= leaves_passed) source->ExpectChildren(*node);
    leaves_entered = leaves_passed = 0;
  }
  path.push_back(Frame{.node = std::move(node), .self = std::move(self), .end = end});
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
  if (level == 0) ++leaves_passed;
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
    ++leaves_entered;
    size_t start = BeginContent(level);
    leaf = Leaf{.node = std::move(found), .self = std::move(e), .end = end, .row = 0, .start = start};
    phase = Phase::kLeaf;
  } else {
    OpenFrame(std::move(found), std::move(e), end);
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
    const std::optional<Address> shared = SharedAddressOf(*change);
    if (same_key) {
      StoredValue old = leaf.node->value(at);
      bool same = !change->erase && !old.is_blob &&
                  (old.is_shared ? shared && *shared == old.blob.address
                                 : !shared && Equal(old.inline_bytes, change->value));
      if (!same) {
        Going g = KillBlob(old);
        if (!g.done()) return g;
        leaf.row = at + 1;
        leaf.changed = true;
        if (!change->erase) Put(*change, shared);
      }
    } else if (!change->erase) {
      leaf.changed = true;
      Put(*change, shared);
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

std::optional<Address> FoldState::SharedAddressOf(const ChangeSource::Change& c) {
  if (!descriptor.values_in || c.erase || Inlined(c.value)) return std::nullopt;
  return sink.AddressOfShared(c.value);
}

void FoldState::Put(const ChangeSource::Change& c, const std::optional<Address>& shared) {
  HF_CHECK(!c.key.empty() && c.key.size() <= limits::kKeyBytesMax &&
           c.value.size() <= limits::kValueBytesMax);
  internal::Rows& rows = levels[0].held.rows;
  if (Inlined(c.value)) {
    rows.AppendInline(c.key, c.value);
    return;
  }
  if (shared) {
    rows.AppendShared(c.key, c.value.size(), *shared);
    sink.Share(*shared, c.value);
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
  if (value.is_shared) {
    if (!descriptor.values_in) return Code::kMalformed;
    sink.Unshare(value.blob.address);
    return true;
  }
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

}  // namespace internal

using internal::FoldState;
using internal::Going;

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
