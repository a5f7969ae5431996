//===- TensorExchange.h - tensors from and to Python objects -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_PYTHON_BINDINGS_TENSOREXCHANGE_H
#define TESSERA_PYTHON_BINDINGS_TENSOREXCHANGE_H

#include "runtime/Tensor.h"

#include <nanobind/nanobind.h>

namespace tessera::bindings {

namespace nb = nanobind;

/// What to do with a torch tensor that requires grad.
enum class Gradients {
  Refuse,           ///< always an error: the memory would be shared behind autograd's back
  RefuseIfRecorded, ///< an error unless grad mode is off
  Ignore,
};

/// Whether the object is a _core.Tensor.
bool isCoreTensor(PyObject *object);
/// The tensor inside a _core.Tensor.
runtime::Tensor &coreTensor(PyObject *object);
/// A new _core.Tensor; null with Python's error set.
PyObject *wrapCore(runtime::Tensor tensor);

/// A tensor that shares the object's memory: a _core.Tensor, a torch tensor, or anything with
/// __dlpack__. Negated views of torch are copied, since DLPack cannot say what they are. Throws
/// with Python's error set.
runtime::Tensor tensorFromObject(nb::handle object, Gradients gradients);

/// The tensor in a DLPack capsule, which is used up.
runtime::Tensor tensorFromCapsule(nb::handle capsule);

/// A capsule in the form of DLPack 1.x, or of before.
nb::object toCapsule(runtime::Tensor tensor, bool versioned, bool copied = false);

/// A capsule with the table of functions that C code exchanges _core.Tensor through.
nb::object exchangeTableCapsule();

} // namespace tessera::bindings

#endif // TESSERA_PYTHON_BINDINGS_TENSOREXCHANGE_H
