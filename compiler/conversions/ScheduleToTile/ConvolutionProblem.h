//===- ConvolutionProblem.h - what a convolution kernel sums up ------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads a kernel of class convolution: sizes, the image's layout, the panels of
// kernels; and emits what follows the sums. The emitters see only this.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_CONVOLUTIONPROBLEM_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_CONVOLUTIONPROBLEM_H

#include "compiler/conversions/ScheduleToTile/BodyEmitter.h"
#include "compiler/conversions/ScheduleToTile/ContractionBuilder.h"

namespace tessera {

struct ConvolutionProblem {
  mlir::Value result;                 ///< [N, places…, O], what the epilogue reads
  mlir::Value input;                  ///< [N, spatial…, C]
  llvm::SmallVector<int64_t> strides; ///< of the input
  mlir::Value panels;                 ///< see schedule.unpack_kernels
  int64_t panelWidth = 0, panelDepth = 0;
  bool pairedPanels = false;
  int64_t batch = 0, groups = 1;
  int64_t channels = 0, outputs = 0; ///< of a group
  /// A spatial dimension each.
  llvm::SmallVector<int64_t> sizes, places, kernel, stride, dilation, padding;
  mlir::Type accType;

  unsigned dims() const { return sizes.size(); }
  int64_t channelStride() const { return strides.back(); }
  /// Of spatial dimension `d`.
  int64_t strideOf(unsigned d) const { return strides[d + 1]; }
};

/// Diagnoses a body that is not one convolution with pointwise ops behind it.
mlir::FailureOr<ConvolutionProblem> readConvolution(KernelFrame &frame);

/// What follows the sums, on `lanes` channels of one pixel.
class ConvolutionEpilogue {
public:
  ConvolutionEpilogue(KernelFrame &frame, const ConvolutionProblem &problem, TileBuilder &t);

  /// `sums` are those of `pixel` ([n, spatial…]) from `channel` on; of them `valid` exist.
  void emit(mlir::Value sums, mlir::ValueRange pixel, mlir::Value channel, mlir::Value valid);
  /// Fetches what emit() will read of `columns` channels of a pixel.
  void prefetch(mlir::ValueRange pixel, mlir::Value channel, int64_t columns);
  bool hasError = false;

private:
  const ConvolutionProblem &p;
  TileBuilder &t;
  BodyEmitter body;
  llvm::SmallVector<mlir::Value> images; ///< inputs with an element an output
};

// One emitter an algorithm, in the file of that name.
mlir::FailureOr<KernelExtent> emitDirect(KernelFrame &frame, const ConvolutionProblem &problem,
                                         schedule::ConvolutionAttr point);
mlir::FailureOr<KernelExtent> emitWinograd(KernelFrame &frame, const ConvolutionProblem &problem,
                                           schedule::ConvolutionAttr point);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_CONVOLUTIONPROBLEM_H
