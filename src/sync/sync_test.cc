#include <gtest/gtest.h>
#include <pthread.h>
#include <time.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "sync/activity.h"
#include "sync/mutex.h"

namespace holdfast::sync {
namespace {

using seam::Metric;
using std::chrono::milliseconds;

uint64_t Value(Metric m) { return seam::Metrics().Get(m); }

// Asked by a thread of its own: trying a mutex one holds oneself is not defined.
bool Free(Mutex& mutex) {
  return std::async(std::launch::async,
                    [&] {
                      if (!mutex.TryLock()) return false;
                      mutex.Unlock();
                      return true;
                    })
      .get();
}

TEST(Mutex, AnUncontendedTakingCountsNothing) {
  Mutex mutex(LockName::kSave);
  SharedMutex shared(LockName::kSave);
  uint64_t waits = Value(Metric::kWaitedSave), waited = Value(Metric::kWaitSave);
  for (int i = 0; i < 1000; ++i) {
    MutexLock lock(mutex);
    { WriterLock alone(shared); }
    ReaderLock together(shared);
  }
  EXPECT_EQ(Value(Metric::kWaitedSave), waits);
  EXPECT_EQ(Value(Metric::kWaitSave), waited);
}

// Whether the other thread comes to the lock while it is held is up to the scheduler, so it is tried until it
// did: then exactly one wait is counted.
template <typename Hold, typename GiveUp, typename Wait>
void ExpectCounted(Metric waits, Metric waited, Hold hold, GiveUp give_up, Wait wait) {
  uint64_t waits_before = Value(waits), waited_before = Value(waited);
  for (int round = 0; round < 1000 && Value(waits) == waits_before; ++round) {
    std::atomic<bool> about{false};
    hold();
    std::thread waiter([&] {
      about = true;
      wait();
    });
    while (!about) std::this_thread::yield();
    std::this_thread::sleep_for(milliseconds(1));
    give_up();
    waiter.join();
  }
  EXPECT_EQ(Value(waits), waits_before + 1);
  EXPECT_GT(Value(waited), waited_before);
  EXPECT_LT(Value(waited) - waited_before, 60'000'000'000u) << "nanoseconds";
}

TEST(Mutex, AContendedTakingIsCountedUnderItsNameWithItsTime) {
  Mutex mutex(LockName::kWrite);
  uint64_t others = Value(Metric::kWaitedOther);
  ExpectCounted(
      Metric::kWaitedWrite, Metric::kWaitWrite, [&]() HF_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); },
      [&]() HF_NO_THREAD_SAFETY_ANALYSIS { mutex.Unlock(); }, [&] { MutexLock lock(mutex); });
  EXPECT_EQ(Value(Metric::kWaitedOther), others);
}

TEST(SharedMutex, ReadersThatWaitForAWriterAndWritersThatWaitForReadersAreCounted) {
  SharedMutex mutex(LockName::kState);
  ExpectCounted(
      Metric::kWaitedState, Metric::kWaitState, [&]() HF_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); },
      [&]() HF_NO_THREAD_SAFETY_ANALYSIS { mutex.Unlock(); }, [&] { ReaderLock lock(mutex); });
  ExpectCounted(
      Metric::kWaitedState, Metric::kWaitState, [&]() HF_NO_THREAD_SAFETY_ANALYSIS { mutex.LockShared(); },
      [&]() HF_NO_THREAD_SAFETY_ANALYSIS { mutex.UnlockShared(); }, [&] { WriterLock lock(mutex); });
}

TEST(SharedMutex, ReadersShareIt) {
  SharedMutex mutex;
  ReaderLock lock(mutex);
  std::async(std::launch::async, [&] { ReaderLock other(mutex); }).get();
}

TEST(Mutex, ManyThreadsExcludeEachOther) {
  Mutex mutex;
  uint64_t n = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        MutexLock lock(mutex);
        ++n;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(n, 80'000u);
}

TEST(Mutex, ALockGivenUpInBetweenIsFreeThenAndReleasedOnce) {
  Mutex mutex;
  {
    MutexLock lock(mutex);
    EXPECT_FALSE(Free(mutex));
    lock.Unlock();
    EXPECT_TRUE(Free(mutex));
    lock.Lock();
    EXPECT_FALSE(Free(mutex));
    lock.Unlock();
  }
  EXPECT_TRUE(Free(mutex));
}

TEST(CondVar, AWaitGivesTheMutexUpAndHasItBack) {
  Mutex mutex;
  CondVar wake;
  bool there = false;
  std::thread other([&] {
    MutexLock lock(mutex);
    there = true;
    wake.NotifyOne();
  });
  {
    MutexLock lock(mutex);
    while (!there) wake.Wait(mutex);
    EXPECT_FALSE(Free(mutex));
  }
  other.join();
}

TEST(CondVar, AWaitWhoseTimeIsOverSaysSoAndHasTheMutexBack) {
  Mutex mutex;
  CondVar wake;
  MutexLock lock(mutex);
  auto since = std::chrono::steady_clock::now();
  while (wake.WaitFor(mutex, milliseconds(5))) continue;
  EXPECT_GE(std::chrono::steady_clock::now() - since, milliseconds(5));
  EXPECT_FALSE(wake.WaitUntil(mutex, since));
  EXPECT_FALSE(Free(mutex));
}

uint64_t OwnCpu() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

TEST(Activity, TimeOfLiveAndOfEndedThreadsCountsUnderTheirKindFromWhenTheySaidSo) {
  constexpr uint64_t kWork = 20'000'000;
  SampleCpu();
  uint64_t before = Value(Metric::kCpuSave), others = Value(Metric::kCpuApply);
  for (uint64_t round = 1; round <= 2; ++round) {
    std::promise<void> worked, seen;
    std::thread thread([&] {
      while (OwnCpu() < kWork) continue;  // of no kind yet
      Activity activity(ActivityKind::kSave);
      while (OwnCpu() < 2 * kWork) continue;
      worked.set_value();
      seen.get_future().wait();
    });
    worked.get_future().wait();
    SampleCpu();
    uint64_t used = Value(Metric::kCpuSave) - before;
    EXPECT_GE(used, round * kWork * 9 / 10) << "live";
    EXPECT_LT(used, round * kWork * 3 / 2) << "what came before does not count";
    seen.set_value();
    thread.join();
    SampleCpu();
    EXPECT_GE(Value(Metric::kCpuSave) - before, used) << "ended";
  }
  EXPECT_EQ(Value(Metric::kCpuApply), others);
}

TEST(Activity, WhatNobodyClaimsIsRpcAndNeverFalls) {
  SampleCpu();
  uint64_t before = Value(Metric::kCpuRpc), end = OwnCpu() + 20'000'000;
  while (OwnCpu() < end) continue;
  SampleCpu();
  EXPECT_GE(Value(Metric::kCpuRpc) - before, 18'000'000u);
  for (int i = 0; i < 1000; ++i) {
    uint64_t last = Value(Metric::kCpuRpc);
    SampleCpu();
    ASSERT_GE(Value(Metric::kCpuRpc), last);
  }
}

TEST(Activity, ManyThreadsComeAndGoWhileOthersLook) {
  std::atomic<bool> over{false};
  std::thread looking([&] {
    while (!over) SampleCpu();
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) Activity activity(ActivityKind::kReads);
    });
  }
  for (auto& t : threads) t.join();
  over = true;
  looking.join();
}

TEST(Activity, ThreadsBearTheNameOfTheirKind) {
  char name[16] = {};
  std::thread([&] {
    Activity activity(ActivityKind::kChannel);
    pthread_getname_np(pthread_self(), name, sizeof name);
  }).join();
  EXPECT_STREQ(name, "hf-channel");
}

TEST(Busy, AddsTheTimeItLivesButForItsPauses) {
  auto spend = [](milliseconds time) {
    auto since = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - since < time) continue;
  };
  uint64_t before = Value(Metric::kSealBusy);
  {
    Busy busy(Metric::kSealBusy);
    spend(milliseconds(2));
    busy.Pause();
    uint64_t paused = Value(Metric::kSealBusy);
    EXPECT_GE(paused - before, 2'000'000u);
    spend(milliseconds(2));
    EXPECT_EQ(Value(Metric::kSealBusy), paused);
    busy.Resume();
    spend(milliseconds(2));
  }
  EXPECT_GE(Value(Metric::kSealBusy) - before, 4'000'000u);
  {
    Busy busy(Metric::kSealBusy);
    busy.Pause();
    before = Value(Metric::kSealBusy);
  }
  EXPECT_EQ(Value(Metric::kSealBusy), before) << "ended in a pause";
}

}  // namespace
}  // namespace holdfast::sync
