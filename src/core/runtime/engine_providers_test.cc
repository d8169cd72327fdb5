// The running store on three providers: one hangs, one lies, waves are on their way side by side.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "core/replica/replicated.h"
#include "core/runtime/core.h"
#include "core/runtime/engine.h"
#include "host/kv/memory.h"

namespace holdfast::runtime {
namespace {

constexpr std::string_view kPassphrase = "correct horse";

// Writes wait while it is shut; reads go on.
class Shutter : public host::MemoryStorage {
 public:
  std::promise<void> opened;
  std::atomic<bool> shut{false};
  std::atomic<int> appends{0};
  void Open() {
    if (shut.exchange(false)) opened.set_value();
  }
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override {
    ++appends;
    if (shut) future_.wait();
    return MemoryStorage::Append(name, offset, bytes);
  }
  Status PutIfAbsent(std::string_view name, ByteView bytes) override {
    if (shut) future_.wait();
    return MemoryStorage::PutIfAbsent(name, bytes);
  }

 private:
  std::shared_future<void> future_ = opened.get_future().share();
};

struct ThreeProviders {
  Shutter disks[3];
  host::MemoryStorage anchor;
  crypto::Random& random = SystemRandom();
  std::unique_ptr<replica::ReplicatedStorage> all;
  std::unique_ptr<Engine> engine;
  TableId table;

  std::unique_ptr<replica::ReplicatedStorage> Join() {
    return std::make_unique<replica::ReplicatedStorage>(
        std::vector<seam::Storage*>{&disks[0], &disks[1], &disks[2]}, seam::Quorum{3, 2});
  }
  ThreeProviders() {
    store::InitOptions init;
    init.argon = {8, 1};
    EXPECT_TRUE(store::InitStore(*Join(), random.NewId<StoreId>(), AsBytes(kPassphrase), init, random));
  }
  void Open() {
    all = Join();
    auto opened = store::OpenStore(*all, &anchor, AsBytes(kPassphrase), {}, random, nullptr);
    ASSERT_TRUE(opened) << CodeName(opened.code());
    engine =
        std::make_unique<Engine>(*all, &anchor, std::move(opened).value(), EngineOptions{{}, 8u << 20, 0},
                                 random, [](Code, uint64_t, uint64_t) {});
    engine->Start();
    if (auto found = engine->FindTable("t")) table = *found;
  }
  Status Stop() {
    Status s = engine->Stop();
    engine.reset();
    all->CatchUp(20'000);
    all.reset();
    return s;
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
    table = *engine->FindTable("t");
  }
  session::WriteReply Put(const std::string& k, const std::string& v) {
    kernel::Batch b;
    b.operations.push_back({kernel::OperationKind::kPut, table, ToBytes(k), ToBytes(v), {}});
    return Wait([&](session::WriteDone done) { engine->Write(b, kernel::Wait::kDurable, std::move(done)); });
  }
};

TEST(SeveralProviders, AHungOneHoldsUpNeitherWritesNorSavesNorReadsAndHasEverythingInTheEnd) {
  ThreeProviders d;
  d.Open();
  d.Create();
  d.disks[1].shut = true;
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(d.Put("k" + std::to_string(i), std::string(200, 'v')).status) << i;
  ASSERT_TRUE(d.Wait([&](session::WriteDone done) { d.engine->SaveState(std::move(done)); }).status);
  EXPECT_FALSE(d.engine->GetProviders(false)->states[1].current &&
               d.engine->GetProviders(false)->states[1].queued == 0);
  auto got = d.engine->Get(d.table, AsBytes("k77"), {}, 5000);
  ASSERT_TRUE(got && *got);
  d.disks[1].Open();
  ASSERT_TRUE(d.Stop());
  // It serves with one of the others now.
  d.all = std::make_unique<replica::ReplicatedStorage>(
      std::vector<seam::Storage*>{nullptr, &d.disks[1], &d.disks[2]}, seam::Quorum{3, 2});
  auto opened = store::OpenStore(*d.all, &d.anchor, AsBytes(kPassphrase), {}, d.random, nullptr);
  ASSERT_TRUE(opened) << CodeName(opened.code());
  for (const store::Finding& f : (*opened)->findings) EXPECT_FALSE(f.bad()) << f.Line();
}

TEST(SeveralProviders, ManyWritersAreAcknowledgedInOrderOverManyWaves) {
  ThreeProviders d;
  d.Open();
  d.Create();
  std::atomic<uint64_t> last{0}, out_of_order{0}, left{4000};
  std::promise<void> all_done;
  for (int i = 0; i < 4000; ++i) {
    kernel::Batch b;
    b.operations.push_back(
        {kernel::OperationKind::kPut, d.table, ToBytes(std::to_string(i)), Bytes(100, 1), {}});
    d.engine->Write(std::move(b), kernel::Wait::kDurable, [&](const session::WriteReply& r) {
      if (!r.status || r.index.value <= last.exchange(r.index.value)) ++out_of_order;
      if (--left == 0) all_done.set_value();
    });
  }
  all_done.get_future().wait();
  EXPECT_EQ(out_of_order, 0u);
  ASSERT_TRUE(d.Stop());
  d.Open();
  auto got = d.engine->Get(d.table, AsBytes("3999"), {}, 5000);
  EXPECT_TRUE(got && *got);
  ASSERT_TRUE(d.Stop());
}

TEST(SeveralProviders, RepairFindsALiarWhileTheStoreIsServed) {
  ThreeProviders d;
  d.Open();
  d.Create();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(d.Put("k" + std::to_string(i), std::string(300, 'v')).status);
  ASSERT_TRUE(d.Wait([&](session::WriteDone done) { d.engine->SaveState(std::move(done)); }).status);
  d.all->CatchUp(20'000);
  auto listed = seam::ListAll(d.disks[2], "segments/");
  ASSERT_TRUE(listed && !listed->empty());
  Bytes bytes = d.disks[2].Get(listed->back().name).value().take();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(d.disks[2].Put(listed->back().name, bytes));
  auto repaired = d.engine->GetProviders(true);
  ASSERT_TRUE(repaired);
  EXPECT_EQ(repaired->bad_objects, 1u);
  EXPECT_TRUE(repaired->states[2].current);
  EXPECT_EQ(repaired->states[2].bad_objects, 1u);
  EXPECT_EQ(d.engine->GetProviders(true)->bad_objects, 0u);
  ASSERT_TRUE(d.Stop());
}

}  // namespace
}  // namespace holdfast::runtime
