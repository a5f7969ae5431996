// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-choose{bf16-dot},tessera-schedule-prepack))' | FileCheck %s
// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-choose,tessera-schedule-prepack))' | FileCheck %s --check-prefix=NODOT

// Panels of pairs, rounded from the parameter in one go: no copy of it in bf16 is kept.

// CHECK:         %[[W:.*]] = graph.parameter "w" : tensor<64x33xf32>
// CHECK-NOT:     graph.cast
// CHECK:         %[[T:.*]] = schedule.view %[[W]] offset 0 strides [1, 33] : tensor<64x33xf32> to tensor<33x64xf32>
// CHECK-NOT:     graph.cast
// CHECK:         %[[P:.*]] = schedule.kernel pack(%[[T]]) {{.*}}prepare
// CHECK:           schedule.pack %{{.*}} : tensor<33x64xf32> to tensor<2x17x32x2xbf16>
// CHECK:         schedule.kernel contraction(%arg0, %[[P]])
// CHECK-SAME:      pairs = true
// CHECK:           %[[B:.*]] = schedule.unpack %{{.*}} : tensor<2x17x32x2xbf16> to tensor<33x64xbf16>
// CHECK:           graph.matmul %{{.*}}, %[[B]] : (tensor<128x33xbf16>, tensor<33x64xbf16>)
// NODOT:         schedule.pack %{{.*}} : tensor<33x64xbf16> to tensor<2x33x32xbf16>
// NODOT-NOT:     pairs
func.func @main(%x: tensor<128x33xbf16>) -> tensor<128x64xbf16> {
  %w = graph.parameter "w" : tensor<64x33xf32>
  %b = graph.cast %w to bf16 : (tensor<64x33xf32>) -> tensor<64x33xbf16>
  %0 = graph.matmul %x, %b {transpose_b} : (tensor<128x33xbf16>, tensor<64x33xbf16>) -> tensor<128x64xbf16>
  return %0 : tensor<128x64xbf16>
}
