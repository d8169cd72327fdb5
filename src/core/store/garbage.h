// Who still sees a node, and what becomes free when nobody does. A node is seen from the save that wrote it
// (its birth) to the save that no longer needs it (its death). Tags keep what they see: a dead node is
// garbage once no tag stands between its birth and its death.
//
//        birth                                  death
//   ──────┼───────●tag 40────────●tag 70──────────┼──────●tag 95──────> now
//         └── first seen by 40          last seen by 70 ──┘
//
// So each stored node is of one *span*: the first and the last tag that see it, `kNow` standing for a tag at
// the end. A live node has last = kNow; one that tags alone hold is on the deadlist of its last tag. Bytes
// are summed by segment and span: a save costs what changed, and dropping a tag is renaming spans, however
// much the tag held; no tree is read. Source: docs/decisions/0012; rules D3, D5.
#ifndef HOLDFAST_CORE_STORE_GARBAGE_H_
#define HOLDFAST_CORE_STORE_GARBAGE_H_

#include <map>
#include <vector>

#include "base/ids.h"
#include "core/tree/node.h"

namespace holdfast::store {

inline constexpr LogIndex kNow = LogIndex(UINT64_MAX);

// The log indexes at which tags stand, ascending, each once.
class TagLine {
 public:
  TagLine() = default;
  explicit TagLine(std::vector<LogIndex> at);  // in any order, with repetitions

  LogIndex FirstSeeing(LogIndex birth) const;  // the oldest tag at or after the birth; else kNow
  LogIndex LastBefore(LogIndex at) const;      // the newest tag below; else 0
  LogIndex Newest() const { return at_.empty() ? LogIndex() : at_.back(); }
  bool Has(LogIndex at) const;
  const std::vector<LogIndex>& all() const { return at_; }

 private:
  std::vector<LogIndex> at_;
};

struct Span {
  LogIndex first, last;  // first <= last; tags, or kNow
  uint64_t bytes = 0;
  friend bool operator==(const Span&, const Span&) = default;
};

// The bytes of one segment by span. At most one item a node, and at most (t + 1)(t + 2) / 2 for t tags; a
// segment that one fold wrote has one birth, so at most t + 1.
class Spans {
 public:
  void Add(LogIndex first, LogIndex last, uint64_t bytes);
  // At most what is there: a forged hint that passed the AEAD would be our own bug, and a wrong sum must not
  // wrap round.
  void Remove(LogIndex first, LogIndex last, uint64_t bytes);
  // The live nodes die: they go to the newest tag that sees them, or away.
  void AllDie(const TagLine& line);
  // After tags were dropped, and one was made at `made` (0: none), above all births: names by `line`, the
  // tags there are now. What no tag sees any more goes away.
  void Rename(const TagLine& line, LogIndex made);

  uint64_t total() const;
  uint64_t live() const;  // last = kNow
  bool empty() const { return items_.empty(); }
  const std::vector<Span>& items() const { return items_; }  // ascending by (first, last), none of 0 bytes
  friend bool operator==(const Spans&, const Spans&) = default;

 private:
  std::vector<Span> items_;
};

struct Segment;

// What one fold, or one worker of it, no longer needs: summed here, taken from the segments when the fold is
// done. Memory: a few words for each segment and birth that lost something, and the chunks of one blob.
class Deaths {
 public:
  // As tree::NodeSink::Dead. Chunks of a list have no birth in their reference: they come right before their
  // list and were born with it.
  void Add(const tree::NodeRef& ref);
  void MergeFrom(Deaths& other);  // and empties it
  // `line`: the tags there are, without one that is made by the same save.
  void TakeFrom(std::map<uint32_t, Segment>& segments, const TagLine& line);

 private:
  struct Birth {
    uint32_t segment;
    LogIndex at;
    friend auto operator<=>(const Birth&, const Birth&) = default;
  };
  std::map<Birth, uint64_t> bytes_;
  std::vector<tree::Hint> chunks_;
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_GARBAGE_H_
