//===- LibraryFourier.cpp - calls of the library's Fourier transforms -----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A unit is a row; neighbouring rows are transformed together.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/LibraryCall.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"
#include "runtime/abi/Library.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

/// A call whose units are the rows of `rows` along `dim`, `length` elements as time goes by.
static LibraryCall callOn(StringRef callee, Value rows, int64_t dim, int64_t length,
                          const APFloat &scale, ArrayRef<int64_t> parameters) {
  LibraryCall call{callee, {dim, static_cast<int64_t>(scale.bitcastToAPInt().getZExtValue())}};
  llvm::append_range(call.parameters, parameters);
  SmallVector<int64_t> others(cast<RankedTensorType>(rows.getType()).getShape());
  others.erase(others.begin() + dim);
  call.units = productOf(others);
  call.unitElements = length;
  call.scratchBytes = tessera_fft_scratch(length);
  return call;
}

std::optional<LibraryCall> tessera::callFourier(Operation *op) {
  auto size = [](Value value, int64_t dim) {
    return cast<RankedTensorType>(value.getType()).getDimSize(dim);
  };
  return llvm::TypeSwitch<Operation *, std::optional<LibraryCall>>(op)
      .Case([&](graph::FFTOp fft) {
        int64_t dim = fft.getDim();
        return callOn("tessera_fft", fft.getReal(), dim, size(fft.getReal(), dim), fft.getScale(),
                      {fft.getInverse()});
      })
      .Case([&](graph::RealFFTOp fft) {
        int64_t dim = fft.getDim();
        return callOn("tessera_real_fft", fft.getOperand(), dim, size(fft.getOperand(), dim),
                      fft.getScale(), {});
      })
      .Case([&](graph::InverseRealFFTOp fft) {
        return callOn("tessera_inverse_real_fft", fft.getReal(), fft.getDim(), fft.getLength(),
                      fft.getScale(), {});
      })
      .Default([](Operation *) { return std::nullopt; });
}
