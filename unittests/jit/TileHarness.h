//===- TileHarness.h - run a kernel written in Tile IR ----------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_UNITTESTS_JIT_TILEHARNESS_H
#define TESSERA_UNITTESTS_JIT_TILEHARNESS_H

#include "compiler/jit/Jit.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tessera::test {

/// A compiled kernel and how long its parts took, in milliseconds.
struct TileKernel {
  std::shared_ptr<jit::CodeImage> image;
  TesseraKernelFn entry = nullptr;
  std::string object;
  double lowerMs = 0, codegenMs = 0, loadMs = 0;

  int32_t operator()(std::vector<void *> buffers, int64_t begin = 0, int64_t end = 1,
                     void *scratch = nullptr) const {
    return entry(buffers.data(), nullptr, scratch, begin, end);
  }
  std::string assembly() const;
};

/// Compiles the function @k of `text` for `cpu` ("avx512", "avx2", "" for the host). Fails the
/// test, and returns no entry, when that does not work.
TileKernel compileTile(const std::string &text, const std::string &cpu);

/// The widths this machine can run: of "avx512" and "avx2".
std::vector<std::string> runnableCpus();

/// Frame of a kernel: "func.func @k(<arguments>, %scratch…, %begin…, %end…) -> i32 { <body> return
/// 0 }".
std::string kernelText(const std::string &arguments, const std::string &body);

} // namespace tessera::test

#endif // TESSERA_UNITTESTS_JIT_TILEHARNESS_H
