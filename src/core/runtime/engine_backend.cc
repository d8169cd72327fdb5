// What sessions ask for: writes and administration. Reads are in engine_read.cc, the threads behind both in
// engine.cc.
#include <chrono>

#include "core/runtime/engine.h"
#include "core/store/tags.h"
#include "core/tree/patricia_digest.h"
#include "seam/metrics.h"

namespace holdfast::runtime {
namespace {

using sync::MutexLock;
using sync::ReaderLock;

constexpr uint64_t kSaveWaitMs = 600'000;

session::WriteReply Refused(Code code) { return {code, {}, {}, kernel::Wait::kNone, 0}; }

}  // namespace

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

// Ids and keys are the proposer's to draw (D1).
kernel::CreateTable Engine::CommandFor(const tree::Descriptor& descriptor) {
  Epoch epoch;
  {
    ReaderLock lock(state_lock_);
    epoch = state_->keyring().current_epoch();
  }
  return {random_.NewId<TableId>(), epoch, random_.NewKey(), descriptor.Encode()};
}

session::TableInfo Engine::InfoOf(const TableId& id, const store::Table& table, const store::Tables& all) {
  session::TableInfo info{id, table.descriptor, table.root.rows};
  for (const auto& [index, t] : all) {
    if (!t.descriptor.index || t.descriptor.index->table != id) continue;
    info.indexes.push_back({t.descriptor.name, t.descriptor.index->pointer, t.descriptor.index->unique});
  }
  if (!table.descriptor.transient) return info;
  ReaderLock lock(transient_lock_);
  info.rows = transient_.rows(id);
  return info;
}

std::vector<session::TableInfo> Engine::ListTables() {
  std::vector<session::TableInfo> tables;
  ReaderLock lock(state_lock_);
  const store::VersionPtr base = state_->CurrentView().base;
  const store::LogicalRoot& saved = base->manifest.root;
  for (const auto& [id, t] : state_->tables()) {
    if (store::IsSystemTable(id) || t.descriptor.hidden()) continue;
    session::TableInfo& info = tables.emplace_back(InfoOf(id, t, state_->tables()));
    if (t.descriptor.layout != tree::Layout::kPatricia || !saved.tables.contains(id)) continue;
    info.public_root = tree::patricia::TableDigest(store_, id, t.root.rows, t.root.digest);
    info.saved = saved.position.index;
  }
  return tables;
}

Result<session::TableInfo> Engine::Describe(std::string_view table, std::string_view tag) {
  ReaderLock lock(state_lock_);
  const store::Table* found = tag.empty() ? state_->FindTable(table) : nullptr;
  if (found != nullptr) return InfoOf(found->id, *found, state_->tables());
  size_t at = table.rfind('@');
  if (tag.empty() && at == table.npos) return Code::kNoTable;
  std::string_view name = tag.empty() ? table.substr(0, at) : table;
  auto view = store::TagView(state_->CurrentView().base, tag.empty() ? table.substr(at + 1) : tag);
  if (!view) return tag.empty() ? Error(Code::kNoTable) : view.error();
  HF_TRY(TableId id, store::FindTableIn(view->tag->tables, name));
  session::TableInfo info = InfoOf(id, view->tag->tables.at(id), view->tag->tables);
  if (info.descriptor.transient) info.rows = 0;
  return info;
}

void Engine::CreateTable(const tree::Descriptor& descriptor, session::WriteDone done) {
  if (descriptor.values_in) return CreateTableWith(descriptor, {}, std::move(done));
  const std::string& name = descriptor.name;
  if (name.empty() || name.size() > limits::kTableNameBytesMax || !store::ValidUtf8(name))
    return done(Refused(Code::kTableName));
  if (!tree::Descriptor::Decode(descriptor.Encode())) return done(Refused(Code::kInvalidArgument));
  if (FindTable(name)) return done(Refused(Code::kTableExists));
  Submit(journal::EntryKind::kCreateTable, kernel::Encode(CommandFor(descriptor)), kernel::Wait::kDurable,
         std::move(done));
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
  Status typed = CheckTypesOf(batch);
  if (!typed) return done(Refused(typed.code()));
  auto transient = AllTransient(batch);
  if (!transient) return done(Refused(transient.code()));
  if (*transient) return done(WriteTransient(std::move(batch)));
  Submit(journal::EntryKind::kBatch, kernel::Encode(batch), wait, std::move(done));
}

// So that what cannot be applied costs no place in the log. A table that is not there yet, or not any more,
// is looked at when the batch is applied.
Status Engine::CheckTypesOf(const kernel::Batch& batch) {
  if (!typed_tables_.load(std::memory_order_relaxed)) return Ok();
  tree::Descriptor table;
  TableId known;
  for (const kernel::Operation& op : batch.operations) {
    if (op.table != known) {
      ReaderLock lock(state_lock_);
      auto it = state_->tables().find(op.table);
      table = it == state_->tables().end() ? tree::Descriptor() : it->second.descriptor;
      known = op.table;
    }
    HF_TRY_VOID(store::CheckTypes(table, op));
  }
  return Ok();
}

void Engine::Sync(session::WriteDone done) {
  if (uint16_t f = fatal_; f != 0) return done(Refused(static_cast<Code>(f)));
  if (stopping_) return done(Refused(Code::kStopping));
  Post(kernel::Sync{Remember(std::move(done))}, CallerOfClient());
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
    for (size_t n = store::SavesToDelete(CurrentView().base->manifest); n > 0; --n)
      HF_TRY_VOID(SaveAndWait());
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
  Post(kernel::RequestSave{Remember(std::move(done))}, CallerOfClient());
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
    s.anchor = store::ShortAnchor(anchor_key_, m);
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
  SampleProviders();
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
  {
    ReaderLock lock(transient_lock_);
    m.Set(Metric::kTransientBytes, transient_.bytes());
    m.Set(Metric::kTransientBytesMax, transient_.bytes_max());
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

Status Engine::Verify(const session::VerifyQuestion& question,
                      const std::function<void(const std::string& line)>& line) {
  MutexLock save_lock(save_mutex_);  // slots and segments stand still
  store::VerifyOptions options;
  options.require_fresh = question.require_fresh;
  options.workers = &save_workers_;
  // Verify calls them in turn.
  options.hold_writes = [this]() HF_NO_THREAD_SAFETY_ANALYSIS { write_mutex_.Lock(); };
  options.release_writes = [this]() HF_NO_THREAD_SAFETY_ANALYSIS { write_mutex_.Unlock(); };
  if (question.anchor) {
    options.anchor = question.anchor;
    options.anchor_name = "given";
  } else if (anchor_ != nullptr) {
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
  line("anchor " + report.short_anchor);
  line("tables " + std::to_string(report.tables) + ", rows " + std::to_string(report.rows) + ", nodes " +
       std::to_string(report.nodes) + ", segments " + std::to_string(report.segments) + ", frames " +
       std::to_string(report.frames) + ", last index " + std::to_string(report.last_index.value));
  if (report.verdict) return *report.verdict;
  return Ok();
}

Result<std::vector<seal::UnlockerInfo>> Engine::ListUnlockers() {
  MutexLock save_lock(save_mutex_);
  return seal::ListUnlockers(secrets_.unlockers);
}

Status Engine::ChangeUnlockers(SecretBytes passphrase, seal::UnlockerChange change) {
  Bytes before;
  {
    MutexLock save_lock(save_mutex_);
    before = secrets_.unlockers;
  }
  HF_TRY(Bytes record,
         seal::ChangeUnlockers(before, passphrase.view(), change, seal::kArgonDefault, random_));
  {
    MutexLock save_lock(save_mutex_);
    if (secrets_.unlockers != before)
      return Code::kConflict;  // another change in the seconds of the derivation
    secrets_.unlockers = record;
  }
  // Two saves, so that the copies in both slots are of the new record; then the record itself (G1).
  HF_TRY_VOID(SaveAndWait());
  HF_TRY_VOID(SaveAndWait());
  MutexLock save_lock(save_mutex_);
  // What is there now: a later change may have overtaken this one.
  HF_TRY_VOID(storage_.Put(seal::kUnlockersName, secrets_.unlockers));
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
