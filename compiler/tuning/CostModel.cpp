//===- CostModel.cpp - how long a point should take --------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Products are counted in cycles of one core: what the register tile needs a
// step of depth (products, loads, the latency of an addition), with the waste at
// the edges; then what each level of the caches has to bring. The two overlap as
// far as something is fetched ahead.
//
//===----------------------------------------------------------------------===//

#include "compiler/tuning/CostModel.h"

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

namespace {

constexpr double kHertz = 4.0e9;
/// Bytes a cycle that one core gets from each level.
constexpr double kL2Rate = 48, kL3Rate = 20, kMemoryRate = 8;
constexpr double kL1Bytes = 48 << 10;
/// What a tile costs besides its products: loop set-up, epilogue, stores.
constexpr double kTileCycles = 24;
/// What handing out one unit of work costs.
constexpr double kUnitCycles = 400;

/// rows x depth times depth x columns, `batch` times.
struct Product {
  double batch = 1, rows = 1, columns = 1, depth = 1;
  int64_t bits = 32;
  bool sharedB = true, packedB = false;
};

struct Tile {
  int64_t rows, columns;
};

class Predictor {
public:
  Predictor(const Product &p, const MachineModel &machine)
      : p(p), machine(machine),
        lanes(std::max<int64_t>(1, machine.vectorBits / std::max<int64_t>(p.bits, 32))),
        bytes(p.bits / 8.0) {}

  /// Cycles of one step of depth of a tile of `rows`.
  double step(double rows, int64_t columns) const {
    double vectors = std::ceil(double(columns) / lanes);
    double registers = machine.vectorBits >= 512 ? 32 : 16;
    double cycles = std::max({rows * vectors / 2, (rows + vectors) / 2, 4.0});
    // What does not fit is done in parts, which load more.
    return rows * vectors + vectors + 1 > registers ? cycles * 1.25 : cycles;
  }

  /// All strips and panels of one item.
  double tiles(const Tile &tile, double unroll) const {
    double strips = std::floor(p.rows / tile.rows), rest = p.rows - strips * tile.rows;
    double panels = std::ceil(p.columns / tile.columns);
    double overhead = 1 + 0.06 / std::max(unroll, 1.0);
    double depth = strips * step(tile.rows, tile.columns);
    if (rest > 0)
      depth += step(rest, tile.columns);
    return panels * (depth * p.depth * overhead + (strips + (rest > 0)) * kTileCycles);
  }

  double operator()(ContractionAttr point) const;

private:
  const Product &p;
  const MachineModel &machine;
  int64_t lanes;
  double bytes;
};

} // namespace

double Predictor::operator()(ContractionAttr point) const {
  Tile tile{std::min<int64_t>(point.getMr(), static_cast<int64_t>(p.rows)), point.getNr()};
  double depth = std::min<double>(point.getKc(), p.depth);
  double passes = std::ceil(p.depth / depth);
  double blocks = std::ceil(p.rows / std::max<double>(point.getMc(), double(tile.rows)));
  double panels = std::ceil(p.columns / double(tile.columns));
  double group = point.getNSplit() > 0 ? std::min<double>(point.getNSplit(), panels) : panels;
  double groups = std::ceil(panels / group);
  double compute = tiles(tile, point.getUnroll());

  double a = p.rows * p.depth * bytes, b = panels * tile.columns * p.depth * bytes;
  double c = p.rows * p.columns * std::max(bytes, 4.0);
  // B passes by once a block of rows; the first time it may come from memory.
  double again = group * tile.columns * depth * bytes <= machine.l2Bytes / 2.0 ? kL2Rate : kL3Rate;
  double traffic = b / (b > machine.l3Bytes / 2.0 || p.sharedB ? kMemoryRate : kL3Rate) +
                   (blocks - 1) * b / again;
  // A strip that leaves the first level comes again for every panel.
  double strip = tile.rows * depth * bytes + tile.columns * depth * bytes;
  if (strip > kL1Bytes)
    traffic += panels * a / kL2Rate;
  traffic += groups * a / kL3Rate;
  double copies = point.getPackA() ? 2 * groups * a / kL2Rate : 0;
  if (!p.packedB)
    copies += b / kL2Rate;
  copies += 2 * (passes - 1) * c / kL2Rate;
  // What is fetched ahead hides behind products; the rest does not.
  double hidden = point.getPrefetchB() > 0 ? 0.85 : 0.6;
  double cycles = std::max(compute, traffic) + (1 - hidden) * std::min(compute, traffic) + copies;

  double units = std::max(1.0, p.batch * blocks * groups);
  double threads = std::min<double>(machine.threads, units);
  double rounds = std::ceil(units / threads) * threads / units;
  return (p.batch * cycles * rounds / threads + units / threads * kUnitCycles) / kHertz;
}

static int64_t bitsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getElementTypeBitWidth();
}

static double extent(Value value, int64_t fromBack) {
  auto type = cast<RankedTensorType>(value.getType());
  return double(std::max<int64_t>(type.getDimSize(type.getRank() - fromBack), 1));
}

static Product readProduct(graph::MatmulOp matmul) {
  Product p;
  auto type = cast<RankedTensorType>(matmul.getType());
  auto rhs = cast<RankedTensorType>(matmul.getRhs().getType());
  p.depth = extent(matmul.getLhs(), matmul.getTransposeA() ? 2 : 1);
  p.columns = extent(matmul.getResult(), 1);
  p.rows = extent(matmul.getResult(), 2);
  p.bits = bitsOf(matmul.getLhs());
  // A second operand for all of the batch makes one tall product.
  p.sharedB = rhs.getRank() == 2;
  (p.sharedB ? p.rows : p.batch) *=
      std::max<double>(1, double(productOf(type.getShape().drop_back(2))));
  auto argument = dyn_cast<BlockArgument>(matmul.getRhs());
  auto kernel = matmul->getParentOfType<KernelOp>();
  Value input = argument ? kernel.getInputs()[argument.getArgNumber()] : Value();
  if (auto view = input ? input.getDefiningOp<ViewOp>() : ViewOp())
    input = view.getSource();
  p.packedB = input && isa_and_nonnull<graph::ParameterOp>(input.getDefiningOp());
  return p;
}

/// Two products a head, over blocks of `br` queries; keys and values are packed once a head.
static double predictAttention(graph::AttentionOp attention, AttentionAttr point,
                               const MachineModel &machine) {
  Product scores;
  scores.bits = std::max<int64_t>(bitsOf(attention.getQuery()), 32);
  scores.rows = extent(attention.getQuery(), 2);
  scores.depth = extent(attention.getQuery(), 1);
  scores.columns = extent(attention.getKey(), 2);
  Product output = scores;
  output.depth = scores.columns;
  output.columns = extent(attention.getValue(), 1);
  double heads =
      cast<RankedTensorType>(attention.getType()).getNumElements() / (scores.rows * output.columns);
  Tile tile{std::min<int64_t>(point.getMr(), static_cast<int64_t>(scores.rows)), point.getNr()};
  double cycles = Predictor(scores, machine).tiles(tile, double(point.getUnroll())) +
                  Predictor(output, machine).tiles(tile, double(point.getUnroll()));
  double blocks = std::ceil(scores.rows / double(point.getBr()));
  double passes = std::ceil(scores.columns / double(point.getBc()));
  double elements = scores.rows * scores.columns;
  cycles += elements * 0.35 + (passes - 1) * scores.rows * output.columns * 0.2;
  double block = point.getBr() * std::min<double>(double(point.getBc()), scores.columns) * 4;
  if (block > machine.l2Bytes / 2.0)
    cycles += elements * 12 / kL3Rate;
  // Keys and values pass by once a block.
  cycles += (blocks + 2) * scores.columns * (scores.depth + output.columns) * 4 / kL2Rate;
  double threads = std::min<double>(machine.threads, heads * blocks);
  return heads * cycles / std::max(threads, 1.0) / kHertz;
}

std::optional<double> tessera::predictSeconds(KernelOp kernel, Attribute point,
                                              const MachineModel &machine) {
  Block &body = kernel.getBody().front();
  if (auto contraction = dyn_cast<ContractionAttr>(point))
    for (auto matmul : body.getOps<graph::MatmulOp>()) {
      Product product = readProduct(matmul);
      return Predictor(product, machine)(contraction);
    }
  if (auto flash = dyn_cast<AttentionAttr>(point))
    for (auto attention : body.getOps<graph::AttentionOp>())
      return predictAttention(attention, flash, machine);
  return std::nullopt;
}
