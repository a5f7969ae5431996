//===- Library.cpp - calls of the runtime's library -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From tile.call_library on strided buffers to target.call_library on flat ones:
// element types, sizes and strides become the numbers of runtime/abi/Library.h.
//
//===----------------------------------------------------------------------===//

#include "runtime/abi/Library.h"
#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/tile/ir/TileOps.h"

using namespace mlir;
using namespace tessera;

static FailureOr<int64_t> dtypeCode(Type type) {
  if (type.isF16())
    return TESSERA_F16;
  if (type.isBF16())
    return TESSERA_BF16;
  if (type.isF32())
    return TESSERA_F32;
  if (type.isF64())
    return TESSERA_F64;
  if (type.isUnsignedInteger(8))
    return TESSERA_U8;
  if (!type.isSignlessInteger())
    return failure();
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return TESSERA_BOOL;
  case 8:
    return TESSERA_I8;
  case 16:
    return TESSERA_I16;
  case 32:
    return TESSERA_I32;
  case 64:
    return TESSERA_I64;
  default:
    return failure();
  }
}

namespace {

struct LowerCallLibrary : LoweringPattern<tile::CallLibraryOp> {
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(tile::CallLibraryOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    SmallVector<Value> buffers, offsets;
    SmallVector<int64_t> description{static_cast<int64_t>(op.getTypes().size())};
    for (auto [value, type] : llvm::zip_equal(llvm::concat<Value>(op.getInputs(), op.getOutputs()),
                                              op.getTypes().getAsValueRange<TypeAttr>())) {
      const FlatBuffer &buffer = lowering.buffers[value];
      FailureOr<int64_t> dtype = dtypeCode(type);
      if (failed(dtype))
        return rewriter.notifyMatchFailure(op, "expected element types of the runtime");
      buffers.push_back(buffer.base);
      offsets.push_back(buffer.start.materialize(rewriter, op.getLoc()));
      llvm::append_values(description, *dtype, static_cast<int64_t>(buffer.sizes.size()));
      llvm::append_range(description, buffer.sizes);
      llvm::append_range(description, buffer.strides);
    }
    llvm::append_range(description, op.getParameters());
    Value scratch = op.getScratch() ? lowering.buffers[op.getScratch()].base : Value();
    rewriter.replaceOpWithNewOp<target::CallLibraryOp>(
        op, op.getStatus().getType(), op.getCalleeAttr(), buffers, offsets, scratch,
        adaptor.getBegin(), adaptor.getEnd(), rewriter.getDenseI64ArrayAttr(description));
    return success();
  }
};

} // namespace

void tessera::populateLibraryPatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns.add<LowerCallLibrary>(lowering);
}
