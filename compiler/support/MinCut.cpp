//===- MinCut.cpp - the cheapest cut of a network -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/support/MinCut.h"

#include <algorithm>

using namespace tessera;

void FlowNetwork::addEdge(size_t from, size_t to, int64_t capacity) {
  edgesOf[from].push_back({to, edgesOf[to].size(), capacity});
  edgesOf[to].push_back({from, edgesOf[from].size() - 1, 0});
}

/// Distances from the source along edges that are not full.
bool FlowNetwork::findLevels(size_t source, size_t sink) {
  levels.assign(edgesOf.size(), -1);
  levels[source] = 0;
  std::vector<size_t> queue = {source};
  for (size_t head = 0; head < queue.size(); ++head)
    for (const Edge &edge : edgesOf[queue[head]])
      if (edge.capacity > 0 && levels[edge.to] < 0) {
        levels[edge.to] = levels[queue[head]] + 1;
        queue.push_back(edge.to);
      }
  return levels[sink] >= 0;
}

/// Sends what one path of growing levels can take; false when there is none. A stack of its own:
/// chains are as long as the network is deep.
bool FlowNetwork::augment(size_t source, size_t sink) {
  std::vector<size_t> path = {source};
  while (path.back() != sink) {
    size_t node = path.back();
    std::vector<Edge> &edges = edgesOf[node];
    size_t &edge = next[node];
    while (edge < edges.size() &&
           (edges[edge].capacity <= 0 || levels[edges[edge].to] != levels[node] + 1))
      ++edge;
    if (edge < edges.size()) {
      path.push_back(edges[edge].to);
      continue;
    }
    path.pop_back();
    if (path.empty())
      return false;
    ++next[path.back()];
  }
  int64_t flow = kUncuttable;
  for (size_t i = 0; i + 1 < path.size(); ++i)
    flow = std::min(flow, edgesOf[path[i]][next[path[i]]].capacity);
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    Edge &edge = edgesOf[path[i]][next[path[i]]];
    edge.capacity -= flow;
    edgesOf[edge.to][edge.reverse].capacity += flow;
  }
  return true;
}

std::vector<bool> FlowNetwork::cut(size_t source, size_t sink) {
  while (findLevels(source, sink)) {
    next.assign(edgesOf.size(), 0);
    while (augment(source, sink)) {
    }
  }
  // What still reaches the sink lies on its side.
  std::vector<bool> reaches(edgesOf.size(), false);
  reaches[sink] = true;
  std::vector<size_t> queue = {sink};
  for (size_t head = 0; head < queue.size(); ++head)
    for (const Edge &edge : edgesOf[queue[head]])
      if (!reaches[edge.to] && edgesOf[edge.to][edge.reverse].capacity > 0) {
        reaches[edge.to] = true;
        queue.push_back(edge.to);
      }
  return reaches;
}
