//===- SplitJoint.cpp - tessera-graph-split-joint -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From one function that computes results and their gradients to two: what a
// call computes, and what its backward pass computes once the gradients of the
// results are known. Which values go from one to the other, and which are
// computed twice, is a minimum cut between them, after Chen et al., "Training
// Deep Nets with Sublinear Memory Cost", 2016, for the idea and PyTorch's
// min-cut partitioner for the form: every value weighs what it takes to keep.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/support/MinCut.h"
#include "compiler/support/Sizes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHSPLITJOINT
#include "compiler/graph/transforms/Passes.h.inc"

namespace {

bool isFree(Operation *op) { return isa<ParameterOp, ConstantOp, IotaOp>(op); }

/// Whether a kernel that reads the value may compute it on the way instead.
bool isFused(Operation *reader) {
  return isPointwise(reader) || isa<ReduceOp, SoftmaxOp, LogSoftmaxOp, LayerNormOp>(reader);
}

/// What values are computed by, of what is not known already.
DenseSet<Operation *> ancestorsOf(ArrayRef<Value> values, const IRMapping &known) {
  DenseSet<Operation *> found;
  SmallVector<Value> open(values);
  while (!open.empty()) {
    Value value = open.pop_back_val();
    Operation *op = value.getDefiningOp();
    if (op && !known.contains(value) && found.insert(op).second)
      llvm::append_range(open, op->getOperands());
  }
  return found;
}

class Splitter {
public:
  Splitter(func::FuncOp joint, int64_t results, int64_t tangents, Rematerialize mode)
      : joint(joint), body(joint.getBody().front()), results(results), tangents(tangents),
        mode(mode) {}

  void split();

private:
  void findLate();
  void findWanted();
  int64_t costOf(Value value) const;
  void findSaved();
  bool mayRecompute(Operation *op) const;
  bool isMaterialized(Value value) const;
  void makeForward();
  void makeBackward();
  Operation *returnOp() const { return body.getTerminator(); }
  bool isTangent(Value value) const {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getArgNumber() >= body.getNumArguments() - tangents;
  }
  bool isLate(Operation *op) const { return lateOps.contains(op); }

  func::FuncOp joint;
  Block &body;
  int64_t results, tangents;
  Rematerialize mode;

  DenseSet<Value> late; ///< what depends on a gradient of the results
  DenseSet<Operation *> lateOps;
  DenseSet<Operation *> forwardOps; ///< what the results depend on
  SetVector<Value> wanted; ///< what late ops read, or the caller as a gradient, and is not late
  SetVector<Value> saved;  ///< computed by the forward function, read by the backward one
  SetVector<Value> inputs; ///< arguments that the backward function reads
  func::FuncOp forward;
};

void Splitter::findLate() {
  for (BlockArgument argument : body.getArguments())
    if (isTangent(argument))
      late.insert(argument);
  for (Operation &op : body.without_terminator())
    if (llvm::any_of(op.getOperands(), [&](Value operand) { return late.contains(operand); })) {
      lateOps.insert(&op);
      late.insert_range(op.getResults());
    }
}

void Splitter::findWanted() {
  for (Operation &op : body.without_terminator())
    if (isLate(&op))
      for (Value operand : op.getOperands())
        if (!late.contains(operand))
          wanted.insert(operand);
  for (Value gradient : returnOp()->getOperands().drop_front(results))
    if (!late.contains(gradient))
      wanted.insert(gradient);
}

/// Whether a late op that does not compute on the way reads the value, or a view of it: then a
/// value computed again is written to memory again as well.
bool Splitter::isMaterialized(Value value) const {
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    if (isLate(user) && !user->hasTrait<Movement>())
      return !isFused(user);
    return user->hasTrait<Movement>() && isMaterialized(user->getResult(0));
  });
}

bool Splitter::mayRecompute(Operation *op) const {
  if (isFree(op) || op->hasTrait<Movement>())
    return true;
  if (!isPure(op) || mode == Rematerialize::None)
    return false;
  if (mode == Rematerialize::Full)
    return true;
  return isPointwise(op) &&
         !llvm::any_of(op->getResults(), [&](Value result) { return isMaterialized(result); });
}

/// What it takes to save a value: its bytes, and something on top where the forward function does
/// not compute it for its results.
int64_t Splitter::costOf(Value value) const {
  int64_t bytes = std::max<int64_t>(byteSize(rankedType(value)), 1);
  return forwardOps.contains(value.getDefiningOp()) ? 4 * bytes : 5 * bytes;
}

void Splitter::findSaved() {
  DenseMap<Value, size_t> numbers;
  auto add = [&](Value value) { numbers.try_emplace(value, numbers.size()); };
  for (BlockArgument argument : body.getArguments())
    if (!isTangent(argument))
      add(argument);
  for (Operation &op : body.without_terminator())
    if (!isLate(&op))
      llvm::for_each(op.getResults(), add);

  size_t source = 2 * numbers.size(), sink = source + 1;
  auto entry = [&](Value value) { return 2 * numbers.lookup(value); };
  auto exit = [&](Value value) { return entry(value) + 1; };
  FlowNetwork network(sink + 1);
  for (auto [value, number] : numbers) {
    Operation *op = value.getDefiningOp();
    network.addEdge(entry(value), exit(value), op ? costOf(value) : 0);
    if (!op || !mayRecompute(op))
      network.addEdge(source, entry(value), FlowNetwork::kUncuttable);
    else
      for (Value operand : op->getOperands())
        network.addEdge(exit(operand), entry(value), FlowNetwork::kUncuttable);
  }
  for (Value value : wanted)
    network.addEdge(exit(value), sink, FlowNetwork::kUncuttable);

  std::vector<bool> isBehind = network.cut(source, sink);
  // In the order of the program, whatever order the table has.
  for (BlockArgument argument : body.getArguments())
    if (!isTangent(argument) && isBehind[exit(argument)])
      inputs.insert(argument);
  for (Operation &op : body.without_terminator())
    if (!isLate(&op))
      for (Value result : op.getResults())
        if (isBehind[exit(result)] && !isBehind[entry(result)])
          saved.insert(result);
}

/// @main without what the gradients take, with the saved values behind its results.
void Splitter::makeForward() {
  OpBuilder b(joint);
  IRMapping mapping;
  forward = func::FuncOp::create(b, joint.getLoc(), "forward", b.getFunctionType({}, {}));
  forward->setDiscardableAttrs(joint->getDiscardableAttrDictionary());
  b.setInsertionPointToEnd(forward.addEntryBlock());
  SmallVector<DictionaryAttr> attributes;
  for (BlockArgument argument : body.getArguments().drop_back(tangents)) {
    mapping.map(argument, forward.getBody().addArgument(argument.getType(), argument.getLoc()));
    attributes.push_back(joint.getArgAttrDict(argument.getArgNumber()));
  }
  DenseSet<Operation *> needed = ancestorsOf(saved.getArrayRef(), {});
  for (Operation &op : body.without_terminator())
    if (forwardOps.contains(&op) || needed.contains(&op) || (!isLate(&op) && !isPure(&op)))
      b.clone(op, mapping);
  SmallVector<Value> returned;
  for (Value value : returnOp()->getOperands().take_front(results))
    returned.push_back(mapping.lookup(value));
  for (Value value : saved)
    returned.push_back(mapping.lookup(value));
  func::ReturnOp::create(b, joint.getLoc(), returned);
  forward.setType(
      b.getFunctionType(forward.getBody().getArgumentTypes(), ValueRange(returned).getTypes()));
  forward.setAllArgAttrs(attributes);
  for (int64_t i = 0; i < results; ++i)
    forward.setResultAttrs(i, joint.getResultAttrDict(i));
}

/// The gradients, out of arguments of @main, saved values and the results' gradients, in this
/// order. `graph.saved` and `graph.argument` say which.
void Splitter::makeBackward() {
  OpBuilder b(joint);
  IRMapping mapping;
  auto backward = func::FuncOp::create(b, joint.getLoc(), "backward", b.getFunctionType({}, {}));
  backward->setDiscardableAttrs(joint->getDiscardableAttrDictionary());
  b.setInsertionPointToEnd(backward.addEntryBlock());
  SmallVector<DictionaryAttr> attributes;
  auto add = [&](Value value, StringRef name, int64_t place) {
    mapping.map(value, backward.getBody().addArgument(value.getType(), value.getLoc()));
    attributes.push_back(b.getDictionaryAttr(b.getNamedAttr(name, b.getI64IntegerAttr(place))));
  };
  auto addArgument = [&](Value value) {
    add(value, kJointArgument, cast<BlockArgument>(value).getArgNumber());
  };
  llvm::for_each(inputs, addArgument);
  for (auto [index, value] : llvm::enumerate(saved))
    add(value, kJointSaved, results + static_cast<int64_t>(index));
  llvm::for_each(body.getArguments().take_back(tangents), addArgument);

  // What the late ops need of the others, and is not saved.
  DenseSet<Operation *> needed = ancestorsOf(wanted.getArrayRef(), mapping);
  for (Operation &op : body.without_terminator())
    if (isLate(&op) || needed.contains(&op)) {
      SmallVector<std::pair<Value, Value>> kept; // of an op with several results some are saved
      for (Value result : op.getResults())
        if (Value known = mapping.lookupOrNull(result))
          kept.emplace_back(result, known);
      b.clone(op, mapping);
      for (auto [result, known] : kept)
        mapping.map(result, known);
    }
  SmallVector<Value> returned;
  for (Value value : returnOp()->getOperands().drop_front(results))
    returned.push_back(mapping.lookup(value));
  func::ReturnOp::create(b, joint.getLoc(), returned);
  backward.setType(
      b.getFunctionType(backward.getBody().getArgumentTypes(), ValueRange(returned).getTypes()));
  backward.setAllArgAttrs(attributes);
  for (size_t i = 0; i < returned.size(); ++i)
    backward.setResultAttrs(i, joint.getResultAttrDict(results + i));
}

void Splitter::split() {
  findLate();
  forwardOps = ancestorsOf(SmallVector<Value>(returnOp()->getOperands().take_front(results)), {});
  findWanted();
  findSaved();
  makeForward();
  makeBackward();
  joint.erase();
}

struct GraphSplitJoint : impl::GraphSplitJointBase<GraphSplitJoint> {
  using GraphSplitJointBase::GraphSplitJointBase;

  void runOnOperation() override {
    auto joint = getOperation().lookupSymbol<func::FuncOp>("main");
    auto shape = joint ? joint->getAttrOfType<DenseI64ArrayAttr>(kJoint) : DenseI64ArrayAttr();
    if (!shape)
      return;
    if (shape.size() != 2 || shape[0] < 0 || shape[0] > joint.getNumResults() || shape[1] < 0 ||
        shape[1] > joint.getNumArguments()) {
      joint.emitError("[split-joint] `")
          << kJoint
          << "` must be how many results come before the "
             "gradients, and how many arguments at the end are gradients, got "
          << shape;
      return signalPassFailure();
    }
    joint->removeAttr(kJoint);
    Splitter(joint, shape[0], shape[1], rematerialize).split();
  }
};

} // namespace

} // namespace tessera::graph
