//===- PythonHost.cpp - what a running program asks of Python ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/PythonHost.h"

#include "python/bindings/TensorExchange.h"
#include "runtime/NativeKernel.h"

using namespace tessera::bindings;
using namespace tessera::runtime;

/// Python's error indicator is set; it belongs to the thread and waits there.
static Status pythonError() { return Status::error(ErrorKind::Host, "an island failed"); }

Status PythonHost::callIsland(int64_t id, std::span<const Tensor> inputs,
                              std::vector<Tensor> &results) {
  if (auto native = state.natives.find(id); native != state.natives.end())
    return native->second->run(inputs, state.executable->threadsNow(), results);
  WithGil gil(*this);
  auto found = state.islands.find(id);
  if (found == state.islands.end())
    return Status::error(ErrorKind::Runtime,
                         "island " + std::to_string(id) + " was not given to the executable");
  // No C++ exception may pass through the runtime.
  try {
    return runIsland(found->second, inputs, results);
  } catch (nb::python_error &error) {
    error.restore();
    return pythonError();
  } catch (const nb::builtin_exception &error) {
    // What the island returned is no tensor, or not one that can be shared.
    return Status::error(ErrorKind::Type, "island " + std::to_string(id) +
                                              " returned a result that cannot be "
                                              "used: " +
                                              error.what());
  } catch (const std::exception &error) {
    return Status::error(ErrorKind::Runtime, error.what());
  }
}

Status PythonHost::runIsland(nb::handle function, std::span<const Tensor> inputs,
                             std::vector<Tensor> &results) {
  const Torch *torch = Torch::get();
  std::vector<nb::object> objects;
  std::vector<PyObject *> pointers;
  for (const Tensor &input : inputs) {
    PyObject *object = torch ? torch->wrap(input) : wrapCore(input);
    if (!object)
      return pythonError();
    objects.push_back(nb::steal(object));
    pointers.push_back(object);
  }
  nb::object returned =
      nb::steal(PyObject_Vectorcall(function.ptr(), pointers.data(), pointers.size(), nullptr));
  if (!returned.is_valid())
    return pythonError();
  bool several = PyTuple_Check(returned.ptr()) || PyList_Check(returned.ptr());
  if (!several) {
    results.push_back(tensorFromObject(returned, Gradients::Ignore));
    return Status();
  }
  for (nb::handle item : returned)
    results.push_back(tensorFromObject(item, Gradients::Ignore));
  return Status();
}

Tensor PythonHost::retainInput(size_t index) {
  WithGil gil(*this);
  PyObject *object = arguments[index];
  if (isCoreTensor(object))
    return coreTensor(object);
  // Only plain tensors get here; whatever else came is shared already.
  Tensor tensor;
  if (!Torch::get()->share(object, tensor))
    PyErr_Clear();
  return tensor;
}

bool PythonHost::interrupted() {
  WithGil gil(*this);
  return PyErr_CheckSignals() != 0;
}
