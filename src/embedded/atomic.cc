// Transactions (rule H2): gathered, sent as one batch with what was read as its compares, and tried again.
#include <utility>

#include "embedded/state_internal.h"

namespace holdfast::embedded {
namespace {

using inside::Public;
using inside::SteadyMilliseconds;

// What the body has gathered, or why nothing comes of it. (A body that throws takes its block along.)
Result<std::optional<kernel::Batch>> Finish(kernel::AtomicBlock& block, const Status& said) {
  if (!said) block.Drop();
  auto batch = block.End(SteadyMilliseconds());
  if (batch) return std::move(batch).value();
  // A conflict that was seen while reading goes before what the body made of it.
  if (said || batch.code() == holdfast::Code::kConflict) return Status(Public(batch.code()));
  return said;
}

Result<Commit> Submit(inside::State& state, std::optional<kernel::Batch> batch) {
  if (!batch) {
    return state.With(
        [](runtime::Engine& engine) -> Result<Commit> { return Commit{engine.AppliedIndex().value}; });
  }
  return state.Await([&](runtime::Engine& engine, session::WriteDone done) {
    engine.Write(std::move(*batch), kernel::Wait::kDurable, std::move(done));
  });
}

}  // namespace

Result<std::optional<std::string>> Transaction::get(const Table& table, std::string_view key) {
  if (table.state_.get() != &block_.state) return Code::kInvalidArgument;
  const TableId id = inside::IdOf(table.id_);
  if (auto own = block_.block.Overlaid(id, AsBytes(key)))
    return own->present ? std::optional<std::string>(AsText(own->value)) : std::nullopt;
  auto got = table.get(key);
  if (!got) return got;
  std::optional<ByteView> seen;
  if (*got) seen = AsBytes(**got);
  auto observed = block_.block.Observe(SteadyMilliseconds(), id, AsBytes(key), seen);
  if (!observed) return Public(observed.code());
  return got;
}

Status Transaction::put(const Table& table, std::string_view key, std::string_view value) {
  if (table.state_.get() != &block_.state) return Code::kInvalidArgument;
  return Public(
      block_.block.Put(SteadyMilliseconds(), inside::IdOf(table.id_), AsBytes(key), AsBytes(value)));
}

Status Transaction::erase(const Table& table, std::string_view key) {
  if (table.state_.get() != &block_.state) return Code::kInvalidArgument;
  return Public(block_.block.Delete(SteadyMilliseconds(), inside::IdOf(table.id_), AsBytes(key)));
}

Status Transaction::erase_range(const Table& table, const Bounds& bounds) {
  if (table.state_.get() != &block_.state) return Code::kInvalidArgument;
  return Public(block_.block.DeleteRange(SteadyMilliseconds(), inside::IdOf(table.id_), AsBytes(bounds.from),
                                         AsBytes(bounds.until)));
}

Result<Commit> Store::atomic(const std::function<Status(Transaction&)>& body, unsigned attempts) {
  if (attempts == 0) return Code::kInvalidArgument;
  for (unsigned attempt = 1;; ++attempt) {
    inside::Block block{*state_, {}};
    holdfast::Status begun = block.block.Begin(SteadyMilliseconds());
    if (!begun) return Public(begun.code());
    Transaction transaction(block);
    auto batch = Finish(block.block, body(transaction));
    Result<Commit> commit = batch ? Submit(*state_, std::move(*batch)) : Result<Commit>(batch.status());
    if (commit.code() != Code::kConflict || attempt == attempts) return commit;
  }
}

}  // namespace holdfast::embedded
