// What store's tests stand on: one store over any storage, written by one thread, and an oracle of what it
// must hold.
#ifndef HOLDFAST_CORE_STORE_STORE_RIG_INTERNAL_H_
#define HOLDFAST_CORE_STORE_STORE_RIG_INTERNAL_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/store/offline.h"
#include "core/store/opener.h"
#include "host/kv/memory.h"

namespace holdfast::store {

inline constexpr std::string_view kPassphrase = "correct horse battery staple";
inline constexpr crypto::Argon2Parameters kArgonTest{limits::kArgonMemoryKiBMin, 1};

using Rows = std::map<std::string, std::string>;
using Oracle = std::map<std::string, Rows>;  // by table name

inline std::string Show(const std::vector<Finding>& findings) {
  std::string s;
  for (const Finding& f : findings) s += "\n  " + f.Line();
  return s;
}

inline std::string TestValue(crypto::SeededRandom& random, size_t bytes) {
  std::string s(bytes, 0);
  uint64_t x = random.Next();
  for (char& c : s) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(x >> 56);
  }
  return s;
}

// All rows of all named tables, as a reader of the view sees them.
inline Result<Oracle> ReadRows(const View& view, const store::Tables& tables, NodeAccess& nodes) {
  Oracle all;
  for (const auto& [id, table] : tables) {
    if (IsSystemTable(id) || table.descriptor.values_of) continue;
    Rows& rows = all[table.descriptor.name];
    tree::MergedCursor cursor = view.Scan(id);
    for (;;) {
      HF_TRY(auto row, Drive(nodes, [&] { return cursor.Next(nodes); }));
      if (!row) break;
      HF_TRY(Bytes value, RowValue(view, id, *row, nodes));
      rows[ToText(row->key)] = ToText(value);
    }
  }
  return all;
}
inline Result<Oracle> ReadRows(const State& state, NodeAccess& nodes) {
  return ReadRows(state.CurrentView(), state.tables(), nodes);
}

inline void ExpectSameRows(const Oracle& found, const Oracle& expected, const std::string& when) {
  EXPECT_EQ(found.size(), expected.size()) << when << ": number of tables";
  for (const auto& [name, rows] : expected) {
    auto it = found.find(name);
    ASSERT_TRUE(it != found.end()) << when << ": table " << name << " is not there";
    EXPECT_EQ(it->second.size(), rows.size()) << when << ": rows of " << name;
    EXPECT_TRUE(it->second == rows) << when << ": contents of " << name;
  }
}

// All that lies in a storage, to tamper with, to keep and to put back.
using Image = std::map<std::string, Bytes>;

inline Image ImageOf(seam::Storage& storage) {
  Image image;
  std::vector<seam::ObjectInfo> all = seam::ListAll(storage, "").value();
  for (const seam::ObjectInfo& o : all) image[o.name] = storage.Get(o.name).value().take();
  return image;
}
inline std::unique_ptr<host::MemoryStorage> DiskOf(
    const Image& image, seam::Capabilities capabilities = host::MemoryStorage::AllCapabilities()) {
  auto disk = std::make_unique<host::MemoryStorage>(capabilities);
  for (const auto& [name, bytes] : image) EXPECT_TRUE(disk->Put(name, bytes)) << name;
  return disk;
}
inline uint64_t BytesOf(const Image& image) {
  uint64_t n = 0;
  for (const auto& [name, bytes] : image) n += bytes.size();
  return n;
}

struct Rig {
  host::MemoryStorage own_disk, anchor;
  seam::Storage* disk = &own_disk;
  bool anchored = true;
  crypto::SeededRandom random{1};
  NodeCache cache{8u << 20};
  std::unique_ptr<OpenedStore> s;
  Oracle oracle;
  std::map<std::string, Oracle> tags;  // what each must show
  OpenOptions options{.journal_file_bytes = 64u << 10};
  std::vector<Finding> findings;  // of a failed opening
  std::vector<Outcome> outcomes;  // of the last append
  StoreId id;

  seam::Storage* anchor_or_null() { return anchored ? &anchor : nullptr; }

  Status Init(std::vector<std::pair<std::string, Bytes>> rows = {}) {
    id = random.NewId<StoreId>();
    HF_TRY(InitResult made,
           InitStore(*disk, id, AsBytes(kPassphrase), {kArgonTest, std::move(rows)}, random));
    return anchored ? anchor.Put(kAnchorName, made.encoded_anchor) : Ok();
  }
  Status Open(std::string_view passphrase = kPassphrase) {
    findings.clear();
    cache = NodeCache(8u << 20);
    HF_TRY(s, OpenStore(*disk, anchor_or_null(), AsBytes(passphrase), options, random, &findings));
    return Ok();
  }
  Status Close() {
    Status done = CloseInline(*disk, anchor_or_null(), *s, cache, random);
    s.reset();
    return done;
  }
  // The process dies between two operations.
  void Kill() { s.reset(); }

  Status Append(const std::vector<journal::Entry>& entries) {
    outcomes.clear();
    return AppendInline(*disk, anchor_or_null(), *s, journal::FrameKind::kWave, entries, cache, random,
                        &outcomes);
  }
  static journal::Entry EntryOf(const kernel::Batch& batch) {
    return {journal::EntryKind::kBatch, Term(), kernel::Encode(batch)};
  }
  Status CreateTable(const std::string& name, tree::Descriptor descriptor = {}) {
    descriptor.name = name;
    kernel::CreateTable c{random.NewId<TableId>(), Epoch(1), random.NewKey(), descriptor.Encode()};
    HF_TRY_VOID(Append({{journal::EntryKind::kCreateTable, Term(), kernel::Encode(c)}}));
    if (outcomes.at(0).ok()) oracle[name];
    return Ok();
  }
  // One that shares values, with the table of those.
  Status CreateSharing(const std::string& name, tree::Descriptor descriptor = {}) {
    tree::Descriptor values;
    values.leaf_rows_max = descriptor.leaf_rows_max;
    values.inner_children_max = descriptor.inner_children_max;
    const TableId id_ = random.NewId<TableId>(), values_id = random.NewId<TableId>();
    descriptor.name = name;
    descriptor.values_in = values_id;
    values.values_of = id_;
    kernel::CreateTables c;
    c.tables.push_back({id_, Epoch(1), random.NewKey(), descriptor.Encode()});
    c.tables.push_back({values_id, Epoch(1), random.NewKey(), values.Encode()});
    HF_TRY_VOID(Append({{journal::EntryKind::kCreateTables, Term(), kernel::Encode(c)}}));
    if (outcomes.at(0).ok()) oracle[name];
    return Ok();
  }
  Status DropTable(const std::string& name) {
    HF_TRY_VOID(
        Append({{journal::EntryKind::kDropTable, Term(), kernel::Encode(kernel::DropTable{Table(name)})}}));
    oracle.erase(name);
    return Ok();
  }
  TableId Table(const std::string& name) const {
    const store::Table* t = s->state->FindTable(name);
    return t == nullptr ? TableId() : t->id;
  }
  static kernel::Operation Put(const TableId& t, std::string_view key, std::string_view value) {
    return {kernel::OperationKind::kPut, t, ToBytes(key), ToBytes(value), {}};
  }
  static kernel::Operation Del(const TableId& t, std::string_view key) {
    return {kernel::OperationKind::kDelete, t, ToBytes(key), {}, {}};
  }
  static kernel::Operation DelRange(const TableId& t, std::string_view from, std::string_view end) {
    return {kernel::OperationKind::kDeleteRange, t, ToBytes(from), {}, ToBytes(end)};
  }
  // Does to the oracle what a batch does that was not refused.
  void Tell(const kernel::Batch& batch) {
    for (const kernel::Operation& o : batch.operations) {
      Rows* rows = nullptr;
      for (const auto& [id_, t] : s->state->tables())
        if (id_ == o.table) rows = &oracle[t.descriptor.name];
      if (rows == nullptr) continue;
      std::string key = ToText(o.key), end = ToText(o.end);
      if (o.kind == kernel::OperationKind::kPut) (*rows)[key] = ToText(o.value);
      if (o.kind == kernel::OperationKind::kDelete) rows->erase(key);
      if (o.kind == kernel::OperationKind::kDeleteRange)
        rows->erase(rows->lower_bound(key), end.empty() ? rows->end() : rows->lower_bound(end));
    }
  }
  Status Apply(const kernel::Batch& batch) {
    HF_TRY_VOID(Append({EntryOf(batch)}));
    if (outcomes.at(0).ok()) Tell(batch);
    return Ok();
  }
  Status PutRows(const std::string& table, const Rows& rows) {
    kernel::Batch batch;
    for (const auto& [k, v] : rows) batch.operations.push_back(Put(Table(table), k, v));
    return Apply(batch);
  }
  static journal::Entry SavePoint() {
    return {journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})};
  }
  Status Save() { return Append({SavePoint()}); }
  // Each with its save point, in one frame.
  Status CreateTag(const std::string& name) {
    Bytes payload = kernel::Encode(kernel::CreateTag{ToBytes(name)});
    HF_TRY_VOID(Append({{journal::EntryKind::kCreateTag, Term(), std::move(payload)}, SavePoint()}));
    if (outcomes.at(0).ok()) tags[name] = oracle;
    return Ok();
  }
  Status DropTag(const std::string& name) {
    Bytes payload = kernel::Encode(kernel::DropTag{ToBytes(name)});
    HF_TRY_VOID(Append({{journal::EntryKind::kDropTag, Term(), std::move(payload)}, SavePoint()}));
    if (outcomes.at(0).ok()) tags.erase(name);
    return Ok();
  }
  void ExpectTags(const std::string& when) {
    VersionPtr base = s->state->CurrentView().base;
    EXPECT_EQ(base->manifest.root.tags.size(), tags.size()) << when << ": number of tags";
    EXPECT_EQ(s->state->tags().size(), tags.size()) << when;
    VersionNodes nodes(*disk, base, cache);
    for (const auto& [name, expected] : tags) {
      auto view = TagView(base, name);
      ASSERT_TRUE(view) << when << ": tag " << name << " is not there";
      auto found = ReadRows(*view, view->tag->tables, nodes);
      ASSERT_TRUE(found) << when << ": tag " << name << ": " << CodeName(found.code());
      ExpectSameRows(*found, expected, when + ", tag " + name);
    }
  }

  Result<Oracle> Rows_() {
    VersionNodes nodes(*disk, s->state->CurrentView().base, cache);
    return ReadRows(*s->state, nodes);
  }
  void ExpectRows(const std::string& when) {
    auto found = Rows_();
    ASSERT_TRUE(found) << when << ": " << CodeName(found.code());
    ExpectSameRows(*found, oracle, when);
    VersionNodes nodes(*disk, s->state->CurrentView().base, cache);
    for (const auto& [name, rows] : oracle) {
      size_t i = 0;
      for (const auto& [k, v] : rows) {
        if (i++ % 7 != 0) continue;
        auto got = ViewGet(s->state->CurrentView(), Table(name), AsBytes(k), nodes);
        ASSERT_TRUE(got) << when;
        ASSERT_TRUE(got->has_value()) << when << ": " << name << " " << k;
        EXPECT_TRUE(AsText(**got) == v) << when;
      }
      auto absent = ViewGet(s->state->CurrentView(), Table(name), AsBytes("no such key"), nodes);
      ASSERT_TRUE(absent) << when;
      EXPECT_FALSE(absent->has_value()) << when;
    }
  }
  Result<VerifyReport> Verify(bool with_anchor = true) {
    VerifyOptions o;
    if (with_anchor && anchored) {
      auto bytes = anchor.Get(kAnchorName);
      if (bytes) o.anchor = ToBytes(bytes->parse());
    }
    return VerifyStore(*disk, AsBytes(kPassphrase), o);
  }
  void ExpectClean(const std::string& when) {
    auto report = Verify();
    ASSERT_TRUE(report) << when << ": " << CodeName(report.code());
    EXPECT_FALSE(report->verdict) << when << ": " << CodeName(*report->verdict) << Show(report->findings);
    for (const Finding& f : report->findings) {
      EXPECT_FALSE(f.bad()) << when << ": " << f.Line();
      EXPECT_TRUE(f.kind != Finding::Kind::kTorn || !s) << when << ": " << f.Line();
    }
    EXPECT_EQ(report->freshness.proven, anchored) << when;
  }
};

inline const Manifest& ManifestOf(const Rig& rig) { return rig.s->state->CurrentView().base->manifest; }

inline uint64_t SegmentBytes(seam::Storage& disk) {
  uint64_t bytes = 0;
  std::vector<seam::ObjectInfo> all = seam::ListAll(disk, kSegmentsPrefix).value();
  for (const auto& o : all) bytes += o.size_bytes;
  return bytes;
}

// Saves until there is nothing to clean, and what was condemned is gone.
inline void Settle(Rig& rig) {
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(rig.Save());
    if (ManifestOf(rig).cleanings_owed == 0) break;
  }
  ASSERT_EQ(ManifestOf(rig).cleanings_owed, 0) << "cleaning does not come to an end";
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.Save());
}

// Each slot alone, with the journal, gives the rows and the tags.
inline void ExpectEitherSlotLoads(Rig& rig, const std::string& when) {
  Image image = ImageOf(*rig.disk);
  for (int lost : {0, 1}) {
    Image broken = image;
    broken.erase(SlotName(lost, "state-save-number"));
    auto disk = DiskOf(broken);
    Rig other;
    other.disk = disk.get();
    other.anchored = false;
    other.options = rig.options;
    other.oracle = rig.oracle;
    other.tags = rig.tags;
    std::string how = when + ", without slot " + std::to_string(lost);
    ASSERT_TRUE(other.Open()) << how << Show(other.findings);
    ASSERT_TRUE(other.Save());
    other.ExpectRows(how);
    other.ExpectTags(how);
    other.ExpectClean(how);
  }
}

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_STORE_RIG_INTERNAL_H_
