#include "core/runtime/shared_nodes.h"

namespace holdfast::runtime {

using sync::MutexLock;
using tree::Node;
using tree::NodeType;

SharedNodes::SharedNodes(size_t bytes_max) : bytes_max_(bytes_max) {
  for (auto& s : shards_) {
    s = std::make_unique<Shard>(bytes_max / kShards, [this](tree::NodePtr node, size_t bytes) {
      full_.store(true, std::memory_order_relaxed);
      Removed(std::move(node), bytes);
    });
  }
}

tree::NodePtr SharedNodes::Find(const tree::Hint& hint) {
  Shard& s = ShardOf(hint);
  MutexLock lock(s.mutex);
  return s.cache.Find(hint);
}

void SharedNodes::Insert(const tree::Hint& hint, tree::NodePtr node) {
  {
    MutexLock links(links_mutex_);
    if (node->kept.in_cache) return;
    node->kept.in_cache = true;
  }
  Shard& s = ShardOf(hint);
  MutexLock lock(s.mutex);
  if (s.cache.Insert(hint, node)) return;
  MutexLock links(links_mutex_);
  node->kept.in_cache = false;
}

// Under the lock of its shard. Links lead to nodes in the cache only, so all that are followed here are
// there.
void SharedNodes::Removed(tree::NodePtr node, size_t bytes) {
  {
    MutexLock links(links_mutex_);
    Node::Kept& kept = node->kept;
    if (kept.parent != nullptr) kept.parent->SetLink(kept.place, nullptr);
    kept = {};
    for (size_t i = 0; node->has_links() && i < node->count(); ++i) {
      if (const Node* child = node->Linked(i)) child->kept.parent = nullptr;
      node->SetLink(i, nullptr);
    }
  }
  epochs_.Retire(std::move(node), bytes);
}

// A place and what is there are two waits for memory, each the same for one child as for all of them. One
// lock after the other: locks hold back what comes behind them.
void SharedNodes::ExpectChildren(const Node& parent) {
  for (bool places : {true, false}) {
    for (auto& s : shards_) {
      MutexLock lock(s->mutex);
      for (size_t i = 0; i < parent.count(); ++i) {
        tree::Hint hint = parent.child_hint(i);
        if (&ShardOf(hint) != s.get()) continue;
        places ? s->cache.ExpectPlace(hint) : s->cache.Expect(hint);
      }
    }
  }
}

void SharedNodes::Clear() {
  for (auto& s : shards_) {
    MutexLock lock(s->mutex);
    s->cache.Clear();
  }
  full_ = false;
}

void SharedNodes::Drop(const tree::Hint& hint) {
  Shard& s = ShardOf(hint);
  MutexLock lock(s.mutex);
  s.cache.Drop(hint);
}

void SharedNodes::Drop(const std::vector<tree::Hint>& hints) {
  for (const tree::Hint& hint : hints) Drop(hint);
  if (!hints.empty()) full_ = false;  // there is room again
}

size_t SharedNodes::memory_bytes() {
  size_t n = epochs_.retired_bytes();
  for (auto& s : shards_) {
    MutexLock lock(s->mutex);
    n += s->cache.memory_bytes();
  }
  return n;
}

// REQUIRES: a guard. What is found stays for as long as that: the cache lets go of it by Retire.
const Node* SharedNodes::Child(const Node& parent, size_t i) {
  if (const Node* child = parent.Linked(i)) return child;
  tree::NodePtr child = Find(parent.child_hint(i));
  if (child == nullptr) return nullptr;
  MutexLock links(links_mutex_);
  Node::Kept& kept = child->kept;
  if (kept.in_cache && parent.kept.in_cache) {
    // One parent at a time: of the older version, or the newer one, whichever is read.
    if (kept.parent != nullptr) kept.parent->SetLink(kept.place, nullptr);
    kept.parent = &parent;
    kept.place = static_cast<uint16_t>(i);
    parent.SetLink(i, child.get());
  }
  return child.get();
}

SharedNodes::Answer SharedNodes::Get(const tree::Root& root, ByteView key, Bytes& value,
                                     tree::NodeRef& missing, bool& leaf) {
  if (root.empty) return Answer::kAbsent;
  Epochs::Guard guard(epochs_);
  if (!guard) return Answer::kAskOtherwise;
  tree::NodePtr top = Find(root.ref.hint);
  const Node* node = top.get();
  if (node == nullptr) {
    missing = root.ref;
    leaf = false;  // or not known
    return Answer::kMissing;
  }
  while (node->type() == NodeType::kInner) {
    size_t place = node->ChildFor(key);
    const Node* child = Child(*node, place);
    if (child == nullptr) {
      missing = node->child(place);
      leaf = node->level() == 1;
      return Answer::kMissing;
    }
    child->Prefetch();
    child->Touch();
    if (child->level() + 1 != node->level()) return Answer::kAskOtherwise;
    node = child;
  }
  if (node->type() != NodeType::kLeaf) return Answer::kAskOtherwise;
  size_t i = node->LowerBound(key);
  if (i == node->count() || !Equal(node->key(i), key)) return Answer::kAbsent;
  tree::StoredValue found = node->value(i);
  if (found.is_blob || found.is_shared) return Answer::kAskOtherwise;
  value.assign(found.inline_bytes.begin(), found.inline_bytes.end());
  return Answer::kFound;
}

}  // namespace holdfast::runtime
