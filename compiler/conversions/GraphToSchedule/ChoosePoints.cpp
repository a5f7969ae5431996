//===- ChoosePoints.cpp - a default schedule for every kernel --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: kernels that say what they compute. To: kernels that also say how.
// Contraction and attention choose in schedule/transforms, by the measured
// recipe; rows and loop nests need only a lane count and a grain.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/ConvolutionShapes.h"
#include "compiler/conversions/GraphToSchedule/FuseCaches.h"
#include "compiler/conversions/GraphToSchedule/Grouping.h"
#include "compiler/conversions/GraphToSchedule/Passes.h"
#include "compiler/conversions/GraphToSchedule/Prepared.h"
#include "compiler/schedule/ir/KernelNotes.h"
#include "compiler/schedule/transforms/AttentionSchedule.h"
#include "compiler/schedule/transforms/ContractionSchedule.h"
#include "compiler/schedule/transforms/DepthwiseSchedule.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

namespace tessera {
#define GEN_PASS_DEF_CHOOSEPOINTS
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

/// Machine vectors a loop body works on at once: enough to hide the latency of an add or a product.
constexpr int64_t vectorsInFlight = 4;
/// Elements a unit should hold: some microseconds of work, so that taking one costs little.
constexpr int64_t elementsPerUnit = 16384;
/// Rows with fewer elements fill no vector.
constexpr int64_t shortRow = 16;
/// Rows so far apart, and side by side, are still read without gathers.
constexpr int64_t maxWindowStep = 4;
/// Results that fill this part of the last cache are not found there again.
constexpr int64_t streamedShare = 2;

static int64_t registerBits(Type type) {
  Type element = cast<RankedTensorType>(type).getElementType();
  return element.isInteger(1) ? 8 : std::max<int64_t>(element.getIntOrFloatBitWidth(), 32);
}

/// Lanes for a body: four machine vectors of its widest type, no more than `extent` needs.
static int64_t chooseLanes(KernelOp kernel, int64_t extent, int64_t vectorBits) {
  int64_t widest = 32;
  kernel.getBody().walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      widest = std::max(widest, registerBits(type));
  });
  int64_t machine = vectorBits / widest;
  int64_t wanted = powerOfTwoCeil(extent);
  return std::clamp(wanted, std::min<int64_t>(machine, 4), machine * vectorsInFlight);
}

/// Whether only the function's return reads `value`, as it is or through views.
static bool isOnlyReturned(Value value) {
  return llvm::all_of(value.getUsers(), [](Operation *user) {
    auto view = dyn_cast<ViewOp>(user);
    return isa<func::ReturnOp>(user) || (view && isOnlyReturned(view.getResult()));
  });
}

/// Whether the caches would lose the results before anybody reads them: large ones that leave the
/// program. What a kernel or an island reads next is worth keeping near.
static bool shouldStream(KernelOp kernel, int64_t l3Bytes) {
  int64_t bytes = 0;
  for (Value result : kernel.getOutputs()) {
    auto type = cast<RankedTensorType>(result.getType());
    bytes += byteSize(type);
    if (!isOnlyReturned(result))
      return false;
  }
  return bytes >= l3Bytes / streamedShare;
}

/// Whether what the program returns has left the caches when the next call reads it: all that a
/// call is given passes through them in between.
static bool outgrowsCaches(func::FuncOp function, int64_t l3Bytes) {
  int64_t bytes = 0;
  auto add = [&](Type type) {
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      bytes += byteSize(tensor);
  };
  llvm::for_each(function.getArgumentTypes(), add);
  for (auto parameter : function.getOps<graph::ParameterOp>())
    add(parameter.getType());
  return bytes >= l3Bytes / streamedShare;
}

static ElementwiseAttr chooseElementwise(KernelOp kernel, const MachineModel &machine) {
  auto type = cast<RankedTensorType>(kernel.getYield().getValues().front().getType());
  // Contiguous dimensions coalesce, so short last dimensions still fill vectors: the emitter
  // narrows.
  return ElementwiseAttr::get(kernel.getContext(),
                              chooseLanes(kernel, type.getNumElements(), machine.vectorBits),
                              elementsPerUnit, shouldStream(kernel, machine.l3Bytes));
}

/// The size of the longest kept dimension along which an input of the domain's shape lies
/// contiguous, or nearly: windows a few elements apart are read by whole vectors. Where elements
/// are looked up, each from its place, the innermost kept one is as good as any.
static int64_t longestAcross(KernelOp kernel, ArrayRef<int64_t> domain, ArrayRef<int64_t> reduced) {
  int64_t longest = 1;
  bool isLookedUp = true;
  for (BlockArgument input : kernel.getBody().front().getArguments()) {
    if (cast<RankedTensorType>(input.getType()).getShape() != domain)
      continue;
    isLookedUp = false;
    for (auto [d, stride] : llvm::enumerate(kernel.getInputStrides(input.getArgNumber())))
      if (stride > 0 && stride <= maxWindowStep &&
          !llvm::is_contained(reduced, static_cast<int64_t>(d)))
        longest = std::max(longest, domain[d]);
  }
  if (isLookedUp)
    for (auto [d, size] : llvm::enumerate(domain))
      if (!llvm::is_contained(reduced, static_cast<int64_t>(d)))
        longest = size;
  return longest;
}

static RowsAttr chooseRows(KernelOp kernel, const MachineModel &machine) {
  SmallVector<int64_t> domain, reduced;
  // All row ops of a kernel share one space.
  if (llvm::none_of(kernel.getBody().front(),
                    [&](Operation &op) { return rowSpace(&op, domain, reduced); }))
    return {};
  int64_t rank = domain.size(), innermost = rank == 0 ? 1 : domain.back(), rowElements = 1;
  for (int64_t d : reduced)
    rowElements *= domain[d];
  bool along = rank == 0 || reduced.empty() || llvm::is_contained(reduced, rank - 1);
  // Along short rows most lanes are idle. Windows and their like lie side by side instead.
  if (int64_t across = longestAcross(kernel, domain, reduced);
      along && innermost < shortRow && across > innermost) {
    along = false;
    innermost = across;
  } else if (!along) {
    // Kept dimensions behind the reduced ones are one to the vectors across them.
    for (int64_t d = rank - 2; !llvm::is_contained(reduced, d); --d)
      innermost *= domain[d];
  }
  int64_t grain = std::max<int64_t>(1, elementsPerUnit / std::max<int64_t>(rowElements, 1));
  // While a pass computes on a row it has already read, memory is idle: the emitter fetches the
  // next row there. Rows of a single pass have no such pass and fetch nothing.
  return RowsAttr::get(kernel.getContext(), chooseLanes(kernel, innermost, machine.vectorBits),
                       along, grain,
                       /*prefetchRow=*/along, shouldStream(kernel, machine.l3Bytes));
}

/// Lanes and grains around the default ones of a loop nest.
static DictionaryAttr loopSpace(KernelOp kernel, const MachineModel &machine, int64_t grain) {
  Builder b(kernel.getContext());
  int64_t lanes = chooseLanes(kernel, machine.vectorBits, machine.vectorBits) / vectorsInFlight;
  SmallVector<int64_t> grains{std::max<int64_t>(1, grain / 4), grain, grain * 4};
  return b.getDictionaryAttr({
      b.getNamedAttr("lanes", b.getDenseI64ArrayAttr({lanes, 2 * lanes, 4 * lanes})),
      b.getNamedAttr("grain", b.getDenseI64ArrayAttr(grains)),
  });
}

static DictionaryAttr rowsSpace(KernelOp kernel, RowsAttr chosen, const MachineModel &machine) {
  Builder b(kernel.getContext());
  NamedAttrList space(loopSpace(kernel, machine, chosen.getGrain()));
  space.set("prefetchRow", b.getDenseBoolArrayAttr({false, true}));
  space.set("lanesAlongReduction", b.getDenseBoolArrayAttr({false, true}));
  return space.getDictionary(kernel.getContext());
}

/// The layout of a body value: its input's for an argument, contiguous for what is computed.
static SmallVector<int64_t> stridesOf(KernelOp kernel, Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return kernel.getInputStrides(argument.getArgNumber());
  return rowMajorStrides(cast<RankedTensorType>(value.getType()).getShape());
}

static int64_t bitsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getElementTypeBitWidth();
}

static bool isBF16(Value value) {
  return cast<RankedTensorType>(value.getType()).getElementType().isBF16();
}

static ContractionShape contractionShape(KernelOp kernel, graph::MatmulOp matmul) {
  ArrayRef<int64_t> a = cast<RankedTensorType>(matmul.getLhs().getType()).getShape();
  ArrayRef<int64_t> b = cast<RankedTensorType>(matmul.getRhs().getType()).getShape();
  ArrayRef<int64_t> c = cast<RankedTensorType>(matmul.getType()).getShape();
  ContractionShape shape;
  shape.depth = a[a.size() - (matmul.getTransposeA() ? 2 : 1)];
  shape.columns = c.back();
  shape.rows = c[c.size() - 2];
  // A product with one B for all is one tall product.
  (b.size() == 2 ? shape.rows : shape.batch) *= productOf(c.drop_back(2));
  shape.operandBits = bitsOf(matmul.getLhs());
  shape.accBits = std::max<int64_t>(shape.operandBits, 32);
  auto argument = dyn_cast<BlockArgument>(matmul.getRhs());
  shape.packedB = argument && isPrepared(kernel.getInputs()[argument.getArgNumber()]);
  SmallVector<int64_t> strides = stridesOf(kernel, matmul.getLhs());
  shape.aRowStride = strides[strides.size() - 2];
  shape.aColStride = strides.back();
  if (matmul.getTransposeA())
    std::swap(shape.aRowStride, shape.aColStride);
  return shape;
}

static AttentionShape attentionShape(KernelOp kernel, graph::AttentionOp attention) {
  ArrayRef<int64_t> q = cast<RankedTensorType>(attention.getQuery().getType()).getShape();
  ArrayRef<int64_t> k = cast<RankedTensorType>(attention.getKey().getType()).getShape();
  ArrayRef<int64_t> v = cast<RankedTensorType>(attention.getValue().getType()).getShape();
  AttentionShape shape;
  shape.heads = productOf(q.drop_back(2));
  shape.queries = q[q.size() - 2];
  shape.depth = q.back();
  shape.keys = v[v.size() - 2];
  shape.columns = v.back();
  if (k.size() >= 3 && k[k.size() - 3] != 0)
    shape.group = q[q.size() - 3] / k[k.size() - 3];
  shape.accBits = std::max<int64_t>(bitsOf(attention.getQuery()), 32);
  shape.wholeRows = stridesOf(kernel, attention.getKey()).back() == 1 &&
                    stridesOf(kernel, attention.getValue()).back() == 1;
  return shape;
}

static DepthwiseShape depthwiseShape(graph::ConvolutionOp convolution) {
  ArrayRef<int64_t> weight = cast<RankedTensorType>(convolution.getWeight().getType()).getShape();
  ArrayRef<int64_t> result = cast<RankedTensorType>(convolution.getType()).getShape();
  DepthwiseShape shape;
  shape.batch = result.front();
  shape.channels = result.back();
  shape.rows = productOf(result.drop_front().drop_back(2));
  shape.columns = result[result.size() - 2];
  shape.group = std::max(weight[1], weight[0] / static_cast<int64_t>(convolution.getGroups()));
  shape.kernelColumns = weight.back();
  shape.taps = productOf(weight.drop_front(2));
  shape.accBits = std::max<int64_t>(bitsOf(convolution.getInput()), 32);
  return shape;
}

namespace {
struct ChoosePoints : tessera::impl::ChoosePointsBase<ChoosePoints> {
  using ChoosePointsBase::ChoosePointsBase;
  ChoosePoints(const ChoosePointsOptions &options, RecallPoint recall)
      : ChoosePointsBase(options), recall(std::move(recall)) {}

  void runOnOperation() override {
    for (auto kernel : llvm::make_early_inc_range(getOperation().getOps<KernelOp>()))
      if (!kernel.getPointAttr())
        takeTuned(choose(kernel));
  }

  /// Puts a tuned point in the place of the chosen one, which is noted.
  void takeTuned(KernelOp kernel) {
    Attribute tuned = recall && kernel.getSpaceAttr() ? recall(kernel) : nullptr;
    if (!tuned || tuned == kernel.getPointAttr())
      return;
    kernel->setDiscardableAttr(kDefaultPointNote, kernel.getPointAttr());
    kernel.setPointAttr(tuned);
  }

  /// Returns the kernel that has a point now: `kernel`, or the one that has taken its place.
  KernelOp choose(KernelOp kernel) {
    switch (kernel.getKind()) {
    case KernelKind::Elementwise:
    case KernelKind::Indexing:
      kernel.setPointAttr(chooseElementwise(kernel, machine()));
      setSpace(kernel, loopSpace(kernel, machine(), elementsPerUnit));
      break;
    case KernelKind::Rows:
      if (RowsAttr rows = chooseRows(kernel, machine())) {
        kernel.setPointAttr(rows);
        setSpace(kernel, rowsSpace(kernel, rows, machine()));
      }
      break;
    case KernelKind::Contraction:
      chooseProduct(kernel);
      break;
    case KernelKind::Convolution:
      chooseWindows(kernel);
      break;
    case KernelKind::Attention:
      return chooseFlash(kernel);
    case KernelKind::Library:
      kernel.setPointAttr(LibraryAttr::get(kernel.getContext(), elementsPerUnit));
      break;
    case KernelKind::Depthwise:
      chooseChannelwise(kernel);
      break;
    case KernelKind::Pack:
      break; // the panel width is in its type
    }
    return kernel;
  }

private:
  RecallPoint recall;

  MachineModel machine() const {
    MachineModel model;
    model.threads = static_cast<int>(threads);
    model.vectorBits = vectorBits;
    model.bf16Dot = bf16Dot;
    return model;
  }

  /// What runs once, to prepare parameters, is not worth a search.
  static void setSpace(KernelOp kernel, DictionaryAttr space) {
    if (!kernel.getPrepare())
      kernel.setSpaceAttr(space);
  }

  void chooseProduct(KernelOp kernel) {
    for (auto matmul : kernel.getBody().front().getOps<graph::MatmulOp>()) {
      ContractionShape shape = contractionShape(kernel, matmul);
      shape.anyRows = anySizes;
      shape.pairs = bf16Dot && isBF16(matmul.getLhs());
      kernel.setPointAttr(chooseContraction(kernel.getContext(), shape, machine()));
      kernel.setSpaceAttr(contractionSpace(kernel.getContext(), shape, machine()));
    }
  }

  void chooseChannelwise(KernelOp kernel) {
    for (auto convolution : kernel.getBody().front().getOps<graph::ConvolutionOp>()) {
      DepthwiseShape shape = depthwiseShape(convolution);
      kernel.setPointAttr(chooseDepthwise(kernel.getContext(), shape, machine()));
      kernel.setSpaceAttr(depthwiseSpace(kernel.getContext(), shape, machine()));
    }
  }

  void chooseWindows(KernelOp kernel) {
    for (auto convolution : kernel.getBody().front().getOps<graph::ConvolutionOp>()) {
      ConvolutionShape shape = convolutionShape(convolution, bf16Dot);
      shape.pairs &= stridesOf(kernel, convolution.getInput()).back() == 1;
      auto weight = dyn_cast<BlockArgument>(convolution.getWeight());
      shape.isComputed = weight && !isPrepared(kernel.getInputs()[weight.getArgNumber()]);
      kernel.setPointAttr(chooseConvolution(kernel.getContext(), shape, machine()));
      kernel.setSpaceAttr(convolutionSpace(kernel.getContext(), shape, machine()));
    }
  }

  AttentionShape flashShape(KernelOp kernel, graph::AttentionOp attention) {
    AttentionShape shape = attentionShape(kernel, attention);
    shape.anySizes = anySizes;
    shape.pairs = bf16Dot && isBF16(attention.getQuery());
    return shape;
  }

  KernelOp chooseFlash(KernelOp kernel) {
    auto find = [](KernelOp kernel) {
      return *kernel.getBody().front().getOps<graph::AttentionOp>().begin();
    };
    AttentionShape shape = flashShape(kernel, find(kernel));
    MLIRContext *context = kernel.getContext();
    // A head of keys is written by one thread: there must be one for each.
    if (chooseAttention(context, shape, machine()).getInPlace() &&
        shape.heads / shape.group >= static_cast<int64_t>(threads)) {
      KernelOp fused = fuseCaches(kernel, find(kernel));
      shape.stream = fused != kernel && outgrowsCaches(getOperation(), machine().l3Bytes) &&
                     llvm::all_of(fused.getOutputs().drop_front(), isOnlyReturned);
      kernel = fused;
    }
    kernel.setPointAttr(chooseAttention(context, shape, machine()));
    kernel.setSpaceAttr(attentionSpace(context, shape, machine()));
    return kernel;
  }
};
} // namespace

std::unique_ptr<Pass> tessera::createChoosePointsPass(const ChoosePointsOptions &options,
                                                      RecallPoint recall) {
  return std::make_unique<ChoosePoints>(options, std::move(recall));
}
