// A Backend in memory, for tests of everything above it. It keeps the contract of backend.h, durability
// aside: "durable" is when its one completion thread has applied a command, which Hold() can delay. Header
// only; no product links it.
#ifndef HOLDFAST_CORE_SESSION_FAKE_BACKEND_H_
#define HOLDFAST_CORE_SESSION_FAKE_BACKEND_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "core/session/backend.h"
#include "crypto/hash.h"

namespace holdfast::session {

class FakeBackend : public Backend {
 public:
  using Rows = std::map<Bytes, Bytes, BytesLess>;

  FakeBackend() : thread_([this] { Main(); }) {}
  ~FakeBackend() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      held_ = false;
    }
    changed_.notify_all();
    thread_.join();
  }

  // -- for tests
  void Hold(bool held) {  // nothing becomes durable
    {
      std::lock_guard lock(mutex_);
      held_ = held;
    }
    changed_.notify_all();
  }
  size_t waiting() {
    std::lock_guard lock(mutex_);
    return queue_.size();
  }
  uint64_t applied_batches() {
    std::lock_guard lock(mutex_);
    return applied_batches_;
  }
  size_t watches() {
    std::lock_guard lock(mutex_);
    return watches_.size();
  }
  size_t snapshots() const { return static_cast<size_t>(snapshots_.use_count() - 1); }
  void ForgetSessions() {
    std::lock_guard lock(mutex_);
    sessions_.clear();
  }
  void ForgetHistory() {
    std::lock_guard lock(mutex_);
    history_.clear();
    history_from_ = applied_ + 1;
  }
  void SeedSystem(std::vector<std::pair<std::string, Bytes>> rows) {
    std::lock_guard lock(mutex_);
    for (auto& [key, value] : rows) system_[key] = std::move(value);
  }
  Bytes passphrase = ToBytes("old passphrase");
  size_t verify_lines = 3;
  Status verify_ends = Ok();
  size_t watch_queue_max = limits::kWatchQueueMax;

  // -- Backend
  Result<TableId> FindTable(std::string_view name) override {
    std::lock_guard lock(mutex_);
    auto it = tables_.find(std::string(name));
    if (it == tables_.end()) return Code::kNoTable;
    return it->second.id;
  }
  std::vector<TableInfo> ListTables() override {
    std::lock_guard lock(mutex_);
    std::vector<TableInfo> all;
    for (auto& [name, t] : tables_) all.push_back({t.id, t.descriptor, rows_[t.id].size()});
    return all;
  }
  void CreateTable(const tree::Descriptor& d, WriteDone done) override {
    Enqueue(kernel::Wait::kDurable, std::move(done), [this, d](WriteReply& reply) {
      if (d.name.empty() || d.name.size() > limits::kTableNameBytesMax) {
        reply.status = Code::kTableName;
      } else if (tables_.contains(d.name)) {
        reply.status = Code::kTableExists;
      } else {
        TableInfo& t = tables_[d.name];
        t.descriptor = d;
        StoreBig64(t.id.bytes.data(), reply.index.value);
      }
    });
  }
  void DropTable(std::string_view name, WriteDone done) override {
    Enqueue(kernel::Wait::kDurable, std::move(done), [this, key = std::string(name)](WriteReply& reply) {
      auto it = tables_.find(key);
      if (it == tables_.end()) {
        reply.status = Code::kNoTable;
        return;
      }
      rows_.erase(it->second.id);
      for (auto* w : watches_) {
        if (w->table == it->second.id) w->ended = Code::kNoTable;
      }
      tables_.erase(it);
    });
  }

  void Write(kernel::Batch batch, kernel::Wait wait, WriteDone done) override {
    WriteReply refused;
    refused.status = kernel::Check(batch);
    if (refused.status.has_value() && !batch.compares.empty() && wait != kernel::Wait::kDurable) {
      refused.status = Code::kCompareNeedsDurable;
    }
    if (!refused.status.has_value()) return done(refused);
    Enqueue(wait, std::move(done), [this, b = std::move(batch)](WriteReply& reply) { ApplyBatch(b, reply); });
  }
  void Sync(WriteDone done) override {
    Enqueue(kernel::Wait::kDurable, std::move(done), [](WriteReply&) {});
  }
  void OpenSession(std::string_view, WriteDone done) override {
    Enqueue(kernel::Wait::kDurable, std::move(done),
            [this](WriteReply& reply) { sessions_[reply.index.value]; });
  }

  Status WaitApplied(LogIndex at_least, uint64_t timeout_ms) override {
    std::unique_lock lock(mutex_);
    return WaitApplied(lock, at_least, timeout_ms) ? Ok() : Status(Code::kDeadline);
  }
  Result<std::unique_ptr<Snapshot>> TakeSnapshot(LogIndex at_least, uint64_t timeout_ms) override {
    std::unique_lock lock(mutex_);
    if (!WaitApplied(lock, at_least, timeout_ms)) return Code::kDeadline;
    auto s = std::make_unique<FakeSnapshot>();
    s->alive = snapshots_;
    s->at = LogIndex(applied_);
    s->rows = rows_;
    return std::unique_ptr<Snapshot>(std::move(s));
  }
  Result<std::optional<Bytes>> Get(const TableId& table, ByteView key, LogIndex at_least,
                                   uint64_t timeout_ms) override {
    std::unique_lock lock(mutex_);
    if (!WaitApplied(lock, at_least, timeout_ms)) return Code::kDeadline;
    return Find(rows_[table], key);
  }

  Result<std::unique_ptr<Watch>> StartWatch(const TableId& table, Bytes prefix, LogIndex from,
                                            std::function<void()> ready) override {
    std::lock_guard lock(mutex_);
    if (from.value != 0 && from.value < history_from_) return Code::kSnapshotTooOld;
    auto w = std::make_unique<FakeWatch>(*this, table, std::move(prefix), std::move(ready));
    if (from.value != 0) {
      for (auto& [t, e] : history_) {
        if (e.index >= from) w->Offer(t, e);
      }
      w->Mark(LogIndex(applied_));
    }
    watches_.push_back(w.get());
    return std::unique_ptr<Watch>(std::move(w));
  }

  void SaveState(WriteDone done) override { Sync(std::move(done)); }
  StoreStatus Status_() override {
    std::lock_guard lock(mutex_);
    StoreStatus s;
    s.applied = s.committed = LogIndex(applied_);
    s.term = Term(1);
    s.freshness = "freshness unproven";
    s.isolation = isolation;
    return s;
  }
  void SampleMetrics() override { ++samples; }
  uint32_t isolation = 0;
  std::atomic<uint64_t> samples{0};  // how often metrics were brought up to date
  Status Verify(const VerifyQuestion& question,
                const std::function<void(const std::string&)>& line) override {
    for (size_t i = 0; i < verify_lines; ++i) line("finding " + std::to_string(i));
    return question.require_fresh ? Status(Code::kFreshnessUnproven) : verify_ends;
  }
  Status ChangeUnlockers(SecretBytes old_passphrase, seal::UnlockerChange change) override {
    std::lock_guard lock(mutex_);
    if (!Equal(old_passphrase.view(), passphrase)) return Code::kWrongPassphrase;
    unlocker_changes.push_back(change.kind);
    if (change.kind == seal::UnlockerChange::Kind::kRemove)
      return change.number == 2 ? Ok() : Status(Code::kNotFound);
    if (change.kind == seal::UnlockerChange::Kind::kReplace) passphrase = ToBytes(change.passphrase.view());
    return Ok();
  }
  std::vector<seal::UnlockerChange::Kind> unlocker_changes;
  Result<std::vector<seal::UnlockerInfo>> ListUnlockers() override {
    return std::vector<seal::UnlockerInfo>{{1, true, {65536, 3}}, {2, false, {}}};
  }

  Result<std::optional<Bytes>> GetSystem(std::string_view key) override {
    std::lock_guard lock(mutex_);
    auto it = system_.find(std::string(key));
    if (it == system_.end()) return std::optional<Bytes>();
    return std::optional<Bytes>(it->second);
  }
  Result<std::vector<Row>> ScanSystem(std::string_view prefix) override {
    std::lock_guard lock(mutex_);
    std::vector<Row> out;
    for (auto& [key, value] : system_) {
      if (key.starts_with(prefix)) out.push_back({ToBytes(key), value});
    }
    return out;
  }
  void PutSystem(std::vector<std::pair<std::string, std::optional<Bytes>>> changes, WriteDone done) override {
    Enqueue(kernel::Wait::kDurable, std::move(done), [this, c = std::move(changes)](WriteReply&) {
      for (auto& [key, value] : c) {
        system_.erase(key);
        if (value) system_[key] = *value;
      }
    });
  }

 private:
  struct FakeSnapshot : Snapshot {
    std::shared_ptr<int> alive;
    LogIndex at;
    std::map<TableId, Rows> rows;
    LogIndex index() const override { return at; }
    Result<std::optional<Bytes>> Get(const TableId& table, ByteView key) override {
      return Find(rows[table], key);
    }
    Result<std::vector<Row>> Scan(const TableId& table, ByteView from, ByteView until, bool reverse,
                                  size_t max_rows, size_t max_bytes) override {
      const Rows& all = rows[table];
      auto begin = all.lower_bound(from), end = until.empty() ? all.end() : all.lower_bound(until);
      std::vector<Row> out;
      size_t bytes = 0;
      while (begin != end && out.size() < max_rows && (out.empty() || bytes < max_bytes)) {
        auto it = reverse ? --end : begin++;
        bytes += it->first.size() + it->second.size();
        out.push_back({it->first, it->second});
      }
      return out;
    }
  };

  struct FakeWatch : Watch {
    FakeWatch(FakeBackend& b, const TableId& t, Bytes p, std::function<void()> r)
        : backend(b), table(t), prefix(std::move(p)), ready(std::move(r)) {}
    ~FakeWatch() override {
      std::lock_guard lock(backend.mutex_);
      std::erase(backend.watches_, this);
    }
    Result<std::vector<WatchEvent>> Take(size_t max) override {
      std::lock_guard lock(backend.mutex_);
      if (ended != Code{}) return ended;
      std::vector<WatchEvent> out;
      while (!queue.empty() && out.size() < max) {
        out.push_back(std::move(queue.front()));
        queue.pop_front();
      }
      return out;
    }
    void Offer(const TableId& t, const WatchEvent& e) {
      if (t != table || e.key.size() < prefix.size() || !Equal(ByteView(e.key).first(prefix.size()), prefix))
        return;
      Push(e);
    }
    void Mark(LogIndex index) { Push({index, true, {}, std::nullopt}); }
    void Push(const WatchEvent& e) {
      if (ended == Code{} && queue.size() >= backend.watch_queue_max) {
        ended = Code::kOverloaded;
        queue.clear();
      }
      if (ended == Code{}) queue.push_back(e);
    }
    FakeBackend& backend;
    TableId table;
    Bytes prefix;
    std::function<void()> ready;
    std::deque<WatchEvent> queue;
    Code ended{};
  };

  struct Command {
    WriteReply reply;
    std::function<void(WriteReply&)> apply;
    WriteDone done;  // empty: answered already
  };

  static std::optional<Bytes> Find(const Rows& rows, ByteView key) {
    auto it = rows.find(key);
    return it == rows.end() ? std::nullopt : std::optional<Bytes>(it->second);
  }

  bool WaitApplied(std::unique_lock<std::mutex>& lock, LogIndex at_least, uint64_t timeout_ms) {
    return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                             [&] { return applied_ >= at_least.value; });
  }

  void Enqueue(kernel::Wait wait, WriteDone done, std::function<void(WriteReply&)> apply) {
    Command c;
    c.apply = std::move(apply);
    c.reply.term = Term(1);
    c.reply.reached = kernel::Wait::kDurable;
    WriteReply early = c.reply;
    {
      std::lock_guard lock(mutex_);
      c.reply.index = early.index = LogIndex(++last_);
      if (wait == kernel::Wait::kDurable) c.done = done;
      queue_.push_back(std::move(c));
    }
    changed_.notify_all();
    early.reached = kernel::Wait::kNone;
    if (wait == kernel::Wait::kNone) done(early);
  }

  void ApplyBatch(const kernel::Batch& b, WriteReply& reply) {
    if (b.session != 0) {
      auto session = sessions_.find(b.session);
      if (session == sessions_.end()) {
        reply.status = Code::kSessionTooOld;
        return;
      }
      if (auto old = session->second.find(b.sequence); old != session->second.end()) {
        reply = old->second;
        return;
      }
    }
    ApplyOnce(b, reply);
    if (b.session != 0) sessions_[b.session][b.sequence] = reply;
  }
  void ApplyOnce(const kernel::Batch& b, WriteReply& reply) {
    for (size_t i = 0; i < b.compares.size(); ++i) {
      const kernel::Compare& c = b.compares[i];
      auto value = Find(rows_[c.table], c.key);
      bool holds = c.kind == kernel::CompareKind::kAbsent ? !value
                   : c.kind == kernel::CompareKind::kPresent
                       ? value.has_value()
                       : value && crypto::Sha256(*value) == c.value_sha256;
      if (holds) continue;
      reply.status = Code::kConflict;
      reply.detail = i;
      return;
    }
    ++applied_batches_;
    for (const kernel::Operation& o : b.operations) {
      Rows& rows = rows_[o.table];
      if (o.kind == kernel::OperationKind::kPut) {
        rows[o.key] = o.value;
        Emit(o.table, {reply.index, false, o.key, o.value});
      } else if (o.kind == kernel::OperationKind::kDelete) {
        rows.erase(o.key);
        Emit(o.table, {reply.index, false, o.key, std::nullopt});
      } else {
        auto end = o.end.empty() ? rows.end() : rows.lower_bound(o.end);
        for (auto it = rows.lower_bound(o.key); it != end; it = rows.erase(it)) {
          Emit(o.table, {reply.index, false, it->first, std::nullopt});
        }
      }
    }
  }
  void Emit(const TableId& table, WatchEvent event) {
    for (auto* w : watches_) w->Offer(table, event);
    history_.emplace_back(table, std::move(event));
  }

  void Main() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return (stopping_ && queue_.empty()) || (!held_ && !queue_.empty()); });
      if (queue_.empty()) return;
      Command c = std::move(queue_.front());
      queue_.pop_front();
      c.apply(c.reply);
      applied_ = std::max(applied_, last_ - queue_.size());
      std::vector<std::function<void()>> ready;
      for (auto* w : watches_) {
        w->Mark(LogIndex(applied_));
        ready.push_back(w->ready);
      }
      lock.unlock();
      changed_.notify_all();
      if (c.done) c.done(c.reply);
      for (auto& r : ready) r();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false, held_ = false;
  uint64_t last_ = 0, applied_ = 0, applied_batches_ = 0, history_from_ = 1;
  std::deque<Command> queue_;
  std::map<std::string, TableInfo> tables_;
  std::map<TableId, Rows> rows_;
  std::map<std::string, Bytes> system_;
  std::map<uint64_t, std::map<uint64_t, WriteReply>> sessions_;
  std::vector<std::pair<TableId, WatchEvent>> history_;
  std::vector<FakeWatch*> watches_;
  std::shared_ptr<int> snapshots_ = std::make_shared<int>(0);
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_FAKE_BACKEND_H_
