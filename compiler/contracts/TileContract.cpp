//===- TileContract.cpp - what leaves the tile level ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels as the conversions to a target may rely on them: buffers with static
// strides, vectors of one or two dimensions, and the ops a target knows.
//
//===----------------------------------------------------------------------===//

#include "compiler/contracts/Passes.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace tessera {
#define GEN_PASS_DEF_VERIFYTILE
#include "compiler/contracts/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

static bool isScratch(Type type) {
  auto buffer = dyn_cast<MemRefType>(type);
  return buffer && buffer.getRank() == 1 && buffer.isDynamicDim(0) &&
         buffer.getElementType().isInteger(8);
}

/// Whether the function claims to be a kernel.
static bool isKernel(func::FuncOp function) {
  ArrayRef<Type> inputs = function.getFunctionType().getInputs(),
                 results = function.getFunctionType().getResults();
  size_t count = inputs.size();
  return count >= 3 && isScratch(inputs[count - 3]) && inputs[count - 2].isIndex() &&
         inputs[count - 1].isIndex() && results.size() == 1 && results.front().isInteger(32);
}

static LogicalResult verifyType(Operation *op, Type type) {
  if (auto vector = dyn_cast<VectorType>(type))
    if (vector.isScalable() || vector.getRank() < 1 || vector.getRank() > 2)
      return op->emitOpError("[verify-tile] uses ")
             << type << "; vectors have one or two fixed dimensions";
  if (isa<TensorType>(type))
    return op->emitOpError("[verify-tile] uses ") << type << "; kernels work on buffers";
  auto buffer = dyn_cast<MemRefType>(type);
  if (!buffer)
    return success();
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(buffer.getStridesAndOffset(strides, offset)) ||
      llvm::any_of(strides, ShapedType::isDynamic))
    return op->emitOpError("[verify-tile] uses ") << type << "; strides must be static";
  return success();
}

static bool isKnown(Operation *op) {
  if (isa<memref::MemRefDialect>(op->getDialect()))
    return isa<memref::LoadOp, memref::StoreOp, memref::PrefetchOp, memref::ViewOp,
               memref::SubViewOp, memref::CastOp, memref::ReinterpretCastOp,
               memref::CollapseShapeOp, memref::ExpandShapeOp, memref::AllocaOp, memref::CopyOp>(
        op);
  if (isa<vector::VectorDialect>(op->getDialect()))
    return isa<vector::BroadcastOp, vector::ExtractOp, vector::InsertOp, vector::ShapeCastOp,
               vector::ExtractStridedSliceOp, vector::InsertStridedSliceOp, vector::ShuffleOp,
               vector::FromElementsOp, vector::ToElementsOp, vector::ReductionOp, vector::StepOp,
               vector::CreateMaskOp, vector::FMAOp>(op);
  return isa<arith::ArithDialect, math::MathDialect, scf::SCFDialect, tile::TileDialect,
             ub::UBDialect>(op->getDialect()) ||
         isa<func::ReturnOp>(op);
}

static LogicalResult verifyOp(Operation *op) {
  if (!isKnown(op))
    return op->emitOpError(
        "[verify-tile] is not of the tile level; lanes are moved by tile.load and tile.store, "
        "buffers made by memref.view of scratch");
  for (Type type : llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes()))
    if (failed(verifyType(op, type)))
      return failure();
  if (isa<math::MathDialect>(op->getDialect()))
    for (Type type : op->getResultTypes())
      if (getElementTypeOrSelf(type).isF16() || getElementTypeOrSelf(type).isBF16())
        return op->emitOpError("[verify-tile] computes in ")
               << type << "; f16 and bf16 are for storage, widen to f32";
  return success();
}

namespace {
struct VerifyTile : tessera::impl::VerifyTileBase<VerifyTile> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (!isKernel(function))
      return;
    for (Type type : function.getArgumentTypes().drop_back(3)) {
      auto buffer = dyn_cast<MemRefType>(type);
      if (!buffer || !buffer.hasStaticShape()) {
        function.emitOpError("[verify-tile] takes ")
            << type << "; a kernel's arguments are buffers of static sizes";
        return signalPassFailure();
      }
    }
    WalkResult result = function.getBody().walk([](Operation *op) {
      return failed(verifyOp(op)) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
