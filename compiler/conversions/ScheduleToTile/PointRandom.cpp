//===- PointRandom.cpp - random bits at a point ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes a graph.random_bits at a point and leaves Philox in its lanes. Where the
// lanes are known to start at a run of eight elements, counters serve all their
// words; elsewhere each lane evaluates its own and picks a word. The numbers are
// the same.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointEmitter.h"
#include "compiler/conversions/ScheduleToTile/ScalarRandom.h"
#include "compiler/graph/ir/GraphOps.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace mlir;
using namespace tessera;

/// A number that is known to divide an index; 0 divides by everything, as std::gcd has it.
static int64_t divisorOf(Value index) {
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return std::abs(*constant);
  if (auto argument = dyn_cast<BlockArgument>(index)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (!loop || loop.getInductionVar() != index)
      return 1;
    return std::gcd(divisorOf(loop.getLowerBound()), divisorOf(loop.getStep()));
  }
  Operation *op = index.getDefiningOp();
  if (isa<arith::AddIOp, arith::SubIOp, arith::MinSIOp, arith::MaxSIOp>(op))
    return std::gcd(divisorOf(op->getOperand(0)), divisorOf(op->getOperand(1)));
  if (isa<arith::MulIOp>(op)) {
    int64_t product;
    if (llvm::MulOverflow(divisorOf(op->getOperand(0)), divisorOf(op->getOperand(1)), product))
      return 1;
    return product;
  }
  return 1;
}

/// The same of a form at the first lane.
static int64_t divisorOf(const LinearForm &form, const PointScope &scope) {
  int64_t divisor = std::abs(form.base);
  for (auto [d, coefficient] : llvm::enumerate(form.dims)) {
    int64_t product = 0;
    if (coefficient != 0 &&
        llvm::MulOverflow(std::abs(coefficient), divisorOf(scope.indices[d]), product))
      product = coefficient;
    divisor = std::gcd(divisor, product);
  }
  for (auto [symbol, coefficient] : form.symbols)
    divisor = std::gcd(divisor, coefficient);
  return divisor;
}

namespace {
/// Bits of one width.
class RandomEmitter {
public:
  RandomEmitter(ScalarBuilder &b, Value key, unsigned width)
      : b(b), key(key), choices(width == 32 ? philoxWords : philoxWords / 2), width(width) {}

  /// For each lane of `position`, whatever the positions are.
  Value perLane(Value position);
  /// For `lanes` lanes from the scalar `start`, a multiple of `divisor` >= philoxCounters.
  Value perRun(Value start, int64_t lanes, int64_t divisor);
  /// Elements that share philoxCounters counters.
  int64_t runLength() const { return philoxCounters * choices; }

private:
  Value shifted(Value x, int64_t by) { return arith::ShRUIOp::create(b, x, b.integer(x, by)); }
  /// The counter of the first element of the run `position` is in, plus its number among eight.
  Value counterOf(Value position) {
    Value run = shifted(position, llvm::Log2_64(runLength()));
    Value within = b.both(position, b.integer(position, philoxCounters - 1));
    return arith::AddIOp::create(b, times(run, philoxCounters), within);
  }
  Value times(Value x, int64_t factor) { return arith::MulIOp::create(b, x, b.integer(x, factor)); }
  /// Which of the `choices` values of its counter a position has.
  Value choiceOf(Value position) {
    Value eighths = shifted(position, llvm::Log2_64(philoxCounters));
    return b.both(eighths, b.integer(eighths, choices - 1));
  }
  /// What the counters give, in the type of the result.
  SmallVector<Value> evaluate(Value counter);
  Value eightOf(Value values, int64_t run) {
    SmallVector<int64_t> mask(philoxCounters);
    std::iota(mask.begin(), mask.end(), run * philoxCounters);
    return vector::ShuffleOp::create(b, values, values, mask);
  }
  Value pick(ArrayRef<Value> values, Value choice);

  ScalarBuilder &b;
  Value key;
  int64_t choices;
  unsigned width;
};
} // namespace

SmallVector<Value> RandomEmitter::evaluate(Value counter) {
  std::array<Value, philoxWords> words = emitPhilox(b, counter, key);
  SmallVector<Value> values;
  if (width == 32) {
    for (Value word : words)
      values.push_back(
          arith::TruncIOp::create(b, withElement(word.getType(), b.getI32Type()), word));
    return values;
  }
  for (int64_t i = 0; i < philoxWords; i += 2) {
    Value high = arith::ShLIOp::create(b, words[i + 1], b.integer(words[i + 1], 32));
    values.push_back(b.either(high, words[i]));
  }
  return values;
}

/// values[choice], lane by lane, or by a scalar choice.
Value RandomEmitter::pick(ArrayRef<Value> values, Value choice) {
  Value result = values.front();
  for (auto [i, value] : llvm::drop_begin(llvm::enumerate(values)))
    result = b.select(
        b.compare(arith::CmpIPredicate::eq, choice, b.integer(choice, static_cast<int64_t>(i))),
        value, result);
  return result;
}

Value RandomEmitter::perLane(Value position) {
  return pick(evaluate(counterOf(position)), choiceOf(position));
}

Value RandomEmitter::perRun(Value start, int64_t lanes, int64_t divisor) {
  // Eights of elements whose counters are certainly the same; where these are all of a run,
  // several runs are evaluated at once, as their counters follow one another.
  int64_t shared = std::min(std::gcd(divisor, runLength()), lanes) / philoxCounters;
  int64_t runs = shared == choices ? lanes / runLength() : 1;
  auto wide = VectorType::get({runs * philoxCounters}, b.getI64Type());
  SmallVector<int64_t> numbers(wide.getNumElements());
  std::iota(numbers.begin(), numbers.end(), 0);
  Value steps = arith::ConstantOp::create(b, DenseElementsAttr::get(wide, ArrayRef(numbers)));
  SmallVector<Value> pieces;
  for (int64_t at = 0; at < lanes; at += runs * shared * philoxCounters) {
    Value position = arith::AddIOp::create(b, start, b.integer(start, at));
    Value first = vector::BroadcastOp::create(b, wide, counterOf(position));
    SmallVector<Value> values = evaluate(arith::AddIOp::create(b, first, steps));
    // The eights begin at a multiple of `shared` within their run.
    Value choice = shared == choices ? Value() : shifted(choiceOf(position), llvm::Log2_64(shared));
    for (int64_t run = 0; run < runs; ++run)
      for (int64_t i = 0; i < shared; ++i) {
        SmallVector<Value> possible;
        for (int64_t j = i; j < choices; j += shared)
          possible.push_back(eightOf(values[j], run));
        pieces.push_back(pick(possible, choice));
      }
  }
  // Neighbours are joined in pairs, so that every step is one instruction.
  while (pieces.size() > 1) {
    int64_t size = cast<VectorType>(pieces.front().getType()).getNumElements();
    SmallVector<int64_t> mask(2 * size);
    std::iota(mask.begin(), mask.end(), 0);
    SmallVector<Value> joined;
    for (size_t i = 0; i < pieces.size(); i += 2)
      joined.push_back(vector::ShuffleOp::create(b, pieces[i], pieces[i + 1], mask));
    pieces = std::move(joined);
  }
  return pieces.front();
}

Value PointEmitter::emitRandom(const PointNode *node, PointScope &scope) {
  ScalarBuilder b = scalars(node->op->getLoc(), scope);
  Value key = emit(node->operands.front(), scope);
  RandomEmitter random(b, key, elementOf(node->value).getIntOrFloatBitWidth());
  if (scope.isVector(node) && node->form.dims[scope.laneDim] == 1) {
    // No more is worth knowing than where a run begins.
    int64_t divisor = std::gcd(divisorOf(node->form, scope), random.runLength());
    if (divisor >= philoxCounters && scope.lanes >= philoxCounters) {
      Value start =
          arith::IndexCastOp::create(b, b.getI64Type(), emitIndex(b.getLoc(), node->form, scope));
      return random.perRun(start, scope.lanes, divisor);
    }
  }
  return random.perLane(emitPosition(b, node, scope));
}
