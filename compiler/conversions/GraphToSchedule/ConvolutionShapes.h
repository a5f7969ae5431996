//===- ConvolutionShapes.h - what schedules of convolutions depend on ------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_CONVOLUTIONSHAPES_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_CONVOLUTIONSHAPES_H

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/schedule/transforms/ConvolutionSchedule.h"

namespace tessera {

/// `op` has channels last and static sizes. With `bf16Dot` the machine multiplies pairs of bf16:
/// of channels, which must come in whole ones.
inline schedule::ConvolutionShape convolutionShape(graph::ConvolutionOp op, bool bf16Dot) {
  auto input = llvm::cast<mlir::RankedTensorType>(op.getInput().getType());
  auto weight = llvm::cast<mlir::RankedTensorType>(op.getWeight().getType());
  auto result = llvm::cast<mlir::RankedTensorType>(op.getResult().getType());
  schedule::ConvolutionShape shape;
  shape.batch = input.getDimSize(0);
  shape.groups = op.getGroups();
  shape.channels = weight.getDimSize(1);
  shape.outputs = weight.getDimSize(0) / shape.groups;
  llvm::append_range(shape.sizes, input.getShape().drop_front().drop_back());
  llvm::append_range(shape.places, result.getShape().drop_front().drop_back());
  llvm::append_range(shape.kernel, weight.getShape().drop_front(2));
  llvm::append_range(shape.stride, op.getStride());
  llvm::append_range(shape.dilation, op.getDilation());
  llvm::append_range(shape.padding, op.getPaddingLow());
  shape.isFloat = llvm::isa<mlir::FloatType>(input.getElementType());
  shape.operandBits = input.getElementTypeBitWidth();
  shape.accBits = std::max<int64_t>(shape.operandBits, 32);
  shape.pairs = bf16Dot && input.getElementType().isBF16() && shape.channels % 2 == 0;
  auto function = op->getParentOfType<mlir::func::FuncOp>();
  auto precision =
      function ? function->getAttrOfType<mlir::StringAttr>(graph::kPrecision) : nullptr;
  llvm::StringRef wanted = precision ? precision.getValue() : "";
  // A model's own halves leave no error for transforms to add to.
  shape.isExact = shape.operandBits < 32 ? wanted != "bf16" : wanted == "fp32";
  return shape;
}

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_CONVOLUTIONSHAPES_H
