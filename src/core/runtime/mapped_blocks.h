// Memory for the blocks of overlays, outside the heap: a fold's worth of it is given back at once, and in the
// heap what came between the blocks would keep it from going. Kept for the next overlay as long as an engine
// lives, since pages that are touched for the first time cost more than what is done with them: so never more
// than was in use at one time.
#ifndef HOLDFAST_CORE_RUNTIME_MAPPED_BLOCKS_H_
#define HOLDFAST_CORE_RUNTIME_MAPPED_BLOCKS_H_

#include <map>
#include <memory_resource>
#include <vector>

#include "sync/mutex.h"

namespace holdfast::runtime {

// Thread-safe. One for the process; memory that it gave may be returned at any time.
class MappedBlocks : public std::pmr::memory_resource {
 public:
  static constexpr size_t kMappedMin = 256u << 10;  // smaller ones come from the heap

  // The default memory resource from now on, for whoever asks std::pmr for it.
  static MappedBlocks& Install();
  // Somebody uses it: blocks that come back are kept until the last one has left.
  void Enter();
  void Leave();
  size_t kept_bytes();

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* p, size_t bytes, size_t alignment) override;
  bool do_is_equal(const memory_resource& o) const noexcept override { return this == &o; }

  sync::Mutex mutex_{sync::LockName::kState};
  std::map<size_t, std::vector<void*>> kept_ HF_GUARDED_BY(mutex_);  // by size
  size_t kept_bytes_ HF_GUARDED_BY(mutex_) = 0, users_ HF_GUARDED_BY(mutex_) = 0;
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_MAPPED_BLOCKS_H_
