//===- Transpose.cpp - square blocks in registers -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Pack.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

/// Permutes two vectors of `lanes` elements.
using Mask = SmallVector<int64_t>;

/// Chunks of `g` elements of a and b in turn, from the low or high half of each block of `block`
/// elements.
static Mask unpackMask(int64_t lanes, int64_t block, int64_t g, bool high) {
  Mask mask;
  for (int64_t at = 0; at < lanes; at += block)
    for (int64_t chunk = 0; chunk < block / (2 * g); ++chunk)
      for (int64_t source : {int64_t{0}, lanes})
        for (int64_t i = 0; i < g; ++i)
          mask.push_back(source + at + (high ? block / 2 : 0) + chunk * g + i);
  return mask;
}

/// The even or odd blocks of a, then those of b.
static Mask blocksMask(int64_t lanes, int64_t block, bool odd) {
  Mask mask;
  for (int64_t source : {int64_t{0}, lanes})
    for (int64_t at = odd ? block : 0; at < lanes; at += 2 * block)
      for (int64_t i = 0; i < block; ++i)
        mask.push_back(source + at + i);
  return mask;
}

/// Shuffles stay within 128 bits as long as they can, which every machine does fastest. The network
/// leaves the columns in an order of its own, which is found by running it on labels.
SmallVector<Value> tessera::transposeSquare(OpBuilder &b, Location loc, ArrayRef<Value> rows) {
  auto type = cast<VectorType>(rows.front().getType());
  int64_t lanes = type.getNumElements();
  int64_t block = std::min<int64_t>(lanes, 128 / type.getElementTypeBitWidth());
  SmallVector<Value> v(rows);
  SmallVector<Mask> columns(lanes); // column of each lane
  for (Mask &labels : columns)
    for (int64_t lane = 0; lane < lanes; ++lane)
      labels.push_back(lane);
  auto exchange = [&](int64_t i, int64_t j, const Mask &low, const Mask &high) {
    Value x = v[i], y = v[j];
    v[i] = vector::ShuffleOp::create(b, loc, x, y, low);
    v[j] = vector::ShuffleOp::create(b, loc, x, y, high);
    Mask both = columns[i];
    llvm::append_range(both, columns[j]);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      columns[i][lane] = both[low[lane]];
      columns[j][lane] = both[high[lane]];
    }
  };
  for (int64_t distance = 1; distance < lanes; distance *= 2) {
    bool inBlock = distance < block;
    Mask low =
        inBlock ? unpackMask(lanes, block, distance, false) : blocksMask(lanes, block, false);
    Mask high = inBlock ? unpackMask(lanes, block, distance, true) : blocksMask(lanes, block, true);
    for (int64_t i = 0; i < lanes; ++i)
      if (!(i & distance))
        exchange(i, i + distance, low, high);
  }
  SmallVector<Value> result(lanes);
  for (int64_t i = 0; i < lanes; ++i)
    result[columns[i].front()] = v[i];
  return result;
}
