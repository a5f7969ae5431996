//===- Mma.cpp - the register-tile product --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From tile.mma to loops over the depth that keep one machine vector an
// accumulator: a vector of B times a broadcast element of A. A tile with more
// accumulators than registers runs as several strips, each over the whole depth.
// Pairs of bf16 are what the machine multiplies at once: two steps of depth are
// then one step of these loops.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

namespace {

/// Rows and machine vectors a row of one strip.
struct Strip {
  int64_t rows, columns;
};

/// Cycles of one step of depth of an r x c strip, in halves: two products and two loads a cycle,
/// and four cycles until a product may be used again.
int64_t halfCycles(int64_t rows, int64_t columns, int64_t registersPerVector) {
  int64_t products = rows * columns * registersPerVector;
  int64_t loads = rows + columns * registersPerVector;
  return std::max<int64_t>({products, loads, 8});
}

/// The strip of a rows x columns tile that takes the fewest cycles within the registers:
/// accumulators, one row of B and a broadcast of A.
Strip chooseStrip(int64_t rows, int64_t columns, int64_t registersPerVector, int64_t registers) {
  Strip best{1, 1};
  int64_t bestCost = std::numeric_limits<int64_t>::max();
  for (int64_t r = 1; r <= rows; ++r)
    for (int64_t c = 1; c <= columns; ++c) {
      if ((r * c + c) * registersPerVector + 1 > registers && r * c > 1)
        continue;
      auto cost = [&](int64_t h, int64_t w) {
        return h && w ? halfCycles(h, w, registersPerVector) : 0;
      };
      int64_t restRows = rows % r, restColumns = columns % c;
      int64_t total = (rows / r) * ((columns / c) * cost(r, c) + cost(r, restColumns)) +
                      (columns / c) * cost(restRows, c) + cost(restRows, restColumns);
      // Of equals, the one with more rows: it reads B, the larger operand, less often.
      if (total < bestCost || (total == bestCost && r > best.rows)) {
        bestCost = total;
        best = {r, c};
      }
    }
  return best;
}

/// About how many products one accumulator sums up before it is added to the total.
constexpr int64_t kSumDepth = 256;

/// Products that are under way at once where nothing waits: two a cycle, four cycles each, and six
/// for pairs.
constexpr int64_t kProductsInFlight = 8, kPairsInFlight = 12;

/// Distances in the operands of a product, in elements.
struct OperandStrides {
  OperandStrides(tile::MmaOp op, const Lowering &lowering) {
    const FlatBuffer &a = lowering.buffers[op.getA()], &b = lowering.buffers[op.getB()];
    size_t inner = op.getPairs() ? 1 : 0;
    aDepth = a.strides[a.strides.size() - 1 - inner];
    aRow = a.strides[a.strides.size() - 2 - inner];
    bDepth = b.strides[b.strides.size() - 2 - inner];
    bLane = 1 + inner;
  }
  int64_t aRow, aDepth, bDepth, bLane;
};

/// Emits one strip.
class StripEmitter {
public:
  StripEmitter(OpBuilder &b, tile::MmaOp op, const Lowering &lowering, Value depth)
      : b(b), loc(op.getLoc()), op(op), a(lowering.buffers[op.getA()]),
        bb(lowering.buffers[op.getB()]), depth(depth), operands(op, lowering) {
    element = cast<VectorType>(op.getAcc().getType()).getElementType();
  }

  Address aStart, bStart;       ///< of the strip's first row and lane, at depth 0
  std::optional<Address> fetch; ///< where to begin fetching ahead
  Strip strip;
  int64_t sets = 1;              ///< of accumulators
  SmallVector<VectorType> lanes; ///< types of the strip's columns

  SmallVector<Value> emit(ValueRange acc) {
    if (!op.getPairs())
      return steps(depth, acc);
    Value pairs;
    if (std::optional<int64_t> known = getConstantIntValue(depth))
      pairs = indexConstant(b, loc, *known / 2);
    else
      pairs = arith::DivUIOp::create(b, loc, depth, indexConstant(b, loc, 2));
    return oddStep(pairs, steps(pairs, acc));
  }

private:
  /// `count` steps of the loop.
  SmallVector<Value> steps(Value count, ValueRange acc) {
    // Sums of a small strip wait for each other: several steps of depth are summed apart.
    int64_t inFlight = op.getPairs() ? kPairsInFlight : kProductsInFlight;
    sets = std::max<int64_t>(1, inFlight / std::max<int64_t>(1, acc.size()));
    int64_t unroll = llvm::alignTo<int64_t>(op.getUnroll(), sets);
    std::optional<int64_t> known = getConstantIntValue(count);
    if (known && *known < unroll)
      unroll = std::max<int64_t>(*known, 1);
    Value zero = indexConstant(b, loc, 0), whole = count;
    if (known) {
      whole = indexConstant(b, loc, *known / unroll * unroll);
    } else if (unroll != 1) {
      Value rest = arith::RemSIOp::create(b, loc, count, indexConstant(b, loc, unroll));
      whole = arith::SubIOp::create(b, loc, count, rest);
    }
    // What bf16 has lost, short sums do not bring back.
    bool chunked = isa<FloatType>(element) && !op.getPairs() && !(known && *known <= kSumDepth);
    SmallVector<Value> result = chunked ? chunks(zero, whole, unroll, acc)
                                        : loop(zero, whole, unroll, acc, /*fetching=*/true);
    if (unroll == 1 || (known && *known % unroll == 0))
      return result;
    return loop(whole, count, 1, result, /*fetching=*/false);
  }

  /// The last step of an odd depth: half a pair, with zeros for the rest of both operands, which
  /// may be anything.
  SmallVector<Value> oddStep(Value pairs, SmallVector<Value> acc) {
    std::optional<int64_t> known = getConstantIntValue(depth);
    if (known && *known % 2 == 0)
      return acc;
    auto emitStep = [&] {
      Address aHere = aStart.plus(b, loc, pairs, operands.aDepth);
      Address bHere = bStart.plus(b, loc, pairs, operands.bDepth);
      step(aHere, bHere, acc, /*half=*/true);
    };
    if (known) {
      emitStep();
      return acc;
    }
    Value two = indexConstant(b, loc, 2), zero = indexConstant(b, loc, 0);
    Value odd = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne,
                                      arith::RemUIOp::create(b, loc, depth, two), zero);
    SmallVector<Value> even = acc;
    auto branch = scf::IfOp::create(b, loc, TypeRange(ValueRange(acc)), odd,
                                    /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&branch.getThenRegion().front());
    emitStep();
    scf::YieldOp::create(b, loc, acc);
    b.setInsertionPointToStart(&branch.getElseRegion().front());
    scf::YieldOp::create(b, loc, even);
    return SmallVector<Value>(branch.getResults());
  }

  /// Sums of about `kSumDepth` products each, added up: the rounding error of one long sum grows
  /// with its length, of short sums with their number only as its root. The totals are touched once
  /// a chunk, so they may well live on the stack while a chunk is summed.
  SmallVector<Value> chunks(Value from, Value to, int64_t unroll, ValueRange acc) {
    Value chunk = indexConstant(
        b, loc, llvm::alignTo(kSumDepth, unroll)); // whole steps, so that none runs over
    auto body = [&](OpBuilder &, Location, Value k, ValueRange totals) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToEnd(k.getParentBlock());
      SmallVector<Value> zeros = llvm::map_to_vector(totals, [&](Value total) -> Value {
        return arith::ConstantOp::create(b, loc, b.getZeroAttr(total.getType()));
      });
      Value end = arith::AddIOp::create(b, loc, k, chunk);
      end = arith::MinSIOp::create(b, loc, end, to);
      SmallVector<Value> sums = loop(k, end, unroll, zeros, /*fetching=*/true);
      for (auto [sum, total] : llvm::zip_equal(sums, totals))
        sum = arith::AddFOp::create(b, loc, total, sum);
      scf::YieldOp::create(b, loc, sums);
    };
    auto forOp = scf::ForOp::create(b, loc, from, to, chunk, acc, body);
    return SmallVector<Value>(forOp.getResults());
  }

  /// With `sets` sets of accumulators, where `unroll` leaves room for them.
  SmallVector<Value> loop(Value from, Value to, int64_t unroll, ValueRange acc, bool fetching) {
    int64_t apart = unroll % sets == 0 ? sets : 1;
    size_t count = acc.size();
    SmallVector<Value> init(acc);
    for (int64_t set = 1; set < apart; ++set)
      for (Value sum : acc)
        init.push_back(arith::ConstantOp::create(b, loc, b.getZeroAttr(sum.getType())));
    auto body = [&](OpBuilder &, Location, Value k, ValueRange carried) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToEnd(k.getParentBlock());
      if (fetching && fetch)
        prefetch(k, unroll);
      SmallVector<Value> current(carried);
      MutableArrayRef<Value> all(current);
      Address aHere = aStart.plus(b, loc, k, operands.aDepth);
      Address bHere = bStart.plus(b, loc, k, operands.bDepth);
      for (int64_t u = 0; u < unroll; ++u)
        step(aHere + u * operands.aDepth, bHere + u * operands.bDepth,
             all.slice(u % apart * count, count));
      scf::YieldOp::create(b, loc, current);
    };
    auto forOp = scf::ForOp::create(b, loc, from, to, indexConstant(b, loc, unroll), init, body);
    SmallVector<Value> sums(forOp.getResults());
    for (size_t i = count; i < sums.size(); ++i)
      sums[i % count] = plus(sums[i % count], sums[i]);
    sums.resize(count);
    return sums;
  }

  Value plus(Value x, Value y) {
    if (isa<FloatType>(element))
      return arith::AddFOp::create(b, loc, x, y);
    return arith::AddIOp::create(b, loc, x, y);
  }

  /// acc[i][j] += A[i] · B[j] at one depth, or at both of a pair: at the first alone for `half`.
  void step(Address aHere, Address bHere, MutableArrayRef<Value> acc, bool half = false) {
    SmallVector<Value> row;
    int64_t lane = 0;
    for (VectorType type : lanes) {
      row.push_back(loadB(bHere + lane * operands.bLane, type, half));
      lane += type.getNumElements();
    }
    for (int64_t i = 0; i < strip.rows; ++i) {
      Value scalar = loadA(aHere + i * operands.aRow, half);
      for (int64_t j = 0; j < strip.columns; ++j)
        addProduct(acc[i * strip.columns + j], scalar, row[j]);
    }
  }

  /// Lanes of B in the type they are multiplied in; of pairs in i32.
  Value loadB(Address at, VectorType type, bool half) {
    if (op.getPairs()) {
      VectorType pairs = type.clone(b.getI32Type());
      Value loaded = target::LoadPairsOp::create(b, loc, pairs, bb.base, at.materialize(b, loc));
      return half ? arith::AndIOp::create(b, loc, loaded, splatConstant(b, loc, pairs, 0xffff))
                  : loaded;
    }
    Value loaded =
        vector::LoadOp::create(b, loc, type.clone(bType()), bb.base, at.materialize(b, loc));
    return widen(b, loc, loaded, element);
  }

  Value loadA(Address at, bool half) {
    Value index = at.materialize(b, loc);
    if (op.getPairs() && !half)
      return target::LoadPairsOp::create(b, loc, b.getI32Type(), a.base, index);
    Value scalar = memref::LoadOp::create(b, loc, a.base, index);
    if (!half)
      return widen(b, loc, scalar, element);
    scalar = arith::BitcastOp::create(b, loc, b.getI16Type(), scalar);
    return arith::ExtUIOp::create(b, loc, b.getI32Type(), scalar);
  }

  void addProduct(Value &sum, Value scalar, Value lanesOfB) {
    Value factor = vector::BroadcastOp::create(b, loc, lanesOfB.getType(), scalar);
    if (op.getPairs()) {
      sum = target::DotPairsOp::create(b, loc, sum.getType(), sum, factor, lanesOfB);
    } else if (isa<FloatType>(element)) {
      sum = vector::FMAOp::create(b, loc, factor, lanesOfB, sum);
    } else {
      sum = plus(sum, arith::MulIOp::create(b, loc, factor, lanesOfB));
    }
  }

  /// The share of step k in what is fetched ahead, a line at a time.
  void prefetch(Value k, int64_t unroll) {
    int64_t perLine = std::max<int64_t>(1, 64 * 8 / bType().getIntOrFloatBitWidth());
    int64_t step = static_cast<int64_t>(op.getPrefetchStep()) * (op.getPairs() ? 2 : 1);
    int64_t elements = unroll * step;
    Address here = fetch->plus(b, loc, k, step);
    for (int64_t at = 0; at < elements; at += perLine)
      memref::PrefetchOp::create(b, loc, bb.base, (here + at).materialize(b, loc),
                                 /*isWrite=*/false, static_cast<uint32_t>(op.getLocality()),
                                 /*isDataCache=*/true);
  }

  Type bType() const { return cast<MemRefType>(bb.base.getType()).getElementType(); }

  OpBuilder &b;
  Location loc;
  tile::MmaOp op;
  const FlatBuffer &a, &bb;
  Value depth;
  OperandStrides operands;
  Type element;
};

/// Accumulators that wait for their strip's turn. They lie on the stack: kept in SSA values, all
/// strips' would be alive together and the register allocator would spill in the innermost loop.
/// The accesses are volatile, since LLVM would promote them to SSA values otherwise.
class Waiting {
public:
  Waiting(OpBuilder &b, tile::MmaOp op, ArrayRef<Value> acc) : b(b), loc(op.getLoc()), values(acc) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&op->getParentOfType<func::FuncOp>().getBody().front());
    Value count =
        LLVM::ConstantOp::create(b, loc, b.getI64Type(), static_cast<int64_t>(values.size()));
    // The first piece of a row is the widest.
    stack = LLVM::AllocaOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext()),
                                   values.front().getType(), count,
                                   /*alignment=*/64);
    slot = values.front().getType();
  }

  void putAll() {
    for (size_t i = 0; i < values.size(); ++i)
      if (!matchPattern(values[i], m_Constant()))
        put(i, values[i]);
  }
  /// A constant is taken as it is, which costs no register in between.
  Value get(size_t i) {
    if (matchPattern(values[i], m_Constant()))
      return values[i];
    return LLVM::LoadOp::create(b, loc, values[i].getType(), place(i), /*alignment=*/0,
                                /*isVolatile=*/true);
  }
  void put(size_t i, Value value) {
    LLVM::StoreOp::create(b, loc, value, place(i), /*alignment=*/0, /*isVolatile=*/true);
    values[i] = value;
  }

private:
  Value place(size_t i) {
    return LLVM::GEPOp::create(b, loc, stack.getType(), slot, stack,
                               ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
  }

  OpBuilder &b;
  Location loc;
  SmallVector<Value> values;
  Type slot;
  Value stack;
};

class LowerMma : public LoweringPattern<tile::MmaOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(tile::MmaOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    if (op.getPairs() && !lowering.machine.hasBF16Dot())
      return op.emitOpError("[mma] ")
             << lowering.machine.getCpu() << " has no product of pairs; choose a schedule without";
    auto type = cast<VectorType>(op.getAcc().getType());
    SmallVector<VectorType> row =
        lowering.types.split(VectorType::get({type.getDimSize(1)}, type.getElementType()));
    int64_t rows = type.getDimSize(0), columns = row.size();
    int64_t bits = lowering.types.getLanes() * type.getElementTypeBitWidth();
    int64_t perVector = std::max<int64_t>(1, bits / lowering.machine.getVectorBits());
    Strip strip = chooseStrip(rows, columns, perVector, lowering.machine.getRegisters());

    const FlatBuffer &a = lowering.buffers[op.getA()], &b = lowering.buffers[op.getB()];
    Address aStart = a.at(rewriter, loc, firsts(adaptor.getAIndices()));
    Address bStart = b.at(rewriter, loc, firsts(adaptor.getBIndices()));
    std::optional<Address> fetch;
    if (!op.getPrefetchIndices().empty())
      fetch = b.at(rewriter, loc, firsts(adaptor.getPrefetchIndices()));

    OperandStrides strides(op, lowering);
    auto emitterAt = [&](int64_t r, int64_t c) {
      StripEmitter emitter(rewriter, op, lowering, adaptor.getDepth().front());
      emitter.strip = {std::min(strip.rows, rows - r), std::min(strip.columns, columns - c)};
      emitter.lanes.assign(row.begin() + c, row.begin() + c + emitter.strip.columns);
      emitter.aStart = aStart + r * strides.aRow;
      emitter.bStart = bStart + c * lowering.types.getLanes() * strides.bLane;
      emitter.fetch = std::exchange(fetch, std::nullopt);
      return emitter;
    };
    SmallVector<Value> acc(adaptor.getAcc());
    if (strip.rows == rows && strip.columns == columns)
      acc = emitterAt(0, 0).emit(acc);
    else
      emitStrips(rewriter, op, strip, rows, columns, acc, emitterAt);
    rewriter.replaceOpWithMultiple(op, {ValueRange(acc)});
    return success();
  }

private:
  static void emitStrips(OpBuilder &b, tile::MmaOp op, Strip strip, int64_t rows, int64_t columns,
                         SmallVectorImpl<Value> &acc,
                         function_ref<StripEmitter(int64_t, int64_t)> emitterAt) {
    Waiting waiting(b, op, acc);
    waiting.putAll();
    for (int64_t c = 0; c < columns;
         c += strip.columns) // all strips of some columns find their part of B in cache
      for (int64_t r = 0; r < rows; r += strip.rows) {
        StripEmitter emitter = emitterAt(r, c);
        SmallVector<size_t> places;
        for (int64_t i = 0; i < emitter.strip.rows; ++i)
          for (int64_t j = 0; j < emitter.strip.columns; ++j)
            places.push_back((r + i) * columns + c + j);
        SmallVector<Value> in;
        for (size_t place : places)
          in.push_back(waiting.get(place));
        SmallVector<Value> out = emitter.emit(in);
        for (auto [place, value] : llvm::zip_equal(places, out))
          waiting.put(place, value);
      }
    for (size_t i = 0; i < acc.size(); ++i)
      acc[i] = waiting.get(i);
  }
};

} // namespace

void tessera::populateMmaPatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns.add<LowerMma>(lowering);
}
