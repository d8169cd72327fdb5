// The fold as an explicit machine, for fold*.cc. For each level there are two pieces of content that are not
// cut into nodes yet:
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
#ifndef HOLDFAST_CORE_TREE_FOLD_STATE_INTERNAL_H_
#define HOLDFAST_CORE_TREE_FOLD_STATE_INTERNAL_H_

#include <array>
#include <map>

#include "core/tree/content_internal.h"
#include "core/tree/fold.h"

namespace holdfast::tree::internal {

using Going = Step<bool>;  // done: go on

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
  // Leaves, since the last inner node above them: how many there were changes for.
  size_t leaves_entered = 0, leaves_passed = 0;
  // Of a whole fold: what was folded before, by the place of its node.
  std::map<Hint, Part> parts;
  // Of a part: its node, and what becomes of it.
  std::optional<FoldPlace> place;
  Part part;
  EncodedNode leaf_made;  // memory for the next one
  Content closing;        // of a frame that ended, on its way to its level

  Going Run(NodeSource& nodes);
  Going StepOnce();
  Going Start();
  Going StartPart();
  Going RunTask();
  Going InnerStep();
  void OpenFrame(NodePtr node, Entry self, std::optional<ByteView> end);
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
  NodeRef Emit(EncodedNode&& node) {
    NodeRef ref = sink.Emit(std::move(node));
    ref.birth = birth;
    return ref;
  }
  Going KillBlob(const StoredValue& value);
  bool Inlined(ByteView value) const {
    return descriptor.inline_values && value.size() <= limits::kInlineValueBytesMax;
  }
  // What a row will say of a value that is shared.
  std::optional<Address> SharedAddressOf(const ChangeSource::Change& c);
  void Put(const ChangeSource::Change& c, const std::optional<Address>& shared);
  bool ChangeBefore(const std::optional<ByteView>& end) const {
    return change.has_value() && (!end || Compare(change->key, *end) < 0);
  }
};

}  // namespace holdfast::tree::internal

#endif  // HOLDFAST_CORE_TREE_FOLD_STATE_INTERNAL_H_
