#include "core/store/indexes.h"

#include "core/store/state.h"
#include "core/tree/index_key.h"

namespace holdfast::store {
namespace {

using RowKey = std::pair<TableId, Bytes>;
using Touched = std::map<RowKey, std::optional<ByteView>>;  // -> what the batch leaves there

bool Behind(ByteView key, const kernel::OperationView& range) {
  return !range.end.empty() && Compare(key, range.end) >= 0;
}

Touched TouchedBy(const kernel::BatchView& batch, const std::vector<std::vector<Bytes>>& ranges,
                  const Indexes& indexes) {
  Touched touched;
  size_t range = 0;
  for (const kernel::OperationView& op : batch.operations) {
    const bool is_range = op.kind == kernel::OperationKind::kDeleteRange;
    const std::vector<Bytes>* keys = is_range ? &ranges[range++] : nullptr;
    if (!indexes.contains(op.table)) continue;
    if (!is_range) {
      std::optional<ByteView> left;
      if (op.kind == kernel::OperationKind::kPut) left = op.value;
      touched.insert_or_assign(RowKey(op.table, ToBytes(op.key)), left);
      continue;
    }
    for (const Bytes& key : *keys) touched.insert_or_assign(RowKey(op.table, key), std::nullopt);
    auto it = touched.lower_bound(RowKey(op.table, ToBytes(op.key)));
    for (; it != touched.end() && it->first.first == op.table && !Behind(it->first.second, op); ++it)
      it->second.reset();
  }
  return touched;
}

std::optional<tree::IndexRow> RowIn(const tree::Descriptor& index, tree::Type value_type, ByteView key,
                                    std::optional<ByteView> value) {
  if (!value) return std::nullopt;
  auto field = tree::FieldOf(value_type, index.index->pointer, *value);
  if (!field) return std::nullopt;
  return tree::IndexRowOf(*field, key, index.index->unique);
}

// What goes and what comes in one index. A row that goes and comes again, of another key, is a put.
class Changing {
 public:
  explicit Changing(const TableId& index) : index_(index) {}
  void Erase(Bytes key) { erased_.insert(std::move(key)); }
  void Put(tree::IndexRow row, Code& refused) {
    if (row.key.size() > limits::kKeyBytesMax) {
      refused = Code::kIndexRowSize;
    } else if (!put_.emplace(std::move(row.key), std::move(row.value)).second) {
      refused = Code::kNotUnique;
    }
  }
  // What a unique index has already, and keeps.
  Status CheckUnique(const View& view, NodeAccess& nodes, Code& refused) const {
    for (const auto& [key, value] : put_) {
      if (erased_.contains(key)) continue;
      HF_TRY(std::optional<Bytes> there, ViewGet(view, index_, key, nodes));
      if (there) refused = Code::kNotUnique;
    }
    return Ok();
  }
  void Give(std::vector<IndexChange>& changes) {
    for (const Bytes& key : erased_) {
      if (!put_.contains(key)) changes.push_back({index_, key, std::nullopt});
    }
    for (auto& [key, value] : put_) changes.push_back({index_, key, std::move(value)});
  }

 private:
  const TableId index_;
  std::set<Bytes> erased_;
  std::map<Bytes, Bytes> put_;
};

}  // namespace

Indexes IndexesOf(const Tables& tables) {
  Indexes indexes;
  for (const auto& [id, table] : tables) {
    if (table.descriptor.index) indexes[table.descriptor.index->table].insert(id);
  }
  return indexes;
}

Result<TableId> FindIndexIn(const Tables& tables, const TableId& table, std::string_view name) {
  for (const auto& [id, t] : tables) {
    if (t.descriptor.index && t.descriptor.index->table == table && t.descriptor.name == name) return id;
  }
  return Code::kNoIndex;
}

Status ChangesOf(const kernel::BatchView& batch, const std::vector<std::vector<Bytes>>& ranges,
                 const Tables& tables, const Indexes& indexes, const View& view, NodeAccess& nodes,
                 std::vector<IndexChange>& changes, Code& refused) {
  std::map<TableId, Changing> changing;
  for (const auto& [row, after] : TouchedBy(batch, ranges, indexes)) {
    const auto& [table, key] = row;
    const tree::Type type = tables.at(table).descriptor.value_type;
    HF_TRY(std::optional<Bytes> before, ViewGet(view, table, key, nodes));
    for (const TableId& id : indexes.at(table)) {
      const tree::Descriptor& index = tables.at(id).descriptor;
      auto was = RowIn(index, type, key, before ? std::optional<ByteView>(*before) : std::nullopt);
      auto is = RowIn(index, type, key, after);
      if (was && is && was->key == is->key && was->value == is->value) continue;
      Changing& c = changing.try_emplace(id, id).first->second;
      if (was) c.Erase(std::move(was->key));
      if (is) c.Put(std::move(*is), refused);
    }
  }
  for (auto& [id, c] : changing) {
    if (tables.at(id).descriptor.index->unique) HF_TRY_VOID(c.CheckUnique(view, nodes, refused));
    c.Give(changes);
  }
  return Ok();
}

Status BuildIndex(const TableId& index, const tree::Descriptor& descriptor, const Table& table,
                  const View& view, NodeAccess& nodes, std::vector<IndexChange>& changes, Code& refused) {
  Changing built(index);
  tree::MergedCursor cursor = view.Scan(table.id);
  cursor.SeekTo({});
  size_t rows = 0, bytes = 0;
  for (;;) {
    HF_TRY(auto row, Drive(nodes, [&] { return cursor.Next(nodes); }));
    if (!row || refused != Code{}) break;
    HF_TRY(Bytes value, RowValue(view, table.id, *row, nodes));
    auto is = RowIn(descriptor, table.descriptor.value_type, row->key, ByteView(value));
    if (++rows > limits::kIndexBuildRowsMax) refused = Code::kIndexBuildSize;
    if (!is) continue;
    bytes += is->key.size() + is->value.size();
    if (bytes > limits::kIndexBuildBytesMax) refused = Code::kIndexBuildSize;
    built.Put(std::move(*is), refused);
  }
  built.Give(changes);
  return Ok();
}

}  // namespace holdfast::store
