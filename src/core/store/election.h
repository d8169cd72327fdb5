// Who writes from now on (rules B3, C2, C3). Under a lock it is decided already, and a barrier frame says so
// in the journal. Without one, where conditions hold between openers (seam::FencesByCondition), it is decided
// here:
//
//   frames    … n-1   n │ n+1 barrier, term t+1        nobody is writing: the number behind the last frame
//   frames    … n-1   n   n+1   n+2 │ n+3 fence │ n+4   somebody is: a fence takes the number he would write
//                                     then read again, barrier behind it
//
// A number is taken once. The writer before finds his next one taken and is fenced; all that he has
// acknowledged lies below, and is read. No two openers have one term: whoever finds a number taken by his own
// term or a higher one has lost. The slot that the writer before would save into is taken too (slots.h), so
// that no save of his becomes visible any more.
//
// Where nothing holds (seam::WritersMayMeet: the operator's word) frames bear their term in their names, and
// who puts one looks whether somebody else has the number. A fence always comes first there; slots are looked
// after as well as can be, and a fork that comes about is found by whoever reads (journal::Fork).
//
// Numbers stay taken for good (journal::kFenceMark), however long somebody slept.
#ifndef HOLDFAST_CORE_STORE_ELECTION_H_
#define HOLDFAST_CORE_STORE_ELECTION_H_

#include "core/store/opener.h"

namespace holdfast::store {

inline constexpr int kElectionsMax = 16;  // readings of a store that others write meanwhile

class Election {
 public:
  explicit Election(seam::Storage& storage);
  bool by_condition() const { return by_condition_; }
  bool among_others() const { return by_condition_ || may_meet_; }  // somebody may write while we read
  bool won() const { return won_; }

  // Raises the term, writes the barrier frame, takes the older slot; sets s.term, s.frame, s.next_frame and
  // s.opener. What `r` says must just have been read.
  //   kFenced           somebody else has won
  //   kVersionMismatch  somebody has written meanwhile, and can no longer: read again and call again
  Status Run(const Reading& r, OpenedStore& s, crypto::Random& random);

  // Both slots' numbers, to tell whether a reading that failed was of a store that changed under it.
  Result<std::string> SlotsNow();

  // Deletes what openers before `s` left of saves that no slot names. Returns how many objects.
  Result<size_t> DeleteLeftByOthers(const Reading& r, const OpenedStore& s);

 private:
  Status WriteBarrier(const Reading& r, OpenedStore& s, FrameNumber first, crypto::Random& random);
  Status TakeNumbers(const Reading& r, crypto::Random& random);
  Status Overtake(const Reading& r, FrameNumber above, crypto::Random& random);
  Status PutFence(const Reading& r, FrameNumber number, crypto::Random& random);
  Term TermAbove(Term highest, crypto::Random& random) const;
  Result<Term> TermAt(const Reading& r, FrameNumber number);
  Result<std::vector<seam::ObjectInfo>> OthersAt(const Reading& r, FrameNumber number);

  seam::Storage& storage_;
  const bool by_condition_, may_meet_;
  Term term_;
  bool won_ = false;
  bool fence_ = false;  // of ours, at term_: nobody before can write any more
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_ELECTION_H_
