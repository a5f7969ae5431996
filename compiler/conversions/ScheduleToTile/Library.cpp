//===- Library.cpp - kernels that the runtime's library computes -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes a kernel of class library, its body one op on the kernel's inputs, and
// leaves one tile.call_library for the units asked for. Which function it is, what
// it is told beside its tensors and what a unit is stand here; what the function
// does, in runtime/library.
//
//===----------------------------------------------------------------------===//

#include "runtime/abi/Library.h"
#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"
#include "compiler/conversions/ScheduleToTile/LibraryCall.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"
#include "compiler/tile/ir/TileOps.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// A call whose units are the rows of `operand` along `dim`.
static LibraryCall callOnRows(StringRef callee, Value operand, int64_t dim,
                              ArrayRef<int64_t> parameters) {
  RankedTensorType type = typeOf(operand);
  LibraryCall call{callee, {dim}};
  llvm::append_range(call.parameters, parameters);
  SmallVector<int64_t> others(type.getShape());
  others.erase(others.begin() + dim);
  call.units = productOf(others);
  call.unitElements = type.getDimSize(dim);
  return call;
}

/// The same for rows that are walked side by side where they lie so: enough of them at a time.
static LibraryCall callOnRowsTogether(StringRef callee, Value operand, int64_t dim,
                                      ArrayRef<int64_t> parameters, int64_t grain) {
  constexpr int64_t enoughRows = 256;
  LibraryCall call = callOnRows(callee, operand, dim, parameters);
  if (productOf(typeOf(operand).getShape().drop_front(dim + 1)) > 1)
    call.unitElements = std::min(call.unitElements, std::max<int64_t>(grain / enoughRows, 1));
  return call;
}

/// A call on rows with scratch to put a row in order.
static LibraryCall callOnOrderedRows(StringRef callee, Value operand, int64_t dim,
                                     ArrayRef<int64_t> parameters) {
  LibraryCall call = callOnRows(callee, operand, dim, parameters);
  int64_t elementBytes = llvm::divideCeil(typeOf(operand).getElementTypeBitWidth(), 8);
  call.scratchBytes = tessera_ordering_scratch(elementBytes, typeOf(operand).getDimSize(dim));
  return call;
}

static int64_t codeOf(graph::Statistic kind) {
  switch (kind) {
  case graph::Statistic::Kth:
    return TESSERA_KTH;
  case graph::Statistic::Median:
    return TESSERA_MEDIAN;
  case graph::Statistic::NanMedian:
    return TESSERA_NANMEDIAN;
  case graph::Statistic::Mode:
    return TESSERA_MODE;
  }
  llvm_unreachable("every statistic has a code");
}

static int64_t codeOf(graph::ScatterKind kind) {
  switch (kind) {
  case graph::ScatterKind::None:
    return TESSERA_SCATTER_NONE;
  case graph::ScatterKind::Sum:
    return TESSERA_SCATTER_SUM;
  case graph::ScatterKind::Prod:
    return TESSERA_SCATTER_PROD;
  case graph::ScatterKind::Max:
    return TESSERA_SCATTER_MAX;
  case graph::ScatterKind::Min:
    return TESSERA_SCATTER_MIN;
  }
  llvm_unreachable("every kind has a code");
}

/// Whether the kernel's input behind `value` is the same along all dimensions from `first` on.
static bool isBroadcastFrom(schedule::KernelOp kernel, Value value, int64_t first) {
  SmallVector<int64_t> strides = kernel.getInputStrides(cast<BlockArgument>(value).getArgNumber());
  for (auto [size, stride] :
       llvm::drop_begin(llvm::zip_equal(typeOf(value).getShape(), strides), first))
    if (size != 1 && stride != 0)
      return false;
  return true;
}

/// Units are blocks of about `grain` elements, and each walks the whole index. Blocks of rows copy
/// best, but are worth it only where an index stands for many columns: else there are blocks of
/// columns.
static LibraryCall callScatter(graph::ScatterOp scatter, schedule::KernelOp kernel, int64_t grain) {
  constexpr int64_t walkShare = 64, minColumns = 64, enoughBlocks = 8;
  ArrayRef<int64_t> shape = typeOf(scatter.getDest()).getShape();
  int64_t dim = scatter.getDim(), rows = std::max<int64_t>(shape[dim], 1);
  int64_t columns = std::max<int64_t>(productOf(shape.drop_front(dim + 1)), 1);
  int64_t count = std::max<int64_t>(typeOf(scatter.getIndex()).getDimSize(dim), 1);
  int64_t work = (rows + count) * columns, wanted = std::max<int64_t>(work / grain, 1);
  int64_t walk = count * (isBroadcastFrom(kernel, scatter.getIndex(), dim + 1) ? 1 : columns);
  int64_t rowBlocks = std::clamp<int64_t>(work / walkShare / walk, 1, std::min(wanted, rows));
  int64_t columnBlocks = 1;
  if (rowBlocks < enoughBlocks) {
    rowBlocks = 1;
    columnBlocks = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(columns / minColumns, 1));
  }
  int64_t rowBlock = llvm::divideCeil(rows, rowBlocks);
  int64_t columnBlock = llvm::divideCeil(columns, columnBlocks);
  LibraryCall call{"tessera_scatter", {dim, codeOf(scatter.getKind()), rowBlock, columnBlock}};
  int64_t outer = productOf(shape.take_front(dim));
  if (productOf(shape.drop_front(dim + 1)) == 0)
    outer = 0;
  call.units = outer * llvm::divideCeil(rows, rowBlock) * llvm::divideCeil(columns, columnBlock);
  call.unitElements = work / rowBlocks / columnBlocks;
  return call;
}

/// Units are blocks of columns: which rows are whose, data says.
static LibraryCall callGroupedMatmul(graph::GroupedMatmulOp product) {
  RankedTensorType lhs = typeOf(product.getLhs()), rhs = typeOf(product.getRhs());
  int64_t groups = rhs.getRank() == 2 ? typeOf(product.getEnds()).getDimSize(0) : 1;
  LibraryCall call{"tessera_grouped_matmul", {}};
  call.units = groups * llvm::divideCeil(rhs.getShape().back(), TESSERA_GROUPED_COLUMNS);
  call.unitElements = lhs.getNumElements() * TESSERA_GROUPED_COLUMNS;
  call.scratchBytes = tessera_grouped_scratch(lhs.getElementType().isF64() ? 8 : 4);
  return call;
}

static FailureOr<LibraryCall> callFor(Operation *op, schedule::KernelOp kernel) {
  int64_t grain = cast<schedule::LibraryAttr>(kernel.getPointAttr()).getGrain();
  return llvm::TypeSwitch<Operation *, FailureOr<LibraryCall>>(op)
      .Case([&](graph::ScatterOp scatter) { return callScatter(scatter, kernel, grain); })
      .Case([](graph::SortOp sort) {
        return callOnOrderedRows("tessera_sort", sort.getOperand(), sort.getDim(),
                                 {sort.getDescending(), sort.getStable()});
      })
      .Case([](graph::TopkOp topk) {
        return callOnOrderedRows("tessera_topk", topk.getOperand(), topk.getDim(),
                                 {!topk.getSmallest(), topk.getSorted()});
      })
      .Case([](graph::OrderStatisticOp statistic) {
        return callOnOrderedRows(
            "tessera_order_statistic", statistic.getOperand(), statistic.getDim(),
            {codeOf(statistic.getKind()), static_cast<int64_t>(statistic.getK())});
      })
      .Case([&](graph::RunningExtremumOp extremum) {
        return callOnRowsTogether("tessera_running_extremum", extremum.getOperand(),
                                  extremum.getDim(),
                                  {extremum.getKind() == graph::ArgReduceKind::Max}, grain);
      })
      .Case([&](graph::RunningReduceOp running) {
        return callOnRowsTogether("tessera_running_reduce", running.getOperand(), running.getDim(),
                                  {running.getKind() == graph::ReduceKind::Prod}, grain);
      })
      .Case([](graph::SearchSortedOp search) {
        LibraryCall call{"tessera_search_sorted", {search.getRight()}};
        call.units = typeOf(search.getValues()).getNumElements();
        return call;
      })
      .Case([](graph::GroupedMatmulOp product) { return callGroupedMatmul(product); })
      .Default([](Operation *other) -> FailureOr<LibraryCall> {
        if (std::optional<LibraryCall> call = callOnMatrices(other))
          return *call;
        if (std::optional<LibraryCall> call = callFourier(other))
          return *call;
        return other->emitOpError("[kernel] has no function in the runtime's library");
      });
}

FailureOr<KernelExtent> tessera::emitLibrary(KernelFrame &frame) {
  Block &body = frame.kernel.getBody().front();
  Operation *op = &body.front();
  if (!op->hasTrait<graph::Library>() || op->getNextNode() != body.getTerminator() ||
      !llvm::all_of(op->getOperands(), llvm::IsaPred<BlockArgument>) ||
      frame.kernel.getYield().getValues() != op->getResults())
    return frame.kernel.emitOpError(
        "[kernel] body must be one library op of the kernel's inputs, all results yielded");
  int64_t grain = cast<schedule::LibraryAttr>(frame.kernel.getPointAttr()).getGrain();
  FailureOr<LibraryCall> call = callFor(op, frame.kernel);
  if (failed(call))
    return failure();

  OpBuilder &b = frame.b;
  Location loc = op->getLoc();
  SmallVector<Value> inputs;
  SmallVector<Type> types;
  for (Value operand : op->getOperands()) {
    inputs.push_back(frame.inputs[cast<BlockArgument>(operand).getArgNumber()]);
    types.push_back(typeOf(operand).getElementType());
  }
  for (Value result : op->getResults())
    types.push_back(typeOf(result).getElementType());
  Value scratch;
  if (call->scratchBytes > 0)
    scratch = frame.allocScratch(loc, MemRefType::get({call->scratchBytes}, b.getI8Type()));
  Value status = tile::CallLibraryOp::create(b, loc, b.getI32Type(), call->callee, inputs,
                                             frame.outputs, scratch, frame.begin, frame.end,
                                             b.getTypeArrayAttr(types), call->parameters);
  frame.function.getBody().front().getTerminator()->setOperand(0, status);
  return KernelExtent{call->units,
                      std::max<int64_t>(1, grain / std::max<int64_t>(call->unitElements, 1))};
}
