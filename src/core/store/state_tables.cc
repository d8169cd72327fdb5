// Entries that make and drop tables and indexes.
#include <algorithm>

#include "core/store/state.h"
#include "core/tree/index_key.h"

namespace holdfast::store {
namespace {

Outcome Refuse(Code code) { return {code, 0}; }

// Kinds 3 and 10. The keys stay behind.
Result<std::vector<Table>> TablesOf(const journal::Entry& entry, std::vector<Key>* keys) {
  kernel::CreateTables command;
  if (entry.kind == journal::EntryKind::kCreateTables) {
    HF_TRY(command, kernel::DecodeCreateTables(entry.payload));
  } else {
    HF_TRY(kernel::CreateTable one, kernel::DecodeCreateTable(entry.payload));
    command.tables.push_back(std::move(one));
  }
  std::vector<Table> tables;
  for (kernel::CreateTable& c : command.tables) {
    Table& table = tables.emplace_back();
    table.id = c.table;
    table.epoch = c.epoch;
    HF_TRY(table.descriptor, tree::Descriptor::Decode(c.descriptor));
    if (keys != nullptr) keys->push_back(std::move(c.key));
  }
  return tables;
}

// A table that shares values and the table of those are made together, right behind each other, and name each
// other: neither is of use without the other.
Status CheckShared(const std::vector<Table>& created, size_t i) {
  const Table& table = created[i];
  const tree::Descriptor& d = table.descriptor;
  if (d.values_in) {
    const bool paired = i + 1 < created.size() && created[i + 1].id == *d.values_in &&
                        created[i + 1].descriptor.values_of == table.id;
    return paired && !IsSystemTable(table.id) ? Ok() : Status(Code::kInvalidArgument);
  }
  if (!d.values_of) return Ok();
  const bool paired =
      i > 0 && created[i - 1].id == *d.values_of && created[i - 1].descriptor.values_in == table.id;
  return paired && !IsSystemTable(table.id) ? Ok() : Status(Code::kInvalidArgument);
}

}  // namespace

Status State::CheckCreate(const std::vector<Table>& created) const {
  if (tables_.size() + created.size() > limits::kTablesMax) return Code::kTooManyTables;
  for (size_t i = 0; i < created.size(); ++i) {
    const Table& table = created[i];
    std::vector<const Table*> others;  // of this entry, before it
    for (size_t k = 0; k < i; ++k) others.push_back(&created[k]);
    auto among = [&](auto same) { return std::any_of(others.begin(), others.end(), same); };
    if (tables_.contains(table.id) || among([&](const Table* t) { return t->id == table.id; }))
      return Code::kTableExists;
    HF_TRY_VOID(CheckShared(created, i));
    const tree::Descriptor& d = table.descriptor;
    if (d.values_of) continue;
    if (!d.index) {
      bool named = by_name_.contains(d.name) || among([&](const Table* t) {
                     return !t->descriptor.hidden() && t->descriptor.name == d.name;
                   });
      if (!IsSystemTable(table.id) && named) return Code::kTableExists;
      continue;
    }
    const Table* of = nullptr;
    if (auto it = tables_.find(d.index->table); it != tables_.end()) of = &it->second;
    for (const Table* t : others) of = t->id == d.index->table ? t : of;
    if (of == nullptr || of->descriptor.hidden() || IsSystemTable(of->id)) return Code::kNoTable;
    if (of->descriptor.transient || IsSystemTable(table.id)) return Code::kInvalidArgument;
    if (!tree::MayPoint(of->descriptor.value_type, d.index->pointer)) return Code::kIndexPointer;
    size_t count = indexes_.contains(of->id) ? indexes_.at(of->id).size() : 0;
    for (const Table* t : others) count += t->descriptor.index ? 1 : 0;
    if (count >= limits::kIndexesMax) return Code::kTooManyIndexes;
    bool named = FindIndex(of->id, d.name) ||
                 among([&](const Table* t) { return t->descriptor.index && t->descriptor.name == d.name; });
    if (named) return Code::kIndexExists;
  }
  return Ok();
}

Status State::PrepareCreate(Prepared& p, const View& view, NodeAccess& nodes) {
  auto created = TablesOf(*p.entry, nullptr);
  Status good = created ? CheckCreate(*created) : Status(created.error());
  if (!good) {
    p.outcome = Refuse(good.code());
    return Ok();
  }
  for (const Table& table : *created) {
    if (!table.descriptor.index) continue;
    auto of = tables_.find(table.descriptor.index->table);
    if (of == tables_.end()) continue;  // made with it: it has no rows
    Code refused{};
    HF_TRY_VOID(BuildIndex(table.id, table.descriptor, of->second, view, nodes, p.index_changes, refused));
    if (refused == Code{}) continue;
    p.outcome = Refuse(refused);
    p.index_changes.clear();
    return Ok();
  }
  return Ok();
}

void State::CommitIndexes(const Prepared& p, LogIndex at) {
  for (const IndexChange& c : p.index_changes) {
    if (c.value) {
      active_->Put(c.index, c.key, *c.value, at.value);
    } else {
      active_->Erase(c.index, c.key, at.value);
    }
  }
}

// Of an entry that PrepareCreate has found good.
void State::CommitCreate(const journal::Entry& entry, LogIndex at) {
  std::vector<Key> keys;
  std::vector<Table> created = std::move(TablesOf(entry, &keys)).value();
  for (size_t i = 0; i < created.size(); ++i) {
    Table& table = created[i];
    const tree::Descriptor& d = table.descriptor;
    if (d.index) {
      indexes_[d.index->table].insert(table.id);
      index_since_.emplace(table.id, at);
    } else if (!d.values_of && !IsSystemTable(table.id)) {
      by_name_[d.name] = table.id;
    }
    typed_tables_ |= d.typed();
    keyring_.AddTable(table.id, table.epoch, std::move(keys[i]));
    const TableId id = table.id;
    tables_.emplace(id, std::move(table));
  }
}

Outcome State::CommitDrop(const journal::Entry& entry) {
  auto command = kernel::DecodeDropTable(entry.payload);
  if (!command) return Refuse(command.code());
  auto it = tables_.find(command->table);
  if (it == tables_.end() || IsSystemTable(command->table) || it->second.descriptor.values_of)
    return Refuse(Code::kNoTable);
  std::vector<TableId> dropped{command->table};
  if (it->second.descriptor.index) {
    const TableId of = it->second.descriptor.index->table;
    indexes_.at(of).erase(command->table);
    if (indexes_.at(of).empty()) indexes_.erase(of);
  } else {
    if (it->second.descriptor.values_in) dropped.push_back(*it->second.descriptor.values_in);
    by_name_.erase(it->second.descriptor.name);
    auto indexes = indexes_.find(command->table);
    if (indexes != indexes_.end()) {
      dropped.insert(dropped.end(), indexes->second.begin(), indexes->second.end());
      indexes_.erase(indexes);
    }
  }
  for (const TableId& id : dropped) {
    tables_.erase(id);
    index_since_.erase(id);
    // Slots and snapshots that still show it have their own copy.
    if (!TagShows(id)) keyring_.DropTable(id);
  }
  return {};
}

}  // namespace holdfast::store
