// Decoded nodes for many readers: sixteen caches, each under a lock of its own, and one bound over all.
#ifndef HOLDFAST_CORE_RUNTIME_SHARED_NODES_H_
#define HOLDFAST_CORE_RUNTIME_SHARED_NODES_H_

#include <array>
#include <memory>

#include "core/store/nodes.h"
#include "sync/mutex.h"

namespace holdfast::runtime {

class SharedNodes {
 public:
  explicit SharedNodes(size_t bytes_max) : bytes_max_(bytes_max) {
    for (auto& s : shards_) s = std::make_unique<Shard>(bytes_max / kShards);
  }
  tree::NodePtr Find(const tree::Hint& hint) {
    Shard& s = ShardOf(hint);
    sync::MutexLock lock(s.mutex);
    return s.cache.Find(hint);
  }
  void Insert(const tree::Hint& hint, tree::NodePtr node) {
    Shard& s = ShardOf(hint);
    sync::MutexLock lock(s.mutex);
    s.cache.Insert(hint, std::move(node));
  }
  void Clear() {
    for (auto& s : shards_) {
      sync::MutexLock lock(s->mutex);
      s->cache.Clear();
    }
  }
  size_t memory_bytes() {
    size_t n = 0;
    for (auto& s : shards_) {
      sync::MutexLock lock(s->mutex);
      n += s->cache.memory_bytes();
    }
    return n;
  }
  size_t bytes_max() const { return bytes_max_; }

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    explicit Shard(size_t bytes) : cache(bytes) {}
    sync::Mutex mutex{sync::LockName::kNodes};
    store::NodeCache cache HF_GUARDED_BY(mutex);
  };
  Shard& ShardOf(const tree::Hint& h) { return *shards_[(h.segment * 31 + (h.offset >> 6)) % kShards]; }
  std::array<std::unique_ptr<Shard>, kShards> shards_;
  size_t bytes_max_;
};

// One reader's way to one version's nodes. Not thread-safe; cheap to make.
using ReaderNodes = store::CachedNodes<SharedNodes>;

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_SHARED_NODES_H_
