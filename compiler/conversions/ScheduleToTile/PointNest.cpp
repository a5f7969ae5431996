//===- PointNest.cpp - the loop nest over a point graph --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One dimension carries the vectors. A unit is a run of rows along it, or a piece
// of a long one. Where loads are contiguous along another dimension (transposing
// copies), that one is blocked inside the vector loop: squares of the block are
// transposed in registers.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointNest.h"
#include "compiler/conversions/ScheduleToTile/PointTranspose.h"

using namespace mlir;
using namespace tessera;

/// Schedules ask for this many machine vectors at a time.
constexpr int64_t vectorsInFlight = 4;
/// Gathered lanes are loaded one by one.
constexpr int64_t maxGatheredLanes = 16;
/// The largest square transposed in registers.
constexpr int64_t maxSquare = 16;
/// Runs of as many bytes are copied by the C library, which knows how the machine does so without
/// reading what it overwrites.
constexpr int64_t copiedBytes = 16 << 10;

double tessera::scoreLaneDim(const PointGraph &graph, unsigned dim) {
  // Lanes may gather what a tensor chooses; other numbers known at run time only are the same for
  // all.
  for (const IndexSymbol &symbol : graph.getSymbols())
    if (!symbol.index && (symbol.varies >> dim & 1))
      return -1;
  for (const auto &node : graph.getNodes())
    if ((node->kind == PointNode::Iota || node->kind == PointNode::Random) &&
        node->form.dims[dim] == 0 && node->variesOver(dim))
      return -1;
  double score = 0;
  auto add = [&](int64_t step, double weight) {
    score += weight * (step == 1 ? 1 : step == 0 ? 0.9 : step == -1 ? 0.4 : 0);
  };
  for (const auto &node : graph.getNodes())
    if (node->kind == PointNode::Load && (node->form.dims[dim] != 0 || !node->variesOver(dim)))
      add(node->form.dims[dim], 1);
  for (const PointStore &store : graph.getStores())
    add(store.form.dims[dim], 2);
  // Short dimensions leave lanes idle.
  return score * std::min<int64_t>(graph.getSpace().sizes[dim], 16) / 16;
}

int64_t tessera::limitLanes(const PointGraph &graph, unsigned dim, int64_t lanes) {
  for (const IndexSymbol &symbol : graph.getSymbols())
    if (symbol.varies >> dim & 1)
      return std::min(lanes, maxGatheredLanes);
  return lanes;
}

namespace {
/// The loops of one nest.
struct NestPlan {
  int laneDim = -1;      ///< -1: no dimension at all
  bool isVector = false; ///< else one element at a time
  int64_t lanes = 1;
  int64_t chunk = 1; ///< of laneDim, the most in one item
  int blockDim = -1; ///< walked inside the vector loop, `block` at a time
  int64_t block = 1;
  bool stream = false;
  SmallVector<unsigned> outer;
};

/// A static run of a dimension: `count` pieces of `extent` from `start`.
struct Pieces {
  int64_t start, extent, count;
};
} // namespace

static SmallVector<Pieces> cut(int64_t size, int64_t extent) {
  SmallVector<Pieces> pieces;
  if (int64_t count = size / extent)
    pieces.push_back({0, extent, count});
  if (int64_t rest = size % extent)
    pieces.push_back({size - rest, rest, 1});
  return pieces;
}

/// Whether `node` reads neighbours along `dim` but not along the lanes.
static bool isAcross(const PointNode *node, unsigned laneDim, unsigned dim) {
  return node->kind == PointNode::Load && std::abs(node->form.dims[laneDim]) > 1 &&
         node->form.dims[dim] == 1 && !elementOf(node->value).isInteger(1);
}

/// The dimension other than the lanes' along which strided loads are contiguous, or -1.
static int chooseBlockDim(const PointGraph &graph, unsigned laneDim) {
  for (const auto &node : graph.getNodes())
    for (unsigned d = 0; d < graph.getSpace().rank(); ++d)
      if (d != laneDim && isAcross(node.get(), laneDim, d))
        return d;
  return -1;
}

static NestPlan planNest(const PointGraph &graph, const PointSchedule &schedule) {
  const IterationSpace &space = graph.getSpace();
  NestPlan plan;
  plan.stream = schedule.stream;
  if (space.rank() == 0)
    return plan;
  double best = -1;
  for (unsigned d = 0; d < space.rank(); ++d)
    if (double score = scoreLaneDim(graph, d); score >= 0 && score >= best) {
      best = score;
      plan.laneDim = d;
    }
  plan.isVector = best >= 0;
  if (!plan.isVector)
    plan.laneDim = space.rank() - 1;
  int64_t size = space.sizes[plan.laneDim];
  plan.lanes = plan.isVector
                   ? std::min(limitLanes(graph, plan.laneDim, schedule.lanes), powerOfTwoCeil(size))
                   : 1;
  // Pieces of a long row are whole vectors and about a grain.
  int64_t grain = std::max(schedule.grain / plan.lanes, int64_t(1)) * plan.lanes;
  plan.chunk = size >= 2 * grain ? grain : size;
  if (plan.isVector)
    plan.blockDim = chooseBlockDim(graph, plan.laneDim);
  if (plan.blockDim >= 0) {
    int64_t square = std::clamp<int64_t>(schedule.lanes / vectorsInFlight, 4, maxSquare);
    plan.block = std::min(square, space.sizes[plan.blockDim]);
  }
  for (unsigned d = 0; d < space.rank(); ++d)
    if (static_cast<int>(d) != plan.laneDim && static_cast<int>(d) != plan.blockDim)
      plan.outer.push_back(d);
  return plan;
}

/// Whether the nest moves runs of elements as they are, `extent` each.
static bool isCopy(const PointGraph &graph, const NestPlan &plan, int64_t extent) {
  if (!plan.isVector || plan.blockDim >= 0 || plan.stream || graph.getStores().size() != 1)
    return false;
  const PointStore &store = graph.getStores().front();
  const PointNode &node = *store.node;
  if (node.kind != PointNode::Load || !node.form.symbols.empty() || !store.form.symbols.empty())
    return false;
  return node.form.dims[plan.laneDim] == 1 && store.form.dims[plan.laneDim] == 1 &&
         extent * byteWidth(elementOf(node.value)) >= copiedBytes;
}

namespace {
/// Emits the body of one item: a block of rows by a piece of the lane dimension.
class NestEmitter {
public:
  NestEmitter(PointEmitter &emitter, const PointGraph &graph, const NestPlan &plan)
      : emitter(emitter), graph(graph), plan(plan), b(emitter.getFrame().b),
        loc(emitter.getFrame().kernel.getLoc()) {
    for (const PointStore &store : graph.getStores())
      roots.push_back(store.node);
    if (plan.blockDim < 0 || plan.block != powerOfTwoCeil(plan.block) || plan.lanes < plan.block)
      return;
    for (const auto &node : graph.getNodes())
      if (isAcross(node.get(), plan.laneDim, plan.blockDim))
        transposed.emplace_back(emitter.getFrame(), node.get(), plan.laneDim, plan.blockDim,
                                plan.block, plan.lanes);
  }

  void emitItem(Value item, const Pieces &lanes, const Pieces &block);

private:
  void emitPoint(PointScope &scope);
  void emitBlock(PointScope &scope, Value start, int64_t rows);
  Value startOf(Value piece, const Pieces &pieces);

  PointEmitter &emitter;
  const PointGraph &graph;
  const NestPlan &plan;
  OpBuilder &b;
  Location loc;
  SmallVector<const PointNode *> roots;
  SmallVector<TransposedLoad> transposed;
};
} // namespace

void NestEmitter::emitPoint(PointScope &scope) {
  for (const PointStore &store : graph.getStores())
    emitter.store(store, scope, plan.stream);
}

Value NestEmitter::startOf(Value piece, const Pieces &pieces) {
  Value scaled = b.createOrFold<arith::MulIOp>(loc, piece, emitter.index(loc, pieces.extent));
  return b.createOrFold<arith::AddIOp>(loc, scaled, emitter.index(loc, pieces.start));
}

void NestEmitter::emitItem(Value item, const Pieces &lanes, const Pieces &block) {
  PointScope scope(graph.getSpace().rank());
  if (plan.laneDim < 0)
    return emitPoint(scope);
  // An item is (outer dimensions…, piece of the lane dimension, block).
  SmallVector<int64_t> sizes;
  for (unsigned d : plan.outer)
    sizes.push_back(graph.getSpace().sizes[d]);
  sizes.append({lanes.count, block.count});
  SmallVector<Value> index = emitDelinearize(b, loc, item, sizes);
  for (auto [d, value] : llvm::zip_first(plan.outer, index))
    scope.indices[d] = value;
  Value laneStart = startOf(index[sizes.size() - 2], lanes);
  Value blockStart = startOf(index[sizes.size() - 1], block);

  if (isCopy(graph, plan, lanes.extent)) {
    scope.indices[plan.laneDim] = laneStart;
    return emitter.copyRun(graph.getStores().front(), lanes.extent, scope);
  }
  uint64_t inner = uint64_t(1) << plan.laneDim;
  if (plan.blockDim >= 0)
    inner |= uint64_t(1) << plan.blockDim;
  emitter.hoist(roots, inner, scope);
  emitLaneLoop(b, loc, lanes.extent, plan.lanes, [&](Value offset, int64_t width, Value valid) {
    PointScope vectorScope(&scope);
    vectorScope.indices[plan.laneDim] = b.createOrFold<arith::AddIOp>(loc, laneStart, offset);
    if (plan.isVector && width > 1) {
      vectorScope.laneDim = plan.laneDim;
      vectorScope.lanes = width;
      vectorScope.valid = valid;
    }
    if (plan.blockDim < 0)
      return emitPoint(vectorScope);
    emitBlock(vectorScope, blockStart, block.extent);
  });
}

/// `rows` vectors along the block dimension from `start`.
void NestEmitter::emitBlock(PointScope &scope, Value start, int64_t rows) {
  emitter.hoist(roots, uint64_t(1) << plan.blockDim, scope);
  bool isWhole = rows == plan.block && !scope.valid && scope.lanes % plan.block == 0;
  if (isWhole) {
    scope.indices[plan.blockDim] = start;
    for (TransposedLoad &load : transposed)
      load.fill(emitter, scope, scope.lanes);
  }
  emitLoop(b, loc, 0, rows, 1, [&](Value row) {
    PointScope rowScope(&scope);
    rowScope.indices[plan.blockDim] = b.createOrFold<arith::AddIOp>(loc, start, row);
    if (isWhole)
      for (TransposedLoad &load : transposed)
        rowScope.values[load.getNode()] = load.load(emitter, rowScope, row);
    emitPoint(rowScope);
  });
}

void tessera::emitPointNest(KernelFrame &frame, PointGraph &graph, const PointSchedule &schedule,
                            UnitRange &units) {
  NestPlan plan = planNest(graph, schedule);
  PointEmitter emitter(frame, graph);
  NestEmitter nest(emitter, graph, plan);
  Location loc = frame.kernel.getLoc();
  const IterationSpace &space = graph.getSpace();
  int64_t outer = 1;
  for (unsigned d : plan.outer)
    outer *= space.sizes[d];
  int64_t laneSize = plan.laneDim < 0 ? 1 : space.sizes[plan.laneDim];
  int64_t blockSize = plan.blockDim < 0 ? 1 : space.sizes[plan.blockDim];
  for (const Pieces &lanes : cut(laneSize, plan.chunk))
    for (const Pieces &block : cut(blockSize, plan.block)) {
      int64_t items = outer * lanes.count * block.count, work = lanes.extent * block.extent;
      auto emit = [&](Value item) { nest.emitItem(item, lanes, block); };
      if (plan.laneDim >= 0 && plan.blockDim < 0 && lanes.count == 1)
        units.addRows(loc, items, work, schedule.grain, emit);
      else
        units.addLoop(loc, items, std::max<int64_t>(1, schedule.grain / work), emit);
    }
}
