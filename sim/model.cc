#include "sim/model.h"

#include <algorithm>

#include "core/kernel/command.h"
#include "core/store/layout.h"
#include "core/tree/descriptor.h"
#include "crypto/hash.h"

namespace holdfast::sim {

store::Outcome Model::ApplyBatch(const journal::Entry& entry) {
  auto batch = kernel::DecodeBatch(entry.payload);
  if (!batch) return {batch.code(), 0};
  for (const kernel::Operation& o : batch->operations)
    if (!tables.contains(o.table)) return {Code::kNoTable, 0};
  for (size_t i = 0; i < batch->compares.size(); ++i) {
    const kernel::Compare& c = batch->compares[i];
    auto table = tables.find(c.table);
    if (table == tables.end()) return {Code::kNoTable, 0};
    auto row = table->second.find(ToText(c.key));
    bool there = row != table->second.end();
    bool holds = c.kind == kernel::CompareKind::kAbsent ? !there
                 : c.kind == kernel::CompareKind::kPresent
                     ? there
                     : there && crypto::Sha256(AsBytes(row->second)) == c.value_sha256;
    if (!holds) return {Code::kConflict, i};
  }
  for (const kernel::Operation& o : batch->operations) {
    Rows& rows = tables.at(o.table);
    std::string key = ToText(o.key), end = ToText(o.end);
    if (o.kind == kernel::OperationKind::kPut) rows[key] = ToText(o.value);
    if (o.kind == kernel::OperationKind::kDelete) rows.erase(key);
    if (o.kind == kernel::OperationKind::kDeleteRange)
      rows.erase(rows.lower_bound(key), end.empty() ? rows.end() : rows.lower_bound(end));
  }
  return {};
}

store::Outcome Model::Apply(const journal::Entry& entry, LogIndex index) {
  switch (entry.kind) {
    case journal::EntryKind::kBatch: {
      auto batch = kernel::DecodeBatch(entry.payload);
      if (!batch || batch->session == 0) return ApplyBatch(entry);
      auto session = sessions.find(batch->session);
      if (session == sessions.end()) return {Code::kSessionTooOld, 0};
      auto known = session->second.find(batch->sequence);
      if (known != session->second.end()) return known->second;
      if (!session->second.empty() && batch->sequence < session->second.rbegin()->first)
        return {Code::kSessionTooOld, 0};
      return session->second[batch->sequence] = ApplyBatch(entry);
    }
    case journal::EntryKind::kCreateTable: {
      auto c = kernel::DecodeCreateTable(entry.payload);
      auto d = tree::Descriptor::Decode(c->descriptor);
      for (const auto& [id, name] : names)
        if (name == d->name) return {Code::kTableExists, 0};
      names[c->table] = d->name;
      tables[c->table];
      return {};
    }
    case journal::EntryKind::kDropTable: {
      auto c = kernel::DecodeDropTable(entry.payload);
      if (!tables.contains(c->table)) return {Code::kNoTable, 0};
      tables.erase(c->table);
      names.erase(c->table);
      return {};
    }
    case journal::EntryKind::kOpenSession:
      sessions[index.value];
      return {};
    case journal::EntryKind::kCreateTag: {
      std::string name = ToText(kernel::DecodeCreateTag(entry.payload)->name);
      if (!tags.try_emplace(name).second) return {Code::kTagExists, 0};
      return {};
    }
    case journal::EntryKind::kDropTag:
      if (tags.erase(ToText(kernel::DecodeDropTag(entry.payload)->name)) == 0) return {Code::kNoTag, 0};
      return {};
    case journal::EntryKind::kSavePoint:
      for (auto& [name, tag] : tags) {
        if (tag.index != LogIndex()) continue;
        tag.index = index;
        tag.rows = std::make_shared<const std::map<TableId, Rows>>(tables);
      }
      return {};
    default:
      return {};
  }
}

namespace {

Result<std::map<TableId, Rows>> ReadView(const store::View& view, const store::Tables& tables,
                                         store::NodeAccess& nodes) {
  std::map<TableId, Rows> all;
  for (const auto& [id, table] : tables) {
    if (store::IsSystemTable(id)) continue;
    Rows& rows = all[id];
    tree::MergedCursor cursor = view.Scan(id);
    for (;;) {
      HF_TRY(auto row, store::Drive(nodes, [&] { return cursor.Next(nodes); }));
      if (!row) break;
      HF_TRY(Bytes value, store::RowValue(view, id, *row, nodes));
      rows[ToText(row->key)] = ToText(value);
    }
  }
  return all;
}

}  // namespace

Result<std::map<TableId, Rows>> ReadTables(const store::State& state, store::NodeAccess& nodes) {
  return ReadView(state.CurrentView(), state.tables(), nodes);
}

Result<std::map<std::string, Model::Tag>> ReadTags(const store::State& state, store::NodeAccess& nodes) {
  std::map<std::string, Model::Tag> tags;
  store::VersionPtr base = state.CurrentView().base;
  for (const auto& [name, known] : state.tags()) {
    Model::Tag& tag = tags[name];
    tag.index = known.index;
    auto view = store::TagView(base, name);
    if (!view || view->at != known.index) continue;  // its save is not done
    HF_TRY(auto rows, ReadView(*view, view->tag->tables, nodes));
    tag.rows = std::make_shared<const std::map<TableId, Rows>>(std::move(rows));
  }
  return tags;
}

bool SameTags(const std::map<std::string, Model::Tag>& a, const std::map<std::string, Model::Tag>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    const Model::Tag &s = x.second, &t = y.second;
    bool rows = s.rows == nullptr || t.rows == nullptr || *s.rows == *t.rows;
    return x.first == y.first && s.index == t.index && rows;
  });
}

}  // namespace holdfast::sim
