// Tags of a running engine: made, read, compared and dropped while clients go on.
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "host/kv/memory.h"

namespace holdfast::runtime {
namespace {

constexpr std::string_view kPassphrase = "correct horse";
using Done = session::WriteDone;

struct Rig {
  Rig() {
    store::InitOptions init;
    init.argon = {8, 1};
    auto made = store::InitStore(disk, random.NewId<StoreId>(), AsBytes(kPassphrase), init, random);
    EXPECT_TRUE(made.has_value());
    store::OpenOptions options;
    options.placement = {.segment_bytes = 64u << 10,
                         .garbage_slack_bytes = 256u << 10,
                         .segments_slack = 64,
                         .cleaned_bytes_max = 256u << 10};
    auto opened = store::OpenStore(disk, &anchor, AsBytes(kPassphrase), options, random, nullptr);
    EXPECT_TRUE(opened.has_value());
    engine =
        std::make_unique<Engine>(disk, &anchor, std::move(opened).value(), EngineOptions{{}, 8u << 20, 0},
                                 random, [](Code, uint64_t, uint64_t) {});
    engine->Start();
    tree::Descriptor d;
    d.name = "t";
    EXPECT_TRUE(Wait([&](Done done) { engine->CreateTable(d, std::move(done)); }).status.has_value());
    table = engine->FindTable("t").value();
  }
  ~Rig() { EXPECT_TRUE(engine->Stop().has_value()); }
  static session::WriteReply Wait(const std::function<void(Done)>& call) {
    std::promise<session::WriteReply> p;
    call([&](const session::WriteReply& r) { p.set_value(r); });
    return p.get_future().get();
  }
  Status PutAll(int from, int to, int step, std::string_view value) {
    kernel::Batch batch;
    for (int i = from; i < to; i += step)
      batch.operations.push_back({kernel::OperationKind::kPut, table, ToBytes(KeyOf(i)), ToBytes(value), {}});
    return Wait([&](Done done) { engine->Write(std::move(batch), kernel::Wait::kDurable, std::move(done)); })
        .status;
  }
  Code CreateTag(std::string_view name) {
    Status s = Wait([&](Done done) { engine->CreateTag(name, std::move(done)); }).status;
    return s ? Code{} : s.code();
  }
  Code DropTag(std::string_view name) {
    Status s = Wait([&](Done done) { engine->DropTag(name, std::move(done)); }).status;
    return s ? Code{} : s.code();
  }
  static std::string KeyOf(int i) { return "key " + std::to_string(100'000 + i); }

  host::MemoryStorage disk, anchor;
  crypto::Random& random = SystemRandom();
  std::unique_ptr<Engine> engine;
  TableId table;
};

TEST(EngineTags, ATagIsThereWhenItsCreatorHasHeardOfIt) {
  Rig rig;
  ASSERT_TRUE(rig.PutAll(0, 100, 1, "before"));
  ASSERT_EQ(rig.CreateTag("x"), Code{});
  ASSERT_TRUE(rig.PutAll(0, 100, 2, "after"));
  EXPECT_EQ(rig.CreateTag("x"), Code::kTagExists);
  EXPECT_EQ(rig.CreateTag("now"), Code::kTagName);
  EXPECT_EQ(rig.CreateTag("\xff"), Code::kTagName);
  EXPECT_EQ(rig.DropTag("y"), Code::kNoTag);
  auto snapshot = rig.engine->OpenTag("x");
  ASSERT_TRUE(snapshot);
  TableId t = (*snapshot)->FindTable("t").value();
  EXPECT_EQ((*snapshot)->FindTable("u").code(), Code::kNoTable);
  auto rows = (*snapshot)->Scan(t, {}, {}, false, 1000, 1u << 20);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 100u);
  for (const session::Row& row : *rows) EXPECT_EQ(ToText(row.value), "before");
  EXPECT_EQ(rig.engine->FindTable("t@x").code(), Code::kReadOnly);
  EXPECT_EQ(rig.engine->FindTable("u@x").code(), Code::kNoTable);
  EXPECT_EQ(rig.engine->FindTable("t@y").code(), Code::kNoTable);

  // Whoever has it open reads on when it is dropped, and when what it held is cleaned away for all others.
  ASSERT_EQ(rig.DropTag("x"), Code{});
  ASSERT_TRUE(rig.engine->Garbage(true));
  EXPECT_EQ(rig.engine->OpenTag("x").code(), Code::kNoTag);
  auto got = (*snapshot)->Get(t, AsBytes(Rig::KeyOf(0)));
  ASSERT_TRUE(got) << CodeName(got.code());
  EXPECT_EQ(ToText(got->value()), "before");
}

TEST(EngineTags, ADiffSaysWhatChangedAndEndsWhenItsReaderHasEnough) {
  Rig rig;
  ASSERT_TRUE(rig.PutAll(0, 1000, 1, "1"));
  ASSERT_EQ(rig.CreateTag("a"), Code{});
  ASSERT_TRUE(rig.PutAll(0, 1000, 100, "2"));
  ASSERT_EQ(rig.CreateTag("b"), Code{});
  int n = 0;
  ASSERT_TRUE(rig.engine->Diff("a", "b", "t", [&](store::DiffRow row) {
    EXPECT_EQ(ToText(row.key), Rig::KeyOf(n * 100));
    EXPECT_EQ(ToText(*row.before), "1");
    EXPECT_EQ(ToText(*row.after), "2");
    return ++n > 0;
  }));
  EXPECT_EQ(n, 10);
  ASSERT_TRUE(rig.engine->Diff("b", "a", "", [&](store::DiffRow) { return --n > 5; }));
  EXPECT_EQ(n, 5);
}

// Collecting runs on the saver's thread; a client that writes meanwhile is answered as ever. The longest wait
// is recorded: it is the commit's, not the collection's.
TEST(EngineTags, CollectionGoesOnBesideTheWaves) {
  Rig rig;
  for (int i = 0; i < 20'000; i += 5000) ASSERT_TRUE(rig.PutAll(i, i + 5000, 1, std::string(100, 'x')));
  for (int t = 0; t < 10; ++t) {
    ASSERT_EQ(rig.CreateTag("tag " + std::to_string(t)), Code{});
    ASSERT_TRUE(rig.PutAll(t, 20'000, 11, std::string(100, static_cast<char>('a' + t))));
  }
  std::atomic<bool> collecting{true};
  uint64_t longest_us = 0, writes = 0;
  std::thread writer([&] {
    while (collecting) {
      auto begin = std::chrono::steady_clock::now();
      EXPECT_TRUE(rig.PutAll(0, 1, 1, "w"));
      auto us =
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
      longest_us = std::max(longest_us, static_cast<uint64_t>(us.count()));
      ++writes;
    }
  });
  for (int t : {3, 9, 0, 5, 1, 7, 2, 8, 6, 4}) EXPECT_EQ(rig.DropTag("tag " + std::to_string(t)), Code{});
  auto report = rig.engine->Garbage(true);
  collecting = false;
  writer.join();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->tagged_bytes, 0u);
  EXPECT_EQ(report->cleanings_owed, 0u);
  EXPECT_LE(report->garbage_bytes, report->live_bytes / 10);
  EXPECT_GT(writes, 20u) << "writes went on";
  RecordProperty("writes", static_cast<int>(writes));
  RecordProperty("longest_us", static_cast<int>(longest_us));
  std::vector<std::string> lines;
  EXPECT_TRUE(rig.engine->Verify({}, [&](const std::string& line) { lines.push_back(line); }));
}

}  // namespace
}  // namespace holdfast::runtime
