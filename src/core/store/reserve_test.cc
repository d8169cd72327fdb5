// Space put aside: when it is made, what it is given up for, and that a full store is left by deleting rows.
#include "core/store/reserve.h"

#include "core/store/layout.h"
#include "core/store/store_rig_internal.h"
#include "host/kv/quota.h"

namespace holdfast::store {
namespace {

constexpr uint64_t kDiskBytes = 4u << 20, kReserve = 1u << 20;

struct FullRig : Rig {
  host::QuotaStorage quota{own_disk, kDiskBytes};
  explicit FullRig(uint64_t reserve_bytes) {
    disk = &quota;
    options.reserve_bytes = reserve_bytes;
    options.placement = {.segment_bytes = 32u << 10, .garbage_slack_bytes = 32u << 10, .segments_slack = 32};
    EXPECT_TRUE(Init());
    EXPECT_TRUE(Open());
    EXPECT_TRUE(CreateTable("t"));
  }
  bool HasReserve() { return disk->GetRange(kReserveName, 0, 1).has_value(); }
  // Rows until there is no space, or the reserve was given up. How many.
  int Fill() {
    const bool had = HasReserve();
    crypto::SeededRandom data(9);
    for (int i = 0; i < 100'000; ++i) {
      char key[16];
      snprintf(key, sizeof key, "k%06d", i);
      Status done = PutRows("t", {{key, TestValue(data, 4000)}});
      if (done && i % 8 == 7) done = Save();
      EXPECT_TRUE(done || done.code() == Code::kFull) << CodeName(done.code());
      if (!done || (had && !HasReserve())) return i + 1;
    }
    ADD_FAILURE() << "it never fills";
    return 0;
  }
  Status DeleteBelow(int end) {
    char key[16];
    snprintf(key, sizeof key, "k%06d", end);
    kernel::Batch batch;
    batch.operations.push_back(DelRange(Table("t"), "", key));
    Status done = Append({EntryOf(batch)});
    if (outcomes.size() == 1 && outcomes[0].ok()) Tell(batch);  // also if a save that is owed had no space
    return done;
  }
};

TEST(RuleI1, AFullStoreIsLeftByDeletingRowsWithWhatWasPutAside) {
  FullRig rig(kReserve);
  ASSERT_TRUE(rig.HasReserve());
  rig.ExpectClean("with a reserve");
  int rows = rig.Fill();
  ASSERT_GT(rows, 300);
  ASSERT_FALSE(rig.HasReserve());
  EXPECT_GT(rig.quota.used(), kDiskBytes / 2);
  rig.ExpectRows("full");
  ASSERT_TRUE(rig.DeleteBelow(rows / 2));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.Save()) << i;
  EXPECT_LT(rig.quota.used(), kDiskBytes - kReserve);
  ASSERT_TRUE(MakeReserve(*rig.disk, kReserve)) << "there is room for it again";
  rig.ExpectRows("half deleted");
  rig.ExpectClean("half deleted");
  ASSERT_TRUE(rig.PutRows("t", {{"more", "rows"}}));
  ASSERT_TRUE(rig.Close());
  rig.ExpectClean("closed");
}

// What the test above would be without it.
TEST(RuleI1, WithoutAReserveAFullStoreStaysFullWhateverIsDeleted) {
  FullRig rig(0);
  EXPECT_FALSE(rig.HasReserve());
  int rows = rig.Fill();
  Status done;
  for (int i = 0; done && i < 100; ++i) done = rig.DeleteBelow(rows / 2);
  if (done) done = rig.Save();
  EXPECT_EQ(done.code(), Code::kFull);
  rig.ExpectRows("full");
  rig.Kill();
  rig.ExpectClean("full");
}

TEST(RuleI1, AnOpeningGivesUpTheReserveForItsBarrierAndMakesItAgainWhenThereIsRoom) {
  FullRig rig(kReserve);
  ASSERT_TRUE(rig.PutRows("t", {{"k", "v"}}));
  rig.Kill();
  rig.quota.set_bytes(rig.quota.used());
  ASSERT_TRUE(rig.Open()) << "its new journal file takes what was put aside";
  EXPECT_FALSE(rig.HasReserve());
  EXPECT_FALSE(rig.s->reserve_held);
  rig.ExpectRows("opened on a full disk");
  ASSERT_TRUE(rig.Close());
  rig.quota.set_bytes(kDiskBytes);
  ASSERT_TRUE(rig.Open());
  EXPECT_TRUE(rig.HasReserve());
  EXPECT_TRUE(rig.s->reserve_held);
  ASSERT_TRUE(rig.Close());
  rig.ExpectClean("closed");
}

TEST(RuleI1, AReserveOfAnotherSizeIsMadeAnew) {
  host::MemoryStorage disk;
  ASSERT_TRUE(disk.CreateAppendable(kReserveName, 100, {}));
  ASSERT_TRUE(MakeReserve(disk, 4096));
  EXPECT_EQ(disk.Get(kReserveName)->size(), 4096u);
  ASSERT_TRUE(MakeReserve(disk, 4096));
  EXPECT_TRUE(GiveUpReserve(disk));
  EXPECT_FALSE(GiveUpReserve(disk)) << "nothing was given";
  host::QuotaStorage quota(disk, 1000);
  EXPECT_EQ(MakeReserve(quota, 4096).code(), Code::kFull);
  EXPECT_TRUE(ImageOf(quota).empty());
}

// Nobody reads it: it may be anything, or missing, and no copy has it.
TEST(RuleE, TheReserveIsNoAlienAndNoPartOfTheStore) {
  FullRig rig(kReserve);
  rig.anchored = false;  // each opening below is one of the same image
  ASSERT_TRUE(rig.PutRows("t", {{"k", "v"}}));
  ASSERT_TRUE(rig.Close());
  Image image = ImageOf(*rig.disk);
  ASSERT_TRUE(image.contains(std::string(kReserveName)));
  host::MemoryStorage copy;
  auto restored = RestoreStore(*rig.disk, copy, AsBytes(kPassphrase), {});
  ASSERT_TRUE(restored);
  EXPECT_FALSE(restored->verdict);
  EXPECT_FALSE(ImageOf(copy).contains(std::string(kReserveName)));
  for (const Bytes& content : {Bytes(), Bytes(100, 7)}) {
    image[std::string(kReserveName)] = content;
    auto disk = DiskOf(image);
    rig.disk = disk.get();
    rig.ExpectClean("anything in it");
    ASSERT_TRUE(rig.Open());
    EXPECT_EQ(disk->Get(kReserveName)->size(), kReserve);
    rig.Kill();
  }
}

TEST(RuleI1, AProviderThatCannotPutSpaceAsideHasNoReserve) {
  seam::Capabilities whole = host::MemoryStorage::AllCapabilities();
  whole.append = false;
  host::MemoryStorage disk(whole);
  Rig rig;
  rig.disk = &disk;
  rig.options.reserve_bytes = kReserve;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  EXPECT_EQ(rig.s->reserve_bytes, 0u);
  EXPECT_FALSE(ImageOf(disk).contains(std::string(kReserveName)));
}

}  // namespace
}  // namespace holdfast::store
