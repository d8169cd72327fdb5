// Agreement on the order of entries. A step machine: no clock, no thread, no I/O; the kernel drives it.
// In this place a cluster's Raft will stand; SingleMember is a quorum of one, behind the same interface.
#ifndef HOLDFAST_CORE_CONSENSUS_CONSENSUS_H_
#define HOLDFAST_CORE_CONSENSUS_CONSENSUS_H_

#include "core/journal/entry.h"

namespace holdfast::consensus {

class Consensus {
 public:
  virtual ~Consensus() = default;
  virtual bool is_leader() const = 0;
  virtual Term term() const = 0;
  // Takes `count` entries for the log; answers the index of the first. REQUIRES is_leader().
  virtual LogIndex Propose(size_t count) = 0;
  // This member's own write quorum of providers holds everything up to `index`.
  virtual void LocalStable(LogIndex index) = 0;
  // Highest index that is committed: stable on a quorum of members, of the current term.
  virtual LogIndex committed() const = 0;
  virtual LogIndex last() const = 0;
};

// A quorum of one: committed as soon as stable here.
class SingleMember : public Consensus {
 public:
  SingleMember(Term term, LogIndex last) : term_(term), last_(last), committed_(last) {}
  bool is_leader() const override { return true; }
  Term term() const override { return term_; }
  LogIndex Propose(size_t count) override;
  void LocalStable(LogIndex index) override;
  LogIndex committed() const override { return committed_; }
  LogIndex last() const override { return last_; }

 private:
  Term term_;
  LogIndex last_, committed_;
};

}  // namespace holdfast::consensus

#endif  // HOLDFAST_CORE_CONSENSUS_CONSENSUS_H_
