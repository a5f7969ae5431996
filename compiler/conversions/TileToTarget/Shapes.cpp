//===- Shapes.cpp - moving lanes between machine vectors ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From vector ops that build, cut, join, permute and reduce vectors of any size
// to machine vectors. Rows taken out of a two-dimensional vector cost nothing:
// they are the machine vectors it consists of.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
using namespace tessera;

namespace {

/// Machine vectors (or scalars) laid end to end.
class LaneSource {
public:
  explicit LaneSource(ValueRange values) {
    for (Value value : values) {
      auto type = dyn_cast<VectorType>(value.getType());
      for (int64_t lane = 0, e = type ? type.getNumElements() : 1; lane < e; ++lane)
        places.emplace_back(pieces.size(), lane);
      pieces.push_back(value);
    }
  }

  Value scalar(OpBuilder &b, Location loc, int64_t lane) const {
    auto [piece, at] = places[lane];
    if (!isa<VectorType>(pieces[piece].getType()))
      return pieces[piece];
    return vector::ExtractOp::create(b, loc, pieces[piece], ArrayRef<int64_t>{at});
  }

  /// The vector of the lanes `wanted`: a whole piece as it is, else a shuffle a piece that takes
  /// part.
  Value pick(OpBuilder &b, Location loc, ArrayRef<int64_t> wanted) const {
    Value whole = pieces[places[wanted.front()].first];
    bool isWhole =
        cast<VectorType>(whole.getType()).getNumElements() == static_cast<int64_t>(wanted.size());
    for (auto [i, lane] : llvm::enumerate(wanted))
      isWhole &= places[lane] == std::pair<size_t, int64_t>(places[wanted.front()].first, i);
    if (isWhole)
      return whole;
    SmallVector<size_t> used;
    for (int64_t lane : wanted)
      if (!llvm::is_contained(used, places[lane].first))
        used.push_back(places[lane].first);
    Value result;
    for (size_t piece : used) {
      SmallVector<int64_t> mask;
      Value left = result ? result : pieces[piece];
      int64_t leftLanes = result ? cast<VectorType>(left.getType()).getNumElements() : 0;
      for (auto [i, lane] : llvm::enumerate(wanted)) {
        if (places[lane].first == piece)
          mask.push_back(leftLanes + places[lane].second);
        else
          mask.push_back(result ? static_cast<int64_t>(i) : 0);
      }
      result = vector::ShuffleOp::create(b, loc, left, pieces[piece], mask);
    }
    return result;
  }

private:
  SmallVector<Value> pieces;
  SmallVector<std::pair<size_t, int64_t>> places;
};

/// Replaces `op`, whose result is a vector, by the lanes `wanted` of `source`.
void replaceWithLanes(ConversionPatternRewriter &rewriter, Operation *op, const MachineTypes &types,
                      const LaneSource &source, ArrayRef<int64_t> wanted) {
  replaceWithPieces(rewriter, op, types, [&](VectorType piece, int64_t start) {
    return source.pick(rewriter, op->getLoc(), wanted.slice(start, piece.getNumElements()));
  });
}

/// The lanes of a vector of `type` in order, but at `places` those of the values laid behind it.
SmallVector<int64_t> lanesBehindAt(VectorType type, ArrayRef<int64_t> places) {
  SmallVector<int64_t> wanted = llvm::to_vector(llvm::seq<int64_t>(0, type.getNumElements()));
  for (auto [i, place] : llvm::enumerate(places))
    wanted[place] = type.getNumElements() + i;
  return wanted;
}

/// `first` and `second` laid end to end.
LaneSource joined(ValueRange first, ValueRange second) {
  SmallVector<Value> all(first);
  llvm::append_range(all, second);
  return LaneSource(all);
}

/// Row-major numbers of the elements of the box [offsets, offsets + sizes) of `shape`.
SmallVector<int64_t> box(ArrayRef<int64_t> shape, ArrayRef<int64_t> offsets,
                         ArrayRef<int64_t> sizes) {
  SmallVector<int64_t> numbers(1, 0);
  for (auto [extent, offset, size] : llvm::zip_equal(shape, offsets, sizes)) {
    SmallVector<int64_t> next;
    for (int64_t number : numbers)
      for (int64_t i = 0; i < size; ++i)
        next.push_back(number * extent + offset + i);
    numbers = std::move(next);
  }
  return numbers;
}

SmallVector<int64_t> integers(ArrayAttr attr) {
  return llvm::map_to_vector(attr.getAsRange<IntegerAttr>(),
                             [](IntegerAttr i) { return i.getInt(); });
}

/// The box a static position names: [position…, all of the rest).
SmallVector<int64_t> boxAt(VectorType type, ArrayRef<int64_t> position) {
  SmallVector<int64_t> offsets(position), sizes(position.size(), 1);
  offsets.resize(type.getRank(), 0);
  llvm::append_range(sizes, type.getShape().drop_front(position.size()));
  return box(type.getShape(), offsets, sizes);
}

struct SplitExtract : LoweringPattern<vector::ExtractOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::ExtractOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (op.hasDynamicPosition())
      return rewriter.notifyMatchFailure(op, "expected a static position in a long vector");
    SmallVector<int64_t> wanted = boxAt(op.getSourceVectorType(), op.getStaticPosition());
    LaneSource source(adaptor.getSource());
    if (isa<VectorType>(op.getType()))
      replaceWithLanes(rewriter, op, lowering.types, source, wanted);
    else
      rewriter.replaceOp(op, source.scalar(rewriter, op.getLoc(), wanted.front()));
    return success();
  }
};

struct SplitInsert : LoweringPattern<vector::InsertOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::InsertOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (op.hasDynamicPosition())
      return rewriter.notifyMatchFailure(op, "expected a static position in a long vector");
    VectorType type = op.getDestVectorType();
    SmallVector<int64_t> places = boxAt(type, op.getStaticPosition());
    if (isa<VectorType>(op.getValueToStore().getType())) {
      replaceWithLanes(rewriter, op, lowering.types,
                       joined(adaptor.getDest(), adaptor.getValueToStore()),
                       lanesBehindAt(type, places));
      return success();
    }
    SmallVector<Value> results(adaptor.getDest());
    int64_t lane = places.front() % type.getShape().back(),
            row = places.front() / type.getShape().back();
    int64_t piece =
        row * lowering.types.pieces(type.getShape().back()) + lane / lowering.types.getLanes();
    results[piece] = vector::InsertOp::create(rewriter, op.getLoc(),
                                              adaptor.getValueToStore().front(), results[piece],
                                              ArrayRef<int64_t>{lane % lowering.types.getLanes()});
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }
};

struct SplitBroadcast : LoweringPattern<vector::BroadcastOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::BroadcastOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto type = cast<VectorType>(op.getType());
    auto from = dyn_cast<VectorType>(op.getSourceType());
    LaneSource source(adaptor.getSource());
    // Lane (row, column) of the result reads the source with sizes of one kept at 0.
    int64_t rows = from && from.getRank() == 2 ? from.getDimSize(0) : 1;
    int64_t columns = from ? from.getShape().back() : 1;
    int64_t width = type.getShape().back();
    replaceWithPieces(rewriter, op, lowering.types, [&](VectorType piece, int64_t number) -> Value {
      int64_t row = rows == 1 ? 0 : number / width;
      if (columns == 1) {
        Value scalar = source.scalar(rewriter, op.getLoc(), row);
        return vector::BroadcastOp::create(rewriter, op.getLoc(), piece, scalar);
      }
      int64_t first = row * columns + number % width;
      return source.pick(rewriter, op.getLoc(),
                         llvm::to_vector(llvm::seq(first, first + piece.getNumElements())));
    });
    return success();
  }
};

struct SplitShapeCast : LoweringPattern<vector::ShapeCastOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::ShapeCastOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto type = cast<VectorType>(op.getType());
    replaceWithLanes(rewriter, op, lowering.types, LaneSource(adaptor.getSource()),
                     llvm::to_vector(llvm::seq<int64_t>(0, type.getNumElements())));
    return success();
  }
};

struct SplitExtractSlice : LoweringPattern<vector::ExtractStridedSliceOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::ExtractStridedSliceOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    VectorType from = op.getSourceVectorType();
    SmallVector<int64_t> offsets = integers(op.getOffsets());
    offsets.resize(from.getRank(), 0);
    replaceWithLanes(rewriter, op, lowering.types, LaneSource(adaptor.getSource()),
                     box(from.getShape(), offsets, cast<VectorType>(op.getType()).getShape()));
    return success();
  }
};

struct SplitInsertSlice : LoweringPattern<vector::InsertStridedSliceOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::InsertStridedSliceOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    VectorType type = op.getDestVectorType(), from = op.getSourceVectorType();
    SmallVector<int64_t> sizes(type.getRank() - from.getRank(), 1);
    llvm::append_range(sizes, from.getShape());
    SmallVector<int64_t> places = box(type.getShape(), integers(op.getOffsets()), sizes);
    replaceWithLanes(rewriter, op, lowering.types,
                     joined(adaptor.getDest(), adaptor.getValueToStore()),
                     lanesBehindAt(type, places));
    return success();
  }
};

struct SplitShuffle : LoweringPattern<vector::ShuffleOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::ShuffleOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (op.getV1VectorType().getRank() != 1)
      return rewriter.notifyMatchFailure(op, "expected one-dimensional vectors");
    // A lane nobody reads may be any lane.
    auto wanted =
        llvm::map_to_vector(op.getMask(), [](int64_t lane) { return std::max<int64_t>(lane, 0); });
    replaceWithLanes(rewriter, op, lowering.types, joined(adaptor.getV1(), adaptor.getV2()),
                     wanted);
    return success();
  }
};

struct SplitFromElements : LoweringPattern<vector::FromElementsOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::FromElementsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    replaceWithPieces(rewriter, op, lowering.types, [&](VectorType piece, int64_t start) -> Value {
      ValueRange elements = adaptor.getElements().slice(start, piece.getNumElements());
      return vector::FromElementsOp::create(rewriter, op.getLoc(), piece, elements);
    });
    return success();
  }
};

struct SplitToElements : LoweringPattern<vector::ToElementsOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::ToElementsOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    SmallVector<Value> results;
    for (Value piece : adaptor.getSource())
      llvm::append_range(results,
                         vector::ToElementsOp::create(rewriter, op.getLoc(), piece).getResults());
    rewriter.replaceOp(op, results);
    return success();
  }
};

/// Largest and smallest floats, which LLVM would find lane by lane.
bool isFloatExtremum(vector::CombiningKind kind) {
  return kind == vector::CombiningKind::MAXIMUMF || kind == vector::CombiningKind::MINIMUMF ||
         kind == vector::CombiningKind::MAXNUMF || kind == vector::CombiningKind::MINNUMF;
}

struct SplitReduction : LoweringPattern<vector::ReductionOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::ReductionOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto combine = [&](Value x, Value y) {
      return vector::makeArithReduction(rewriter, loc, op.getKind(), x, y, op.getFastmathAttr());
    };
    SmallVector<Value> pieces(adaptor.getVector());
    Value tail;
    if (pieces.size() > 1 && pieces.back().getType() != pieces.front().getType())
      tail = pieces.pop_back_val();
    while (pieces.size() > 1) { // pairs at a time: half the depth of a chain
      SmallVector<Value> next;
      for (size_t i = 0; i + 1 < pieces.size(); i += 2)
        next.push_back(combine(pieces[i], pieces[i + 1]));
      if (pieces.size() % 2)
        next.push_back(pieces.back());
      pieces = std::move(next);
    }
    Value acc = adaptor.getAcc().empty() ? Value() : adaptor.getAcc().front();
    for (Value piece : {pieces.front(), tail}) {
      if (!piece)
        continue;
      if (isFloatExtremum(op.getKind())) {
        Value extremum = halve(rewriter, loc, piece, combine);
        acc = acc ? combine(acc, extremum) : extremum;
      } else if (acc) {
        acc =
            vector::ReductionOp::create(rewriter, loc, op.getKind(), piece, acc, op.getFastmath());
      } else {
        acc = vector::ReductionOp::create(rewriter, loc, op.getKind(), piece, op.getFastmath());
      }
    }
    rewriter.replaceOp(op, acc);
    return success();
  }

private:
  /// Combines the halves of a vector until one lane is left.
  static Value halve(OpBuilder &b, Location loc, Value piece,
                     function_ref<Value(Value, Value)> combine) {
    int64_t lanes = cast<VectorType>(piece.getType()).getNumElements();
    while (lanes > 1) {
      // An odd lane in the middle takes part twice, which changes no extremum.
      int64_t half = (lanes + 1) / 2;
      SmallVector<int64_t> low, high;
      for (int64_t i = 0; i < half; ++i) {
        low.push_back(i);
        high.push_back(lanes - half + i);
      }
      piece = combine(vector::ShuffleOp::create(b, loc, piece, piece, low),
                      vector::ShuffleOp::create(b, loc, piece, piece, high));
      lanes = half;
    }
    return vector::ExtractOp::create(b, loc, piece, ArrayRef<int64_t>{0});
  }
};

struct SplitStep : LoweringPattern<vector::StepOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::StepOp op, OpAdaptor,
                                ConversionPatternRewriter &rewriter) const override {
    replaceWithPieces(rewriter, op, lowering.types, [&](VectorType piece, int64_t start) -> Value {
      auto numbers =
          llvm::map_to_vector(llvm::seq(start, start + piece.getNumElements()),
                              [&](int64_t i) -> Attribute { return rewriter.getIndexAttr(i); });
      return arith::ConstantOp::create(rewriter, op.getLoc(),
                                       DenseElementsAttr::get(piece, numbers));
    });
    return success();
  }
};

struct SplitCreateMask : LoweringPattern<vector::CreateMaskOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(vector::CreateMaskOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (op.getType().getRank() != 1)
      return rewriter.notifyMatchFailure(op, "expected a one-dimensional mask");
    replaceWithPieces(rewriter, op, lowering.types, [&](VectorType piece, int64_t start) {
      return laneMask(rewriter, op.getLoc(), adaptor.getOperands().front(), start,
                      piece.getNumElements());
    });
    return success();
  }
};

} // namespace

bool tessera::isSlowReduction(Operation *op) {
  auto reduction = dyn_cast<vector::ReductionOp>(op);
  return reduction && isFloatExtremum(reduction.getKind());
}

void tessera::populateShapePatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns.add<SplitExtract, SplitInsert, SplitBroadcast, SplitShapeCast, SplitExtractSlice,
               SplitInsertSlice, SplitShuffle, SplitFromElements, SplitToElements, SplitReduction,
               SplitStep, SplitCreateMask>(lowering);
}
