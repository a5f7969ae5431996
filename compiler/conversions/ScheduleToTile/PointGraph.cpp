//===- PointGraph.cpp - a kernel's body as a function of the point ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Nodes for leaves, elementwise ops, reductions and gathers; movement is in
// PointMovement.cpp.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointGraph.h"
#include "compiler/conversions/ScheduleToTile/ScalarOps.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/IR/BuiltinAttributes.h"

using namespace mlir;
using namespace tessera;

PointGraph::PointGraph(KernelFrame &frame, IterationSpace iterationSpace)
    : frame(frame), space(std::move(iterationSpace)), row(space.rank(), 0) {}

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

/// The index of an operand of `shape` whose elements broadcast, right aligned, to `index`.
static SmallVector<LinearForm> alignIndex(ArrayRef<LinearForm> index, ArrayRef<int64_t> shape) {
  SmallVector<LinearForm> aligned(index.take_back(shape.size()));
  for (auto [form, size] : llvm::zip_equal(aligned, shape))
    if (size == 1)
      form = LinearForm(form.dims.size(), 0);
  return aligned;
}

//===----------------------------------------------------------------------===//
// Forms over the space
//===----------------------------------------------------------------------===//

std::pair<int64_t, int64_t> PointGraph::rangeOf(const LinearForm &form) const {
  int64_t low = form.base, high = form.base;
  for (auto [coefficient, size] : llvm::zip_equal(form.dims, space.sizes))
    (coefficient < 0 ? low : high) += coefficient * (size - 1);
  for (auto [symbol, coefficient] : form.symbols)
    (coefficient < 0 ? low : high) += coefficient * (symbols[symbol].extent - 1);
  return {low, high};
}

uint64_t PointGraph::variesOf(const LinearForm &form) const {
  uint64_t varies = 0;
  for (auto [d, coefficient] : llvm::enumerate(form.dims))
    if (coefficient != 0)
      varies |= uint64_t(1) << d;
  for (auto [symbol, coefficient] : form.symbols)
    varies |= symbols[symbol].varies;
  return varies;
}

unsigned PointGraph::addSymbol(IndexSymbol symbol) {
  std::vector<int64_t> key{symbol.kind, symbol.divisor, symbol.extent,
                           reinterpret_cast<int64_t>(symbol.index)};
  symbol.operand.appendKey(key);
  auto [it, isNew] = symbolMemo.try_emplace(std::move(key), symbols.size());
  if (isNew) {
    symbol.varies = symbol.index ? symbol.index->varies : variesOf(symbol.operand);
    symbols.push_back(std::move(symbol));
  }
  return it->second;
}

void PointGraph::forEachForm(llvm::function_ref<void(LinearForm &)> visit) {
  for (auto &node : nodes)
    if (!node->form.dims.empty())
      visit(node->form);
  for (IndexSymbol &symbol : symbols)
    if (!symbol.operand.dims.empty())
      visit(symbol.operand);
  for (PointStore &store : stores)
    visit(store.form);
  visit(row);
}

void PointGraph::mergeDims() {
  for (int64_t d = static_cast<int64_t>(space.rank()) - 2; d >= 0; --d) {
    int64_t inner = space.sizes[d + 1];
    bool canMerge = space.reduced[d] == space.reduced[d + 1];
    forEachForm([&](LinearForm &form) { canMerge &= form.dims[d] == form.dims[d + 1] * inner; });
    if (!canMerge)
      continue;
    forEachForm([&](LinearForm &form) { form.dims.erase(form.dims.begin() + d); });
    space.sizes[d + 1] *= space.sizes[d];
    space.sizes.erase(space.sizes.begin() + d);
    space.reduced.erase(space.reduced.begin() + d);
  }
  space.roots.clear();
  memo.clear();
  computeVaries();
}

void PointGraph::computeVaries() {
  for (IndexSymbol &symbol : symbols)
    symbol.varies = 0;
  for (auto &node : nodes)
    node->varies = 0;
  // Nodes and symbols refer to each other; the sets only grow.
  for (bool changed = true; changed;) {
    changed = false;
    for (IndexSymbol &symbol : symbols) {
      uint64_t varies = symbol.index ? symbol.index->varies : variesOf(symbol.operand);
      changed |= varies != symbol.varies;
      symbol.varies = varies;
    }
    for (auto &node : nodes) {
      uint64_t before = node->varies;
      finish(node.get());
      changed |= before != node->varies;
    }
  }
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

PointNode *PointGraph::create(PointNode::Kind kind, Value value, Operation *op) {
  nodes.push_back(std::make_unique<PointNode>());
  PointNode *node = nodes.back().get();
  node->kind = kind;
  node->value = value;
  node->op = op;
  return node;
}

void PointGraph::finish(PointNode *node) {
  if (!node->form.dims.empty())
    node->varies |= variesOf(node->form);
  for (PointNode *operand : node->operands)
    node->varies |= operand->varies;
  if (node->kind != PointNode::Reduce)
    return;
  for (auto [d, isReduced] : llvm::enumerate(space.reduced))
    if (isReduced)
      node->varies &= ~(uint64_t(1) << d);
}

PointNode *PointGraph::fail(Operation *op, const Twine &reason) {
  InFlightDiagnostic diagnostic = op->emitOpError("[")
                                  << op->getName().stripDialect() << "] " << reason;
  diagnostic.attachNote(frame.kernel.getLoc())
      << "in a kernel of class " << schedule::stringifyKernelKind(frame.kernel.getKind())
      << "; give the op a kernel of its own";
  return nullptr;
}

PointNode *PointGraph::visit(Value value, ArrayRef<LinearForm> index) {
  std::vector<int64_t> key;
  for (const LinearForm &form : index)
    form.appendKey(key);
  auto it = memo.find({value.getAsOpaquePointer(), key});
  if (it != memo.end())
    return it->second;
  PointNode *node = build(value, index);
  if (node)
    memo[{value.getAsOpaquePointer(), std::move(key)}] = node;
  return node;
}

PointNode *PointGraph::build(Value value, ArrayRef<LinearForm> index) {
  if (given.contains(value)) {
    ArrayRef<LinearForm> roots = space.roots;
    if (index.size() > roots.size() ||
        SmallVector<LinearForm>(index) != alignIndex(roots, shapeOf(value)))
      return fail(value.getDefiningOp(), "is read at another place than where it is computed");
    PointNode *node = create(PointNode::Given, value);
    for (const LinearForm &form : index)
      node->varies |= variesOf(form);
    return node;
  }
  if (auto argument = dyn_cast<BlockArgument>(value))
    return buildLoad(argument, index);
  Operation *op = value.getDefiningOp();
  if (op->hasTrait<graph::Elementwise>())
    return buildApply(op, index);
  if (op->hasTrait<graph::Movement>())
    return buildMovement(op, index);
  if (isa<graph::ReduceOp, graph::ArgReduceOp>(op))
    return buildReduce(op, index);
  if (isa<graph::GatherOp>(op))
    return buildGather(op, index);
  if (isa<graph::RandomBitsOp>(op))
    return buildRandom(op, index);
  if (auto constant = dyn_cast<graph::ConstantOp>(op))
    return buildConstant(value, cast<ElementsAttr>(constant.getValue()), index);
  if (auto iota = dyn_cast<graph::IotaOp>(op)) {
    PointNode *node = create(PointNode::Iota, value, op);
    node->form = index[iota.getDim()];
    finish(node);
    return node;
  }
  return fail(op, "cannot be computed element by element");
}

PointNode *PointGraph::buildLoad(BlockArgument value, ArrayRef<LinearForm> index) {
  Value buffer = frame.inputs[value.getArgNumber()];
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(cast<MemRefType>(buffer.getType()).getStridesAndOffset(strides, offset))) {
    frame.kernel.emitError("[kernel] input ") << value.getArgNumber() << " has no strided layout";
    return nullptr;
  }
  PointNode *node = create(PointNode::Load, value);
  node->buffer = buffer;
  node->form = constant(0);
  for (auto [form, stride] : llvm::zip_equal(index, strides))
    node->form.add(form, stride);
  finish(node);
  return node;
}

PointNode *PointGraph::buildConstant(Value value, ElementsAttr attr, ArrayRef<LinearForm> index) {
  if (attr.isSplat()) {
    PointNode *node = create(PointNode::Constant, value, value.getDefiningOp());
    node->constant = attr.getSplatValue<Attribute>();
    return node;
  }
  // A small table: laid out in scratch when the kernel starts, then read like an input.
  auto dense = dyn_cast<DenseElementsAttr>(attr);
  if (!dense)
    return fail(value.getDefiningOp(), "has a value that is not dense");
  Type storage = storageType(attr.getElementType());
  int64_t count = attr.getNumElements();
  SmallVector<Attribute> elements;
  for (Attribute element : dense.getValues<Attribute>()) {
    if (auto integer = dyn_cast<IntegerAttr>(element))
      element = IntegerAttr::get(storage,
                                 integer.getValue().zextOrTrunc(storage.getIntOrFloatBitWidth()));
    elements.push_back(element);
  }
  OpBuilder::InsertionGuard guard(frame.b);
  frame.b.setInsertionPointToStart(&frame.function.getBody().front());
  Location loc = value.getLoc();
  Value buffer = frame.allocScratch(loc, MemRefType::get({count}, storage));
  Value table = arith::ConstantOp::create(
      frame.b, loc, DenseElementsAttr::get(VectorType::get({count}, storage), elements));
  Value zero = arith::ConstantIndexOp::create(frame.b, loc, 0);
  tile::StoreOp::create(frame.b, loc, table, buffer, ValueRange{zero});
  PointNode *node = create(PointNode::Load, value);
  node->buffer = buffer;
  node->form = constant(0);
  for (auto [form, stride] : llvm::zip_equal(index, rowMajorStrides(shapeOf(value))))
    node->form.add(form, stride);
  finish(node);
  return node;
}

PointNode *PointGraph::buildApply(Operation *op, ArrayRef<LinearForm> index) {
  if (!findScalarOp(op).emit)
    return fail(op, "has no rule for one element");
  SmallVector<PointNode *, 3> operands;
  for (Value operand : op->getOperands()) {
    PointNode *node = visit(operand, alignIndex(index, shapeOf(operand)));
    if (!node)
      return nullptr;
    operands.push_back(node);
  }
  PointNode *node = create(PointNode::Apply, op->getResult(0), op);
  node->operands = std::move(operands);
  finish(node);
  return node;
}

PointNode *PointGraph::buildRandom(Operation *op, ArrayRef<LinearForm> index) {
  PointNode *key = visit(op->getOperand(0), {});
  if (!key)
    return nullptr;
  PointNode *node = create(PointNode::Random, op->getResult(0), op);
  node->operands.push_back(key);
  node->form = constant(0);
  for (auto [form, stride] : llvm::zip_equal(index, rowMajorStrides(shapeOf(node->value))))
    node->form.add(form, stride);
  finish(node);
  return node;
}

PointNode *PointGraph::buildReduce(Operation *op, ArrayRef<LinearForm> index) {
  bool keepdim = false;
  SmallVector<int64_t> dims;
  if (auto reduce = dyn_cast<graph::ReduceOp>(op)) {
    keepdim = reduce.getKeepdim();
    llvm::append_range(dims, reduce.getDims());
  } else {
    auto argReduce = cast<graph::ArgReduceOp>(op);
    keepdim = argReduce.getKeepdim();
    dims.push_back(argReduce.getDim());
  }
  for (const LinearForm &form : index)
    for (auto [d, isReduced] : llvm::enumerate(space.reduced))
      if (isReduced && (variesOf(form) >> d & 1))
        return fail(op, "is read across the rows it reduces");

  ArrayRef<int64_t> shape = shapeOf(op->getOperand(0));
  SmallVector<int64_t> reducedSizes;
  for (int64_t d : dims)
    reducedSizes.push_back(shape[d]);
  if (productOf(reducedSizes) != space.rowLength())
    return fail(op, "reduces rows of another length than the kernel's");
  auto within = delinearize(row, reducedSizes);
  if (failed(within))
    return nullptr;
  SmallVector<LinearForm> operandIndex;
  for (int64_t d = 0, kept = 0, reduced = 0, rank = shape.size(); d < rank; ++d) {
    bool isReduced = llvm::is_contained(dims, d);
    operandIndex.push_back(isReduced ? (*within)[reduced++] : index[keepdim ? d : kept++]);
  }
  PointNode *operand = visit(op->getOperand(0), operandIndex);
  if (!operand)
    return nullptr;
  PointNode *node = create(PointNode::Reduce, op->getResult(0), op);
  node->operands.push_back(operand);
  finish(node);
  return node;
}

PointNode *PointGraph::buildGather(Operation *op, ArrayRef<LinearForm> index) {
  auto gather = cast<graph::GatherOp>(op);
  int64_t dim = gather.getDim(), indexRank = shapeOf(gather.getIndex()).size();
  PointNode *chosen = visit(gather.getIndex(), index.slice(dim, indexRank));
  if (!chosen)
    return nullptr;
  IndexSymbol symbol{IndexSymbol::Gathered, LinearForm()};
  symbol.index = chosen;
  symbol.extent = shapeOf(gather.getSource())[dim];
  LinearForm position = constant(0);
  position.addSymbol(addSymbol(std::move(symbol)), 1);
  SmallVector<LinearForm> source(index.take_front(dim));
  source.push_back(position);
  llvm::append_range(source, index.drop_front(dim + indexRank));
  return visit(gather.getSource(), source);
}

LogicalResult PointGraph::addStore(Value value, unsigned output, ArrayRef<LinearForm> index) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(
          cast<MemRefType>(frame.outputs[output].getType()).getStridesAndOffset(strides, offset)))
    return frame.kernel.emitError("[kernel] output ") << output << " has no strided layout";
  PointNode *node = visit(value, index);
  if (!node)
    return failure();
  LinearForm form = constant(0);
  for (auto [indexForm, stride] : llvm::zip_equal(index, strides))
    form.add(indexForm, stride);
  stores.push_back({node, output, std::move(form)});
  return success();
}
