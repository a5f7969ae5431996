//===- Pack.cpp - column panels of a matrix --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a kernel of class pack, its body one schedule.pack. To: a loop around
// tile.pack; a unit is one panel of one batch item.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ContractionBuilder.h"
#include "compiler/conversions/ScheduleToTile/IterationSpace.h"
#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"

using namespace mlir;

namespace tessera {

/// Bytes of panels a unit should hold: a chunk of fewer is not worth handing out.
static constexpr int64_t kChunkBytes = 256 << 10;

FailureOr<KernelExtent> emitPack(KernelFrame &frame) {
  auto pack = frame.kernel.getYield().getValues().size() == 1
                  ? frame.kernel.getYield().getValues().front().getDefiningOp<schedule::PackOp>()
                  : schedule::PackOp();
  auto argument = pack ? dyn_cast<BlockArgument>(pack.getSource()) : BlockArgument();
  if (!argument)
    return frame.kernel.emitOpError("[pack] body must be one schedule.pack of an input");
  auto matrix = cast<RankedTensorType>(pack.getSource().getType());
  auto result = cast<RankedTensorType>(pack.getType());
  if (!matrix.hasStaticShape())
    return frame.kernel.emitOpError("[pack] shapes must be static, got ") << matrix;

  int64_t rank = matrix.getRank();
  int64_t k = matrix.getDimSize(rank - 2), n = matrix.getDimSize(rank - 1);
  int64_t panels = result.getDimSize(rank - 2), nr = result.getDimSize(rank);
  bool pairs = result.getRank() == rank + 2;
  ArrayRef<int64_t> batch = matrix.getShape().drop_back(2);
  SmallVector<int64_t> strides = frame.kernel.getInputStrides(argument.getArgNumber());
  SmallVector<int64_t> resultStrides = rowMajorStrides(result.getShape());

  KernelExtent range;
  range.units = panels * productOf(batch);
  int64_t panelBytes = std::max<int64_t>(1, k * nr * matrix.getElementTypeBitWidth() / 8);
  range.grain = std::clamp<int64_t>(kChunkBytes / panelBytes, 1, std::max<int64_t>(range.units, 1));
  if (range.units == 0 || k == 0)
    return range;

  TileBuilder t(frame.b, pack.getLoc());
  t.loop(frame.begin, frame.end, 1, [&](Value unit) {
    Value panel = t.rem(unit, panels);
    SmallVector<Value> item = t.delinearize(t.div(unit, panels), batch);
    Value source = t.window(frame.inputs[argument.getArgNumber()],
                            t.linearize(item, ArrayRef<int64_t>(strides).drop_back(2)), {k, n},
                            {strides[rank - 2], strides[rank - 1]});
    Value panelStart = t.linearize(item, ArrayRef<int64_t>(resultStrides).take_front(rank - 2));
    // Of one batch item: the dimensions from the panels on.
    Value target = t.window(frame.outputs[0], panelStart, result.getShape().drop_front(rank - 2),
                            ArrayRef<int64_t>(resultStrides).drop_front(rank - 2));
    SmallVector<Value> place(result.getRank() - (rank - 2), t.index(0));
    place.front() = panel;
    auto emit = [&](int64_t columns) {
      t.pack(source, {t.index(0), t.mul(panel, nr)}, target, place, t.index(k), t.index(columns),
             pairs);
    };
    // Whole panels know their width; only the last one may be partial.
    int64_t whole = n / nr;
    if (whole > 0)
      t.when(whole == panels ? t.constant(t.b.getI1Type(), 1) : t.less(panel, t.index(whole)),
             [&] { emit(nr); });
    if (whole < panels)
      t.when(whole == 0 ? t.constant(t.b.getI1Type(), 1) : t.equal(panel, t.index(whole)),
             [&] { emit(n - whole * nr); });
  });
  return range;
}

} // namespace tessera
