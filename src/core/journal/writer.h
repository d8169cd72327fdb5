// Appending frames durably: files of preallocated sectors (append mode) or one object per frame (whole objects).
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

  // The opening's barrier frame (B3, C2): trims the file that ends with `chain`'s last accepted frame, then creates the
  // next journal object exclusively under `sealed_barrier`'s number. Durable when it returns.
  //   kFenced  somebody created that number with a higher term; kExists: it is there with a lower one, take the next
  Status Open(const Chain& adopted, FrameNumber number, const SealedFrame& sealed_barrier);

  // Durable when it returns Ok.
  //   kFull      the frame is abandoned and nothing is changed: write the same bytes again later
  //   otherwise  the provider is poisoned
  // Rolls to a new file when this one is full (B4); the frame then is the first of the new file.
  Status Write(FrameNumber number, const SealedFrame& frame);

  // Writes a closing frame and trims (B4).
  Status Close(FrameNumber number, const SealedFrame& closing);

  // Deletes journal objects wholly below `frame`, and abandoned ones. Durable at the storage's next barrier.
  Status CutBelow(FrameNumber frame);

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::journal

#endif  // HOLDFAST_CORE_JOURNAL_WRITER_H_
