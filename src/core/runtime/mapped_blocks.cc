#include "core/runtime/mapped_blocks.h"

#include <sys/mman.h>

#include <new>

#include "base/check.h"

namespace holdfast::runtime {

using sync::MutexLock;

MappedBlocks& MappedBlocks::Install() {
  static MappedBlocks& one = *new MappedBlocks;  // overlays may outlive whoever is destroyed at exit
  std::pmr::set_default_resource(&one);
  return one;
}

void MappedBlocks::Enter() {
  MutexLock lock(mutex_);
  ++users_;
}

void MappedBlocks::Leave() {
  std::map<size_t, std::vector<void*>> gone;
  {
    MutexLock lock(mutex_);
    if (--users_ != 0) return;
    gone.swap(kept_);
    kept_bytes_ = 0;
  }
  for (const auto& [bytes, blocks] : gone) {
    for (void* p : blocks) ::munmap(p, bytes);
  }
}

size_t MappedBlocks::kept_bytes() {
  MutexLock lock(mutex_);
  return kept_bytes_;
}

void* MappedBlocks::do_allocate(size_t bytes, size_t alignment) {
  if (bytes < kMappedMin) return ::operator new(bytes, std::align_val_t(alignment));
  {
    MutexLock lock(mutex_);
    if (auto it = kept_.find(bytes); it != kept_.end() && !it->second.empty()) {
      void* p = it->second.back();
      it->second.pop_back();
      kept_bytes_ -= bytes;
      return p;
    }
  }
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  HF_CHECK(p != MAP_FAILED);
  return p;
}

void MappedBlocks::do_deallocate(void* p, size_t bytes, size_t alignment) {
  if (bytes < kMappedMin) return ::operator delete(p, std::align_val_t(alignment));
  {
    MutexLock lock(mutex_);
    if (users_ != 0) {
      kept_[bytes].push_back(p);
      kept_bytes_ += bytes;
      return;
    }
  }
  ::munmap(p, bytes);
}

}  // namespace holdfast::runtime
