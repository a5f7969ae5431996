//===- Module.cpp - the extension module tessera._core -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"

using namespace tessera::bindings;

NB_MODULE(_core, m) {
  m.doc() = "Tessera's compiler and runtime. The public interface is the package tessera.";
  init_dtypes(m);
  init_tensor(m);
  init_graph(m);
  init_compiler(m);
  init_executable(m);
}
