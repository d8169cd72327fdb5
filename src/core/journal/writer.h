// Appending frames durably: files of preallocated sectors (append mode), or one object per frame.
// Source: docs/format.md 6; rules B3, B4, C2, D3, I1. Not thread-safe; blocking.
#ifndef HOLDFAST_CORE_JOURNAL_WRITER_H_
#define HOLDFAST_CORE_JOURNAL_WRITER_H_

#include <memory>

#include "base/limits.h"
#include "core/journal/recovery.h"

namespace holdfast::journal {

class JournalWriter {
 public:
  struct Options {
    JournalIdentity id;
    uint64_t file_bytes = limits::kJournalFileBytes;
  };
  JournalWriter(seam::Storage& storage, Options options);
  ~JournalWriter();

  // The opening's barrier frame (B3, C2): trims the file that ends with `adopted`'s last accepted frame, then
  // creates the next journal object exclusively under `number`, which is above adopted.highest_number.
  // Durable when it returns.
  //   kExists  the number is taken, by what a crash left or by another opener; nothing is changed:
  //            read the chain again (a higher term there means fenced) and open above it. Where names bear
  //            the term (seam::WritersMayMeet) the barrier is there, beside the other
  //   kFull    nothing is changed but the trim: call again later
  Status Open(const Chain& adopted, FrameNumber number, const SealedFrame& sealed_barrier);

  // Durable when it returns Ok. REQUIRES: number is that of the frame before, plus one.
  //   kFull      the frame is abandoned and nothing is changed: write the same bytes again later
  //   kFenced    the number is there already: another opener took over; nothing more can be written
  //   otherwise  the provider is poisoned
  // Rolls to a new file when this one is full (B4); the frame then is the first of the new file.
  Status Write(FrameNumber number, const SealedFrame& frame);

  // Writes a closing frame and trims (B4).
  Status Close(FrameNumber number, const SealedFrame& closing);

  // Deletes journal objects wholly below `frame`, and those that Open's chain passed over. Durable at the
  // storage's next barrier. Where no lock keeps a second opener out (seam::FencesByCondition,
  // WritersMayMeet), what took a number away from an older one is not deleted: kFenceMark is left in its
  // place, and what was passed over stays until it lies below `frame`.
  Status CutBelow(FrameNumber frame);

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_WRITER_H_
