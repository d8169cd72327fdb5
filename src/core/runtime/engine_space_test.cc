// A served store on a provider that fills up: what was put aside lets its users delete their way out.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>
#include <thread>

#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "host/kv/memory.h"
#include "host/kv/quota.h"

namespace holdfast::runtime {
namespace {

constexpr std::string_view kPassphrase = "correct horse";
constexpr uint64_t kDiskBytes = 24u << 20, kReserve = 6u << 20;
constexpr auto kDeadline = std::chrono::seconds(60);

struct Rig {
  host::MemoryStorage memory, anchor;
  host::QuotaStorage disk{memory, kDiskBytes};
  crypto::Random& random = SystemRandom();
  std::unique_ptr<Engine> engine;
  TableId table;
  std::map<std::string, std::string> rows;  // acknowledged

  Rig() {
    store::InitOptions init;
    init.argon = {8, 1};
    EXPECT_TRUE(store::InitStore(disk, random.NewId<StoreId>(), AsBytes(kPassphrase), init, random));
  }
  ~Rig() {
    if (engine != nullptr) (void)engine->Stop();
  }
  void Open(uint64_t reserve_bytes = kReserve) {
    store::OpenOptions open{.journal_file_bytes = 512u << 10};
    open.reserve_bytes = reserve_bytes;
    open.placement.segment_bytes = 256u << 10;
    open.placement.garbage_slack_bytes = 256u << 10;
    auto opened = store::OpenStore(disk, &anchor, AsBytes(kPassphrase), open, random, nullptr);
    ASSERT_TRUE(opened) << CodeName(opened.code());
    kernel::Options kernel;
    kernel.dirty_bytes_save = 1u << 20;
    kernel.full_retry_ms = 50;
    engine =
        std::make_unique<Engine>(disk, &anchor, std::move(opened).value(), EngineOptions{kernel, 8u << 20, 1},
                                 random, [](Code, uint64_t, uint64_t) {});
    engine->Start();
  }
  Status Stop() {
    Status done = engine->Stop();
    engine.reset();
    return done;
  }
  session::WriteReply Wait(const std::function<void(session::WriteDone)>& call) {
    std::promise<session::WriteReply> p;
    call([&](const session::WriteReply& r) { p.set_value(r); });
    return p.get_future().get();
  }
  void Create() {
    tree::Descriptor d;
    d.name = "t";
    EXPECT_TRUE(Wait([&](session::WriteDone done) { engine->CreateTable(d, std::move(done)); }).status);
    table = engine->FindTable("t").value();
  }
  Status Write(kernel::Operation o) {
    kernel::Batch batch;
    batch.operations.push_back(std::move(o));
    return Wait([&](session::WriteDone done) {
             engine->Write(batch, kernel::Wait::kDurable, std::move(done));
           })
        .status;
  }
  Status Put(const std::string& key) {
    std::string value(20'000, key.back());
    Status done = Write({kernel::OperationKind::kPut, table, ToBytes(key), ToBytes(value), {}});
    if (done) rows[key] = value;
    return done;
  }
  Status Delete(const std::string& key) {
    Status done = Write({kernel::OperationKind::kDelete, table, ToBytes(key), {}, {}});
    if (done) rows.erase(key);
    return done;
  }
  void ExpectRows() {
    for (const auto& [key, value] : rows) {
      auto got = engine->Get(table, AsBytes(key), {}, 5000);
      ASSERT_TRUE(got) << key << CodeName(got.code());
      ASSERT_TRUE(got->has_value()) << "lost " << key;
      EXPECT_TRUE(AsText(**got) == value) << key;
    }
  }
  void Verify() {
    auto report = store::VerifyStore(disk, AsBytes(kPassphrase), {});
    ASSERT_TRUE(report);
    for (const store::Finding& f : report->findings) EXPECT_FALSE(f.bad()) << f.Line();
    EXPECT_FALSE(report->verdict);
  }
  // Until its clients are told that there is no space.
  void Fill() {
    Status done;
    for (int i = 0; done && i < 100'000; ++i) {
      char key[16];
      snprintf(key, sizeof key, "k%06d", i);
      done = Put(key);
    }
    ASSERT_EQ(done.code(), Code::kFull);
    EXPECT_TRUE(engine->Status_().full);
  }
  bool UntilNotFull() {
    auto end = std::chrono::steady_clock::now() + kDeadline;
    while (engine->Status_().full) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  }
};

TEST(RuleI1, AFullServedStoreTakesDeletesGivesSpaceBackAndGoesOn) {
  Rig rig;
  rig.Open();
  rig.Create();
  rig.Fill();
  ASSERT_GT(rig.rows.size(), 300u);
  rig.ExpectRows();
  EXPECT_EQ(rig.Put("more").code(), Code::kFull);
  size_t half = rig.rows.size() / 2;
  while (rig.rows.size() > half) ASSERT_TRUE(rig.Delete(rig.rows.begin()->first));
  ASSERT_TRUE(rig.UntilNotFull()) << rig.disk.used() << " bytes used";
  EXPECT_TRUE(rig.memory.GetRange(store::kReserveName, 0, 1)) << "it is put aside again";
  rig.ExpectRows();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(rig.Put("after" + std::to_string(i))) << i;
  EXPECT_TRUE(rig.Stop());
  rig.Verify();
  rig.Open();
  rig.ExpectRows();
}

TEST(RuleI1, RoomMadeOutsideTheStoreEndsItAsWell) {
  Rig rig;
  rig.Open();
  rig.Create();
  rig.Fill();
  rig.disk.set_bytes(2 * kDiskBytes);
  ASSERT_TRUE(rig.UntilNotFull());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(rig.Put("after" + std::to_string(i))) << i;
  rig.ExpectRows();
  EXPECT_TRUE(rig.Stop());
  rig.Verify();
}

TEST(RuleI1, AStoreThatIsStartedWithoutRoomForAReserveTakesDeletesAlone) {
  Rig rig;
  rig.Open();
  rig.Create();
  rig.Fill();
  Status stopped = rig.Stop();
  EXPECT_TRUE(stopped) << CodeName(stopped.code());
  ASSERT_TRUE(rig.disk.Delete(store::kReserveName));  // if there was one again
  rig.disk.set_bytes(rig.disk.used() + (5u << 20));   // for journal and saves, and not for a reserve
  rig.Open(10u << 20);
  EXPECT_TRUE(rig.engine->Status_().full);
  EXPECT_EQ(rig.Put("more").code(), Code::kFull);
  size_t third = rig.rows.size() / 3;
  while (rig.rows.size() > third) ASSERT_TRUE(rig.Delete(rig.rows.begin()->first));
  ASSERT_TRUE(rig.UntilNotFull()) << rig.disk.used() << " bytes used";
  EXPECT_TRUE(rig.Put("after"));
  rig.ExpectRows();
}

}  // namespace
}  // namespace holdfast::runtime
