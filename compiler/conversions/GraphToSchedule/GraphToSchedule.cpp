//===- GraphToSchedule.cpp - groups become kernels -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a function of graph ops. To: the same function as a list of
// schedule.kernel, schedule.view, graph.island, graph.parameter and
// graph.constant. Which ops share a kernel is Grouping's; where movement leaves
// values is Layout's; this file writes the kernels down.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/Expand.h"
#include "compiler/conversions/GraphToSchedule/Grouping.h"
#include "compiler/conversions/GraphToSchedule/Passes.h"
#include "compiler/conversions/GraphToSchedule/Prepared.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/KernelNotes.h"
#include "compiler/support/Sizes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"

namespace tessera {
#define GEN_PASS_DEF_CONVERTGRAPHTOSCHEDULE
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

namespace {

/// Writes the kernels of one function, in front of its graph ops, which are erased afterwards.
class Writer {
public:
  Writer(func::FuncOp function, Grouping &grouping)
      : function(function), grouping(grouping), b(function.getContext()) {
    b.setInsertionPointToStart(&function.getBody().front());
  }

  void run();

private:
  void writeGroup(Group &group);
  void writeIsland(graph::IslandOp island);
  void writeCopy(Operation *movement, Group &group);
  void writeReturn(func::ReturnOp op);
  /// The value behind `value` in the new list: its root, or a view of it.
  Value use(Value value, Location loc);
  Value useSplat(graph::ConstantOp splat);
  Value copy(Value source, Location loc, bool prepare = false);
  Value inOrder(Value input, schedule::KernelKind kind, Location loc);
  Value emittedRoot(Value root);
  Value clonedInto(Value value, IRMapping &map, OpBuilder &body);
  bool escapes(Operation *op, Group &group, unsigned result);
  bool isPrepare(ValueRange inputs, ArrayRef<Operation *> ops);

  func::FuncOp function;
  Grouping &grouping;
  OpBuilder b;
  DenseMap<Value, Value> roots;
  /// Groups some result of which is returned, itself or through a view.
  llvm::SmallPtrSet<Operation *, 8> returned;
};

} // namespace

void Writer::run() {
  Block &block = function.getBody().front();
  SmallVector<Operation *> old;
  for (Operation &op : block)
    old.push_back(&op);
  auto ret = cast<func::ReturnOp>(old.back());
  for (Value value : ret.getOperands())
    if (Operation *def = grouping.layoutOf(value).root.getDefiningOp())
      returned.insert(def);

  DenseMap<Group *, Operation *> copies;
  for (Operation *op : old)
    if (Group *group = grouping.copyOf(op))
      copies[group] = op;
  b.setInsertionPoint(ret);
  for (Group *group : grouping.sorted()) {
    if (Operation *movement = copies.lookup(group))
      writeCopy(movement, *group);
    else if (group->isIsland)
      writeIsland(cast<graph::IslandOp>(group->ops.front()));
    else
      writeGroup(*group);
  }
  writeReturn(ret);
  for (Operation *op : llvm::reverse(old))
    if (op != ret && !isa<graph::ParameterOp>(op))
      op->erase();
  // Sources that only unused code read, or that kernels now compute themselves. Not earlier: the
  // same constant may be returned twice.
  for (Operation &op : llvm::make_early_inc_range(block))
    if (isa<graph::ParameterOp, graph::ConstantOp, graph::IotaOp>(op) && op.use_empty())
      op.erase();
}

Value Writer::emittedRoot(Value root) {
  if (Value emitted = roots.lookup(root))
    return emitted;
  Operation *def = root.getDefiningOp();
  if (def && !isa<graph::ParameterOp>(def)) {
    // A constant or an iota read through a view, or as a whole: dense constants become storage,
    // iota is computed by a kernel of its own.
    Operation *clone = b.clone(*def);
    roots[root] = clone->getResult(0);
    if (isa<graph::IotaOp>(def)) {
      Value stored = copy(clone->getResult(0), def->getLoc());
      roots[root] = stored;
    }
    return roots[root];
  }
  return roots[root] = root;
}

Value Writer::use(Value value, Location loc) {
  const Layout layout = grouping.layoutOf(value);
  Value root = emittedRoot(layout.root);
  Layout onRoot = layout;
  onRoot.root = root;
  if (onRoot.isIdentity())
    return root;
  auto type = cast<RankedTensorType>(value.getType());
  return schedule::ViewOp::create(b, loc, type, root, b.getI64IntegerAttr(layout.offset),
                                  b.getDenseI64ArrayAttr(layout.strides));
}

/// One element in memory that stands for all of the constant.
Value Writer::useSplat(graph::ConstantOp splat) {
  auto type = cast<RankedTensorType>(splat.getType());
  auto element =
      cast<DenseElementsAttr>(splat.getValue()).resizeSplat(type.clone(ArrayRef<int64_t>()));
  Value stored = graph::ConstantOp::create(b, splat.getLoc(), element);
  return schedule::ViewOp::create(b, splat.getLoc(), type, stored, b.getI64IntegerAttr(0),
                                  b.getDenseI64ArrayAttr(SmallVector<int64_t>(type.getRank(), 0)));
}

/// A kernel whose body is its argument (or, for iota, the op itself).
Value Writer::copy(Value source, Location loc, bool prepare) {
  auto type = cast<RankedTensorType>(source.getType());
  Operation *def = source.getDefiningOp();
  bool computed = isRematerialized(def);
  SmallVector<Value> inputs;
  if (!computed)
    inputs.push_back(source);
  auto kernel = schedule::KernelOp::create(
      b, loc, TypeRange(type), schedule::KernelKind::Elementwise, inputs, {}, {}, prepare, {}, {});
  Block &body = kernel.getBody().emplaceBlock();
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  Value yielded = computed ? inner.clone(*def)->getResult(0) : Value(body.addArgument(type, loc));
  schedule::YieldOp::create(inner, loc, yielded);
  return kernel.getResult(0);
}

/// What every call reads of parameters element by element, and finds in another order, is brought
/// into its reader's order once.
Value Writer::inOrder(Value input, schedule::KernelKind kind, Location loc) {
  auto view = input.getDefiningOp<schedule::ViewOp>();
  bool walks = kind == schedule::KernelKind::Elementwise || kind == schedule::KernelKind::Rows;
  if (!view || !walks || !isPrepared(input))
    return input;
  // The fastest dimension that is stored: all of the parameter, and not its own fastest one.
  ArrayRef<int64_t> shape = cast<RankedTensorType>(view.getType()).getShape();
  auto source = cast<RankedTensorType>(view.getSource().getType());
  int64_t innermost = 1;
  for (auto [size, stride] : llvm::zip_equal(shape, view.getStrides()))
    if (size != 1)
      innermost = stride;
  if (innermost <= 1 || productOf(shape) != source.getNumElements())
    return input;
  return copy(input, loc, /*prepare=*/true);
}

void Writer::writeCopy(Operation *movement, Group &group) {
  Location loc = movement->getLoc();
  Value source = use(group.copied, loc);
  roots[movement->getResult(0)] = copy(source, loc, isPrepare(source, movement));
}

void Writer::writeIsland(graph::IslandOp island) {
  SmallVector<Value> inputs;
  for (Value input : island.getInputs())
    inputs.push_back(use(input, island.getLoc()));
  Operation *clone = b.clone(*island);
  clone->setOperands(inputs);
  for (auto [before, after] : llvm::zip_equal(island->getResults(), clone->getResults()))
    roots[before] = after;
}

/// True when result `result` of `op` is needed outside its kernel.
bool Writer::escapes(Operation *op, Group &group, unsigned result) {
  return llvm::any_of(op->getResult(result).getUsers(), [&](Operation *user) {
    Group *other = grouping.groupOf(user);
    return other != &group;
  });
}

/// A kernel on parameters (and what other prepare kernels made of them) runs once, not every call;
/// unless its result is handed out, which takes memory of the call.
bool Writer::isPrepare(ValueRange inputs, ArrayRef<Operation *> ops) {
  if (inputs.empty() || llvm::any_of(ops, [&](Operation *op) { return returned.contains(op); }))
    return false;
  return llvm::all_of(inputs, isPrepared);
}

static Location fusedLoc(MLIRContext *context, ArrayRef<Operation *> ops) {
  llvm::SetVector<Location> locations;
  for (Operation *op : ops)
    locations.insert(op->getLoc());
  return locations.size() == 1 ? locations.front()
                               : FusedLoc::get(context, locations.getArrayRef());
}

/// True for what a kernel class walks in memory and cannot compute on the way: the right side of a
/// product, attention's operands but for the mask, and everything a convolution or the runtime's
/// library is given.
static bool isWalkedInMemory(OpOperand &operand) {
  if (isLibraryCall(operand.getOwner()) || isa<graph::ConvolutionOp>(operand.getOwner()))
    return true;
  unsigned index = operand.getOperandNumber();
  if (isa<graph::MatmulOp>(operand.getOwner()))
    return index == 1;
  return isa<graph::AttentionOp>(operand.getOwner()) && index < 3;
}

/// "matmul in layer.0: it has another iteration space", for each producer that is another kernel.
static ArrayAttr apartNote(OpBuilder &b, Group &group) {
  SmallVector<Attribute> notes;
  llvm::SmallPtrSet<Group *, 4> said;
  for (const Group::Apart &apart : group.apart) {
    Group *producer = apart.producer;
    while (producer->mergedInto)
      producer = producer->mergedInto;
    if (producer == &group || !said.insert(producer).second)
      continue;
    std::string text = "a copy";
    if (!producer->ops.empty()) {
      Operation *last = producer->ops.back();
      text = last->getName().stripDialect().str();
      if (auto name = last->getLoc()->findInstanceOf<NameLoc>(); name && !name.getName().empty())
        text += " in " + name.getName().str();
    }
    notes.push_back(b.getStringAttr(text + ": " + apart.reason));
  }
  return notes.empty() ? ArrayAttr() : b.getArrayAttr(notes);
}

void Writer::writeGroup(Group &group) {
  Location loc = fusedLoc(b.getContext(), group.ops);
  // The outside values the group reads, one block argument each.
  llvm::MapVector<Value, Value> inputs;
  llvm::SetVector<Operation *> cloned;
  for (Operation *op : group.ops)
    for (OpOperand &use : op->getOpOperands()) {
      Value operand = use.get();
      Operation *def = operand.getDefiningOp();
      if (def && grouping.groupOf(def) == &group)
        continue;
      if (isRematerialized(def) && !isWalkedInMemory(use))
        cloned.insert(def);
      else if (isRematerialized(def) && isa<graph::ConstantOp>(def) &&
               (isLibraryCall(op) || isa<graph::ConvolutionOp>(op)))
        inputs[operand] = useSplat(cast<graph::ConstantOp>(def));
      else if (!inputs.count(operand))
        inputs[operand] = this->use(operand, op->getLoc());
    }
  // What is an input already need not be computed as well.
  cloned.remove_if([&](Operation *op) { return inputs.count(op->getResult(0)) != 0; });

  SmallVector<Value> yielded;
  SmallVector<Type> types;
  SmallVector<Attribute> perms;
  bool permuted = false;
  for (Operation *op : group.ops)
    for (OpResult result : op->getResults()) {
      if (!escapes(op, group, result.getResultNumber()) && !isLibraryCall(op))
        continue;
      yielded.push_back(result);
      // The storage order of the result: its layout's strides, largest first.
      const Layout &layout = grouping.layoutOf(result);
      auto perm = llvm::to_vector(llvm::seq<int64_t>(0, layout.sizes.size()));
      if (ArrayRef(layout.strides) != ArrayRef(rowMajorStrides(layout.sizes))) {
        llvm::stable_sort(
            perm, [&](int64_t x, int64_t y) { return layout.strides[x] > layout.strides[y]; });
        permuted = true;
      }
      SmallVector<int64_t> shape;
      for (int64_t d : perm)
        shape.push_back(layout.sizes[d]);
      types.push_back(cast<RankedTensorType>(result.getType()).clone(shape));
      perms.push_back(b.getDenseI64ArrayAttr(perm));
    }
  if (yielded.empty())
    return; // dead code

  SmallVector<Value> operands =
      llvm::map_to_vector(inputs, [](auto &entry) { return entry.second; });
  bool prepare = isPrepare(operands, group.ops);
  if (!prepare)
    for (Value &operand : operands)
      operand = inOrder(operand, group.kind, loc);
  auto kernel = schedule::KernelOp::create(b, loc, types, group.kind, operands, {}, {}, prepare, {},
                                           permuted ? b.getArrayAttr(perms) : ArrayAttr());
  if (ArrayAttr note = apartNote(b, group))
    kernel->setDiscardableAttr(schedule::kApartNote, note);
  Block &body = kernel.getBody().emplaceBlock();
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  IRMapping map;
  for (auto &[before, after] : inputs)
    map.map(before, body.addArgument(before.getType(), before.getLoc()));
  for (Operation *op : cloned)
    inner.clone(*op, map);
  for (Operation *op : group.ops)
    inner.clone(*op, map);
  schedule::YieldOp::create(
      inner, loc, llvm::map_to_vector(yielded, [&](Value value) { return map.lookup(value); }));
  for (auto [value, result] : llvm::zip_equal(yielded, kernel.getOutputs()))
    roots[value] = result;
}

void Writer::writeReturn(func::ReturnOp op) {
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    Value used = use(value, op.getLoc());
    Value root = used;
    if (auto view = used.getDefiningOp<schedule::ViewOp>())
      root = view.getSource();
    bool strided = function.getResultAttr(operand.getOperandNumber(), "graph.contiguous") &&
                   !grouping.layoutOf(value).isRowMajor();
    // Constants are the program's own: hand out a copy.
    if (strided || root.getDefiningOp<graph::ConstantOp>())
      used = copy(used, value.getLoc());
    operand.set(used);
  }
}

namespace {
struct ConvertGraphToSchedule : tessera::impl::ConvertGraphToScheduleBase<ConvertGraphToSchedule> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    if (!llvm::hasSingleElement(function.getBody())) {
      function.emitError("[graph-to-schedule] needs a function of one block");
      return signalPassFailure();
    }
    if (failed(expandForKernels(function)))
      return signalPassFailure();
    Grouping grouping(function);
    Writer(function, grouping).run();
  }
};
} // namespace
