//===- MachineModel.h - the machine a schedule is made for -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_TRANSFORMS_MACHINEMODEL_H
#define TESSERA_COMPILER_SCHEDULE_TRANSFORMS_MACHINEMODEL_H

#include <cstdint>

namespace tessera::schedule {

/// What default schedules depend on. The numbers are those of a core of the machine.
struct MachineModel {
  int threads = 1;
  int64_t vectorBits = 512;
  bool bf16Dot = false; ///< multiplies pairs of bf16, adding up in f32
  int64_t l2Bytes = 1 << 20;
  int64_t l3Bytes = 32 << 20;
};

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_TRANSFORMS_MACHINEMODEL_H
