#include "host/runtime/storage_lanes.h"

#include <utility>

namespace holdfast::host {
namespace {

using seam::StorageOperation;
using seam::StorageReply;
using seam::StorageRequest;

void Set(StorageReply& reply, const Status& status) {
  reply.ok = status.has_value();
  if (!reply.ok) reply.code = status.code();
}

template <typename T, typename Take>
void Set(StorageReply& reply, Result<T> result, Take take) {
  reply.ok = result.has_value();
  if (reply.ok) {
    take(std::move(result).value());
  } else {
    reply.code = result.code();
  }
}

void ExecuteRead(seam::Storage& storage, const StorageRequest& q, StorageReply& r) {
  auto take_bytes = [&](UntrustedBytes b) { r.bytes = std::move(b).take(); };
  switch (static_cast<StorageOperation>(q.operation)) {
    case StorageOperation::kCapabilities:
      r.capabilities = storage.capabilities();
      r.ok = true;
      return;
    case StorageOperation::kGet:
      return Set(r, storage.Get(q.name), take_bytes);
    case StorageOperation::kGetRange:
      return Set(r, storage.GetRange(q.name, q.offset, q.length), take_bytes);
    case StorageOperation::kGetVersioned:
      return Set(r, storage.GetVersioned(q.name), [&](seam::VersionedBytes v) {
        r.bytes = std::move(v.bytes).take();
        r.version = std::move(v.version);
      });
    case StorageOperation::kList:
      return Set(r, storage.List(q.name, q.after, q.length),
                 [&](seam::Listing l) { r.listing = std::move(l); });
    default:
      r.code = Code::kInvalidArgument;
  }
}

}  // namespace

StorageReply Execute(seam::Storage& storage, const StorageRequest& q) {
  StorageReply r;
  r.id = q.id;
  r.operation = q.operation;
  switch (static_cast<StorageOperation>(q.operation)) {
    case StorageOperation::kPut:
      Set(r, storage.Put(q.name, q.bytes));
      break;
    case StorageOperation::kPutIfAbsent:
      Set(r, storage.PutIfAbsent(q.name, q.bytes));
      break;
    case StorageOperation::kPutIfVersion:
      Set(r, storage.PutIfVersion(q.name, q.bytes, q.version),
          [&](seam::ObjectVersion v) { r.version = std::move(v); });
      break;
    case StorageOperation::kDelete:
      Set(r, storage.Delete(q.name));
      break;
    case StorageOperation::kBarrier:
      Set(r, storage.Barrier());
      break;
    case StorageOperation::kCreateAppendable:
      Set(r, storage.CreateAppendable(q.name, q.length, q.bytes));
      break;
    case StorageOperation::kAppend:
      Set(r, storage.Append(q.name, q.offset, q.bytes));
      break;
    case StorageOperation::kTrim:
      Set(r, storage.Trim(q.name, q.length));
      break;
    default:
      ExecuteRead(storage, q, r);
  }
  return r;
}

StorageLanes::StorageLanes(seam::Storage& store, seam::Storage* anchor, SavingLock* saving, Done done,
                           Frames frames)
    : store_(store), anchor_(anchor), saving_(saving), done_(std::move(done)), frames_(frames) {
  for (Queue& queue : queues_) threads_.emplace_back([this, &queue] { Work(queue); });
  threads_.emplace_back([this] { Work(queues_[kReads]); });
}

StorageLanes::~StorageLanes() {
  for (Queue& queue : queues_) {
    sync::MutexLock lock(queue.mutex);
    queue.stopping = true;
    queue.wake.NotifyAll();
  }
  for (std::thread& t : threads_) t.join();
}

StorageLanes::Lane StorageLanes::LaneOf(const StorageRequest& request) {
  switch (static_cast<StorageOperation>(request.operation)) {
    case StorageOperation::kCreateAppendable:
    case StorageOperation::kAppend:
    case StorageOperation::kTrim:
      return kJournal;
    case StorageOperation::kPut:
    case StorageOperation::kPutIfAbsent:
    case StorageOperation::kPutIfVersion:
    case StorageOperation::kDelete:
      return request.name.starts_with("members/") ? kJournal : kObjects;
    case StorageOperation::kBarrier:
      return kBarrier;
    default:
      return kReads;
  }
}

void StorageLanes::Submit(StorageRequest request) {
  switch (static_cast<StorageOperation>(request.operation)) {
    case StorageOperation::kCreateAppendable:
    case StorageOperation::kAppend:
    case StorageOperation::kTrim:
      if (frames_ == Frames::kByCaller) return Run(request);
      break;
    default:
      break;
  }
  Queue& queue = queues_[LaneOf(request)];
  sync::MutexLock lock(queue.mutex);
  queue.requests.push_back(std::move(request));
  queue.wake.NotifyOne();
}

void StorageLanes::Work(Queue& queue) {
  for (;;) {
    sync::MutexLock lock(queue.mutex);
    while (!queue.stopping && queue.requests.empty()) queue.wake.Wait(queue.mutex);
    if (queue.requests.empty()) return;
    StorageRequest request = std::move(queue.requests.front());
    queue.requests.pop_front();
    lock.Unlock();
    Run(request);
  }
}

void StorageLanes::Run(const StorageRequest& request) {
  if (request.volume == seam::Volume::kStore) {
    if (saving_ != nullptr) saving_->Before(request);
    StorageReply reply = Execute(store_, request);
    if (saving_ != nullptr) saving_->After(request, reply.ok);
    return done_(std::move(reply));
  }
  if (request.volume == seam::Volume::kAnchor && anchor_ != nullptr) return done_(Execute(*anchor_, request));
  StorageReply reply;
  reply.id = request.id;
  reply.operation = request.operation;
  reply.code = request.volume == seam::Volume::kAnchor ? Code::kUnsupported : Code::kInvalidArgument;
  done_(std::move(reply));
}

}  // namespace holdfast::host
