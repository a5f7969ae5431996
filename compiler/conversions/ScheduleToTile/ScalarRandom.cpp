//===- ScalarRandom.cpp - Philox in registers ------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Lanes are 64 bits wide, since a round needs products of that width: a machine
// multiplies the low halves of such lanes in one instruction.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ScalarRandom.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

// The constants of the paper: two multipliers, and the Weyl increments of the key.
constexpr int64_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
constexpr int64_t increment0 = 0x9E3779B9, increment1 = 0xBB67AE85;
constexpr int rounds = 10;

namespace {
/// Words of 32 bits in lanes of 64.
class WordBuilder {
public:
  explicit WordBuilder(ScalarBuilder &b) : b(b) {}

  Value low(Value x) { return b.both(x, b.integer(x, 0xFFFFFFFF)); }
  Value high(Value x) { return arith::ShRUIOp::create(b, x, b.integer(x, 32)); }
  Value times(Value x, int64_t multiplier) {
    return arith::MulIOp::create(b, x, b.integer(x, multiplier));
  }
  Value mix(Value x, Value y, Value z) {
    return arith::XOrIOp::create(b, arith::XOrIOp::create(b, x, y), z);
  }
  /// A round's key: scalar arithmetic, then the same in every lane.
  Value roundKey(Value word, int64_t increment, int round, Type type) {
    Value key = low(arith::AddIOp::create(b, word, b.integer(word, increment * round)));
    return isa<VectorType>(type) ? Value(vector::BroadcastOp::create(b, type, key)) : key;
  }

private:
  ScalarBuilder &b;
};
} // namespace

std::array<Value, philoxWords> tessera::emitPhilox(ScalarBuilder &b, Value counter, Value key) {
  WordBuilder words(b);
  Type type = counter.getType();
  Value keyLow = words.low(key), keyHigh = words.high(key);
  Value zero = b.integer(counter, 0);
  std::array<Value, philoxWords> state{words.low(counter), words.high(counter), zero, zero};
  for (int round = 0; round < rounds; ++round) {
    Value key0 = words.roundKey(keyLow, increment0, round, type);
    Value key1 = words.roundKey(keyHigh, increment1, round, type);
    Value product0 = words.times(state[0], multiplier0);
    Value product1 = words.times(state[2], multiplier1);
    state = {words.mix(words.high(product1), state[1], key0), words.low(product1),
             words.mix(words.high(product0), state[3], key1), words.low(product0)};
  }
  return state;
}
