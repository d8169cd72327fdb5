// Shared values through a whole store: stored once, counted right, gone with their last row, whatever is
// written, tagged, dropped, cleaned or cut off in between; and `verify` finds a count that is not.
#include <algorithm>
#include <functional>

#include "core/store/segment_sink.h"
#include "core/store/shared_counts.h"
#include "core/store/store_rig_internal.h"
#include "core/store/tags.h"
#include "core/store/verify_shared.h"
#include "host/kv/fault.h"
#include "vector_file.h"

namespace holdfast::store {
namespace {

const Placement kSmallSegments{
    .segment_bytes = 8192, .garbage_slack_bytes = 8192, .segments_slack = 8, .cleaned_bytes_max = 64u << 10};

tree::Descriptor Small(bool inline_values = true) {
  tree::Descriptor d;
  d.leaf_rows_max = d.inner_children_max = 5;
  d.inline_values = inline_values;
  return d;
}

// Few different ones, so that they meet: short, of one chunk, of several.
std::string SomeValue(crypto::SeededRandom& data) {
  const uint64_t n = data.Below(16);
  const size_t bytes = n < 5 ? n * 40 : n < 14 ? 300 + 200 * n : 60'000 * (n - 12);
  crypto::SeededRandom same(n);
  return TestValue(same, bytes);
}

Rows SomeRows(crypto::SeededRandom& data, int n, uint64_t space) {
  Rows rows;
  for (int i = 0; i < n; ++i) rows["k" + std::to_string(data.Below(space))] = SomeValue(data);
  return rows;
}

kernel::Batch SomeBatch(crypto::SeededRandom& data, const TableId& table, int n, uint64_t space) {
  kernel::Batch batch;
  for (int i = 0; i < n; ++i) {
    std::string key = "k" + std::to_string(data.Below(space));
    batch.operations.push_back(data.Below(3) == 0 ? Rig::Del(table, key)
                                                  : Rig::Put(table, key, SomeValue(data)));
  }
  return batch;
}

const Table& ValuesOf(const Rig& rig, const std::string& table) {
  const Tables& tables = ManifestOf(rig).root.tables;
  return tables.at(*tables.at(rig.Table(table)).descriptor.values_in);
}

// Counted anew here: the rows of the table of values are what the oracle makes them, as of the last save.
void ExpectCounts(Rig& rig, const std::string& table, const std::string& when) {
  std::map<std::string, uint64_t> expected;
  const bool inlined = rig.s->state->tables().at(rig.Table(table)).descriptor.inline_values;
  for (const auto& [key, value] : rig.oracle[table]) {
    if (!inlined || value.size() > limits::kInlineValueBytesMax) ++expected[value];
  }
  const View view = rig.s->state->CurrentView();
  VersionNodes nodes(*rig.disk, view.base, rig.cache);
  const Table& values = ValuesOf(rig, table);
  std::map<tree::Address, std::string> stored;
  std::map<tree::Address, uint64_t> counted;
  tree::MergedCursor cursor = view.Scan(values.id);
  for (;;) {
    auto row = Drive(nodes, [&] { return cursor.Next(nodes); });
    ASSERT_TRUE(row) << when;
    if (!*row) break;
    auto read = tree::ReadSharedRow((*row)->key, (*row)->stored->value);
    ASSERT_TRUE(read) << when;
    if (read->count) {
      counted[read->address] = *read->count;
    } else {
      stored[read->address] = ToText(RowValue(view, values.id, **row, nodes).value());
    }
  }
  std::map<std::string, uint64_t> found;
  for (const auto& [address, value] : stored) found[value] = counted.contains(address) ? counted[address] : 1;
  EXPECT_TRUE(found == expected) << when << ": " << found.size() << " values for " << expected.size();
  for (const auto& [address, count] : counted)
    EXPECT_TRUE(stored.contains(address)) << when << ": a count of what is not there";
}

TEST(SharedValues, OneOfAMebibyteUnderAHundredKeysTakesAboutAMebibyte) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateSharing("t"));
  ASSERT_TRUE(rig.Save());
  const uint64_t empty = SegmentBytes(*rig.disk);
  crypto::SeededRandom data(3);
  const std::string value = TestValue(data, 1u << 20);
  auto key = [](int i) { return "k" + std::to_string(i); };
  // In several frames and saves: sharing is with what is stored, and within a save.
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(rig.PutRows("t", {{key(i), value}}));
    if (i % 30 == 29) {
      ASSERT_TRUE(rig.Save());
    }
  }
  ASSERT_TRUE(rig.Save());
  const uint64_t all = SegmentBytes(*rig.disk) - empty;
  EXPECT_GT(all, 1u << 20);
  EXPECT_LT(all, (1u << 20) + (100u << 10));
  ExpectCounts(rig, "t", "a hundred");
  rig.ExpectRows("a hundred");
  rig.ExpectClean("a hundred");
  for (int i = 0; i < 99; ++i) {
    kernel::Batch batch;
    batch.operations.push_back(Rig::Del(rig.Table("t"), key((i * 37) % 100)));
    ASSERT_TRUE(rig.Apply(batch));
    if (i % 25 == 0) {
      ASSERT_TRUE(rig.Save());
    }
  }
  ASSERT_TRUE(rig.Save());
  ExpectCounts(rig, "t", "one is left");
  rig.ExpectRows("one is left");
  rig.ExpectClean("one is left");
  EXPECT_GT(SegmentBytes(*rig.disk) - empty, 1u << 20);
  kernel::Batch last;
  last.operations.push_back(Rig::DelRange(rig.Table("t"), "", ""));
  ASSERT_TRUE(rig.Apply(last));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.Save());
  EXPECT_TRUE(ValuesOf(rig, "t").root.empty);
  EXPECT_LT(SegmentBytes(*rig.disk), empty + (100u << 10)) << "the last row took it along";
  rig.ExpectClean("none is left");
}

TEST(SharedValues, RandomWritesTagsAndCleaningKeepEveryCountRight) {
  for (uint64_t seed : {1, 2, 3}) {
    crypto::SeededRandom data(seed);
    Rig rig;
    rig.options.placement = kSmallSegments;
    ASSERT_TRUE(rig.Init());
    ASSERT_TRUE(rig.Open());
    ASSERT_TRUE(rig.CreateSharing("t", Small(seed != 2)));
    ASSERT_TRUE(rig.CreateSharing("u", Small()));
    ASSERT_TRUE(rig.CreateTable("plain", Small()));
    int tag = 0;
    for (int round = 0; round < 60; ++round) {
      const std::string when = "seed " + std::to_string(seed) + ", round " + std::to_string(round);
      for (const char* table : {"t", "u", "plain"}) {
        ASSERT_TRUE(rig.Apply(SomeBatch(data, rig.Table(table), 1 + static_cast<int>(data.Below(60)), 150)));
      }
      switch (data.Below(5)) {
        case 0:
          ASSERT_TRUE(rig.CreateTag("tag " + std::to_string(tag++)));
          break;
        case 1: {
          if (rig.tags.empty()) break;
          auto it = std::next(rig.tags.begin(), static_cast<ptrdiff_t>(data.Below(rig.tags.size())));
          ASSERT_TRUE(rig.DropTag(std::string(it->first)));
          break;
        }
        case 2:
          rig.Kill();
          ASSERT_TRUE(rig.Open());
          break;
        default:
          break;
      }
      ASSERT_TRUE(rig.Save());
      ExpectCounts(rig, "t", when);
      ExpectCounts(rig, "u", when);
      rig.ExpectRows(when);
      if (round % 10 == 9) {
        rig.ExpectTags(when);
        rig.ExpectClean(when);
      }
      if (HasFailure()) return;
    }
    for (const char* table : {"t", "u"}) {
      kernel::Batch all;
      all.operations.push_back(Rig::DelRange(rig.Table(table), "", ""));
      ASSERT_TRUE(rig.Apply(all));
    }
    ASSERT_TRUE(rig.Save());
    rig.ExpectTags("rows are gone, tags keep them");
    rig.ExpectClean("rows are gone");
    while (!rig.tags.empty()) ASSERT_TRUE(rig.DropTag(std::string(rig.tags.begin()->first)));
    ASSERT_TRUE(rig.DropTable("plain"));
    Settle(rig);
    EXPECT_TRUE(ValuesOf(rig, "t").root.empty);
    EXPECT_LT(SegmentBytes(*rig.disk), 100u << 10) << "with the last tag goes the last value";
    ASSERT_TRUE(rig.Close());
    rig.ExpectClean("settled");
  }
}

// Members place, cache, and save in their own ways; the log alone says what comes of it.
TEST(RuleD1, SharedValuesGiveTheSameRootWhereverTheyLie) {
  Rig first;
  ASSERT_TRUE(first.Init());
  ASSERT_TRUE(first.Open());
  ASSERT_TRUE(first.CreateSharing("t", Small()));
  const TableId t = first.Table("t");
  ASSERT_TRUE(first.Close());
  const Image start = ImageOf(*first.disk);
  crypto::SeededRandom data(77);
  std::vector<journal::Entry> log;
  for (int i = 0; i < 60; ++i)
    log.push_back(i % 4 == 3 ? Rig::SavePoint() : Rig::EntryOf(SomeBatch(data, t, 50, 200)));
  std::vector<std::vector<Digest>> roots;
  for (const Placement& placement :
       {Placement{}, kSmallSegments,
        Placement{.segment_bytes = 30'000, .garbage_slack_bytes = 0, .segments_slack = 4}}) {
    auto disk = DiskOf(start);
    Rig rig;
    rig.disk = disk.get();
    rig.anchored = false;
    rig.random = crypto::SeededRandom(roots.size() + 5);
    rig.options.placement = placement;
    ASSERT_TRUE(rig.Open());
    auto& digests = roots.emplace_back();
    for (const journal::Entry& e : log) {
      ASSERT_TRUE(rig.Append({e}));
      digests.push_back(rig.s->state->CurrentView().base->root_digest);
    }
    rig.ExpectClean("written");
  }
  for (size_t i = 1; i < roots.size(); ++i) EXPECT_EQ(roots[i], roots[0]) << "member " << i;
  EXPECT_NE(roots[0].front(), roots[0].back());
}

// The power goes at every single write.
TEST(RuleD2, APowerCutAtAnyWriteLeavesSharedValuesWithRightCountsInEitherSlot) {
  Rig before;
  before.options.placement = kSmallSegments;
  ASSERT_TRUE(before.Init());
  ASSERT_TRUE(before.Open());
  ASSERT_TRUE(before.CreateSharing("t", Small()));
  crypto::SeededRandom data(71);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(before.PutRows("t", SomeRows(data, 40, 100)));
    ASSERT_TRUE(before.CreateTag("tag " + std::to_string(i)));
  }
  before.Kill();
  const Image image = ImageOf(*before.disk), anchor = ImageOf(before.anchor);
  const kernel::Batch more = SomeBatch(data, TableId(), 60, 100),
                      yet_more = SomeBatch(data, TableId(), 60, 100);
  auto apply = [](Rig& rig, kernel::Batch batch) {
    for (kernel::Operation& o : batch.operations) o.table = rig.Table("t");
    return rig.Apply(batch);
  };
  auto tell = [](const kernel::Batch& batch, Rows& rows) {
    for (const kernel::Operation& o : batch.operations) {
      if (o.kind == kernel::OperationKind::kPut) rows[ToText(o.key)] = ToText(o.value);
      if (o.kind == kernel::OperationKind::kDelete) rows.erase(ToText(o.key));
    }
  };
  // False: the power is gone. `after`: what it comes to if the frame was durable, though it was cut off.
  auto run = [&](host::FaultStorage& disk, Rig& rig, Rig& after) {
    rig.disk = &disk;
    rig.options = before.options;
    rig.oracle = after.oracle = before.oracle;
    rig.tags = after.tags = before.tags;
    for (const auto& [name, bytes] : anchor) EXPECT_TRUE(rig.anchor.Put(name, bytes));
    if (!rig.Open()) return false;
    tell(more, after.oracle["t"]);
    if (!apply(rig, more)) return false;
    if (!rig.Save()) return false;
    after.tags.erase("tag 1");
    if (!rig.DropTag("tag 1")) return false;
    tell(yet_more, after.oracle["t"]);
    if (!apply(rig, yet_more)) return false;
    return bool(rig.Save()) && bool(rig.Save());
  };
  uint64_t writes = 0;
  {
    auto whole = DiskOf(image);
    host::FaultStorage disk(*whole, {});
    Rig rig, after;
    ASSERT_TRUE(run(disk, rig, after));
    ASSERT_TRUE(rig.oracle == after.oracle);
    writes = disk.writes();
  }
  ASSERT_GT(writes, 40u);
  for (uint64_t cut = 1; cut <= writes; ++cut) {
    const std::string when = "cut at write " + std::to_string(cut);
    auto inner = DiskOf(image);
    Rig rig, after;
    {
      host::FaultPlan plan;
      plan.writes[cut] = {.what = host::FaultPlan::What::kCrash};
      plan.drop_unsynced = true;
      plan.seed = cut;
      host::FaultStorage disk(*inner, plan);
      ASSERT_FALSE(run(disk, rig, after)) << when;
      rig.Kill();
    }
    rig.disk = inner.get();
    ASSERT_TRUE(rig.Open()) << when << Show(rig.findings);
    auto found = rig.Rows_();
    ASSERT_TRUE(found) << when;
    if (*found == after.oracle) rig.oracle = after.oracle;
    if (rig.s->state->tags().size() == after.tags.size()) rig.tags = after.tags;
    ASSERT_TRUE(rig.Save());
    rig.ExpectRows(when);
    ExpectCounts(rig, "t", when);
    ExpectEitherSlotLoads(rig, when);
    rig.ExpectTags(when);
    rig.ExpectClean(when);
    if (HasFailure()) return;
  }
}

// Somebody with the keys rewrites the newest save so that its table of values is not what the rows make it.
class Forged : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(rig.Init());
    ASSERT_TRUE(rig.Open());
    ASSERT_TRUE(rig.CreateSharing("t", Small()));
    Rows rows;
    for (int i = 0; i < 60; ++i) rows["k" + std::to_string(i)] = std::string(400 + i % 20, 'v');
    ASSERT_TRUE(rig.PutRows("t", rows));
    ASSERT_TRUE(rig.Save());
    rig.ExpectClean("before");
  }
  tree::Address AddressOf(const std::string& text) {
    const Table& t = ManifestOf(rig).root.tables.at(rig.Table("t"));
    return tree::SharedAddresses(rig.s->state->CurrentView().base->keys.at(t.id)).Of(AsBytes(text));
  }
  // The newest save, with nothing but this changed: key -> value; nothing: erased.
  void Forge(const std::map<Bytes, std::optional<Bytes>>& changes) {
    class Changes : public tree::ChangeSource {
     public:
      explicit Changes(const std::map<Bytes, std::optional<Bytes>>& c) : at_(c.begin()), end_(c.end()) {}
      std::optional<Change> Next() override {
        if (at_ == end_) return std::nullopt;
        Change c{at_->first, {}, !at_->second};
        if (at_->second) c.value = *at_->second;
        ++at_;
        return c;
      }
      void SkipTo(ByteView) override {}
      void SkipAll() override { at_ = end_; }

     private:
      std::map<Bytes, std::optional<Bytes>>::const_iterator at_;
      const std::map<Bytes, std::optional<Bytes>>::const_iterator end_;
    } source(changes);
    OpenedStore& s = *rig.s;
    const VersionPtr base = s.state->CurrentView().base;
    Manifest m = base->manifest;
    Table& values = m.root.tables.at(ValuesOf(rig, "t").id);
    CacheNodes nodes(rig.cache);
    NoWorkers alone;
    std::set<std::string> deleted;
    std::vector<std::string> leftovers;
    std::vector<Bytes> memory;
    SavePoint point{m.root.position, m.root.tables, {}, nullptr, base, s.state->keyring().Clone()};
    SaveInput input{*rig.disk, s.secrets, rig.random, nodes,  alone,   point,
                    m.frame,   deleted,   leftovers,  memory, s.opener};
    VersionNodes reads(*rig.disk, base, rig.cache);
    SegmentSink sink(input, reads, m.save, values, base->keys.at(values.id), {m.next_segment, 1}, false);
    tree::Fold fold(values.descriptor, values.root, m.root.position.index, source, sink);
    auto root = Drive(reads, [&] { return fold.Run(reads); });
    ASSERT_TRUE(root);
    values.root = *root;
    ASSERT_TRUE(sink.Finish());
    Deaths deaths;
    sink.MergeInto(m, deaths);
    deaths.TakeFrom(m.segments, m.root.Line());
    for (auto& [number, segment] : m.segments) {
      if (segment.spans.empty() && segment.condemned == SaveNumber()) segment.condemned = m.save;
    }
    ASSERT_TRUE(WriteSlot(*rig.disk, m, s.state->keyring(), s.secrets, s.opener, rig.random, leftovers));
    rig.Kill();
  }
  void ExpectFound(Code verdict, Finding::Kind kind, const std::string& text) {
    auto report = rig.Verify(/*with_anchor=*/false);
    ASSERT_TRUE(report);
    ASSERT_TRUE(report->verdict) << "nothing is found";
    EXPECT_EQ(*report->verdict, verdict) << Show(report->findings);
    EXPECT_EQ(CodeExit(*report->verdict), 3);
    const bool named = std::any_of(report->findings.begin(), report->findings.end(), [&](const Finding& f) {
      return f.kind == kind && f.object.starts_with("table ") && f.detail.find(text) != std::string::npos;
    });
    EXPECT_TRUE(named) << Show(report->findings);
    EXPECT_EQ(
        std::count_if(report->findings.begin(), report->findings.end(), [](auto& f) { return f.bad(); }), 1)
        << Show(report->findings);
  }
  const std::string value = std::string(407, 'v');  // of three rows
  Rig rig;
};

TEST_F(Forged, NothingIsFoundWhereNothingIsWrong) {
  Forge({{tree::SharedCountKey(AddressOf(value)), tree::EncodeSharedCount(3)}});
  auto report = rig.Verify(false);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->verdict) << Show(report->findings);
}
TEST_F(Forged, ACountTooHighIsFound) {
  Forge({{tree::SharedCountKey(AddressOf(value)), tree::EncodeSharedCount(4)}});
  ExpectFound(Code::kTampered, Finding::Kind::kChanged, "3 rows refer to it, counted are 4");
}
TEST_F(Forged, ACountTooLowIsFound) {
  Forge({{tree::SharedCountKey(AddressOf(value)), std::nullopt}});
  ExpectFound(Code::kTampered, Finding::Kind::kChanged, "3 rows refer to it, counted are 1");
}
TEST_F(Forged, AMissingValueIsFound) {
  Forge({{tree::SharedCountKey(AddressOf(value)), std::nullopt},
         {ToBytes(ByteView(AddressOf(value))), std::nullopt}});
  ExpectFound(Code::kMissing, Finding::Kind::kMissing, "3 rows refer to it");
}
TEST_F(Forged, AValueThatNoRowHasIsFound) {
  const std::string other(500, 'x');
  Forge({{ToBytes(ByteView(AddressOf(other))), ToBytes(other)}});
  ExpectFound(Code::kAlien, Finding::Kind::kExtra, "no row refers to it");
}
TEST_F(Forged, ACountOfNothingIsFound) {
  Forge({{tree::SharedCountKey(AddressOf("no value")), tree::EncodeSharedCount(2)}});
  ExpectFound(Code::kAlien, Finding::Kind::kExtra, "is counted and not there");
}
TEST_F(Forged, AnotherLengthIsFound) {
  Forge({{ToBytes(ByteView(AddressOf(value))), ToBytes(value + "longer")}});
  ExpectFound(Code::kTampered, Finding::Kind::kChanged, "has 413 bytes, a row says 407");
}
TEST_F(Forged, ARowOfAnotherKindIsFound) {
  Forge({{ToBytes("x"), ToBytes("y")}});
  ExpectFound(Code::kAlien, Finding::Kind::kExtra, "neither value nor count");
}

TEST_F(Forged, ManyFaultsAreSummedUpAndFoundInAnyBoundOfMemory) {
  std::map<Bytes, std::optional<Bytes>> changes;
  for (int i = 0; i < 20; ++i)
    changes[tree::SharedCountKey(AddressOf(std::string(400 + static_cast<size_t>(i), 'v')))] =
        tree::EncodeSharedCount(9);
  const TableId id = rig.Table("t");
  Forge(changes);
  ASSERT_TRUE(rig.Open());
  const VersionPtr base = rig.s->state->CurrentView().base;
  const Tables& tables = base->manifest.root.tables;
  for (size_t max : {size_t{1}, size_t{3}, size_t{7}, size_t{19}, size_t{20}, size_t{1000}}) {
    VersionNodes nodes(*rig.disk, base, rig.cache);
    auto faults = RecountShared(tables, tables.at(id), nodes, max);
    ASSERT_TRUE(faults);
    ASSERT_EQ(faults->size(), kSharedFaultsMax + 1) << max;
    EXPECT_EQ(faults->back().text, "more shared values are wrong");
  }
}

TEST(SharedValues, RecountsAgreeWhateverTheBoundOfMemory) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateSharing("t", Small(false)));
  crypto::SeededRandom data(9);
  for (int i = 0; i < 3; ++i) {
    Rows rows = SomeRows(data, 100, 300);
    for (int k = 0; k < 40; ++k) rows["only " + std::to_string(k)] = TestValue(data, data.Below(600));
    ASSERT_TRUE(rig.PutRows("t", rows));
  }
  ASSERT_TRUE(rig.Save());
  const VersionPtr base = rig.s->state->CurrentView().base;
  const Tables& tables = base->manifest.root.tables;
  for (size_t max = 1; max < 70; ++max) {
    VersionNodes nodes(*rig.disk, base, rig.cache);
    auto faults = RecountShared(tables, tables.at(rig.Table("t")), nodes, max);
    ASSERT_TRUE(faults);
    EXPECT_TRUE(faults->empty()) << max << ": " << faults->front().text;
  }
}

TEST(SharedValues, IndexesReadThem) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  tree::Descriptor json = Small();
  json.value_type = tree::Type::kJson;
  ASSERT_TRUE(rig.CreateSharing("t", json));
  auto value = [](int n) {
    return "{\"a\":" + std::to_string(n) + ",\"b\":\"" + std::string(500, 'b') + "\"}";
  };
  Rows rows;
  for (int i = 0; i < 40; ++i) rows["k" + std::to_string(i)] = value(i % 5);
  ASSERT_TRUE(rig.PutRows("t", rows));
  ASSERT_TRUE(rig.Save());
  tree::Descriptor index = Small();
  index.name = "by a";
  index.index = tree::IndexOf{rig.Table("t"), "/a", false};
  kernel::CreateTable c{rig.random.NewId<TableId>(), Epoch(1), rig.random.NewKey(), index.Encode()};
  ASSERT_TRUE(rig.Append({{journal::EntryKind::kCreateTable, Term(), kernel::Encode(c)}}));
  ASSERT_TRUE(rig.outcomes.at(0).ok()) << "it is built from shared values";
  // Each replaces a shared value, which the applier reads to find the index row that goes.
  ASSERT_TRUE(rig.PutRows("t", {{"k1", value(7)}, {"k2", "{\"a\":8}"}, {"k3", value(3)}}));
  kernel::Batch batch;
  batch.operations.push_back(Rig::Del(rig.Table("t"), "k4"));
  ASSERT_TRUE(rig.Apply(batch));
  ASSERT_TRUE(rig.Save());
  const View view = rig.s->state->CurrentView();
  EXPECT_EQ(view.RootOf(c.table).rows, 39u);
  ExpectCounts(rig, "t", "with an index");
  rig.ExpectClean("with an index");
}

// What the folds of parts take of the changes, each between two bounds, is what one fold takes.
TEST(SharedValues, ChangesOfValuesMayBeCutAnywhere) {
  crypto::SeededRandom data(4);
  std::vector<SharedCount> counts;
  for (int i = 0; i < 40; ++i) {
    SharedCount c;
    c.address[0] = 1;
    c.address[1] = static_cast<uint8_t>(i * 5);
    c.before = data.Below(4);
    c.after = data.Below(4);
    c.value = AsBytes("value");
    counts.push_back(c);
  }
  using Seen = std::vector<std::pair<Bytes, std::optional<Bytes>>>;
  auto take = [](tree::ChangeSource& source, Seen& to) {
    while (auto c = source.Next())
      to.emplace_back(ToBytes(c->key), c->erase ? std::nullopt : std::optional<Bytes>(ToBytes(c->value)));
  };
  Seen whole;
  take(*ChangesOfValues(counts, {}, std::nullopt), whole);
  EXPECT_TRUE(std::is_sorted(whole.begin(), whole.end(), [](auto& a, auto& b) { return a.first < b.first; }));
  // As told one by one.
  Seen expected;
  for (const SharedCount& c : counts) {
    if (c.before == 0 && c.after > 0) expected.emplace_back(ToBytes(ByteView(c.address)), ToBytes("value"));
    if (c.before > 0 && c.after == 0) expected.emplace_back(ToBytes(ByteView(c.address)), std::nullopt);
    if (c.after > 1) expected.emplace_back(tree::SharedCountKey(c.address), tree::EncodeSharedCount(c.after));
    if (c.before > 1 && c.after < 2) expected.emplace_back(tree::SharedCountKey(c.address), std::nullopt);
  }
  EXPECT_EQ(whole, expected);
  for (int i = 0; i < 300; ++i) {
    // At a value, at a count, behind one, in between.
    Bytes cut = ToBytes(ByteView(counts[data.Below(counts.size())].address));
    if (data.Below(2) == 0) cut.push_back(static_cast<uint8_t>(data.Below(3)));
    if (data.Below(4) == 0) cut.resize(data.Below(cut.size()));
    Seen parts, skipped;
    take(*ChangesOfValues(counts, {}, cut), parts);
    const size_t below = parts.size();
    take(*ChangesOfValues(counts, cut, std::nullopt), parts);
    EXPECT_EQ(parts, whole);
    auto source = ChangesOfValues(counts, {}, std::nullopt);
    source->SkipTo(cut);
    take(*source, skipped);
    EXPECT_EQ(skipped, Seen(whole.begin() + static_cast<ptrdiff_t>(below), whole.end()));
    EXPECT_TRUE(std::all_of(skipped.begin(), skipped.end(), [&](auto& c) { return c.first >= cut; }));
  }
  auto source = ChangesOfValues(counts, {}, std::nullopt);
  ASSERT_TRUE(source->Next());
  source->SkipTo({});
  Seen rest;
  take(*source, rest);
  EXPECT_EQ(rest.size() + 1, whole.size()) << "what was given is not given again";
}

TEST(SharedValues, TheTableOfValuesIsOutOfReachAndGoesWithItsTable) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateSharing("t"));
  ASSERT_TRUE(rig.PutRows("t", {{"a", std::string(300, 'v')}}));
  ASSERT_TRUE(rig.CreateTag("kept"));
  const TableId values = ValuesOf(rig, "t").id;
  kernel::Batch batch;
  batch.operations.push_back(Rig::Put(values, "k", "v"));
  ASSERT_TRUE(rig.Append({Rig::EntryOf(batch)}));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kNoTable);
  batch = {};
  batch.compares = {{kernel::CompareKind::kAbsent, values, ToBytes("k"), {}}};
  ASSERT_TRUE(rig.Append({Rig::EntryOf(batch)}));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kNoTable);
  ASSERT_TRUE(
      rig.Append({{journal::EntryKind::kDropTable, Term(), kernel::Encode(kernel::DropTable{values})}}));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kNoTable);
  EXPECT_EQ(rig.s->state->FindTable(""), nullptr);
  EXPECT_EQ(TagsOf(ManifestOf(rig), rig.s->state->tags()).at(0).tables, 1u);
  ASSERT_TRUE(rig.DropTable("t"));
  EXPECT_FALSE(rig.s->state->tables().contains(values));
  ASSERT_TRUE(rig.Save());
  rig.ExpectTags("dropped, but for the tag");
  rig.ExpectClean("dropped, but for the tag");
  ASSERT_TRUE(rig.DropTag("kept"));
  Settle(rig);
  EXPECT_LT(SegmentBytes(*rig.disk), 8u << 10);
  rig.ExpectClean("dropped");
}

TEST(SharedValues, HalfAPairIsNotMade) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  using Pair = std::pair<TableId, tree::Descriptor>;
  tree::Descriptor sharing, values;
  sharing.name = "t";
  const TableId t = rig.random.NewId<TableId>(), v = rig.random.NewId<TableId>();
  sharing.values_in = v;
  values.values_of = t;
  auto outcome = [&](const std::vector<Pair>& tables) {
    kernel::CreateTables c;
    for (const auto& [id, d] : tables) c.tables.push_back({id, Epoch(1), rig.random.NewKey(), d.Encode()});
    EXPECT_TRUE(rig.Append({{journal::EntryKind::kCreateTables, Term(), kernel::Encode(c)}}));
    return rig.outcomes.at(0).code;
  };
  EXPECT_EQ(outcome({{t, sharing}}), Code::kInvalidArgument);
  EXPECT_EQ(outcome({{v, values}}), Code::kInvalidArgument);
  EXPECT_EQ(outcome({{v, values}, {t, sharing}}), Code::kInvalidArgument);
  EXPECT_EQ(outcome({{t, sharing}, {rig.random.NewId<TableId>(), values}}), Code::kInvalidArgument);
  tree::Descriptor other = values;
  other.values_of = v;
  EXPECT_EQ(outcome({{t, sharing}, {v, other}}), Code::kInvalidArgument);
  EXPECT_EQ(rig.s->state->tables().size(), 3u) << "nothing is made";
  EXPECT_EQ(outcome({{t, sharing}, {v, values}}), Code{});
  EXPECT_EQ(outcome({{t, sharing}, {v, values}}), Code::kTableExists);
}

TEST(SharedValues, AgreeWithTheIndependentImplementation) {
  size_t seen = 0;
  for (const vectors::Block& b : vectors::Load("shared.txt")) {
    if (b.name == "address") {
      crypto::SeededRandom unused(1);
      seal::Keyring keyring = seal::Keyring::Create(unused);
      const TableId t = b.Id<TableId>("table");
      keyring.AddTable(t, Epoch(1), b.Key("table_key"));
      auto keys = keyring.TableKeys(t, Epoch(1), b.Hex("descriptor"));
      ASSERT_TRUE(keys);
      const tree::Address a = tree::SharedAddresses(*keys).Of(b.Hex("value"));
      EXPECT_EQ(HexUpper(a), HexUpper(b.Hex("address")));
      EXPECT_EQ(HexUpper(tree::SharedCountKey(a)), HexUpper(b.Hex("count_key")));
      EXPECT_EQ(HexUpper(tree::EncodeSharedCount(3)), HexUpper(b.Hex("count")));
      auto d = tree::Descriptor::Decode(b.Hex("descriptor"));
      ASSERT_TRUE(d);
      EXPECT_EQ(d->values_in, b.Id<TableId>("values"));
      ++seen;
    } else if (b.name == "table of values") {
      auto d = tree::Descriptor::Decode(b.Hex("descriptor"));
      ASSERT_TRUE(d && d->values_of);
      EXPECT_EQ(HexUpper(d->Encode()), HexUpper(b.Hex("descriptor")));
      ++seen;
    } else if (b.name == "leaf") {
      auto node = tree::Node::Decode(b.Hex("canonical"), {});
      ASSERT_TRUE(node);
      ASSERT_EQ((*node)->count(), 2u);
      EXPECT_EQ(ToText((*node)->value(0).inline_bytes), "lovelace");
      const tree::StoredValue v = (*node)->value(1);
      EXPECT_TRUE(v.is_shared && !v.is_blob && v.length == 500);
      EXPECT_EQ(HexUpper(v.blob.address), HexUpper(b.Hex("address")));
      EXPECT_TRUE((*node)->References().empty());
      ++seen;
    }
  }
  EXPECT_EQ(seen, 3u);
}

}  // namespace
}  // namespace holdfast::store
