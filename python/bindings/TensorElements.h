//===- TensorElements.h - elements as Python numbers -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_PYTHON_BINDINGS_TENSORELEMENTS_H
#define TESSERA_PYTHON_BINDINGS_TENSORELEMENTS_H

#include "runtime/Tensor.h"

#include <nanobind/nanobind.h>

namespace tessera::bindings {

/// The only element; throws where there are more or none.
nanobind::object itemOf(const runtime::Tensor &tensor);
/// Nested lists, a dimension each.
nanobind::object listOf(const runtime::Tensor &tensor);

} // namespace tessera::bindings

#endif // TESSERA_PYTHON_BINDINGS_TENSORELEMENTS_H
