// Transactions (rule H2): gathered, sent as one batch with what was read as its compares, and tried again.
#include <utility>

#include "embedded/state_internal.h"

namespace holdfast::embedded {
namespace {

using inside::Public;
using inside::RowTurns;
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

// The turns of one call of atomic(). A call within another's body has none, and heeds none: it might wait for
// the one around it.
class Turns {
 public:
  explicit Turns(RowTurns& turns) : turns_(turns) { ++depth; }
  ~Turns() {
    --depth;
    if (have_ != 0) turns_.Give(name_);
  }
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  RowTurns::Places Have() const { return depth > 1 ? ~RowTurns::Places{0} : have_; }
  void Want(RowTurns::Places more) {
    if (depth > 1 || (more & ~have_) == 0) return;
    if (have_ != 0) turns_.Give(name_);
    have_ |= more;
    turns_.Take(name_, have_);
  }

 private:
  static thread_local unsigned depth;
  RowTurns& turns_;
  const uint64_t name_ = turns_.NewName();
  RowTurns::Places have_ = 0;
};

thread_local unsigned Turns::depth = 0;

}  // namespace

Result<std::optional<std::string>> Transaction::get(const Table& table, std::string_view key) {
  if (table.state_.get() != &block_.state) return Code::kInvalidArgument;
  const TableId id = inside::IdOf(table.id_);
  if (auto own = block_.block.Overlaid(id, AsBytes(key)))
    return own->present ? std::optional<std::string>(AsText(own->value)) : std::nullopt;
  const RowTurns::Places place = RowTurns::PlaceOf(id, AsBytes(key));
  if (!block_.block.doomed() && (block_.turns & place) == 0 && block_.state.turns.Taken(place)) {
    block_.lost |= place;  // before it is lost for certain
    block_.block.Drop(holdfast::Code::kConflict);
    return Code::kConflict;
  }
  auto got = table.get(key);
  if (!got) return got;
  std::optional<ByteView> seen;
  if (*got) seen = AsBytes(**got);
  const size_t before = block_.block.compares();
  auto observed = block_.block.Observe(SteadyMilliseconds(), id, AsBytes(key), seen);
  if (!observed) {
    if (observed.code() == holdfast::Code::kConflict) block_.lost |= place;
    return Public(observed.code());
  }
  if (block_.block.compares() > before) block_.observed.push_back(place);
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
  Turns turns(state_->turns);
  for (unsigned conflicts = 0;;) {
    inside::Block block{*state_, {}};
    block.turns = turns.Have();
    holdfast::Status begun = block.block.Begin(SteadyMilliseconds());
    if (!begun) return Public(begun.code());
    Transaction transaction(block);
    auto batch = Finish(block.block, body(transaction));
    const bool submitted = batch.ok();
    Result<Commit> commit = batch ? Submit(*state_, std::move(*batch)) : Result<Commit>(batch.status());
    if (commit.code() != Code::kConflict) return commit;
    if (submitted && commit.status().number() < block.observed.size())
      block.lost |= block.observed[commit.status().number()];
    // Each asking adds a place: at most 64 attempts are not counted.
    if ((block.lost & ~turns.Have()) == 0 || submitted) ++conflicts;
    if (conflicts >= attempts) return commit;
    turns.Want(block.lost);
  }
}

}  // namespace holdfast::embedded
