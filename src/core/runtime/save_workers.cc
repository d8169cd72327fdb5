#include "core/runtime/save_workers.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "sync/activity.h"

namespace holdfast::runtime {

namespace {

bool IsLeaf(tree::NodeType type) {
  return type == tree::NodeType::kLeaf || type == tree::NodeType::kPatriciaLeaf;
}

// The readers' cache as one thread of a save uses it.
class FoldCache {
 public:
  explicit FoldCache(SharedNodes& nodes) : nodes_(nodes) {}
  tree::NodePtr Find(const tree::Hint& hint) {
    tree::NodePtr node = nodes_.Find(hint);
    if (node != nullptr && IsLeaf(node->type())) found_[next_++ % found_.size()] = hint;
    return node;
  }
  // A leaf that is not in memory is read to be replaced: nobody will ask for it again.
  void Insert(const tree::Hint& hint, tree::NodePtr node) {
    if (!IsLeaf(node->type())) nodes_.Insert(hint, std::move(node));
  }
  void ExpectChildren(const tree::Node& parent) { nodes_.ExpectChildren(parent); }
  store::Openers& openers() { return nodes_.openers(); }

  void Keep(const tree::Hint& hint, const tree::EncodedNode& node) {
    const auto type = static_cast<tree::NodeType>(node.canonical[0]);
    if (type == tree::NodeType::kChunk) return;  // large, and seldom read twice
    std::optional<tree::Hint> place;
    if (IsLeaf(type) && nodes_.full()) {
      place = TakeFound();
      if (!place) return;
    }
    auto decoded = tree::Node::Decode(node.canonical, node.hints);
    HF_CHECK(decoded.has_value());
    if (place) nodes_.Drop(*place);
    nodes_.Insert(hint, std::move(*decoded));
  }

 private:
  // One of the leaves that were found lately; what is made is made of the latest.
  std::optional<tree::Hint> TakeFound() {
    for (size_t back = 1; back <= found_.size(); ++back) {
      std::optional<tree::Hint>& f = found_[(next_ - back) % found_.size()];
      if (f) return std::exchange(f, std::nullopt);
    }
    return std::nullopt;
  }

  SharedNodes& nodes_;
  std::array<std::optional<tree::Hint>, 4> found_;
  size_t next_ = found_.size();
};

struct OwnCache {
  FoldCache cache;
};
class FoldNodes : private OwnCache, public store::CachedNodes<FoldCache> {
 public:
  FoldNodes(seam::Storage& storage, const store::VersionPtr& version, SharedNodes& nodes)
      : OwnCache{FoldCache(nodes)}, CachedNodes(storage, version, OwnCache::cache) {}
  void Keep(const tree::Hint& hint, const tree::EncodedNode& node) override { cache.Keep(hint, node); }
};

}  // namespace

std::unique_ptr<store::NodeAccess> KeptNodes::Of(seam::Storage& storage, const store::VersionPtr& version) {
  return std::make_unique<FoldNodes>(storage, version, nodes_);
}

SaveWorkers::SaveWorkers(size_t count, size_t count_max) : count_(count) {
  if (count_ == 0) count_ = std::thread::hardware_concurrency();
  count_ = std::clamp<size_t>(count_, 1, count_max);
}

void SaveWorkers::Run(size_t n, const Job& job) {
  std::atomic<size_t> next{0};
  auto work = [&](size_t worker) {
    for (size_t i = next++; i < n; i = next++) job(worker, i);
  };
  std::vector<std::thread> threads;
  for (size_t w = 1; w < std::min(count_, n); ++w) {
    threads.emplace_back([&work, w] {
      sync::Activity activity(sync::ActivityKind::kSave);
      work(w);
    });
  }
  work(0);
  for (std::thread& t : threads) t.join();
}

}  // namespace holdfast::runtime
