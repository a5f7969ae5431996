//===- BodyEmitter.cpp - pointwise bodies, at one tile of points -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes values of a kernel's body and leaves tile code for them at given points,
// through a point graph a shape.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/BodyEmitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

void BodyEmitter::bind(Value value, Value vector) { bound[value] = vector; }

void BodyEmitter::reset() {
  bound.clear();
  for (auto &[sizes, shape] : shapes)
    shape->scope.values.clear(), shape->scope.symbols.clear();
}

BodyEmitter::Shape &BodyEmitter::shapeFor(ArrayRef<int64_t> sizes, unsigned rank) {
  std::vector<int64_t> key(rank - sizes.size(), 1);
  key.insert(key.end(), sizes.begin(), sizes.end());
  std::unique_ptr<Shape> &shape = shapes[key];
  if (!shape) {
    // Every dimension stays, also those of size one: points have an index for each.
    IterationSpace space;
    space.sizes.assign(key.begin(), key.end());
    space.reduced.assign(rank, false);
    for (unsigned d = 0; d < rank; ++d) {
      LinearForm form(rank, 0);
      form.dims[d] = 1;
      space.roots.push_back(std::move(form));
    }
    shape = std::make_unique<Shape>(frame, std::move(space));
  }
  return *shape;
}

/// A vector of `lanes` from a scalar, or from a vector that already is one.
static Value asVector(PointEmitter &emitter, Location loc, Value value, int64_t lanes) {
  if (isa<VectorType>(value.getType()))
    return value;
  return emitter.splat(loc, value, lanes);
}

FailureOr<Value> BodyEmitter::emit(Value value, const TilePoint &point) {
  ArrayRef<int64_t> sizes = cast<RankedTensorType>(value.getType()).getShape();
  unsigned rank = point.indices.size();
  if (sizes.size() > rank)
    return emitError(value.getLoc(), "[kernel] a value of rank ")
           << sizes.size() << " does not broadcast to points of rank " << rank;
  if (Value vector = bound.lookup(value))
    return vector;
  Shape &shape = shapeFor(sizes, rank);
  for (auto &entry : bound)
    shape.graph.give(entry.first);
  SmallVector<LinearForm> index(ArrayRef(shape.graph.getSpace().roots).take_back(sizes.size()));
  for (auto [form, size] : llvm::zip_equal(index, sizes))
    if (size == 1)
      form = shape.graph.constant(0);
  shape.graph.change.reset();
  PointNode *node = shape.graph.visit(value, index);
  if (!node) {
    if (shape.graph.change)
      return emitError(value.getLoc(), "[kernel] ")
             << "a movement op in the body has no linear index; give it a kernel of its own";
    return failure();
  }
  // A lane dimension the value broadcasts along is no lane dimension for it; one lane is a scalar.
  PointScope &scope = shape.scope;
  scope.indices.assign(point.indices.begin(), point.indices.end());
  scope.laneDim = point.lanes == 1 ? -1 : point.laneDim;
  scope.lanes = point.lanes;
  scope.valid = point.laneDim < 0 || point.lanes == 1 ? Value() : point.valid;
  for (const auto &entry : shape.graph.getNodes())
    if (entry->kind == PointNode::Given && !scope.lookup(entry.get())) {
      Value vector = bound.lookup(entry->value);
      if (vector && point.lanes == 1 && isa<VectorType>(vector.getType()))
        vector = vector::ExtractOp::create(frame.b, value.getLoc(), vector, ArrayRef<int64_t>{0});
      if (vector)
        scope.values[entry.get()] = vector;
    }
  return asVector(shape.emitter, value.getLoc(), shape.emitter.emit(node, scope), point.lanes);
}

LogicalResult BodyEmitter::storeResults(Location loc, const TilePoint &point) {
  for (auto [result, value] : llvm::enumerate(frame.kernel.getYield().getValues())) {
    if (leftOut.contains(value))
      continue;
    FailureOr<Value> vector = emit(value, point);
    if (failed(vector))
      return failure();
    store(loc, result, point, *vector);
  }
  return success();
}

void BodyEmitter::store(Location loc, unsigned index, const TilePoint &point, Value vector) {
  auto type = cast<MemRefType>(frame.outputs[index].getType());
  unsigned rank = point.indices.size();
  Shape &shape = shapeFor(type.getShape(), rank);
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)))
    llvm_unreachable("kernel buffers are strided");
  LinearForm form = shape.graph.constant(0);
  ArrayRef<LinearForm> roots(shape.graph.getSpace().roots);
  for (auto [root, stride] : llvm::zip_equal(roots.take_back(strides.size()), strides))
    form.add(root, stride);
  PointScope scope(rank);
  scope.indices.assign(point.indices.begin(), point.indices.end());
  if (point.lanes > 1 && point.laneDim >= 0) {
    scope.laneDim = point.laneDim;
    scope.lanes = point.lanes;
    scope.valid = point.valid;
  } else {
    vector = vector::ExtractOp::create(frame.b, loc, vector, ArrayRef<int64_t>{0});
  }
  int64_t step = scope.laneDim < 0 ? 0 : form.dims[scope.laneDim];
  Type element =
      cast<RankedTensorType>(frame.kernel.getYield().getValues()[index].getType()).getElementType();
  shape.emitter.storeAt(loc, vector, frame.outputs[index], element,
                        shape.emitter.emitIndex(loc, form, scope), step, scope);
}
