//===- Depthwise.cpp - convolutions with few channels a group --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a kernel of class depthwise, a convolution of channels-last tensors and the
// pointwise ops behind it. To:
//
//   for unit of (image, block of channels, block of rows)
//     for row of outputs
//       for tile of tw outputs along the row
//         for row of the kernel inside the image
//           its elements with those of the input, unrolled
//         the epilogue, output by output
//
// Nothing is padded: rows of the kernel that leave the image are skipped by the
// loop's bounds, columns by code of their own for the tiles at both ends.
//
// A vector of lanes holds whole groups. Where a group has several channels, each is
// in turn given to all of the group's lanes.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/BodyEmitter.h"
#include "compiler/conversions/ScheduleToTile/ContractionBuilder.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tessera {

namespace {

/// Neighbouring tiles of outputs along a row that share their code: `count` of them, of `width`
/// outputs each, from output `first` on.
struct Columns {
  int64_t first, count, width;
  bool isInside; ///< all windows lie inside the image
};

/// The input of the convolution in memory, [N, spatial…, C].
struct Image {
  Value memref;
  SmallVector<int64_t> shape, strides;
};

class DepthwiseEmitter {
public:
  DepthwiseEmitter(KernelFrame &frame, graph::ConvolutionOp op, schedule::DepthwiseAttr point,
                   Image input, Value panels);

  FailureOr<KernelExtent> emit();

private:
  /// A tile's place: image, outputs in all dimensions but the last, the tile's first output there.
  struct Tile {
    SmallVector<Value> outer;
    Value column;
    const Columns &kind;
  };
  using Sums = SmallVector<Value>;

  KernelExtent extent() const;
  SmallVector<Columns> cutColumns() const;
  bool isInside(int64_t column) const;
  int64_t inputColumn(int64_t column, int64_t tap) const;
  int64_t outside(const Columns &kind) const;
  void emitUnit(Value unit);
  void emitTile(const Tile &tile);
  Sums overKernel(const Tile &tile, int64_t dim, Value input, Value weight, Sums sums);
  Sums overRow(const Tile &tile, Value input, Value weight, Sums sums);
  Value load(Value buffer, ArrayRef<int64_t> row, int64_t vector, int64_t read, Value valid);
  Value spread(Value groups, int64_t channel);
  Value validLanes(int64_t vector);
  void emitEpilogue(const Tile &tile, const Sums &sums);

  KernelFrame &frame;
  graph::ConvolutionOp op;
  TileBuilder t;
  BodyEmitter body;
  Image in;
  Value panels; ///< the weights, [blocks, inputs of a group, elements, channels of a block]
  int64_t lanes, vectors, tw, rowsPerUnit;
  int64_t dims, batch, channels;   ///< channels of the result
  int64_t groupIn, groupOut, taps; ///< channels of a group, and elements of one's kernel
  SmallVector<int64_t> places, kernel, stride, dilation, padding;
  int64_t blockChannels, blocks, rows, rowBlocks;
  Type accType;
  bool hasError = false;
  // The current unit.
  Value image, block, channel;
  SmallVector<Value> valid; ///< lanes that exist, a vector each; null where all do
};

} // namespace

DepthwiseEmitter::DepthwiseEmitter(KernelFrame &frame, graph::ConvolutionOp op,
                                   schedule::DepthwiseAttr point, Image input, Value panels)
    : frame(frame), op(op), t(frame.b, op.getLoc()), body(frame), in(std::move(input)),
      panels(panels), lanes(point.getLanes()), vectors(point.getVectors()), tw(point.getTw()),
      rowsPerUnit(point.getRows()), stride(op.getStride()), dilation(op.getDilation()),
      padding(op.getPaddingLow()) {
  ArrayRef<int64_t> result = cast<RankedTensorType>(op.getType()).getShape();
  dims = result.size() - 2;
  batch = result.front();
  channels = result.back();
  ArrayRef<int64_t> weight = cast<RankedTensorType>(op.getWeight().getType()).getShape();
  groupIn = weight[1];
  groupOut = channels / op.getGroups();
  llvm::append_range(places, result.drop_front().drop_back());
  llvm::append_range(kernel, weight.drop_front(2));
  taps = productOf(kernel);
  accType = registerType(cast<RankedTensorType>(op.getType()).getElementType());
  blockChannels = lanes * vectors;
  blocks = llvm::divideCeil(channels, blockChannels);
  rows = productOf(ArrayRef(places).drop_back());
  rowBlocks = llvm::divideCeil(rows, rowsPerUnit);
  valid.resize(vectors);
}

FailureOr<KernelExtent> DepthwiseEmitter::emit() {
  KernelExtent range = extent();
  if (range.units != 0)
    t.loop(frame.begin, frame.end, 1, [&](Value unit) { emitUnit(unit); });
  if (hasError)
    return failure();
  return range;
}

KernelExtent DepthwiseEmitter::extent() const {
  KernelExtent range;
  range.units = batch * blocks * rowBlocks;
  if (range.units == 0)
    return range;
  double unitFlops = 2.0 * blockChannels * productOf(places) / rowBlocks * taps * groupIn;
  range.grain = chunkOfUnits(range.units, unitFlops);
  return range;
}

//===----------------------------------------------------------------------===//
// Columns
//===----------------------------------------------------------------------===//

int64_t DepthwiseEmitter::inputColumn(int64_t column, int64_t tap) const {
  return column * stride.back() - padding.back() + tap * dilation.back();
}

bool DepthwiseEmitter::isInside(int64_t column) const {
  return inputColumn(column, 0) >= 0 && inputColumn(column, kernel.back() - 1) < in.shape[dims];
}

/// Columns of the tile's first window that are left of the image.
int64_t DepthwiseEmitter::outside(const Columns &kind) const {
  return std::max<int64_t>(0, -inputColumn(kind.first, 0));
}

SmallVector<Columns> DepthwiseEmitter::cutColumns() const {
  SmallVector<Columns> all;
  int64_t total = places.back();
  for (int64_t first = 0; first < total; first += tw) {
    int64_t width = std::min(tw, total - first);
    bool inside = isInside(first) && isInside(first + width - 1);
    if (inside && !all.empty() && all.back().isInside && all.back().width == width)
      ++all.back().count;
    else
      all.push_back({first, 1, width, inside});
  }
  return all;
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void DepthwiseEmitter::emitUnit(Value unit) {
  SmallVector<Value> digits = t.delinearize(unit, {batch, blocks, rowBlocks});
  image = digits[0];
  block = digits[1];
  channel = t.mul(block, blockChannels);
  for (int64_t v = 0; v < vectors; ++v)
    valid[v] = validLanes(v);
  Value first = t.mul(digits[2], rowsPerUnit);
  Value last = rows % rowsPerUnit == 0 ? t.add(first, rowsPerUnit)
                                       : t.min(t.add(first, rowsPerUnit), t.index(rows));
  SmallVector<Columns> columns = cutColumns();
  t.loop(first, last, 1, [&](Value row) {
    SmallVector<Value> outer = t.delinearize(row, ArrayRef(places).drop_back());
    for (const Columns &kind : columns)
      t.loop(0, kind.count, 1,
             [&](Value i) { emitTile({outer, t.add(t.mul(i, kind.width), kind.first), kind}); });
  });
}

void DepthwiseEmitter::emitTile(const Tile &tile) {
  Sums sums(tile.kind.width * vectors, t.zero(VectorType::get({lanes}, accType)));
  Value weight = t.mul(block, groupIn * taps);
  Value input = t.add(t.mul(image, in.strides[0]),
                      t.mul(t.div(channel, groupOut), groupIn * in.strides[dims + 1]));
  // Where the tile's first window begins, or the image.
  Value column = t.add(t.mul(tile.column, stride.back()), outside(tile.kind) - padding.back());
  input = t.add(input, t.mul(column, in.strides[dims]));
  emitEpilogue(tile, overKernel(tile, 0, input, weight, sums));
}

/// Adds the products of all elements of the kernel from dimension `dim` on: `input` is the place of
/// its first element in memory, `weight` its number, as far as the dimensions before say.
DepthwiseEmitter::Sums DepthwiseEmitter::overKernel(const Tile &tile, int64_t dim, Value input,
                                                    Value weight, Sums sums) {
  if (dim == dims - 1)
    return overRow(tile, input, weight, sums);
  int64_t size = in.shape[dim + 1], step = dilation[dim], reach = (kernel[dim] - 1) * step;
  Value start = t.sub(t.mul(tile.outer[dim], stride[dim]), t.index(padding[dim]));
  auto inside = [&](Value tap, ValueRange carried) {
    Value place = t.add(start, t.mul(tap, step));
    return overKernel(tile, dim + 1, t.add(input, t.mul(place, in.strides[dim + 1])),
                      t.add(weight, t.mul(tap, productOf(ArrayRef(kernel).drop_front(dim + 1)))),
                      Sums(carried));
  };
  // The taps whose elements lie in the image.
  Value low = t.index(0), high = t.index(kernel[dim]);
  bool leavesAbove = padding[dim] > 0;
  bool leavesBelow = (places[dim] - 1) * stride[dim] - padding[dim] + reach >= size;
  if (kernel[dim] == 1 && !leavesAbove && !leavesBelow)
    return inside(low, sums);
  if (leavesAbove)
    low = t.ceilDiv(t.max(t.sub(t.index(0), start), t.index(0)), step);
  if (leavesBelow)
    high = t.min(high, t.ceilDiv(t.max(t.sub(t.index(size), start), t.index(0)), step));
  return t.loop(low, high, 1, sums, inside);
}

/// Adds the products of one row of the kernel. Of one channel of each group after the other: every
/// element of the input is then loaded once, and the kernels' stay in registers.
DepthwiseEmitter::Sums DepthwiseEmitter::overRow(const Tile &tile, Value input, Value weight,
                                                 Sums sums) {
  int64_t width = tile.kind.width, columns = kernel.back(), step = stride.back();
  int64_t span = (width - 1) * step + (columns - 1) * dilation.back() + 1;
  int64_t skipped = outside(tile.kind), read = lanes / groupOut * groupIn;
  Value pixels =
      t.window(in.memref, input, {span, read * vectors}, {in.strides[dims], in.strides[dims + 1]});
  Value row = t.window(panels, t.mul(weight, blockChannels), {groupIn, columns, blockChannels},
                       {taps * blockChannels, blockChannels, 1});
  for (int64_t c = 0; c < groupIn; ++c) {
    SmallVector<Value> factors(columns * vectors);
    auto factor = [&](int64_t tap, int64_t v) {
      Value &value = factors[tap * vectors + v];
      if (!value)
        value = load(row, {c, tap}, v, lanes, {});
      return value;
    };
    for (int64_t x = 0; x < span; ++x) {
      // Places outside of the image; the column of tiles inside is not known here, and not asked
      // for.
      int64_t place = inputColumn(tile.kind.first, 0) + x;
      if (!tile.kind.isInside && (place < 0 || place >= in.shape[dims]))
        continue;
      SmallVector<Value> pixel(vectors);
      for (int64_t q = 0; q < width; ++q) {
        int64_t distance = x - q * step, tap = distance / dilation.back();
        if (distance < 0 || distance % dilation.back() != 0 || tap >= columns)
          continue;
        for (int64_t v = 0; v < vectors; ++v) {
          if (!pixel[v])
            pixel[v] = spread(load(pixels, {x - skipped}, v, read, valid[v]), c);
          Value &sum = sums[q * vectors + v];
          sum = math::FmaOp::create(t.b, t.loc, pixel[v], factor(tap, v), sum);
        }
      }
    }
  }
  return sums;
}

/// How many lanes of the block's vector are channels; null where all are.
Value DepthwiseEmitter::validLanes(int64_t vector) {
  if (channels % blockChannels == 0)
    return {};
  Value left = t.sub(t.index(channels - vector * lanes), channel);
  return t.max(t.min(left, t.index(lanes)), t.index(0));
}

/// The `vector`-th `read` channels in row `row` of a window. Of the lanes they are for only `valid`
/// exist, where that is given.
Value DepthwiseEmitter::load(Value buffer, ArrayRef<int64_t> row, int64_t vector, int64_t read,
                             Value valid) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  if (valid)
    valid = t.mul(t.div(valid, groupOut), groupIn);
  SmallVector<Value> indices;
  for (int64_t index : row)
    indices.push_back(t.index(index));
  indices.push_back(t.index(vector * read));
  Value value = t.load(VectorType::get({read}, element), buffer, indices, valid);
  if (element != accType)
    value = arith::ExtFOp::create(t.b, t.loc, VectorType::get({read}, accType), value);
  return value;
}

/// Channel `channel` of each group in the lanes of all its results.
Value DepthwiseEmitter::spread(Value groups, int64_t channel) {
  if (groupIn == 1 && groupOut == 1)
    return groups;
  SmallVector<int64_t> from;
  for (int64_t lane = 0; lane < lanes; ++lane)
    from.push_back(lane / groupOut * groupIn + channel);
  return vector::ShuffleOp::create(t.b, t.loc, groups, groups, from);
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

/// All values before the first store: what outputs share is then loaded once.
void DepthwiseEmitter::emitEpilogue(const Tile &tile, const Sums &sums) {
  auto yielded = frame.kernel.getYield().getValues();
  SmallVector<std::pair<TilePoint, SmallVector<Value>>> computed;
  for (int64_t q = 0; q < tile.kind.width; ++q)
    for (int64_t v = 0; v < vectors; ++v) {
      TilePoint point;
      point.indices.push_back(image);
      llvm::append_range(point.indices, tile.outer);
      point.indices.push_back(t.add(tile.column, q));
      point.indices.push_back(t.add(channel, v * lanes));
      point.laneDim = dims + 1;
      point.lanes = lanes;
      point.valid = valid[v];
      body.reset();
      body.bind(op.getResult(), sums[q * vectors + v]);
      SmallVector<Value> values;
      for (Value value : yielded) {
        FailureOr<Value> vector = body.emit(value, point);
        hasError |= failed(vector);
        if (hasError)
          return;
        values.push_back(*vector);
      }
      computed.push_back({std::move(point), std::move(values)});
    }
  for (auto &[point, values] : computed)
    for (auto [result, value] : llvm::enumerate(values))
      body.store(t.loc, result, point, value);
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

/// The panels behind the weights; null where they are not packed.
static BlockArgument findPanels(graph::ConvolutionOp op) {
  auto kernels = op.getWeight().getDefiningOp<graph::PermuteOp>();
  auto columns = kernels ? kernels.getOperand().getDefiningOp<graph::ReshapeOp>() : nullptr;
  auto unpack = columns ? columns.getOperand().getDefiningOp<schedule::UnpackOp>() : nullptr;
  return unpack ? dyn_cast<BlockArgument>(unpack.getSource()) : BlockArgument();
}

FailureOr<KernelExtent> emitDepthwise(KernelFrame &frame) {
  auto op = findOnly<graph::ConvolutionOp>(frame.kernel);
  if (!op)
    return frame.kernel.emitOpError(
        "[depthwise] body must hold exactly one graph.convolution; split the kernel");
  auto point = dyn_cast_or_null<schedule::DepthwiseAttr>(frame.kernel.getPointAttr());
  if (!point)
    return frame.kernel.emitOpError("[depthwise] needs a #schedule.depthwise point");
  if (point.getLanes() < 1 || point.getVectors() < 1 || point.getTw() < 1 || point.getRows() < 1)
    return frame.kernel.emitOpError("[depthwise] sizes must be positive, got ") << point;
  auto weight = cast<RankedTensorType>(op.getWeight().getType());
  auto type = cast<RankedTensorType>(op.getType());
  int64_t inputs = weight.getDimSize(1), outputs = weight.getDimSize(0) / op.getGroups();
  if (!op.getChannelsLast() || !type.hasStaticShape() || (inputs != 1 && inputs != outputs) ||
      !isa<FloatType>(type.getElementType()) || point.getLanes() % outputs != 0)
    return frame.kernel.emitOpError(
               "[depthwise] takes convolutions of floats whose groups fill a vector and have one "
               "input channel or as many as outputs, channels last and static sizes, got ")
           << *op;
  auto input = dyn_cast<BlockArgument>(op.getInput()), panels = findPanels(op);
  if (!input || !panels)
    return frame.kernel.emitOpError("[depthwise] reads an input of the kernel, and its weights "
                                    "from panels; compute them in kernels of their own");
  int64_t width = cast<RankedTensorType>(panels.getType()).getShape().back();
  if (width != point.getLanes() * point.getVectors())
    return frame.kernel.emitOpError("[depthwise] panels of ")
           << width << " channels do not fit " << point;
  unsigned i = input.getArgNumber();
  Image image{frame.inputs[i], llvm::to_vector(cast<RankedTensorType>(input.getType()).getShape()),
              frame.kernel.getInputStrides(i)};
  return DepthwiseEmitter(frame, op, point, std::move(image), frame.inputs[panels.getArgNumber()])
      .emit();
}

} // namespace tessera
