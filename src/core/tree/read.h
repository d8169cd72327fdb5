// Reading a tree: lookup, cursors in both directions, blobs, walking all of it. Pure, resumable, not
// thread-safe per object.
#ifndef HOLDFAST_CORE_TREE_READ_H_
#define HOLDFAST_CORE_TREE_READ_H_

#include <vector>

#include "core/tree/source.h"

namespace holdfast::tree {

// A value found: keeps its leaf alive, so inline bytes stay valid.
struct Found {
  NodePtr leaf;
  StoredValue value;
};

// Cost: one Find per level; nothing is remembered between calls.
//   kMalformed: a node of the wrong type or level where the tree leads (a forged or damaged tree)
Step<std::optional<Found>> Lookup(const Root& root, ByteView key, NodeSource& source);

// The bytes of a value, wherever they lie. Resumable by calling again.
class BlobReader {
 public:
  // Copies what it needs. `shared`: the table that has the shared values of the value's table, if it is one.
  explicit BlobReader(const StoredValue& value, const Root& shared = {});
  Step<Bytes> Run(NodeSource& source);  // the whole value; at most limits::kValueBytesMax, else kMalformed

 private:
  // Of a shared value: finds its row, which says where the bytes lie. Once.
  Step<bool> Resolve(NodeSource& source);
  uint64_t length_;
  bool is_blob_, is_shared_;
  NodeRef ref_;
  Root shared_;
  NodePtr list_;  // kept, so that a small cache cannot make list and chunk chase each other
  Bytes out_;
  size_t next_chunk_ = 0;
};

// A position between rows. Usage: Seek…, then Next() or Prev() until it answers nothing.
// A Need or a failure leaves the position as it was: call again.
class Cursor {
 public:
  explicit Cursor(const Root& root) : root_(root) {}
  // Before the first row with key >= k (empty k: before the first row). Answers whether a row follows.
  Step<bool> SeekTo(ByteView k, NodeSource& source);
  // Behind the last row. Answers whether there is one.
  Step<bool> SeekToEnd(NodeSource& source);
  struct Row {
    NodePtr leaf;  // keeps key and value alive
    ByteView key;
    StoredValue value;
    size_t at = 0;  // in the leaf
  };
  // After Next gave a row of this leaf: moves before its row `at`, or behind its last.
  void SkipInLeaf(size_t at) { path_.back().at = at; }
  Step<std::optional<Row>> Next(NodeSource& source);  // the row after the position, and moves behind it
  Step<std::optional<Row>> Prev(NodeSource& source);  // the row before the position, and moves before it

 private:
  struct Level {
    NodePtr node;
    size_t at;  // inner: child we are in; leaf: rows before the position
  };
  using Path = std::vector<Level>;
  enum class Place : uint8_t { kKey, kStart, kEnd };
  // Goes down from `ref` (of `level`, or any level for the root) to a leaf and appends what it passes.
  static std::optional<Step<bool>> Descend(Path& path, NodeRef ref, std::optional<uint8_t> level, Place place,
                                           ByteView k, NodeSource& source);
  // The same for a Patricia tree, from a node of it.
  static std::optional<Step<bool>> DescendPatricia(Path& path, NodePtr node, Place place, ByteView k,
                                                   NodeSource& source);
  Step<bool> Seek(Place place, ByteView k, NodeSource& source);
  Step<bool> Turn(bool forward, NodeSource& source);  // to the neighbouring leaf; false: there is none
  // The same below the same inner node of a B-tree; nothing: that is not where it goes on.
  std::optional<Step<bool>> TurnBelowParent(bool forward, NodeSource& source);
  Root root_;
  Path path_;
  // The leaf that will be next, if it was in memory: on its way into the processor's cache.
  NodePtr ahead_;
  Hint ahead_at_;
};

// Every node reachable from a root, parents before children, each once per reference: verify, GC, cleaning,
// export.
class Walk {
 public:
  explicit Walk(const Root& root);
  struct Visit {
    NodeRef ref;
    NodePtr node;
    uint16_t depth;  // 0 = root
  };
  // Next node; nothing at the end. After a failure with one node, Skip() goes on behind it.
  Step<std::optional<Visit>> Next(NodeSource& source);
  void Skip();
  // Leave the references of the node visited last aside (e.g. leaves' blobs, or a shared subtree).
  void Prune();

 private:
  struct Pending {
    NodeRef ref;
    uint16_t depth;
    uint8_t level;  // what its parent says it is; 0xFF for the root
    bool is_blob;
    uint64_t blob_length;  // of the chunks below
    // Below an inner node of a Patricia tree: what that says.
    uint64_t patricia_rows = 0;
    uint16_t patricia_above = 0;
  };
  std::vector<Pending> stack_;
  size_t pushed_ = 0;
};

// What differs between two trees, in key order; equal subtrees are skipped by address.
class Diff {
 public:
  Diff(const Root& before, const Root& after);
  ~Diff();
  struct Change {
    Bytes key;
    std::optional<Found> before, after;  // one of them may be absent
  };
  Step<std::optional<Change>> Next(NodeSource& source);

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::tree

#endif  // HOLDFAST_CORE_TREE_READ_H_
