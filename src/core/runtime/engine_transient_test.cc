// Transient tables in a running engine: what they do, and that nothing of them reaches storage.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "host/kv/memory.h"

namespace holdfast::runtime {
namespace {

class Transient : public ::testing::Test {
 protected:
  void SetUp() override {
    store::InitOptions init;
    init.argon = {8, 1};
    ASSERT_TRUE(store::InitStore(disk, random.NewId<StoreId>(), AsBytes("p"), init, random));
    Open();
    t = Create("t", true);
    plain = Create("plain", false);
  }
  void TearDown() override { Stop(); }
  void Open() {
    auto opened = store::OpenStore(disk, nullptr, AsBytes("p"), {}, random, nullptr);
    ASSERT_TRUE(opened.has_value()) << CodeName(opened.code());
    engine =
        std::make_unique<Engine>(disk, nullptr, std::move(opened).value(), EngineOptions{{}, 8u << 20, 1},
                                 random, [](Code, uint64_t, uint64_t) {});
    engine->Start();
  }
  void Stop() {
    if (engine == nullptr) return;
    EXPECT_TRUE(engine->Stop().has_value());
    engine.reset();
  }
  session::WriteReply Wait(const std::function<void(session::WriteDone)>& call) {
    std::promise<session::WriteReply> p;
    call([&](const session::WriteReply& r) { p.set_value(r); });
    return p.get_future().get();
  }
  TableId Create(const std::string& name, bool transient) {
    tree::Descriptor d;
    d.name = name;
    d.transient = transient;
    EXPECT_TRUE(Wait([&](session::WriteDone done) { engine->CreateTable(d, std::move(done)); }).status);
    return engine->FindTable(name).value();
  }
  session::WriteReply Write(std::vector<kernel::Operation> operations,
                            std::vector<kernel::Compare> compares = {}) {
    kernel::Batch batch;
    batch.operations = std::move(operations);
    batch.compares = std::move(compares);
    return Wait([&](session::WriteDone done) {
      engine->Write(std::move(batch), kernel::Wait::kDurable, std::move(done));
    });
  }
  static kernel::Operation Put(const TableId& table, std::string_view k, std::string_view v) {
    return {kernel::OperationKind::kPut, table, ToBytes(k), ToBytes(v), {}};
  }
  std::optional<std::string> Get(const TableId& table, std::string_view k, LogIndex at_least = {}) {
    auto got = engine->GetNow(table, AsBytes(k), at_least);
    EXPECT_TRUE(got && *got);
    return got && *got && **got ? std::optional<std::string>(ToText(***got)) : std::nullopt;
  }
  // Every byte below the store's root.
  std::string Stored() {
    std::string all;
    auto names = seam::ListAll(disk, "");
    EXPECT_TRUE(names.has_value());
    for (const auto& entry : *names) all += entry.name + " " + std::to_string(entry.size_bytes) + "\n";
    return all;
  }

  host::MemoryStorage disk;
  crypto::Random& random = SystemRandom();
  std::unique_ptr<Engine> engine;
  TableId t, plain;
};

TEST_F(Transient, RowsAreReadAtOnceAndGoneAfterARestartTheTableIsNot) {
  session::WriteReply r = Write({Put(t, "a", "1"), Put(t, "b", "2")});
  ASSERT_TRUE(r.status);
  EXPECT_EQ(r.reached, kernel::Wait::kNone) << "nothing durable was reached";
  EXPECT_EQ(Get(t, "a", r.index), "1");
  EXPECT_EQ(engine->Get(t, AsBytes("b"), r.index, 1000).value(), ToBytes("2"));
  EXPECT_EQ(engine->Describe("t", "")->rows, 2u);
  ASSERT_TRUE(Wait([&](session::WriteDone done) { engine->CreateTag("then", std::move(done)); }).status);
  EXPECT_TRUE(engine->OpenTag("then").value()->Scan(t, {}, {}, false, 10, 1000)->empty());
  Stop();
  Open();
  EXPECT_EQ(engine->FindTable("t").value(), t);
  EXPECT_EQ(Get(t, "a"), std::nullopt);
  EXPECT_EQ(engine->Describe("t", "")->rows, 0u);
  EXPECT_TRUE(engine->Describe("t", "")->descriptor.transient);
  EXPECT_TRUE(Write({Put(t, "a", "3")}).status);
  EXPECT_EQ(Get(t, "a"), "3");
}

TEST_F(Transient, NothingIsWrittenAnywhere) {
  ASSERT_TRUE(Write({Put(plain, "k", "v")}).status);
  const std::string before = Stored();
  const LogIndex applied = engine->AppliedIndex();
  for (int i = 0; i < 1'000; ++i)
    ASSERT_TRUE(Write({Put(t, std::to_string(i), std::string(1'000, 'x'))}).status);
  EXPECT_EQ(Stored(), before);
  EXPECT_EQ(engine->AppliedIndex(), applied);
  std::vector<std::string> lines;
  Status verified = engine->Verify({}, [&](const std::string& l) { lines.push_back(l); });
  EXPECT_TRUE(verified) << (lines.empty() ? "" : lines.front());
}

TEST_F(Transient, ABatchHasOneKindOfTablesAndComparesAreLookedAtInTheSameStep) {
  EXPECT_EQ(Write({Put(t, "a", "1"), Put(plain, "a", "1")}).status.code(), Code::kTransientMixed);
  EXPECT_EQ(
      Write({Put(plain, "a", "1")}, {{kernel::CompareKind::kAbsent, t, ToBytes("a"), {}}}).status.code(),
      Code::kTransientMixed);
  EXPECT_EQ(Get(t, "a"), std::nullopt);
  EXPECT_EQ(Get(plain, "a"), std::nullopt);
  constexpr int kThreads = 4, kEach = 200;
  std::vector<std::thread> threads;
  std::atomic<int> won{0};
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        session::WriteReply r = Write({Put(t, std::to_string(i), "mine")},
                                      {{kernel::CompareKind::kAbsent, t, ToBytes(std::to_string(i)), {}}});
        if (r.status) {
          ++won;
        } else {
          EXPECT_EQ(r.status.code(), Code::kConflict);
        }
      }
    });
  }
  for (std::thread& th : threads) th.join();
  EXPECT_EQ(won, kEach) << "each row was made once";
}

TEST_F(Transient, AreBoundedAndSayThatTheyAreFull) {
  const std::string large(1u << 20, 'x');
  int fit = 0;
  while (fit < 100 && Write({Put(t, std::to_string(fit), large)}).status) ++fit;
  EXPECT_EQ(fit, 15) << "16 MiB, and what a row costs beside its bytes";
  EXPECT_EQ(Write({Put(t, "more", large)}).status.code(), Code::kTransientFull);
  EXPECT_TRUE(Write({Put(plain, "k", "v")}).status) << "other tables do not care";
  ASSERT_TRUE(Wait([&](session::WriteDone done) { engine->DropTable("t", std::move(done)); }).status);
  EXPECT_EQ(Write({Put(t, "more", "1")}).status.code(), Code::kNoTable);
  TableId again = Create("t", true);
  EXPECT_TRUE(Write({Put(again, "more", large)}).status) << "dropping gave its memory back";
}

TEST_F(Transient, WatchersSeeChangesInOrderFromNowOn) {
  ASSERT_TRUE(Write({Put(t, "before", "1")}).status);
  EXPECT_EQ(engine->StartWatch(t, {}, LogIndex(1), [] {}).code(), Code::kSnapshotTooOld);
  auto watch = engine->StartWatch(t, {}, LogIndex(), [] {});
  ASSERT_TRUE(watch.has_value());
  ASSERT_TRUE(Write({Put(t, "a", "1"), Put(t, "b", "2")}).status);
  ASSERT_TRUE(Write({{kernel::OperationKind::kDeleteRange, t, {}, {}, ToBytes("b")}}).status);
  std::string seen;
  auto events = (*watch)->Take(100);
  ASSERT_TRUE(events.has_value());
  for (const session::WatchEvent& e : *events) {
    if (!e.mark) seen += ToText(e.key) + (e.value ? "=" + ToText(*e.value) : "-") + " ";
  }
  EXPECT_EQ(seen, "a=1 b=2 a- ");
  ASSERT_TRUE(Wait([&](session::WriteDone done) { engine->DropTable("t", std::move(done)); }).status);
  auto after = (*watch)->Take(100);
  if (after.has_value()) after = (*watch)->Take(100);  // the mark was still to come
  EXPECT_EQ(after.code(), Code::kNoTable);
}

TEST_F(Transient, PagesOfAScanShowTheRowsAsTheyAreThenInBothDirections) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Write({Put(t, std::to_string(i), "v")}).status);
  auto snapshot = engine->TakeSnapshot({}, 1000);
  ASSERT_TRUE(snapshot.has_value());
  auto first = (*snapshot)->Scan(t, {}, {}, false, 4, 1u << 20);
  ASSERT_EQ(first->size(), 4u);
  ASSERT_TRUE(Write({{kernel::OperationKind::kDelete, t, ToBytes("5"), {}, {}}}).status);
  auto rest = (*snapshot)->Scan(t, AsBytes("4"), {}, false, 100, 1u << 20);
  EXPECT_EQ(rest->size(), 5u);
  auto back = (*snapshot)->Scan(t, AsBytes("2"), AsBytes("8"), true, 3, 1u << 20);
  ASSERT_EQ(back->size(), 3u);
  EXPECT_EQ(ToText(back->at(0).key) + ToText(back->at(1).key) + ToText(back->at(2).key), "764");
}

}  // namespace
}  // namespace holdfast::runtime
