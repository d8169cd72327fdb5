// Tags keep what they show, whatever is written, dropped, cleaned or cut off in between; and when they go,
// so does what they alone held.
#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "core/store/store_rig_internal.h"
#include "host/kv/fault.h"
#include "host/kv/open.h"

namespace holdfast::store {
namespace {

const Placement kSmallSegments{
    .segment_bytes = 8192, .garbage_slack_bytes = 8192, .segments_slack = 8, .cleaned_bytes_max = 64u << 10};

Rows RandomRows(crypto::SeededRandom& data, int n, uint64_t space) {
  Rows rows;
  for (int i = 0; i < n; ++i) {
    size_t size = data.Below(40) == 0 ? data.Below(200'000) : data.Below(250);
    rows["k" + std::to_string(data.Below(space))] = TestValue(data, size);
  }
  return rows;
}

TEST(Tags, ATagShowsWhatWasThereWhenItWasMade) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.PutRows("t", {{"a", "1"}, {"b", "2"}}));
  ASSERT_TRUE(rig.CreateTag("first"));
  ASSERT_TRUE(rig.PutRows("t", {{"a", "changed"}, {"c", "3"}}));
  ASSERT_TRUE(rig.CreateTag("second"));
  ASSERT_TRUE(rig.DropTable("t"));
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.CreateTable("t"));  // another one of the same name
  ASSERT_TRUE(rig.Save());
  rig.ExpectTags("the table is dropped");
  rig.ExpectClean("the table is dropped");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  rig.ExpectTags("reopened");
  auto view = TagView(rig.s->state->CurrentView().base, "first");
  ASSERT_TRUE(view);
  TableId id = FindTableIn(view->tag->tables, "t").value();
  EXPECT_NE(id, rig.Table("t"));
  EXPECT_EQ(FindTableIn(view->tag->tables, "u").code(), Code::kNoTable);
  EXPECT_EQ(TagView(rig.s->state->CurrentView().base, "third").code(), Code::kNoTag);
  ASSERT_TRUE(rig.DropTag("second"));
  ASSERT_TRUE(rig.DropTag("first"));
  const seal::Keyring& keyring = rig.s->state->keyring();
  EXPECT_FALSE(keyring.TableKeys(id, Epoch(1), tree::Descriptor{.name = "t"}.Encode()))
      << "nothing shows the table any more: its key is gone";
  Settle(rig);
  rig.ExpectClean("no tags");
}

TEST(Tags, NamesAreUniqueAndADropNamesOneThatIsThere) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTag("x"));
  EXPECT_TRUE(rig.outcomes[0].ok());
  ASSERT_TRUE(rig.CreateTag("x"));
  EXPECT_EQ(rig.outcomes[0].code, Code::kTagExists);
  ASSERT_TRUE(rig.DropTag("y"));
  EXPECT_EQ(rig.outcomes[0].code, Code::kNoTag);
  ASSERT_TRUE(rig.DropTag("x"));
  EXPECT_TRUE(rig.outcomes[0].ok());
  ASSERT_TRUE(rig.CreateTag("x"));
  EXPECT_TRUE(rig.outcomes[0].ok()) << "the name is free again";
  rig.ExpectTags("made again");
  journal::Entry nameless{journal::EntryKind::kCreateTag, Term(), Bytes(2)};
  ASSERT_TRUE(rig.Append({nameless}));
  EXPECT_EQ(rig.outcomes[0].code, Code::kMalformed);
}

TEST(Tags, TheirNumberIsLimited) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  std::vector<journal::Entry> frame;
  for (size_t i = 0; i <= limits::kTagsMax; ++i) {
    frame.push_back({journal::EntryKind::kCreateTag, Term(),
                     kernel::Encode(kernel::CreateTag{ToBytes(std::to_string(i))})});
    if (i % 32 == 31) frame.push_back(Rig::SavePoint());  // those of one save share a place in the log
  }
  ASSERT_TRUE(rig.Append(frame));
  EXPECT_EQ(rig.outcomes.back().code, Code::kTooManyTags);
  EXPECT_EQ(rig.s->state->tags().size(), limits::kTagsMax);
  rig.ExpectClean("1,024 tags");
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  EXPECT_EQ(ManifestOf(rig).root.tags.size(), limits::kTagsMax);
}

// A create that was durable when the power went is a tag after the next save, and only one.
TEST(Tags, ATagWhoseSaveDidNotHappenIsMadeByTheNext) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.PutRows("t", {{"a", "1"}}));
  ASSERT_TRUE(rig.Append({{journal::EntryKind::kCreateTag, Term(),
                           kernel::Encode(kernel::CreateTag{ToBytes(std::string_view("x"))})}}));
  rig.Kill();
  ASSERT_TRUE(rig.Open());
  EXPECT_EQ(rig.s->state->tags().at("x").index, LogIndex());
  ASSERT_TRUE(rig.Save());
  rig.tags["x"] = rig.oracle;
  rig.ExpectTags("after the next save");
  ASSERT_TRUE(rig.CreateTag("x"));
  EXPECT_EQ(rig.outcomes[0].code, Code::kTagExists);
}

// Rule D1: where nodes lie and what was cleaned shows in no logical root, tags included.
TEST(RuleD1, TagsAreTheSameWhereverNodesLie) {
  Image start;
  Rig first;
  ASSERT_TRUE(first.Init());
  start = ImageOf(*first.disk);
  std::vector<std::vector<Digest>> roots;
  for (int member = 0; member < 2; ++member) {
    auto disk = DiskOf(start);
    Rig rig;
    rig.disk = disk.get();
    rig.anchored = false;
    if (member == 1) rig.options.placement = kSmallSegments;
    ASSERT_TRUE(rig.Open());
    rig.random = crypto::SeededRandom(7);
    ASSERT_TRUE(rig.CreateTable("t"));
    rig.random = crypto::SeededRandom(static_cast<uint64_t>(member) + 100);  // other salts and segment ids
    crypto::SeededRandom data(61);
    auto& digests = roots.emplace_back();
    for (int i = 0; i < 30; ++i) {
      ASSERT_TRUE(rig.PutRows("t", RandomRows(data, 40, 300)));
      if (i % 4 == 1) {
        ASSERT_TRUE(rig.CreateTag("tag " + std::to_string(i)));
      }
      if (i % 4 == 3 && !rig.tags.empty()) {
        ASSERT_TRUE(rig.DropTag(rig.tags.begin()->first));
      }
      if (i % 3 == 0) {
        ASSERT_TRUE(rig.Save());
      }
      digests.push_back(rig.s->state->CurrentView().base->root_digest);
    }
    rig.ExpectTags("written");
    rig.ExpectClean("written");
  }
  EXPECT_EQ(roots[0], roots[1]);
}

// Random writes, tables, tags and drops: after each save every tag shows what it showed, the manifest's sums
// are what a count of all trees gives, and nothing is missing or alien.
TEST(Tags, AModelOfWritesTagsDropsAndLives) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Rig rig;
    rig.options.placement = kSmallSegments;
    if (seed % 3 == 0) rig.options.placement.cleaned_bytes_max = 2000;
    ASSERT_TRUE(rig.Init());
    ASSERT_TRUE(rig.Open());
    crypto::SeededRandom data(seed);
    int made = 0;
    for (int step = 0; step < 60; ++step) {
      std::string when = "seed " + std::to_string(seed) + ", step " + std::to_string(step);
      uint64_t kind = data.Below(12);
      std::string table = "t" + std::to_string(data.Below(2));
      bool saved = true;
      if (kind < 5) {
        if (rig.Table(table) == TableId()) {
          ASSERT_TRUE(rig.CreateTable(table)) << when;
        }
        kernel::Batch batch;
        for (const auto& [k, v] : RandomRows(data, 30, 400))
          batch.operations.push_back(data.Below(5) == 0 ? Rig::Del(rig.Table(table), k)
                                                        : Rig::Put(rig.Table(table), k, v));
        if (data.Below(8) == 0) batch.operations.push_back(Rig::DelRange(rig.Table(table), "k1", "k3"));
        ASSERT_TRUE(rig.Apply(batch)) << when;
        saved = false;
      } else if (kind < 7) {
        ASSERT_TRUE(rig.CreateTag("tag " + std::to_string(made++))) << when;
      } else if (kind < 9 && !rig.tags.empty()) {
        auto it = std::next(rig.tags.begin(), static_cast<long>(data.Below(rig.tags.size())));
        ASSERT_TRUE(rig.DropTag(std::string(it->first))) << when;
      } else if (kind == 9 && rig.Table(table) != TableId() && data.Below(3) == 0) {
        ASSERT_TRUE(rig.DropTable(table)) << when;
        saved = false;
      } else if (kind == 10) {
        rig.Kill();
        ASSERT_TRUE(rig.Open()) << when;
      } else {
        ASSERT_TRUE(rig.Save()) << when;
      }
      if (!saved) continue;
      rig.ExpectTags(when);
      rig.ExpectClean(when);
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    rig.ExpectRows("end");
    ExpectEitherSlotLoads(rig, "end of seed " + std::to_string(seed));
    while (!rig.tags.empty()) ASSERT_TRUE(rig.DropTag(std::string(rig.tags.begin()->first)));
    Settle(rig);
    rig.ExpectClean("all tags dropped");
    const Manifest& m = ManifestOf(rig);
    for (const auto& [number, s] : m.segments)
      EXPECT_EQ(s.spans.total(), s.spans.live()) << "held for no tag";
  }
}

// The power goes at every single write of a save with a tag, a drop and the cleaning that follows.
TEST(Tags, APowerCutAtAnyWriteLosesNeitherTagsNorRowsNorSpace) {
  Rig before;
  before.options.placement = kSmallSegments;
  ASSERT_TRUE(before.Init());
  ASSERT_TRUE(before.Open());
  ASSERT_TRUE(before.CreateTable("t"));
  crypto::SeededRandom data(71);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(before.PutRows("t", RandomRows(data, 60, 250)));
    ASSERT_TRUE(before.CreateTag("tag " + std::to_string(i)));
  }
  before.Kill();
  const Image image = ImageOf(*before.disk), anchor = ImageOf(before.anchor);
  const Rows more = RandomRows(data, 60, 250), yet_more = RandomRows(data, 20, 250);

  // Each step is one frame: durable or not. False: the power is gone.
  using Step = std::function<Status(Rig&)>;
  const std::vector<Step> steps = {
      [&](Rig& r) { return r.PutRows("t", more); },
      [](Rig& r) { return r.CreateTag("new"); },
      [](Rig& r) { return r.DropTag("tag 2"); },
      [](Rig& r) { return r.DropTag("tag 4"); },
      [&](Rig& r) { return r.PutRows("t", yet_more); },
      [](Rig& r) { return r.Save(); },
      [](Rig& r) { return r.Save(); },
  };
  auto run = [&](host::FaultStorage& disk, Rig& rig, Rig& after) {
    rig.disk = &disk;
    rig.options = before.options;
    rig.oracle = after.oracle = before.oracle;
    rig.tags = after.tags = before.tags;
    for (const auto& [name, bytes] : anchor) EXPECT_TRUE(rig.anchor.Put(name, bytes));
    if (!rig.Open()) return;
    after.oracle = rig.oracle;
    for (const Step& step : steps) {
      // What it comes to if the frame was durable, though the step itself was cut off.
      if (&step == &steps[0])
        for (const auto& [k, v] : more) after.oracle["t"][k] = v;
      if (&step == &steps[1]) after.tags["new"] = after.oracle;
      if (&step == &steps[2]) after.tags.erase("tag 2");
      if (&step == &steps[3]) after.tags.erase("tag 4");
      if (&step == &steps[4])
        for (const auto& [k, v] : yet_more) after.oracle["t"][k] = v;
      if (!step(rig)) return;
    }
  };
  uint64_t writes = 0;
  {
    auto whole = DiskOf(image);
    host::FaultStorage disk(*whole, {});
    Rig rig, after;
    run(disk, rig, after);
    ASSERT_EQ(rig.tags.size(), 4u) << "it ran to its end";
    ASSERT_TRUE(rig.tags == after.tags && rig.oracle == after.oracle);
    writes = disk.writes();
  }
  ASSERT_GT(writes, 60u);
  for (uint64_t cut = 1; cut <= writes; ++cut) {
    std::string when = "cut at write " + std::to_string(cut);
    auto inner = DiskOf(image);
    Rig rig, after;
    {
      host::FaultPlan plan;
      plan.writes[cut] = {.what = host::FaultPlan::What::kCrash};
      plan.drop_unsynced = true;
      plan.seed = cut;
      host::FaultStorage disk(*inner, plan);
      run(disk, rig, after);
      ASSERT_TRUE(disk.crashed()) << when;
      rig.Kill();
    }
    rig.disk = inner.get();
    ASSERT_TRUE(rig.Open()) << when << Show(rig.findings);
    auto found = rig.Rows_();
    ASSERT_TRUE(found) << when;
    bool went_on = *found == after.oracle && rig.s->state->tags().size() == after.tags.size();
    if (went_on) {
      rig.oracle = after.oracle;
      rig.tags = after.tags;
    }
    ASSERT_TRUE(rig.Save());  // a tag that was durable and not saved is one now
    rig.ExpectRows(when);
    rig.ExpectTags(when);
    rig.ExpectClean(when);
    if (cut % 5 == 0) ExpectEitherSlotLoads(rig, when);
    Settle(rig);
    rig.ExpectTags(when + ", settled");
    rig.ExpectClean(when + ", settled");
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
}

// Of a run that measures: so many rows, in a directory. Else 20,000 rows in memory.
uint64_t RowsOfRun() {
  const char* rows = std::getenv("HOLDFAST_TAGS_ROWS");
  return rows == nullptr ? 20'000 : std::strtoull(rows, nullptr, 10);
}
std::unique_ptr<seam::Storage> DiskOfRun(const char* name) {
  const char* directory = std::getenv("HOLDFAST_TAGS_DIR");
  if (directory == nullptr) return std::make_unique<host::MemoryStorage>();
  return host::OpenStorage(std::string("dir:") + directory + "/" + name, host::OpenMode::kCreate).value();
}

struct SpaceRun {
  std::unique_ptr<seam::Storage> disk;
  Rig rig;
  double longest_save_s = 0;

  explicit SpaceRun(const char* name, bool large) : disk(DiskOfRun(name)) {
    rig.disk = disk.get();
    rig.anchored = false;
    if (!large) {
      rig.options.placement = {.segment_bytes = 256u << 10,
                               .garbage_slack_bytes = 1u << 20,
                               .segments_slack = 64,
                               .cleaned_bytes_max = 1u << 20};
    }
    rig.options.journal_file_bytes = 4u << 20;
    EXPECT_TRUE(rig.Init());
    EXPECT_TRUE(rig.Open());
    EXPECT_TRUE(rig.CreateTable("t"));
  }
  template <typename Step>
  void Timed(Step&& step) {
    auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(step());
    std::chrono::duration<double> s = std::chrono::steady_clock::now() - begin;
    longest_save_s = std::max(longest_save_s, s.count());
  }
  void Save() {
    Timed([&] { return rig.Save(); });
  }
  void Write(const Rows& rows) {
    kernel::Batch batch;
    uint64_t unsaved = 0;
    for (const auto& [k, v] : rows) {
      batch.operations.push_back(Rig::Put(rig.Table("t"), k, v));
      if (batch.operations.size() < 10'000) continue;
      EXPECT_TRUE(rig.Apply(batch));
      batch.operations.clear();
      if (++unsaved % 40 == 0) Save();
    }
    EXPECT_TRUE(rig.Apply(batch));
  }
};

// 20 tags, a tenth of the rows overwritten between them, dropped in random order: what is left takes what a
// fresh load takes.
TEST(Tags, WhenAllAreDroppedTheSpaceIsThatOfAFreshLoad) {
  const uint64_t count = RowsOfRun();
  const bool large = count > 100'000;
  constexpr int kTags = 20;
  crypto::SeededRandom data(81);
  auto key = [](uint64_t i) {
    std::string k = std::to_string(i);
    return "row " + std::string(9 - k.size(), '0') + k;
  };
  SpaceRun run("tags", large);
  Rig& rig = run.rig;
  {
    Rows rows;
    for (uint64_t i = 0; i < count; ++i) rows[key(i)] = TestValue(data, 100);
    run.Write(rows);
  }
  std::vector<std::string> names;
  for (int t = 0; t < kTags; ++t) {
    names.push_back("tag " + std::to_string(t));
    run.Timed([&] { return rig.CreateTag(names.back()); });
    if (large) rig.tags.clear();  // copies of all rows
    Rows changed;
    for (uint64_t i = 0; i < count / 10; ++i) changed[key(data.Below(count))] = TestValue(data, 100);
    run.Write(changed);
  }
  run.Save();
  if (!large) {
    rig.ExpectTags("all are there");
    rig.ExpectClean("all are there");
  }
  uint64_t with_tags = SegmentBytes(*rig.disk);
  double writing_s = std::exchange(run.longest_save_s, 0);
  while (!names.empty()) {
    size_t i = data.Below(names.size());
    run.Timed([&] { return rig.DropTag(names[i]); });
    names.erase(names.begin() + static_cast<long>(i));
    run.Save();
  }
  for (int i = 0; i < 200 && ManifestOf(rig).cleanings_owed > 0; ++i) run.Save();
  Settle(rig);
  rig.ExpectRows("no tags");
  rig.ExpectClean("no tags");
  uint64_t ours = SegmentBytes(*rig.disk);
  SpaceRun fresh("fresh", large);
  fresh.Write(rig.oracle["t"]);
  fresh.Save();
  Settle(fresh.rig);
  uint64_t theirs = SegmentBytes(*fresh.rig.disk);
  auto record = [&](const char* name, double value) { RecordProperty(name, std::to_string(value)); };
  record("with_tags_mb", static_cast<double>(with_tags) / 1e6);
  record("after_mb", static_cast<double>(ours) / 1e6);
  record("fresh_mb", static_cast<double>(theirs) / 1e6);
  record("longest_save_while_writing_s", writing_s);
  record("longest_save_of_a_drop_s", run.longest_save_s);
  EXPECT_LE(ours, theirs + theirs / 10) << "with tags it was " << with_tags;
  EXPECT_GT(with_tags, 2 * theirs) << "the tags held much";
}

TEST(Tags, RestoreKeepsThemAndVerifyReadsThem) {
  Rig rig;
  rig.options.placement = kSmallSegments;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  crypto::SeededRandom data(91);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(rig.PutRows("t", RandomRows(data, 60, 200)));
    ASSERT_TRUE(rig.CreateTag("tag " + std::to_string(i)));
  }
  ASSERT_TRUE(rig.DropTable("t"));
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.Close());
  host::MemoryStorage copy;
  auto report = RestoreStore(*rig.disk, copy, AsBytes(kPassphrase), {});
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->verdict) << Show(report->findings);
  EXPECT_EQ(report->tags, 4u);
  Rig other;
  other.disk = &copy;
  other.anchored = false;
  other.oracle = rig.oracle;
  other.tags = rig.tags;
  ASSERT_TRUE(other.Open());
  other.ExpectTags("restored");
  other.Kill();

  // A byte of a node that only a tag still needs.
  Image image = ImageOf(*rig.disk);
  size_t told = 0, tried = 0;
  Rig reader;
  auto disk = DiskOf(image);
  reader.disk = disk.get();
  reader.anchored = false;
  ASSERT_TRUE(reader.Open());
  const Manifest m = ManifestOf(reader);
  reader.Kill();
  for (const auto& [number, s] : m.segments) {
    if (s.spans.live() != 0 || s.spans.empty()) continue;
    ++tried;
    Image broken = image;
    Bytes& bytes = broken[SegmentName(s.id)];
    bytes[bytes.size() / 2] ^= 1;
    auto damaged = DiskOf(broken);
    auto found = VerifyStore(*damaged, AsBytes(kPassphrase), {});
    ASSERT_TRUE(found);
    told += found->verdict.has_value();
  }
  EXPECT_GT(tried, 0u);
  EXPECT_EQ(told, tried);
}

// Whoever writes a manifest whose sums are not what the trees come to, is found out.
TEST(Tags, VerifyCountsAgain) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.PutRows("t", {{"a", "1"}}));
  ASSERT_TRUE(rig.CreateTag("x"));
  ASSERT_TRUE(rig.PutRows("t", {{"a", "2"}}));
  ASSERT_TRUE(rig.Save());
  Manifest m = ManifestOf(rig);
  LogIndex tag = m.root.tags.at("x").position.index;
  int held = 0;
  for (auto& [number, s] : m.segments) {
    for (const Span& span : s.spans.items()) held += span.last == tag;
  }
  ASSERT_GT(held, 0) << "the row's old leaf is kept for the tag";
  for (auto& [number, s] : m.segments) {
    if (s.spans.empty()) continue;
    Manifest wrong = m;
    Spans& spans = wrong.segments.at(number).spans;
    Span first = spans.items()[0];
    spans.Remove(first.first, first.last, 16);
    std::vector<std::string> leftovers;
    ASSERT_TRUE(WriteSlot(*rig.disk, wrong, rig.s->state->keyring(), rig.s->secrets, rig.s->opener,
                          rig.random, leftovers));
    auto report = rig.Verify(false);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->verdict, Code::kTampered) << "segment " << number << Show(report->findings);
  }
}

}  // namespace
}  // namespace holdfast::store
