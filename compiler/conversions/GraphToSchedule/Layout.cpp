//===- Layout.cpp - movement ops as layouts of a root's storage ------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/Layout.h"

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

Layout Layout::contiguous(Value root) {
  Layout layout;
  layout.root = root;
  llvm::append_range(layout.sizes, cast<RankedTensorType>(root.getType()).getShape());
  layout.strides = rowMajorStrides(layout.sizes);
  return layout;
}

bool Layout::isIdentity() const {
  return offset == 0 && ArrayRef(sizes) == cast<RankedTensorType>(root.getType()).getShape() &&
         isRowMajor();
}

bool Layout::isRowMajor() const {
  for (auto [size, stride, expected] : llvm::zip_equal(sizes, strides, rowMajorStrides(sizes)))
    if (size > 1 && stride != expected)
      return false;
  return true;
}

/// The strides under which a tensor of `sizes`/`strides` reads as `newSizes` without a copy, where
/// there are any: neighbouring dimensions may merge only when they are contiguous to each other.
static std::optional<SmallVector<int64_t>>
reshapeStrides(ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides, ArrayRef<int64_t> newSizes) {
  if (llvm::is_contained(sizes, 0))
    return rowMajorStrides(newSizes);
  // Merge neighbouring dimensions into runs that are contiguous inside; unit dimensions join any
  // run.
  SmallVector<std::pair<int64_t, int64_t>> runs; // (elements, innermost stride), outermost first
  for (auto [size, stride] : llvm::zip_equal(sizes, strides)) {
    if (size == 1)
      continue;
    if (!runs.empty() && runs.back().second == size * stride)
      runs.back() = {runs.back().first * size, stride};
    else
      runs.push_back({size, stride});
  }
  // Cut the runs into the new dimensions, innermost first.
  SmallVector<int64_t> result(newSizes.size(), 0);
  int64_t run = static_cast<int64_t>(runs.size()) - 1;
  int64_t left = run >= 0 ? runs[run].first : 1, stride = run >= 0 ? runs[run].second : 1;
  for (int64_t d = newSizes.size() - 1; d >= 0; --d) {
    if (newSizes[d] == 1) {
      result[d] = left == 1 && run > 0 ? runs[run - 1].second : stride;
      continue;
    }
    if (left == 1) {
      if (--run < 0)
        return std::nullopt;
      left = runs[run].first;
      stride = runs[run].second;
    }
    if (left % newSizes[d] != 0)
      return std::nullopt;
    result[d] = stride;
    stride *= newSizes[d];
    left /= newSizes[d];
  }
  return result;
}

std::optional<Layout> tessera::foldMovement(Operation *op, const Layout &source) {
  Layout out = source;
  bool folds =
      llvm::TypeSwitch<Operation *, bool>(op)
          .Case([&](graph::ReshapeOp reshape) {
            ArrayRef<int64_t> shape = cast<RankedTensorType>(reshape.getType()).getShape();
            auto strides = reshapeStrides(source.sizes, source.strides, shape);
            if (!strides)
              return false;
            out.sizes.assign(shape.begin(), shape.end());
            out.strides = std::move(*strides);
            return true;
          })
          .Case([&](graph::PermuteOp permute) {
            for (auto [d, from] : llvm::enumerate(permute.getDims())) {
              out.sizes[d] = source.sizes[from];
              out.strides[d] = source.strides[from];
            }
            return true;
          })
          .Case([&](graph::BroadcastOp broadcast) {
            ArrayRef<int64_t> shape = cast<RankedTensorType>(broadcast.getType()).getShape();
            int64_t added = static_cast<int64_t>(shape.size() - source.sizes.size());
            out.sizes.assign(shape.begin(), shape.end());
            out.strides.assign(shape.size(), 0);
            for (auto [d, size] : llvm::enumerate(source.sizes))
              if (size == shape[d + added])
                out.strides[d + added] = source.strides[d];
            return true;
          })
          .Case([&](graph::SliceOp slice) {
            ArrayRef<int64_t> shape = cast<RankedTensorType>(slice.getType()).getShape();
            out.sizes.assign(shape.begin(), shape.end());
            for (auto [d, start, step] : llvm::enumerate(slice.getStarts(), slice.getSteps())) {
              out.offset += start * source.strides[d];
              out.strides[d] = step * source.strides[d];
            }
            return true;
          })
          .Case([&](graph::ReverseOp reverse) {
            for (int64_t d : reverse.getDims()) {
              out.offset += (source.sizes[d] - 1) * source.strides[d];
              out.strides[d] = -source.strides[d];
            }
            return true;
          })
          .Case([&](graph::WindowOp window) {
            for (auto [d, size, step, dilation] :
                 llvm::zip_equal(window.getDims(), window.getSizes(), window.getSteps(),
                                 window.getDilations())) {
              out.sizes.push_back(size);
              out.strides.push_back(dilation * source.strides[d]);
              out.sizes[d] = cast<RankedTensorType>(window.getType()).getDimSize(d);
              out.strides[d] = step * source.strides[d];
            }
            return true;
          })
          .Default([](Operation *) { return false; });
  // An empty tensor addresses nothing: keep its layout inside the storage.
  if (folds && llvm::is_contained(out.sizes, 0))
    out.offset = 0;
  return folds ? std::optional(out) : std::nullopt;
}
