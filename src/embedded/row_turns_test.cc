#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "embedded/row_turns_internal.h"

namespace holdfast::inside {
namespace {

TEST(RowTurns, OverlappingPlacesDoNotWaitForEachOtherForEver) {
  RowTurns turns;
  std::vector<std::thread> threads;
  std::atomic<int> holders{0};
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([&, n] {
      const RowTurns::Places places = n % 2 == 0 ? 0b0110 : 0b1111;
      for (int i = 0; i < 2'000; ++i) {
        const uint64_t who = turns.NewName();
        turns.Take(who, places);
        EXPECT_EQ(++holders, 1) << "all of them want the places in the middle";
        EXPECT_TRUE(turns.Taken(0b0100));
        --holders;
        turns.Give(who);
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

TEST(RowTurns, OneThatNeverEndsIsWaitedForOnlySoLong) {
  RowTurns turns;
  turns.Take(1, 0b1);
  turns.Take(2, 0b1, 10);  // returns without its turn
  turns.Give(2);
  EXPECT_TRUE(turns.Taken(0b1)) << "the first has it still";
  EXPECT_FALSE(turns.Taken(0b10));
}

}  // namespace
}  // namespace holdfast::inside
