// Secondary indexes: made, dropped, read. What keeps them is the applier (store/indexes.h). And tables that
// consist of several, made together.
#include "core/runtime/engine.h"
#include "core/tree/index_key.h"

namespace holdfast::runtime {
namespace {

using sync::ReaderLock;

// Index rows are short, and each leads to a row: a page of them is looked up before the next is read.
constexpr size_t kIndexRowsPerStep = 512;

session::WriteReply Refused(Code code) { return {code, {}, {}, kernel::Wait::kNone, 0}; }

bool GoodName(std::string_view name) {
  return !name.empty() && name.size() <= limits::kTableNameBytesMax && store::ValidUtf8(name);
}

tree::Descriptor DescriptorOf(const session::IndexSpec& index, const TableId& table) {
  tree::Descriptor d;
  d.name = index.name;
  d.index = tree::IndexOf{table, index.pointer, index.unique};
  return d;
}

// The table of a table's shared values.
tree::Descriptor ValuesOf(const tree::Descriptor& descriptor, const TableId& table) {
  tree::Descriptor d;
  d.leaf_rows_max = descriptor.leaf_rows_max;
  d.inner_children_max = descriptor.inner_children_max;
  d.values_of = table;
  return d;
}

// What can be said without the state; the rest is looked at when the entry is applied.
Status Check(const session::IndexSpec& index, tree::Type value_type) {
  if (!GoodName(index.name)) return Code::kTableName;
  if (index.pointer.size() > limits::kIndexPointerBytesMax || !tree::MayPoint(value_type, index.pointer))
    return Code::kIndexPointer;
  return Ok();
}

}  // namespace

void Engine::CreateTableWith(const tree::Descriptor& descriptor,
                             const std::vector<session::IndexSpec>& indexes, session::WriteDone done) {
  if (indexes.empty() && !descriptor.values_in) return CreateTable(descriptor, std::move(done));
  if (indexes.size() > limits::kIndexesMax) return done(Refused(Code::kTooManyIndexes));
  if (!GoodName(descriptor.name)) return done(Refused(Code::kTableName));
  if (descriptor.values_in && !descriptor.may_share()) return done(Refused(Code::kCannotShare));
  if (descriptor.transient || !tree::Descriptor::Decode(descriptor.Encode()))
    return done(Refused(Code::kInvalidArgument));
  if (FindTable(descriptor.name)) return done(Refused(Code::kTableExists));
  kernel::CreateTables command;
  command.tables.push_back(CommandFor(descriptor));
  const TableId table = command.tables.front().table;
  if (descriptor.values_in) {
    kernel::CreateTable values = CommandFor(ValuesOf(descriptor, table));
    tree::Descriptor sharing = descriptor;
    sharing.values_in = values.table;
    command.tables.front().descriptor = sharing.Encode();
    command.tables.push_back(std::move(values));
  }
  for (const session::IndexSpec& index : indexes) {
    if (Status good = Check(index, descriptor.value_type); !good) return done(Refused(good.code()));
    command.tables.push_back(CommandFor(DescriptorOf(index, table)));
  }
  Submit(journal::EntryKind::kCreateTables, kernel::Encode(command), kernel::Wait::kDurable, std::move(done));
}

void Engine::CreateIndex(std::string_view table, const session::IndexSpec& index, session::WriteDone done) {
  auto info = FindTable(table) ? Describe(table, {}) : Result<session::TableInfo>(FindTable(table).error());
  if (!info) return done(Refused(info.code()));
  if (Status good = Check(index, info->descriptor.value_type); !good) return done(Refused(good.code()));
  Submit(journal::EntryKind::kCreateTable, kernel::Encode(CommandFor(DescriptorOf(index, info->id))),
         kernel::Wait::kDurable, std::move(done));
}

void Engine::DropIndex(std::string_view table, std::string_view index, session::WriteDone done) {
  auto id = FindTable(table);
  if (!id) return done(Refused(id.code()));
  auto place = FindIndex(*id, index);
  if (!place) return done(Refused(place.code()));
  Submit(journal::EntryKind::kDropTable, kernel::Encode(kernel::DropTable{place->index}),
         kernel::Wait::kDurable, std::move(done));
}

Result<session::IndexPlace> Engine::FindIndex(const TableId& table, std::string_view name) {
  ReaderLock lock(state_lock_);
  HF_TRY(auto found, state_->FindIndex(table, name));
  const tree::Descriptor& index = state_->tables().at(found.first).descriptor;
  return session::IndexPlace{table, found.first, state_->tables().at(table).descriptor.value_type,
                             index.index->unique, found.second};
}

Status Engine::ScanIndexView(const store::View& view, const session::IndexPlace& index, ByteView from,
                             ByteView until, bool reverse, size_t max_rows, size_t max_bytes,
                             session::RowPage& page, Bytes& last) {
  page.Clear();
  Bytes begin = ToBytes(from), end = ToBytes(until);
  session::RowPage places;
  while (page.size() < max_rows && page.bytes() < max_bytes) {
    const size_t step = std::min(max_rows - page.size(), kIndexRowsPerStep);
    HF_TRY_VOID(ScanView(view, index.index, begin, end, reverse, step, max_bytes, places));
    for (size_t i = 0; i < places.size() && page.bytes() < max_bytes; ++i) {
      HF_TRY(Bytes key, tree::KeyOfIndexRow(places.key(i), places.value(i), index.unique));
      HF_TRY(std::optional<Bytes> value, GetFrom(view, index.table, key));
      if (!value) return Code::kTampered;  // an index row and its row come and go in one step
      page.Add(key, *value);
      last = ToBytes(places.key(i));
    }
    if (places.empty()) return Ok();
    if (reverse) {
      end = last;
    } else {
      (begin = last).push_back(0);
    }
  }
  return Ok();
}

}  // namespace holdfast::runtime
