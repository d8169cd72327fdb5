// Rows and batches on their way to the log; tables made and dropped; administration.
#include <utility>

#include "crypto/hash.h"
#include "embedded/state_internal.h"

namespace holdfast::embedded {

using inside::Public;
using kernel::CompareKind;
using kernel::OperationKind;

namespace {

Result<Commit> WriteBatch(inside::State& state, kernel::Batch batch, Wait wait) {
  if (wait == Wait::kNone) return state.Hand(std::move(batch));
  return state.Await([&](runtime::Engine& engine, session::WriteDone done) {
    engine.Write(std::move(batch), kernel::Wait::kDurable, std::move(done));
  });
}

Result<Commit> WriteOne(inside::State& state, kernel::Operation operation, Wait wait) {
  kernel::Batch batch;
  batch.operations.push_back(std::move(operation));
  return WriteBatch(state, std::move(batch), wait);
}

}  // namespace

// Larger ones would be copied before they are refused.
Result<Commit> Table::put(std::string_view key, std::string_view value, Wait wait) const {
  if (value.size() > limits::kValueBytesMax) return Code::kValueSize;
  return WriteOne(*state_, {OperationKind::kPut, inside::IdOf(id_), ToBytes(key), ToBytes(value), {}}, wait);
}

Result<Commit> Table::erase(std::string_view key, Wait wait) const {
  return WriteOne(*state_, {OperationKind::kDelete, inside::IdOf(id_), ToBytes(key), {}, {}}, wait);
}

Batch::Batch() : commands_(std::make_unique<inside::Commands>()) {}
Batch::~Batch() = default;
Batch::Batch(Batch&&) noexcept = default;
Batch& Batch::operator=(Batch&&) noexcept = default;

Batch& Batch::put(const Table& table, std::string_view key, std::string_view value) {
  commands_->Of(table.state_.get())
      .operations.push_back({OperationKind::kPut, inside::IdOf(table.id_), ToBytes(key), ToBytes(value), {}});
  return *this;
}

Batch& Batch::erase(const Table& table, std::string_view key) {
  commands_->Of(table.state_.get())
      .operations.push_back({OperationKind::kDelete, inside::IdOf(table.id_), ToBytes(key), {}, {}});
  return *this;
}

Batch& Batch::erase_range(const Table& table, const Bounds& bounds) {
  commands_->Of(table.state_.get())
      .operations.push_back({OperationKind::kDeleteRange,
                             inside::IdOf(table.id_),
                             ToBytes(bounds.from),
                             {},
                             ToBytes(bounds.until)});
  return *this;
}

Batch& Batch::expect_absent(const Table& table, std::string_view key) {
  commands_->Of(table.state_.get())
      .compares.push_back({CompareKind::kAbsent, inside::IdOf(table.id_), ToBytes(key), {}});
  return *this;
}

Batch& Batch::expect_present(const Table& table, std::string_view key) {
  commands_->Of(table.state_.get())
      .compares.push_back({CompareKind::kPresent, inside::IdOf(table.id_), ToBytes(key), {}});
  return *this;
}

Batch& Batch::expect_equals(const Table& table, std::string_view key, std::string_view value) {
  commands_->Of(table.state_.get())
      .compares.push_back(
          {CompareKind::kEquals, inside::IdOf(table.id_), ToBytes(key), crypto::Sha256(AsBytes(value))});
  return *this;
}

Result<Commit> Store::write(Batch batch, Wait wait) {
  if (batch.commands_ == nullptr || batch.commands_->mixed) return Code::kInvalidArgument;
  if (batch.commands_->owner != nullptr && batch.commands_->owner != state_.get())
    return Code::kInvalidArgument;
  return WriteBatch(*state_, std::move(batch.commands_->batch), wait);
}

// -- tables

namespace {

session::IndexSpec SpecOf(const IndexOptions& index) { return {index.name, index.pointer, index.unique}; }

TableInfo InfoOf(const session::TableInfo& t) {
  TableInfo info{t.descriptor.name, t.rows, {}};
  info.options.transient = t.descriptor.transient;
  info.options.share_values = t.descriptor.values_in.has_value();
  info.options.key_type = static_cast<Type>(t.descriptor.key_type);
  info.options.value_type = static_cast<Type>(t.descriptor.value_type);
  for (const session::IndexSpec& index : t.indexes)
    info.options.indexes.push_back({index.name, index.pointer, index.unique});
  return info;
}

}  // namespace

Result<Table> Store::create_table(std::string_view name, const TableOptions& options) {
  tree::Descriptor descriptor;
  descriptor.name = name;
  descriptor.transient = options.transient;
  if (options.share_values) descriptor.values_in.emplace();  // the engine draws which
  descriptor.key_type = static_cast<tree::Type>(options.key_type);
  descriptor.value_type = static_cast<tree::Type>(options.value_type);
  std::vector<session::IndexSpec> indexes;
  for (const IndexOptions& index : options.indexes) indexes.push_back(SpecOf(index));
  Result<Commit> made = state_->Await([&](runtime::Engine& engine, session::WriteDone done) {
    engine.CreateTableWith(descriptor, indexes, std::move(done));
  });
  if (!made) return made.status();
  return open_table(name);
}

Status Store::create_index(std::string_view table, const IndexOptions& index) {
  return state_
      ->Await([&](runtime::Engine& engine, session::WriteDone done) {
        engine.CreateIndex(table, SpecOf(index), std::move(done));
      })
      .status();
}

Status Store::drop_index(std::string_view table, std::string_view index) {
  return state_
      ->Await([&](runtime::Engine& engine, session::WriteDone done) {
        engine.DropIndex(table, index, std::move(done));
      })
      .status();
}

Result<Table> Store::open_table(std::string_view name, bool create) {
  Result<Table> found = state_->With([&](runtime::Engine& engine) -> Result<Table> {
    auto id = engine.FindTable(name);
    if (!id) return Public(id.code());
    Table table;
    table.state_ = state_;
    table.id_ = id->bytes;
    table.name_ = name;
    return table;
  });
  if (!create || found.code() != Code::kNoTable) return found;
  Result<Table> made = create_table(name);
  return made.code() == Code::kTableExists ? open_table(name) : made;  // another thread was faster
}

Status Store::drop_table(std::string_view name) {
  Result<Commit> dropped = state_->Await(
      [&](runtime::Engine& engine, session::WriteDone done) { engine.DropTable(name, std::move(done)); });
  if (dropped) state_->drops.fetch_add(1, std::memory_order_release);
  return dropped.status();
}

Result<std::vector<TableInfo>> Store::tables() {
  return state_->With([](runtime::Engine& engine) -> Result<std::vector<TableInfo>> {
    std::vector<TableInfo> tables;
    for (const session::TableInfo& t : engine.ListTables()) tables.push_back(InfoOf(t));
    return tables;
  });
}

// -- administration

Status Store::commit_wait() {
  Result<Commit> done = state_->Await(
      [](runtime::Engine& engine, session::WriteDone answer) { engine.Sync(std::move(answer)); });
  Status failed = state_->TellFailed();
  return done ? failed : done.status();
}

Status Store::save() {
  return state_
      ->Await([](runtime::Engine& engine, session::WriteDone done) { engine.SaveState(std::move(done)); })
      .status();
}

Status Store::verify(std::vector<std::string>* findings, bool require_fresh) {
  return state_->With([&](runtime::Engine& engine) -> Status {
    return Public(engine.Verify({require_fresh, std::nullopt}, [&](const std::string& line) {
      if (findings != nullptr) findings->push_back(line);
    }));
  });
}

Status Store::change_passphrase(std::string_view old_passphrase, std::string_view new_passphrase) {
  if (new_passphrase.empty()) return Code::kNoPassphrase;
  if (new_passphrase.size() > limits::kPassphraseBytesMax) return Code::kInvalidArgument;
  return state_->With([&](runtime::Engine& engine) -> Status {
    return Public(engine.ChangeUnlockers(
        SecretBytes(AsBytes(old_passphrase)),
        {seal::UnlockerChange::Kind::kReplace, SecretBytes(AsBytes(new_passphrase)), 0}));
  });
}

Result<Info> Store::info() {
  return state_->With([](runtime::Engine& engine) -> Result<Info> {
    session::StoreStatus s = engine.Status_();
    Info info;
    info.store_id = s.store.hex();
    info.applied_index = s.applied.value;
    info.saved_index = s.saved.value;
    info.unsaved_bytes = s.dirty_bytes;
    info.cache_bytes = s.cache_bytes;
    info.stored_bytes = s.segment_bytes;
    info.full = s.full;
    info.failed = Public(s.failed);
    info.freshness = s.freshness;
    return info;
  });
}

}  // namespace holdfast::embedded
