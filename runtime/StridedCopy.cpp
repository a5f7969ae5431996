//===- StridedCopy.cpp - copies between layouts ------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Dimensions are sorted by the target's strides and merged where both sides
// allow it. What is left is rows of memcpy, a blocked transpose, or, in the
// general case, element by element along the innermost dimension.
//
//===----------------------------------------------------------------------===//

#include "runtime/StridedCopy.h"

#include <algorithm>
#include <cstring>
#include <vector>

using namespace tessera::runtime;

namespace {

/// One loop of the nest; strides in bytes.
struct Loop {
  int64_t size, source, target;
};

/// The loops of the copy, outermost first, merged as far as both layouts allow.
std::vector<Loop> loopNest(const TensorView &view, const int64_t *targetStrides, int64_t width) {
  std::vector<Loop> loops;
  for (int32_t i = 0; i < view.rank; ++i) {
    if (view.sizes[i] == 1)
      continue;
    Loop loop{view.sizes[i], view.strides[i] * width, targetStrides[i] * width};
    auto outer = [](const Loop &a, const Loop &b) { return a.target > b.target; };
    loops.insert(std::upper_bound(loops.begin(), loops.end(), loop, outer), loop);
  }
  std::vector<Loop> merged;
  for (const Loop &loop : loops) {
    if (!merged.empty() && merged.back().source == loop.size * loop.source &&
        merged.back().target == loop.size * loop.target)
      merged.back() = {merged.back().size * loop.size, loop.source, loop.target};
    else
      merged.push_back(loop);
  }
  return merged;
}

/// Calls `body(source, target)` for each point of loops [0, count).
template <typename Body>
void forEachPoint(const Loop *loops, size_t count, const char *source, char *target,
                  const Body &body) {
  if (count == 0)
    return body(source, target);
  for (int64_t i = 0; i < loops->size; ++i) {
    forEachPoint(loops + 1, count - 1, source, target, body);
    source += loops->source;
    target += loops->target;
  }
}

/// Rows x columns with the source contiguous along rows and the target along columns. Each
/// tile passes through a buffer, so that a line of either side is touched once: at strides of
/// whole pages they would evict one another from L1.
template <typename T>
void transpose(const Loop &rows, const Loop &columns, const char *source, char *target) {
  constexpr int64_t kTile = sizeof(T) == 8 ? 32 : 64;
  T tile[kTile][kTile];
  for (int64_t c = 0; c < columns.size; c += kTile) {
    auto width = std::min<size_t>(kTile, columns.size - c);
    for (int64_t r = 0; r < rows.size; r += kTile) {
      auto height = std::min<size_t>(kTile, rows.size - r);
      for (size_t j = 0; j < width; ++j) {
        const char *from = source + r * rows.source + (c + int64_t(j)) * columns.source;
        // Short runs a page apart: the hardware does not foresee the next.
        for (size_t i = 0; i < height; i += 64 / sizeof(T))
          __builtin_prefetch(from + 8 * columns.source + i * sizeof(T));
        T line[kTile];
        std::memcpy(line, from, height * sizeof(T));
        for (size_t i = 0; i < height; ++i)
          tile[i][j] = line[i];
      }
      for (size_t i = 0; i < height; ++i)
        std::memcpy(target + (r + int64_t(i)) * rows.target + c * columns.target, tile[i],
                    width * sizeof(T));
    }
  }
}

template <typename T>
void copyElements(const std::vector<Loop> &loops, const char *source, char *target) {
  constexpr int64_t kWidth = sizeof(T);
  size_t rank = loops.size();
  const Loop &inner = loops.back();
  if (inner.source == kWidth && inner.target == kWidth)
    return forEachPoint(loops.data(), rank - 1, source, target, [&](const char *from, char *to) {
      std::memcpy(to, from, inner.size * kWidth);
    });

  // A dimension that is contiguous in the source, beside the target's innermost one.
  auto along = std::find_if(loops.begin(), loops.end() - 1,
                            [](const Loop &loop) { return loop.source == kWidth; });
  if (inner.target == kWidth && along != loops.end() - 1) {
    std::vector<Loop> outer(loops.begin(), loops.end() - 1);
    outer.erase(outer.begin() + (along - loops.begin()));
    return forEachPoint(outer.data(), outer.size(), source, target,
                        [&](const char *from, char *to) { transpose<T>(*along, inner, from, to); });
  }

  forEachPoint(loops.data(), rank - 1, source, target, [&](const char *from, char *to) {
    for (int64_t i = 0; i < inner.size; ++i)
      // memcpy: views need not be aligned to their element.
      std::memcpy(to + i * inner.target, from + i * inner.source, kWidth);
  });
}

} // namespace

void tessera::runtime::copyStrided(const TensorView &source, void *target,
                                   const int64_t *targetStrides) {
  for (int32_t i = 0; i < source.rank; ++i)
    if (source.sizes[i] == 0)
      return;
  int64_t width = sizeOf(source.dtype);
  std::vector<Loop> loops = loopNest(source, targetStrides, width);
  auto *from = static_cast<const char *>(source.data);
  auto *to = static_cast<char *>(target);
  if (loops.empty()) {
    std::memcpy(to, from, width);
    return;
  }
  switch (width) {
  case 1:
    return copyElements<uint8_t>(loops, from, to);
  case 2:
    return copyElements<uint16_t>(loops, from, to);
  case 4:
    return copyElements<uint32_t>(loops, from, to);
  default:
    return copyElements<uint64_t>(loops, from, to);
  }
}
