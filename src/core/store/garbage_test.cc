// Spans against the definition: a node is needed while it is live, or a tag stands between its birth and its
// death.
#include "core/store/garbage.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "core/store/manifest.h"
#include "crypto/random.h"

namespace holdfast::store {
namespace {

struct LoggedNode {
  uint64_t birth, bytes;
  uint32_t segment;
  std::optional<uint64_t> death;
};

struct World {
  std::vector<LoggedNode> nodes;
  std::set<uint64_t> tags;
  Segments segments;
  TagLine line() const {
    std::vector<LogIndex> at;
    for (uint64_t t : tags) at.push_back(LogIndex(t));
    return TagLine(at);
  }
  bool Needed(const LoggedNode& n) const {
    if (!n.death) return true;
    auto it = tags.lower_bound(n.birth);
    return it != tags.end() && *it < *n.death;
  }
  void Check(uint64_t now) const {
    std::map<uint32_t, Spans> expected;
    for (const LoggedNode& n : nodes) {
      if (!Needed(n)) continue;
      TagLine l = line();
      LogIndex last = n.death ? l.LastBefore(LogIndex(*n.death)) : kNow;
      expected[n.segment].Add(l.FirstSeeing(LogIndex(n.birth)), last, n.bytes);
    }
    for (const auto& [number, s] : segments)
      ASSERT_TRUE(s.spans == expected[number]) << "segment " << number << " at " << now;
  }
};

tree::NodeRef RefOf(const LoggedNode& n) {
  tree::NodeRef ref;
  ref.birth = LogIndex(n.birth);
  ref.hint = {n.segment, 0, static_cast<uint32_t>(n.bytes)};
  return ref;
}

TEST(Garbage, SpansAreWhatTheDefinitionSaysWhateverTheOrderOfTagsAndDrops) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    crypto::SeededRandom random(seed);
    World w;
    uint64_t now = 10;
    for (int save = 0; save < 40; ++save) {
      now += 1 + random.Below(5);
      std::vector<uint64_t> dropped;
      for (uint64_t t : w.tags)
        if (random.Below(6) == 0) dropped.push_back(t);
      for (uint64_t t : dropped) w.tags.erase(t);
      TagLine line = w.line();
      for (auto& [number, s] : w.segments) s.spans.Rename(line, LogIndex());
      Deaths one, other;
      for (LoggedNode& n : w.nodes) {
        if (n.death || random.Below(4) != 0) continue;
        n.death = now;
        (random.Below(2) == 0 ? one : other).Add(RefOf(n));
      }
      for (uint64_t i = random.Below(12); i > 0; --i) {
        LoggedNode n{now, 16 + random.Below(100), static_cast<uint32_t>(1 + random.Below(6)), {}};
        w.segments[n.segment].spans.Add(kNow, kNow, n.bytes);
        w.nodes.push_back(n);
      }
      one.MergeFrom(other);
      one.TakeFrom(w.segments, line);
      if (random.Below(3) == 0) {
        w.tags.insert(now);
        line = w.line();
        for (auto& [number, s] : w.segments) s.spans.Rename(line, LogIndex(now));
      }
      w.Check(now);
      if (random.Below(10) == 0) {  // a table is dropped: all that is live in some segments dies
        now += 1;
        uint32_t table = static_cast<uint32_t>(1 + random.Below(6));
        for (LoggedNode& n : w.nodes)
          if (n.segment == table && !n.death) n.death = now;
        w.segments[table].spans.AllDie(w.line());
        w.Check(now);
      }
    }
    w.tags.clear();
    TagLine none = w.line();
    for (auto& [number, s] : w.segments) {
      s.spans.Rename(none, LogIndex());
      EXPECT_EQ(s.spans.total(), s.spans.live()) << "without tags only what is live is needed";
    }
    w.Check(now);
  }
}

TEST(Garbage, ChunksDieWithTheBirthOfTheirList) {
  Segments segments;
  segments[1].spans.Add(LogIndex(20), kNow, 500);
  segments[2].spans.Add(LogIndex(20), kNow, 70);
  TagLine line({LogIndex(10), LogIndex(20)});
  Deaths deaths;
  tree::NodeRef chunk, list;
  chunk.hint = {1, 0, 250};
  deaths.Add(chunk);
  deaths.Add(chunk);
  list.birth = LogIndex(15);
  list.hint = {2, 0, 70};
  deaths.Add(list);
  deaths.TakeFrom(segments, line);
  for (uint32_t n : {1u, 2u}) {
    ASSERT_EQ(segments[n].spans.items().size(), 1u);
    EXPECT_EQ(segments[n].spans.items()[0].last, LogIndex(20)) << "tag 20 sees them, tag 10 does not";
  }
}

TEST(Garbage, ASumThatIsWrongDoesNotWrapRound) {
  Spans s;
  s.Add(kNow, kNow, 10);
  s.Remove(kNow, kNow, 11);
  EXPECT_EQ(s.total(), 0u);
  s.Remove(kNow, kNow, 5);
  EXPECT_TRUE(s.empty());
}

}  // namespace
}  // namespace holdfast::store
