//===- Pack.cpp - column panels -------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From tile.pack to a loop over the depth that copies rows, or, where the
// source's depth is contiguous, that transposes square blocks in registers.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Pack.h"
#include "compiler/conversions/TileToTarget/Lowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

namespace {

class PackEmitter {
public:
  PackEmitter(OpBuilder &b, tile::PackOp op, tile::PackOp::Adaptor adaptor,
              const Lowering &lowering)
      : b(b), loc(op.getLoc()), types(lowering.types), src(lowering.buffers[op.getSrc()]),
        dst(lowering.buffers[op.getDst()]), depth(adaptor.getDepth()), valid(adaptor.getValid()) {
    element = cast<MemRefType>(dst.base.getType()).getElementType();
    nr = dst.sizes.back();
    from = src.at(b, loc, adaptor.getSrcIndices());
    to = dst.at(b, loc, adaptor.getDstIndices());
    depthStride = src.strides[src.strides.size() - 2];
    columnStride = src.strides.back();
    rowStride = dst.strides[dst.strides.size() - 2];
  }

  void emit() {
    Value zero = indexConstant(b, loc, 0);
    int64_t square = types.getLanes();
    if (columnStride == 1 || depthStride != 1 || nr < square ||
        element.getIntOrFloatBitWidth() < 16)
      return loop(zero, depth, 1, [&](Value k) { row(k, valid); });
    if (getConstantIntValue(valid) == nr)
      return transposing(zero);
    // A panel with fewer columns than lanes is rare: it takes the general way.
    Value full =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, valid, indexConstant(b, loc, nr));
    auto ifOp = scf::IfOp::create(b, loc, TypeRange(), full, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&ifOp.getThenRegion().front());
    transposing(zero);
    b.setInsertionPointToStart(&ifOp.getElseRegion().front());
    loop(zero, depth, 1, [&](Value k) { row(k, valid); });
  }

private:
  void loop(Value lower, Value upper, int64_t step, function_ref<void(Value)> body) {
    auto forOp = scf::ForOp::create(b, loc, lower, upper, indexConstant(b, loc, step));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(forOp.getBody());
    body(forOp.getInductionVar());
  }

  /// One row of the panel, lane by lane where the columns are apart.
  void row(Value k, Value columns) {
    Address source = from.plus(b, loc, k, depthStride), target = to.plus(b, loc, k, rowStride);
    int64_t start = 0;
    for (VectorType type : types.split(VectorType::get({nr}, element))) {
      int64_t lanes = type.getNumElements();
      Value mask = laneMask(b, loc, columns, start, lanes);
      Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
      Value index = (source + start * columnStride).materialize(b, loc);
      Value loaded;
      if (columnStride == 1) {
        loaded = vector::MaskedLoadOp::create(b, loc, type, src.base, index, mask, zero);
      } else {
        auto offsets =
            llvm::map_to_vector(llvm::seq<int64_t>(0, lanes), [&](int64_t l) -> Attribute {
              return b.getI64IntegerAttr(l * columnStride);
            });
        auto offsetType = VectorType::get({lanes}, b.getI64Type());
        Value at = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(offsetType, offsets));
        loaded = vector::GatherOp::create(b, loc, type, src.base, index, at, mask, zero);
      }
      vector::StoreOp::create(b, loc, loaded, dst.base, (target + start).materialize(b, loc));
      start += lanes;
    }
  }

  /// All columns: square blocks, then what is left of the depth and of the columns.
  void transposing(Value zero) {
    int64_t square = types.getLanes();
    Value rest = arith::RemSIOp::create(b, loc, depth, indexConstant(b, loc, square));
    Value whole = arith::SubIOp::create(b, loc, depth, rest);
    loop(zero, whole, square, [&](Value k) {
      loop(zero, indexConstant(b, loc, nr / square * square), square,
           [&](Value column) { transposeBlock(k, column, square); });
      if (nr % square)
        for (int64_t i = 0; i < square; ++i)
          scalars(Address{k, i}, nr / square * square);
    });
    loop(whole, depth, 1, [&](Value k) { row(k, indexConstant(b, loc, nr)); });
  }

  /// A loop holds it, not copies of it: the network is long to compile.
  void transposeBlock(Value k, Value column, int64_t square) {
    auto type = VectorType::get({square}, element);
    Address source = from.plus(b, loc, k, 1).plus(b, loc, column, columnStride);
    Address target = to.plus(b, loc, k, rowStride).plus(b, loc, column, 1);
    SmallVector<Value> rows;
    for (int64_t j = 0; j < square; ++j)
      rows.push_back(vector::LoadOp::create(b, loc, type, src.base,
                                            (source + j * columnStride).materialize(b, loc)));
    for (auto [i, row] : llvm::enumerate(transposeSquare(b, loc, rows)))
      vector::StoreOp::create(b, loc, row, dst.base,
                              (target + static_cast<int64_t>(i) * rowStride).materialize(b, loc));
  }

  /// The columns from `start` on of one row, one by one.
  void scalars(Address k, int64_t start) {
    Address source = from.plus(b, loc, k.index, depthStride) + k.constant * depthStride;
    Address target = to.plus(b, loc, k.index, rowStride) + k.constant * rowStride;
    for (int64_t j = start; j < nr; ++j) {
      Value x =
          memref::LoadOp::create(b, loc, src.base, (source + j * columnStride).materialize(b, loc));
      memref::StoreOp::create(b, loc, x, dst.base, (target + j).materialize(b, loc));
    }
  }

  OpBuilder &b;
  Location loc;
  const MachineTypes &types;
  const FlatBuffer &src, &dst;
  Value depth, valid;
  Type element;
  Address from, to;
  int64_t nr, depthStride, columnStride, rowStride;
};

class LowerPack : public LoweringPattern<tile::PackOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(tile::PackOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (op.getPairs())
      emitPackPairs(rewriter, op, adaptor, lowering);
    else
      PackEmitter(rewriter, op, adaptor, lowering).emit();
    rewriter.eraseOp(op);
    return success();
  }
};

} // namespace

void tessera::populatePackPatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns.add<LowerPack>(lowering);
}
