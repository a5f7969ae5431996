//===- ScheduleToTile.cpp - kernels become functions -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: @main with schedule.kernel. To: @main with schedule.launch, and one tile
// function for every distinct kernel. What a class of kernels looks like inside
// is written in the file of its name.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Passes.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/KernelNotes.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/StringMap.h"

namespace tessera {
#define GEN_PASS_DEF_CONVERTSCHEDULETOTILE
#include "compiler/conversions/ScheduleToTile/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;
using schedule::KernelOp;

namespace {
struct ConvertScheduleToTile : tessera::impl::ConvertScheduleToTileBase<ConvertScheduleToTile> {
  ConvertScheduleToTile() = default;
  explicit ConvertScheduleToTile(KnownKernels known) : known(std::move(known)) {}

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<KernelOp> kernels;
    module.walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    for (KernelOp kernel : kernels)
      if (failed(convert(module, kernel)))
        return signalPassFailure();
  }

private:
  LogicalResult convert(ModuleOp module, KernelOp kernel);
  FailureOr<TileKernel> functionOf(ModuleOp module, KernelOp kernel, StringRef name, StringRef key);

  KnownKernels known;
  llvm::StringMap<TileKernel> emitted;
  llvm::StringMap<std::string> keys; ///< by name
};
} // namespace

/// The function of the kernel: emitted now, before, or (its code being at hand) only declared.
FailureOr<TileKernel> ConvertScheduleToTile::functionOf(ModuleOp module, KernelOp kernel,
                                                        StringRef name, StringRef key) {
  if (auto it = emitted.find(name); it != emitted.end())
    return it->second;
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  TileKernel record;
  if (std::optional<TileKernel> found = known ? known(name, key) : std::nullopt) {
    record = *found;
    auto type = b.getFunctionType({}, {b.getI32Type()});
    func::FuncOp::create(b, kernel.getLoc(), name, type).setPrivate();
  } else {
    FailureOr<func::FuncOp> function = emitTileKernel(kernel, b, name, record);
    if (failed(function))
      return failure();
    (*function)->setAttr("tile.key", b.getStringAttr(key));
    (*function)->setAttr("tile.extent",
                         b.getDenseI64ArrayAttr({record.units, record.grain, record.scratchBytes}));
  }
  return emitted[name] = record;
}

LogicalResult ConvertScheduleToTile::convert(ModuleOp module, KernelOp kernel) {
  std::string key = kernelKey(kernel), name = kernelName(kernel, key);
  // A name is short: two kernels that share one by chance must not share code.
  while (keys.try_emplace(name, key).first->second != key)
    name += "_";
  FailureOr<TileKernel> record = functionOf(module, kernel, name, key);
  if (failed(record))
    return failure();
  KernelCost cost = kernelCost(kernel);
  OpBuilder b(kernel);
  auto launch = schedule::LaunchOp::create(b, kernel.getLoc(), kernel.getOutputs().getTypes(), name,
                                           kernel.getInputs(), kernel.getKind(), record->units,
                                           record->grain, record->scratchBytes,
                                           llvm::APFloat(cost.flops), llvm::APFloat(cost.bytes),
                                           kernel.getPrepare(), kernel.getPlacementAttr());
  if (Attribute point = kernel.getPointAttr())
    launch->setAttr("point", point);
  for (NamedAttribute note : kernel->getDiscardableAttrs())
    launch->setAttr(note.getName(), note.getValue());
  SmallVector<Attribute> fused;
  for (Operation &op : kernel.getBody().front().without_terminator())
    if (!isa<graph::ConstantOp>(op))
      fused.push_back(b.getStringAttr(op.getName().stripDialect()));
  launch->setAttr(schedule::kFusedNote, b.getArrayAttr(fused));
  kernel.replaceAllUsesWith(launch.getOutputs());
  kernel.erase();
  return success();
}

std::unique_ptr<Pass> tessera::createConvertScheduleToTilePass(KnownKernels known) {
  return std::make_unique<ConvertScheduleToTile>(std::move(known));
}
