//===- TargetContract.cpp - what leaves the target level ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels as the conversion to LLVM may rely on them: flat buffers, vectors the
// machine has, no function that only a library knows.
//
//===----------------------------------------------------------------------===//

#include "compiler/contracts/Passes.h"
#include "compiler/target/ir/TargetOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace tessera {
#define GEN_PASS_DEF_VERIFYTARGET
#include "compiler/contracts/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

static bool isKnown(Operation *op) {
  if (isa<memref::MemRefDialect>(op->getDialect()))
    return isa<memref::LoadOp, memref::StoreOp, memref::PrefetchOp, memref::ViewOp,
               memref::AllocaOp, memref::ExtractAlignedPointerAsIndexOp>(op);
  return isa<arith::ArithDialect, LLVM::LLVMDialect, math::MathDialect, scf::SCFDialect,
             target::TargetDialect, ub::UBDialect, vector::VectorDialect,
             x86vector::X86VectorDialect>(op->getDialect()) ||
         isa<func::ReturnOp>(op);
}

static LogicalResult verifyType(Operation *op, Type type, target::MachineAttr machine) {
  if (auto vector = dyn_cast<VectorType>(type))
    if (vector.isScalable() || vector.getRank() != 1 ||
        vector.getNumElements() > machine.getLanes()) {
      // The wider lanes of a narrowing or the halves of a pair never leave one op.
      if (isa<x86vector::X86VectorDialect>(op->getDialect()))
        return success();
      return op->emitOpError("[verify-target] uses ")
             << type << "; a machine of " << machine.getVectorBits()
             << " bits has vectors of at most " << machine.getLanes() << " lanes";
    }
  auto buffer = dyn_cast<MemRefType>(type);
  if (buffer && (buffer.getRank() != 1 || !buffer.getLayout().isIdentity()))
    return op->emitOpError("[verify-target] uses ") << type << "; buffers are flat";
  return success();
}

static LogicalResult verifyOp(Operation *op, target::MachineAttr machine) {
  if (!isKnown(op))
    return op->emitOpError(
        "[verify-target] is not of the target level; run tessera-tile-to-target");
  for (Type type : llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes()))
    if (failed(verifyType(op, type, machine)))
      return failure();
  return success();
}

namespace {
struct VerifyTarget : tessera::impl::VerifyTargetBase<VerifyTarget> {
  void runOnOperation() override {
    StringRef name = target::MachineAttr::getModuleAttrName();
    auto machine = getOperation()->getAttrOfType<target::MachineAttr>(name);
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (!machine) {
        getOperation().emitOpError("[verify-target] has kernels but no ") << name;
        return signalPassFailure();
      }
      for (Type type : function.getArgumentTypes())
        if (failed(verifyType(function, type, machine)))
          return signalPassFailure();
      WalkResult result = function.getBody().walk([&](Operation *op) {
        return failed(verifyOp(op, machine)) ? WalkResult::interrupt() : WalkResult::advance();
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
  }
};
} // namespace
