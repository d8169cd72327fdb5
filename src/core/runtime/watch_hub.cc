#include "core/runtime/watch_hub.h"

#include "base/limits.h"

namespace holdfast::runtime {

class WatchHub::Subscription : public session::Watch {
 public:
  Subscription(WatchHub& hub, const TableId& table, Bytes prefix, uint64_t item, LogIndex from,
               std::function<void()> ready)
      : hub_(hub),
        table_(table),
        prefix_(std::move(prefix)),
        from_(from),
        ready_(std::move(ready)),
        item_(item),
        marked_(from.value - 1) {}
  ~Subscription() override {
    sync::MutexLock lock(hub_.mutex_);
    hub_.subscriptions_.erase(this);
  }

  Result<std::vector<session::WatchEvent>> Take(size_t max) override {
    sync::MutexLock lock(hub_.mutex_);
    if (hub_.stopped_) return Code::kStopping;
    if (item_ < hub_.first_item_) return Code::kOverloaded;  // too slow: what it had not seen is gone
    std::vector<session::WatchEvent> events;
    uint64_t end = hub_.first_item_ + hub_.items_.size();
    for (; item_ < end && events.size() < max; ++item_) {
      const Item& i = hub_.items_[item_ - hub_.first_item_];
      if (i.index < from_ || i.table != table_ || !AsText(i.key).starts_with(AsText(prefix_))) continue;
      session::WatchEvent event{i.index, false, ToBytes(i.key), std::nullopt};
      if (i.value) event.value = ToBytes(*i.value);
      events.push_back(std::move(event));
    }
    LogIndex done(hub_.next_.value - 1);
    if (item_ == end && events.size() < max) {
      if (dropped_ && events.empty()) return Code::kNoTable;
      if (done > marked_ && done >= from_) {
        events.push_back({done, true, {}, std::nullopt});
        marked_ = done;
      }
    }
    return events;
  }

  // The hub's calls, under its lock; that it is hub_'s, the analysis cannot know.
  void Drop() HF_NO_THREAD_SAFETY_ANALYSIS { dropped_ = true; }

  WatchHub& hub_;
  const TableId table_;
  const Bytes prefix_;
  const LogIndex from_;
  const std::function<void()> ready_;

 private:
  uint64_t item_ HF_GUARDED_BY(hub_.mutex_);  // the next one to look at
  LogIndex marked_ HF_GUARDED_BY(hub_.mutex_);
  bool dropped_ HF_GUARDED_BY(hub_.mutex_) = false;
};

void WatchHub::Publish(LogIndex index, const std::vector<store::Change>& changes,
                       const std::shared_ptr<const void>& owner) {
  sync::MutexLock lock(mutex_);
  next_ = index.next();
  if (!subscriptions_.empty() || !changes.empty()) {
    for (const store::Change& c : changes) {
      if (store::IsSystemTable(c.table)) continue;
      items_.push_back({index, c.table, c.key, c.value, owner});
      bytes_ += items_.back().bytes();
    }
    while (!items_.empty() && (items_.size() > limits::kWatchHistoryEntries || bytes_ > history_bytes_max_)) {
      const Item& i = items_.front();
      bytes_ -= i.bytes();
      oldest_ = i.index.next();  // entries that lost a part are not kept whole
      items_.pop_front();
      ++first_item_;
    }
  }
  for (Subscription* s : subscriptions_) s->ready_();
}

void WatchHub::DropTable(const TableId& table) {
  sync::MutexLock lock(mutex_);
  for (Subscription* s : subscriptions_) {
    if (s->table_ != table) continue;
    s->Drop();
    s->ready_();
  }
}

void WatchHub::Stop() {
  sync::MutexLock lock(mutex_);
  stopped_ = true;
  for (Subscription* s : subscriptions_) s->ready_();
}

Result<std::unique_ptr<session::Watch>> WatchHub::Start(const TableId& table, Bytes prefix, LogIndex from,
                                                        std::function<void()> ready) {
  sync::MutexLock lock(mutex_);
  if (stopped_) return Code::kStopping;
  if (from.value == 0) from = next_;
  if (from < oldest_) return Code::kSnapshotTooOld;
  uint64_t item = first_item_ + items_.size();
  while (item > first_item_ && items_[item - 1 - first_item_].index >= from) --item;
  auto s = std::make_unique<Subscription>(*this, table, std::move(prefix), item, from, std::move(ready));
  subscriptions_.insert(s.get());
  return std::unique_ptr<session::Watch>(std::move(s));
}

}  // namespace holdfast::runtime
