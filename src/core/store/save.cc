#include "core/store/save.h"

#include <algorithm>

#include "base/codec.h"
#include "core/store/segment_sink.h"
#include "core/store/shared_counts.h"
#include "core/tree/fold.h"
#include "core/tree/patricia_fold.h"

namespace holdfast::store {
namespace {

constexpr size_t kPartsPerWorker = 16;  // so that all are busy to the end

// What changes in one table.
struct TableChanges {
  size_t rows = 0;  // about so many
  std::function<std::unique_ptr<tree::ChangeSource>(ByteView from, std::optional<ByteView> until)> between;
};

// One table's changes into its tree.
class TableFold {
 public:
  TableFold(const SaveInput& input, Manifest& manifest, Table& table, const seal::DomainKeys& keys,
            const SegmentSink::Leaving& leaving, Deaths& deaths, const TableChanges& changes)
      : input_(input), manifest_(manifest), table_(table), keys_(keys), deaths_(deaths), changes_(changes) {
    bool many = changes.rows >= input.placement.rows_for_workers && !table.root.empty &&
                table.descriptor.layout == tree::Layout::kBTree;
    size_t workers = many ? input.workers.count() : 1;
    uint32_t first = manifest.next_segment;
    for (size_t w = 0; w < workers; ++w) {
      nodes_.push_back(input.nodes.Of(input.storage, input.point.base));
      sinks_.push_back(std::make_unique<SegmentSink>(
          input, *nodes_.back(), manifest.save, table, keys,
          SegmentSink::Numbers{first + static_cast<uint32_t>(w), static_cast<uint32_t>(workers)}, many));
      sinks_.back()->set_leaving(leaving);
    }
  }
  Status Run() {
    Status done = Fold();
    if (done) done = FinishAll();
    for (auto& sink : sinks_) {
      sink->MergeInto(manifest_, deaths_);
      sink->TakeShared(shared_);
    }
    return done;
  }
  // After Run: what became of the table's shared values, with the counts that `values` has of them.
  Result<std::vector<SharedCount>> SharedCounts(const tree::Root& values) {
    NoWorkers alone;
    Workers& workers = sinks_.size() > 1 ? input_.workers : static_cast<Workers&>(alone);
    return SumShared(std::move(shared_), values, workers,
                     [this](size_t worker) -> NodeAccess& { return *nodes_[worker]; });
  }

 private:
  Status Fold() {
    std::unique_ptr<tree::ChangeSource> changes = changes_.between({}, std::nullopt);
    if (table_.descriptor.layout == tree::Layout::kPatricia) return FoldPatricia(*changes);
    tree::Fold fold(table_.descriptor, table_.root, input_.point.position.index, *changes, *sinks_[0]);
    if (sinks_.size() > 1) HF_TRY_VOID(FoldParts(fold));
    HF_TRY(table_.root, Drive(*nodes_[0], [&] { return fold.Run(*nodes_[0]); }));
    return Ok();
  }

  Status FinishAll() {
    std::vector<Status> finished(sinks_.size());
    input_.workers.Run(sinks_.size(), [&](size_t, size_t i) { finished[i] = sinks_[i]->Finish(); });
    for (Status& s : finished) HF_TRY_VOID(std::move(s));
    return Ok();
  }

  Status FoldPatricia(tree::ChangeSource& changes) {
    auto blinding = tree::patricia::Blinding::Of(keys_);
    tree::patricia::Fold fold(table_.descriptor, table_.root, input_.point.position.index, changes,
                              *sinks_[0], blinding);
    HF_TRY(table_.root, Drive(*nodes_[0], [&] { return fold.Run(*nodes_[0]); }));
    return Ok();
  }

  Status FoldParts(tree::Fold& whole) {
    HF_TRY(std::vector<tree::FoldPlace> places, Drive(*nodes_[0], [&] {
             return tree::PlacesOf(table_.root, kPartsPerWorker * sinks_.size(), *nodes_[0]);
           }));
    struct Job {
      std::unique_ptr<tree::ChangeSource> changes;
      std::optional<tree::PartFold> part;
      Status status;
    };
    std::vector<Job> jobs(places.size());
    input_.workers.Run(places.size(), [&](size_t worker, size_t i) {
      Job& job = jobs[i];
      const tree::FoldPlace& p = places[i];
      std::optional<ByteView> until;
      if (p.until) until = AsBytes(*p.until);
      job.changes = changes_.between(AsBytes(p.from), until);
      job.part.emplace(table_.descriptor, p, input_.point.position.index, *job.changes, *sinks_[worker]);
      auto done = Drive(*nodes_[worker], [&] { return job.part->Run(*nodes_[worker]); });
      if (!done) job.status = done.error();
    });
    for (Job& job : jobs) {
      HF_TRY_VOID(job.status);
      whole.Take(*job.part);
    }
    return Ok();
  }

  const SaveInput& input_;
  Manifest& manifest_;
  Table& table_;
  const seal::DomainKeys& keys_;
  Deaths& deaths_;
  const TableChanges& changes_;
  std::vector<std::unique_ptr<NodeAccess>> nodes_;  // by worker
  std::vector<std::unique_ptr<SegmentSink>> sinks_;
  std::vector<SharedDelta> shared_;
};

// A table and, if it shares values, the table of those: which follows from the first, since nothing else is
// written there.
Status FoldTable(const SaveInput& input, Manifest& m, Table& table, const seal::Keyring& keyring,
                 const SegmentSink::Leaving& leaving, Deaths& deaths) {
  auto keys_of = [&](const Table& t) { return keyring.TableKeys(t.id, t.epoch, t.descriptor.Encode()); };
  const tree::Overlay& overlay = *input.point.changes;
  TableChanges changes{overlay.rows(table.id), [&](ByteView from, std::optional<ByteView> until) {
                         return overlay.Changes(table.id, from, until);
                       }};
  HF_TRY(seal::DomainKeys keys, keys_of(table));
  TableFold fold(input, m, table, keys, leaving, deaths, changes);
  HF_TRY_VOID(fold.Run());
  if (!table.descriptor.values_in) return Ok();
  auto found = m.root.tables.find(*table.descriptor.values_in);
  if (found == m.root.tables.end()) return Code::kMalformed;
  Table& values = found->second;
  HF_TRY(std::vector<SharedCount> counts, fold.SharedCounts(values.root));
  TableChanges of_values{counts.size(), [&](ByteView from, std::optional<ByteView> until) {
                           return ChangesOfValues(counts, from, until);
                         }};
  HF_TRY(seal::DomainKeys values_keys, keys_of(values));
  return TableFold(input, m, values, values_keys, leaving, deaths, of_values).Run();
}

void OweCleaning(Manifest& m) {
  m.cleanings_owed = kCleaningsOwed;
  m.garbage_before = UINT64_MAX;
}

// The tags as of the save point, without those that it makes; they have the tables and places of the base.
void KeepTags(const SaveInput& input, Manifest& m) {
  const Tags& before = input.point.base->manifest.root.tags;
  for (const auto& [name, index] : input.point.tags) {
    if (index == input.point.position.index) continue;
    auto it = before.find(name);
    HF_CHECK(it != before.end() && it->second.position.index == index);
    m.root.tags.emplace(name, it->second);
  }
  for (const auto& [name, tag] : before) {
    if (!m.root.tags.contains(name)) OweCleaning(m);
  }
  TagLine line = m.root.Line();
  if (line.all() == input.point.base->manifest.root.Line().all()) return;
  for (auto& [number, s] : m.segments) s.spans.Rename(line, LogIndex());
}

void MakeTags(const SaveInput& input, Manifest& m) {
  LogIndex here = input.point.position.index;
  bool made = false;
  for (const auto& [name, index] : input.point.tags) {
    if (index != here) continue;
    m.root.tags.emplace(name, Tag{name, m.root.position, m.root.tables});
    made = true;
  }
  if (!made) return;
  TagLine line = m.root.Line();
  for (auto& [number, s] : m.segments) s.spans.Rename(line, here);
}

// What a dropped table leaves: all of it dies.
void DropTables(Manifest& m, const TagLine& line) {
  for (auto& [number, s] : m.segments) {
    if (!m.root.tables.contains(s.table)) s.spans.AllDie(line);
  }
}

// The roots of one table, from the newest to the oldest, each with who sees it.
std::vector<std::pair<LogIndex, Table*>> RootsOf(const TableId& id, LogicalRoot& root) {
  std::vector<std::pair<LogIndex, Table*>> roots;
  if (auto it = root.tables.find(id); it != root.tables.end()) roots.push_back({kNow, &it->second});
  for (auto& [name, tag] : root.tags) {
    if (auto it = tag.tables.find(id); it != tag.tables.end())
      roots.push_back({tag.position.index, &it->second});
  }
  std::stable_sort(roots.begin(), roots.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  return roots;
}

Status CleanTable(const SaveInput& input, Manifest& m, const TableId& id, const std::set<uint32_t>& victims,
                  const VersionPtr& now, NodeAccess& nodes) {
  auto roots = RootsOf(id, m.root);
  if (roots.empty()) return Ok();
  TagLine line = m.root.Line();
  SegmentSink sink(input, nodes, m.save, *roots.front().second, now->keys.at(id), {m.next_segment, 1}, false);
  Cleaner cleaner(
      nodes, m.segments, line, victims,
      [&](tree::EncodedNode node, LogIndex first, LogIndex last) { return sink.EmitFor(node, first, last); });
  Status done;
  for (auto& [seen_by, table] : roots) {
    if (table->root.empty) continue;
    auto moved = cleaner.CleanRoot(table->root.ref, seen_by);
    if (!moved) {
      done = moved.error();
      break;
    }
    table->root.ref = *moved;
  }
  Status finished = sink.Finish();
  Deaths none;
  sink.MergeInto(m, none);
  HF_TRY_VOID(std::move(done));
  return finished;
}

Status CleanTables(const SaveInput& input, Manifest& m, const seal::Keyring& keyring) {
  if (input.clean) OweCleaning(m);
  CleaningPlan plan = PlanCleaning(m, input.placement, m.cleanings_owed > 0);
  if (plan.victims.empty()) {
    m.cleanings_owed = 0;
    m.garbage_before = 0;
    return Ok();
  }
  if (m.cleanings_owed > 0 && (plan.complete || plan.garbage_bytes >= m.garbage_before)) --m.cleanings_owed;
  m.garbage_before = m.cleanings_owed > 0 ? plan.garbage_bytes : 0;
  // Nodes folded in this save are durable only with the slot, but readable: reads go through a version that
  // lists them.
  HF_TRY(VersionPtr now, MakeVersion(m, keyring, input.secrets));
  std::unique_ptr<NodeAccess> nodes = input.nodes.Of(input.storage, now);
  std::set<TableId> tables;
  for (uint32_t v : plan.victims) tables.insert(m.segments.at(v).table);
  for (const TableId& id : tables) HF_TRY_VOID(CleanTable(input, m, id, plan.victims, now, *nodes));
  return Ok();
}

// Segments of an attempt that failed. Its number goes first: the write of it may have succeeded after all.
Status DropLeftovers(const SaveInput& input, SaveNumber save) {
  if (input.leftovers.empty()) return Ok();
  HF_TRY_VOID(TakeNumberAway(input.storage, static_cast<int>(save.value % 2), save, input.opener));
  HF_TRY_VOID(input.storage.Barrier());
  for (const std::string& name : input.leftovers) HF_TRY_VOID(input.storage.Delete(name));
  HF_TRY_VOID(input.storage.Barrier());
  input.leftovers.clear();
  return Ok();
}

}  // namespace

Result<VersionPtr> MakeVersion(Manifest manifest, const seal::Keyring& keyring, const Secrets& secrets) {
  auto version = std::make_shared<TreeVersion>();
  for (const auto& [id, table] : manifest.root.tables) {
    HF_TRY(seal::DomainKeys keys, keyring.TableKeys(id, table.epoch, table.descriptor.Encode()));
    version->keys.emplace(id, std::move(keys));
  }
  for (const auto& [name, tag] : manifest.root.tags) {
    for (const auto& [id, table] : tag.tables) {
      if (version->keys.contains(id)) continue;
      HF_TRY(seal::DomainKeys keys, keyring.TableKeys(id, table.epoch, table.descriptor.Encode()));
      version->keys.emplace(id, std::move(keys));
    }
  }
  version->root_digest = manifest.root.ComputeDigest(secrets.keys.root);
  version->manifest = std::move(manifest);
  return VersionPtr(std::move(version));
}

namespace {

Result<VersionPtr> TrySave(const SaveInput& input) {
  const Manifest& before = input.point.base->manifest;
  Manifest m;
  m.store = before.store;
  m.member = before.member;
  m.save = before.save.next();
  m.frame = input.frame;
  m.next_segment = before.next_segment;
  for (const auto& [number, s] : before.segments) {
    bool gone = s.condemned != SaveNumber() && input.deleted.contains(SegmentName(s.id));
    if (!gone) m.segments.emplace(number, s);
  }
  for (const Group& g : before.groups) {
    if (!input.deleted.contains(GroupName(g.id))) m.groups.push_back(g);
  }
  m.root.store = before.store;
  m.root.position = input.point.position;
  m.root.parent = input.point.base->root_digest;
  m.root.tables = input.point.tables;
  seal::Keyring keyring = input.point.keyring.Clone();
  HF_TRY_VOID(DropLeftovers(input, m.save));
  m.cleanings_owed = before.cleanings_owed;
  m.garbage_before = before.garbage_before;
  KeepTags(input, m);
  TagLine line = m.root.Line();
  Deaths deaths;
  const SegmentSink::Leaving leaving{PlanLeaving(m, input.placement), line};

  for (auto& [id, table] : m.root.tables) {
    auto base = before.root.tables.find(id);
    table.root = base == before.root.tables.end() ? tree::Root{} : base->second.root;
  }
  for (auto& [id, table] : m.root.tables) {
    if (!table.descriptor.values_of) HF_TRY_VOID(FoldTable(input, m, table, keyring, leaving, deaths));
  }
  deaths.TakeFrom(m.segments, line);
  DropTables(m, line);
  MakeTags(input, m);
  HF_TRY_VOID(CleanTables(input, m, keyring));
  for (auto& [number, s] : m.segments) {
    if (s.spans.empty() && s.condemned == SaveNumber()) s.condemned = m.save;
  }
  HF_TRY_VOID(
      WriteSlot(input.storage, m, keyring, input.secrets, input.opener, input.random, input.leftovers));
  input.leftovers.clear();
  return MakeVersion(std::move(m), keyring, input.secrets);
}

}  // namespace

Result<VersionPtr> RunSave(const SaveInput& input) {
  Result<VersionPtr> saved = TrySave(input);
  if (saved) return saved;
  input.nodes.Forget();  // the next attempt uses the same places again
  // Whoever took over deletes what we still read: that is no damage.
  SaveNumber next = input.point.base->manifest.save.next();
  bool taken = saved.code() != Code::kFull &&
               SlotIsTaken(input.storage, static_cast<int>(next.value % 2), input.opener);
  return taken ? Error(Code::kFenced) : saved.error();
}

Result<std::vector<std::string>> DeleteCondemned(seam::Storage& storage, const TreeVersion& version,
                                                 SaveNumber older_slot,
                                                 const std::vector<VersionPtr>& pinned) {
  std::vector<std::string> deleted;
  for (const auto& [number, s] : version.manifest.segments) {
    if (s.condemned == SaveNumber() || s.condemned > older_slot) continue;
    bool held = false;
    for (const VersionPtr& v : pinned) {
      auto it = v->manifest.segments.find(number);
      if (it != v->manifest.segments.end() && it->second.condemned == SaveNumber()) held = true;
    }
    if (held) continue;
    if (deleted.size() == kDeletesPerSaveMax) break;  // the others stay listed: the next save goes on
    deleted.push_back(SegmentName(s.id));
  }
  for (const Group& g : version.manifest.groups) {
    if (g.slot == kNoSlot) deleted.push_back(GroupName(g.id));
  }
  for (const std::string& name : deleted) HF_TRY_VOID(storage.Delete(name));
  return deleted;
}

namespace {

Result<std::vector<seam::ObjectInfo>> PendingBelow(seam::Storage& storage, std::string_view prefix,
                                                   SaveNumber newest) {
  HF_TRY(std::vector<seam::ObjectInfo> objects, seam::ListAll(storage, prefix));
  std::erase_if(objects, [&](const seam::ObjectInfo& o) {
    auto save = SaveOfName(prefix, o.name);
    return !save || *save <= newest;  // alien: verify names it
  });
  return objects;
}

}  // namespace

Result<std::vector<seam::ObjectInfo>> PendingSegments(seam::Storage& storage, SaveNumber newest) {
  return PendingBelow(storage, kSegmentsPrefix, newest);
}

Result<size_t> DeletePending(seam::Storage& storage, SaveNumber newest) {
  size_t deleted = 0;
  for (std::string_view prefix : {kSegmentsPrefix, kGroupsPrefix}) {
    HF_TRY(std::vector<seam::ObjectInfo> pending, PendingBelow(storage, prefix, newest));
    for (const seam::ObjectInfo& o : pending) HF_TRY_VOID(storage.Delete(o.name));
    deleted += pending.size();
  }
  return deleted;
}

Status WriteAnchor(seam::Storage* anchor, const Secrets& secrets, const journal::LogPosition& at,
                   SaveNumber save) {
  if (anchor == nullptr) return Ok();
  seal::Anchor a{secrets.store, at.term, at.index, at.chain, save};
  HF_TRY_VOID(anchor->Put(kAnchorName, a.Encode(secrets.keys.anchor)));
  return anchor->Barrier();
}

}  // namespace holdfast::store
