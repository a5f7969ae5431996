//===- Module.cpp - the extension module tessera._core -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"

namespace nb = nanobind;
using namespace tessera::bindings;

NB_MODULE(_core, m) {
  // At exit torch's caches may still hold what refers to our objects; that is no leak of ours.
  // The tests turn the report on.
  nb::set_leak_warnings(false);
  m.def("set_leak_warnings", &nb::set_leak_warnings, nb::arg("enabled"),
        "Whether objects that are alive at exit are reported.");
  m.doc() = "Tessera's compiler and runtime. The public interface is the package tessera.";
  init_dtypes(m);
  init_tensor(m);
  init_graph(m);
  init_compiler(m);
  init_native(m);
  init_executable(m);
  init_fast_call(m);
}
