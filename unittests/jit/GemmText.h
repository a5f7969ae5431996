//===- GemmText.h - a matrix product written in Tile IR ---------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_UNITTESTS_JIT_GEMMTEXT_H
#define TESSERA_UNITTESTS_JIT_GEMMTEXT_H

#include <cstdint>
#include <string>

namespace tessera::test {

/// C[m][n] = A[m][k] · B, B packed as [ceil(n / nr)][k][nr]. Units are panels of B.
struct GemmShape {
  int64_t m, n, k;
  int64_t mr = 8, nr = 32, unroll = 4;
  std::string element = "f32"; ///< of A and B
  std::string acc = "f32";     ///< of C
  bool prefetch = false;
};

/// The kernel's text: buffers A, B, C.
std::string gemmText(const GemmShape &shape);

} // namespace tessera::test

#endif // TESSERA_UNITTESTS_JIT_GEMMTEXT_H
