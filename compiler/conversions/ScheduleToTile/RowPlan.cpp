//===- RowPlan.cpp - which pass over a row computes what -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/RowPlan.h"
#include "compiler/conversions/ScheduleToTile/ScalarRandom.h"

using namespace mlir;
using namespace tessera;

/// A value this dear is stored and read again rather than computed twice.
constexpr double cacheThreshold = 8;
/// Kept rows beyond this would push out of the cache what they save reading.
constexpr int64_t maxCacheBytes = 256 << 10;
/// Widened rows of halves larger than this would leave the first cache.
constexpr int64_t maxWidenedBytes = 32 << 10;
/// An element read by a gather, in additions.
constexpr double gatherCost = 4;

SmallVector<const PointNode *> RowPass::roots() const {
  SmallVector<const PointNode *> result;
  for (const PointNode *node : reductions)
    result.push_back(node->operands.front());
  for (const PointStore *store : stores)
    result.push_back(store->node);
  return result;
}

RowPlan::RowPlan(KernelFrame &frame, const PointGraph &graph) : frame(frame), graph(graph) {
  for (auto [d, isReduced] : llvm::enumerate(graph.getSpace().reduced))
    if (isReduced)
      reducedMask |= uint64_t(1) << d;
  // Nodes were created operands first.
  auto passAt = [&](unsigned level) -> RowPass & {
    if (passes.size() <= level)
      passes.resize(level + 1);
    return passes[level];
  };
  for (const auto &node : graph.getNodes()) {
    unsigned level = 0;
    for (const PointNode *operand : node->operands)
      level = std::max(level, levels.lookup(operand));
    if (node->kind == PointNode::Reduce)
      passAt(level++).reductions.push_back(node.get());
    levels[node.get()] = level;
  }
  for (const PointStore &store : graph.getStores()) {
    if ((graph.variesOf(store.form) & reducedMask) == 0)
      rowStores.push_back(&store);
    else
      passAt(levels.lookup(store.node)).stores.push_back(&store);
  }
}

void RowPlan::setLanes(int dim, int64_t count, bool across) {
  laneDim = dim;
  lanes = count;
  acrossRows = across;
}

const RowCache *RowPlan::getCache(const PointNode *node) const {
  auto it = caches.find(node);
  return it == caches.end() ? nullptr : &it->second;
}

std::optional<unsigned> RowPlan::getPrefetchPass() const {
  // Streamed results leave the caches' ports idle, and the row is there to be read.
  if (stream && passes.size() > 1)
    return passes.size() - 1;
  std::optional<unsigned> best;
  for (unsigned i = 1; i < passes.size(); ++i)
    if (passes[i].stores.empty() && (!best || passes[i].cost > passes[*best].cost))
      best = i;
  return best;
}

/// What one operation costs, its operands apart.
double RowPlan::ownCost(const PointNode *node) const {
  if (node->kind == PointNode::Apply)
    return findScalarOp(node->op).cost;
  if (node->kind == PointNode::Random)
    return philoxCost;
  bool isGather =
      node->kind == PointNode::Load && laneDim >= 0 && std::abs(node->form.dims[laneDim]) > 1;
  return isGather ? gatherCost : 1;
}

/// What computing `node` anew costs in a pass; values of the row as a whole are there already.
double RowPlan::costOf(const PointNode *node) {
  if (!isInRow(node) || node->kind == PointNode::Constant)
    return 0;
  auto [it, isNew] = costs.try_emplace(node, 0);
  if (!isNew)
    return it->second;
  double cost = ownCost(node);
  for (const PointNode *operand : node->operands)
    cost += costOf(operand);
  return costs[node] = cost;
}

/// Row-major over the reduced dimensions, the lanes' dimension innermost.
LinearForm RowPlan::cacheForm() const {
  const IterationSpace &space = graph.getSpace();
  LinearForm form(space.rank(), 0);
  int64_t stride = acrossRows ? lanes : 1;
  auto place = [&](unsigned d) {
    form.dims[d] = stride;
    stride *= space.sizes[d];
  };
  if (laneDim >= 0 && !acrossRows)
    place(laneDim);
  for (int64_t d = static_cast<int64_t>(space.rank()) - 1; d >= 0; --d)
    if (space.reduced[d] && d != laneDim)
      place(d);
  return form;
}

/// Whether a value of an earlier pass is cheaper to read again than to compute again.
bool RowPlan::isWorthKeeping(const PointNode *node) {
  if (costOf(node) >= cacheThreshold)
    return true;
  // Halves are widened by every pass that reads them, which takes as long as the rest of a short
  // pass; writing them once pays from the second time on.
  Type element = elementOf(node->value);
  int64_t count = graph.getSpace().rowLength() * (acrossRows ? lanes : 1);
  return node->kind == PointNode::Load && isa<FloatType>(element) &&
         storageType(element) != registerType(element) &&
         passes.size() - firstPass.lookup(node) > 2 &&
         count * byteWidth(registerType(element)) <= maxWidenedBytes;
}

void RowPlan::keep(const PointNode *node) {
  RowPass &pass = passes[firstPass.lookup(node)];
  Type element = elementOf(node->value);
  for (const PointStore *store : pass.stores)
    if (store->node == node && storageType(element) == registerType(element)) {
      caches[node] = {frame.outputs[store->output], element, store->form, /*isOutput=*/true};
      return;
    }
  // Kept as it is in registers: nothing is rounded on the way.
  Type kept = element.isInteger(1) ? element : registerType(element);
  int64_t count = graph.getSpace().rowLength() * (acrossRows ? lanes : 1);
  Type storage = storageType(kept);
  if (count * byteWidth(storage) > maxCacheBytes)
    return;
  Value buffer = frame.allocScratch(node->value.getLoc(), MemRefType::get({count}, storage));
  caches[node] = {buffer, kept, cacheForm(), /*isOutput=*/false};
  pass.keeps.push_back(node);
}

void RowPlan::planCaches() {
  for (auto [index, pass] : llvm::enumerate(passes)) {
    SmallVector<const PointNode *> stack = pass.roots();
    llvm::SmallPtrSet<const PointNode *, 16> seen;
    while (!stack.empty()) {
      const PointNode *node = stack.pop_back_val();
      if (!isInRow(node) || !seen.insert(node).second)
        continue;
      auto [it, isFirst] = firstPass.try_emplace(node, index);
      if (!isFirst && it->second < index) {
        if (caches.contains(node))
          continue;
        if (isWorthKeeping(node))
          keep(node);
        if (caches.contains(node))
          continue;
      }
      pass.cost += ownCost(node);
      llvm::append_range(stack, node->operands);
    }
  }
}
