//===- PackPairs.cpp - column panels of pairs of bf16 ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From tile.pack with `pairs` to a loop over pairs of depths that interleaves two
// rows, or, where the source's depth is contiguous, that transposes square blocks
// of pairs in registers. A source of f32 is rounded on the way.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Pack.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

namespace {

class PairPacker {
public:
  PairPacker(OpBuilder &b, tile::PackOp op, tile::PackOp::Adaptor adaptor, const Lowering &lowering)
      : b(b), loc(op.getLoc()), types(lowering.types), src(lowering.buffers[op.getSrc()]),
        dst(lowering.buffers[op.getDst()]), depth(adaptor.getDepth()), valid(adaptor.getValid()) {
    element = cast<MemRefType>(src.base.getType()).getElementType();
    nr = dst.sizes[dst.sizes.size() - 2];
    from = src.at(b, loc, adaptor.getSrcIndices());
    to = dst.at(b, loc, adaptor.getDstIndices());
    depthStride = src.strides[src.strides.size() - 2];
    columnStride = src.strides.back();
    pairStride = dst.strides[dst.strides.size() - 3];
  }

  void emit() {
    int64_t square = types.getLanes();
    if (columnStride != 1 && depthStride == 1 && nr % square == 0)
      transposing(square);
    else
      rows();
  }

private:
  Value index(int64_t value) { return indexConstant(b, loc, value); }
  Value quotient(Value x, int64_t y) { return b.createOrFold<arith::DivUIOp>(loc, x, index(y)); }

  void loop(Value lower, Value upper, int64_t step, function_ref<void(Value)> body) {
    auto forOp = scf::ForOp::create(b, loc, lower, upper, index(step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forOp.getBody());
    body(forOp.getInductionVar());
  }

  void when(Value condition, function_ref<void()> body) {
    auto branch = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    body();
  }

  /// bf16 or f32 as the bits of bf16, in the low halves of i32.
  Value halves(Value x) {
    auto type = cast<VectorType>(x.getType());
    if (!element.isBF16())
      x = arith::TruncFOp::create(b, loc, type.clone(b.getBF16Type()), x);
    x = arith::BitcastOp::create(b, loc, type.clone(b.getI16Type()), x);
    return arith::ExtUIOp::create(b, loc, type.clone(b.getI32Type()), x);
  }

  /// Pairs of which `low` holds the first and `high` the second parts, as halves() leaves them.
  Value paired(Value low, Value high) {
    Value up = arith::ShLIOp::create(b, loc, high, splatConstant(b, loc, high.getType(), 16));
    return arith::OrIOp::create(b, loc, low, up);
  }

  void store(Value pairs, Address at) {
    target::StorePairsOp::create(b, loc, pairs, dst.base, at.materialize(b, loc));
  }

  //===--------------------------------------------------------------------===//
  // Two rows at a time
  //===--------------------------------------------------------------------===//

  void rows() {
    Value whole = quotient(depth, 2);
    loop(index(0), whole, 1, [&](Value pair) { row(pair, /*half=*/false); });
    loop(whole, quotient(arith::AddIOp::create(b, loc, depth, index(1)), 2), 1,
         [&](Value pair) { row(pair, /*half=*/true); });
  }

  void row(Value pair, bool half) {
    Address source = from.plus(b, loc, pair, 2 * depthStride);
    Address target = to.plus(b, loc, pair, pairStride);
    int64_t start = 0;
    for (VectorType type : types.split(VectorType::get({nr}, element))) {
      int64_t lanes = type.getNumElements();
      Value mask = laneMask(b, loc, valid, start, lanes);
      Address at = source + start * columnStride;
      Value low = halves(load(type, at, mask));
      store(half ? low : paired(low, halves(load(type, at + depthStride, mask))),
            target + 2 * start);
      start += lanes;
    }
  }

  Value load(VectorType type, Address at, Value mask) {
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    Value where = at.materialize(b, loc);
    if (columnStride == 1)
      return vector::MaskedLoadOp::create(b, loc, type, src.base, where, mask, zero);
    int64_t lanes = type.getNumElements();
    auto offsets =
        llvm::map_to_vector(llvm::seq<int64_t>(0, lanes), [&](int64_t lane) -> Attribute {
          return b.getI64IntegerAttr(lane * columnStride);
        });
    auto offsetType = VectorType::get({lanes}, b.getI64Type());
    Value each = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(offsetType, offsets));
    return vector::GatherOp::create(b, loc, type, src.base, where, each, mask, zero);
  }

  //===--------------------------------------------------------------------===//
  // Square blocks of pairs
  //===--------------------------------------------------------------------===//

  void transposing(int64_t square) {
    Value block = index(2 * square);
    Value rest = b.createOrFold<arith::RemUIOp>(loc, depth, block);
    Value whole = b.createOrFold<arith::SubIOp>(loc, depth, rest);
    auto columns = [&](Value k, Value left) {
      loop(index(0), index(nr), square,
           [&](Value column) { transposeBlock(k, column, square, left); });
    };
    loop(index(0), whole, 2 * square, [&](Value k) { columns(k, {}); });
    if (getConstantIntValue(rest) != 0)
      loop(whole, depth, 2 * square, [&](Value k) { columns(k, rest); });
  }

  /// With `left`, that many depths are there. Past the last column is zero.
  void transposeBlock(Value k, Value column, int64_t square, Value left) {
    Value last = arith::SubIOp::create(b, loc, valid, index(1));
    bool all = getConstantIntValue(valid) == nr;
    Value zero = splatConstant(b, loc, VectorType::get({square}, b.getI32Type()), 0);
    SmallVector<Value> rows;
    for (int64_t j = 0; j < square; ++j) {
      Value at = arith::AddIOp::create(b, loc, column, index(j));
      Value there = all ? at : arith::MinSIOp::create(b, loc, at, last).getResult();
      Address source = from.plus(b, loc, k, 1).plus(b, loc, there, columnStride);
      Value pairs = depthPairs(source, square, left);
      if (!all) {
        Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, at, valid);
        pairs = arith::SelectOp::create(b, loc, isThere, pairs, zero);
      }
      rows.push_back(pairs);
    }
    Value pair = quotient(k, 2);
    Address target = to.plus(b, loc, pair, pairStride).plus(b, loc, column, 2);
    for (auto [i, row] : llvm::enumerate(transposeSquare(b, loc, rows))) {
      Address at = target + static_cast<int64_t>(i) * pairStride;
      if (!left) {
        store(row, at);
        continue;
      }
      Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                            index(2 * static_cast<int64_t>(i)), left);
      when(isThere, [&] { store(row, at); });
    }
  }

  /// 2·square neighbouring elements as pairs.
  Value depthPairs(Address source, int64_t square, Value left) {
    if (element.isBF16() && !left)
      return target::LoadPairsOp::create(b, loc, VectorType::get({square}, b.getI32Type()),
                                         src.base, source.materialize(b, loc));
    auto type = VectorType::get({square}, element);
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    SmallVector<Value> parts;
    for (int64_t start : {int64_t(0), square}) {
      Value where = (source + start).materialize(b, loc);
      Value part = left ? vector::MaskedLoadOp::create(b, loc, type, src.base, where,
                                                       laneMask(b, loc, left, start, square), zero)
                              .getResult()
                        : vector::LoadOp::create(b, loc, type, src.base, where).getResult();
      parts.push_back(halves(part));
    }
    SmallVector<int64_t> even, odd;
    for (int64_t i = 0; i < square; ++i) {
      even.push_back(2 * i);
      odd.push_back(2 * i + 1);
    }
    return paired(vector::ShuffleOp::create(b, loc, parts[0], parts[1], even),
                  vector::ShuffleOp::create(b, loc, parts[0], parts[1], odd));
  }

  OpBuilder &b;
  Location loc;
  const MachineTypes &types;
  const FlatBuffer &src, &dst;
  Value depth, valid;
  Type element;
  Address from, to;
  int64_t nr, depthStride, columnStride, pairStride;
};

} // namespace

void tessera::emitPackPairs(OpBuilder &b, tile::PackOp op, tile::PackOp::Adaptor adaptor,
                            const Lowering &lowering) {
  PairPacker(b, op, adaptor, lowering).emit();
}
