// Two openers of one store that no lock keeps apart, on a provider whose conditions hold between them: at
// every operation of one the other comes in between. Exactly one goes on; what either was told is there.
#include <algorithm>

#include "core/store/layout.h"
#include "core/store/store_rig_internal.h"
#include "host/kv/fault.h"

namespace holdfast::store {
namespace {

seam::Capabilities Unlocked() { return {.append = false, .conditional_put = true, .exclusive = false}; }
// Nothing holds, and somebody gave his word that there is one writer.
seam::Capabilities OnlyAWord() { return {.append = false, .conditional_put = false, .exclusive = true}; }

// Passes everything on; before the operation with number `at` (from 1; reads count) something else happens.
class Interrupted : public seam::Storage {
 public:
  Interrupted(seam::Storage& inner, uint64_t at, std::function<void()> meanwhile)
      : inner_(inner), at_(at), meanwhile_(std::move(meanwhile)) {}
  uint64_t operations() const { return operations_; }
  bool happened() const { return operations_ >= at_; }

  seam::Capabilities capabilities() const override { return inner_.capabilities(); }
  Result<UntrustedBytes> Get(std::string_view name) override { return Next().Get(name); }
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
    return Next().GetRange(name, offset, length);
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view name) override {
    return Next().GetVersioned(name);
  }
  Status Put(std::string_view name, ByteView bytes) override { return Next().Put(name, bytes); }
  Status PutIfAbsent(std::string_view name, ByteView bytes) override {
    return Next().PutIfAbsent(name, bytes);
  }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view name, ByteView bytes,
                                           const seam::ObjectVersion& expected) override {
    return Next().PutIfVersion(name, bytes, expected);
  }
  Status Delete(std::string_view name) override { return Next().Delete(name); }
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override {
    return Next().List(prefix, after, limit);
  }
  Status Barrier() override { return Next().Barrier(); }
  Status CreateAppendable(std::string_view, uint64_t, ByteView) override { return Code::kUnsupported; }
  Status Append(std::string_view, uint64_t, ByteView) override { return Code::kUnsupported; }
  Status Trim(std::string_view, uint64_t) override { return Code::kUnsupported; }

 private:
  seam::Storage& Next() {
    if (++operations_ == at_) meanwhile_();
    return inner_;
  }
  seam::Storage& inner_;
  const uint64_t at_;
  uint64_t operations_ = 0;
  std::function<void()> meanwhile_;
};

// One of the machines.
struct Machine : Rig {
  Machine(seam::Storage& shared, uint64_t seed, std::string who) : name(std::move(who)) {
    disk = &shared;
    anchored = false;
    random = crypto::SeededRandom(seed);
  }
  std::string name;
  int written = 0;

  // True: the row was acknowledged, and `acknowledged` has it.
  bool PutOne(Rows& acknowledged) {
    std::string key = name + std::to_string(written++);
    if (!PutRows("t", {{key, "v"}})) return false;
    acknowledged[key] = "v";
    return true;
  }
};

struct Shared {
  host::MemoryStorage disk;
  Rows acknowledged;
  int machines = 0;

  explicit Shared(seam::Capabilities capabilities = Unlocked()) : disk(capabilities) {
    Machine first = Next(disk, "init");
    EXPECT_TRUE(first.Init());
    EXPECT_TRUE(first.Open()) << Show(first.findings);
    EXPECT_TRUE(first.CreateTable("t"));
    EXPECT_TRUE(first.PutOne(acknowledged));
    EXPECT_TRUE(first.Close());
  }
  Machine Next(seam::Storage& through, std::string who) {
    return Machine(through, 100 + static_cast<uint64_t>(++machines), std::move(who));
  }
  // What is there is what was acknowledged, no more and no less, and all is whole.
  void Check(const std::string& when) {
    Machine reader = Next(disk, "reader");
    auto report = reader.Verify();
    ASSERT_TRUE(report) << when << ": " << CodeName(report.code());
    EXPECT_FALSE(report->verdict) << when << ": " << CodeName(*report->verdict) << Show(report->findings);
    Machine last = Next(disk, "last");
    ASSERT_TRUE(last.Open()) << when << Show(last.findings);
    last.oracle["t"] = acknowledged;
    last.ExpectRows(when);
    ASSERT_TRUE(last.Save()) << when;
    ASSERT_TRUE(last.Save()) << when;
    ASSERT_TRUE(last.Close()) << when;
    auto again = reader.Verify();
    ASSERT_TRUE(again) << when;
    EXPECT_FALSE(again->verdict) << when << ": " << CodeName(*again->verdict) << Show(again->findings);
    // What fenced openers left is gone, but for the marks in their way.
    for (const Finding& f : again->findings) ADD_FAILURE() << when << ": " << f.Line();
  }
};

// Rows and saves, until something fails. Returns why.
Status Work(Machine& m, Rows& acknowledged, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    if (!m.PutOne(acknowledged)) return Code::kFenced;
    if (i % 2 == 1) HF_TRY_VOID(m.Save());
  }
  return Ok();
}

TEST(RuleC2, AProviderWithConditionsAndNoLockIsServedFromByOne) {
  Shared shared;
  Machine a = shared.Next(shared.disk, "a");
  ASSERT_TRUE(a.Open()) << Show(a.findings);
  ASSERT_TRUE(Work(a, shared.acknowledged, 5));
  Machine b = shared.Next(shared.disk, "b");
  ASSERT_TRUE(b.Open()) << Show(b.findings);
  EXPECT_GT(b.s->term, a.s->term);
  EXPECT_EQ(a.PutRows("t", {{"late", "x"}}).code(), Code::kFenced);
  EXPECT_EQ(a.PutRows("t", {{"late", "x"}}).code(), Code::kPoisoned) << "and nothing after it either";
  ASSERT_TRUE(Work(b, shared.acknowledged, 5));
  ASSERT_TRUE(b.Close());
  shared.Check("two in a row");
}

// The other comes, works, saves and cuts the journal while one operation of ours is on its way.
void OneOvertakesAt(uint64_t at, int other_rounds, uint64_t& operations) {
  std::string when = "overtaken at operation " + std::to_string(at) + " by " + std::to_string(other_rounds);
  Shared shared;
  Machine b = shared.Next(shared.disk, "b");
  Interrupted path(shared.disk, at, [&] {
    Status opened = b.Open();
    ASSERT_TRUE(opened) << when << ": " << CodeName(opened.code()) << Show(b.findings);
    ASSERT_TRUE(Work(b, shared.acknowledged, other_rounds)) << when;
  });
  Machine a = shared.Next(path, "a");
  Status opened = a.Open();
  Status done = opened;
  for (int i = 0; done && i < 8; ++i) {
    bool before = path.happened();
    bool put = a.PutOne(shared.acknowledged);
    EXPECT_FALSE(put && before) << when << ": acknowledged by who was fenced";
    done = put ? Ok() : Status(Code::kFenced);
    if (done && i % 3 == 1) done = a.Save();
  }
  operations = path.operations();
  if (!path.happened()) return;
  if (!done) {
    EXPECT_EQ(done.code(), Code::kFenced) << when;
  }
  EXPECT_FALSE(a.PutOne(shared.acknowledged)) << when << ": acknowledged by who was fenced";
  ASSERT_TRUE(Work(b, shared.acknowledged, 3)) << when << ": the one that overtook goes on";
  a.Kill();
  b.Kill();
  shared.Check(when);
}

uint64_t OperationsOfOpening() {
  Shared shared;
  Interrupted path(shared.disk, UINT64_MAX, [] {});
  Machine a = shared.Next(path, "a");
  EXPECT_TRUE(a.Open());
  return path.operations();
}

TEST(RuleC2, WhoeverIsOvertakenAtAnyOperationAcknowledgesNothingMoreAndLosesNothing) {
  const uint64_t opening = OperationsOfOpening();
  for (int other : {0, 1, 9}) {
    uint64_t operations = 0, unused = 0;
    OneOvertakesAt(UINT64_MAX, other, operations);
    EXPECT_GT(operations, opening + 40);
    for (uint64_t at = opening + 1; at <= operations; ++at) OneOvertakesAt(at, other, unused);
  }
}

// The writer goes on at each operation of an opening: rows, saves, cuts. Then it is fenced, or has fenced
// nobody.
TEST(RuleC2, AnOpeningAmidAnyWorkOfAWriterReadsAllThatWasAcknowledged) {
  for (int rounds : {1, 2, 7}) {
    uint64_t operations = OperationsOfOpening() + 60;
    for (uint64_t at = 1; at <= operations; ++at) {
      std::string when = "writer at operation " + std::to_string(at) + ", " + std::to_string(rounds);
      Shared shared;
      Machine a = shared.Next(shared.disk, "a");
      ASSERT_TRUE(a.Open());
      ASSERT_TRUE(Work(a, shared.acknowledged, 3));
      Interrupted path(shared.disk, at, [&] { (void)Work(a, shared.acknowledged, rounds).has_value(); });
      Machine b = shared.Next(path, "b");
      Status opened = b.Open();
      ASSERT_TRUE(opened) << when << ": " << CodeName(opened.code()) << Show(b.findings);
      if (!path.happened()) break;
      EXPECT_FALSE(a.PutOne(shared.acknowledged)) << when << ": the writer before goes on";
      b.oracle["t"] = shared.acknowledged;
      b.ExpectRows(when);
      ASSERT_TRUE(Work(b, shared.acknowledged, 4)) << when;
      a.Kill();
      b.Kill();
      shared.Check(when);
    }
  }
}

// Two openings at once, at every operation of one the whole of the other: one wins, and if it is the first
// then the other knows at its first write.
TEST(RuleC2, OfTwoOpeningsAtOnceOneWins) {
  uint64_t operations = OperationsOfOpening() + 60;
  for (uint64_t at = 1; at <= operations; ++at) {
    std::string when = "opening at operation " + std::to_string(at);
    Shared shared;
    Machine b = shared.Next(shared.disk, "b");
    bool b_open = false;
    Interrupted path(shared.disk, at, [&] { b_open = b.Open().has_value(); });
    Machine a = shared.Next(path, "a");
    Status opened = a.Open();
    if (!path.happened()) break;
    EXPECT_TRUE(b_open) << when;
    if (!opened) {
      EXPECT_EQ(opened.code(), Code::kFenced) << when;
    }
    bool a_writes = opened && a.PutOne(shared.acknowledged);
    bool b_writes = b_open && b.PutOne(shared.acknowledged);
    EXPECT_NE(a_writes, b_writes) << when << ": exactly one goes on";
    a.Kill();
    b.Kill();
    shared.Check(when);
  }
}

TEST(RuleC2, AWriterThatSleptThroughManyOpeningsAndCutsStillFindsItsNumberTaken) {
  Shared shared;
  Machine a = shared.Next(shared.disk, "a");
  ASSERT_TRUE(a.Open());
  ASSERT_TRUE(a.PutOne(shared.acknowledged));
  for (int i = 0; i < 5; ++i) {
    Machine b = shared.Next(shared.disk, "b" + std::to_string(i) + "-");
    ASSERT_TRUE(b.Open()) << Show(b.findings);
    ASSERT_TRUE(Work(b, shared.acknowledged, 6));
    ASSERT_TRUE(b.Close());
  }
  EXPECT_EQ(a.PutRows("t", {{"late", "x"}}).code(), Code::kFenced);
  size_t marks = 0;
  for (const seam::ObjectInfo& o : seam::ListAll(shared.disk, "members/").value())
    marks += o.size_bytes == journal::kFenceMark.size() ? 1 : 0;
  EXPECT_GE(marks, 5u) << "numbers that were cut stay taken";
  shared.Check("slept");
}

// A fenced one that dies in mid-save, and one that goes on writing segments, leave what is collected.
TEST(RuleC3, WhatAFencedOpenerStillWritesIsNeverTakenForThatOfTheOther) {
  Shared shared;
  Machine a = shared.Next(shared.disk, "a"), b = shared.Next(shared.disk, "b");
  ASSERT_TRUE(a.Open());
  ASSERT_TRUE(a.PutOne(shared.acknowledged));
  ASSERT_TRUE(b.Open());
  SegmentId late =
      IdOfSave<SegmentId>(a.s->state->CurrentView().base->manifest.save.next(), a.s->term, Bytes(5, 7));
  ASSERT_TRUE(Work(b, shared.acknowledged, 6));
  ASSERT_TRUE(shared.disk.PutIfAbsent(SegmentName(late), AsBytes("half a segment")));
  auto report = b.Verify();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->verdict) << Show(report->findings);
  EXPECT_TRUE(std::any_of(report->findings.begin(), report->findings.end(), [&](const Finding& f) {
    return f.kind == Finding::Kind::kLeftover && f.object == SegmentName(late);
  })) << Show(report->findings);
  b.Kill();
  shared.Check("a segment that came late");
  EXPECT_EQ(shared.disk.Get(SegmentName(late)).code(), Code::kNotFound);
}

TEST(RuleC3, ASlotThatAnotherOpenerTookIsNotWritten) {
  Shared shared;
  Machine a = shared.Next(shared.disk, "a");
  ASSERT_TRUE(a.Open());
  ASSERT_TRUE(Work(a, shared.acknowledged, 4));
  Machine b = shared.Next(shared.disk, "b");
  ASSERT_TRUE(b.Open());
  // Past the journal, as if the frame of the save point had been written just before.
  Image before = ImageOf(shared.disk);
  const VersionPtr base = a.s->state->CurrentView().base;
  Manifest next = base->manifest;
  next.save = next.save.next();
  std::vector<std::string> groups;
  Status written =
      WriteSlot(shared.disk, next, a.s->state->keyring(), a.s->secrets, a.s->opener, a.random, groups);
  EXPECT_EQ(written.code(), Code::kFenced);
  for (const std::string& name : groups) ASSERT_TRUE(shared.disk.Delete(name));
  EXPECT_EQ(ImageOf(shared.disk), before) << "and nothing is changed";
  ASSERT_TRUE(Work(b, shared.acknowledged, 4));
  b.Kill();
  shared.Check("slot");
}

// The power goes at every write of an opening, of rows and of saves; what no barrier covered may be gone.
TEST(RuleC3, ACrashAtAnyWriteWithoutALockLosesNothingThatWasAcknowledged) {
  for (uint64_t seed : {0, 1, 5}) {
    bool crashed = true;
    for (uint64_t at = 1; crashed && at < 300; ++at) {
      std::string when = "crash at write " + std::to_string(at) + ", seed " + std::to_string(seed);
      Shared shared;
      host::FaultPlan plan;
      plan.writes[at] = {.what = host::FaultPlan::What::kCrash};
      plan.drop_unsynced = true;
      plan.seed = seed;
      host::FaultStorage faulty(shared.disk, plan);
      Machine a = shared.Next(faulty, "a");
      if (a.Open()) (void)Work(a, shared.acknowledged, 6).has_value();
      crashed = faulty.crashed();
      a.Kill();
      auto report = shared.Next(shared.disk, "reader").Verify();
      ASSERT_TRUE(report) << when << ": " << CodeName(report.code());
      EXPECT_FALSE(report->verdict) << when << ": " << CodeName(*report->verdict) << Show(report->findings);
      Machine b = shared.Next(shared.disk, "b");
      ASSERT_TRUE(b.Open()) << when << Show(b.findings);
      Rows rows = b.Rows_().value()["t"];
      for (const auto& [key, value] : shared.acknowledged)
        EXPECT_TRUE(rows.contains(key)) << when << ": " << key;
      EXPECT_LE(rows.size(), shared.acknowledged.size() + 1) << when;
      shared.acknowledged = rows;
      ASSERT_TRUE(Work(b, shared.acknowledged, 6)) << when;
      b.Kill();
      shared.Check(when);
    }
    EXPECT_FALSE(crashed) << "every write had its turn";
  }
}

// -- where nothing holds (C4) ------------------------------------------------------------------------------

// Frames alone: whoever puts one and then finds the number used does not acknowledge it.
TEST(RuleC4, WhereNoConditionHoldsAWriterStillSeesThatAnotherOpened) {
  for (uint64_t at = 1; at < 200; ++at) {
    std::string when = "writer at operation " + std::to_string(at);
    Shared shared(OnlyAWord());
    Machine a = shared.Next(shared.disk, "a");
    ASSERT_TRUE(a.Open());
    auto put = [&] {
      for (int i = 0; i < 3; ++i) (void)a.PutOne(shared.acknowledged);
    };
    put();
    Interrupted path(shared.disk, at, put);
    Machine b = shared.Next(path, "b");
    Status opened = b.Open();
    ASSERT_TRUE(opened) << when << ": " << CodeName(opened.code()) << Show(b.findings);
    if (!path.happened()) break;
    EXPECT_FALSE(a.PutOne(shared.acknowledged)) << when;
    ASSERT_TRUE(Work(b, shared.acknowledged, 6)) << when;
    a.Kill();
    b.Kill();
    auto report = shared.Next(shared.disk, "reader").Verify();
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->verdict) << when << Show(report->findings);
    Machine last = shared.Next(shared.disk, "last");
    ASSERT_TRUE(last.Open()) << when;
    Rows rows = last.Rows_().value()["t"];
    for (const auto& [key, value] : shared.acknowledged)
      EXPECT_TRUE(rows.contains(key)) << when << ": " << key;
    // The one write that was told `fenced` after its frame had been put.
    EXPECT_LE(rows.size(), shared.acknowledged.size() + 1) << when;
  }
}

// Two machines that do not see each other's writes, as behind caches, and then everything lies in one place.
TEST(RuleC4, TwoHistoriesInOnePlaceAreReportedWithBothHeadsAndNotResolved) {
  Shared shared(OnlyAWord());
  auto other_side = DiskOf(ImageOf(shared.disk), OnlyAWord());
  Machine a = shared.Next(shared.disk, "a"), b = shared.Next(*other_side, "b");
  ASSERT_TRUE(a.Open());
  ASSERT_TRUE(b.Open());
  ASSERT_NE(a.s->term, b.s->term);
  Rows of_a, of_b;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(a.PutOne(of_a) && b.PutOne(of_b));
  std::vector<journal::LogPosition> heads = {a.s->state->position(), b.s->state->position()};
  a.Kill();
  b.Kill();
  for (const auto& [name, bytes] : ImageOf(*other_side)) {
    if (!name.starts_with("members/")) continue;
    ASSERT_TRUE(shared.disk.Put(name, bytes));
  }
  Image before = ImageOf(shared.disk);
  auto report = shared.Next(shared.disk, "reader").Verify();
  ASSERT_TRUE(report);
  ASSERT_TRUE(report->verdict);
  EXPECT_EQ(*report->verdict, Code::kForked) << Show(report->findings);
  std::string said = Show(report->findings);
  for (const journal::LogPosition& head : heads) {
    EXPECT_NE(said.find("term " + std::to_string(head.term.value) + ", index " +
                        std::to_string(head.index.value) + ", chain " + HexUpper(head.chain).substr(0, 16)),
              std::string::npos)
        << said;
  }
  Machine c = shared.Next(shared.disk, "c");
  EXPECT_EQ(c.Open().code(), Code::kForked);
  EXPECT_NE(Show(c.findings).find("two histories"), std::string::npos) << Show(c.findings);
  EXPECT_EQ(ImageOf(shared.disk), before) << "nothing is merged, and nothing is thrown away";
  // Whose history goes on is for people to say: they take the other's frames away (docs/operating.md).
  const Term gone = heads[0].term;
  for (const auto& [name, bytes] : before) {
    if (name.ends_with("." + std::string(20 - std::to_string(gone.value).size(), '0') +
                       std::to_string(gone.value))) {
      ASSERT_TRUE(shared.disk.Delete(name));
    }
  }
  ASSERT_TRUE(c.Open()) << Show(c.findings);
  shared.acknowledged.merge(of_b);
  c.oracle["t"] = shared.acknowledged;
  c.ExpectRows("one history is left");
}

// What was written beside a barrier and claims nothing was never acknowledged.
TEST(RuleC4, AFrameBesideTheBarrierThatNothingClaimsIsPassedOver) {
  Shared shared(OnlyAWord());
  auto other_side = DiskOf(ImageOf(shared.disk), OnlyAWord());
  Machine a = shared.Next(shared.disk, "a"), b = shared.Next(*other_side, "b");
  ASSERT_TRUE(a.Open());
  ASSERT_TRUE(b.Open());
  bool a_is_later = a.s->term > b.s->term;
  Machine& later = a_is_later ? a : b;
  Rows of_later;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(later.PutOne(of_later));
  a.Kill();
  b.Kill();
  for (const auto& [name, bytes] : ImageOf(*other_side)) {
    if (!name.starts_with("members/")) continue;
    ASSERT_TRUE(shared.disk.Put(name, bytes));
  }
  shared.acknowledged.merge(of_later);
  Machine c = shared.Next(shared.disk, "c");
  ASSERT_TRUE(c.Open()) << Show(c.findings);
  c.oracle["t"] = shared.acknowledged;
  c.ExpectRows("one of two");
}

}  // namespace
}  // namespace holdfast::store
