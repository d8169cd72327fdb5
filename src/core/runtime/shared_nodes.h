// Decoded nodes for many readers: sixteen caches, each under a lock of its own, and one bound over all.
//
//   by place:   hint ──> shard ──lock──> node            a fold, a scan, a first visit
//   by links:   root ──> child ──> child ──> leaf        a get; no lock, no count (Epochs)
//
// A link is set by whoever found a child by its place, and taken away before parent or child leave.
#ifndef HOLDFAST_CORE_RUNTIME_SHARED_NODES_H_
#define HOLDFAST_CORE_RUNTIME_SHARED_NODES_H_

#include <array>
#include <memory>

#include "core/runtime/epochs.h"
#include "core/store/nodes.h"
#include "sync/mutex.h"

namespace holdfast::runtime {

class SharedNodes {
 public:
  explicit SharedNodes(size_t bytes_max);
  tree::NodePtr Find(const tree::Hint& hint);
  void Insert(const tree::Hint& hint, tree::NodePtr node);
  void Clear();
  // What a version that nobody reads any more had there: its memory serves the next one.
  void Drop(const std::vector<tree::Hint>& hints);
  void Drop(const tree::Hint& hint);              // for another that comes in its place: no room is made
  void ExpectChildren(const tree::Node& parent);  // as tree::NodeSource's
  store::Openers& openers() { return openers_; }
  // Kept, and waiting for readers to leave.
  size_t memory_bytes();
  Epochs& epochs() { return epochs_; }
  // What a guard keeps: no count is taken, so the pointer must not outlive the guard. REQUIRES: the parent is
  // kept by a guard as well.
  tree::NodePtr FindGuarded(const tree::Hint& hint) { return Unowned(Find(hint).get()); }
  tree::NodePtr FindChildGuarded(const tree::Node& parent, size_t i) { return Unowned(Child(parent, i)); }
  size_t bytes_max() const { return bytes_max_; }
  // A node has had to leave for another: what comes in now costs a place.
  bool full() const { return full_.load(std::memory_order_relaxed); }

  enum class Answer : uint8_t { kFound, kAbsent, kMissing, kAskOtherwise };
  // The inline value of a key of a B-tree whose nodes are all in memory. kMissing: `missing` is not, fetch it
  // and ask again; `leaf`: that is one. For everything else (a blob, another layout, a forged tree):
  // kAskOtherwise.
  Answer Get(const tree::Root& root, ByteView key, Bytes& value, tree::NodeRef& missing, bool& leaf);

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    Shard(size_t bytes, store::NodeCache::Removed removed) : cache(bytes, std::move(removed)) {}
    sync::Mutex mutex{sync::LockName::kNodes};
    store::NodeCache cache HF_GUARDED_BY(mutex);
  };
  Shard& ShardOf(const tree::Hint& h) { return *shards_[(h.segment * 31 + (h.offset >> 6)) % kShards]; }
  const tree::Node* Child(const tree::Node& parent, size_t i);
  static tree::NodePtr Unowned(const tree::Node* node) { return {tree::NodePtr(), node}; }
  void Removed(tree::NodePtr node, size_t bytes);

  Epochs epochs_;
  store::Openers openers_;
  sync::Mutex links_mutex_{sync::LockName::kNodes};  // over setting links, and Node::kept of all nodes
  std::array<std::unique_ptr<Shard>, kShards> shards_;
  size_t bytes_max_;
  std::atomic<bool> full_{false};
};

// One reader's way to one version's nodes. Not thread-safe; cheap to make.
using ReaderNodes = store::CachedNodes<SharedNodes>;

// The same to those in memory, without counting: what it gives is there as long as it lives, and what readers
// let go of meanwhile stays in memory too. So not for long, and nothing is waited for: Fetch answers
// kCancelled.
class GuardedNodes : public store::NodeAccess {
 public:
  explicit GuardedNodes(SharedNodes& nodes) : nodes_(nodes), guard_(nodes.epochs()) {}
  explicit operator bool() const { return static_cast<bool>(guard_); }  // false: nothing can be guarded now
  bool missed() const { return missed_; }
  tree::NodePtr Find(const tree::NodeRef& ref) override { return nodes_.FindGuarded(ref.hint); }
  tree::NodePtr FindChild(const tree::Node& parent, size_t i) override {
    return nodes_.FindChildGuarded(parent, i);
  }
  Status Fetch(const tree::NodeRef&) override {
    missed_ = true;
    return Code::kCancelled;
  }

 private:
  SharedNodes& nodes_;
  Epochs::Guard guard_;
  bool missed_ = false;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_SHARED_NODES_H_
