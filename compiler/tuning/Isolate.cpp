//===- Isolate.cpp - one kernel of a program, alone --------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/tuning/Isolate.h"

#include "compiler/conversions/GraphToSchedule/Prepared.h"
#include "compiler/conversions/ScheduleToTile/TileKernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace tessera;
using schedule::KernelOp;
using schedule::ViewOp;

static Value rootOf(Value value) {
  auto view = value.getDefiningOp<ViewOp>();
  return view ? view.getSource() : value;
}

OwningOpRef<ModuleOp> tessera::isolateKernel(KernelOp kernel) {
  // Locations name the user's files; a kernel on its own is nobody's line.
  Location loc = UnknownLoc::get(kernel.getContext());
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  OpBuilder b = OpBuilder::atBlockEnd(module->getBody());
  llvm::SetVector<Value> roots;
  for (Value input : kernel.getInputs())
    roots.insert(rootOf(input));
  SmallVector<Type> given;
  for (Value root : roots)
    if (!isPrepared(root))
      given.push_back(root.getType());
  auto type = b.getFunctionType(given, kernel.getOutputs().getTypes());
  auto main = func::FuncOp::create(b, loc, "main", type);
  Block *block = main.addEntryBlock();
  b.setInsertionPointToStart(block);

  IRMapping map;
  unsigned next = 0, parameters = 0;
  for (Value root : roots) {
    if (!isPrepared(root)) {
      map.map(root, block->getArgument(next++));
      continue;
    }
    auto name = b.getStringAttr("prepared" + std::to_string(parameters++));
    map.map(root, graph::ParameterOp::create(b, loc, root.getType(), name).getResult());
  }
  for (Value input : kernel.getInputs())
    if (auto view = input.getDefiningOp<ViewOp>(); view && !map.contains(input))
      map.map(input, b.clone(*view, map)->getResult(0));
  auto clone = cast<KernelOp>(b.clone(*kernel, map));
  clone->setDiscardableAttrs(DictionaryAttr::get(kernel.getContext()));
  clone.removePlacementAttr();
  func::ReturnOp::create(b, loc, clone.getOutputs());
  return module;
}

std::string tessera::tuningIdentity(KernelOp kernel) {
  OwningOpRef<KernelOp> clone = kernel.clone();
  clone->removePointAttr();
  clone->removeSpaceAttr();
  std::string text = kernelKey(*clone);
  for (Value input : kernel.getInputs())
    text += isPrepared(input) ? " prepared" : " given";
  return text;
}
