// What the engine does about a full provider that had space put aside (rule I1, store/reserve.h).
#include "core/runtime/engine.h"
#include "core/store/reserve.h"

namespace holdfast::runtime {

using sync::MutexLock;

bool Engine::GiveUpReserve() {
  if (!reserve_held_ || !store::GiveUpReserve(storage_)) return false;
  reserve_held_ = false;
  low_ = true;
  return true;
}

bool Engine::GiveUpReserveAndTell() {
  {
    MutexLock writing(write_mutex_);
    if (!GiveUpReserve()) return false;
  }
  Post(kernel::SpaceLow{true}, Caller::kOwn);
  return true;
}

void Engine::MakeReserveAgain() {
  {
    MutexLock writing(write_mutex_);
    if (!reserve_held_) {
      Status made = store::MakeReserve(storage_, reserve_bytes_);
      if (!made) return;  // kFull: asked again; anything else shows with the next frame
      reserve_held_ = true;
    }
    low_ = false;
  }
  Post(kernel::SpaceLow{false}, Caller::kJournal);
}

}  // namespace holdfast::runtime
