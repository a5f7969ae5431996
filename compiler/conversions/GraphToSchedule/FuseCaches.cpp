//===- FuseCaches.cpp - attention extends the caches it reads --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a kernel that puts a cache and new rows together, and an attention that
// reads the result in place. To: an attention that reads the pieces, and writes
// the longer cache on the way where somebody else reads it: memory is walked once.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/FuseCaches.h"

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/KernelNotes.h"
#include "compiler/support/Sizes.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

/// The concat that is all the kernel behind `cache` computes, along the rows of matrices whose
/// elements lie side by side.
static graph::ConcatOp findJoin(Value cache) {
  auto kernel = cache.getDefiningOp<KernelOp>();
  if (!kernel || kernel.getKind() != KernelKind::Elementwise || kernel.getPrepare() ||
      kernel.getResultPermsAttr() ||
      !llvm::hasSingleElement(kernel.getBody().front().without_terminator()))
    return nullptr;
  auto join = dyn_cast<graph::ConcatOp>(kernel.getBody().front().front());
  if (!join || static_cast<int64_t>(join.getDim()) != join.getType().getRank() - 2)
    return nullptr;
  bool inRows = llvm::all_of(join->getOperands(), [&](Value piece) {
    auto argument = dyn_cast<BlockArgument>(piece);
    return argument && kernel.getInputStrides(argument.getArgNumber()).back() == 1;
  });
  return inRows ? join : nullptr;
}

/// Whether a cache of `cache`'s shape has one matrix for each head of each item: none of them is
/// read, and so would be written, for several items.
static bool isWhole(RankedTensorType cache, RankedTensorType result) {
  if (cache.getRank() != result.getRank())
    return false;
  int64_t items = std::max<int64_t>(cache.getRank() - 3, 0);
  return cache.getShape().take_front(items) == result.getShape().take_front(items);
}

/// The join behind operand `index` of the attention, where reading its pieces is as good.
static graph::ConcatOp findFusedJoin(KernelOp kernel, graph::AttentionOp attention,
                                     unsigned index) {
  Value operand = attention->getOperand(index);
  auto argument = dyn_cast<BlockArgument>(operand);
  if (!argument || !argument.hasOneUse() ||
      !isWhole(cast<RankedTensorType>(operand.getType()),
               cast<RankedTensorType>(attention.getType())))
    return nullptr;
  Value cache = kernel.getInputs()[argument.getArgNumber()];
  graph::ConcatOp join = findJoin(cache);
  // The cache is written later than before: whoever else reads it must come behind.
  bool isFirst = llvm::all_of(cache.getUsers(), [&](Operation *user) {
    return user == kernel ||
           (user->getBlock() == kernel->getBlock() && kernel->isBeforeInBlock(user));
  });
  return join && isFirst && llvm::count(kernel.getInputs(), cache) == 1 ? join : nullptr;
}

namespace {
/// One kernel out of an attention and the joins of its keys and values.
class Fusion {
public:
  explicit Fusion(KernelOp kernel) : kernel(kernel), b(kernel) {}

  KernelOp run(graph::AttentionOp attention);

private:
  void collect(graph::AttentionOp attention);
  void fillBody(KernelOp fused);
  ArrayAttr perms(ArrayRef<Type> types);
  ArrayAttr notes();

  KernelOp kernel;
  OpBuilder b;
  SmallVector<unsigned> positions; ///< inputs of `kernel` that are joined
  SmallVector<KernelOp> joins;     ///< the kernels behind them
  SmallVector<bool> isKept;        ///< whether anybody else reads them
  SmallVector<Value> inputs;
};
} // namespace

void Fusion::collect(graph::AttentionOp attention) {
  for (unsigned index : {1U, 2U})
    if (graph::ConcatOp join = findFusedJoin(kernel, attention, index)) {
      positions.push_back(cast<BlockArgument>(attention->getOperand(index)).getArgNumber());
      joins.push_back(join->getParentOfType<KernelOp>());
      isKept.push_back(!joins.back()->hasOneUse());
    }
}

/// The order in which results are stored: caches as they are.
ArrayAttr Fusion::perms(ArrayRef<Type> types) {
  if (!kernel.getResultPermsAttr())
    return {};
  SmallVector<Attribute> perms(kernel.getResultPermsAttr().getValue());
  for (Type type : types.drop_front(perms.size()))
    perms.push_back(b.getDenseI64ArrayAttr(
        llvm::to_vector(llvm::seq<int64_t>(0, cast<RankedTensorType>(type).getRank()))));
  return b.getArrayAttr(perms);
}

/// What was said about the kernels, but for what no longer holds.
ArrayAttr Fusion::notes() {
  SmallVector<Attribute> notes;
  auto take = [&](KernelOp from) {
    auto own = from->getAttrOfType<ArrayAttr>(kApartNote);
    if (own)
      llvm::append_range(notes, own);
  };
  take(kernel);
  llvm::erase_if(notes, [](Attribute note) {
    return cast<StringAttr>(note).getValue().starts_with(
        graph::ConcatOp::getOperationName().split('.').second);
  });
  for (KernelOp join : joins)
    take(join);
  return notes.empty() ? ArrayAttr() : b.getArrayAttr(notes);
}

void Fusion::fillBody(KernelOp fused) {
  Block &body = fused.getBody().emplaceBlock();
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  IRMapping map;
  SmallVector<Value> caches;
  for (Value argument : kernel.getBody().front().getArguments())
    if (!llvm::is_contained(positions, cast<BlockArgument>(argument).getArgNumber()))
      map.map(argument, body.addArgument(argument.getType(), argument.getLoc()));
  for (auto [position, join] : llvm::zip_equal(positions, joins)) {
    Block &pieces = join.getBody().front();
    IRMapping own;
    for (Value piece : pieces.getArguments())
      own.map(piece, body.addArgument(piece.getType(), piece.getLoc()));
    caches.push_back(inner.clone(pieces.front(), own)->getResult(0));
    map.map(kernel.getBody().front().getArgument(position), caches.back());
  }
  for (Operation &op : kernel.getBody().front())
    inner.clone(op, map);
  for (auto [cache, kept] : llvm::zip_equal(caches, isKept))
    if (kept)
      body.getTerminator()->insertOperands(body.getTerminator()->getNumOperands(), cache);
}

KernelOp Fusion::run(graph::AttentionOp attention) {
  collect(attention);
  if (joins.empty())
    return kernel;
  SmallVector<Type> types(kernel.getOutputs().getTypes());
  SmallVector<Location> locations{kernel.getLoc()};
  for (auto [i, input] : llvm::enumerate(kernel.getInputs()))
    if (!llvm::is_contained(positions, i))
      inputs.push_back(input);
  for (auto [join, kept] : llvm::zip_equal(joins, isKept)) {
    llvm::append_range(inputs, join.getInputs());
    locations.push_back(join.getLoc());
    if (kept)
      types.push_back(join.getResult(0).getType());
  }
  auto fused = KernelOp::create(b, b.getFusedLoc(locations), types, KernelKind::Attention, inputs,
                                {}, {}, false, {}, perms(types));
  if (ArrayAttr said = notes())
    fused->setDiscardableAttr(kApartNote, said);
  fillBody(fused);
  unsigned next = kernel.getNumResults();
  for (auto [before, after] : llvm::zip(kernel.getOutputs(), fused.getOutputs()))
    before.replaceAllUsesWith(after);
  kernel.erase();
  for (auto [join, kept] : llvm::zip_equal(joins, isKept)) {
    if (kept)
      join.getResult(0).replaceAllUsesWith(fused.getResult(next++));
    join.erase();
  }
  return fused;
}

KernelOp tessera::fuseCaches(KernelOp kernel, graph::AttentionOp attention) {
  // Rows a causal query does not see would be left unwritten.
  if (attention.getCausal())
    return kernel;
  return Fusion(kernel).run(attention);
}
