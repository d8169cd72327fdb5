// The manifest in parts: what a save writes of it, what each slot is read with, and what becomes of the rest.
#include <algorithm>

#include "core/store/store_rig_internal.h"
#include "core/store/verify.h"
#include "host/kv/fault.h"

namespace holdfast::store {
namespace {

using host::WriteKind;
using host::WriteOperation;

std::vector<Group> GroupsOf(const Manifest& m, uint8_t slot) {
  std::vector<Group> groups;
  for (const Group& g : m.groups) {
    if (g.slot == slot) groups.push_back(g);
  }
  return groups;
}

// A node a segment: many of them.
void MakeMany(Rig& rig, int rows) {
  rig.options.placement = {
      .segment_bytes = 1, .garbage_slack_bytes = uint64_t{1} << 40, .segments_slack = size_t{1} << 30};
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  for (int from = 0; from < rows; from += 10'000) {
    Rows some;
    for (int i = from; i < std::min(rows, from + 10'000); ++i)
      some["key " + std::to_string(1'000'000 + i)] = "v";
    ASSERT_TRUE(rig.PutRows("t", some));
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.Save());  // both slots, and nothing owed
}

struct SaveCost {
  size_t segments = 0, groups = 0;  // there are
  uint64_t whole_bytes = 0;         // of the manifest
  size_t groups_written = 0;
  uint64_t head_bytes = 0, group_bytes = 0;  // written by the save
};

SaveCost CostOfASaveOfOneRow(int rows) {
  Rig rig;
  MakeMany(rig, rows);
  std::vector<std::string> written;
  host::FaultPlan plan;
  plan.before = [&](const WriteOperation& o) {
    if (o.kind != WriteKind::kDelete && o.kind != WriteKind::kBarrier) written.push_back(o.name);
  };
  host::FaultStorage watched(rig.own_disk, plan);
  rig.disk = &watched;
  rig.Kill();
  EXPECT_TRUE(rig.Open());
  SaveCost cost;
  for (int save = 0; save < 3; ++save) {  // the last one counts
    EXPECT_TRUE(rig.PutRows("t", {{"key " + std::to_string(1'000'000 + rows / 3), std::to_string(save)}}));
    written.clear();
    EXPECT_TRUE(rig.Save());
    cost = {};
    const Manifest& m = ManifestOf(rig);
    cost.segments = m.segments.size();
    for (const Group& g : GroupsOf(m, m.slot())) {
      ++cost.groups;
      cost.whole_bytes += g.size;
    }
    for (const std::string& name : written) {
      uint64_t bytes = rig.own_disk.Get(name)->size();
      cost.groups_written += name.starts_with(kGroupsPrefix);
      cost.group_bytes += name.starts_with(kGroupsPrefix) ? bytes : 0;
      cost.head_bytes += name.ends_with("/core-enclave") ? bytes : 0;
    }
    cost.whole_bytes += cost.head_bytes;
  }
  rig.ExpectClean("one row more");
  return cost;
}

TEST(RuleD6, ASaveOfOneRowWritesTheGroupsThatItChangesAndAHead) {
  SaveCost few = CostOfASaveOfOneRow(10'000), many = CostOfASaveOfOneRow(40'000);
  ASSERT_GT(many.segments, 2'000u);
  ASSERT_GT(many.segments, 3 * few.segments);
  ASSERT_GT(few.groups, 10u);
  for (const SaveCost& c : {few, many}) {
    EXPECT_LE(c.groups, 2 * c.segments / kGroupSegmentsMax + 1);
    EXPECT_GE(c.groups_written, 1u);
    // A way from the root to a leaf in the table and one in the heads, the new nodes, those of the save
    // before.
    EXPECT_LE(c.groups_written, 12u);
    EXPECT_LE(c.group_bytes, c.groups_written * (kGroupSegmentsMax * 210 + 200));
  }
  EXPECT_LT(many.group_bytes + many.head_bytes, many.whole_bytes / 4);
  // Four times the segments: what grows is the list of groups in the head.
  EXPECT_LE(many.groups_written, few.groups_written + 3);
  EXPECT_LE(many.head_bytes - few.head_bytes, 2 * (many.groups - few.groups + 4) * 97 + 200);
  RecordProperty("segments", static_cast<int>(many.segments));
  RecordProperty("groups", static_cast<int>(many.groups));
  RecordProperty("groups_written", static_cast<int>(many.groups_written));
  RecordProperty("written_bytes", static_cast<int>(many.group_bytes + many.head_bytes));
  RecordProperty("whole_bytes", static_cast<int>(many.whole_bytes));
}

TEST(RuleD6, EitherSlotLoadsWithGroupsOfItsOwn) {
  Rig rig;
  MakeMany(rig, 3'000);
  ASSERT_TRUE(rig.PutRows("t", {{"key 1001500", "changed"}}));
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.PutRows("t", {{"in the journal", "alone"}}));
  const Manifest m = ManifestOf(rig);
  std::set<GroupId> of[2];
  for (int slot : {0, 1}) {
    for (const Group& g : GroupsOf(m, static_cast<uint8_t>(slot))) of[slot].insert(g.id);
    EXPECT_GT(of[slot].size(), 2u);
  }
  for (const GroupId& id : of[0]) EXPECT_FALSE(of[1].contains(id)) << "shared";
  rig.Kill();
  Image image = ImageOf(*rig.disk);
  for (int lost : {0, 1}) {
    std::string when = "slot " + std::to_string(lost) + " lost";
    Rig other;
    other.options = rig.options;
    other.oracle = rig.oracle;
    Image without = image;
    for (const GroupId& id : of[lost]) without.erase(GroupName(id));
    without.erase(SlotName(lost, "state-save-number"));
    auto disk = DiskOf(without);
    other.disk = disk.get();
    other.anchored = false;
    other.ExpectClean(when);
    ASSERT_TRUE(other.Open()) << when;
    other.ExpectRows(when);
    // The next save cannot use what the lost slot had, and does not.
    for (int save = 0; save < 3; ++save) {
      ASSERT_TRUE(other.Save()) << when;
      other.ExpectClean(when + ", saved");
    }
    other.Kill();
    ASSERT_TRUE(other.Open()) << when;
    other.ExpectRows(when + ", opened again");
  }
}

TEST(RuleD6, AGroupThatIsMissingChangedOrAnotherIsNamedAndTheOtherSlotServes) {
  Rig rig;
  MakeMany(rig, 3'000);
  Image earlier = ImageOf(*rig.disk);
  ASSERT_TRUE(rig.PutRows("t", {{"key 1001500", "changed"}}));
  ASSERT_TRUE(rig.Save());
  const Manifest m = ManifestOf(rig);
  rig.Kill();
  Image image = ImageOf(*rig.disk);
  std::vector<std::string> names;
  for (const Group& g : m.groups) {
    if (g.slot != kNoSlot) names.push_back(GroupName(g.id));
  }
  ASSERT_GT(names.size(), 6u);
  std::string old;  // of a group that has been replaced
  for (const auto& [name, bytes] : earlier) {
    if (name.starts_with(kGroupsPrefix) && !image.contains(name)) old = name;
  }
  ASSERT_FALSE(old.empty());
  std::vector<std::pair<std::string, std::function<void(Image&, const std::string&, const std::string&)>>>
      attacks = {
          {"missing", [](Image& i, const std::string& name, const std::string&) { i.erase(name); }},
          {"cut", [](Image& i, const std::string& name, const std::string&) { i[name].pop_back(); }},
          {"longer", [](Image& i, const std::string& name, const std::string&) { i[name].push_back(0); }},
          {"changed", [](Image& i, const std::string& name, const std::string&) { i[name][100] ^= 1; }},
          {"another", [](Image& i, const std::string& name, const std::string& next) { i[name] = i[next]; }},
          {"an old one",
           [&](Image& i, const std::string& name, const std::string&) { i[name] = earlier[old]; }},
      };
  for (size_t at = 0; at < names.size(); ++at) {
    for (const auto& [what, attack] : attacks) {
      std::string when = names[at] + " is " + what;
      Image broken = image;
      attack(broken, names[at], names[(at + 1) % names.size()]);
      auto disk = DiskOf(broken);
      Rig other;
      other.options = rig.options;
      other.oracle = rig.oracle;
      other.disk = disk.get();
      ASSERT_TRUE(other.anchor.Put(kAnchorName, rig.anchor.Get(kAnchorName)->parse()));
      auto report = other.Verify();
      ASSERT_TRUE(report) << when;
      ASSERT_TRUE(report->verdict) << when;
      EXPECT_EQ(CodeExit(*report->verdict), 3) << when;
      EXPECT_TRUE(std::any_of(report->findings.begin(), report->findings.end(),
                              [&](const Finding& f) { return f.bad() && f.object == names[at]; }))
          << when << Show(report->findings);
      ASSERT_TRUE(other.Open()) << when << Show(other.findings);
      other.ExpectRows(when);
      ASSERT_TRUE(other.Save()) << when;
      ASSERT_TRUE(other.Save()) << when;
      if (what != "missing") {
        other.ExpectClean(when + ", and the slot was written again");
      }
    }
  }
  // One of each slot: nothing is left to open from, and both are named.
  for (const Group& g : m.groups) {
    if (g.slot == 0 && g.first == GroupsOf(m, 0)[0].first) image[GroupName(g.id)][90] ^= 1;
    if (g.slot == 1 && g.first == GroupsOf(m, 1)[0].first) image[GroupName(g.id)][90] ^= 1;
  }
  auto disk = DiskOf(image);
  rig.disk = disk.get();
  EXPECT_EQ(rig.Open().code(), Code::kBothSlotsBad);
  size_t named = 0;
  for (const Finding& f : rig.findings) named += f.bad() && f.object.starts_with(kGroupsPrefix);
  EXPECT_EQ(named, 2u) << Show(rig.findings);
  EXPECT_TRUE(ImageOf(*disk) == image) << "a failed opening writes nothing";
}

TEST(RuleD6, WhatASaveReplacedIsListedUntilItIsDeletedAndIsWhole) {
  Rig rig;
  MakeMany(rig, 3'000);
  Image earlier = ImageOf(*rig.disk);
  ASSERT_TRUE(rig.PutRows("t", {{"key 1001500", "changed"}}));
  ASSERT_TRUE(rig.Save());
  std::vector<Group> replaced = GroupsOf(ManifestOf(rig), kNoSlot);
  ASSERT_FALSE(replaced.empty());
  Image image = ImageOf(*rig.disk);
  for (const Group& g : replaced) {
    EXPECT_TRUE(earlier.contains(GroupName(g.id)));
    EXPECT_FALSE(image.contains(GroupName(g.id))) << "nobody is read with it";
  }
  // As if the process had died before the deletes.
  rig.Kill();
  std::string name = GroupName(replaced[0].id);
  ASSERT_TRUE(rig.disk->Put(name, earlier[name]));
  rig.ExpectClean("not deleted yet");
  Bytes bytes = earlier[name];
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(rig.disk->Put(name, bytes));
  auto report = rig.Verify();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->verdict) << "listed, there, and not whole";
  ASSERT_TRUE(rig.Open());
  EXPECT_FALSE(ImageOf(*rig.disk).contains(name)) << "deleted by the opening";
  ASSERT_TRUE(rig.Save());
  for (const Group& g : ManifestOf(rig).groups) EXPECT_NE(g.id, replaced[0].id) << "confirmed";
  rig.ExpectClean("deleted");
}

// The power goes at the k-th write from the opening on; all, nothing or a part of what had no barrier
// arrived.
TEST(RuleD6, ACrashAtAnyWriteOfASaveLeavesAStoreThatLoads) {
  Rig built;
  MakeMany(built, 2'000);
  ASSERT_TRUE(built.PutRows("t", {{"key 1000500", "changed"}, {"key 1001500", "too"}}));
  built.Kill();
  const Image image = ImageOf(*built.disk);
  uint64_t pending = 0, k = 1;
  for (bool through = false; !through; ++k) {
    std::string when = "crash at write " + std::to_string(k);
    auto disk = DiskOf(image);
    Rig rig;
    rig.options = built.options;
    rig.oracle = built.oracle;
    ASSERT_TRUE(rig.anchor.Put(kAnchorName, built.anchor.Get(kAnchorName)->parse()));
    host::FaultPlan plan;
    plan.writes[k] = {host::FaultPlan::What::kCrash, Code::kIo};
    plan.drop_unsynced = true;
    plan.seed = k % 5;
    host::FaultStorage faulty(*disk, plan);
    rig.disk = &faulty;
    through = rig.Open() && rig.Save() && rig.Save();
    rig.Kill();
    if (!faulty.crashed()) faulty.CrashNow();
    rig.disk = disk.get();
    rig.ExpectClean(when);
    auto report = rig.Verify();
    for (const Finding& f : report->findings)
      pending += f.kind == Finding::Kind::kPending && f.object.starts_with(kGroupsPrefix);
    ASSERT_TRUE(rig.Open()) << when << Show(rig.findings);
    rig.ExpectRows(when);
    ASSERT_TRUE(rig.Save()) << when;
    rig.ExpectClean(when + ", saved");
    size_t groups = 0;
    for (const auto& [name, bytes] : ImageOf(*disk)) groups += name.starts_with(kGroupsPrefix);
    EXPECT_EQ(groups, GroupsOf(ManifestOf(rig), 0).size() + GroupsOf(ManifestOf(rig), 1).size()) << when;
    ASSERT_FALSE(::testing::Test::HasFailure()) << when;
  }
  EXPECT_GT(k, 40u);
  EXPECT_GT(pending, 0u) << "no crash left a group behind";
}

// -- the grouping alone

struct Writing {
  host::MemoryStorage disk;
  crypto::SeededRandom random{6};
  Secrets secrets;
  Manifest m;
  std::vector<std::string> names;
  std::set<std::string> all_names;
  Writing() {
    secrets.store = m.store = random.NewId<StoreId>();
    secrets.master = random.NewKey();
    secrets.keys = seal::StoreKeys::Derive(secrets.master, secrets.store);
  }
  void AddSegment(size_t spans = 1) {
    Segment s;
    s.number = m.next_segment++;
    s.id = random.NewId<SegmentId>();
    s.size = 1u << 20;
    s.spans.Add(kNow, kNow, 100);
    LogIndex tag;
    for (size_t i = 1; i < spans; ++i) {
      tag = tag.next();
      s.spans.Add(tag, tag, 10);
    }
    m.segments.emplace(s.number, s);
  }
  // One save: what it wrote. The slot is then read again.
  size_t Write() {
    m.save = m.save.next();
    names.clear();
    EXPECT_TRUE(WriteGroups(disk, m, secrets, Term(1), random, names));
    for (const std::string& name : names)
      EXPECT_TRUE(all_names.insert(name).second) << "a name is used again";
    for (int slot : {0, 1}) {
      std::vector<Group> groups = GroupsOf(m, static_cast<uint8_t>(slot));
      if (slot != m.slot()) continue;
      for (size_t i = 1; i < groups.size(); ++i) EXPECT_LT(groups[i - 1].first, groups[i].first);
      EXPECT_LE(groups.size(), 2 * m.segments.size() / kGroupSegmentsMax + 1) << "small ones are joined";
      for (const Group& g : groups) EXPECT_LE(g.segments, kGroupSegmentsMax);
    }
    Manifest back = m;
    back.segments.clear();
    std::string bad;
    EXPECT_TRUE(ReadGroups(disk, back, secrets, bad)) << bad;
    EXPECT_EQ(back.segments, m.segments);
    std::erase_if(m.groups, [&](const Group& g) {
      if (g.slot != kNoSlot) return false;
      EXPECT_TRUE(disk.Delete(GroupName(g.id)));
      return true;
    });
    return names.size();
  }
};

TEST(RuleD6, GroupsStayFewAndLargeHoweverSegmentsComeAndGo) {
  Writing w;
  crypto::SeededRandom random(8);
  for (int save = 0; save < 400; ++save) {
    size_t added = random.Below(12);
    for (size_t i = 0; i < added; ++i) w.AddSegment();
    for (size_t gone = random.Below(save < 200 ? 8 : 14); gone > 0 && w.m.segments.size() > 1; --gone) {
      auto it = w.m.segments.lower_bound(static_cast<uint32_t>(random.Below(w.m.next_segment)));
      if (it != w.m.segments.end()) w.m.segments.erase(it);
    }
    w.Write();
    ASSERT_FALSE(HasFailure()) << save;
  }
  w.Write();  // what this slot has not yet
  EXPECT_EQ(w.Write() + w.Write(), 0u) << "nothing has changed";
}

TEST(RuleD6, ASegmentOfVerySpreadSpansIsAGroupOfItsOwn) {
  Writing w;
  for (uint64_t i = 1; i <= 1'000; ++i)
    w.m.root.tags.emplace("tag " + std::to_string(i),
                          Tag{"tag " + std::to_string(i), {LogIndex(i), Term(1), {}}, {}});
  for (int i = 0; i < 40; ++i) w.AddSegment(1 + static_cast<size_t>(i) * 25);
  w.Write();
  w.Write();
  uint64_t largest = 0;
  for (const Group& g : GroupsOf(w.m, w.m.slot())) largest = std::max(largest, g.size);
  EXPECT_LT(largest, kGroupBytesMax + 8 * 1'000 + 200);
  EXPECT_GT(GroupsOf(w.m, w.m.slot()).size(), 1u);
}

TEST(RuleD6, ATagThatComesOrGoesElsewhereChangesNoGroup) {
  Writing w;
  for (uint64_t at : {5, 9})
    w.m.root.tags.emplace(std::to_string(at), Tag{"", {LogIndex(at), Term(1), {}}, {}});
  w.AddSegment();
  w.m.segments.begin()->second.spans.Add(LogIndex(9), LogIndex(9), 7);
  EXPECT_EQ(w.Write() + w.Write(), 2u);
  w.m.root.tags.erase("5");
  EXPECT_EQ(w.Write() + w.Write(), 0u);
  w.m.root.tags.erase("9");
  Manifest back = w.m;
  back.segments.clear();
  std::string bad;
  EXPECT_EQ(ReadGroups(w.disk, back, w.secrets, bad).code(), Code::kMalformed) << "a span of no tag";
}

}  // namespace
}  // namespace holdfast::store
