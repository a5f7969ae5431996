//===- ScheduleOps.cpp - verifiers of the schedule dialect -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/ir/ScheduleOps.h"

#include "compiler/support/Sizes.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

#include "compiler/schedule/ir/ScheduleDialect.cpp.inc"

#include "compiler/schedule/ir/ScheduleEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "compiler/schedule/ir/ScheduleAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "compiler/schedule/ir/ScheduleOps.cpp.inc"

void ScheduleDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "compiler/schedule/ir/ScheduleAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "compiler/schedule/ir/ScheduleOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// KernelOp
//===----------------------------------------------------------------------===//

YieldOp KernelOp::getYield() { return cast<YieldOp>(getBody().front().getTerminator()); }

SmallVector<int64_t> KernelOp::getInputStrides(unsigned i) {
  Value input = getInputs()[i];
  if (auto view = input.getDefiningOp<ViewOp>())
    return llvm::to_vector(view.getStrides());
  return rowMajorStrides(cast<RankedTensorType>(input.getType()).getShape());
}

SmallVector<int64_t> KernelOp::getResultPerm(unsigned i) {
  if (ArrayAttr perms = getResultPermsAttr())
    return SmallVector<int64_t>(cast<DenseI64ArrayAttr>(perms[i]).asArrayRef());
  return llvm::to_vector(
      llvm::seq<int64_t>(0, cast<RankedTensorType>(getOutputs()[i].getType()).getRank()));
}

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  if (block.getNumArguments() != getInputs().size())
    return emitOpError("[kernel] body takes ")
           << block.getNumArguments() << " arguments for " << getInputs().size() << " inputs";
  for (auto [input, argument] : llvm::zip_equal(getInputs(), block.getArguments()))
    if (input.getType() != argument.getType())
      return emitOpError("[kernel] body argument of type ")
             << argument.getType() << " does not match its input of type " << input.getType();
  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield || yield.getValues().size() != getOutputs().size())
    return emitOpError("[kernel] must yield one value a result");
  for (unsigned i = 0, e = getOutputs().size(); i != e; ++i) {
    auto yielded = cast<RankedTensorType>(yield.getValues()[i].getType());
    SmallVector<int64_t> perm = getResultPerm(i), shape;
    for (int64_t d : perm)
      shape.push_back(yielded.getDimSize(d));
    auto stored = cast<RankedTensorType>(getOutputs()[i].getType());
    // Rows may be stored with gaps.
    if (!shape.empty() && stored.getRank() == yielded.getRank())
      shape.back() = std::max(shape.back(), stored.getShape().back());
    if (yielded.clone(shape) != stored)
      return emitOpError("[kernel] result ") << i << " of type " << getOutputs()[i].getType()
                                             << " does not match the yielded " << yielded;
  }
  if (ArrayAttr placement = getPlacementAttr())
    if (placement.size() != getOutputs().size())
      return emitOpError("[kernel] placement must name one storage a result");
  return success();
}

//===----------------------------------------------------------------------===//
// Layouts
//===----------------------------------------------------------------------===//

LogicalResult ViewOp::verify() {
  auto source = cast<RankedTensorType>(getSource().getType());
  auto result = cast<RankedTensorType>(getType());
  if (getSource().getDefiningOp<ViewOp>())
    return emitOpError("[view] source must be a root, not another view; compose the two layouts");
  if (source.getElementType() != result.getElementType())
    return emitOpError("[view] cannot change the element type");
  if (static_cast<int64_t>(getStrides().size()) != result.getRank())
    return emitOpError("[view] needs one stride a dimension");
  if (!source.hasStaticShape() || !result.hasStaticShape() || result.getNumElements() == 0)
    return success();
  int64_t low = getOffset(), high = getOffset();
  for (auto [size, stride] : llvm::zip_equal(result.getShape(), getStrides()))
    (stride < 0 ? low : high) += (size - 1) * stride;
  if (low < 0 || high >= source.getNumElements())
    return emitOpError("[view] addresses elements ")
           << low << " to " << high << " of a storage of " << source.getNumElements();
  return success();
}

/// `panels` is […, ceil(N/nr), K, nr] for `matrix` […, K, N], or […, ceil(N/nr), ceil(K/2), nr, 2].
static LogicalResult verifyPanels(Operation *op, RankedTensorType matrix, RankedTensorType panels) {
  int64_t rank = matrix.getRank(), more = panels.getRank() - rank;
  if (rank < 2 || (more != 1 && more != 2))
    return op->emitOpError("[pack] panels must have one dimension more than the matrix, or two");
  bool pairs = more == 2;
  if (pairs && (!panels.getElementType().isBF16() || panels.getShape().back() != 2))
    return op->emitOpError("[pack] panels of pairs end in two bf16, got ") << panels;
  int64_t k = matrix.getDimSize(rank - 2), n = matrix.getDimSize(rank - 1);
  int64_t nr = panels.getDimSize(rank);
  if (nr <= 0 || panels.getDimSize(rank - 1) != (pairs ? (k + 1) / 2 : k) ||
      panels.getDimSize(rank - 2) != (n + nr - 1) / nr ||
      matrix.getShape().drop_back(2) != panels.getShape().take_front(rank - 2))
    return op->emitOpError("[pack] ") << panels << " does not hold the panels of " << matrix;
  bool rounds = pairs && isa<PackOp>(op) && matrix.getElementType().isF32();
  if (matrix.getElementType() != panels.getElementType() && !rounds)
    return op->emitOpError("[pack] cannot convert ")
           << matrix.getElementType() << " to " << panels.getElementType();
  return success();
}

LogicalResult PackOp::verify() {
  return verifyPanels(*this, cast<RankedTensorType>(getSource().getType()),
                      cast<RankedTensorType>(getType()));
}

LogicalResult UnpackKernelsOp::verify() {
  auto panels = cast<RankedTensorType>(getSource().getType());
  auto weight = cast<RankedTensorType>(getType());
  bool pairs = panels.getRank() == 5 && panels.getShape().back() == 2;
  if ((panels.getRank() != 4 && !pairs) || weight.getRank() < 3)
    return emitOpError("[unpack_kernels] ") << panels << " does not hold the panels of " << weight;
  int64_t channels = weight.getDimSize(1), depth = panels.getDimSize(2) * (pairs ? 2 : 1);
  int64_t columns = panels.getDimSize(1) * panels.getDimSize(3);
  bool isDirect = depth == productOf(weight.getShape().drop_front()) &&
                  panels.getDimSize(0) * columns >= weight.getDimSize(0);
  bool isTransformed =
      panels.getDimSize(0) == 16 && depth == channels && columns >= weight.getDimSize(0);
  if (!isDirect && !isTransformed)
    return emitOpError("[unpack_kernels] ") << panels << " does not hold the panels of " << weight;
  return success();
}

LogicalResult UnpackOp::verify() {
  return verifyPanels(*this, cast<RankedTensorType>(getType()),
                      cast<RankedTensorType>(getSource().getType()));
}
