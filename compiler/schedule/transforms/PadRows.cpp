//===- PadRows.cpp - rows that do not share one cache set ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: kernels that store results without gaps. To: rows of results that
// products store or read get a cache line more, where they would lie a multiple
// of 4 KB apart.
//
// A product touches the same columns of many rows at a time. So far apart, these
// lines compete for one set of the first cache: products lose some percent both
// where they store such rows and where they read them.
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/schedule/transforms/Passes.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"

namespace tessera::schedule {
#define GEN_PASS_DEF_PADROWS
#include "compiler/schedule/transforms/Passes.h.inc"
} // namespace tessera::schedule

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

namespace {

/// Bytes from one line of a set of the first cache to the next one.
constexpr int64_t kSetDistance = 4096;
constexpr int64_t kLineBytes = 64;
/// Fewer rows than this fit a set.
constexpr int64_t kLeastRows = 8;

/// Who reads a result: kernels by themselves, and through views.
struct Readers {
  SmallVector<KernelOp> kernels;
  SmallVector<ViewOp> views;
  /// Something else does, that expects rows without gaps.
  bool others = false;
};

/// The offset and strides of a view over rows of `from` elements for rows of `to`. None where an
/// index walks across the ends of rows.
struct Repitch {
  int64_t from, to;

  std::optional<std::pair<int64_t, SmallVector<int64_t>>> operator()(ViewOp view) const {
    int64_t offset = view.getOffset(), lastInRow = offset % from;
    SmallVector<int64_t> moved;
    ArrayRef<int64_t> sizes = cast<RankedTensorType>(view.getType()).getShape();
    for (auto [size, stride] : llvm::zip_equal(sizes, view.getStrides())) {
      if (stride < 0 || size == 0)
        return std::nullopt;
      if (stride % from == 0) {
        moved.push_back(stride / from * to);
        continue;
      }
      lastInRow += (size - 1) * stride;
      moved.push_back(stride);
    }
    if (lastInRow >= from)
      return std::nullopt;
    return std::pair(offset / from * to + offset % from, moved);
  }
};

Readers readersOf(Value result) {
  Readers readers;
  auto note = [&](Operation *user) {
    auto kernel = dyn_cast<KernelOp>(user);
    // Library calls take their operands as they are.
    if (!kernel || kernel.getKind() == KernelKind::Library)
      readers.others = true;
    else
      readers.kernels.push_back(kernel);
  };
  for (Operation *user : result.getUsers()) {
    if (auto view = dyn_cast<ViewOp>(user)) {
      readers.views.push_back(view);
      llvm::for_each(view->getUsers(), note);
    } else {
      note(user);
    }
  }
  return readers;
}

bool isProduct(KernelOp kernel) { return kernel.getKind() == KernelKind::Contraction; }

/// Whether the rows of `kernel`'s result compete, and products notice.
bool conflicts(KernelOp kernel, RankedTensorType type, const Readers &readers) {
  if (type.getRank() < 2 || !type.hasStaticShape() || type.getNumElements() == 0)
    return false;
  int64_t row = type.getShape().back();
  return row * byteWidth(type.getElementType()) % kSetDistance == 0 &&
         type.getNumElements() / row >= kLeastRows &&
         (isProduct(kernel) || llvm::any_of(readers.kernels, isProduct));
}

/// Results of a class that stores through strides.
bool storesRows(KernelOp kernel) {
  switch (kernel.getKind()) {
  case KernelKind::Library:
  case KernelKind::Pack:
  case KernelKind::Indexing:
    return false;
  default:
    return !kernel.getPrepare();
  }
}

void pad(KernelOp kernel, Value result) {
  auto type = cast<RankedTensorType>(result.getType());
  Readers readers = readersOf(result);
  if (readers.others || !conflicts(kernel, type, readers))
    return;
  int64_t row = type.getShape().back();
  Repitch repitch{row, row + kLineBytes / byteWidth(type.getElementType())};
  auto moved = llvm::map_to_vector(readers.views, repitch);
  if (!llvm::all_of(moved, [](const auto &layout) { return layout.has_value(); }))
    return;

  SmallVector<int64_t> shape(type.getShape());
  shape.back() = repitch.to;
  result.setType(type.clone(shape));
  OpBuilder b(kernel.getContext());
  for (auto [view, layout] : llvm::zip_equal(readers.views, moved)) {
    view.setOffset(layout->first);
    view.setStrides(layout->second);
  }
  b.setInsertionPointAfter(kernel);
  auto whole = ViewOp::create(b, kernel.getLoc(), type, result, b.getI64IntegerAttr(0),
                              b.getDenseI64ArrayAttr(rowMajorStrides(shape)));
  result.replaceUsesWithIf(whole.getResult(),
                           [](OpOperand &use) { return isa<KernelOp>(use.getOwner()); });
  if (whole->use_empty())
    whole.erase();
}

struct PadRows : tessera::schedule::impl::PadRowsBase<PadRows> {
  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<KernelOp>())
      if (storesRows(kernel))
        for (Value result : kernel.getOutputs())
          pad(kernel, result);
  }
};

} // namespace
