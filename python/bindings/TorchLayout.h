//===- TorchLayout.h - tensors read where PyTorch keeps them -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What DLPack's exchange table and the attributes of a tensor say costs more
// than a small model computes, mostly for letting go of the GIL. The same is a
// few loads from memory for who knows the layout of PyTorch's objects: this
// file alone is compiled with PyTorch's headers. Of its libraries nothing is
// used, and with another version of them nothing here is.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_PYTHON_BINDINGS_TORCHLAYOUT_H
#define TESSERA_PYTHON_BINDINGS_TORCHLAYOUT_H

#include "runtime/Tensor.h"

#include <nanobind/nanobind.h>

#include <string_view>

namespace tessera::bindings {

/// Whether the headers were those of this version of PyTorch, "2.13.0+cpu" say.
bool knowsTorchLayout(std::string_view version);

/// Reads a plain tensor of dense memory of the CPU, as it stands. False, without an error set, for
/// any other: lazily negated, of a transform such as vmap, of a dtype that Tessera has not.
bool readTorchTensor(PyObject *object, runtime::TensorView &view);

/// The count of in-place writes; -1 for inference tensors, which do not count.
int64_t readTorchVersion(PyObject *object);

} // namespace tessera::bindings

#endif // TESSERA_PYTHON_BINDINGS_TORCHLAYOUT_H
