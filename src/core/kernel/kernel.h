// The ordering machine: Step(event) -> effects. Ordering, agreement, durability, wave and save schedule; no
// threads, clock, randomness or I/O. What entries mean is the applier's business (core/store), what frames
// look like the journal's.
//
//   Submit ──> pending ──(schedule)──> wave: WriteFrame ──FrameStable──> committed: Apply ──Applied──> Reply
//                 │ over its limit: Reply kOverloaded                      (acknowledgements in log order)
//
// Schedule (design §3): a wave closes when
//   - a waiter exists and one measured commit time has passed since the last wave closed; at once when
//     nothing is in flight;
//   - nobody waits: max(20 ms, k x commit time) since the last commit;
//   - pending bytes reach limits::kWaveBytesCap.
// At most limits::kWavesInFlightMax frames are in flight; acknowledgements come in order.
//
// Saves are proposed as log entries, each in a frame of its own ahead of what is pending: on
// `save_period_ms`, on dirty bytes (told with Applied), on request. Never two at once.
//
// Back-pressure: pending over its limits answers kOverloaded, and nothing is enqueued. Dirty or unapplied
// bytes over theirs make waves wait, so that pending fills. While a save runs, dirty bytes in the last
// quarter below their limit cost time (kPaceUsPerKiB), more the nearer they are: many short waits instead of
// a long one. Without space (I1) new commands get kFull; those accepted before are kept and written as soon
// as there is some. Where a reserve was given up for them (SpaceLow), only commands that make less are taken
// until it has been made again: what others were accepted and are in no frame yet get kFull, so that the
// reserve is left for deletes and saves. Any other failure of storage is final: everything that is not
// committed, and all that comes later, fails with its code; what is committed can still be read.
//
// Source: design §2 kernel, §3 two-tier commit; rules D1, D4, H1, I1.
#ifndef HOLDFAST_CORE_KERNEL_KERNEL_H_
#define HOLDFAST_CORE_KERNEL_KERNEL_H_

#include <deque>
#include <memory>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "core/consensus/consensus.h"
#include "core/journal/frame.h"

namespace holdfast::kernel {

using Ticket = uint64_t;  // the submitter's own name for a command; 0 = nobody waits for an answer

enum class Wait : uint8_t { kNone, kDurable };  // kNone: answered once the entry is in a wave

// What a KiB of a wave costs when dirty bytes are about to reach their limit; by the square of the way there.
// A thousand rows of 116 bytes then wait for 34 ms.
inline constexpr uint64_t kPaceUsPerKiB = 300;

struct Options {
  uint64_t wave_timer_ms_min = 20;
  uint64_t wave_timer_factor = 2;  // k
  size_t wave_bytes_cap = limits::kWaveBytesCap;
  size_t waves_in_flight_max = limits::kWavesInFlightMax;
  size_t pending_bytes_max = limits::kPendingBytesMax;
  size_t pending_commands_max = limits::kPendingCommandsMax;
  uint64_t save_period_ms = 0;  // 0 = never by time
  uint64_t dirty_bytes_save = limits::kOverlayBytesFold;
  uint64_t dirty_bytes_max = limits::kOverlayBytesMax;  // then back-pressure: waves wait for the save
  uint64_t full_retry_ms = 1000;                        // rule I1
};

// -- events. `now_us` on each is host time: believed only for liveness, never goes backwards here.

struct Submit {
  Ticket ticket = 0;
  journal::EntryKind kind{};  // not kOpened, kSavePoint, kClosed: those are not the clients' to write
  Bytes payload;              // at most kCommandBytesMax (command.h)
  Wait wait = Wait::kDurable;
};

// Answered when everything submitted before it is durable and applied.
struct Sync {
  Ticket ticket;
};

// Answered by a save point at or above the index committed now (D4).
struct RequestSave {
  Ticket ticket;
};

struct FrameStable {
  FrameNumber number;
};

// kFull: the frame is written again, unchanged, after `full_retry_ms`. Anything else is final.
// The executor writes in order and stops at the first frame that fails: it reports those behind it with the
// same code, and the kernel hands out all of them again, in order.
struct FrameFailed {
  FrameNumber number;
  Code code;
};

// The applier has done the entries up to `index`. May be repeated, to tell of other dirty bytes.
struct Applied {
  LogIndex index;
  uint64_t dirty_bytes = 0;  // of all overlays
  struct Outcome {
    Ticket ticket;
    Status status;
    uint64_t detail;
  };
  std::vector<Outcome> outcomes;  // for the tickets handed out with Apply, in their order
  uint64_t save_at = 0;  // dirty bytes that pay for a save; 0, and at most: Options::dirty_bytes_save
};

// A slot that holds the save point `index` is durable, or could not be made so.
struct SaveFinished {
  LogIndex index;
  Status status;
  uint64_t condemned_bytes = 0;  // that saves after this one will give back
};

// The provider's reserve was given up, or is there again. Low until then: what takes space is refused, and
// saves follow each other so that what deletes set free is given back.
struct SpaceLow {
  bool low;
};

struct Tick {};

// Write what is pending, finish the save that runs, write `closed`, then Stopped. Does not wait for space.
struct Stop {};

using Event = std::variant<Submit, Sync, RequestSave, FrameStable, FrameFailed, Applied, SaveFinished,
                           SpaceLow, Tick, Stop>;

// -- effects

// Seal and write, in order; answer FrameStable or FrameFailed.
struct WriteFrame {
  journal::FrameKind kind{};
  FrameNumber number;
  Term term;
  LogIndex watermark, first_index;
  std::shared_ptr<const std::vector<journal::Entry>> entries;
};

// Committed: apply in order; answer Applied.
struct Apply {
  LogIndex first_index;
  FrameNumber frame;  // that carries them
  std::shared_ptr<const std::vector<journal::Entry>> entries;
  std::vector<Ticket> tickets;  // one per entry; 0 where no outcome is awaited
};

struct Reply {
  Ticket ticket;
  Status status;
  Term term;
  LogIndex index;              // of its entry; 0 where there is none
  Wait reached = Wait::kNone;  // what was reached
  uint64_t detail = 0;         // the applier's (e.g. which compare failed)
};

struct Log {  // never user data
  Code code;
  uint64_t a = 0, b = 0;  // numbers: of a frame, of an entry
};

// Try to make the reserve again; SpaceLow{false} if it is there.
struct MakeReserve {};

struct Stopped {};

using Effect = std::variant<WriteFrame, Apply, Reply, Log, MakeReserve, Stopped>;

struct Metrics {
  uint64_t waves = 0, entries = 0, wave_bytes = 0, overloaded = 0, saves = 0, full_retries = 0;
  uint64_t commit_us_ewma = 0, pending_bytes = 0, pending_commands = 0, in_flight = 0;
};

class Kernel {
 public:
  // `last`: the position the opening ended with (its barrier frame included); `next_frame`: the first free
  // number.
  Kernel(const Options& options, std::unique_ptr<consensus::Consensus> consensus, LogIndex last,
         FrameNumber next_frame);
  ~Kernel();

  // Not thread-safe. Cost: O(effects). `out` is appended to.
  void Step(uint64_t now_us, Event event, std::vector<Effect>& out);
  // When Step(Tick) should be called at the latest, in the same clock; UINT64_MAX = only on the next event.
  uint64_t NextDeadlineUs() const;

  LogIndex committed() const;
  LogIndex applied() const;
  LogIndex stable() const;  // the watermark
  bool full() const;        // waiting for space, or low on it (I1)
  Metrics metrics() const;

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::kernel

#endif  // HOLDFAST_CORE_KERNEL_KERNEL_H_
