// What sessions ask for: reads, writes, administration. The threads behind them are in engine.cc.
#include <chrono>
#include <set>

#include "core/runtime/engine.h"
#include "core/store/tags.h"
#include "core/tree/patricia_digest.h"
#include "seam/metrics.h"

namespace holdfast::runtime {
namespace {

using sync::MutexLock;
using sync::ReaderLock;

constexpr uint64_t kSaveWaitMs = 600'000;
constexpr size_t kFetchesMax = 8;  // of one get, by its short way: a cache that is far too small ends it

session::WriteReply Refused(Code code) { return {code, {}, {}, kernel::Wait::kNone, 0}; }

uint64_t SteadyMs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

// A view that can end before its owner lets go of it.
struct Engine::Pin {
  Pin(store::View v, uint64_t now_ms) : since_ms(now_ms), view(std::move(v)) {}
  const uint64_t since_ms;
  sync::Mutex mutex{sync::LockName::kState};
  std::optional<store::View> view HF_GUARDED_BY(mutex);
};

class Engine::PinnedSnapshot : public session::Snapshot {
 public:
  PinnedSnapshot(Engine& engine, std::shared_ptr<Pin> pin, LogIndex index)
      : engine_(engine), pin_(std::move(pin)), index_(index) {}
  ~PinnedSnapshot() override {
    MutexLock lock(engine_.pins_mutex_);
    engine_.pins_.remove(pin_);
  }
  LogIndex index() const override { return index_; }
  Result<TableId> FindTable(std::string_view name) override {
    HF_TRY(store::View view, View());
    if (view.tag == nullptr) return Code::kNoTable;
    return store::FindTableIn(view.tag->tables, name);
  }
  Result<std::optional<Bytes>> Get(const TableId& table, ByteView key) override {
    HF_TRY(store::View view, View());
    return engine_.GetFrom(view, table, key);
  }
  Result<std::vector<session::Row>> Scan(const TableId& table, ByteView from, ByteView until, bool reverse,
                                         size_t max_rows, size_t max_bytes) override {
    HF_TRY(store::View view, View());
    session::RowPage page;
    HF_TRY_VOID(engine_.ScanView(view, table, from, until, reverse, max_rows, max_bytes, page));
    std::vector<session::Row> rows;
    rows.reserve(page.size());
    for (size_t i = 0; i < page.size(); ++i) rows.push_back({ToBytes(page.key(i)), ToBytes(page.value(i))});
    return rows;
  }
  Status ScanPage(const TableId& table, ByteView from, ByteView until, bool reverse, size_t max_rows,
                  size_t max_bytes, session::RowPage& page) override {
    HF_TRY(store::View view, View());
    return engine_.ScanView(view, table, from, until, reverse, max_rows, max_bytes, page);
  }

 private:
  Result<store::View> View() {
    MutexLock lock(pin_->mutex);
    if (!pin_->view) return Code::kSnapshotTooOld;
    return *pin_->view;
  }
  Engine& engine_;
  std::shared_ptr<Pin> pin_;
  LogIndex index_;
};

// -- reading

Status Engine::WaitApplied(LogIndex at_least, uint64_t timeout_ms) {
  if (applied_now_.load(std::memory_order_acquire) >= at_least.value) return Ok();
  auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(std::min<uint64_t>(timeout_ms, 3'600'000));
  MutexLock lock(applied_mutex_);
  bool in_time = true;
  while (applied_ < at_least && !stopping_ && fatal_ == 0 && in_time) {
    in_time = applied_wake_.WaitUntil(applied_mutex_, deadline);
  }
  if (applied_ >= at_least) return Ok();
  if (fatal_ != 0) return static_cast<Code>(fatal_.load());
  return stopping_ ? Code::kStopping : Code::kDeadline;
}

Result<std::optional<Bytes>> Engine::GetFrom(const store::View& view, const TableId& table, ByteView key) {
  {
    ReaderLock lock(state_lock_);
    if (auto hit = view.OverlayGet(table, key)) {
      if (hit->erased) return std::optional<Bytes>();
      return std::optional<Bytes>(ToBytes(hit->value));
    }
  }
  ReaderNodes nodes(storage_, view.base, nodes_);
  return store::TreeGet(view, table, key, nodes);
}

// What memory knows: overlays, and nodes that are linked. What it lacks is fetched if `fetch`.
std::optional<std::optional<Bytes>> Engine::GetLinked(const TableId& table, ByteView key, bool fetch) {
  using Answer = std::optional<Bytes>;
  tree::Root root;
  store::VersionPtr version;
  Bytes value;
  tree::NodeRef missing;
  for (size_t tries = 0; tries < kFetchesMax; ++tries) {
    {
      // The version may be replaced meanwhile; its nodes are found by their places, which no other node gets.
      // To read what is missing, it must be held.
      ReaderLock lock(state_lock_);
      if (auto hit = state_->OverlayGet(table, key)) {
        return hit->erased ? Answer() : Answer(ToBytes(hit->value));
      }
      root = state_->RootOf(table);
      if (tries > 0) version = state_->CurrentView().base;
    }
    switch (nodes_.Get(root, key, value, missing)) {
      case SharedNodes::Answer::kFound:
        return Answer(std::move(value));
      case SharedNodes::Answer::kAbsent:
        return Answer();
      case SharedNodes::Answer::kMissing:
        if (!fetch) return std::nullopt;
        if (version != nullptr && !ReaderNodes(storage_, version, nodes_).Fetch(missing)) return std::nullopt;
        break;
      case SharedNodes::Answer::kAskOtherwise:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

Result<std::optional<Bytes>> Engine::Get(const TableId& table, ByteView key, LogIndex at_least,
                                         uint64_t timeout_ms) {
  HF_TRY_VOID(WaitApplied(at_least, timeout_ms));
  if (auto answer = GetLinked(table, key, true)) return std::move(*answer);
  return GetFrom(CurrentView(), table, key);
}

namespace {

// Nodes that are in memory, and no others.
class NodesInMemory : public ReaderNodes {
 public:
  using ReaderNodes::ReaderNodes;
  Status Fetch(const tree::NodeRef&) override {
    missed = true;
    return Code::kCancelled;
  }
  bool missed = false;
};

}  // namespace

std::optional<Result<std::optional<Bytes>>> Engine::GetNow(const TableId& table, ByteView key,
                                                           LogIndex at_least) {
  using Answer = Result<std::optional<Bytes>>;
  if (applied_now_.load(std::memory_order_acquire) < at_least.value) return std::nullopt;
  if (auto answer = GetLinked(table, key, false)) return Answer(std::move(*answer));
  store::View view = CurrentView();
  {
    ReaderLock lock(state_lock_);
    if (auto hit = view.OverlayGet(table, key)) {
      return Answer(hit->erased ? std::optional<Bytes>() : std::optional<Bytes>(ToBytes(hit->value)));
    }
  }
  NodesInMemory nodes(storage_, view.base, nodes_);
  Answer answer = store::TreeGet(view, table, key, nodes);
  if (nodes.missed) return std::nullopt;
  return answer;
}

namespace {

// Rows of one leaf that are no blobs: one copy.
void AddInline(const tree::Node& leaf, size_t from, size_t to, session::RowPage& page) {
  if (from == to) return;
  const uint8_t* begin = leaf.key(from).data();
  ByteView last = *leaf.inline_value(to - 1);
  size_t at = page.AddText({begin, static_cast<size_t>(last.data() + last.size() - begin)});
  for (size_t i = from; i < to; ++i) {
    ByteView key = leaf.key(i), value = *leaf.inline_value(i);
    page.AddRow(at + static_cast<size_t>(key.data() - begin), key.size(),
                at + static_cast<size_t>(value.data() - begin), value.size());
  }
}

// One page of a scan. The overlays are read under the shared lock, one step at a time; nodes and blobs are
// fetched outside it.
class PageScan {
 public:
  PageScan(sync::SharedMutex& state_lock, ReaderNodes& nodes, tree::MergedCursor cursor, size_t max_rows,
           size_t max_bytes, session::RowPage& page)
      : lock_(state_lock),
        nodes_(nodes),
        cursor_(std::move(cursor)),
        max_rows_(max_rows),
        max_bytes_(max_bytes),
        page_(page) {}

  Status Forward(ByteView from, ByteView until) {
    cursor_.SeekTo(from);
    while (!Full()) {
      LetOthersIn();
      auto run = cursor_.NextRun(nodes_);
      if (run.needs() || run.failed()) {
        HF_TRY_VOID(Fetch(run));
      } else if (run.value().from < run.value().to) {
        HF_TRY(bool more, AddRun(run.value(), until));
        if (!more) return Ok();
      } else {
        HF_TRY(bool more, AddRow(cursor_.Next(nodes_),
                                 [&](ByteView key) { return until.empty() || Compare(key, until) < 0; }));
        if (!more) return Ok();
      }
    }
    return Ok();
  }

  Status Backward(ByteView from, ByteView until) {
    if (until.empty()) {
      cursor_.SeekToEnd();
    } else {
      cursor_.SeekTo(until);
    }
    while (!Full()) {
      LetOthersIn();
      HF_TRY(bool more, AddRow(cursor_.Prev(nodes_), [&](ByteView key) { return Compare(key, from) >= 0; }));
      if (!more) return Ok();
    }
    return Ok();
  }

 private:
  static constexpr size_t kRowsPerLock = 1024;

  bool Full() const { return page_.size() >= max_rows_ || page_.bytes() >= max_bytes_; }
  void LetOthersIn() {  // the applier, above all
    if (page_.size() - rows_then_ < kRowsPerLock) return;
    rows_then_ = page_.size();
    lock_.Unlock();
    lock_.Lock();
  }
  template <typename Step>
  Status Fetch(const Step& step) {
    if (step.failed()) return step.error();
    lock_.Unlock();
    Status fetched = nodes_.Fetch(step.need());
    lock_.Lock();
    return fetched;
  }
  Status AddBlob(ByteView key, const tree::StoredValue& value) {
    tree::BlobReader reader(value);
    lock_.Unlock();
    auto bytes = store::Drive(nodes_, [&] { return reader.Run(nodes_); });
    lock_.Lock();
    if (!bytes) return bytes.error();
    page_.Add(key, *bytes);
    return Ok();
  }
  // False: the end of the range.
  Result<bool> AddRun(const tree::MergedCursor::Run& run, ByteView until) {
    const tree::Node& leaf = *run.leaf;
    size_t end = until.empty() ? run.to : std::min(run.to, leaf.LowerBound(until));
    bool more = end == run.to;
    end = std::min(end, run.from + (max_rows_ - page_.size()));
    for (size_t i = run.from; i < end && !Full(); ++i) {
      size_t blob = i;
      while (blob < end && leaf.inline_value(blob)) ++blob;
      AddInline(leaf, i, blob, page_);
      i = blob;
      if (i < end) HF_TRY_VOID(AddBlob(leaf.key(i), leaf.value(i)));
    }
    return more;
  }
  template <typename InRange>
  Result<bool> AddRow(tree::Step<std::optional<tree::MergedCursor::Row>> step, InRange in_range) {
    if (step.needs() || step.failed()) {
      HF_TRY_VOID(Fetch(step));
      return true;
    }
    if (!step.value() || !in_range(step.value()->key)) return false;
    const tree::MergedCursor::Row& row = *step.value();
    if (row.stored && row.stored->value.is_blob) {
      HF_TRY_VOID(AddBlob(row.key, row.stored->value));
    } else {
      page_.Add(row.key, row.stored ? row.stored->value.inline_bytes : ByteView(row.bytes));
    }
    return true;
  }

  sync::ReaderLock lock_;
  ReaderNodes& nodes_;
  tree::MergedCursor cursor_;
  const size_t max_rows_, max_bytes_;
  session::RowPage& page_;
  size_t rows_then_ = 0;
};

}  // namespace

Status Engine::ScanView(const store::View& view, const TableId& table, ByteView from, ByteView until,
                        bool reverse, size_t max_rows, size_t max_bytes, session::RowPage& page) {
  ReaderNodes nodes(storage_, view.base, nodes_);
  page.Clear();
  PageScan scan(state_lock_, nodes, view.Scan(table), max_rows, max_bytes, page);
  return reverse ? scan.Backward(from, until) : scan.Forward(from, until);
}

Result<std::unique_ptr<session::Snapshot>> Engine::TakeSnapshot(LogIndex at_least, uint64_t timeout_ms) {
  HF_TRY_VOID(WaitApplied(at_least, timeout_ms));
  return PinView(CurrentView());
}

Result<std::unique_ptr<session::Snapshot>> Engine::OpenTag(std::string_view tag) {
  HF_TRY(store::View view, store::TagView(CurrentView().base, tag));
  return PinView(std::move(view));
}

Result<std::unique_ptr<session::Snapshot>> Engine::PinView(store::View view) {
  LogIndex index = view.at;
  auto pin = std::make_shared<Pin>(std::move(view), SteadyMs());
  {
    MutexLock lock(pins_mutex_);
    if (pins_.size() >= limits::kPinsMax) return Code::kTooManyPins;
    pins_.push_back(pin);
  }
  return std::unique_ptr<session::Snapshot>(std::make_unique<PinnedSnapshot>(*this, std::move(pin), index));
}

void Engine::ExpirePins() {
  uint64_t now = SteadyMs();
  MutexLock lock(pins_mutex_);
  for (const std::shared_ptr<Pin>& pin : pins_) {
    MutexLock pin_lock(pin->mutex);
    if (now - pin->since_ms > limits::kPinMillisecondsMax) pin->view.reset();
  }
}

void Engine::BoundPins() {
  store::View now = CurrentView();
  MutexLock lock(pins_mutex_);
  // Newest first, so that what is over the bound is kept by the oldest alone.
  std::set<const tree::Overlay*> counted{now.active.get(), now.frozen.get(), nullptr};
  size_t bytes = 0;
  for (auto it = pins_.rbegin(); it != pins_.rend(); ++it) {
    Pin& pin = **it;
    MutexLock pin_lock(pin.mutex);
    if (!pin.view) continue;
    for (const tree::Overlay* o : {pin.view->active.get(), pin.view->frozen.get()}) {
      if (counted.insert(o).second) bytes += o->memory_bytes();
    }
    if (bytes > limits::kPinnedOverlayBytesMax) pin.view.reset();
  }
}

Result<std::unique_ptr<session::Watch>> Engine::StartWatch(const TableId& table, Bytes prefix, LogIndex from,
                                                           std::function<void()> ready) {
  return watches_.Start(table, std::move(prefix), from, std::move(ready));
}

// -- tables and writing

Result<TableId> Engine::FindTable(std::string_view name) {
  ReaderLock lock(state_lock_);
  const store::Table* table = state_->FindTable(name);
  if (table != nullptr) return table->id;
  size_t at = name.rfind('@');
  if (at == name.npos) return Code::kNoTable;
  auto view = store::TagView(state_->CurrentView().base, name.substr(at + 1));
  bool shown = view && store::FindTableIn(view->tag->tables, name.substr(0, at));
  return shown ? Code::kReadOnly : Code::kNoTable;
}

std::vector<session::TableInfo> Engine::ListTables() {
  std::vector<session::TableInfo> tables;
  ReaderLock lock(state_lock_);
  const store::VersionPtr base = state_->CurrentView().base;
  const store::LogicalRoot& saved = base->manifest.root;
  for (const auto& [id, t] : state_->tables()) {
    if (store::IsSystemTable(id)) continue;
    session::TableInfo& info = tables.emplace_back(session::TableInfo{id, t.descriptor, t.root.rows});
    if (t.descriptor.layout != tree::Layout::kPatricia || !saved.tables.contains(id)) continue;
    info.public_root = tree::patricia::TableDigest(store_, id, t.root.rows, t.root.digest);
    info.saved = saved.position.index;
  }
  return tables;
}

void Engine::CreateTable(const tree::Descriptor& descriptor, session::WriteDone done) {
  const std::string& name = descriptor.name;
  if (name.empty() || name.size() > limits::kTableNameBytesMax || !store::ValidUtf8(name))
    return done(Refused(Code::kTableName));
  if (!tree::Descriptor::Decode(descriptor.Encode())) return done(Refused(Code::kInvalidArgument));
  if (FindTable(name)) return done(Refused(Code::kTableExists));
  Epoch epoch;
  {
    ReaderLock lock(state_lock_);
    epoch = state_->keyring().current_epoch();
  }
  kernel::CreateTable command{random_.NewId<TableId>(), epoch, random_.NewKey(), descriptor.Encode()};
  Submit(journal::EntryKind::kCreateTable, kernel::Encode(command), kernel::Wait::kDurable, std::move(done));
}

void Engine::DropTable(std::string_view name, session::WriteDone done) {
  auto table = FindTable(name);
  if (!table) return done(Refused(table.code()));
  Submit(journal::EntryKind::kDropTable, kernel::Encode(kernel::DropTable{*table}), kernel::Wait::kDurable,
         std::move(done));
}

void Engine::Write(kernel::Batch batch, kernel::Wait wait, session::WriteDone done) {
  Status fits = kernel::Check(batch);
  if (!fits) return done(Refused(fits.code()));
  if (!batch.compares.empty() && wait != kernel::Wait::kDurable)
    return done(Refused(Code::kCompareNeedsDurable));
  for (const auto& op : batch.operations) {
    if (store::IsSystemTable(op.table)) return done(Refused(Code::kNoTable));
  }
  for (const auto& c : batch.compares) {
    if (store::IsSystemTable(c.table)) return done(Refused(Code::kNoTable));
  }
  Submit(journal::EntryKind::kBatch, kernel::Encode(batch), wait, std::move(done));
}

void Engine::Sync(session::WriteDone done) {
  if (uint16_t f = fatal_; f != 0) return done(Refused(static_cast<Code>(f)));
  if (stopping_) return done(Refused(Code::kStopping));
  Post(kernel::Sync{Remember(std::move(done))});
}

void Engine::OpenSession(std::string_view client_serial, session::WriteDone done) {
  Submit(journal::EntryKind::kOpenSession, kernel::Encode(kernel::OpenSession{ToBytes(client_serial)}),
         kernel::Wait::kDurable, std::move(done));
}

// -- tags and garbage

// The entry, then the save that makes the tag, or frees what the tag held.
void Engine::CreateTag(std::string_view name, session::WriteDone done) {
  Status good = store::CheckTagName(name);
  if (!good) return done(Refused(good.code()));
  Submit(journal::EntryKind::kCreateTag, kernel::Encode(kernel::CreateTag{ToBytes(name)}),
         kernel::Wait::kDurable, [this, done = std::move(done)](const session::WriteReply& r) {
           if (!r.status) return done(r);
           SaveState(done);
         });
}

void Engine::DropTag(std::string_view name, session::WriteDone done) {
  if (name.empty() || name.size() > limits::kTagNameBytesMax) return done(Refused(Code::kTagName));
  Submit(journal::EntryKind::kDropTag, kernel::Encode(kernel::DropTag{ToBytes(name)}), kernel::Wait::kDurable,
         [this, done = std::move(done)](const session::WriteReply& r) {
           if (!r.status) return done(r);
           SaveState([this, done](const session::WriteReply& saved) {
             if (!saved.status) return done(saved);
             SaveState(done);  // what the first condemned is deleted after the second (D3)
           });
         });
}

std::vector<store::TagInfo> Engine::ListTags() {
  store::VersionPtr base;
  store::State::TagStates known;
  {
    ReaderLock lock(state_lock_);
    base = state_->CurrentView().base;
    known = state_->tags();
  }
  return store::TagsOf(base->manifest, known);
}

Result<store::GarbageReport> Engine::Garbage(bool collect) {
  if (collect) {
    clean_ = true;
    do {
      HF_TRY_VOID(SaveAndWait());
    } while (CurrentView().base->manifest.cleanings_owed > 0);
    // Condemned at one save, deleted after the next, left out of the list by the one after that (D3).
    for (int i = 0; i < 2; ++i) HF_TRY_VOID(SaveAndWait());
  }
  store::VersionPtr base;
  store::State::TagStates known;
  {
    ReaderLock lock(state_lock_);
    base = state_->CurrentView().base;
    known = state_->tags();
  }
  return store::ReportGarbage(base->manifest, known, placement_);
}

Status Engine::Diff(std::string_view from, std::string_view to, std::string_view table,
                    const store::DiffSink& sink) {
  store::VersionPtr base = CurrentView().base;  // holds its segments until we are done
  ReaderNodes nodes(storage_, base, nodes_);
  return store::DiffVersion(*base, from, to, table, nodes, sink);
}

// -- administration

void Engine::SaveState(session::WriteDone done) {
  if (uint16_t f = fatal_; f != 0) return done(Refused(static_cast<Code>(f)));
  if (stopping_) return done(Refused(Code::kStopping));
  Post(kernel::RequestSave{Remember(std::move(done))});
}

Status Engine::SaveAndWait() {
  struct Answer {
    sync::Mutex mutex{sync::LockName::kSave};
    sync::CondVar wake;
    std::optional<Status> status HF_GUARDED_BY(mutex);
  };
  auto answer = std::make_shared<Answer>();  // the answer may come after we have stopped waiting
  SaveState([answer](const session::WriteReply& r) {
    MutexLock lock(answer->mutex);
    answer->status = r.status;
    answer->wake.NotifyOne();
  });
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kSaveWaitMs);
  MutexLock lock(answer->mutex);
  while (!answer->status && answer->wake.WaitUntil(answer->mutex, deadline)) continue;
  return answer->status ? *answer->status : Status(Code::kDeadline);
}

session::StoreStatus Engine::Status_() {
  session::StoreStatus s;
  s.store = store_;
  s.member = member_;
  s.term = term_;
  {
    MutexLock lock(order_mutex_);
    s.kernel = metrics_;
    s.full = full_;
    s.committed = committed_;
  }
  {
    MutexLock lock(applied_mutex_);
    s.applied = applied_;
  }
  {
    ReaderLock lock(state_lock_);
    const store::Manifest& m = state_->CurrentView().base->manifest;
    s.saved = m.root.position.index;
    s.save = m.save;
    s.dirty_bytes = state_->dirty_bytes();
    for (const auto& [number, segment] : m.segments) {
      ++s.segments;
      s.segment_bytes += segment.size;
      s.live_bytes += segment.live_bytes();
    }
  }
  s.cache_bytes = nodes_.memory_bytes();
  s.cache_bytes_max = nodes_.bytes_max();
  if (connections_) s.connections = connections_();
  s.failed = static_cast<Code>(fatal_.load());
  s.freshness = freshness_;
  s.isolation = isolation_;
  return s;
}

void Engine::SampleMetrics() {
  using seam::Metric;
  seam::MetricSet& m = seam::Metrics();
  {
    MutexLock lock(order_mutex_);
    m.Set(Metric::kCommittedIndex, committed_.value);
    m.Set(Metric::kPendingCommands, metrics_.pending_commands);
  }
  {
    ReaderLock lock(state_lock_);
    m.Set(Metric::kSavedIndex, state_->CurrentView().base->manifest.root.position.index.value);
    m.Set(Metric::kDirtyBytes, state_->dirty_bytes());
  }
  m.Set(Metric::kPendingCommandsMax, pending_commands_max_);
  m.Set(Metric::kAppliedIndex, AppliedIndex().value);
  m.Set(Metric::kCacheBytes, nodes_.memory_bytes());
  if (connections_) m.Set(Metric::kConnections, connections_());
  m.Set(Metric::kConnectionsMax, limits::kConnectionsMax);
  m.Set(Metric::kPeerBytesQueuedMax, limits::kPeerBytesQueuedMax);
  SecretMemoryUse secrets = SecretMemoryNow();
  m.Set(Metric::kSecretBytes, secrets.used);
  m.Set(Metric::kSecretBytesMax, secrets.bytes);
  m.Set(Metric::kSecretsOutside, secrets.outside);
  uint64_t missing = 0;
  for (const seam::IsolationInfo& i : seam::IsolationTable()) {
    if ((isolation_ & seam::Bit(i.measure)) == 0) ++missing;
  }
  m.Set(Metric::kIsolation, missing);
  sync::SampleCpu();
}

Status Engine::Verify(bool require_fresh, const std::function<void(const std::string& line)>& line) {
  MutexLock save_lock(save_mutex_);  // slots and segments stand still
  store::VerifyOptions options;
  options.require_fresh = require_fresh;
  // Verify calls them in turn.
  options.hold_writes = [this]() HF_NO_THREAD_SAFETY_ANALYSIS { write_mutex_.Lock(); };
  options.release_writes = [this]() HF_NO_THREAD_SAFETY_ANALYSIS { write_mutex_.Unlock(); };
  if (anchor_ != nullptr) {
    auto anchor = anchor_->Get(store::kAnchorName);
    if (anchor)
      options.anchor = std::move(anchor).value().take();
    else if (anchor.code() != Code::kNotFound)
      return anchor.error();
  }
  store::Secrets secrets{store_, secrets_.master.Clone(), seal::StoreKeys::Derive(secrets_.master, store_),
                         secrets_.unlockers};
  std::vector<store::Finding> findings;
  auto record = storage_.Get(seal::kUnlockersName);
  if (!record || !Equal(record->parse(), secrets.unlockers)) {
    findings.push_back({store::Finding::Kind::kChanged, std::string(seal::kUnlockersName), Code::kTampered,
                        "differs from the record that was opened"});
  }
  HF_TRY(store::VerifyReport report,
         store::VerifyUnlocked(storage_, std::move(secrets), options, std::move(findings)));
  for (const store::Finding& f : report.findings) line(f.Line());
  line(report.freshness.Line());
  line("tables " + std::to_string(report.tables) + ", rows " + std::to_string(report.rows) + ", nodes " +
       std::to_string(report.nodes) + ", segments " + std::to_string(report.segments) + ", frames " +
       std::to_string(report.frames) + ", last index " + std::to_string(report.last_index.value));
  if (report.verdict) return *report.verdict;
  return Ok();
}

Status Engine::ChangePassphrase(SecretBytes old_passphrase, SecretBytes new_passphrase) {
  Bytes record;
  {
    MutexLock save_lock(save_mutex_);
    record = secrets_.unlockers;
  }
  HF_TRY(Key master, seal::Unlock(record, old_passphrase.view()));
  HF_TRY(record, seal::MakeUnlockers(store_, master, new_passphrase.view(), seal::kArgonDefault, random_));
  {
    MutexLock save_lock(save_mutex_);
    secrets_.unlockers = record;
  }
  // Two saves, so that the copies in both slots are of the new record; then the record itself (G1).
  HF_TRY_VOID(SaveAndWait());
  HF_TRY_VOID(SaveAndWait());
  MutexLock save_lock(save_mutex_);
  HF_TRY_VOID(storage_.Put(seal::kUnlockersName, record));
  return storage_.Barrier();
}

Result<std::optional<Bytes>> Engine::GetSystem(std::string_view key) {
  return GetFrom(CurrentView(), store::kSystemTable, AsBytes(key));
}

Result<std::vector<session::Row>> Engine::ScanSystem(std::string_view prefix) {
  std::vector<session::Row> all;
  Bytes from = ToBytes(prefix);
  store::View view = CurrentView();
  for (;;) {
    session::RowPage page;
    HF_TRY_VOID(ScanView(view, store::kSystemTable, from, {}, false, 1000, 16u << 20, page));
    if (page.empty()) return all;
    for (size_t i = 0; i < page.size(); ++i) {
      if (!AsText(page.key(i)).starts_with(prefix)) return all;
      from = ToBytes(page.key(i));
      all.push_back({from, ToBytes(page.value(i))});
    }
    from.push_back(0);
  }
}

void Engine::PutSystem(std::vector<std::pair<std::string, std::optional<Bytes>>> changes,
                       session::WriteDone done) {
  kernel::Batch batch;
  for (auto& [key, value] : changes) {
    kernel::Operation op;
    op.kind = value ? kernel::OperationKind::kPut : kernel::OperationKind::kDelete;
    op.table = store::kSystemTable;
    op.key = ToBytes(key);
    if (value) op.value = std::move(*value);
    batch.operations.push_back(std::move(op));
  }
  Submit(journal::EntryKind::kBatch, kernel::Encode(batch), kernel::Wait::kDurable, std::move(done));
}

}  // namespace holdfast::runtime
