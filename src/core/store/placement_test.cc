// Where a member keeps its nodes is its own affair: it never shows in the logical root, and never grows for
// ever.
#include "core/store/store_rig_internal.h"
#include "core/store/verify.h"

namespace holdfast::store {
namespace {

// The same log, written once and replayed by stores that place their nodes differently.
struct Log {
  std::vector<std::vector<journal::Entry>> frames;
};

Log MakeLog() {
  Log log;
  crypto::SeededRandom data(23);
  TableId t = data.NewId<TableId>(), u = data.NewId<TableId>();
  auto create = [&](const TableId& id, const std::string& name, uint16_t order) {
    tree::Descriptor d;
    d.name = name;
    d.leaf_rows_max = d.inner_children_max = order;
    return journal::Entry{journal::EntryKind::kCreateTable, Term(),
                          kernel::Encode(kernel::CreateTable{id, Epoch(1), data.NewKey(), d.Encode()})};
  };
  journal::Entry save{journal::EntryKind::kSavePoint, Term(), kernel::Encode(kernel::SavePoint{})};
  log.frames.push_back({create(t, "t", 16), create(u, "u", 4)});
  for (int i = 0; i < 40; ++i) {
    kernel::Batch batch;
    for (int k = 0; k < 60; ++k) {
      const TableId& table = data.Below(2) == 0 ? t : u;
      std::string key = "k" + std::to_string(data.Below(700));
      if (data.Below(3) == 0) {
        batch.operations.push_back(Rig::Del(table, key));
      } else {
        size_t size = data.Below(40) == 0 ? data.Below(150'000) : data.Below(300);
        batch.operations.push_back(Rig::Put(table, key, TestValue(data, size)));
      }
    }
    log.frames.push_back({Rig::EntryOf(batch)});
    if (i % 4 == 3) log.frames.push_back({save});
  }
  return log;
}

TEST(RuleD1, EqualLogsGiveEqualLogicalRootsWhereverNodesLieAndWhateverIsCached) {
  struct Member {
    Placement placement;
    size_t cache_bytes;
  };
  const Member members[] = {
      {{}, 64u << 20},
      {{.segment_bytes = 4096, .garbage_slack_bytes = 0, .segments_slack = 4}, 0},
      {{.segment_bytes = 100'000, .garbage_slack_bytes = 50'000, .segments_slack = 20}, 10'000},
  };
  Image start;
  Rig first;
  ASSERT_TRUE(first.Init());
  ASSERT_TRUE(first.Open());
  ASSERT_TRUE(first.Close());
  start = ImageOf(*first.disk);
  Log log = MakeLog();
  std::vector<std::vector<Digest>> roots;
  uint64_t random_seed = 100;
  for (const Member& member : members) {
    auto disk = DiskOf(start);
    Rig rig;
    rig.disk = disk.get();
    rig.anchored = false;
    rig.random = crypto::SeededRandom(++random_seed);  // other salts, other segment ids
    rig.options.placement = member.placement;
    ASSERT_TRUE(rig.Open());
    rig.cache = NodeCache(member.cache_bytes);
    auto& digests = roots.emplace_back();
    for (const auto& frame : log.frames) {
      ASSERT_TRUE(rig.Append(frame));
      digests.push_back(rig.s->state->CurrentView().base->root_digest);
    }
    rig.ExpectClean("written");
    ASSERT_TRUE(rig.Close());
  }
  for (size_t i = 1; i < roots.size(); ++i) EXPECT_EQ(roots[i], roots[0]) << "member " << i;
  EXPECT_NE(roots[0].back(), roots[0].front());
}

// Cleaning happens (the placement demands it), and nobody reading notices.
TEST(RuleD5, AFoldIsToldToLeaveTheEmptiestSegmentsAtMostHalfFull) {
  Manifest m;
  auto add = [&](uint32_t number, uint64_t live) {
    Segment s;
    s.number = number;
    s.size = seal::kHeaderBytes + 1000;
    s.spans.Add(kNow, kNow, live);
    m.segments[number] = s;
  };
  Placement placement{.garbage_slack_bytes = 0};
  using Numbers = std::set<uint32_t>;
  for (uint32_t n : {1u, 2u, 3u}) add(n, 900);
  EXPECT_EQ(PlanLeaving(m, placement), Numbers());  // little garbage
  add(4, 100);
  add(5, 600);
  add(6, 400);
  EXPECT_EQ(PlanLeaving(m, placement), (Numbers{4, 6}));
  placement.cleaned_bytes_max = 150;
  EXPECT_EQ(PlanLeaving(m, placement), Numbers{4});
  placement.cleaned_bytes_max = 0;  // as when space is low
  EXPECT_EQ(PlanLeaving(m, placement), Numbers());
}

TEST(RuleD5, CleaningMovesNodesWithoutChangingWhatTheyAre) {
  Rig rig;
  rig.options.placement = {.segment_bytes = 16'384, .garbage_slack_bytes = 0, .segments_slack = 8};
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  crypto::SeededRandom data(31);
  std::set<uint32_t> seen_segments;
  for (int round = 0; round < 40; ++round) {
    Rows rows;
    for (int i = 0; i < 50; ++i) {
      size_t size = data.Below(25) == 0 ? data.Below(200'000) : data.Below(250);
      rows["k" + std::to_string(data.Below(1000))] = TestValue(data, size);
    }
    ASSERT_TRUE(rig.PutRows("t", rows));
    ASSERT_TRUE(rig.Save());
    const Manifest& m = rig.s->state->CurrentView().base->manifest;
    uint64_t size = 0, live = 0;
    for (const auto& [number, s] : m.segments) {
      if (s.condemned != SaveNumber()) continue;
      size += s.size;
      live += s.live_bytes();
      EXPECT_LE(s.live_bytes(), s.size);
    }
    EXPECT_LE(size, 3 * live) << "round " << round << ": garbage is not collected";
    rig.ExpectRows("round " + std::to_string(round));
    if (round % 5 == 0) {
      rig.ExpectClean("round " + std::to_string(round));
      rig.Kill();
      ASSERT_TRUE(rig.Open());
      rig.ExpectRows("reopened, round " + std::to_string(round));
    }
  }
  ASSERT_TRUE(rig.Close());
  rig.ExpectClean("closed");
}

// 200 saves of 10,000 overwritten rows: the storage stays within what the rules allow.
TEST(RuleD3, DiskUseStaysBoundedUnderOverwrite) {
  Rig rig;
  rig.anchored = false;
  rig.options.placement = {
      .segment_bytes = 256u << 10, .garbage_slack_bytes = 1u << 20, .segments_slack = 64};
  rig.options.journal_file_bytes = 1u << 20;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  crypto::SeededRandom data(41);
  constexpr int kRows = 10'000, kRounds = 200;
  uint64_t live = 0, largest = 0;
  for (int round = 0; round < kRounds; ++round) {
    kernel::Batch batch;
    // Every row is written again over ten rounds, a hundred of them in each: the whole table in the first.
    for (int i = round == 0 ? 0 : round % 10; i < kRows; i += round == 0 ? 1 : 10)
      batch.operations.push_back(
          Rig::Put(rig.Table("t"), "key " + std::to_string(i * 7919 % kRows), TestValue(data, 100)));
    ASSERT_TRUE(rig.Apply(batch));
    ASSERT_TRUE(rig.Save());
    uint64_t bytes = 0;
    std::vector<seam::ObjectInfo> all = seam::ListAll(*rig.disk, "segments/").value();
    for (const auto& o : all) bytes += o.size_bytes;
    largest = std::max(largest, bytes);
    live = 0;
    for (const auto& [number, s] : rig.s->state->CurrentView().base->manifest.segments)
      live += s.live_bytes();
    // Twice what is live and the slack, plus what two saves condemned and may not delete yet.
    ASSERT_LE(bytes, 6 * live + (2u << 20)) << "round " << round;
    std::vector<seam::ObjectInfo> journal = seam::ListAll(*rig.disk, "members/").value();
    ASSERT_LE(journal.size(), 8u) << "the journal is cut to the older slot";
  }
  RecordProperty("live_bytes", static_cast<int>(live));
  RecordProperty("largest_bytes", static_cast<int>(largest));
  rig.ExpectRows("after 200 saves");
  rig.ExpectClean("after 200 saves");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  rig.ExpectRows("reopened");
}

TEST(RuleD3, ASegmentIsDeletedOnlyWhenTheSaveAfterItsLastIsDurable) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  for (int save = 0; save < 8; ++save) {
    ASSERT_TRUE(rig.PutRows("t", {{"k", std::to_string(save)}}));
    ASSERT_TRUE(rig.Save());
    Image image = ImageOf(*rig.disk);
    const Manifest& m = rig.s->state->CurrentView().base->manifest;
    size_t condemned = 0;
    for (const auto& [number, s] : m.segments) {
      if (s.condemned == SaveNumber() || s.condemned == m.save)
        EXPECT_TRUE(image.contains(SegmentName(s.id))) << "live or just condemned: the older slot needs it";
      else
        EXPECT_FALSE(image.contains(SegmentName(s.id)));
      condemned += s.condemned == m.save;
    }
    if (save > 0) {
      EXPECT_GT(condemned, 0u) << "the row's old leaf died";
    }
  }
}

TEST(RuleB3, TheJournalIsCutToTheOlderSlotAndAbandonedFilesGoWithIt) {
  Rig rig;
  rig.options.journal_file_bytes = 4096;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  for (int life = 0; life < 10; ++life) {
    for (int i = 0; i < 20; ++i)
      ASSERT_TRUE(rig.PutRows("t", {{"k" + std::to_string(i), std::to_string(life)}}));
    ASSERT_TRUE(rig.Save());
    ASSERT_TRUE(rig.Save());
    std::vector<seam::ObjectInfo> journal = seam::ListAll(*rig.disk, "members/").value();
    EXPECT_LE(journal.size(), 3u);
    rig.ExpectClean("life " + std::to_string(life));
    rig.Kill();
    ASSERT_TRUE(rig.Open());
  }
  rig.ExpectRows("ten lives");
}

// -- restore: the copy is the store, whatever the place is able to do

seam::Capabilities WholeObjects() { return {.append = false, .conditional_put = false, .exclusive = true}; }

TEST(RuleA3, ARestoredStoreIsTheSameOnEveryKindOfProvider) {
  for (bool closed : {false, true}) {
    Rig rig;
    rig.options.journal_file_bytes = 8192;
    ASSERT_TRUE(rig.Init());
    ASSERT_TRUE(rig.Open());
    ASSERT_TRUE(rig.CreateTable("t"));
    crypto::SeededRandom data(51);
    for (int i = 0; i < 12; ++i) {
      ASSERT_TRUE(rig.PutRows("t", {{"k" + std::to_string(i), TestValue(data, data.Below(100'000))}}));
      if (i % 5 == 4) {
        ASSERT_TRUE(rig.Save());
      }
    }
    if (closed) {
      ASSERT_TRUE(rig.Close());
    } else {
      rig.Kill();
    }
    std::string when = closed ? "closed" : "killed";
    host::MemoryStorage whole(WholeObjects()), back;
    auto there = RestoreStore(*rig.disk, whole, AsBytes(kPassphrase), {});
    ASSERT_TRUE(there) << when << CodeName(there.code());
    EXPECT_FALSE(there->verdict) << when << Show(there->findings);
    auto again = RestoreStore(whole, back, AsBytes(kPassphrase), {});
    ASSERT_TRUE(again) << when << CodeName(again.code());
    EXPECT_FALSE(again->verdict) << when << Show(again->findings);
    EXPECT_EQ(there->rows, again->rows);
    EXPECT_EQ(there->last_index, again->last_index);
    // Ciphertext is copied, never sealed anew.
    Image source = ImageOf(*rig.disk), copy = ImageOf(back);
    for (const auto& [name, bytes] : copy) {
      if (name.starts_with("members/")) continue;
      ASSERT_TRUE(source.contains(name)) << name;
      EXPECT_TRUE(source[name] == bytes) << name;
    }
    // Each of the three goes on by itself, also from its older slot.
    for (seam::Storage* disk : {static_cast<seam::Storage*>(&whole), static_cast<seam::Storage*>(&back)}) {
      for (bool newest_lost : {false, true}) {
        auto twin = DiskOf(ImageOf(*disk), disk->capabilities());
        Rig other;
        other.disk = twin.get();
        other.oracle = rig.oracle;
        ASSERT_TRUE(other.anchor.Put(kAnchorName, rig.anchor.Get(kAnchorName)->parse()));
        if (newest_lost) {
          ASSERT_TRUE(twin->Delete(SlotName(1, "state-save-number")));
        }
        ASSERT_TRUE(other.Open()) << when << Show(other.findings);
        other.ExpectRows(when);
        ASSERT_TRUE(other.PutRows("t", {{"new", "row"}}));
        ASSERT_TRUE(other.Save());
        ASSERT_TRUE(other.Save());
        ASSERT_TRUE(other.Close());
        other.ExpectClean(when + ", goes on");
        ASSERT_TRUE(other.Open());
        other.ExpectRows(when + ", reopened");
      }
    }
  }
}

TEST(Store, RestoreRefusesADamagedSourceAndAPlaceThatIsNotEmpty) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.PutRows("t", {{"k", "v"}}));
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.Close());
  host::MemoryStorage taken;
  ASSERT_TRUE(taken.Put("x", AsBytes("y")));
  EXPECT_EQ(RestoreStore(*rig.disk, taken, AsBytes(kPassphrase), {}).code(), Code::kNotEmpty);
  host::MemoryStorage to;
  EXPECT_EQ(RestoreStore(*rig.disk, to, AsBytes("wrong"), {}).code(), Code::kWrongPassphrase);
  Image image = ImageOf(*rig.disk);
  for (auto& [name, bytes] : image) {
    if (!name.starts_with("segments/")) continue;
    bytes[bytes.size() / 2] ^= 1;
    break;
  }
  auto damaged = DiskOf(image);
  auto report = RestoreStore(*damaged, to, AsBytes(kPassphrase), {});
  ASSERT_TRUE(report);
  ASSERT_TRUE(report->verdict);
  EXPECT_TRUE(ImageOf(to).empty()) << "nothing was written";
}

TEST(Store, SystemRowsAreReadAndWrittenWithoutServing) {
  Rig rig;
  ASSERT_TRUE(rig.Init({{"ca/key", ToBytes("secret")}, {"ca/cert", ToBytes("public")}, {"x", ToBytes("y")}}));
  auto rows = ReadSystemRows(*rig.disk, AsBytes(kPassphrase), "ca/");
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].first, "ca/cert");
  EXPECT_EQ((*rows)[1].second, ToBytes("secret"));
  ASSERT_TRUE(WriteSystemRows(*rig.disk, &rig.anchor, AsBytes(kPassphrase), {{"ca/new", ToBytes("row")}},
                              rig.random));
  rows = ReadSystemRows(*rig.disk, AsBytes(kPassphrase), "ca/");
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->size(), 3u);
  Image before = ImageOf(*rig.disk);
  EXPECT_TRUE(ReadSystemRows(*rig.disk, AsBytes(kPassphrase), ""));
  EXPECT_TRUE(ImageOf(*rig.disk) == before) << "reading writes nothing (C1)";
  rig.ExpectClean("written");
}

}  // namespace
}  // namespace holdfast::store
