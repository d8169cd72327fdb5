#include "core/store/state.h"

#include <algorithm>

#include "core/store/rows.h"
#include "core/store/shared_counts.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

constexpr uint64_t kChangedRowsPerLeaf = 4;  // in a fold: what a leaf costs to rewrite is theirs to share
constexpr size_t kOperationsAhead = 6;       // whose place in the overlay is fetched while this one is made
constexpr size_t kSessionResultsKept = limits::kStreamOpsOutstandingMax;
constexpr size_t kRangeDeleteRowsMax = 1'000'000;  // what one command may hold in memory

bool ReservedTable(const TableId& id) { return IsSystemTable(id); }

Outcome Refuse(Code code, uint64_t detail = 0) { return {code, detail}; }

}  // namespace

const tree::Root View::RootOf(const TableId& table) const {
  const Tables& tables = tag != nullptr ? tag->tables : base->manifest.root.tables;
  auto it = tables.find(table);
  return it == tables.end() ? tree::Root{} : it->second.root;
}

tree::Root View::SharedRootOf(const TableId& table) const {
  const Tables& tables = tag != nullptr ? tag->tables : base->manifest.root.tables;
  auto it = tables.find(table);
  return it == tables.end() ? tree::Root{} : store::SharedRootOf(tables, it->second);
}

Result<View> TagView(const VersionPtr& base, std::string_view tag) {
  auto it = base->manifest.root.tags.find(tag);
  if (it == base->manifest.root.tags.end()) return Code::kNoTag;
  const Tag& t = it->second;
  return View{base, nullptr, std::make_shared<tree::Overlay>(), t.position.index, &t};
}

Result<TableId> FindTableIn(const Tables& tables, std::string_view name) {
  for (const auto& [id, t] : tables) {
    if (!IsSystemTable(id) && !t.descriptor.hidden() && t.descriptor.name == name) return id;
  }
  return Code::kNoTable;
}

std::optional<tree::Overlay::Hit> View::OverlayGet(const TableId& table, ByteView key) const {
  if (auto hit = active->Get(table, key, at.value)) return hit;
  if (frozen != nullptr) return frozen->Get(table, key, at.value);
  return std::nullopt;
}

tree::MergedCursor View::Scan(const TableId& table) const {
  std::vector<const tree::Overlay*> overlays{active.get()};
  if (frozen != nullptr) overlays.push_back(frozen.get());
  return tree::MergedCursor(table, RootOf(table), std::move(overlays), at.value);
}

Result<std::optional<Bytes>> TreeGet(const View& view, const TableId& table, ByteView key,
                                     NodeAccess& nodes) {
  tree::Root root = view.RootOf(table);
  if (root.empty) return std::optional<Bytes>();
  HF_TRY(std::optional<tree::Found> found, Drive(nodes, [&] { return tree::Lookup(root, key, nodes); }));
  if (!found) return std::optional<Bytes>();
  tree::BlobReader reader(found->value, found->value.is_shared ? view.SharedRootOf(table) : tree::Root{});
  HF_TRY(Bytes value, Drive(nodes, [&] { return reader.Run(nodes); }));
  return std::optional<Bytes>(std::move(value));
}

Result<std::optional<Bytes>> ViewGet(const View& view, const TableId& table, ByteView key,
                                     NodeAccess& nodes) {
  if (auto hit = view.OverlayGet(table, key)) {
    if (hit->erased) return std::optional<Bytes>();
    return std::optional<Bytes>(ToBytes(hit->value));
  }
  return TreeGet(view, table, key, nodes);
}

Result<Bytes> RowValue(const View& view, const TableId& table, const tree::MergedCursor::Row& row,
                       NodeAccess& nodes) {
  if (!row.stored) return row.bytes;
  const tree::StoredValue& value = row.stored->value;
  tree::BlobReader reader(value, value.is_shared ? view.SharedRootOf(table) : tree::Root{});
  return Drive(nodes, [&] { return reader.Run(nodes); });
}

State::State(VersionPtr base, seal::Keyring keyring)
    : base_(std::move(base)),
      active_(std::make_shared<tree::Overlay>()),
      keyring_(std::move(keyring)),
      tables_(base_->manifest.root.tables),
      position_(base_->manifest.root.position) {
  for (const auto& [id, table] : tables_) {
    if (!ReservedTable(id) && !table.descriptor.hidden()) by_name_[table.descriptor.name] = id;
    typed_tables_ |= table.descriptor.typed();
  }
  indexes_ = IndexesOf(tables_);
  for (const auto& [name, tag] : base_->manifest.root.tags) {
    TagState& t = tags_[name];
    t.index = tag.position.index;
    for (const auto& [id, table] : tag.tables) t.tables.push_back(id);
  }
  AddPreCommitHook([this](LogIndex at, tree::Overlay& rows) { FlushSessions(at, rows); });
}

Result<std::unique_ptr<State>> State::Open(VersionPtr base, seal::Keyring keyring, const Secrets&,
                                           NodeAccess& nodes) {
  std::unique_ptr<State> s(new State(std::move(base), std::move(keyring)));
  HF_TRY_VOID(s->LoadSessions(nodes));
  return s;
}

std::optional<tree::Overlay::Hit> State::OverlayGet(const TableId& table, ByteView key) const {
  if (auto hit = active_->Get(table, key, position_.index.value)) return hit;
  if (frozen_ != nullptr) return frozen_->Get(table, key, position_.index.value);
  return std::nullopt;
}

tree::Root State::RootOf(const TableId& table) const {
  auto it = base_->manifest.root.tables.find(table);
  return it == base_->manifest.root.tables.end() ? tree::Root{} : it->second.root;
}

const Table* State::FindTable(std::string_view name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tables_.at(it->second);
}

Result<std::pair<TableId, LogIndex>> State::FindIndex(const TableId& table, std::string_view name) const {
  auto it = indexes_.find(table);
  if (it == indexes_.end()) return Code::kNoIndex;
  for (const TableId& id : it->second) {
    if (tables_.at(id).descriptor.name != name) continue;
    auto since = index_since_.find(id);
    return std::pair(id, since == index_since_.end() ? LogIndex() : since->second);
  }
  return Code::kNoIndex;
}

uint64_t State::dirty_bytes_worth_saving() const {
  uint64_t leaves = 0;
  for (const auto& [id, table] : base_->manifest.root.tables) {
    leaves += table.root.rows * 3 / (2 * std::max<uint64_t>(1, table.descriptor.leaf_rows_max));  // 2/3 full
  }
  uint64_t row_bytes = active_->rows() == 0 ? 0 : active_->memory_bytes() / active_->rows();
  return std::clamp<uint64_t>(kChangedRowsPerLeaf * leaves * row_bytes, limits::kOverlayBytesFoldMin,
                              limits::kOverlayBytesFold);
}

uint64_t State::dirty_bytes() const {
  return active_->memory_bytes() + (frozen_ != nullptr ? frozen_->memory_bytes() : 0);
}

// -- sessions (rule H4)

Status State::LoadSessions(NodeAccess& nodes) {
  tree::Root root = CurrentView().RootOf(kSessionsTable);
  if (root.empty) return Ok();
  tree::Cursor cursor(root);
  HF_TRY(bool found, Drive(nodes, [&] { return cursor.SeekTo({}, nodes); }));
  (void)found;
  for (;;) {
    HF_TRY(auto row, Drive(nodes, [&] { return cursor.Next(nodes); }));
    if (!row) return Ok();
    tree::BlobReader reader(row->value);
    HF_TRY(Bytes value, Drive(nodes, [&] { return reader.Run(nodes); }));
    if (row->key.size() != 8) return Code::kMalformed;
    HF_TRY(SessionRow kept, SessionRow::Decode(value));
    Session s{.highest = kept.highest, .last_used = kept.last_used, .results = {}};
    for (const SessionRow::Result& r : kept.results) s.results.push_back({r.sequence, {r.code, r.detail}});
    sessions_.emplace(LoadBig64(row->key.data()), std::move(s));
  }
}

void State::FlushSessions(LogIndex at, tree::Overlay& rows) {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    Session& s = it->second;
    Bytes key(8);
    StoreBig64(key.data(), it->first);
    if (s.last_used.value + limits::kSessionExpiryEntries < at.value) {
      rows.Erase(kSessionsTable, key, at.value);
      it = sessions_.erase(it);
      continue;
    }
    if (s.dirty) {
      SessionRow row{s.highest, s.last_used, {}};
      for (const SessionResult& r : s.results)
        row.results.push_back({r.sequence, r.outcome.code, r.outcome.detail});
      rows.Put(kSessionsTable, key, row.Encode(), at.value);
      s.dirty = false;
    }
    ++it;
  }
}

Outcome State::CheckSession(const kernel::BatchView& batch, bool* repeated) const {
  if (batch.session == 0) return {};
  auto it = sessions_.find(batch.session);
  if (it == sessions_.end()) return Refuse(Code::kSessionTooOld);
  if (batch.sequence > it->second.highest) return {};
  for (const SessionResult& r : it->second.results) {
    if (r.sequence == batch.sequence) {
      *repeated = true;
      return r.outcome;
    }
  }
  return Refuse(Code::kSessionTooOld);
}

void State::RecordSession(const kernel::BatchView& batch, const Outcome& outcome, LogIndex at) {
  auto it = sessions_.find(batch.session);
  if (it == sessions_.end() || outcome.code == Code::kSessionTooOld) return;
  Session& s = it->second;
  s.highest = std::max(s.highest, batch.sequence);
  s.last_used = at;
  s.dirty = true;
  s.results.push_back({batch.sequence, outcome});
  if (s.results.size() > kSessionResultsKept) s.results.pop_front();
}

// -- applying

namespace {

Result<bool> Holds(const kernel::CompareView& c, const View& view, NodeAccess& nodes) {
  HF_TRY(std::optional<Bytes> value, ViewGet(view, c.table, c.key, nodes));
  switch (c.kind) {
    case kernel::CompareKind::kAbsent:
      return !value.has_value();
    case kernel::CompareKind::kPresent:
      return value.has_value();
    case kernel::CompareKind::kEquals:
      return value.has_value() && crypto::Sha256(*value) == c.value_sha256;
  }
  return false;
}

bool InRange(ByteView key, const kernel::OperationView& range) {
  return Compare(key, range.key) >= 0 && (range.end.empty() || Compare(key, range.end) < 0);
}

// The keys of a range as of `view`.
Result<std::vector<Bytes>> KeysIn(const kernel::OperationView& range, const View& view, NodeAccess& nodes) {
  std::vector<Bytes> keys;
  tree::MergedCursor cursor = view.Scan(range.table);
  cursor.SeekTo(range.key);
  for (;;) {
    HF_TRY(auto row, Drive(nodes, [&] { return cursor.Next(nodes); }));
    if (!row || !InRange(row->key, range)) return keys;
    if (keys.size() == kRangeDeleteRowsMax) return Code::kBatchSize;
    keys.push_back(row->key);
  }
}

}  // namespace

Result<State::Prepared> State::Prepare(const journal::Entry& entry, const View& view, NodeAccess& nodes) {
  Prepared p;
  p.entry = &entry;
  if (entry.kind == journal::EntryKind::kBatch) HF_TRY_VOID(PrepareBatch(p, view, nodes));
  if (entry.kind == journal::EntryKind::kCreateTable || entry.kind == journal::EntryKind::kCreateTables)
    HF_TRY_VOID(PrepareCreate(p, view, nodes));
  return p;
}

Status State::PrepareBatch(Prepared& p, const View& view, NodeAccess& nodes) {
  auto batch = kernel::DecodeBatchView(p.entry->payload);
  if (!batch) {
    p.outcome = Refuse(batch.code());
    return Ok();
  }
  p.batch = std::move(batch).value();
  p.outcome = CheckSession(p.batch, &p.repeated);
  if (p.repeated || !p.outcome.ok()) return Ok();
  for (const auto& op : p.batch.operations) {
    auto table = tables_.find(op.table);
    // Again, since whoever proposed it may not have looked (or not known the table yet).
    Status fits = table == tables_.end()               ? Status(Code::kNoTable)
                  : table->second.descriptor.hidden()  ? Status(Code::kNoTable)  // the core's own
                  : table->second.descriptor.transient ? Status(Code::kTransientMixed)
                                                       : CheckTypes(table->second.descriptor, op);
    if (!fits) {
      p.outcome = Refuse(fits.code());
      return Ok();
    }
  }
  for (size_t i = 0; i < p.batch.compares.size(); ++i) {
    auto table = tables_.find(p.batch.compares[i].table);
    if (table == tables_.end() || table->second.descriptor.hidden() || table->second.descriptor.transient) {
      const bool transient = table != tables_.end() && table->second.descriptor.transient;
      p.outcome = Refuse(transient ? Code::kTransientMixed : Code::kNoTable);
      return Ok();
    }
    HF_TRY(bool holds, Holds(p.batch.compares[i], view, nodes));
    if (!holds) {
      p.outcome = Refuse(Code::kConflict, i);
      return Ok();
    }
  }
  for (const auto& op : p.batch.operations) {
    if (op.kind != kernel::OperationKind::kDeleteRange) continue;
    auto keys = KeysIn(op, view, nodes);
    if (!keys) {
      if (keys.code() != Code::kBatchSize) return keys.error();
      p.outcome = Refuse(Code::kBatchSize);
      return Ok();
    }
    p.ranges.push_back(std::move(keys).value());
  }
  if (indexes_.empty()) return Ok();
  Code refused{};
  HF_TRY_VOID(ChangesOf(p.batch, p.ranges, tables_, indexes_, view, nodes, p.index_changes, refused));
  if (refused != Code{}) {
    p.outcome = Refuse(refused);
    p.index_changes.clear();
  }
  return Ok();
}

Outcome State::CommitBatch(const Prepared& p, LogIndex at, std::vector<Change>* changes) {
  auto erase = [&](const TableId& table, ByteView key) {
    active_->Erase(table, key, at.value);
    if (changes != nullptr) changes->push_back({table, key, std::nullopt});
  };
  size_t range = 0;
  for (size_t i = 0; i < p.batch.operations.size(); ++i) {
    const kernel::OperationView& op = p.batch.operations[i];
    if (i + kOperationsAhead < p.batch.operations.size()) {
      const kernel::OperationView& soon = p.batch.operations[i + kOperationsAhead];
      active_->Expect(soon.table, soon.key);
    }
    switch (op.kind) {
      case kernel::OperationKind::kPut:
        active_->Put(op.table, op.key, op.value, at.value);
        if (changes != nullptr) changes->push_back({op.table, op.key, op.value});
        break;
      case kernel::OperationKind::kDelete:
        erase(op.table, op.key);
        break;
      case kernel::OperationKind::kDeleteRange:
        for (const Bytes& key : p.ranges[range]) erase(op.table, key);
        ++range;
        for (size_t k = 0; k < i; ++k) {  // what this batch itself put there before
          const kernel::OperationView& before = p.batch.operations[k];
          if (before.kind == kernel::OperationKind::kPut && before.table == op.table &&
              InRange(before.key, op)) {
            erase(op.table, before.key);
          }
        }
        break;
    }
  }
  return {};
}

bool State::TagShows(const TableId& table) const {
  return std::any_of(tags_.begin(), tags_.end(), [&](const auto& t) {
    return std::binary_search(t.second.tables.begin(), t.second.tables.end(), table);
  });
}

Outcome State::CommitCreateTag(const journal::Entry& entry) {
  auto command = kernel::DecodeCreateTag(entry.payload);
  if (!command) return Refuse(command.code());
  std::string name = ToText(command->name);
  if (tags_.contains(name)) return Refuse(Code::kTagExists);
  size_t tables = tables_.size();
  for (const auto& [other, tag] : tags_)
    tables += tag.index == LogIndex() ? limits::kTablesMax : tag.tables.size();
  if (tags_.size() >= limits::kTagsMax || tables > kTaggedTablesMax - limits::kTablesMax)
    return Refuse(Code::kTooManyTags);
  tags_.emplace(std::move(name), TagState{});
  return {};
}

Outcome State::CommitDropTag(const journal::Entry& entry) {
  auto command = kernel::DecodeDropTag(entry.payload);
  if (!command) return Refuse(command.code());
  auto it = tags_.find(AsText(command->name));
  if (it == tags_.end()) return Refuse(Code::kNoTag);
  TagState dropped = std::move(it->second);
  tags_.erase(it);
  for (const TableId& id : dropped.tables) {
    if (!tables_.contains(id) && !TagShows(id)) keyring_.DropTable(id);
  }
  return {};
}

void State::CommitSavePoint(const journal::LogPosition& at) {
  HF_CHECK(saving_ == nullptr);
  for (const PreCommitHook& hook : hooks_) hook(at.index, *active_);
  for (auto& [name, tag] : tags_) {
    if (tag.index != LogIndex()) continue;
    tag.index = at.index;
    for (const auto& [id, table] : tables_) tag.tables.push_back(id);
  }
  if (ignore_save_points_) return;
  frozen_ = std::move(active_);
  active_ = std::make_shared<tree::Overlay>();
  saving_ = std::make_unique<SavePoint>(SavePoint{at, tables_, {}, frozen_, base_, keyring_.Clone()});
  for (const auto& [name, tag] : tags_) saving_->tags.emplace(name, tag.index);
}

Outcome State::Commit(const Prepared& p, const journal::LogPosition& at, std::vector<Change>* changes) {
  HF_CHECK(at.index == position_.index.next());
  position_ = at;
  const journal::Entry& entry = *p.entry;
  Outcome outcome = p.outcome;
  auto head =
      [&] {  // anchored points are rows of the heads table, so that opening can prove an ancestor (F1)
        Bytes value = HeadRow{at.term, at.chain}.Encode();
        active_->Put(kHeadsTable, HeadsKey(at.index), value, at.index.value);
      };
  switch (entry.kind) {
    case journal::EntryKind::kBatch:
      if (p.repeated) return outcome;
      if (outcome.ok()) outcome = CommitBatch(p, at.index, changes);
      if (outcome.ok()) CommitIndexes(p, at.index);
      if (p.batch.session != 0) RecordSession(p.batch, outcome, at.index);
      return outcome;
    case journal::EntryKind::kCreateTable:
    case journal::EntryKind::kCreateTables:
      if (!outcome.ok()) return outcome;
      CommitCreate(entry, at.index);
      CommitIndexes(p, at.index);
      return outcome;
    case journal::EntryKind::kDropTable:
      return CommitDrop(entry);
    case journal::EntryKind::kCreateTag:
      return CommitCreateTag(entry);
    case journal::EntryKind::kDropTag:
      return CommitDropTag(entry);
    case journal::EntryKind::kSavePoint:
      head();
      CommitSavePoint(at);
      return outcome;
    case journal::EntryKind::kOpened:
    case journal::EntryKind::kClosed:
      head();
      return outcome;
    case journal::EntryKind::kOpenSession:
      if (sessions_.size() >= limits::kSessionsMax) {
        auto oldest = sessions_.begin();
        for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
          if (it->second.last_used < oldest->second.last_used) oldest = it;
        }
        Bytes key(8);
        StoreBig64(key.data(), oldest->first);
        active_->Erase(kSessionsTable, key, at.index.value);
        sessions_.erase(oldest);
      }
      sessions_[at.index.value] = Session{.last_used = at.index, .results = {}, .dirty = true};
      return outcome;
  }
  return Refuse(Code::kUnknownFormat);
}

void State::SaveDone(VersionPtr version) {
  HF_CHECK(saving_ != nullptr);
  for (auto& [id, table] : tables_) {
    auto it = version->manifest.root.tables.find(id);
    if (it != version->manifest.root.tables.end()) table.root = it->second.root;
  }
  base_ = std::move(version);
  frozen_.reset();
  saving_.reset();
}

}  // namespace holdfast::store
