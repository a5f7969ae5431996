//===- MinCut.h - the cheapest cut of a network ------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_SUPPORT_MINCUT_H
#define TESSERA_SUPPORT_MINCUT_H

#include <cstdint>
#include <limits>
#include <vector>

namespace tessera {

/// A directed network with capacities; nodes are numbers from 0.
class FlowNetwork {
public:
  /// A capacity that is never part of a cut.
  static constexpr int64_t kUncuttable = std::numeric_limits<int64_t>::max() / 4;

  explicit FlowNetwork(size_t nodes) : edgesOf(nodes) {}

  void addEdge(size_t from, size_t to, int64_t capacity);

  /// Of each node whether it is on the sink's side of a minimum cut: of the cheapest ones, that
  /// nearest to the sink. Dinic, "Algorithm for solution of a problem of maximum flow in a network
  /// with power estimation", 1970. Uses the capacities up.
  std::vector<bool> cut(size_t source, size_t sink);

private:
  struct Edge {
    size_t to, reverse; ///< `reverse`: its place among the edges of `to`
    int64_t capacity;
  };
  bool findLevels(size_t source, size_t sink);
  bool augment(size_t source, size_t sink);

  std::vector<std::vector<Edge>> edgesOf;
  std::vector<int64_t> levels;
  std::vector<size_t> next;
};

} // namespace tessera

#endif // TESSERA_SUPPORT_MINCUT_H
