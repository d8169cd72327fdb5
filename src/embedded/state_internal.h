// An open store as the library has it: the engine, what it stands on, and who may still be inside when it
// ends.
#ifndef HOLDFAST_EMBEDDED_STATE_INTERNAL_H_
#define HOLDFAST_EMBEDDED_STATE_INTERNAL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <set>

#include "core/kernel/atomic.h"
#include "core/runtime/engine.h"
#include "embedded/holdfast.h"
#include "embedded/row_turns_internal.h"
#include "host/runtime/anchor_file.h"
#include "seam/storage.h"
#include "sync/mutex.h"

namespace holdfast::inside {

embedded::Code Public(Code code);
embedded::Status Public(const Status& status);
uint64_t SteadyMilliseconds();
TableId IdOf(const std::array<uint8_t, 16>& bytes);
crypto::Random& SystemRandom();

using SessionCall = std::function<void(runtime::Engine&, session::WriteDone)>;

struct State {
  // The engine for the length of one call; kStopping when there is none any more. Calls that came in are
  // finished before the engine goes.
  template <typename Body>
  auto With(Body body) -> decltype(body(std::declval<runtime::Engine&>())) {
    if (closing) return embedded::Status(embedded::Code::kStopping);
    sync::ReaderLock in_use(lock);
    if (engine == nullptr) return embedded::Status(embedded::Code::kStopping);
    return body(*engine);
  }
  // One call of the engine that answers later, and its answer. Blocking.
  embedded::Result<embedded::Commit> Await(const SessionCall& call);
  // A write that nobody waits for; its error comes out later. Blocks while too many are on their way.
  embedded::Result<embedded::Commit> Hand(kernel::Batch batch);
  // The first error of those, once.
  embedded::Status TellFailed();
  // kNoTable: it was dropped, by this process, since nobody else has the store.
  Status StillThere(runtime::Engine& running, const std::string& name, const TableId& table);
  embedded::Status Close();
  void ExpireNowAndThen(runtime::Engine& running);

  std::unique_ptr<seam::Storage> storage;
  std::unique_ptr<host::AnchorFile> anchor;

  sync::Mutex closing_mutex{sync::LockName::kOther};  // one Close at a time
  std::atomic<bool> closing{false};                   // newcomers stay out: readers may starve a writer
  std::atomic<uint64_t> expired_ms{0};

  RowTurns turns;

  std::atomic<uint64_t> drops{0};  // of tables, by this process; 0: every handle names a table

  sync::Mutex handed_mutex{sync::LockName::kOther};
  sync::CondVar handed_wake;
  size_t handed HF_GUARDED_BY(handed_mutex) = 0, handed_bytes HF_GUARDED_BY(handed_mutex) = 0;
  embedded::Code handed_failed HF_GUARDED_BY(handed_mutex) = embedded::Code::kOk;

  // Shared: within a call. Exclusive: the engine goes.
  sync::SharedMutex lock{sync::LockName::kChannel};
  std::unique_ptr<runtime::Engine> engine HF_GUARDED_BY(lock);

  sync::Mutex pins_mutex{sync::LockName::kOther};
  std::set<Pinned*> pins HF_GUARDED_BY(pins_mutex);  // they must let go of the engine before it goes
};

// A snapshot that several handles share, and that loses its insides when the store closes.
struct Pinned {
  Pinned(std::shared_ptr<State> s, std::unique_ptr<session::Snapshot> v);
  ~Pinned();
  // kStopping; else what `body` says of the snapshot.
  template <typename Body>
  auto With(Body body) -> decltype(body(std::declval<session::Snapshot&>())) {
    return state->With([&](runtime::Engine&) -> decltype(body(std::declval<session::Snapshot&>())) {
      if (view == nullptr) return embedded::Status(embedded::Code::kStopping);
      return body(*view);
    });
  }

  const std::shared_ptr<State> state;
  const uint64_t index;
  std::unique_ptr<session::Snapshot> view;  // changes under the exclusive lock of the state alone
};

struct Rows {
  session::RowPage page;
};

struct Index {
  session::IndexPlace place;
};

// What a batch gathers. `owner` is the store of its first table; `mixed`: there was another one.
struct Commands {
  kernel::Batch batch;
  kernel::Batch& Of(const State* state) {
    mixed = mixed || (owner != nullptr && owner != state);
    owner = state;
    return batch;
  }

  const State* owner = nullptr;
  bool mixed = false;
};

struct Block {
  State& state;
  kernel::AtomicBlock block;
  RowTurns::Places turns = 0;                   // that it has: nobody else's are waited for there
  RowTurns::Places lost = 0;                    // at which it met somebody
  std::vector<RowTurns::Places> observed = {};  // per compare of the batch
};

}  // namespace holdfast::inside

#endif  // HOLDFAST_EMBEDDED_STATE_INTERNAL_H_
