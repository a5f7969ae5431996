//===- Grouping.cpp - which ops run as one kernel --------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/Grouping.h"

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;
using schedule::KernelKind;

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

bool tessera::isRematerialized(Operation *op) {
  if (auto constant = dyn_cast_or_null<graph::ConstantOp>(op))
    return cast<ElementsAttr>(constant.getValue()).isSplat();
  return isa_and_nonnull<graph::IotaOp>(op);
}

bool tessera::isLibraryCall(Operation *op) { return op->hasTrait<graph::Library>(); }

bool tessera::rowSpace(Operation *op, SmallVector<int64_t> &domain, SmallVector<int64_t> &reduced) {
  auto over = [&](Value input, ArrayRef<int64_t> dims) {
    domain.assign(shapeOf(input).begin(), shapeOf(input).end());
    reduced.assign(dims.begin(), dims.end());
    return true;
  };
  auto trailing = [&](Value input, int64_t count) {
    int64_t rank = shapeOf(input).size();
    return over(input, llvm::to_vector(llvm::seq<int64_t>(rank - count, rank)));
  };
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([&](graph::ReduceOp reduce) { return over(reduce.getOperand(), reduce.getDims()); })
      .Case([&](graph::ArgReduceOp reduce) {
        return over(reduce.getOperand(), {static_cast<int64_t>(reduce.getDim())});
      })
      .Case<graph::SoftmaxOp, graph::LogSoftmaxOp>([&](auto softmax) {
        return over(softmax.getOperand(), {static_cast<int64_t>(softmax.getDim())});
      })
      .Case<graph::LayerNormOp, graph::RmsNormOp>(
          [&](auto norm) { return trailing(norm.getOperand(), norm.getAxes()); })
      .Default([](Operation *) { return false; });
}

Grouping::Grouping(func::FuncOp function) {
  for (Operation &op : function.getBody().front())
    visit(&op);
}

void Grouping::visit(Operation *op) {
  if (op->hasTrait<mlir::OpTrait::IsTerminator>() || isRematerialized(op) ||
      isa<graph::ParameterOp, graph::ConstantOp>(op))
    return;
  if (isa<graph::IslandOp>(op)) {
    // Islands may have side effects: they keep their order.
    Group *island = create(KernelKind::Elementwise, op, {});
    island->isIsland = true;
    if (lastIsland)
      island->producers.insert(lastIsland);
    lastIsland = island;
    return;
  }
  if (op->hasTrait<graph::Movement>())
    return visitMovement(op);

  SmallVector<int64_t> domain, reduced;
  if (graph::isPointwise(op)) {
    ArrayRef<int64_t> shape = shapeOf(op->getResult(0));
    if (Group *host = findHost(op, shape, {})) {
      mergeOthers(host, op);
      return add(host, op);
    }
    create(KernelKind::Elementwise, op, shape)->apart = std::move(refused);
    return;
  }
  if (rowSpace(op, domain, reduced)) {
    if (Group *host = findHost(op, domain, reduced)) {
      mergeOthers(host, op);
      host->kind = KernelKind::Rows;
      host->reduced = reduced;
      return add(host, op);
    }
    Group *rows = create(KernelKind::Rows, op, domain);
    rows->reduced = reduced;
    rows->apart = std::move(refused);
    return;
  }
  KernelKind kind = isa<graph::MatmulOp>(op)        ? KernelKind::Contraction
                    : op->hasAttr(graph::kClaimed)  ? KernelKind::Convolution
                    : isa<graph::AttentionOp>(op)   ? KernelKind::Attention
                    : isLibraryCall(op)             ? KernelKind::Library
                    : isa<graph::ConvolutionOp>(op) ? KernelKind::Depthwise
                                                    : KernelKind::Indexing;
  noteApart(create(kind, op, shapeOf(op->getResult(0))), op);
  if (kind == KernelKind::Attention)
    layouts[op->getResult(0)] = attentionResultLayout(op->getResult(0));
}

/// A batch of products whose rows are put side by side is stored that way: rows stay whole, so it
/// costs nothing, and the copy behind it does.
void Grouping::layOutForReader(Operation *op) {
  Value result = op->getResult(0);
  auto reader = result.hasOneUse() ? dyn_cast<graph::PermuteOp>(*result.user_begin()) : nullptr;
  int64_t last = static_cast<int64_t>(shapeOf(result).size()) - 1;
  if (!reader || last < 0 || reader.getDims().back() != last)
    return;
  Layout layout = Layout::contiguous(result);
  for (auto [dim, stride] :
       llvm::zip_equal(reader.getDims(), rowMajorStrides(shapeOf(reader.getResult()))))
    layout.strides[dim] = stride;
  layouts[result] = layout;
}

/// Heads are stored inside the sequence, […, L, H, E] for […, H, L, E]: the order in which the
/// projection behind an attention reads them.
Layout Grouping::attentionResultLayout(Value result) {
  Layout layout = Layout::contiguous(result);
  size_t rank = layout.sizes.size();
  if (rank < 3)
    return layout;
  int64_t heads = layout.sizes[rank - 3], width = layout.sizes[rank - 1];
  layout.strides[rank - 3] = width;
  layout.strides[rank - 2] = heads * width;
  return layout;
}

void Grouping::visitMovement(Operation *op) {
  // A layout where one exists; else a kernel that copies: concat and pad compute, a reshape across
  // strides copies its operand first.
  if (isa<graph::ConcatOp, graph::PadOp>(op)) {
    create(KernelKind::Elementwise, op, shapeOf(op->getResult(0)));
    return;
  }
  const Layout source = layoutOf(op->getOperand(0));
  if (auto folded = foldMovement(op, source)) {
    layouts[op->getResult(0)] = *folded;
    return;
  }
  auto group = std::make_unique<Group>();
  group->kind = KernelKind::Elementwise;
  group->copied = op->getOperand(0);
  llvm::append_range(group->domain, source.sizes);
  collectProducers(op->getOperand(0), group->producers);
  group->order = groups.size();
  copies[op] = group.get();
  groups.push_back(std::move(group));
}

Group *Grouping::create(KernelKind kind, Operation *op, ArrayRef<int64_t> domain) {
  auto group = std::make_unique<Group>();
  group->kind = kind;
  group->domain.assign(domain.begin(), domain.end());
  group->order = groups.size();
  groups.push_back(std::move(group));
  add(groups.back().get(), op);
  return groups.back().get();
}

void Grouping::add(Group *group, Operation *op) {
  group->ops.push_back(op);
  byOp[op] = group;
  if (group->kind == KernelKind::Contraction)
    layOutForReader(op);
  for (Value operand : op->getOperands()) {
    if (Operation *def = operand.getDefiningOp(); def && byOp.lookup(def) == group)
      continue;
    collectProducers(operand, group->producers);
  }
}

void Grouping::collectProducers(Value value, llvm::SmallSetVector<Group *, 4> &producers) {
  Operation *def = value.getDefiningOp();
  if (!def)
    return;
  if (Group *group = byOp.lookup(def)) {
    producers.insert(group);
  } else if (Group *copy = copies.lookup(def)) {
    producers.insert(copy);
  } else if (def->hasTrait<graph::Movement>()) {
    collectProducers(def->getOperand(0), producers);
  }
}

bool Grouping::reaches(Group *from, Group *to) const {
  SmallVector<const Group *> stack{from};
  llvm::SmallPtrSet<const Group *, 16> seen;
  while (!stack.empty()) {
    const Group *group = stack.pop_back_val();
    if (group == to)
      return true;
    if (seen.insert(group).second)
      llvm::append_range(stack, group->producers);
  }
  return false;
}

/// True when a value of `shape` is a reduced value of the rows over `domain`: the domain with its
/// reduced dimensions 1. (A reduction that dropped its dimensions ends its kernel.)
static bool isReducedShape(ArrayRef<int64_t> shape, ArrayRef<int64_t> domain,
                           ArrayRef<int64_t> reduced) {
  if (shape.size() != domain.size())
    return false;
  for (auto [d, size] : llvm::enumerate(shape))
    if (size != (llvm::is_contained(reduced, static_cast<int64_t>(d)) ? 1 : domain[d]))
      return false;
  return true;
}

/// Why a group does not take an op in after its anchor; empty where it does.
static StringRef whyNotAccepted(const Group &group, bool isRowOp, ArrayRef<int64_t> domain,
                                ArrayRef<int64_t> reduced) {
  bool sameDomain = ArrayRef(group.domain) == domain;
  if (group.isIsland)
    return "it comes from an island";
  if (!isRowOp) {
    if (group.kind == KernelKind::Attention || group.kind == KernelKind::Library)
      return "nothing runs behind its class of kernels before results are in memory";
    bool isReduced =
        group.kind == KernelKind::Rows && isReducedShape(domain, group.domain, group.reduced);
    return sameDomain || isReduced ? "" : "it has another iteration space";
  }
  if (!sameDomain)
    return "it has another iteration space";
  if (group.kind == KernelKind::Rows)
    return ArrayRef(group.reduced) == reduced ? "" : "it reduces other dimensions";
  // Rows over a plain prologue, which may look elements up; concat and pad split their domain and
  // stay apart.
  if (group.kind != KernelKind::Elementwise && group.kind != KernelKind::Indexing)
    return "a row is whole only when all of its tiles are in memory";
  bool isSplit =
      llvm::any_of(group.ops, [](Operation *op) { return isa<graph::ConcatOp, graph::PadOp>(op); });
  return group.copied || isSplit ? "it puts pieces together, each of which has loops of its own"
                                 : "";
}

/// Joining must not close a cycle: no other operand may come from what depends on the host, nor
/// read the host's own stored result through a view. `merged` is a group that becomes one with the
/// host.
bool Grouping::canJoin(Operation *op, Group *host, Group *merged) {
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    Operation *def = operand.getDefiningOp();
    Group *own = def ? byOp.lookup(def) : nullptr;
    if (own && (own == host || own == merged))
      return true;
    llvm::SmallSetVector<Group *, 4> producers;
    collectProducers(operand, producers);
    return llvm::none_of(producers, [&](Group *producer) {
      return reaches(producer, host) || (merged && reaches(producer, merged));
    });
  });
}

Group *Grouping::findHost(Operation *op, ArrayRef<int64_t> domain, ArrayRef<int64_t> reduced) {
  bool isRowOp = !graph::isPointwise(op);
  SmallVector<Group *> candidates;
  refused.clear();
  for (Value operand : op->getOperands()) {
    Operation *def = operand.getDefiningOp();
    Group *candidate = def ? byOp.lookup(def) : nullptr;
    if (!candidate) {
      noteMoved(operand, refused);
      continue;
    }
    StringRef reason = whyNotAccepted(*candidate, isRowOp, domain, reduced);
    if (reason.empty())
      candidates.push_back(candidate);
    else
      refused.push_back({candidate, reason});
  }
  // The last producer, but a kernel that does more than a pointwise pass before one that does not:
  // the plain one can join it.
  llvm::stable_sort(candidates, [](Group *x, Group *y) {
    return std::pair(x->kind != KernelKind::Elementwise, x->order) >
           std::pair(y->kind != KernelKind::Elementwise, y->order);
  });
  auto host = llvm::find_if(candidates, [&](Group *candidate) { return canJoin(op, candidate); });
  if (host != candidates.end())
    return *host;
  for (Group *candidate : candidates)
    refused.push_back({candidate, "another operand needs its result in memory first"});
  return nullptr;
}

/// What lies behind movement is read from memory, in another layout.
void Grouping::noteMoved(Value operand, SmallVectorImpl<Group::Apart> &apart) {
  Operation *def = operand.getDefiningOp();
  // concat and pad compute: they are producers like any other.
  if (!def || !def->hasTrait<graph::Movement>() || byOp.lookup(def))
    return;
  llvm::SmallSetVector<Group *, 4> producers;
  collectProducers(operand, producers);
  for (Group *producer : producers)
    apart.push_back({producer, "it is read in another layout"});
}

/// Notes the producers of an op that begins a kernel because of its class.
void Grouping::noteApart(Group *group, Operation *op) {
  for (Value operand : op->getOperands()) {
    noteMoved(operand, group->apart);
    Operation *def = operand.getDefiningOp();
    if (Group *producer = def ? byOp.lookup(def) : nullptr; producer && producer != group)
      group->apart.push_back({producer, "this class of kernels reads its operands from memory"});
  }
}

/// True when `user` needs something of `maker` stored: through a view, an island or another kernel.
/// What its ops read directly they may as well compute.
bool Grouping::needsStored(Group *user, Group *maker) {
  for (Operation *op : user->ops)
    for (Value operand : op->getOperands()) {
      Operation *def = operand.getDefiningOp();
      if (def && (byOp.lookup(def) == maker || byOp.lookup(def) == user))
        continue;
      llvm::SmallSetVector<Group *, 4> producers;
      collectProducers(operand, producers);
      for (Group *producer : producers)
        if (producer != user && reaches(producer, maker))
          return true;
    }
  return false;
}

/// Why two groups stay apart that an op reads from; empty where they can be one.
StringRef Grouping::whyNotMerged(Group *host, Group *other) {
  auto isPlain = [](Group *group) {
    return !group->isIsland && !group->copied && llvm::none_of(group->ops, [](Operation *op) {
      return isa<graph::ConcatOp, graph::PadOp>(op);
    });
  };
  if (!isPlain(host) || !isPlain(other))
    return "it puts pieces together, each of which has loops of its own";
  if (host->domain != other->domain)
    return "it has another iteration space";
  bool sameRows = host->kind == KernelKind::Rows && other->kind == KernelKind::Rows &&
                  host->reduced == other->reduced;
  if (other->kind != KernelKind::Elementwise && !sameRows)
    return "a kernel is built around one of them";
  // A product, a lookup or an attention reads its operands from memory: what it reads cannot join
  // it.
  if (host->kind != KernelKind::Elementwise && host->kind != KernelKind::Rows &&
      reaches(host, other))
    return "this class of kernels reads its operands from memory";
  if (needsStored(host, other) || needsStored(other, host))
    return "its result is needed in memory";
  return "";
}

/// Takes the other producers of `op` into `host`: the arms of a diamond are one kernel.
void Grouping::mergeOthers(Group *host, Operation *op) {
  for (Value operand : op->getOperands()) {
    Operation *def = operand.getDefiningOp();
    Group *other = def ? byOp.lookup(def) : nullptr;
    // A third operand may need what `other` stores, as in where(x, other, matmul(other)).
    if (!def || !other) {
      noteMoved(operand, host->apart);
      continue;
    }
    if (other == host)
      continue;
    StringRef reason = whyNotMerged(host, other);
    if (reason.empty() && !canJoin(op, host, other))
      reason = "another operand needs its result in memory first";
    if (!reason.empty()) {
      host->apart.push_back({other, reason});
      continue;
    }
    other->mergedInto = host;
    host->apart.append(other->apart);
    other->apart.clear();
    host->ops.append(other->ops);
    llvm::sort(host->ops, [](Operation *x, Operation *y) { return x->isBeforeInBlock(y); });
    for (Operation *moved : other->ops)
      byOp[moved] = host;
    other->ops.clear();
    host->producers.insert_range(other->producers);
    other->producers.clear();
    for (const auto &group : groups)
      if (group->producers.remove(other))
        group->producers.insert(host);
    host->producers.remove(host);
    host->order = std::max(host->order, other->order);
  }
}

const Layout &Grouping::layoutOf(Value value) {
  auto it = layouts.find(value);
  if (it != layouts.end())
    return it->second;
  return layouts.try_emplace(value, Layout::contiguous(value)).first->second;
}

SmallVector<Group *> Grouping::sorted() const {
  SmallVector<Group *> order;
  llvm::SmallPtrSet<Group *, 16> done;
  auto place = [&](auto &&self, Group *group) -> void {
    if (!done.insert(group).second)
      return;
    for (Group *producer : group->producers)
      self(self, producer);
    order.push_back(group);
  };
  for (const auto &group : groups)
    if (!group->ops.empty() || group->copied)
      place(place, group.get());
  return order;
}
