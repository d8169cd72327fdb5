#include "core/runtime/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <thread>

#include "core/runtime/core.h"
#include "core/tree/proof.h"
#include "host/kv/memory.h"
#include "seam/metrics.h"

namespace holdfast::runtime {
namespace {

constexpr std::string_view kPassphrase = "correct horse";

struct Rig {
  Rig() {
    store::InitOptions init;
    init.argon = {8, 1};
    auto made = store::InitStore(disk, random.NewId<StoreId>(), AsBytes(kPassphrase), init, random);
    EXPECT_TRUE(made.has_value());
  }
  ~Rig() { (void)Stop(); }
  void Open(kernel::Options kernel = {}, size_t cache_bytes = 8u << 20) {
    auto opened = store::OpenStore(disk, &anchor, AsBytes(kPassphrase), {}, random, nullptr);
    ASSERT_TRUE(opened.has_value()) << CodeName(opened.code());
    engine = std::make_unique<Engine>(disk, &anchor, std::move(opened).value(),
                                      EngineOptions{kernel, cache_bytes, 0}, random,
                                      [](Code, uint64_t, uint64_t) {});
    engine->Start();
  }
  Status Stop() {
    if (engine == nullptr) return Ok();
    Status s = engine->Stop();
    engine.reset();
    return s;
  }
  session::WriteReply Wait(const std::function<void(session::WriteDone)>& call) {
    std::promise<session::WriteReply> p;
    call([&](const session::WriteReply& r) { p.set_value(r); });
    return p.get_future().get();
  }
  TableId Create(const std::string& name) {
    tree::Descriptor d;
    d.name = name;
    EXPECT_TRUE(
        Wait([&](session::WriteDone done) { engine->CreateTable(d, std::move(done)); }).status.has_value());
    return engine->FindTable(name).value();
  }
  static kernel::Batch PutOf(const TableId& t, std::string_view k, std::string_view v) {
    kernel::Batch b;
    b.operations.push_back({kernel::OperationKind::kPut, t, ToBytes(k), ToBytes(v), {}});
    return b;
  }
  session::WriteReply Put(const TableId& t, std::string_view k, std::string_view v,
                          kernel::Wait wait = kernel::Wait::kDurable) {
    return Wait([&](session::WriteDone done) { engine->Write(PutOf(t, k, v), wait, std::move(done)); });
  }
  std::optional<std::string> Get(const TableId& t, std::string_view k, LogIndex at_least = {}) {
    auto v = engine->Get(t, AsBytes(k), at_least, 5000);
    EXPECT_TRUE(v.has_value()) << (v ? "" : CodeName(v.code()));
    if (!v || !*v) return std::nullopt;
    return ToText(**v);
  }

  host::MemoryStorage disk, anchor;
  crypto::Random& random = SystemRandom();
  std::unique_ptr<Engine> engine;
};

TEST(Engine, KeepsWhatItAcknowledgedOverStopAndStart) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t");
  session::WriteReply r = rig.Put(t, "k", "v");
  ASSERT_TRUE(r.status.has_value());
  EXPECT_EQ(r.reached, kernel::Wait::kDurable);
  EXPECT_EQ(rig.Get(t, "k"), "v");
  ASSERT_TRUE(rig.Stop().has_value());
  rig.Open();
  EXPECT_EQ(rig.Get(rig.engine->FindTable("t").value(), "k"), "v");
  EXPECT_EQ(rig.Get(t, "absent"), std::nullopt);
}

// Some write on their own threads, some leave it to the engine's; saves come in between.
TEST(Engine, AnswersInTheOrderOfTheLogWhoeverWritesAndApplies) {
  Rig rig;
  kernel::Options kernel;
  kernel.dirty_bytes_save = 128u << 10;
  rig.Open(kernel, 256u << 10);
  TableId t = rig.Create("t");
  constexpr int kThreads = 8, kRows = 300;
  std::atomic<int> wrong{0};
  std::atomic<uint64_t> answered{0};
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&, n] {
      for (int i = 0; i < kRows; ++i) {
        std::optional<Engine::Waiting> waiting;
        if (n % 2 == 0) waiting.emplace();
        std::string key = std::to_string(n) + "/" + std::to_string(i);
        session::WriteReply r = rig.Wait([&](session::WriteDone done) {
          rig.engine->Write(rig.PutOf(t, key, std::string(200, 'v')), kernel::Wait::kDurable,
                            [&wrong, &answered, done = std::move(done)](const session::WriteReply& reply) {
                              if (answered.exchange(reply.index.value) >= reply.index.value) ++wrong;
                              done(reply);
                            });
        });
        if (!r.status || !rig.Get(t, key, r.index)) ++wrong;
      }
    });
  }
  for (auto& th : threads) th.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(rig.Stop().has_value());
}

TEST(Engine, AWriterThatWaitsWritesAndIsAnsweredOnItsOwnThread) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t");
  int here = 0, all = 0;
  for (; all < 50; ++all) {
    Engine::Waiting waiting;
    std::thread::id by;
    session::WriteReply r = rig.Wait([&](session::WriteDone done) {
      rig.engine->Write(rig.PutOf(t, std::to_string(all), "v"), kernel::Wait::kDurable,
                        [&by, done = std::move(done)](const session::WriteReply& reply) {
                          by = std::this_thread::get_id();
                          done(reply);
                        });
    });
    ASSERT_TRUE(r.status.has_value());
    if (by == std::this_thread::get_id()) ++here;
  }
  // Now and then a thread of the engine is still at what came before.
  EXPECT_GT(here, all / 2);
}

TEST(RuleD4, SaveStateReturnsWhenASavePointAtOrAboveIsInASlot) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t");
  for (int i = 0; i < 50; ++i) rig.Put(t, "k" + std::to_string(i), std::string(500, 'x'));
  uint64_t before = rig.engine->Status_().committed.value;
  session::WriteReply r = rig.Wait([&](session::WriteDone done) { rig.engine->SaveState(std::move(done)); });
  ASSERT_TRUE(r.status.has_value());
  EXPECT_GT(r.index.value, before);
  EXPECT_GE(rig.engine->Status_().saved.value, r.index.value);
  EXPECT_EQ(rig.engine->Status_().dirty_bytes, 0u);
  EXPECT_EQ(rig.Get(t, "k7"), std::string(500, 'x'));
}

TEST(Engine, ServesManyWritersWhileItSaves) {
  Rig rig;
  kernel::Options kernel;
  kernel.dirty_bytes_save = 256u << 10;  // a save every few hundred rows
  rig.Open(kernel, 256u << 10);
  TableId t = rig.Create("t");
  constexpr int kThreads = 4, kRows = 600;
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&, n] {
      for (int i = 0; i < kRows; ++i) {
        std::string key = std::to_string(n) + "/" + std::to_string(i % 200);
        std::string value = std::to_string(i) + std::string(300, 'v');
        session::WriteReply r = rig.Put(t, key, value);
        if (!r.status || rig.Get(t, key, r.index) != value) ++failed;
      }
    });
  }
  for (auto& th : threads) th.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(rig.engine->Status_().kernel.saves, 1u);
  auto snapshot = rig.engine->TakeSnapshot({}, 1000);
  ASSERT_TRUE(snapshot.has_value());
  auto rows = (*snapshot)->Scan(t, {}, {}, false, 10'000, 100u << 20);
  ASSERT_TRUE(rows.has_value());
  EXPECT_EQ(rows->size(), 800u);
  auto back = (*snapshot)->Scan(t, {}, {}, true, 10, 100u << 20);
  EXPECT_EQ(back->front().key, rows->back().key);
  std::vector<std::string> lines;
  Status verified = rig.engine->Verify({.require_fresh = true, .anchor = std::nullopt},
                                       [&](const std::string& l) { lines.push_back(l); });
  EXPECT_TRUE(verified.has_value()) << (lines.empty() ? "" : lines.front());
}

TEST(Engine, ASnapshotKeepsItsViewUnderWritesAndSaves) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t");
  for (int i = 0; i < 100; ++i) rig.Put(t, "k" + std::to_string(i), std::string(1000, 'a'));
  auto snapshot = rig.engine->TakeSnapshot({}, 1000);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) rig.Put(t, "k" + std::to_string(i), std::string(1000, 'b'));
    rig.Wait([&](session::WriteDone done) { rig.engine->SaveState(std::move(done)); });
  }
  auto rows = (*snapshot)->Scan(t, {}, {}, false, 1000, 100u << 20);
  ASSERT_TRUE(rows.has_value()) << CodeName(rows.code());
  ASSERT_EQ(rows->size(), 100u);
  for (const session::Row& r : *rows) EXPECT_EQ(r.value, Bytes(1000, 'a'));
}

TEST(Engine, EndsTheOldestSnapshotsWhenTheyAloneKeepTooMuch) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t");
  std::vector<std::unique_ptr<session::Snapshot>> snapshots;
  std::string value(8u << 20, 'x');
  const size_t rounds = limits::kPinnedOverlayBytesMax / (4 * value.size()) + 3;
  for (size_t round = 0; round < rounds; ++round) {  // 32 MiB that only this snapshot will still show
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(rig.Put(t, "k" + std::to_string(i), value).status.has_value());
    snapshots.push_back(std::move(rig.engine->TakeSnapshot({}, 1000)).value());
    rig.Wait([&](session::WriteDone done) { rig.engine->SaveState(std::move(done)); });
  }
  EXPECT_EQ(snapshots.front()->Get(t, AsBytes("k0")).code(), Code::kSnapshotTooOld);
  EXPECT_TRUE(snapshots.back()->Get(t, AsBytes("k0")).has_value());
}

TEST(Engine, AProofIsOfASaveThatHasTheWrite) {
  Rig rig;
  rig.Open();
  tree::Descriptor d;
  d.name = "p";
  d.layout = tree::Layout::kPatricia;
  d.inner_children_max = tree::kPatriciaChildrenMax;
  ASSERT_TRUE(rig.Wait([&](session::WriteDone done) { rig.engine->CreateTable(d, std::move(done)); })
                  .status.has_value());
  TableId p = rig.engine->FindTable("p").value(), plain = rig.Create("plain");
  auto prove = [&](std::string_view key) {
    auto file = rig.engine->Prove(p, AsBytes(key), {}, 5000);
    EXPECT_TRUE(file.has_value()) << CodeName(file.code());
    tree::Proof proof = tree::Proof::Decode(file.value()).value();
    EXPECT_TRUE(proof.Check().has_value());
    for (const session::TableInfo& t : rig.engine->ListTables()) {
      if (t.id == p) {
        EXPECT_EQ(t.public_root, proof.root);
        EXPECT_EQ(t.saved, proof.index);
      }
    }
    return proof;
  };
  auto value = [](const tree::Proof& proof) {
    const auto* row = std::get_if<tree::Proof::Included>(&proof.end);
    return row == nullptr ? std::string("absent") : ToText(row->value);
  };
  EXPECT_EQ(value(prove("k")), "absent");  // the table itself is newer than the last save
  for (int i = 0; i < 100; ++i) rig.Put(p, "k" + std::to_string(i), "v" + std::to_string(i));
  EXPECT_EQ(value(prove("k50")), "v50");
  SaveNumber save = rig.engine->Status_().save;
  EXPECT_EQ(value(prove("k51")), "v51");
  EXPECT_EQ(value(prove("nothing")), "absent");
  EXPECT_EQ(rig.engine->Status_().save, save) << "nothing was written since";
  session::WriteReply written = rig.Put(p, "k50", "w");
  tree::Proof proof = prove("k50");
  EXPECT_EQ(value(proof), "w");
  EXPECT_GE(proof.index, written.index);
  EXPECT_EQ(rig.engine->Prove(plain, AsBytes("k"), {}, 5000).code(), Code::kNoProof);
  EXPECT_EQ(rig.engine->Prove(p, AsBytes("k"), LogIndex(1u << 30), 1).code(), Code::kDeadline);
  rig.Wait([&](session::WriteDone done) { rig.engine->DropTable("p", std::move(done)); });
  EXPECT_EQ(rig.engine->Prove(p, AsBytes("k50"), {}, 5000).code(), Code::kNoTable);
}

uint64_t Value(seam::Metric m) { return seam::Metrics().Get(m); }

TEST(Engine, CountsWhatItDoesAndTheTimeInsideTheSectionsThatRunOneAtATime) {
  using seam::Metric;
  constexpr Metric kBusy[] = {Metric::kOrderBusy, Metric::kApplyBusy, Metric::kSealBusy};
  uint64_t before[seam::kMetrics];
  for (size_t i = 0; i < seam::kMetrics; ++i) before[i] = Value(static_cast<Metric>(i));
  auto grown = [&](Metric m) { return Value(m) - before[static_cast<size_t>(m)]; };
  Rig rig;
  rig.Open();
  auto since = std::chrono::steady_clock::now();
  TableId t = rig.Create("t");
  for (int i = 0; i < 50; ++i) rig.Put(t, "k" + std::to_string(i), std::string(500, 'x'));
  rig.Wait([&](session::WriteDone done) { rig.engine->SaveState(std::move(done)); });
  ASSERT_TRUE(rig.Stop().has_value());
  auto passed = std::chrono::steady_clock::now() - since;
  EXPECT_GE(grown(Metric::kOrderSteps), 51u * 3) << "submitted, stable, applied";
  EXPECT_EQ(grown(Metric::kSaves), 1u);
  EXPECT_GE(grown(Metric::kWaves), 52u) << "one writer that waits: a frame each";
  for (Metric m : kBusy) {
    EXPECT_GT(grown(m), 0u) << seam::InfoOf(m).label;
    EXPECT_LT(grown(m), static_cast<uint64_t>(passed.count())) << seam::InfoOf(m).label;
  }
}

TEST(Engine, ASampleBringsGaugesLimitsAndProcessorTimesUpToDate) {
  using seam::Metric;
  Rig rig;
  kernel::Options kernel;
  kernel.pending_commands_max = 77;
  rig.Open(kernel);
  rig.engine->set_connections([] { return uint64_t{5}; });
  TableId t = rig.Create("t");
  for (int i = 0; i < 50; ++i) rig.Put(t, "k" + std::to_string(i), std::string(500, 'x'));
  EXPECT_TRUE(rig.Get(t, "k1"));
  rig.Wait([&](session::WriteDone done) { rig.engine->SaveState(std::move(done)); });
  rig.Put(t, "more", "x");
  rig.engine->SampleMetrics();
  session::StoreStatus s = rig.engine->Status_();
  EXPECT_EQ(Value(Metric::kAppliedIndex), s.applied.value);
  EXPECT_EQ(Value(Metric::kSavedIndex), s.saved.value);
  EXPECT_EQ(Value(Metric::kDirtyBytes), s.dirty_bytes);
  EXPECT_GT(Value(Metric::kDirtyBytes), 0u);
  EXPECT_EQ(Value(Metric::kPendingCommands), 0u);
  EXPECT_EQ(Value(Metric::kPendingCommandsMax), 77u);
  EXPECT_EQ(Value(Metric::kConnections), 5u);
  EXPECT_EQ(Value(Metric::kConnectionsMax), limits::kConnectionsMax);
  EXPECT_EQ(Value(Metric::kPeerBytesQueuedMax), limits::kPeerBytesQueuedMax);
  EXPECT_EQ(Value(Metric::kIsolation), seam::IsolationTable().size()) << "nobody has told of any";
  for (Metric m :
       {Metric::kCpuOrder, Metric::kCpuJournal, Metric::kCpuApply, Metric::kCpuSave, Metric::kCpuRpc})
    EXPECT_GT(Value(m), 0u) << seam::InfoOf(m).label;
  rig.engine->set_isolation(seam::Bit(seam::Isolation::kFilter) | seam::Bit(seam::Isolation::kNoDumps));
  EXPECT_EQ(rig.engine->Status_().isolation,
            seam::Bit(seam::Isolation::kFilter) | seam::Bit(seam::Isolation::kNoDumps));
  rig.engine->SampleMetrics();
  EXPECT_EQ(Value(Metric::kIsolation), seam::IsolationTable().size() - 2);
}

TEST(Engine, CommandsThatAreRefusedAtTheLimitAreCounted) {
  Rig rig;
  kernel::Options kernel;
  kernel.pending_bytes_max = 4096;
  rig.Open(kernel);
  TableId t = rig.Create("t");
  uint64_t refused = Value(seam::Metric::kRefusedCommands);
  EXPECT_EQ(rig.Put(t, "k", std::string(8192, 'x')).status.code(), Code::kOverloaded);
  EXPECT_EQ(Value(seam::Metric::kRefusedCommands), refused + 1);
  EXPECT_TRUE(rig.Put(t, "k", "small").status.has_value());
  EXPECT_EQ(Value(seam::Metric::kRefusedCommands), refused + 1);
}

// A5: the core draws its randomness itself. Two cores over copies of one disk, told the same by their hosts,
// use different keys for everything they write.
TEST(RuleA5, TwoCoresThatHearTheSameFromTheirHostsDrawDifferentSalts) {
  Rig first, second;
  std::vector<seam::ObjectInfo> theirs = seam::ListAll(second.disk, "").value();
  std::vector<seam::ObjectInfo> ours = seam::ListAll(first.disk, "").value();
  for (const seam::ObjectInfo& o : theirs) ASSERT_TRUE(second.disk.Delete(o.name));
  for (const seam::ObjectInfo& o : ours) {
    auto bytes = first.disk.Get(o.name);
    ASSERT_TRUE(second.disk.Put(o.name, bytes->parse()));
  }
  std::map<std::string, Bytes> journal[2];
  int n = 0;
  for (Rig* rig : {&first, &second}) {
    rig->Open();
    ASSERT_TRUE(rig->Stop().has_value());
    std::vector<seam::ObjectInfo> frames = seam::ListAll(rig->disk, "members/").value();
    for (const seam::ObjectInfo& o : frames) {
      auto head = rig->disk.GetRange(o.name, 0, 512);
      journal[n][o.name] = ToBytes(head->parse());
    }
    ++n;
  }
  ASSERT_FALSE(journal[0].empty());
  for (const auto& [name, frame] : journal[0]) {
    ASSERT_TRUE(journal[1].contains(name)) << name;  // the same opening, frame by frame
    ByteView a = ByteView(frame).subspan(48, 32),
             b = ByteView(journal[1][name]).subspan(48, 32);  // docs/format.md 6, 2
    EXPECT_FALSE(Equal(a, b)) << "one salt twice";
  }
}

TEST(RuleH3, AWatchSendsChangesInOrderAndAMark) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t"), other = rig.Create("other");
  std::atomic<int> woken{0};
  auto watch = rig.engine->StartWatch(t, ToBytes("a"), {}, [&] { ++woken; });
  ASSERT_TRUE(watch.has_value());
  rig.Put(t, "a1", "1");
  rig.Put(other, "a1", "x");
  rig.Put(t, "b1", "2");
  LogIndex last = rig.Put(t, "a2", "3").index;
  EXPECT_GT(woken, 0);
  auto events = (*watch)->Take(100);
  ASSERT_TRUE(events.has_value());
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ((*events)[0].key, ToBytes("a1"));
  EXPECT_EQ((*events)[1].key, ToBytes("a2"));
  EXPECT_TRUE((*events)[2].mark);
  EXPECT_GE((*events)[2].index, last);
  EXPECT_EQ(rig.engine->StartWatch(t, {}, LogIndex(1), [] {}).code(), Code::kSnapshotTooOld);
}

TEST(RuleH4, ARepeatedCommandOfASessionAnswersWhatItAnsweredBefore) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t");
  uint64_t session =
      rig.Wait([&](session::WriteDone done) { rig.engine->OpenSession("AB", std::move(done)); }).index.value;
  auto once = Rig::PutOf(t, "n", "1");
  once.session = session;
  once.sequence = 1;
  once.compares.push_back({kernel::CompareKind::kAbsent, t, ToBytes("n"), {}});
  for (int i = 0; i < 2; ++i) {  // the second time the key is there, and the stored answer counts
    auto r = rig.Wait(
        [&](session::WriteDone done) { rig.engine->Write(once, kernel::Wait::kDurable, std::move(done)); });
    EXPECT_TRUE(r.status.has_value()) << i;
  }
  rig.Wait([&](session::WriteDone done) { rig.engine->SaveState(std::move(done)); });
  ASSERT_TRUE(rig.Stop().has_value());
  rig.Open();
  auto again = rig.Wait(
      [&](session::WriteDone done) { rig.engine->Write(once, kernel::Wait::kDurable, std::move(done)); });
  EXPECT_TRUE(again.status.has_value());
  once.session = 999'999;
  auto unknown = rig.Wait(
      [&](session::WriteDone done) { rig.engine->Write(once, kernel::Wait::kDurable, std::move(done)); });
  EXPECT_EQ(unknown.status.code(), Code::kSessionTooOld);
}

TEST(RuleH1, ComparesNeedDurableAndAreEvaluatedAtApply) {
  Rig rig;
  rig.Open();
  TableId t = rig.Create("t");
  auto cas = Rig::PutOf(t, "k", "new");
  cas.compares.push_back({kernel::CompareKind::kPresent, t, ToBytes("k"), {}});
  auto none = rig.Wait(
      [&](session::WriteDone done) { rig.engine->Write(cas, kernel::Wait::kNone, std::move(done)); });
  EXPECT_EQ(none.status.code(), Code::kCompareNeedsDurable);
  auto refused = rig.Wait(
      [&](session::WriteDone done) { rig.engine->Write(cas, kernel::Wait::kDurable, std::move(done)); });
  EXPECT_EQ(refused.status.code(), Code::kConflict);
  EXPECT_EQ(rig.Get(t, "k"), std::nullopt);
  rig.Put(t, "k", "old", kernel::Wait::kNone);
  auto done =
      rig.Wait([&](session::WriteDone d) { rig.engine->Write(cas, kernel::Wait::kDurable, std::move(d)); });
  EXPECT_TRUE(done.status.has_value());
  EXPECT_EQ(rig.Get(t, "k"), "new");
}

seal::UnlockerChange Replace(std::string_view passphrase) {
  return {seal::UnlockerChange::Kind::kReplace, SecretBytes(AsBytes(passphrase)), 0};
}

TEST(Engine, ChangesThePassphraseOfAServedStore) {
  Rig rig;
  rig.Open();
  auto wrong = rig.engine->ChangeUnlockers(SecretBytes(AsBytes("wrong")), Replace("x"));
  EXPECT_EQ(wrong.code(), Code::kWrongPassphrase);
  ASSERT_TRUE(rig.engine->ChangeUnlockers(SecretBytes(AsBytes(kPassphrase)), Replace("new one")).has_value());
  EXPECT_EQ(rig.engine->ListUnlockers().value().size(), 1u);
  ASSERT_TRUE(rig.Stop().has_value());
  EXPECT_EQ(store::OpenStore(rig.disk, &rig.anchor, AsBytes(kPassphrase), {}, rig.random, nullptr).code(),
            Code::kWrongPassphrase);
  EXPECT_TRUE(
      store::OpenStore(rig.disk, &rig.anchor, AsBytes("new one"), {}, rig.random, nullptr).has_value());
}

TEST(Engine, RefusesTableNamesThatAreNotUtf8OrTooLong) {
  Rig rig;
  rig.Open();
  for (std::string name :
       {std::string(), std::string(129, 'a'), std::string("\xC0\x80"), std::string("a\xE2\x82")}) {
    tree::Descriptor d;
    d.name = name;
    auto r = rig.Wait([&](session::WriteDone done) { rig.engine->CreateTable(d, std::move(done)); });
    EXPECT_EQ(r.status.code(), Code::kTableName) << name;
  }
  rig.Create("größe");
  tree::Descriptor d;
  d.name = "größe";
  EXPECT_EQ(
      rig.Wait([&](session::WriteDone done) { rig.engine->CreateTable(d, std::move(done)); }).status.code(),
      Code::kTableExists);
}

TEST(Engine, ARowThatIsNotOfItsTablesTypesIsRefusedBeforeItReachesTheLog) {
  Rig rig;
  rig.Open();
  tree::Descriptor d;
  d.name = "typed";
  d.key_type = tree::Type::kUint64;
  d.value_type = tree::Type::kJson;
  ASSERT_TRUE(rig.Wait([&](session::WriteDone done) { rig.engine->CreateTable(d, std::move(done)); }).status);
  TableId plain = rig.Create("plain");
  for (bool again : {false, true}) {
    TableId typed = rig.engine->FindTable("typed").value();
    const std::string key = ToText(tree::FromUint64(7));
    LogIndex before = rig.engine->AppliedIndex();
    EXPECT_EQ(rig.Put(typed, "7", "{}").status.code(), Code::kKeyType);
    EXPECT_EQ(rig.Put(typed, key, "{", kernel::Wait::kNone).status.code(), Code::kValueType);
    kernel::Batch mixed = Rig::PutOf(plain, "k", "v");
    mixed.operations.push_back(Rig::PutOf(typed, key, "nul").operations[0]);
    auto refused =
        rig.Wait([&](session::WriteDone done) { rig.engine->Write(mixed, kernel::Wait::kDurable, done); });
    EXPECT_EQ(refused.status.code(), Code::kValueType);
    EXPECT_EQ(rig.Get(plain, "k"), std::nullopt);
    session::WriteReply good = rig.Put(typed, key, "{}");
    ASSERT_TRUE(good.status);
    EXPECT_EQ(good.index, before.next()) << "nothing that was refused has a place";
    EXPECT_EQ(rig.Get(typed, key), "{}");
    EXPECT_EQ(rig.engine->Describe("typed", "").value().descriptor, d);
    EXPECT_EQ(rig.engine->Describe("type", "").code(), Code::kNoTable);
    EXPECT_EQ(rig.engine->Describe("typed@x", "").code(), Code::kNoTable);
    EXPECT_EQ(rig.engine->Describe("typed", "x").code(), Code::kNoTag);
    if (again) break;
    ASSERT_TRUE(rig.Stop());
    rig.Open();
  }
}

// Nodes leave the cache, and their places get new ones, while readers go by links.
TEST(Engine, ReadersFindEveryRowWhileNodesComeAndGo) {
  constexpr int kRows = 3000, kReaders = 3, kGets = 15'000, kRounds = 6;
  Rig rig;
  rig.Open({}, 300'000);
  TableId t = rig.Create("t");
  auto key = [](int n) { return "key" + std::to_string(n * 7919 % kRows); };
  auto write_all = [&](int round) {
    kernel::Batch b;
    for (int n = 0; n < kRows; ++n) {
      std::string value = key(n) + " in round " + std::to_string(round);
      b.operations.push_back({kernel::OperationKind::kPut, t, ToBytes(key(n)), ToBytes(value), {}});
    }
    auto done = rig.Wait(
        [&](session::WriteDone d) { rig.engine->Write(std::move(b), kernel::Wait::kDurable, std::move(d)); });
    EXPECT_TRUE(done.status.has_value());
    auto saved = rig.Wait([&](session::WriteDone d) { rig.engine->SaveState(std::move(d)); });
    EXPECT_TRUE(saved.status.has_value());
  };
  write_all(0);
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < kReaders; ++r) {
    readers.emplace_back([&, r] {
      crypto::SeededRandom random(static_cast<uint64_t>(r));
      for (int i = 0; i < kGets; ++i) {
        std::string k = key(static_cast<int>(random.Below(kRows)));
        auto v = rig.engine->Get(t, AsBytes(k), {}, 5000);
        if (!v || !*v || !AsText(**v).starts_with(k + " in round ")) ++wrong;
      }
    });
  }
  for (int round = 1; round <= kRounds; ++round) write_all(round);
  for (std::thread& r : readers) r.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(rig.engine->Status_().cache_bytes, 2 * 300'000u);
}

// Leaves that do not get in are read past the cache: the answers are those of the cache.
TEST(Engine, ACacheThatIsFarTooSmallGivesTheSameAnswers) {
  Rig rig;
  rig.Open({}, 160u << 10);
  TableId t = rig.Create("t");
  constexpr int kRows = 20'000;
  kernel::Batch batch;
  auto key = [](int i) { return std::to_string(1'000'000 + i * 2); };
  auto value = [](int i) { return std::string(static_cast<size_t>(i % 200), 'v') + std::to_string(i); };
  for (int i = 0; i < kRows; ++i) {
    batch.operations.push_back(std::move(Rig::PutOf(t, key(i), value(i)).operations[0]));
    if (batch.operations.size() < 5000) continue;
    auto written = rig.Wait([&](auto done) {
      rig.engine->Write(std::exchange(batch, {}), kernel::Wait::kDurable, std::move(done));
    });
    ASSERT_TRUE(written.status);
  }
  rig.Put(t, key(0) + "b", std::string(300, 'b'));  // a blob
  ASSERT_TRUE(rig.Wait([&](auto done) { rig.engine->SaveState(std::move(done)); }).status);
  for (int round = 0; round < 3; ++round) {
    for (int n = 0; n < 3000; ++n) {
      int i = n * 7919 % kRows;
      ASSERT_EQ(rig.Get(t, key(i)), value(i)) << i;
      ASSERT_EQ(rig.Get(t, key(i) + "a"), std::nullopt);
    }
    EXPECT_EQ(rig.Get(t, key(0) + "b"), std::string(300, 'b'));
    EXPECT_LT(rig.engine->Status_().cache_bytes, 640u << 10);
  }
  // What changes afterwards shows.
  ASSERT_TRUE(rig.Put(t, key(3), "new").status);
  ASSERT_TRUE(rig.Wait([&](auto done) { rig.engine->SaveState(std::move(done)); }).status);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(rig.Get(t, key(3)), "new");
}

}  // namespace
}  // namespace holdfast::runtime
