#include "core/consensus/consensus.h"

namespace holdfast::consensus {

LogIndex SingleMember::Propose(size_t count) {
  const LogIndex first = last_.next();
  last_ = LogIndex(last_.value + count);
  return first;
}

void SingleMember::LocalStable(LogIndex index) {
  // Above `last` would commit what nobody proposed; below `committed` would take back what was promised.
  if (index <= last_ && index > committed_) committed_ = index;
}

}  // namespace holdfast::consensus
