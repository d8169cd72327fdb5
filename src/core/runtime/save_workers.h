// What a save has of the running store: its cache of nodes, and threads.
#ifndef HOLDFAST_CORE_RUNTIME_SAVE_WORKERS_H_
#define HOLDFAST_CORE_RUNTIME_SAVE_WORKERS_H_

#include "core/runtime/shared_nodes.h"
#include "core/store/save.h"

namespace holdfast::runtime {

// Reads through the readers' cache, and puts into it what the save makes: readers will ask for that next.
// Where that would drive out others, a leaf gets in only by taking the place of one that it is made of, so
// what was in memory stays there and what was not does not come in.
class KeptNodes : public store::SaveNodes {
 public:
  explicit KeptNodes(SharedNodes& nodes) : nodes_(nodes) {}
  std::unique_ptr<store::NodeAccess> Of(seam::Storage& storage, const store::VersionPtr& version) override;
  void Forget() override { nodes_.Clear(); }
  bool WantsDead() const override { return true; }
  void Dead(std::vector<tree::Hint> hints) override { dead_.insert(dead_.end(), hints.begin(), hints.end()); }
  // Of all that died: 12 bytes each.
  std::vector<tree::Hint> TakeDead() { return std::move(dead_); }

 private:
  SharedNodes& nodes_;
  std::vector<tree::Hint> dead_;
};

// Threads that live as long as one Run.
class SaveWorkers : public store::Workers {
 public:
  // 0: one for each processor; at most `count_max`.
  explicit SaveWorkers(size_t count, size_t count_max = limits::kFoldWorkersMax);
  size_t count() const override { return count_; }
  void Run(size_t n, const Job& job) override;

 private:
  size_t count_;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_SAVE_WORKERS_H_
