//===- PointMovement.cpp - movement ops as linear forms --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Where an element of a moved tensor comes from. Reshapes may ask for a finer
// space, concat and pad for a split one: then every index is again linear and
// every choice static.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointGraph.h"
#include "compiler/graph/ir/GraphOps.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tessera;

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

//===----------------------------------------------------------------------===//
// Reshape
//===----------------------------------------------------------------------===//

bool PointGraph::splitByStride(const LinearForm &linear, int64_t stride, LinearForm &quotient,
                               LinearForm &rest) {
  quotient = constant(0);
  rest = constant(0);
  for (unsigned d = 0; d < space.rank(); ++d) {
    int64_t coefficient = linear.dims[d];
    if (coefficient % stride == 0)
      quotient.dims[d] = coefficient / stride;
    else
      rest.dims[d] = coefficient;
  }
  for (auto [symbol, coefficient] : linear.symbols) {
    if (coefficient % stride == 0)
      quotient.addSymbol(symbol, coefficient / stride);
    else
      rest.addSymbol(symbol, coefficient);
  }
  // The base goes where it keeps the rest non-negative.
  rest.base = linear.base;
  int64_t whole = llvm::divideFloorSigned(rangeOf(rest).first, stride);
  quotient.base = whole;
  rest.base -= whole * stride;
  if (rangeOf(rest).second < stride)
    return true;

  // A dimension that crosses the boundary a whole number of times is cut there.
  for (unsigned d = 0; d < space.rank(); ++d) {
    int64_t coefficient = std::abs(rest.dims[d]);
    if (coefficient == 0 || coefficient >= stride || stride % coefficient != 0)
      continue;
    int64_t inner = stride / coefficient;
    if (inner > 1 && inner < space.sizes[d] && space.sizes[d] % inner == 0) {
      change = SpaceChange{SpaceChange::Refine, d, inner};
      return false;
    }
  }
  // Otherwise divide at run time.
  int64_t high = rangeOf(rest).second;
  IndexSymbol quotientSymbol{IndexSymbol::FloorDiv, rest, stride, nullptr, high / stride + 1};
  IndexSymbol restSymbol{IndexSymbol::Mod, rest, stride, nullptr, stride};
  quotient.addSymbol(addSymbol(std::move(quotientSymbol)), 1);
  unsigned restId = addSymbol(std::move(restSymbol));
  rest = constant(0);
  rest.addSymbol(restId, 1);
  return true;
}

FailureOr<SmallVector<LinearForm>> PointGraph::delinearize(const LinearForm &linear,
                                                           ArrayRef<int64_t> shape) {
  SmallVector<LinearForm> index(shape.size(), constant(0));
  if (llvm::is_contained(shape, 0))
    return index;
  SmallVector<int64_t> strides = rowMajorStrides(shape);
  LinearForm left = linear;
  for (auto [d, size] : llvm::enumerate(shape)) {
    if (size == 1)
      continue;
    LinearForm rest;
    if (!splitByStride(left, strides[d], index[d], rest))
      return failure();
    left = rest;
  }
  return index;
}

//===----------------------------------------------------------------------===//
// Choices: concat and pad
//===----------------------------------------------------------------------===//

PointNode *PointGraph::requestSplit(Operation *op, const LinearForm &form, int64_t bound) {
  if (!form.symbols.empty())
    return fail(op, "is indexed by a number known at run time only");
  // The dimension that moves the index most.
  unsigned dim = 0;
  for (unsigned d = 1; d < space.rank(); ++d)
    if (std::abs(form.dims[d]) * (space.sizes[d] > 1) >
        std::abs(form.dims[dim]) * (space.sizes[dim] > 1))
      dim = d;
  int64_t step = form.dims[dim], size = space.sizes[dim];
  LinearForm others = form;
  others.dims[dim] = 0;
  auto [low, high] = rangeOf(others);
  // Counted in the direction in which the index grows.
  int64_t start = step < 0 ? step * (size - 1) : 0, width = std::abs(step);
  int64_t surelyBelow = llvm::divideFloorSigned(bound - 1 - high - start, width) + 1;
  int64_t surelyAbove = llvm::divideCeilSigned(bound - low - start, width);
  int64_t at = surelyBelow > 0 && surelyBelow < size   ? surelyBelow
               : surelyAbove > 0 && surelyAbove < size ? surelyAbove
                                                       : 1;
  change = SpaceChange{SpaceChange::Split, dim, step < 0 ? size - at : at};
  return nullptr;
}

PointNode *PointGraph::buildConcat(Operation *op, ArrayRef<LinearForm> index) {
  auto concat = cast<graph::ConcatOp>(op);
  int64_t dim = concat.getDim(), start = 0;
  auto [low, high] = rangeOf(index[dim]);
  for (Value input : concat.getInputs()) {
    int64_t limit = start + shapeOf(input)[dim];
    if (low < limit && high >= limit)
      return requestSplit(op, index[dim], limit);
    if (low < limit) {
      SmallVector<LinearForm> inputIndex(index);
      inputIndex[dim].base -= start;
      return visit(input, inputIndex);
    }
    start = limit;
  }
  return fail(op, "is read beyond its end");
}

PointNode *PointGraph::buildPad(Operation *op, ArrayRef<LinearForm> index) {
  auto pad = cast<graph::PadOp>(op);
  ArrayRef<int64_t> shape = shapeOf(pad.getOperand());
  SmallVector<LinearForm> inner(index);
  for (auto [form, amount] : llvm::zip_equal(inner, pad.getLow()))
    form.base -= amount;
  // One dimension in its border decides, whatever the others are.
  for (auto [form, size] : llvm::zip_equal(inner, shape)) {
    auto [low, high] = rangeOf(form);
    if (high < 0 || low >= size)
      return visit(pad.getValue(), {});
  }
  for (auto [form, size] : llvm::zip_equal(inner, shape)) {
    auto [low, high] = rangeOf(form);
    if (low < 0)
      return requestSplit(op, form, 0);
    if (high >= size)
      return requestSplit(op, form, size);
  }
  return visit(pad.getOperand(), inner);
}

//===----------------------------------------------------------------------===//
// The rest
//===----------------------------------------------------------------------===//

static SmallVector<LinearForm> sliceIndex(graph::SliceOp slice, ArrayRef<LinearForm> index) {
  SmallVector<LinearForm> result;
  for (auto [form, start, step] : llvm::zip_equal(index, slice.getStarts(), slice.getSteps())) {
    LinearForm moved(form.dims.size(), start);
    moved.add(form, step);
    result.push_back(std::move(moved));
  }
  return result;
}

static SmallVector<LinearForm> reverseIndex(graph::ReverseOp reverse, ArrayRef<LinearForm> index) {
  SmallVector<LinearForm> result(index);
  for (int64_t dim : reverse.getDims()) {
    LinearForm mirrored(index[dim].dims.size(), shapeOf(reverse.getOperand())[dim] - 1);
    mirrored.add(index[dim], -1);
    result[dim] = std::move(mirrored);
  }
  return result;
}

static SmallVector<LinearForm> windowIndex(graph::WindowOp window, ArrayRef<LinearForm> index) {
  size_t rank = shapeOf(window.getOperand()).size();
  SmallVector<LinearForm> result(index.take_front(rank));
  for (auto [i, dim] : llvm::enumerate(window.getDims())) {
    LinearForm moved(index[dim].dims.size(), 0);
    moved.add(index[dim], window.getSteps()[i]);
    moved.add(index[rank + i], window.getDilations()[i]);
    result[dim] = std::move(moved);
  }
  return result;
}

PointNode *PointGraph::buildMovement(Operation *op, ArrayRef<LinearForm> index) {
  if (isa<graph::ConcatOp>(op))
    return buildConcat(op, index);
  if (isa<graph::PadOp>(op))
    return buildPad(op, index);
  Value operand = op->getOperand(0);
  ArrayRef<int64_t> shape = shapeOf(operand);
  SmallVector<LinearForm> source;
  if (auto slice = dyn_cast<graph::SliceOp>(op)) {
    source = sliceIndex(slice, index);
  } else if (auto reverse = dyn_cast<graph::ReverseOp>(op)) {
    source = reverseIndex(reverse, index);
  } else if (auto window = dyn_cast<graph::WindowOp>(op)) {
    source = windowIndex(window, index);
  } else if (auto permute = dyn_cast<graph::PermuteOp>(op)) {
    source.resize(shape.size());
    for (auto [i, dim] : llvm::enumerate(permute.getDims()))
      source[dim] = index[i];
  } else if (isa<graph::BroadcastOp>(op)) {
    llvm::append_range(source, index.take_back(shape.size()));
    for (auto [form, size] : llvm::zip_equal(source, shape))
      if (size == 1)
        form = constant(0);
  } else if (isa<graph::ReshapeOp>(op)) {
    LinearForm linear = constant(0);
    for (auto [form, stride] : llvm::zip_equal(index, rowMajorStrides(shapeOf(op->getResult(0)))))
      linear.add(form, stride);
    auto split = delinearize(linear, shape);
    if (failed(split))
      return nullptr;
    source = std::move(*split);
  } else {
    return fail(op, "has no rule for where its elements come from");
  }
  return visit(operand, source);
}
