#include <gtest/gtest.h>

#include "core/session/service_internal.h"

namespace holdfast::session {
namespace {

TEST(GrpcErrors, EveryCodeOfOursIsAnErrorOfTheirs) {
#define HF_CODE(name, number, exit, text)                         \
  EXPECT_NE(GrpcCode(Code::name), grpc::StatusCode::OK) << #name; \
  EXPECT_NE(GrpcCode(Code::name), grpc::StatusCode::UNKNOWN) << #name;
#include "base/codes.def"
#undef HF_CODE
}

TEST(GrpcErrors, WhatScriptsRelyOnIsPinned) {
  EXPECT_EQ(GrpcCode(Code::kNoTable), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(GrpcCode(Code::kConflict), grpc::StatusCode::ABORTED);
  EXPECT_EQ(GrpcCode(Code::kTampered), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(GrpcCode(Code::kOverloaded), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(GrpcCode(Code::kRevoked), grpc::StatusCode::UNAUTHENTICATED);
}

TEST(WorkPool, RefusesWhatItsQueueCannotHoldButNotWhatGoesOn) {
  std::mutex gate;
  gate.lock();
  std::atomic<int> ran{0};
  {
    WorkPool pool(sync::ActivityKind::kReads, 1, 2);
    std::atomic<bool> busy{false};
    ASSERT_TRUE(pool.Submit([&] {
      busy = true;
      std::lock_guard wait(gate);
      ++ran;
    }));
    while (!busy) std::this_thread::yield();
    EXPECT_TRUE(pool.Submit([&] { ++ran; }));
    EXPECT_TRUE(pool.Submit([&] { ++ran; }));
    EXPECT_FALSE(pool.Submit([&] { ++ran; }));
    pool.Continue([&] { ++ran; });
    gate.unlock();
  }
  EXPECT_EQ(ran, 4) << "what was taken is done before the pool goes";
}

}  // namespace
}  // namespace holdfast::session
