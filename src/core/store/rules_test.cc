// Rules that show in the order of writes, in what lies where, and in exit codes.
#include <algorithm>

#include "core/store/store_rig_internal.h"
#include "core/store/verify.h"
#include "host/kv/fault.h"

namespace holdfast::store {
namespace {

using host::WriteKind;
using host::WriteOperation;

// A rig whose writes, to the store and to the anchor, are listed in order.
struct Listed {
  Rig rig;
  std::vector<std::string> writes;
  std::unique_ptr<host::FaultStorage> disk, anchor;
  Listed() {
    auto watch = [this](std::string prefix) {
      host::FaultPlan plan;
      plan.before = [this, prefix](const WriteOperation& o) {
        const char* kind = o.kind == WriteKind::kDelete    ? "delete "
                           : o.kind == WriteKind::kBarrier ? "barrier"
                                                           : "";
        writes.push_back(prefix + kind + o.name);
      };
      return plan;
    };
    disk = std::make_unique<host::FaultStorage>(rig.own_disk, watch(""));
    rig.disk = disk.get();
  }
  size_t At(std::string_view what, size_t from = 0) const {
    for (size_t i = from; i < writes.size(); ++i)
      if (writes[i] == what) return i;
    ADD_FAILURE() << what << " is not written";
    return writes.size();
  }
};

TEST(RuleD2, ASaveDeletesTheNumberFirstAndWritesItLastWithBarriersBetween) {
  Listed l;
  ASSERT_TRUE(l.rig.Init());
  ASSERT_TRUE(l.rig.Open());
  ASSERT_TRUE(l.rig.CreateTable("t"));
  ASSERT_TRUE(l.rig.PutRows("t", {{"k", "v"}}));
  l.writes.clear();
  ASSERT_TRUE(l.rig.Save());  // save 2 goes to slot 0
  size_t at = 0;
  auto next = [&](const std::string& what) {
    size_t found = l.At(what, at);
    EXPECT_GE(found, at);
    at = found + 1;
  };
  EXPECT_TRUE(l.writes[1].starts_with("segments/")) << "after the frame";
  next("barrier");  // what the manifest names is durable before anything names it
  next("delete enclave-state/0/state-save-number");
  next("barrier");
  next("enclave-state/0/core-enclave");
  next("enclave-state/0/core-enclave.recovery-key-shares");
  next("enclave-state/0/key-enclave");
  next("enclave-state/0/key-enclave.recovery-key-shares");
  next("enclave-state/0/server-state");
  next("barrier");
  next("enclave-state/0/state-save-number");
  next("barrier");
  for (size_t i = 0; i < l.At("delete enclave-state/0/state-save-number"); ++i)
    EXPECT_FALSE(l.writes[i].starts_with("delete")) << "nothing is deleted before the new save is durable";
}

// Looks at the anchor whenever the store is written to.
TEST(RuleF2, TheAnchorFollowsItsRootAndPrecedesTheDeletes) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  std::vector<std::pair<std::string, SaveNumber>> deletes;  // with the save that the anchor knew then
  SaveNumber number_written;
  host::FaultPlan plan;
  const Key* anchor_key = nullptr;
  auto anchored_save = [&] {
    auto a = seal::Anchor::Decode(*anchor_key, rig.id, rig.anchor.Get(kAnchorName)->parse());
    return a ? a->save : SaveNumber();
  };
  plan.before = [&](const WriteOperation& o) {
    if (anchor_key == nullptr) return;
    if (o.kind == WriteKind::kDelete && o.name.starts_with("segments/"))
      deletes.push_back({o.name, anchored_save()});
    if (o.name.ends_with("state-save-number") && o.kind == WriteKind::kPut) {
      number_written = rig.s->state->CurrentView().base->manifest.save.next();
      EXPECT_LT(anchored_save(), number_written) << "an anchor of a save that is not durable";
    }
  };
  host::FaultStorage disk(rig.own_disk, plan);
  rig.disk = &disk;
  ASSERT_TRUE(rig.Open());
  anchor_key = &rig.s->secrets.keys.anchor;
  ASSERT_TRUE(rig.CreateTable("t"));
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(rig.PutRows("t", {{"k", std::to_string(i)}}));
    deletes.clear();
    ASSERT_TRUE(rig.Save());
    for (const auto& [name, save] : deletes) EXPECT_EQ(save, number_written) << name;
  }
  EXPECT_FALSE(deletes.empty());
}

TEST(RuleA4, ASegmentHoldsNodesOfOneTableOnly) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(rig.CreateTable(name));
    ASSERT_TRUE(rig.PutRows(name, {{"k", name}}));
  }
  ASSERT_TRUE(rig.Save());
  VersionPtr version = rig.s->state->CurrentView().base;
  for (const auto& [id, table] : version->manifest.root.tables) {
    if (table.root.empty) continue;
    VersionNodes nodes(*rig.disk, version, rig.cache);
    tree::Walk walk(table.root);
    for (;;) {
      auto visit = Drive(nodes, [&] { return walk.Next(nodes); });
      ASSERT_TRUE(visit);
      if (!*visit) break;
      EXPECT_EQ(version->manifest.segments.at((*visit)->ref.hint.segment).table, id);
    }
  }
}

TEST(RuleA4, ANodeCostsOneRangeReadAndNoHeader) {
  struct Counting : host::MemoryStorage {
    Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
      if (name.starts_with("segments/")) {
        ++reads;
        EXPECT_GE(offset, seal::kHeaderBytes);
      }
      return host::MemoryStorage::GetRange(name, offset, length);
    }
    uint64_t reads = 0;
  } disk;
  Rig rig;
  rig.disk = &disk;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  Rows rows;
  for (int i = 0; i < 3000; ++i) rows["k" + std::to_string(i)] = "v";
  ASSERT_TRUE(rig.PutRows("t", rows));
  ASSERT_TRUE(rig.Save());
  rig.cache = NodeCache(8u << 20);
  disk.reads = 0;
  VersionNodes nodes(disk, rig.s->state->CurrentView().base, rig.cache);
  ASSERT_TRUE(ViewGet(rig.s->state->CurrentView(), rig.Table("t"), AsBytes("k77"), nodes));
  uint64_t levels = disk.reads;
  EXPECT_LE(levels, 3u) << "leaf, inner, inner";
  ASSERT_TRUE(ViewGet(rig.s->state->CurrentView(), rig.Table("t"), AsBytes("k2077"), nodes));
  EXPECT_LE(disk.reads, levels + 2) << "the inner nodes are cached";
}

TEST(RuleC1, VerifyAndRestoreOnlyRead) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.PutRows("t", {{"k", "v"}}));
  rig.Kill();
  Image before = ImageOf(*rig.disk);
  host::FaultPlan plan;
  plan.before = [](const WriteOperation& o) { ADD_FAILURE() << "writes " << o.name; };
  host::FaultStorage watched(rig.own_disk, plan);
  EXPECT_FALSE(VerifyStore(watched, AsBytes(kPassphrase), {})->verdict);
  host::MemoryStorage to;
  EXPECT_FALSE(RestoreStore(watched, to, AsBytes(kPassphrase), {})->verdict);
  EXPECT_TRUE(ReadSystemRows(watched, AsBytes(kPassphrase), ""));
  EXPECT_TRUE(ImageOf(*rig.disk) == before);
}

TEST(RuleC2, AnOpeningRaisesTheTermAndStartsAFileOfItsOwn) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  Term last;
  FrameNumber number;
  for (int life = 0; life < 5; ++life) {
    ASSERT_TRUE(rig.Open());
    EXPECT_GT(rig.s->term, last);
    EXPECT_GT(rig.s->frame.number, number) << "a number is never used again";
    last = rig.s->term;
    number = rig.s->frame.number;
    EXPECT_TRUE(ImageOf(*rig.disk).contains(journal::FrameName(rig.s->member, number)));
    if (life == 2) {
      ASSERT_TRUE(rig.Close());
    } else {
      rig.Kill();
    }
  }
}

TEST(RuleC2, WhoIsOvertakenIsFencedAndLosesNothingOfTheOther) {
  Rig rig;
  rig.anchored = false;
  rig.options.journal_file_bytes = 2048;  // rolls soon: there the two meet
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  // A second opener where the lock failed to keep it out (C3: then a fork is detected, not prevented).
  Rig second;
  second.anchored = false;
  second.disk = rig.disk;
  second.oracle = rig.oracle;
  second.random = crypto::SeededRandom(77);
  ASSERT_TRUE(second.Open());
  EXPECT_GT(second.s->term, rig.s->term);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(second.PutRows("t", {{"second" + std::to_string(i), "x"}}));
  second.ExpectRows("the second goes on");
  second.Kill();
  ASSERT_TRUE(second.Open());
  second.ExpectRows("and what it was told is there");
}

TEST(RuleC3, StorageThatCannotKeepASecondOpenerOutIsRefusedForWriting) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  seam::Capabilities shared = host::MemoryStorage::AllCapabilities();
  shared.exclusive = false;
  auto disk = DiskOf(ImageOf(*rig.disk), shared);
  rig.disk = disk.get();
  EXPECT_EQ(rig.Open().code(), Code::kNoFencing);
}

TEST(RuleE, WhatACrashLeftIsCollectedAtTheNextOpening) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  ASSERT_TRUE(rig.CreateTable("t"));
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.PutRows("t", {{"k", "v"}}));
  // The power goes in the middle of a save: its segments are there, its slot is not.
  for (uint64_t cut = 1; cut < 12; ++cut) {
    auto disk = DiskOf(ImageOf(*rig.disk));
    Rig other;
    other.disk = disk.get();
    other.oracle = rig.oracle;
    ASSERT_TRUE(other.anchor.Put(kAnchorName, rig.anchor.Get(kAnchorName)->parse()));
    ASSERT_TRUE(other.Open());
    host::FaultPlan plan;
    plan.writes[cut] = {.what = host::FaultPlan::What::kFail, .code = Code::kIo};
    host::FaultStorage faulty(*disk, plan);
    {
      // The store moves to the faulty disk for its last save.
      other.Kill();
      other.disk = &faulty;
      Status opened = other.Open();
      if (opened) {
        EXPECT_FALSE(other.Save()) << cut;
      }
      other.Kill();
    }
    other.disk = disk.get();
    other.ExpectClean("cut at " + std::to_string(cut));
    ASSERT_TRUE(other.Open()) << cut << Show(other.findings);
    other.ExpectRows("cut at " + std::to_string(cut));
    auto report = other.Verify();
    ASSERT_TRUE(report);
    for (const Finding& f : report->findings)
      EXPECT_NE(f.kind, Finding::Kind::kPending) << "collected: " << f.Line();
  }
}

// One save through a disk that has no space at the `at`-th write after the opening and the save point's
// frame, or leaves a part of the object behind. Answers how many writes there were.
uint64_t SaveThroughAFullDisk(uint64_t at, uint64_t before) {
  std::string when = "full at write " + std::to_string(at);
  Rig rig;
  EXPECT_TRUE(rig.Init());
  EXPECT_TRUE(rig.Open());
  EXPECT_TRUE(rig.CreateTable("t"));
  EXPECT_TRUE(rig.PutRows("t", {{"k", "v"}, {"blob", std::string(3000, 'b')}}));
  EXPECT_TRUE(rig.Save());
  EXPECT_TRUE(rig.PutRows("t", {{"k", "w"}}));
  rig.Kill();
  host::FaultPlan plan;
  if (at != 0)
    plan.writes[before + at] = {
        .what = at % 2 == 0 ? host::FaultPlan::What::kFail : host::FaultPlan::What::kTear,
        .code = Code::kFull};
  host::FaultStorage faulty(rig.own_disk, plan);
  rig.disk = &faulty;
  EXPECT_TRUE(rig.Open()) << when;
  if (at == 0 && before == 0) return faulty.writes() + 1;  // and the frame
  Status saved = rig.Save();
  if (rig.s->state->saving() != nullptr) {
    EXPECT_EQ(saved.code(), Code::kFull) << when;
    rig.ExpectRows(when + ": reads go on");
    saved = SaveInline(faulty, &rig.anchor, *rig.s, rig.s->frame, rig.cache, rig.random);
  }
  EXPECT_EQ(saved.has_value() || saved.code() == Code::kFull, true)
      << when;  // what is owed after it may wait
  rig.ExpectRows(when + ", tried again");
  rig.ExpectClean(when + ", tried again");
  EXPECT_TRUE(rig.Save()) << when;
  uint64_t writes = faulty.writes() - before;
  rig.Kill();
  rig.disk = &rig.own_disk;
  rig.ExpectClean(when + ", killed");
  EXPECT_TRUE(rig.Open()) << when;
  rig.ExpectRows(when + ", reopened");
  return writes;
}

TEST(RuleI1, AFullDiskInAnyWriteOfASaveLeavesItToBeTriedAgain) {
  uint64_t before = SaveThroughAFullDisk(0, 0);
  uint64_t writes = SaveThroughAFullDisk(0, before);
  ASSERT_GT(writes, 20u);
  for (uint64_t at = 1; at < writes / 2; ++at) SaveThroughAFullDisk(at, before);
}

TEST(RuleI2, EveryRefusalHasItsExitCode) {
  for (Code c : {Code::kWrongPassphrase, Code::kUnknownFormat, Code::kInUse, Code::kReadOnly, Code::kFull,
                 Code::kUnreachable, Code::kNoStore, Code::kNotEmpty})
    EXPECT_EQ(CodeExit(c), 1) << CodeName(c);
  for (Code c :
       {Code::kForeign, Code::kAuthFailed, Code::kChecksum, Code::kMissing, Code::kAlien, Code::kRolledBack,
        Code::kForked, Code::kBothSlotsBad, Code::kTampered, Code::kFreshnessUnproven})
    EXPECT_EQ(CodeExit(c), 3) << CodeName(c);
}

}  // namespace
}  // namespace holdfast::store
