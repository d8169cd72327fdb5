#include "core/runtime/mapped_blocks.h"

#include <gtest/gtest.h>

#include <memory>

#include "core/tree/overlay.h"

namespace holdfast::runtime {
namespace {

TEST(MappedBlocks, WhatAnOverlayGivesBackServesTheNextOneUntilTheLastUserLeaves) {
  MappedBlocks& blocks = MappedBlocks::Install();
  blocks.Enter();
  auto fill = [] {
    auto overlay = std::make_unique<tree::Overlay>();
    Bytes value(1000, 7);
    for (uint64_t i = 0; i < 10'000; ++i)
      overlay->Put(TableId(), AsBytes("key " + std::to_string(i)), value, i);
    return overlay;
  };
  auto one = fill();
  EXPECT_EQ(blocks.kept_bytes(), 0u);
  one.reset();
  const size_t kept = blocks.kept_bytes();
  EXPECT_GT(kept, 8u << 20);
  one = fill();
  EXPECT_EQ(blocks.kept_bytes(), 0u);
  one.reset();
  EXPECT_EQ(blocks.kept_bytes(), kept);
  one = fill();
  blocks.Leave();
  one.reset();  // straight back to the system
  EXPECT_EQ(blocks.kept_bytes(), 0u);
}

}  // namespace
}  // namespace holdfast::runtime
