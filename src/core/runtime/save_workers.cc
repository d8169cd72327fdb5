#include "core/runtime/save_workers.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "sync/activity.h"

namespace holdfast::runtime {

std::unique_ptr<store::NodeAccess> KeptNodes::Of(seam::Storage& storage, const store::VersionPtr& version) {
  return std::make_unique<ReaderNodes>(storage, version, nodes_);
}

void KeptNodes::Keep(const tree::Hint& hint, const tree::EncodedNode& node) {
  auto decoded = tree::Node::Decode(node.canonical, node.hints);
  HF_CHECK(decoded.has_value());
  if ((*decoded)->type() == tree::NodeType::kChunk) return;  // large, and seldom read twice
  nodes_.Insert(hint, std::move(*decoded));
}

SaveWorkers::SaveWorkers(size_t count) : count_(count) {
  if (count_ == 0) count_ = std::thread::hardware_concurrency();
  count_ = std::clamp<size_t>(count_, 1, limits::kFoldWorkersMax);
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
