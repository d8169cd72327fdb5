// What a Storage made of several providers can say and do that one provider cannot. Storage::copies() gives
// it; null: there is one provider, and nothing of this applies.
//
// Every object is the same on all providers (rule A3), so what is to lie under a name is known by its hash:
// the catalogue. It is told once, when a store is opened, and kept by every write from then on. Providers
// that lack something, or hold something else, are brought up to it by copying; no key is needed.
//
// A provider is *current* (it takes every write), *behind* (it takes none until it has been brought up to
// the catalogue) or *absent* (nobody answers). Thread-safe. Blocking where it says so.
#ifndef HOLDFAST_SEAM_COPIES_H_
#define HOLDFAST_SEAM_COPIES_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "seam/storage.h"

namespace holdfast::seam {

// An object is the sequence of its pieces: one for each frame of a journal file, one for anything else.
struct Piece {
  uint64_t length = 0;
  Digest sha256{};  // all zero: any bytes will do
  friend bool operator==(const Piece&, const Piece&) = default;
};
using Pieces = std::vector<Piece>;
using Catalogue = std::map<std::string, Pieces, std::less<>>;

// How many providers there are and how many must hold a write before it counts.
struct Quorum {
  uint32_t providers = 1, write = 1;
  // So many must be read at an opening: any write that counted is on one of them.
  uint32_t read() const { return providers - write + 1; }
  uint32_t open() const { return write > read() ? write : read(); }  // barrier frames (rule C2)
  bool valid() const { return providers >= 1 && write >= 1 && write <= providers; }
  friend bool operator==(const Quorum&, const Quorum&) = default;
};
constexpr uint32_t MajorityOf(uint32_t providers) { return providers / 2 + 1; }

struct CopyState {
  bool current = false;                   // both its journal and its objects
  Code why{};                             // why it is not; the last failure
  uint64_t queued = 0, queued_bytes = 0;  // writes that others may have and this one has not yet
  uint64_t errors = 0;                    // failed calls
  uint64_t bad_objects = 0;               // found missing or different from what is to lie there
  uint64_t repaired = 0;                  // objects copied to it
  uint64_t milliseconds_since_success = 0;
};

class Copies {
 public:
  virtual ~Copies() = default;
  virtual size_t count() const = 0;
  // One provider alone, for reading; writing through it is refused (kReadOnly). A provider that does not
  // answer in time gives kUnreachable.
  virtual Storage& copy(size_t i) = 0;
  // The order in which to try them for a read: current ones first, those that answer slowly last.
  virtual std::vector<size_t> Order() = 0;

  virtual Quorum quorum() const = 0;
  // Kept for all writes that follow. `required` for journal frames alone, until changed again: an opening's
  // barrier needs more than `write`.
  virtual void SetQuorum(Quorum quorum) = 0;
  virtual void RequireForJournal(uint32_t required) = 0;

  // Frames on their way one behind the other: from here on whatever is written to the journal returns as soon
  // as it is queued, in its order, and WaitJournal says what became of it. Not without threads.
  virtual void QueueJournal() = 0;
  virtual uint64_t JournalSequence() = 0;  // of what was queued last
  // Returns when that and all before it are stable on `write` providers.
  //   kExists  another opener has the name;  kFull  too few have room: ask again;  kUnreachable  after
  //   GiveUpWaiting
  virtual Status WaitJournal(uint64_t sequence) = 0;

  // What is to lie there from now on; nobody was current before. `journal_current[i]`: provider i's journal
  // is known to be so already. Brings the others up to it as they answer, without waiting for them.
  virtual void Adopt(Catalogue catalogue, const std::vector<bool>& journal_current) = 0;
  // Brings up whoever answers, now; returns when each is current and has nothing queued, or has failed, or
  // the time is up.
  virtual void CatchUp(uint64_t patience_ms) = 0;

  // Provider i gave bytes under `name` that a key holder found wrong, or has nothing there. It is named in
  // its state, and the object is compared and copied again.
  virtual void Accuse(size_t i, std::string_view name, Code code) = 0;

  // Compares every object of the catalogue on every provider with its hash, and repairs. `step` is called
  // after each object and may wait (a rate limit); false: enough. Returns how many were bad.
  using ScrubStep = std::function<bool(size_t provider, uint64_t bytes)>;
  virtual uint64_t Scrub(const ScrubStep& step) = 0;

  virtual std::vector<CopyState> States() = 0;
  // From here on nothing waits for a quorum that is not there: such writes end with kUnreachable.
  virtual void GiveUpWaiting() = 0;
};

// Reads from one provider after the other until `take` accepts what came; whoever gave something else is
// accused. With one provider: that one, and what `take` says of it is returned.
//   errors  of the last provider asked, or of `take`
using TakeBytes = std::function<Status(UntrustedBytes bytes)>;
Status ReadAccepted(Storage& storage, std::string_view name, uint64_t offset, uint64_t length,
                    const TakeBytes& take);

}  // namespace holdfast::seam

#endif  // HOLDFAST_SEAM_COPIES_H_
