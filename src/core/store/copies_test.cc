// A store on several providers: lost, lying, lagging ones, in every place. The providers are asked one after
// the other on this thread (replica::Threads::kNone), so that each run is the same.
#include <gtest/gtest.h>

#include "core/replica/replicated.h"
#include "core/store/layout.h"
#include "core/store/store_rig_internal.h"
#include "host/kv/fault.h"

namespace holdfast::store {
namespace {

struct Deployment {
  std::vector<std::unique_ptr<host::MemoryStorage>> disks;
  std::vector<std::unique_ptr<host::FaultStorage>> faulty;
  std::unique_ptr<replica::ReplicatedStorage> all;
  seam::Quorum quorum;
  Rig rig;

  explicit Deployment(uint32_t n, uint32_t w, bool whole_last = false) : quorum{n, w} {
    for (uint32_t i = 0; i < n; ++i) {
      seam::Capabilities c = host::MemoryStorage::AllCapabilities();
      if (whole_last && i + 1 == n) c.append = false;
      disks.push_back(std::make_unique<host::MemoryStorage>(c));
    }
    Join();
  }
  // As a new process would; null: that provider does not answer.
  void Join(std::vector<seam::Storage*> storages = {}) {
    if (storages.empty()) {
      for (auto& d : disks) storages.push_back(d.get());
    }
    all = std::make_unique<replica::ReplicatedStorage>(
        storages, quorum, replica::ReplicaOptions{.threads = replica::Threads::kNone});
    rig.disk = all.get();
  }
  std::vector<seam::Storage*> Without(size_t lost) {
    std::vector<seam::Storage*> s;
    for (size_t i = 0; i < disks.size(); ++i) s.push_back(i == lost ? nullptr : disks[i].get());
    return s;
  }
  void Fill(int waves, const std::string& what) {
    for (int i = 0; i < waves; ++i)
      ASSERT_TRUE(rig.PutRows("t", {{what + std::to_string(i), std::string(300, 'v')}, {"same", what}})) << i;
  }
  void Start() {
    ASSERT_TRUE(rig.Init());
    Join();
    ASSERT_TRUE(rig.Open()) << Show(rig.findings);
    ASSERT_TRUE(rig.CreateTable("t"));
    Fill(10, "a");
    ASSERT_TRUE(rig.Save());
    Fill(10, "b");
    ASSERT_TRUE(rig.Save());
    Fill(5, "c");
  }
  void ExpectAllCurrent(const std::string& when) {
    for (const seam::CopyState& s : all->States()) EXPECT_TRUE(s.current) << when << ": " << CodeName(s.why);
  }
  // Each provider alone, or any of them, is the whole store.
  void ExpectAlike(const std::string& when) {
    Image first = ImageOf(*disks[0]);
    for (size_t i = 1; i < disks.size(); ++i) {
      Image other = ImageOf(*disks[i]);
      for (const auto& [name, bytes] : first) {
        if (name.starts_with("members/")) continue;  // files may have another reserve
        EXPECT_TRUE(other.contains(name) && other[name] == bytes)
            << when << ": provider " << i << " " << name;
      }
      for (const auto& [name, bytes] : other)
        EXPECT_TRUE(first.contains(name)) << when << ": provider " << i << " has " << name;
    }
  }
};

TEST(RuleA3Copies, AllProvidersHoldTheSameObjectsAndAnyQuorumOfThemOpens) {
  Deployment d(3, 2);
  d.Start();
  d.ExpectAllCurrent("at work");
  ASSERT_TRUE(d.rig.Close());
  d.ExpectAlike("closed");
  for (size_t lost = 0; lost < 3; ++lost) {
    d.Join(d.Without(lost));
    ASSERT_TRUE(d.rig.Open()) << "without " << lost << Show(d.rig.findings);
    d.rig.ExpectRows("without " + std::to_string(lost));
    d.Fill(3, "w" + std::to_string(lost));
    ASSERT_TRUE(d.rig.Save());
    ASSERT_TRUE(d.rig.Close());
  }
  d.Join();
  ASSERT_TRUE(d.rig.Open()) << Show(d.rig.findings);
  d.rig.ExpectRows("all again");
  d.ExpectAllCurrent("all again");
  ASSERT_TRUE(d.rig.Save());
  ASSERT_TRUE(d.rig.Close());
  d.ExpectAlike("all again");
  d.rig.ExpectClean("all again");
}

TEST(RuleC2Copies, TooFewProvidersDoNotOpen) {
  Deployment d(3, 2);
  d.Start();
  ASSERT_TRUE(d.rig.Close());
  d.Join({d.disks[0].get(), nullptr, nullptr});
  EXPECT_EQ(d.rig.Open().code(), Code::kNoQuorum);
  d.Join();
  ASSERT_TRUE(d.rig.Open());
  d.rig.ExpectRows("with all");
}

TEST(RuleC2Copies, TheStoreSaysItselfHowManyProvidersThereAre) {
  Deployment d(3, 2);
  d.Start();
  ASSERT_TRUE(d.rig.Close());
  // A host that makes less count than was promised.
  d.rig.disk = d.disks[0].get();
  EXPECT_EQ(d.rig.Open().code(), Code::kNoQuorum);
  replica::ReplicatedStorage two({d.disks[0].get(), d.disks[1].get()}, {2, 1},
                                 {.threads = replica::Threads::kNone});
  d.rig.disk = &two;
  EXPECT_EQ(d.rig.Open().code(), Code::kNoQuorum);
}

TEST(RuleC2Copies, AProviderThatMissedEverythingSinceItsLastSaveIsBehindAndCatchesUp) {
  for (bool whole : {false, true}) {
    Deployment d(3, 2, whole);
    d.Start();
    ASSERT_TRUE(d.rig.Close());
    Image old = ImageOf(*d.disks[2]);
    d.Join(d.Without(2));
    ASSERT_TRUE(d.rig.Open());
    d.Fill(20, "d");
    ASSERT_TRUE(d.rig.Save());
    d.Fill(20, "e");
    ASSERT_TRUE(d.rig.Save());
    d.Fill(4, "f");
    d.rig.Kill();
    d.Join();
    ASSERT_TRUE(d.rig.Open()) << Show(d.rig.findings);
    d.rig.ExpectRows("joined");
    d.ExpectAllCurrent("joined");
    for (const Finding& f : d.rig.s->findings) EXPECT_FALSE(f.bad()) << f.Line();
    // What it lacked is there now: it serves with one other.
    ASSERT_TRUE(d.rig.Close());
    d.Join(d.Without(0));
    ASSERT_TRUE(d.rig.Open()) << Show(d.rig.findings);
    d.rig.ExpectRows("with the one that was behind");
    d.rig.Kill();
  }
}

TEST(RuleB2Copies, EveryObjectOfOneProviderChangedOrGoneIsNamedOrUnneededAndNeverAWrongAnswer) {
  Deployment d(3, 2);
  d.Start();
  d.rig.Kill();
  std::vector<Image> good;
  for (auto& disk : d.disks) good.push_back(ImageOf(*disk));
  Bytes anchor = d.rig.anchor.Get(kAnchorName).value().take();
  size_t tried = 0;
  for (size_t victim = 0; victim < 3; ++victim) {
    for (const auto& [name, bytes] : good[victim]) {
      for (int how = 0; how < 3; ++how) {
        std::string when = "provider " + std::to_string(victim) + ", " + name + ", " + std::to_string(how);
        for (size_t i = 0; i < 3; ++i) d.disks[i] = DiskOf(good[i]);
        ASSERT_TRUE(d.rig.anchor.Put(kAnchorName, anchor));
        Bytes changed = bytes;
        if (how == 0) {
          ASSERT_TRUE(d.disks[victim]->Delete(name));
        } else {
          size_t at = how == 1 ? changed.size() / 3 : changed.size() - 1;
          if (!changed.empty()) changed[at] ^= 0x40;
          ASSERT_TRUE(d.disks[victim]->Put(name, changed));
        }
        d.Join();
        Status opened = d.rig.Open();
        ASSERT_TRUE(opened) << when << ": " << CodeName(opened.code()) << Show(d.rig.findings);
        d.rig.ExpectRows(when);
        d.all->Scrub([](size_t, uint64_t) { return true; });
        d.all->CatchUp();
        d.ExpectAllCurrent(when);
        ASSERT_TRUE(d.rig.Save()) << when;
        d.rig.Kill();
        d.Join();
        auto report = d.rig.Verify();
        ASSERT_TRUE(report) << when << ": " << CodeName(report.code());
        EXPECT_FALSE(report->verdict) << when << Show(report->findings);
        ++tried;
      }
    }
  }
  EXPECT_GT(tried, 60u);
}

TEST(RuleB2Copies, WhatNobodyHasWholeIsPutTogether) {
  Deployment d(3, 2);
  ASSERT_TRUE(d.rig.Init());
  d.Join(d.Without(2));
  ASSERT_TRUE(d.rig.Open());
  ASSERT_TRUE(d.rig.CreateTable("t"));
  d.Fill(12, "a");
  d.rig.Kill();
  std::string tail;
  for (const auto& [name, bytes] : ImageOf(*d.disks[0])) {
    if (name.starts_with("members/")) tail = name;
  }
  // One has a frame in the middle changed, the other lacks the end.
  Bytes bytes = d.disks[0]->Get(tail).value().take();
  bytes[5 * 512 + 300] ^= 1;
  ASSERT_TRUE(d.disks[0]->Put(tail, bytes));
  Bytes cut = d.disks[1]->Get(tail).value().take();
  cut.resize(8 * 512);
  ASSERT_TRUE(d.disks[1]->Put(tail, cut));
  d.Join(d.Without(2));
  Status opened = d.rig.Open();
  ASSERT_TRUE(opened) << CodeName(opened.code()) << Show(d.rig.findings);
  d.rig.ExpectRows("from both");
  bool named = false;
  for (const Finding& f : d.rig.s->findings) named = named || (f.bad() && f.provider == 0);
  EXPECT_TRUE(named) << Show(d.rig.s->findings);
  d.Fill(3, "b");
  ASSERT_TRUE(d.rig.Close());
  d.Join();
  ASSERT_TRUE(d.rig.Open()) << Show(d.rig.findings);
  d.rig.ExpectRows("with all");
  // The same frame bad on both: nobody has it, and nothing is made up.
  d.rig.Kill();
}

TEST(RuleE_Copies, VerifyNamesTheProviderAndWhatIsWrongWithIt) {
  Deployment d(3, 2);
  d.Start();
  ASSERT_TRUE(d.rig.Close());
  std::string segment;
  for (const auto& [name, bytes] : ImageOf(*d.disks[1])) {
    if (name.starts_with("segments/")) segment = name;
  }
  Bytes bytes = d.disks[1]->Get(segment).value().take();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(d.disks[1]->Put(segment, bytes));
  ASSERT_TRUE(d.disks[2]->Put("segments/stranger", bytes));
  d.Join();
  auto report = d.rig.Verify();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->verdict);
  bool changed = false, extra = false;
  for (const Finding& f : report->findings) {
    EXPECT_NE(f.provider, 0) << f.Line();
    changed = changed || (f.provider == 1 && f.kind == Finding::Kind::kChanged);
    extra = extra || (f.provider == 2 && f.kind == Finding::Kind::kExtra);
  }
  EXPECT_TRUE(changed && extra) << Show(report->findings);
  // A stale one is behind, and said to be.
  Image old = ImageOf(*d.disks[0]);
  ASSERT_TRUE(d.disks[2]->Delete("segments/stranger"));
  ASSERT_TRUE(d.rig.Open());
  d.all->Scrub([](size_t, uint64_t) { return true; });
  d.all->CatchUp();
  d.Fill(3, "later");
  ASSERT_TRUE(d.rig.Close());
  d.disks[0] = DiskOf(old);
  d.Join();
  report = d.rig.Verify();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->verdict) << Show(report->findings);
  bool behind = false;
  for (const Finding& f : report->findings)
    behind = behind || (f.provider == 0 && f.kind == Finding::Kind::kBehind);
  EXPECT_TRUE(behind) << Show(report->findings);
  EXPECT_TRUE(report->freshness.proven);
}

TEST(RuleD6Copies, AGroupThatAProviderLacksOrHasWrongIsNamedAndCopiedFromAnother) {
  for (bool missing : {true, false}) {
    Deployment d(3, 2);
    d.Start();
    ASSERT_TRUE(d.rig.Close());
    std::string group;
    for (const auto& [name, bytes] : ImageOf(*d.disks[1])) {
      if (name.starts_with(kGroupsPrefix)) group = name;
    }
    ASSERT_FALSE(group.empty());
    Bytes whole = d.disks[1]->Get(group).value().take(), wrong = whole;
    wrong[wrong.size() / 2] ^= 1;
    if (missing) {
      ASSERT_TRUE(d.disks[1]->Delete(group));
    } else {
      ASSERT_TRUE(d.disks[1]->Put(group, wrong));
    }
    d.Join();
    auto report = d.rig.Verify();
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->verdict);
    bool named = false;
    for (const Finding& f : report->findings)
      named = named || (f.provider == 1 && f.object == group && f.bad());
    EXPECT_TRUE(named) << Show(report->findings);
    ASSERT_TRUE(d.rig.Open()) << Show(d.rig.findings);
    d.rig.ExpectRows("with two good ones");
    Bytes now = d.disks[1]->Get(group).value().take();
    EXPECT_EQ(now, whole) << "the opening brings every provider up";
    d.Fill(3, "later");
    ASSERT_TRUE(d.rig.Save());
    ASSERT_TRUE(d.rig.Close());
    d.ExpectAlike("repaired");
    d.Join();
    d.rig.ExpectClean("repaired");
  }
}

// A provider loses power at its k-th write while the others go on; then the others stop as well.
TEST(RuleC2Copies, WhateverOneProviderMissedEveryAcknowledgedRowIsThere) {
  auto quorum_left = [](uint32_t n) { return n - 1; };
  for (auto [n, w] : std::vector<std::pair<uint32_t, uint32_t>>{{2, 1}, {3, 2}}) {
    for (uint64_t k = 1; k < 60; k += 2) {
      std::string when = std::to_string(w) + " of " + std::to_string(n) + ", write " + std::to_string(k);
      Deployment d(n, w);
      ASSERT_TRUE(d.rig.Init());
      std::vector<seam::Storage*> storages;
      host::FaultPlan plan;
      plan.writes[k] = {host::FaultPlan::What::kCrash, Code::kIo};
      plan.drop_unsynced = true;
      plan.seed = k;
      host::FaultStorage faulty(*d.disks[0], plan);
      for (auto& disk : d.disks) storages.push_back(disk.get());
      storages[0] = &faulty;
      d.Join(storages);
      if (!d.rig.Open()) {  // two of two are needed for that where one write is enough later
        ASSERT_LT(quorum_left(n), seam::Quorum({n, w}).open()) << when << Show(d.rig.findings);
        d.Join();
        ASSERT_TRUE(d.rig.Open()) << when << Show(d.rig.findings);
        continue;
      }
      ASSERT_TRUE(d.rig.CreateTable("t")) << when;
      d.Fill(4, "a");
      ASSERT_TRUE(d.rig.Save()) << when;
      d.Fill(4, "b");
      ASSERT_TRUE(d.rig.Save()) << when;
      d.Fill(2, "c");
      d.rig.Kill();
      if (!faulty.crashed()) faulty.CrashNow();
      d.Join();
      Status again = d.rig.Open();
      ASSERT_TRUE(again) << when << ": " << CodeName(again.code()) << Show(d.rig.findings);
      d.rig.ExpectRows(when);
      for (const Finding& f : d.rig.s->findings) EXPECT_FALSE(f.bad()) << when << ": " << f.Line();
      d.ExpectAllCurrent(when);
      ASSERT_TRUE(d.rig.Close()) << when;
      d.Join();
      d.rig.ExpectClean(when);
    }
  }
}

}  // namespace
}  // namespace holdfast::store
