// Runs the core's StorageRequests on a few threads and hands back one StorageReply each.
//
//   (caller)  creating, appending to and cutting journal files
//   journal   other writes below members/           never waits behind a save or a read
//   objects   every other write and delete          one at a time, in order
//   barrier   Barrier                               does not hold up the lane it follows
//   reads     the rest, on two threads
//
// Requests of one lane keep their order (the reads' do not). A core that wants order across lanes waits for
// the reply, which is what its blocking storage interface does anyway. Nothing is bounded here: the core's
// own threads are the bound. Several providers have lanes of their own each, and then no frame is written by
// the caller: one that hangs would hold up the others.
#ifndef HOLDFAST_HOST_RUNTIME_STORAGE_LANES_H_
#define HOLDFAST_HOST_RUNTIME_STORAGE_LANES_H_

#include <array>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "host/runtime/saving_lock.h"
#include "seam/channel.h"
#include "sync/mutex.h"

namespace holdfast::host {

// Does one request, blocking. A request that makes no sense gets kInvalidArgument.
seam::StorageReply Execute(seam::Storage& storage, const seam::StorageRequest& request);

class StorageLanes {
 public:
  using Done = std::function<void(seam::StorageReply)>;
  // Where frames are written: by the caller's thread, which then waits for this provider, or by one of ours.
  enum class Frames : uint8_t { kByCaller, kByUs };
  // `anchor` may be null: its requests get kUnsupported. `saving` may be null. All outlive this.
  StorageLanes(seam::Storage& store, seam::Storage* anchor, SavingLock* saving, Done done,
               Frames frames = Frames::kByCaller);
  ~StorageLanes();  // finishes what was submitted

  // Appends and what else the journal's lane of the channel carries are done by the caller's thread, which
  // waits for nothing else; the rest is queued, and does not block.
  void Submit(seam::StorageRequest request);

 private:
  enum Lane : size_t { kJournal, kObjects, kBarrier, kReads, kLanes };
  struct Queue {
    sync::Mutex mutex{sync::LockName::kOther};
    sync::CondVar wake;
    std::deque<seam::StorageRequest> requests HF_GUARDED_BY(mutex);
    bool stopping HF_GUARDED_BY(mutex) = false;
  };
  static Lane LaneOf(const seam::StorageRequest& request);
  void Work(Queue& queue);
  void Run(const seam::StorageRequest& request);

  seam::Storage& store_;
  seam::Storage* const anchor_;
  SavingLock* const saving_;
  const Done done_;
  const Frames frames_;
  std::array<Queue, kLanes> queues_;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_RUNTIME_STORAGE_LANES_H_
