// The rules of what may lie in a journal, attacked one by one. Whole runs with crashes: crash_model_test.cc.
#include <gtest/gtest.h>

#include "core/journal/journal_rig_internal.h"

namespace holdfast::journal {
namespace {

TEST(Journal, AFreshOneIsEmpty) {
  Rig rig;
  TearingDisk disk(true);
  Chain chain = rig.Read(disk);
  EXPECT_TRUE(chain.links.empty());
  EXPECT_FALSE(chain.tampered);
  EXPECT_EQ(chain.highest_number, FrameNumber(0));
  EXPECT_EQ(chain.end, LogPosition());
}

TEST(Journal, ReadsBackWhatWasWritten) {
  for (bool append : {true, false}) {
    Rig rig;
    TearingDisk disk(append);
    Opener a(rig, disk, 4096);
    ASSERT_TRUE(a.Open());
    for (int i = 0; i < 20; ++i)
      ASSERT_TRUE(a.Write({"value " + std::to_string(i), std::string(i * 40, 'x')}));
    Chain chain = rig.Read(disk);
    EXPECT_FALSE(chain.tampered) << Show(chain);
    EXPECT_TRUE(chain.findings.empty());
    ASSERT_TRUE(chain.end == a.position);
    EXPECT_EQ(chain.links.size(), 21u);
    std::vector<Entry> got;
    ASSERT_TRUE(Replay(disk, rig.keyring, rig.chain_key, rig.Options(), chain,
                       [&](const Entry& e, const LogPosition&, const FramePosition&) {
                         got.push_back(e);
                         return Ok();
                       }));
    EXPECT_EQ(got, a.acknowledged);
    ASSERT_TRUE(a.Close());
    EXPECT_TRUE(rig.Read(disk).closed);
  }
}

}  // namespace
}  // namespace holdfast::journal
