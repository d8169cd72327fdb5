// What changed lately, for watchers (rule H3). One bounded history for all: a watcher is a position in it, so
// a slow one costs nothing and ends when the history has moved past it.
#ifndef HOLDFAST_CORE_RUNTIME_WATCH_HUB_H_
#define HOLDFAST_CORE_RUNTIME_WATCH_HUB_H_

#include <deque>
#include <memory>
#include <set>

#include "core/session/backend.h"
#include "core/store/state.h"
#include "sync/mutex.h"

namespace holdfast::runtime {

class WatchHub {
 public:
  WatchHub(LogIndex start, size_t history_bytes_max)
      : history_bytes_max_(history_bytes_max), next_(start.next()), oldest_(start.next()) {}

  // What one entry changed; called for every entry, in order. `owner` keeps what the changes point to: the
  // history holds them as long as it needs them, and copies nothing.
  void Publish(LogIndex index, const std::vector<store::Change>& changes,
               const std::shared_ptr<const void>& owner);
  void DropTable(const TableId& table);
  void Stop();

  // kSnapshotTooOld: `from` is older than what is kept. `ready` is called for what comes later, not for what
  // is there: Take once after this. It is called under the hub's lock: it must not call back.
  Result<std::unique_ptr<session::Watch>> Start(const TableId& table, Bytes prefix, LogIndex from,
                                                std::function<void()> ready);

 private:
  class Subscription;
  struct Item {
    LogIndex index;
    TableId table;
    ByteView key;
    std::optional<ByteView> value;
    std::shared_ptr<const void> owner;
    size_t bytes() const { return key.size() + (value ? value->size() : 0) + sizeof(Item); }
  };
  const size_t history_bytes_max_;
  sync::Mutex mutex_{sync::LockName::kSession};
  std::deque<Item> items_ HF_GUARDED_BY(mutex_);
  uint64_t first_item_ HF_GUARDED_BY(mutex_) = 0;  // number of items_.front() since the start
  size_t bytes_ HF_GUARDED_BY(mutex_) = 0;
  LogIndex next_ HF_GUARDED_BY(mutex_), oldest_ HF_GUARDED_BY(mutex_);  // [oldest_, next_) is kept whole
  bool stopped_ HF_GUARDED_BY(mutex_) = false;
  std::set<Subscription*> subscriptions_ HF_GUARDED_BY(mutex_);
};

}  // namespace holdfast::runtime

#endif  // HOLDFAST_CORE_RUNTIME_WATCH_HUB_H_
