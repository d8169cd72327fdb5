#include "core/store/tags.h"

#include <algorithm>
#include <set>

#include "core/store/opener.h"
#include "core/store/shared_counts.h"

namespace holdfast::store {

bool ValidUtf8(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    auto c = static_cast<unsigned char>(s[i]);
    int n = c < 0x80 ? 0 : (c & 0xE0) == 0xC0 ? 1 : (c & 0xF0) == 0xE0 ? 2 : (c & 0xF8) == 0xF0 ? 3 : -1;
    if (n < 0 || i + static_cast<size_t>(n) >= s.size() + (n == 0 ? 1 : 0)) return false;
    uint32_t point = n == 0 ? c : c & (0x3Fu >> n);
    for (int k = 1; k <= n; ++k) {
      auto d = static_cast<unsigned char>(s[i + static_cast<size_t>(k)]);
      if ((d & 0xC0) != 0x80) return false;
      point = point << 6 | (d & 0x3F);
    }
    static constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (point < kLeast[n] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
    i += static_cast<size_t>(n) + 1;
  }
  return true;
}

Status CheckTagName(std::string_view name) {
  bool good = !name.empty() && name.size() <= limits::kTagNameBytesMax && name != kNowTag && ValidUtf8(name);
  return good ? Ok() : Status(Code::kTagName);
}

std::vector<TagInfo> TagsOf(const Manifest& manifest, const State::TagStates& known) {
  std::map<LogIndex, std::pair<uint64_t, uint64_t>> held;  // by tag: alone, deadlist
  for (const auto& [number, s] : manifest.segments) {
    for (const Span& span : s.spans.items()) {
      if (span.last == kNow) continue;
      held[span.last].second += span.bytes;
      if (span.first == span.last) held[span.last].first += span.bytes;
    }
  }
  std::vector<TagInfo> tags;
  for (const auto& [name, state] : known) {
    TagInfo& info = tags.emplace_back();
    info.name = name;
    auto it = manifest.root.tags.find(name);
    if (it == manifest.root.tags.end() || it->second.position.index != state.index) continue;
    info.index = state.index;
    for (const auto& [id, table] : it->second.tables) {
      if (IsSystemTable(id) || table.descriptor.hidden()) continue;
      ++info.tables;
      info.rows += table.root.rows;
    }
    std::tie(info.alone_bytes, info.deadlist_bytes) = held[info.index];
  }
  // Those of one save share what they hold: dropping one of them frees nothing.
  std::map<LogIndex, int> at;
  for (const TagInfo& t : tags) ++at[t.index];
  for (TagInfo& t : tags) t.alone_bytes = at[t.index] > 1 ? 0 : t.alone_bytes;
  return tags;
}

Result<std::vector<TagTable>> TablesOfTag(const Manifest& manifest, std::string_view tag) {
  auto it = manifest.root.tags.find(tag);
  if (it == manifest.root.tags.end()) return Code::kNoTag;
  std::vector<TagTable> tables;
  for (const auto& [id, t] : it->second.tables) {
    if (!IsSystemTable(id) && !t.descriptor.hidden()) tables.push_back({t.descriptor.name, t.root.rows});
  }
  std::sort(tables.begin(), tables.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return tables;
}

GarbageReport ReportGarbage(const Manifest& manifest, const State::TagStates& known,
                            const Placement& placement) {
  GarbageReport r;
  CleaningPlan plan = PlanCleaning(manifest, placement, /*thorough=*/true);
  r.save = manifest.save;
  r.victims = plan.victims.size();
  r.moved_bytes = plan.moved_bytes;
  r.freed_bytes = plan.freed_bytes;
  r.garbage_bytes = plan.garbage_bytes;
  r.cleanings_owed = manifest.cleanings_owed;
  for (const auto& [number, s] : manifest.segments) {
    uint64_t live = s.spans.live(), tagged = s.live_bytes() - live;
    bool condemned = s.condemned != SaveNumber();
    ++r.segments;
    r.bytes += s.size;
    r.live_bytes += live;
    r.tagged_bytes += tagged;
    if (condemned) {
      ++r.condemned_segments;
      r.condemned_bytes += s.size;
    }
    r.list.push_back({SegmentName(s.id), s.size, live, tagged, condemned, plan.victims.contains(number)});
  }
  std::stable_sort(r.list.begin(), r.list.end(), [](const auto& a, const auto& b) {
    return (a.live_bytes + a.tagged_bytes) * b.bytes < (b.live_bytes + b.tagged_bytes) * a.bytes;
  });
  if (r.list.size() > GarbageReport::kSegmentsShown) r.list.resize(GarbageReport::kSegmentsShown);
  r.tags = TagsOf(manifest, known);
  return r;
}

size_t SavesToDelete(const Manifest& manifest) {
  auto condemned = std::count_if(manifest.segments.begin(), manifest.segments.end(),
                                 [](const auto& s) { return s.second.condemned != SaveNumber(); });
  return 2 + static_cast<size_t>(condemned) / kDeletesPerSaveMax;
}

// -- diff

namespace {

Result<const Tables*> TablesAt(const TreeVersion& version, std::string_view tag) {
  if (tag == kNowTag) return &version.manifest.root.tables;
  auto it = version.manifest.root.tags.find(tag);
  if (it == version.manifest.root.tags.end()) return Code::kNoTag;
  return &it->second.tables;
}

// A table, and that of its shared values.
struct Shown {
  TableId id;
  tree::Root root, shared;
};
using NamedTables = std::map<std::string, Shown, std::less<>>;

NamedTables ByName(const Tables& tables) {
  NamedTables named;
  for (const auto& [id, t] : tables) {
    if (!IsSystemTable(id) && !t.descriptor.hidden())
      named.emplace(t.descriptor.name, Shown{id, t.root, SharedRootOf(tables, t)});
  }
  return named;
}

Result<std::optional<Bytes>> ValueOf(const std::optional<tree::Found>& found, const tree::Root& shared,
                                     NodeAccess& nodes) {
  if (!found) return std::optional<Bytes>();
  tree::BlobReader reader(found->value, shared);
  HF_TRY(Bytes value, Drive(nodes, [&] { return reader.Run(nodes); }));
  return std::optional<Bytes>(std::move(value));
}

// Rows of two tables that are not one: each is read whole, since nothing of them can be equal by address.
class TwoTables {
 public:
  TwoTables(const Shown& before, const Shown& after) : before_(before), after_(after) {}
  Result<std::optional<DiffRow>> Next(NodeAccess& nodes) {
    for (;;) {
      HF_TRY_VOID(before_.Fill(nodes));
      HF_TRY_VOID(after_.Fill(nodes));
      if (!before_.row && !after_.row) return std::optional<DiffRow>();
      int order = !before_.row ? 1 : !after_.row ? -1 : Compare(before_.row->key, after_.row->key);
      DiffRow out;
      if (order <= 0) {
        out.key = before_.row->key;
        HF_TRY(out.before, ValueOf(before_.row->after, before_.shared, nodes));
        before_.row.reset();
      }
      if (order >= 0) {
        out.key = after_.row->key;
        HF_TRY(out.after, ValueOf(after_.row->after, after_.shared, nodes));
        after_.row.reset();
      }
      if (out.before != out.after) return std::optional<DiffRow>(std::move(out));
    }
  }

 private:
  struct Side {
    explicit Side(const Shown& table) : shared(table.shared), rows(tree::Root{}, table.root) {}
    Status Fill(NodeAccess& nodes) {
      if (row || ended) return Ok();
      HF_TRY(row, Drive(nodes, [&] { return rows.Next(nodes); }));
      ended = !row;
      return Ok();
    }
    const tree::Root shared;
    tree::Diff rows;
    std::optional<tree::Diff::Change> row;
    bool ended = false;
  };
  Side before_, after_;
};

// False: the sink has had enough.
Result<bool> DiffTable(const std::string& name, const Shown* before, const Shown* after, NodeAccess& nodes,
                       const DiffSink& sink) {
  const Shown nothing;
  if (before != nullptr && after != nullptr && before->id != after->id) {
    TwoTables rows(*before, *after);
    for (;;) {
      HF_TRY(std::optional<DiffRow> row, rows.Next(nodes));
      if (!row) return true;
      row->table = name;
      if (!sink(std::move(*row))) return false;
    }
  }
  if (before == nullptr) before = &nothing;
  if (after == nullptr) after = &nothing;
  tree::Diff diff(before->root, after->root);
  for (;;) {
    HF_TRY(auto change, Drive(nodes, [&] { return diff.Next(nodes); }));
    if (!change) return true;
    DiffRow row{name, std::move(change->key), {}, {}};
    HF_TRY(row.before, ValueOf(change->before, before->shared, nodes));
    HF_TRY(row.after, ValueOf(change->after, after->shared, nodes));
    if (row.before == row.after) continue;  // a blob that was written again
    if (!sink(std::move(row))) return false;
  }
}

}  // namespace

Status DiffVersion(const TreeVersion& version, std::string_view from, std::string_view to,
                   std::string_view table, NodeAccess& nodes, const DiffSink& sink) {
  HF_TRY(const Tables* before_tables, TablesAt(version, from));
  HF_TRY(const Tables* after_tables, TablesAt(version, to));
  NamedTables before = ByName(*before_tables), after = ByName(*after_tables);
  std::set<std::string> names;
  for (const auto* tables : {&before, &after}) {
    for (const auto& [name, t] : *tables) {
      if (table.empty() || name == table) names.insert(name);
    }
  }
  if (!table.empty() && names.empty()) return Code::kNoTable;
  for (const std::string& name : names) {
    auto b = before.find(name), a = after.find(name);
    HF_TRY(bool more, DiffTable(name, b == before.end() ? nullptr : &b->second,
                                a == after.end() ? nullptr : &a->second, nodes, sink));
    if (!more) return Ok();
  }
  return Ok();
}

// -- a store that nobody serves

namespace {

constexpr size_t kToolCacheBytes = 16u << 20;
constexpr int kCollectingSavesMax = 1'000'000;  // each lessens the garbage: only a fault gets so far

journal::Entry SavePointEntry() {
  return {journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})};
}

struct ReadOnly {
  Reading reading;
  NodeCache cache{kToolCacheBytes};
  std::unique_ptr<State> state;
  Status Open(seam::Storage& storage, ByteView passphrase) {
    HF_TRY_VOID(ReadStore(storage, passphrase, {}, false, reading));
    HF_TRY(state, ReplayReadOnly(storage, reading, cache));
    return Ok();
  }
};

// Opens, appends frames of entries, closes. The first entry's outcome decides: refused, nothing else is done.
struct Writing {
  seam::Storage& storage;
  seam::Storage* anchor;
  crypto::Random& random;
  NodeCache cache{kToolCacheBytes};
  std::unique_ptr<OpenedStore> store;

  Status Open(ByteView passphrase) {
    HF_TRY(store, OpenStore(storage, anchor, passphrase, {}, random, nullptr));
    return Ok();
  }
  Status Append(const std::vector<journal::Entry>& entries) {
    std::vector<Outcome> outcomes;
    HF_TRY_VOID(
        AppendInline(storage, anchor, *store, journal::FrameKind::kWave, entries, cache, random, &outcomes));
    return outcomes.at(0).ok() ? Ok() : Status(outcomes[0].code);
  }
  Status Close() { return CloseInline(storage, anchor, *store, cache, random); }
  const Manifest& manifest() const { return store->state->CurrentView().base->manifest; }
};

}  // namespace

Result<std::vector<TagInfo>> ListTags(seam::Storage& storage, ByteView passphrase) {
  ReadOnly r;
  HF_TRY_VOID(r.Open(storage, passphrase));
  return TagsOf(r.reading.slots.manifest(), r.state->tags());
}

Result<LogIndex> CreateTag(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                           std::string_view name, crypto::Random& random) {
  HF_TRY_VOID(CheckTagName(name));
  Writing w{storage, anchor, random, NodeCache(kToolCacheBytes), nullptr};
  HF_TRY_VOID(w.Open(passphrase));
  journal::Entry create{journal::EntryKind::kCreateTag, Term(),
                        kernel::Encode(kernel::CreateTag{ToBytes(name)})};
  Status made = w.Append({create, SavePointEntry()});
  LogIndex index = w.manifest().root.position.index;
  Status closed = w.Close();
  HF_TRY_VOID(std::move(made));
  HF_TRY_VOID(std::move(closed));
  return index;
}

Status DropTag(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase, std::string_view name,
               crypto::Random& random) {
  Writing w{storage, anchor, random, NodeCache(kToolCacheBytes), nullptr};
  HF_TRY_VOID(w.Open(passphrase));
  journal::Entry drop{journal::EntryKind::kDropTag, Term(), kernel::Encode(kernel::DropTag{ToBytes(name)})};
  Status dropped = w.Append({drop, SavePointEntry()});
  if (dropped) dropped = w.Append({SavePointEntry()});  // what the drop condemned is deleted after it (D3)
  Status closed = w.Close();
  HF_TRY_VOID(std::move(dropped));
  return closed;
}

Result<GarbageReport> InspectGarbage(seam::Storage& storage, ByteView passphrase) {
  ReadOnly r;
  HF_TRY_VOID(r.Open(storage, passphrase));
  const Manifest& m = r.reading.slots.manifest();
  GarbageReport report = ReportGarbage(m, r.state->tags(), {});
  HF_TRY(std::vector<seam::ObjectInfo> pending, PendingSegments(storage, m.save));
  for (const seam::ObjectInfo& o : pending) {
    ++report.pending_segments;
    report.pending_bytes += o.size_bytes;
  }
  return report;
}

Result<GarbageReport> CollectGarbage(seam::Storage& storage, seam::Storage* anchor, ByteView passphrase,
                                     crypto::Random& random) {
  Writing w{storage, anchor, random, NodeCache(kToolCacheBytes), nullptr};
  HF_TRY_VOID(w.Open(passphrase));
  w.store->clean = true;
  Status done = w.Append({SavePointEntry()});
  for (int i = 0; done && w.manifest().cleanings_owed > 0 && i < kCollectingSavesMax; ++i)
    done = w.Append({SavePointEntry()});
  for (size_t n = SavesToDelete(w.manifest()); done && n > 0; --n) done = w.Append({SavePointEntry()});
  GarbageReport report = ReportGarbage(w.manifest(), w.store->state->tags(), w.store->placement);
  Status closed = w.Close();
  HF_TRY_VOID(std::move(done));
  HF_TRY_VOID(std::move(closed));
  return report;
}

Status DiffTags(seam::Storage& storage, ByteView passphrase, std::string_view from, std::string_view to,
                std::string_view table, const DiffSink& sink) {
  ReadOnly r;
  HF_TRY_VOID(ReadStore(storage, passphrase, {}, false, r.reading));
  VersionNodes nodes(storage, r.reading.version, r.cache);
  return DiffVersion(*r.reading.version, from, to, table, nodes, sink);
}

}  // namespace holdfast::store
