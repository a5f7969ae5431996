//===- ArenaPlanTest.cpp - arenas: no overlap, near the bound ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/transforms/ArenaPlan.h"

#include "gtest/gtest.h"

#include <random>
#include <vector>

using namespace tessera::schedule;

namespace {

void expectSound(const std::vector<ArenaTensor> &tensors, int64_t total) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ArenaTensor &x = tensors[i];
    EXPECT_EQ(x.offset % kArenaAlignment, 0);
    EXPECT_LE(x.offset + x.bytes, total);
    for (size_t j = 0; j < i; ++j) {
      const ArenaTensor &y = tensors[j];
      bool together = x.first <= y.last && y.first <= x.last;
      bool apart = x.offset + x.bytes <= y.offset || y.offset + y.bytes <= x.offset;
      EXPECT_TRUE(!together || apart) << i << " and " << j;
    }
  }
}

} // namespace

TEST(ArenaPlan, NothingTakesNothing) {
  std::vector<ArenaTensor> none;
  EXPECT_EQ(planArena(none), 0);
  EXPECT_EQ(largestLiveSet(none), 0);
}

TEST(ArenaPlan, AChainTakesTwoTensors) {
  std::vector<ArenaTensor> chain;
  for (int64_t step = 0; step < 20; ++step)
    chain.push_back({step, step + 1, 4096});
  EXPECT_EQ(largestLiveSet(chain), 8192);
  EXPECT_EQ(planArena(chain), 8192);
  expectSound(chain, 8192);
}

TEST(ArenaPlan, OddSizesTakeWholeLines) {
  std::vector<ArenaTensor> tensors = {{0, 1, 1}, {0, 1, 65}};
  EXPECT_EQ(largestLiveSet(tensors), 64 + 128);
  EXPECT_EQ(planArena(tensors), 64 + 128);
  expectSound(tensors, 64 + 128);
}

// By size alone the two large ones lie side by side at first, and the middle one on top of them.
TEST(ArenaPlan, AnotherOrderWhereSizeAloneWastes) {
  std::vector<ArenaTensor> tensors = {
      {0, 1, 100 * 64}, {1, 2, 60 * 64}, {2, 3, 90 * 64}, {0, 3, 10 * 64}};
  int64_t total = planArena(tensors);
  EXPECT_EQ(total, largestLiveSet(tensors));
  expectSound(tensors, total);
}

TEST(ArenaPlan, RandomLives) {
  std::mt19937 random(0);
  for (int round = 0; round < 200; ++round) {
    std::vector<ArenaTensor> tensors;
    for (unsigned i = 0; i < 1 + random() % 40; ++i) {
      int64_t first = int64_t(random() % 30);
      tensors.push_back({first, first + int64_t(random() % 6), 1 + int64_t(random() % 10000)});
    }
    int64_t total = planArena(tensors);
    EXPECT_GE(total, largestLiveSet(tensors));
    EXPECT_LE(double(total), 1.5 * double(largestLiveSet(tensors)));
    expectSound(tensors, total);
  }
}
