#include "core/tree/patricia_fold.h"

#include "core/tree/patricia_spine_internal.h"

namespace holdfast::tree::patricia {
namespace {

using Going = Step<bool>;  // done: go on

}  // namespace

// The old tree's half. Every step first finds the nodes it needs and only then changes anything.
struct Fold::State {
  State(const Descriptor& d, const Root& b, LogIndex i, ChangeSource& c, NodeSink& s, Blinding& blinding)
      : descriptor(d), before(b), changes(c), sink(s), spine(d, i, s, blinding) {}

  struct Frame {  // an inner node on the way down
    NodePtr node;
    Whole self;
    size_t next = 0;  // child
  };
  struct Leaf {
    NodePtr node;
    Whole self;
    Prefix common;  // of its rows
    size_t row = 0;
    bool changed = false;  // then its rows are given one by one
  };
  enum class Phase : uint8_t { kStart, kWalk, kFinish, kDone };

  const Descriptor& descriptor;
  Root before;
  ChangeSource& changes;
  NodeSink& sink;
  Spine spine;
  NodeSource* source = nullptr;
  std::optional<ChangeSource::Change> change;
  std::vector<Frame> path;
  std::optional<Leaf> leaf;
  std::optional<Spine::Part> part;  // to be added before anything else
  Phase phase = Phase::kStart;
  Root result;
  std::optional<Error> failure;

  Going StepOnce();
  Going Start();
  Going Walk();
  Going Open(const Whole& self, const Prefix& known);
  Going LeafStep();
  Going ChangedRow();
  void Feed();
  Row RowOf(const ChangeSource::Change& c);
  bool Inlined(ByteView value) const {
    return descriptor.inline_values && value.size() <= limits::kInlineValueBytesMax;
  }
  bool Same(const Node& node, size_t i, ByteView value) const;
  Going KillBlob(const StoredValue& value);
};

Fold::Fold(const Descriptor& descriptor, const Root& before, LogIndex birth, ChangeSource& changes,
           NodeSink& sink, Blinding& blinding)
    : s_(std::make_unique<State>(descriptor, before, birth, changes, sink, blinding)) {}
Fold::~Fold() = default;

Step<Root> Fold::Run(NodeSource& source) {
  s_->source = &source;
  while (s_->phase != State::Phase::kDone) {
    if (s_->failure) return *s_->failure;
    Going g = s_->StepOnce();
    if (g.needs()) return Need{g.need()};
    if (g.failed()) s_->failure = g.error();
  }
  return s_->result;
}

Going Fold::State::StepOnce() {
  if (part) {
    Going added = spine.Add(*part, *source);
    if (added.done()) part.reset();
    return added;
  }
  if (phase == Phase::kStart) return Start();
  if (phase == Phase::kWalk) return leaf ? LeafStep() : Walk();
  Step<Root> finished = spine.Finish(*source);
  if (finished.needs()) return Need{finished.need()};
  if (finished.failed()) return finished.error();
  result = finished.value();
  phase = Phase::kDone;
  return true;
}

Going Fold::State::Start() {
  if (!change) change = changes.Next();
  if (!change) {
    result = before;
    phase = Phase::kDone;
    return true;
  }
  if (!before.empty) {
    Going opened = Open({before.ref, before.rows, before.digest}, {});
    if (!opened.done()) return opened;
  }
  phase = Phase::kWalk;
  return true;
}

// Goes on with a node of the old tree. What it shows by itself was checked when it was decoded; here, that it
// stands where its parent says.
Going Fold::State::Open(const Whole& self, const Prefix& known) {
  NodePtr node = source->Find(self.ref);
  if (node == nullptr) return Need{self.ref};
  if (!IsNode(*node) || node->total_rows() != self.rows ||
      IsLeaf(*node) != (self.rows <= descriptor.leaf_rows_max))
    return Code::kMalformed;
  if (IsLeaf(*node)) {
    ByteView first = node->key(0), last = node->key(node->count() - 1);
    if (SideOf(first, known) != Side::kInside || SideOf(last, known) != Side::kInside)
      return Code::kMalformed;
    uint16_t bits = std::min(FirstDifference(first, last), BitsOf(first));
    leaf = Leaf{std::move(node), self, FirstBits(first, bits)};
    return true;
  }
  Inner inner(*node);
  if (DigitStart(inner.digit()) < known.bits || SideOf(inner.prefix(), known) != Side::kInside)
    return Code::kMalformed;
  path.push_back({std::move(node), self});
  return true;
}

Going Fold::State::Walk() {
  if (path.empty()) {
    if (change) {
      Feed();
    } else {
      phase = Phase::kFinish;
    }
    return true;
  }
  Frame& f = path.back();
  if (f.next == f.node->count()) {
    spine.Replaced(f.self);
    path.pop_back();
    return true;
  }
  Inner inner(*f.node);
  Whole child{f.node->child(f.next), f.node->rows(f.next), inner.digest(f.next)};
  Prefix known = inner.known(f.next);
  Side side = change ? SideOf(change->key, known) : Side::kBehind;
  if (side == Side::kBefore) {
    Feed();
    return true;
  }
  size_t depth = path.size();
  if (side == Side::kInside) {
    Going opened = Open(child, known);
    if (!opened.done()) return opened;
  } else {
    part = Spine::Part{std::move(known), child};
  }
  ++path[depth - 1].next;
  return true;
}

// A leaf in which nothing changes is one part; so changes are looked at until one does.
Going Fold::State::LeafStep() {
  if (leaf->changed) return ChangedRow();
  Side side = change ? SideOf(change->key, leaf->common) : Side::kBehind;
  if (side == Side::kBefore) {
    Feed();
  } else if (side == Side::kInside) {
    const Node& node = *leaf->node;
    size_t i = node.LowerBound(change->key);
    bool there = i < node.count() && Equal(node.key(i), change->key);
    bool nothing = there ? !change->erase && Same(node, i, change->value) : change->erase;
    if (nothing) {
      change = changes.Next();
    } else {
      leaf->changed = true;
      sink.Dead(leaf->self.ref);
    }
  } else {
    part = Spine::Part{std::move(leaf->common), leaf->self};
    leaf.reset();
  }
  return true;
}

Going Fold::State::ChangedRow() {
  const Node& node = *leaf->node;
  if (leaf->row == node.count()) {
    leaf.reset();  // changes behind its last row meet whatever follows
    return true;
  }
  ByteView key = node.key(leaf->row);
  int order = change ? Compare(change->key, key) : 1;
  if (order < 0) {
    Feed();
    return true;
  }
  if (order == 0 && (change->erase || !Same(node, leaf->row, change->value))) {
    Going killed = KillBlob(node.value(leaf->row));
    if (!killed.done()) return killed;
    Feed();
  } else {
    if (order == 0) change = changes.Next();
    part = Spine::Part{{ToBytes(key), BitsOf(key)}, Row::Of(node, leaf->row)};
  }
  ++leaf->row;
  return true;
}

// The change becomes a part, or nothing.
void Fold::State::Feed() {
  if (!change->erase) part = Spine::Part{{ToBytes(change->key), BitsOf(change->key)}, RowOf(*change)};
  change = changes.Next();
}

Row Fold::State::RowOf(const ChangeSource::Change& c) {
  HF_CHECK(!c.key.empty() && c.key.size() <= limits::kKeyBytesMax &&
           c.value.size() <= limits::kValueBytesMax);
  Row row;
  row.key = ToBytes(c.key);
  if (Inlined(c.value)) {
    row.inline_value = ToBytes(c.value);
    return row;
  }
  row.is_blob = true;
  row.length = c.value.size();
  row.sha256 = crypto::Sha256(c.value);
  if (c.value.size() <= limits::kBlobChunkBytes) {
    row.blob = spine.Emit(EncodeChunk(c.value));
    return row;
  }
  std::vector<NodeRef> chunks;
  for (size_t at = 0; at < c.value.size(); at += limits::kBlobChunkBytes) {
    size_t n = std::min(limits::kBlobChunkBytes, c.value.size() - at);
    chunks.push_back(spine.Emit(EncodeChunk(c.value.subspan(at, n))));
  }
  row.blob = spine.Emit(EncodeChunkList(chunks));
  return row;
}

bool Fold::State::Same(const Node& node, size_t i, ByteView value) const {
  StoredValue v = node.value(i);
  if (v.is_blob == Inlined(value) || v.length != value.size()) return false;
  return v.is_blob ? ValueSha256(node, i) == crypto::Sha256(value) : Equal(v.inline_bytes, value);
}

Going Fold::State::KillBlob(const StoredValue& value) {
  if (!value.is_blob) return true;
  if (value.length > limits::kBlobChunkBytes) {
    NodePtr list = source->Find(value.blob);
    if (list == nullptr) return Need{value.blob};
    if (list->type() != NodeType::kChunkList) return Code::kMalformed;
    for (const NodeRef& chunk : list->References()) sink.Dead(chunk);
  }
  sink.Dead(value.blob);
  return true;
}

}  // namespace holdfast::tree::patricia
