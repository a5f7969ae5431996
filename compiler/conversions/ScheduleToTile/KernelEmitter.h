//===- KernelEmitter.h - one schedule.kernel to one tile function ----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the emitters of the kernel classes share: the frame of the function
// being filled, and the emitter of pointwise bodies (in BodyEmitter.h).
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_KERNELEMITTER_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_KERNELEMITTER_H

#include "compiler/schedule/ir/ScheduleOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace tessera {

/// The function `(inputs…, outputs…, scratch, begin, end) -> i32` while its body is written.
/// Buffers are strided memrefs of the *storage* type: bool and ui8 are i8, everything else its own
/// type. A size-0 or 0-d tensor keeps its rank; a view's strides and offset are in the memref's
/// layout.
struct KernelFrame {
  mlir::OpBuilder &b; ///< inserts before the function's return
  schedule::KernelOp kernel;
  mlir::func::FuncOp function;
  llvm::SmallVector<mlir::Value> inputs;  ///< one memref a kernel input
  llvm::SmallVector<mlir::Value> outputs; ///< one memref a kernel result
  mlir::Value scratch;                    ///< memref<?xi8>, 64-byte aligned, a thread's own
  mlir::Value begin, end;                 ///< the units to compute

  /// A piece of scratch of static shape, 64-byte aligned. Its bytes count into `scratchBytes`.
  mlir::Value allocScratch(mlir::Location loc, mlir::MemRefType type);
  int64_t scratchBytes = 0;
  mlir::Operation *scratchAnchor = nullptr; ///< the last piece carved
};

/// The parallel range of a kernel: `units` in all, `grain` at least at a time.
struct KernelExtent {
  int64_t units = 1;
  int64_t grain = 1;
};

/// Units of a kernel that are handed out together, of `unitFlops` operations each, or of
/// `unitBytes` of weights where these take longer to arrive: chunks of at least a microsecond,
/// since handing one out takes a tenth of that, and no longer than lets all threads end at about
/// the same time.
int64_t chunkOfUnits(int64_t units, double unitFlops, double unitBytes = 0);

/// The only op of its kind in the kernel's body; null where there is none or more than one.
template <typename OpTy> OpTy findOnly(schedule::KernelOp kernel) {
  auto found = kernel.getBody().front().getOps<OpTy>();
  return llvm::hasSingleElement(found) ? *found.begin() : OpTy();
}

/// The element type a value has in registers: f32 for f16 and bf16, i1 for bool, i8 for ui8.
mlir::Type registerType(mlir::Type elementType);
/// The element type a value has in memory: i8 for bool and ui8.
mlir::Type storageType(mlir::Type elementType);

// One emitter a kernel class, in the file of that name. Errors are diagnosed on the kernel.
mlir::FailureOr<KernelExtent> emitElementwise(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitRows(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitContraction(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitConvolution(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitAttention(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitIndexing(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitPack(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitLibrary(KernelFrame &frame);
mlir::FailureOr<KernelExtent> emitDepthwise(KernelFrame &frame);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_KERNELEMITTER_H
