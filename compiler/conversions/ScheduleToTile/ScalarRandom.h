//===- ScalarRandom.h - Philox in registers --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_SCALARRANDOM_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_SCALARRANDOM_H

#include "compiler/conversions/ScheduleToTile/ScalarOps.h"

#include <array>

namespace tessera {

/// Counters that serve one run of elements, as graph.random_bits defines it.
inline constexpr int64_t philoxCounters = 8;
/// Words of 32 bits a counter gives.
inline constexpr int64_t philoxWords = 4;
/// Rough price of one element whose neighbours share its counters, in additions.
inline constexpr double philoxCost = 24;

/// The four words of Philox-4x32-10 for each lane of `counter` (i64, the low half of the 128-bit
/// counter) under the scalar `key` (i64). The words are i64 as well; their high halves are zero.
std::array<mlir::Value, philoxWords> emitPhilox(ScalarBuilder &b, mlir::Value counter,
                                                mlir::Value key);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_SCALARRANDOM_H
