//===- TileToTarget.cpp - the pass ----------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From kernel functions of the tile level (strided buffers, vectors of any size)
// to the same functions on flat buffers and machine vectors. The patterns are in
// the other files of this folder, one subject each.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/conversions/TileToTarget/Passes.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace tessera {
#define GEN_PASS_DEF_TILETOTARGET
#include "compiler/conversions/TileToTarget/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

namespace {

class TileToTarget : public tessera::impl::TileToTargetBase<TileToTarget> {
public:
  using TileToTargetBase::TileToTargetBase;

  void runOnOperation() override {
    target::MachineAttr machine = machineOf(getOperation());
    if (!machine)
      return signalPassFailure();
    MachineTypes types(machine.getLanes());
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal() && failed(convert(function, types, machine)))
        return signalPassFailure();
  }

private:
  /// The module's machine, made from the options where it has none.
  target::MachineAttr machineOf(ModuleOp module) {
    StringRef name = target::MachineAttr::getModuleAttrName();
    if (auto machine = module->getAttrOfType<target::MachineAttr>(name))
      return machine;
    auto emitError = [&] { return module.emitError(); };
    auto machine = target::MachineAttr::getChecked(emitError, &getContext(), StringRef(cpu),
                                                   StringRef(features), int64_t(vectorBits),
                                                   StringRef(mathLibrary));
    if (machine)
      module->setAttr(name, machine);
    return machine;
  }

  LogicalResult convert(func::FuncOp function, MachineTypes &types, target::MachineAttr machine) {
    FailureOr<Buffers> buffers = Buffers::flatten(function);
    if (failed(buffers))
      return failure();
    Lowering lowering{types, *buffers, machine};
    RewritePatternSet patterns(&getContext());
    populateElementwisePatterns(patterns, lowering);
    populateShapePatterns(patterns, lowering);
    populateMemoryPatterns(patterns, lowering);
    populateMmaPatterns(patterns, lowering);
    populatePackPatterns(patterns, lowering);
    populateFunctionPatterns(patterns, lowering);
    populateMathLibraryPatterns(patterns, lowering);
    populateLibraryPatterns(patterns, lowering);

    ConversionTarget legal(getContext());
    scf::populateSCFStructuralTypeConversionsAndLegality(types, patterns, legal);
    legal.addIllegalDialect<tile::TileDialect>();
    legal.addIllegalOp<vector::CreateMaskOp, vector::StepOp>();
    legal.markUnknownOpDynamicallyLegal([&](Operation *op) {
      return types.isLegal(op) && !Buffers::isTileAccess(op) && !needsExpansion(op, machine) &&
             !isSlowReduction(op);
    });
    ConversionConfig config;
    config.foldingMode =
        DialectConversionFoldingMode::Never; // the buffers' types are in between two levels
    config.allowPatternRollback = false;
    if (failed(applyPartialConversion(function, legal, std::move(patterns), config)))
      return failure();
    buffers->eraseDead();
    return success();
  }
};

} // namespace
