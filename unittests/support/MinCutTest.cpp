//===- MinCutTest.cpp - the cheapest cut of a network ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/support/MinCut.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <random>

using namespace tessera;

namespace {

struct Edge {
  size_t from, to;
  int64_t capacity;
};

std::vector<bool> cutOf(size_t nodes, const std::vector<Edge> &edges) {
  FlowNetwork network(nodes);
  for (const Edge &edge : edges)
    network.addEdge(edge.from, edge.to, edge.capacity);
  return network.cut(/*source=*/0, /*sink=*/nodes - 1);
}

/// What edges weigh that lead to the sink's side.
int64_t weightOf(const std::vector<bool> &isBehind, const std::vector<Edge> &edges) {
  int64_t weight = 0;
  for (const Edge &edge : edges)
    if (!isBehind[edge.from] && isBehind[edge.to])
      weight += edge.capacity;
  return weight;
}

TEST(MinCut, CutsTheNarrowestPlace) {
  EXPECT_EQ(cutOf(4, {{0, 1, 9}, {1, 2, 3}, {2, 3, 5}}),
            (std::vector<bool>{false, false, true, true}));
}

TEST(MinCut, OfEqualPlacesTheOneNearestToTheSink) {
  EXPECT_EQ(cutOf(4, {{0, 1, 4}, {1, 2, 4}, {2, 3, 4}}),
            (std::vector<bool>{false, false, false, true}));
}

TEST(MinCut, NothingLeadsToTheSink) {
  EXPECT_EQ(cutOf(3, {{0, 1, 4}}), (std::vector<bool>{false, false, true}));
}

TEST(MinCut, LongChainsNeedNoDeepStack) {
  std::vector<Edge> chain;
  for (size_t i = 0; i < 200000; ++i)
    chain.push_back({i, i + 1, i == 100000 ? 1 : FlowNetwork::kUncuttable});
  std::vector<bool> isBehind = cutOf(chain.size() + 1, chain);
  EXPECT_FALSE(isBehind[100000]);
  EXPECT_TRUE(isBehind[100001]);
}

TEST(MinCut, NoOtherCutOfSmallNetworksIsCheaper) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    size_t nodes = 3 + random() % 6;
    std::vector<Edge> edges;
    for (size_t i = 0, count = random() % 20; i < count; ++i)
      edges.push_back({random() % nodes, random() % nodes, int64_t(random() % 10)});
    int64_t best = std::numeric_limits<int64_t>::max();
    for (size_t set = 0; set < size_t(1) << nodes; ++set) {
      std::vector<bool> isBehind(nodes);
      for (size_t node = 0; node < nodes; ++node)
        isBehind[node] = set >> node & 1;
      if (!isBehind[0] && isBehind[nodes - 1])
        best = std::min(best, weightOf(isBehind, edges));
    }
    std::vector<bool> found = cutOf(nodes, edges);
    EXPECT_FALSE(found[0]);
    EXPECT_TRUE(found[nodes - 1]);
    EXPECT_EQ(weightOf(found, edges), best) << "round " << round;
  }
}

} // namespace
