// Turns at rows that transactions have lost to each other (rule H2): who has lost a row goes next.
//
// Without them the one whose commit is told first is the first to try again, wins again, and the others lose
// for as long as it goes on. So a transaction that lost a row waits for its turn at that row, in the order of
// asking, and keeps it until it is through; one that reads a row at which somebody else has a turn begins
// again with a turn of its own. What remains to lose to is what was on its way when the turn was taken, and
// writes that are no transactions.
//
// Rows share 64 places by their hash: two that meet there wait for each other without need, and nothing worse
// happens. Places are taken in ascending order, all at once, by a transaction that has none: no two wait for
// each other. Thread-safe. Nobody waits behind one turn longer than kTurnMillisecondsMax: whoever does goes
// on without it.
#ifndef HOLDFAST_EMBEDDED_ROW_TURNS_INTERNAL_H_
#define HOLDFAST_EMBEDDED_ROW_TURNS_INTERNAL_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>

#include "base/ids.h"
#include "base/limits.h"
#include "sync/mutex.h"

namespace holdfast::inside {

class RowTurns {
 public:
  using Places = uint64_t;  // a bit each
  // A block's time and a commit that takes as long: whoever needs more hangs.
  static constexpr uint64_t kTurnMillisecondsMax = 2 * limits::kAtomicMillisecondsMax;

  static Places PlaceOf(const TableId& table, ByteView key);

  // Blocking. REQUIRES: `who` has no turn; what is asked for is given back by Give(who).
  void Take(uint64_t who, Places places, uint64_t patience_ms = kTurnMillisecondsMax);
  void Give(uint64_t who);
  // Somebody had a turn at one of the places a moment ago. No lock: it is asked at every read.
  bool Taken(Places places) const { return (taken_.load(std::memory_order_acquire) & places) != 0; }
  uint64_t NewName() { return names_.fetch_add(1, std::memory_order_relaxed) + 1; }

 private:
  static constexpr size_t kPlaces = 64;
  void TakeOne(uint64_t who, std::deque<uint64_t>& queue, uint64_t patience_ms) HF_REQUIRES(mutex_);

  void Show() HF_REQUIRES(mutex_);

  std::atomic<Places> taken_{0};  // of queues_
  std::atomic<uint64_t> names_{0};
  sync::Mutex mutex_{sync::LockName::kOther};
  sync::CondVar moved_;
  std::array<std::deque<uint64_t>, kPlaces> queues_ HF_GUARDED_BY(mutex_);  // the first has the turn
};

}  // namespace holdfast::inside

#endif  // HOLDFAST_EMBEDDED_ROW_TURNS_INTERNAL_H_
