// Open, write, crash in the middle of any operation, open again: every acknowledged frame is in the chain
// that is adopted, and never anything that was not submitted. One frame is on its way at a time here, since
// JournalWriter blocks; two at once are in recovery_test.cc.
#include <gtest/gtest.h>

#include <functional>

#include "core/journal/journal_rig_internal.h"

namespace holdfast::journal {
namespace {

class CrashModel {
 public:
  CrashModel(bool append, uint64_t seed) : rig_(seed), disk_(append), choice_(seed * 7919 + 1) {
    disk_.random = crypto::SeededRandom(seed);
  }
  TearingDisk& disk() { return disk_; }

  // One life of the process: opens, writes `waves`, perhaps stops cleanly. Ends early when the disk stops.
  void Live(int waves) {
    Opener o(rig_, disk_, 4096);
    Status s = o.Open(start_);
    for (int i = 0; s && i < waves; ++i) {
      disk_.full_operations = choice_.Below(6) == 0 ? 1 : 0;
      std::vector<std::string> payloads(choice_.Below(3) + 1, std::string(choice_.Below(900), 'w'));
      payloads.push_back(std::to_string(next_payload_++));
      s = o.Write(payloads);
      if (!s && s.code() == Code::kFull) {
        Chain now = rig_.Read(disk_, start_);
        ASSERT_TRUE(!now.tampered && now.end == o.position) << Show(now);  // nothing is changed
        s = o.Retry();
        ++retried;
      }
      if (s && choice_.Below(6) == 0) s = Save(o);
    }
    disk_.full_operations = 0;
    if (s && choice_.Below(3) == 0) s = o.Close();
    ASSERT_TRUE(s || s.code() == Code::kCrashed) << CodeName(s.code());
    log_.insert(log_.end(), o.acknowledged.begin(), o.acknowledged.end());
    perhaps_ = o.submitted;
    ++(s ? survived : crashed);
  }

  void CheckAfterReboot() {
    disk_.Reboot();
    Chain chain = rig_.Read(disk_, start_);
    ASSERT_FALSE(chain.tampered) << Show(chain);
    ASSERT_TRUE(AdoptTail({chain}, start_.position.index)) << Show(chain);
    std::vector<Entry> got(log_.begin(), log_.begin() + static_cast<ptrdiff_t>(start_.position.index.value));
    ASSERT_TRUE(Replay(disk_, rig_.keyring, rig_.chain_key, rig_.Options(start_), chain,
                       [&](const Entry& e, const LogPosition& at, const FramePosition&) {
                         EXPECT_EQ(at.index.value, got.size() + 1);
                         got.push_back(e);
                         return Ok();
                       }));
    std::vector<Entry> all = log_;
    all.insert(all.end(), perhaps_.begin(), perhaps_.end());
    ASSERT_TRUE(got == log_ || got == all)
        << got.size() << " of " << log_.size() << ", " << all.size() << Show(chain);
    log_ = got;  // the next opener makes it durable
    perhaps_.clear();
    for (const Chain::Link& l : chain.links) {
      auto [it, is_new] = numbers_.emplace(l.position.number, l.position.digest);
      ASSERT_EQ(it->second, l.position.digest) << "frame number used twice: " << l.position.number.value;
      ASSERT_LE(l.position.number, chain.highest_number);
    }
  }

  int survived = 0, crashed = 0, retried = 0;

 private:
  // A save at the newest entry; the journal is cut to the one before (D3).
  Status Save(Opener& o) {
    FrameNumber cut = start_.frame.number;
    start_ = {o.last, o.position};
    HF_TRY_VOID(o.writer->CutBelow(cut));
    return disk_.Barrier();
  }

  Rig rig_;
  TearingDisk disk_;
  crypto::SeededRandom choice_;
  JournalStart start_;
  std::vector<Entry> log_, perhaps_;  // acknowledged or adopted so far; submitted when the machine stopped
  std::map<FrameNumber, Digest> numbers_;
  uint64_t next_payload_ = 0;
};

TEST(CrashModel, ACrashInEveryOperationOfTwoLivesLosesNothingAcknowledged) {
  for (bool append : {true, false}) {
    int crashed = 0, retried = 0;
    for (uint64_t seed = 1; seed <= 30; ++seed) {
      for (int64_t operation = 0;; ++operation) {
        CrashModel m(append, seed);
        m.disk().operations_before_crash = operation;
        m.Live(6);
        m.CheckAfterReboot();
        if (HasFailure()) FAIL() << "append " << append << " seed " << seed << " operation " << operation;
        m.Live(2);
        m.CheckAfterReboot();
        if (HasFailure())
          FAIL() << "append " << append << " seed " << seed << " operation " << operation << " again";
        crashed += m.crashed;
        retried += m.retried;
        if (m.crashed == 0) break;
      }
    }
    EXPECT_GT(crashed, 200);
    EXPECT_GT(retried, 30);
  }
}

TEST(CrashModel, CrashUponCrashLosesNothingAcknowledged) {
  for (bool append : {true, false}) {
    int crashed = 0;
    for (uint64_t seed = 1000; seed < 1150; ++seed) {
      CrashModel m(append, seed);
      crypto::SeededRandom choice(seed);
      for (int life = 0; life < 12; ++life) {
        // Often in the opening itself: then two and more unfinished openings lie behind each other.
        m.disk().operations_before_crash = static_cast<int64_t>(choice.Below(choice.Below(2) == 0 ? 3 : 25));
        m.Live(static_cast<int>(choice.Below(12)));
        m.CheckAfterReboot();
        if (HasFailure()) FAIL() << "append " << append << " seed " << seed << " life " << life;
      }
      crashed += m.crashed;
    }
    EXPECT_GT(crashed, 1000);
  }
}

}  // namespace
}  // namespace holdfast::journal
