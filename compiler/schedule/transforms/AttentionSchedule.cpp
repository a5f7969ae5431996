//===- AttentionSchedule.cpp - default schedules of attention --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block of query rows keeps its scores in L2. Where a whole row of them fits,
// nothing is rescaled; else keys come in passes.
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/transforms/AttentionSchedule.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tessera::schedule {

/// Queries a head of keys is worth packing for: transposing the keys costs about as much as three
/// more products with them.
static constexpr int64_t kQueriesWorthPacking = 5;

AttentionAttr chooseAttention(MLIRContext *context, const AttentionShape &shape,
                              const MachineModel &machine) {
  int64_t lanes = std::max<int64_t>(machine.vectorBits, 128) / shape.accBits;
  int64_t mr = machine.vectorBits >= 512 ? 8 : 6;
  int64_t queries = std::max<int64_t>(shape.queries, 1), keys = std::max<int64_t>(shape.keys, 1);
  // Where the last strip covers rows of the one before again, strips of equal height waste least.
  if (shape.anySizes && queries < 8 * mr)
    mr = llvm::divideCeil(queries, llvm::divideCeil(queries, mr));
  mr = std::min(mr, queries);
  int64_t nr = 2 * lanes;
  int64_t br = std::min<int64_t>(llvm::alignTo(32, mr), llvm::alignTo(queries, mr));
  // Scores, and beside them the panels of keys and values on their way through.
  int64_t most = machine.l2Bytes / 2 / (br * (shape.accBits / 8));
  int64_t bc = llvm::alignTo(keys, nr);
  if (bc > most)
    bc = std::max<int64_t>(nr, llvm::alignDown(std::min<int64_t>(most, 1024), nr));
  // The emitter works on 16 columns at a time, where a panel holds as many.
  bool inPlace = shape.wholeRows && shape.columns % std::min<int64_t>(nr, 16) == 0 &&
                 !shape.anySizes && queries * shape.group < kQueriesWorthPacking;
  return AttentionAttr::get(context, br, bc, mr, nr, /*unroll=*/2, shape.anySizes, inPlace,
                            shape.pairs, shape.stream);
}

DictionaryAttr attentionSpace(MLIRContext *context, const AttentionShape &shape,
                              const MachineModel &machine) {
  Builder b(context);
  int64_t lanes = std::max<int64_t>(machine.vectorBits, 128) / shape.accBits;
  auto list = [&](ArrayRef<int64_t> values) { return b.getDenseI64ArrayAttr(values); };
  AttentionAttr chosen = chooseAttention(context, shape, machine);
  return b.getDictionaryAttr({
      b.getNamedAttr("br", list({16, 32, 48, 64})),
      b.getNamedAttr("bc", list({256, 512, 1024, chosen.getBc()})),
      b.getNamedAttr("mr", list(machine.vectorBits >= 512 ? ArrayRef<int64_t>{8, 12}
                                                          : ArrayRef<int64_t>{4, 6})),
      b.getNamedAttr("nr", list({lanes, 2 * lanes, 4 * lanes})),
      b.getNamedAttr("unroll", list({1, 2, 4, 8})),
  });
}

} // namespace tessera::schedule
