// Random events from a seed, with a storage, an applier and a fold that keep their contracts and otherwise do
// the worst: every ticket gets exactly one answer, answers of entries come in log order, and whatever was
// answered durable is durable.
#include <map>

#include "core/kernel/command.h"
#include "core/kernel/kernel_rig_internal.h"
#include "crypto/random.h"

namespace holdfast::kernel {
namespace {

struct World : Rig {
  World(uint64_t seed, const Options& options) : Rig(options), random(seed) {}

  uint64_t Below(uint64_t n) { return random.Below(n); }

  void Ask() {
    const Ticket t = ++last_ticket;
    const uint64_t kind = Below(20);
    if (kind == 0) {
      Do(Sync{t});
    } else if (kind == 1) {
      Do(RequestSave{t});
    } else {
      Put(t, Below(3) == 0 ? Wait::kNone : Wait::kDurable, Below(200));
    }
    Look();
  }

  void Storage() {
    if (writes.empty()) return;
    if (crash_storage && Below(200) == 0) {
      const WriteFrame w = writes.front();
      writes.clear();
      Do(FrameFailed{w.number, Code::kPoisoned});
    } else if (Below(12) == 0) {
      Refuse();
    } else {
      Stable();
    }
    Look();
  }

  void Applier() {
    if (applies.empty()) return;
    Apply& a = applies.front();
    dirty += Below(300);
    Applied done;
    const size_t take = done_of_front + 1 + Below(a.entries->size() - done_of_front);
    for (; done_of_front < take; ++done_of_front) {
      done.index = LogIndex(a.first_index.value + done_of_front);
      EXPECT_EQ(done.index, last_applied.next()) << "in index order, each once";
      last_applied = done.index;
      if ((*a.entries)[done_of_front].kind == journal::EntryKind::kSavePoint) {
        EXPECT_FALSE(fold.has_value()) << "two saves at once";
        fold = done.index;
        cleaned = dirty;
      }
      const Ticket t = a.tickets[done_of_front];
      if (t != 0) done.outcomes.push_back({t, Below(10) == 0 ? Status(Code::kConflict) : Ok(), 0});
    }
    done.dirty_bytes = dirty;
    if (done_of_front == a.entries->size()) {
      applies.pop_front();
      done_of_front = 0;
    }
    Do(std::move(done));
    Look();
  }

  void Fold() {
    if (!fold.has_value()) return;
    const LogIndex index = *fold;
    fold.reset();
    const bool ok = Below(4) != 0;
    if (ok) dirty -= cleaned;
    Do(SaveFinished{index, ok ? Ok() : Status(Code::kIo)});
    Look();
  }

  void Time() {
    if (Below(30) == 0) {
      now_us -= Below(500'000);  // the host sets its clock back
      Do(Tick{});
    } else {
      const uint64_t due = kernel.NextDeadlineUs();
      now_us = due != UINT64_MAX && Below(2) == 0 ? std::max(due, now_us) : now_us + Below(30'000);
      Do(Tick{});
    }
    Look();
  }

  // Checks the answers that came since the last look.
  void Look() {
    for (; seen < replies.size(); ++seen) {
      const Reply& r = replies[seen];
      EXPECT_EQ(++answers[r.ticket], 1) << "ticket " << r.ticket;
      if (r.reached == Wait::kDurable) {
        EXPECT_LE(r.index, kernel.stable());
        EXPECT_LE(r.index, kernel.committed());
      }
    }
    EXPECT_LE(kernel.applied(), kernel.committed());
    EXPECT_LE(kernel.committed(), kernel.stable());
    for (size_t i = 1; i < writes.size(); ++i) {
      EXPECT_EQ(writes[i].number, writes[i - 1].number.next());
      EXPECT_EQ(writes[i].first_index.value, writes[i - 1].first_index.value + writes[i - 1].entries->size());
    }
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      switch (Below(8)) {
        case 0:
        case 1:
        case 2:
          Ask();
          break;
        case 3:
          Storage();
          break;
        case 4:
        case 5:
          Applier();
          break;
        case 6:
          Fold();
          break;
        default:
          Time();
      }
    }
  }

  // Everybody outside does what they owe; the kernel must come to rest with nobody waiting.
  void Settle() {
    for (int i = 0; i < 20'000 && !testing::Test::HasFailure(); ++i) {
      const bool at_rest = writes.empty() && applies.empty() && !fold.has_value();
      if (at_rest && kernel.NextDeadlineUs() == UINT64_MAX) return;
      if (!writes.empty()) Stable();
      Applier();
      Fold();
      const uint64_t due = kernel.NextDeadlineUs();
      if (due != UINT64_MAX) now_us = std::max(due, now_us);
      Do(Tick{});
      Look();
    }
    ADD_FAILURE() << "does not come to rest";
  }

  void ExpectEverybodyAnswered() {
    for (Ticket t = 1; t <= last_ticket; ++t) EXPECT_EQ(answers[t], 1) << "ticket " << t;
  }

  crypto::SeededRandom random;
  bool crash_storage = false;
  Ticket last_ticket = 0;
  size_t seen = 0, done_of_front = 0;
  LogIndex last_applied = LogIndex(1);
  std::optional<LogIndex> fold;
  uint64_t dirty = 0, cleaned = 0;
  std::map<Ticket, int> answers;
};

Options Tight(uint64_t seed) {
  Options o;
  o.pending_bytes_max = 2'000 + 100 * (seed % 7);
  o.pending_commands_max = 10 + seed % 50;
  o.wave_bytes_cap = 300 + 100 * (seed % 5);
  o.waves_in_flight_max = 1 + seed % 3;
  o.save_period_ms = seed % 2 == 0 ? 0 : 50;
  o.dirty_bytes_save = 2'000;
  o.dirty_bytes_max = 4'000;
  return o;
}

class Liveness : public testing::TestWithParam<uint64_t> {};

TEST_P(Liveness, EveryTicketGetsExactlyOneAnswer) {
  World world(GetParam(), Tight(GetParam()));
  world.Run(3'000);
  world.Settle();
  world.ExpectEverybodyAnswered();
}

TEST_P(Liveness, EveryTicketGetsExactlyOneAnswerThoughStorageFails) {
  World world(GetParam(), Tight(GetParam()));
  world.crash_storage = true;
  world.Run(3'000);
  world.Settle();
  world.ExpectEverybodyAnswered();
}

TEST_P(Liveness, EveryTicketGetsExactlyOneAnswerWhenItStopsInTheMiddle) {
  World world(GetParam(), Tight(GetParam()));
  world.crash_storage = GetParam() % 3 == 0;
  world.Run(500);
  world.Do(Stop{});
  world.Run(300);
  world.Settle();
  world.ExpectEverybodyAnswered();
  EXPECT_EQ(world.stopped, 1);
}

TEST_P(Liveness, TheSameSeedGivesTheSameRun) {
  World a(GetParam(), Tight(GetParam())), b(GetParam(), Tight(GetParam()));
  a.Run(300);
  b.Run(300);
  ASSERT_EQ(a.replies.size(), b.replies.size());
  for (size_t i = 0; i < a.replies.size(); ++i) {
    EXPECT_EQ(a.replies[i].ticket, b.replies[i].ticket);
    EXPECT_EQ(a.replies[i].index, b.replies[i].index);
  }
  EXPECT_EQ(a.frames_written, b.frames_written);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Liveness, testing::Range<uint64_t>(1, 61));

}  // namespace
}  // namespace holdfast::kernel
