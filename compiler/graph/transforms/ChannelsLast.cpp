//===- ChannelsLast.cpp - tessera-graph-channels-last ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From convolutions of [N, C, spatial…] to convolutions with `channels_last`, in
// which the channels of a pixel lie side by side: the rows of a product, and the
// lanes of everything else. What follows a convolution follows its order:
//
//   op(permute(x)) → permute(op'(x))
//
// for every op that can say what it does to x, whoever else reads the permute. One
// walk from the top visits each op once; permutes that meet their inverse vanish.
//
// Parameters of which calls compute weights, as modulated convolutions do, take the
// order in which windows are read, and what is computed of them follows.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/ChannelsLastNorm.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/support/Sizes.h"

#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHCHANNELSLAST
#include "compiler/graph/transforms/Passes.h.inc"

namespace {

using Dims = SmallVector<int64_t>;

Dims iota(int64_t count) { return llvm::to_vector(llvm::seq<int64_t>(0, count)); }

Dims inverted(ArrayRef<int64_t> dims) {
  Dims inverse(dims.size());
  for (auto [i, dim] : llvm::enumerate(dims))
    inverse[dim] = i;
  return inverse;
}

/// Entries for the dimensions of a permute's result, in the order of its operand's dimensions.
Dims ofOperand(ArrayRef<int64_t> entries, ArrayRef<int64_t> dims) {
  Dims moved(entries.size());
  for (auto [i, dim] : llvm::enumerate(dims))
    moved[dim] = entries[i];
  return moved;
}

Dims mapped(ArrayRef<int64_t> list, ArrayRef<int64_t> dims) {
  return llvm::map_to_vector(list, [&](int64_t dim) { return dims[dim]; });
}

/// A value, or the permute of it that stands for another.
struct Ordered {
  Value value;
  Dims dims; ///< what is meant is permute(value, dims)
};

/// Runs of the old dimensions whose elements are those of runs of the new ones: the finest such
/// pairs, as ends of the runs. Nothing where sizes are unknown or zero.
std::optional<SmallVector<std::pair<int64_t, int64_t>>> matchingRuns(ArrayRef<int64_t> from,
                                                                     ArrayRef<int64_t> to) {
  auto isUsable = [](int64_t size) { return size > 0; };
  if (!llvm::all_of(from, isUsable) || !llvm::all_of(to, isUsable))
    return std::nullopt;
  SmallVector<std::pair<int64_t, int64_t>> ends;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    int64_t left = from[i++], right = to[j++];
    while (left != right) {
      if (left < right && i < from.size())
        left *= from[i++];
      else if (right < left && j < to.size())
        right *= to[j++];
      else
        return std::nullopt;
    }
    ends.push_back({i, j});
  }
  // What is left on one side has size one and joins the last run.
  if (ends.empty())
    return std::nullopt;
  ends.back() = {from.size(), to.size()};
  return ends;
}

class Propagation {
public:
  explicit Propagation(MLIRContext *context) : rewriter(context) {}

  void run(func::FuncOp function) {
    function.walk([&](ConvolutionOp op) { orderKernels(op); });
    for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
      visit(&op);
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isa<PermuteOp>(op) && op.use_empty())
        op.erase();
  }

private:
  void orderKernels(ConvolutionOp op);
  void order(ParameterOp parameter, int64_t spatial);
  void visit(Operation *op);
  std::optional<Ordered> rewrite(Operation *op);
  Ordered convolution(ConvolutionOp op);
  std::optional<Ordered> elementwise(Operation *op);
  Ordered permuted(PermuteOp op, const Ordered &source);
  std::optional<Ordered> reshaped(ReshapeOp op, const Ordered &source);
  std::optional<Ordered> broadcast(BroadcastOp op, const Ordered &source);
  Ordered windows(WindowOp op, const Ordered &source);
  Ordered concatenated(ConcatOp op, ArrayRef<int64_t> dims);
  Ordered reduced(Operation *op, const Ordered &source, ArrayRef<int64_t> over, bool keepdim);
  Ordered gathered(GatherOp op, const Ordered &source);
  std::optional<Ordered> normalized(GroupNormOp op, const Ordered &source);

  /// The order of `value` where an earlier visit chose one.
  const Ordered *find(Value value) const {
    auto it = orders.find(value);
    return it == orders.end() ? nullptr : &it->second;
  }
  const Ordered *findLargest(ValueRange operands, int64_t rank) const;
  /// The operand of the permute by `dims` that `value` is; made where there is none.
  Value before(Value value, ArrayRef<int64_t> dims);
  Value permute(Value value, ArrayRef<int64_t> dims);
  Value reshape(Value value, ArrayRef<int64_t> shape);
  /// `op` on other operands with other attributes; its result's type is inferred anew.
  Value remade(Operation *op, ValueRange operands, ArrayRef<NamedAttribute> changed);
  NamedAttribute list(StringRef name, ArrayRef<int64_t> values) {
    return rewriter.getNamedAttr(name, rewriter.getDenseI64ArrayAttr(values));
  }
  NamedAttribute number(StringRef name, int64_t value) {
    return rewriter.getNamedAttr(name, rewriter.getI64IntegerAttr(value));
  }

  IRRewriter rewriter;
  Location loc = rewriter.getUnknownLoc();
  DenseMap<Value, Ordered> orders;
};

} // namespace

Value Propagation::permute(Value value, ArrayRef<int64_t> dims) {
  if (llvm::is_sorted(dims))
    return value;
  Dims shape = mapped(dims, rankedType(value).getShape());
  return PermuteOp::create(rewriter, loc, rankedType(value).clone(shape), value, dims);
}

Value Propagation::reshape(Value value, ArrayRef<int64_t> shape) {
  if (rankedType(value).getShape() == shape)
    return value;
  return ReshapeOp::create(rewriter, loc, rankedType(value).clone(shape), value, shape);
}

Value Propagation::before(Value value, ArrayRef<int64_t> dims) {
  if (const Ordered *known = find(value); known && ArrayRef(known->dims) == dims)
    return known->value;
  return permute(value, inverted(dims));
}

Value Propagation::remade(Operation *op, ValueRange operands, ArrayRef<NamedAttribute> changed) {
  Operation *fresh = rewriter.insert(op->clone());
  fresh->setOperands(operands);
  for (NamedAttribute attribute : changed)
    fresh->setAttr(attribute.getName(), attribute.getValue());
  SmallVector<Type> types;
  if (failed(cast<InferTypeOpInterface>(fresh).inferReturnTypes(
          op->getContext(), loc, fresh->getOperands(), fresh->getAttrDictionary(),
          fresh->getPropertiesStorage(), fresh->getRegions(), types)))
    llvm_unreachable("an op that is valid in one order of dimensions is so in another");
  fresh->getResult(0).setType(types.front());
  return fresh->getResult(0);
}

//===----------------------------------------------------------------------===//
// One op each
//===----------------------------------------------------------------------===//

Ordered Propagation::convolution(ConvolutionOp op) {
  // [N, C, spatial…] is the permute of [N, spatial…, C] by these.
  int64_t rank = rankedType(op.getInput()).getRank();
  Dims dims{0, rank - 1};
  llvm::append_range(dims, llvm::seq<int64_t>(1, rank - 1));
  Value input = before(op.getInput(), dims);
  NamedAttribute flag = rewriter.getNamedAttr("channels_last", rewriter.getUnitAttr());
  return {remade(op, {input, op.getWeight()}, flag), dims};
}

/// The order of the largest operand, which is repeated, as an image's weights are for each of them.
const Ordered *Propagation::findLargest(ValueRange operands, int64_t rank) const {
  const Ordered *order = nullptr;
  int64_t most = 0;
  for (Value operand : operands) {
    RankedTensorType type = rankedType(operand);
    if (!type.hasStaticShape())
      return nullptr;
    if (type.getNumElements() <= most)
      continue;
    most = type.getNumElements();
    order = type.getRank() == rank ? find(operand) : nullptr;
  }
  return order;
}

std::optional<Ordered> Propagation::elementwise(Operation *op) {
  RankedTensorType type = rankedType(op->getResult(0));
  const Ordered *leader = nullptr;
  for (Value operand : op->getOperands())
    if (const Ordered *known = find(operand);
        known && rankedType(operand).getShape() == type.getShape())
      leader = known;
  if (!leader)
    leader = findLargest(op->getOperands(), type.getRank());
  if (!leader)
    return std::nullopt;
  Dims dims = leader->dims;
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    RankedTensorType own = rankedType(operand);
    if (own.getRank() != 0) {
      if (!own.hasStaticShape() && own.getRank() != type.getRank())
        return std::nullopt;
      Dims shape(type.getRank() - own.getRank(), 1);
      llvm::append_range(shape, own.getShape());
      operand = before(own.getRank() == type.getRank() ? operand : reshape(operand, shape), dims);
    }
    operands.push_back(operand);
  }
  return Ordered{remade(op, operands, {}), dims};
}

Ordered Propagation::permuted(PermuteOp op, const Ordered &source) {
  return {source.value, mapped(op.getDims(), source.dims)};
}

std::optional<Ordered> Propagation::reshaped(ReshapeOp op, const Ordered &source) {
  RankedTensorType from = rankedType(op.getOperand()), to = rankedType(op.getResult());
  auto ends = matchingRuns(from.getShape(), to.getShape());
  if (!ends)
    return std::nullopt;
  // A run goes where the first of its dimensions is stored, in its own order.
  struct Run {
    int64_t place;
    Dims from, to;
  };
  SmallVector<Run> runs;
  int64_t i = 0, j = 0;
  for (auto [fromEnd, toEnd] : *ends) {
    Run run;
    run.from = llvm::to_vector(llvm::seq<int64_t>(i, fromEnd));
    run.to = llvm::to_vector(llvm::seq<int64_t>(j, toEnd));
    run.place = llvm::min_element(mapped(run.from, source.dims))[0];
    i = fromEnd, j = toEnd;
    runs.push_back(std::move(run));
  }
  llvm::stable_sort(runs, [](const Run &x, const Run &y) { return x.place < y.place; });
  Dims order, shape, dims(to.getRank());
  for (const Run &run : runs) {
    llvm::append_range(order, mapped(run.from, source.dims));
    for (int64_t d : run.to) {
      dims[d] = shape.size();
      shape.push_back(to.getDimSize(d));
    }
  }
  return Ordered{reshape(permute(source.value, order), shape), dims};
}

/// Repetition; new dimensions come first.
std::optional<Ordered> Propagation::broadcast(BroadcastOp op, const Ordered &source) {
  ArrayRef<int64_t> shape = rankedType(op.getResult()).getShape();
  if (ShapedType::isDynamicShape(shape))
    return std::nullopt;
  int64_t added = static_cast<int64_t>(shape.size() - source.dims.size());
  Dims dims = iota(added);
  for (int64_t dim : source.dims)
    dims.push_back(dim + added);
  Dims target = ofOperand(shape, dims);
  return Ordered{remade(op, source.value, list("shape", target)), dims};
}

/// A window's elements come before the dimension stored last, so that this one stays last.
Ordered Propagation::windows(WindowOp op, const Ordered &source) {
  int64_t rank = source.dims.size(), count = op.getDims().size();
  Dims over = mapped(op.getDims(), source.dims);
  Value value = remade(op, source.value, list("dims", over));
  Dims dims = source.dims;
  llvm::append_range(dims, llvm::seq<int64_t>(rank, rank + count));
  if (llvm::is_contained(over, rank - 1))
    return {value, dims};
  Dims order = iota(rank - 1);
  llvm::append_range(order, llvm::seq<int64_t>(rank, rank + count));
  order.push_back(rank - 1);
  return {permute(value, order), mapped(dims, inverted(order))};
}

Ordered Propagation::concatenated(ConcatOp op, ArrayRef<int64_t> dims) {
  SmallVector<Value> inputs;
  for (Value input : op.getInputs())
    inputs.push_back(before(input, dims));
  return {remade(op, inputs, number("dim", dims[op.getDim()])), Dims(dims)};
}

Ordered Propagation::reduced(Operation *op, const Ordered &source, ArrayRef<int64_t> over,
                             bool keepdim) {
  Dims stored = mapped(over, source.dims);
  llvm::sort(stored);
  Value value = remade(op, source.value,
                       isa<ReduceOp>(op) ? list("dims", stored) : number("dim", stored.front()));
  if (keepdim)
    return {value, source.dims};
  Dims dims;
  for (auto [d, dim] : llvm::enumerate(source.dims))
    if (!llvm::is_contained(over, static_cast<int64_t>(d)))
      dims.push_back(dim - llvm::count_if(stored, [&](int64_t gone) { return gone < dim; }));
  return {value, dims};
}

Ordered Propagation::gathered(GatherOp op, const Ordered &source) {
  int64_t dim = op.getDim(), place = source.dims[dim];
  int64_t added = rankedType(op.getIndex()).getRank() - 1;
  Value value = remade(op, {source.value, op.getIndex()}, number("dim", place));
  Dims dims;
  for (auto [d, stored] : llvm::enumerate(source.dims)) {
    if (static_cast<int64_t>(d) == dim)
      llvm::append_range(dims, llvm::seq<int64_t>(place, place + added + 1));
    else
      dims.push_back(stored < place ? stored : stored + added);
  }
  return {value, dims};
}

std::optional<Ordered> Propagation::normalized(GroupNormOp op, const Ordered &source) {
  RankedTensorType type = rankedType(source.value);
  // Channels last, whatever the order of what is before them; nothing to sum for no elements.
  bool isLast = source.dims[0] == 0 && source.dims[1] == type.getRank() - 1;
  if (!isLast || type.getRank() < 3 || !type.hasStaticShape() || type.getNumElements() == 0)
    return std::nullopt;
  return Ordered{normalizeGroups(rewriter, op, source.value), source.dims};
}

//===----------------------------------------------------------------------===//
// Weights that calls compute
//===----------------------------------------------------------------------===//

/// Orders the parameters behind the weight of `op` where something else is behind it as well: what
/// is made of parameters alone is made once, in any order.
void Propagation::orderKernels(ConvolutionOp op) {
  int64_t spatial = rankedType(op.getWeight()).getRank() - 2;
  SetVector<Value> behind;
  behind.insert(op.getWeight());
  SmallVector<ParameterOp> parameters;
  bool isComputed = false;
  for (size_t i = 0; i < behind.size(); ++i) {
    Operation *source = behind[i].getDefiningOp();
    if (auto parameter = dyn_cast_or_null<ParameterOp>(source))
      parameters.push_back(parameter);
    else if (source && (source->hasTrait<Elementwise>() ||
                        isa<ReshapeOp, PermuteOp, SliceOp, ReverseOp, BroadcastOp>(source)))
      behind.insert(source->operand_begin(), source->operand_end());
    else
      isComputed |= !isa_and_nonnull<ConstantOp>(source);
  }
  if (isComputed)
    for (ParameterOp parameter : parameters)
      order(parameter, spatial);
}

/// Kernels [..., C, spatial...] are read as [..., spatial..., C].
void Propagation::order(ParameterOp parameter, int64_t spatial) {
  Value value = parameter.getResult();
  RankedTensorType type = rankedType(value);
  int64_t channels = type.getRank() - 1 - spatial;
  // One of two convolutions has done so.
  bool isOrdered = value.hasOneUse() && isa<PermuteOp>(*value.user_begin());
  if (isOrdered || channels < 1 || productOf(type.getShape().take_back(spatial)) == 1)
    return;
  Dims dims = iota(channels);
  dims.push_back(type.getRank() - 1);
  llvm::append_range(dims, llvm::seq<int64_t>(channels, type.getRank() - 1));
  rewriter.setInsertionPointAfter(parameter);
  loc = parameter.getLoc();
  Value turned = permute(value, inverted(dims));
  Value replacement = permute(turned, dims);
  orders[replacement] = {turned, dims};
  value.replaceAllUsesExcept(replacement, turned.getDefiningOp());
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

std::optional<Ordered> Propagation::rewrite(Operation *op) {
  if (auto conv = dyn_cast<ConvolutionOp>(op))
    return conv.getChannelsLast() ? std::nullopt : std::optional(convolution(conv));
  if (op->getNumOperands() == 0 || op->getNumResults() != 1)
    return std::nullopt;
  if (op->hasTrait<Elementwise>())
    return elementwise(op);
  if (auto concat = dyn_cast<ConcatOp>(op)) {
    for (Value input : concat.getInputs())
      if (const Ordered *known = find(input))
        return concatenated(concat, Dims(known->dims));
    return std::nullopt;
  }
  const Ordered *known = find(op->getOperand(0));
  if (!known)
    return std::nullopt;
  const Ordered source = *known;
  ArrayRef<int64_t> dims = source.dims;
  using Result = std::optional<Ordered>;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([&](PermuteOp permute) { return permuted(permute, source); })
      .Case([&](ReshapeOp reshape) { return reshaped(reshape, source); })
      .Case([&](BroadcastOp repeat) { return broadcast(repeat, source); })
      .Case([&](WindowOp window) { return windows(window, source); })
      .Case([&](GatherOp gather) { return gathered(gather, source); })
      .Case([&](GroupNormOp norm) { return normalized(norm, source); })
      .Case([&](PadOp pad) {
        return Ordered{remade(op, {source.value, pad.getValue()},
                              {list("low", ofOperand(pad.getLow(), dims)),
                               list("high", ofOperand(pad.getHigh(), dims))}),
                       source.dims};
      })
      .Case([&](SliceOp slice) {
        return Ordered{remade(op, source.value,
                              {list("starts", ofOperand(slice.getStarts(), dims)),
                               list("limits", ofOperand(slice.getLimits(), dims)),
                               list("steps", ofOperand(slice.getSteps(), dims))}),
                       source.dims};
      })
      .Case([&](ReverseOp reverse) {
        return Ordered{remade(op, source.value, list("dims", mapped(reverse.getDims(), dims))),
                       source.dims};
      })
      .Case([&](ReduceOp reduce) {
        return reduced(op, source, reduce.getDims(), reduce.getKeepdim());
      })
      .Case([&](ArgReduceOp reduce) {
        return reduced(op, source, static_cast<int64_t>(reduce.getDim()), reduce.getKeepdim());
      })
      .Case<SoftmaxOp, LogSoftmaxOp>([&](auto softmax) {
        return Ordered{remade(op, source.value, number("dim", dims[softmax.getDim()])),
                       source.dims};
      })
      .Default([](Operation *) { return std::nullopt; });
}

void Propagation::visit(Operation *op) {
  rewriter.setInsertionPoint(op);
  loc = op->getLoc();
  std::optional<Ordered> result = rewrite(op);
  if (!result)
    return;
  Value replacement = permute(result->value, result->dims);
  if (replacement != result->value)
    orders[replacement] = *result;
  rewriter.replaceOp(op, replacement);
}

namespace {
struct GraphChannelsLast : impl::GraphChannelsLastBase<GraphChannelsLast> {
  void runOnOperation() override {
    if (llvm::hasSingleElement(getOperation().getBody()))
      Propagation(&getContext()).run(getOperation());
  }
};
} // namespace

} // namespace tessera::graph
