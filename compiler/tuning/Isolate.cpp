//===- Isolate.cpp - one kernel of a program, alone --------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/tuning/Isolate.h"

#include "compiler/conversions/GraphToSchedule/Prepared.h"
#include "compiler/conversions/ScheduleToTile/TileKernel.h"
#include "compiler/support/Sizes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace tessera;
using schedule::KernelOp;
using schedule::ViewOp;

static Value rootOf(Value value) {
  auto view = value.getDefiningOp<ViewOp>();
  return view ? view.getSource() : value;
}

/// The `i`th result as it would be without gaps between its rows: what is in those nobody wrote.
static Value withoutGaps(OpBuilder &b, KernelOp kernel, unsigned i) {
  Value output = kernel.getOutputs()[i];
  auto stored = cast<RankedTensorType>(output.getType());
  auto yielded = cast<RankedTensorType>(kernel.getYield().getValues()[i].getType());
  SmallVector<int64_t> shape;
  for (int64_t d : kernel.getResultPerm(i))
    shape.push_back(yielded.getDimSize(d));
  if (stored.getShape() == ArrayRef(shape))
    return output;
  return ViewOp::create(b, kernel.getLoc(), stored.clone(shape), output, b.getI64IntegerAttr(0),
                        b.getDenseI64ArrayAttr(rowMajorStrides(stored.getShape())));
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
  SmallVector<Value> results;
  for (unsigned i = 0, e = clone.getOutputs().size(); i != e; ++i)
    results.push_back(withoutGaps(b, clone, i));
  main.setFunctionType(b.getFunctionType(given, TypeRange(ValueRange(results))));
  func::ReturnOp::create(b, loc, results);
  return module;
}

/// Sizes up to this one are all different.
static constexpr int64_t kSmallSize = 16;

/// `text` with each whole number in it, `fixed` and small ones apart, as the power of two that is
/// not below it. Names and floating point numbers stay.
static std::string inRanges(StringRef text, const llvm::DenseSet<int64_t> &fixed) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (!llvm::isDigit(text[i])) {
      result += text[i++];
      continue;
    }
    StringRef digits = text.substr(i).take_while(llvm::isDigit);
    char before = i > 0 ? text[i - 1] : ' ';
    size_t end = i + digits.size();
    char after = end < text.size() ? text[end] : ' ';
    // 64 in tensor<8x64xf32> follows a letter and is a size.
    bool isSize = before == 'x' && i > 1 && llvm::isDigit(text[i - 2]);
    bool isName = !isSize && (llvm::isAlnum(before) || StringRef("_%.#").contains(before));
    int64_t value = 0;
    i += digits.size();
    if (isName || after == '.' || digits.getAsInteger(10, value) || value <= kSmallSize ||
        fixed.contains(value))
      result += digits;
    else
      result += "~" + std::to_string(powerOfTwoCeil(value));
  }
  return result;
}

std::string tessera::tuningIdentity(KernelOp kernel, bool anySizes) {
  OwningOpRef<KernelOp> clone = kernel.clone();
  clone->removePointAttr();
  clone->removeSpaceAttr();
  std::string text = kernelKey(*clone);
  llvm::DenseSet<int64_t> fixed;
  for (Value input : kernel.getInputs()) {
    text += isPrepared(input) ? " prepared" : " given";
    if (isPrepared(input))
      fixed.insert_range(cast<RankedTensorType>(input.getType()).getShape());
  }
  return anySizes ? inRanges(text, fixed) : text;
}
