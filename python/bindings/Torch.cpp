//===- Torch.cpp - what the bindings know of PyTorch -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Torch.h"

#include "python/bindings/Bindings.h"
#include "runtime/Exchange.h"

#include <algorithm>

using namespace tessera::bindings;
using namespace tessera::runtime;
using namespace tessera::runtime::dlpack;

const Torch *Torch::instance = nullptr;

/// The exchange table of a type; the newest of our major version in its chain.
static const DLPackExchangeAPI *exchangeTable(nb::handle type) {
  nb::object capsule = nb::getattr(type, "__dlpack_c_exchange_api__", nb::none());
  if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api"))
    return nullptr;
  auto *header = static_cast<DLPackExchangeAPIHeader *>(
      PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  while (header && header->version.major != kMajorVersion)
    header = header->prev_api;
  auto *api = reinterpret_cast<const DLPackExchangeAPI *>(header);
  return api && api->dltensor_from_py_object_no_sync ? api : nullptr;
}

Torch::Field Torch::field(nb::handle type, const char *name) {
  Field field;
  field.name = PyUnicode_InternFromString(name);
  nb::object descriptor = nb::getattr(type, name, nb::none());
  if (Py_IS_TYPE(descriptor.ptr(), &PyGetSetDescr_Type)) {
    PyGetSetDef *definition = reinterpret_cast<PyGetSetDescrObject *>(descriptor.ptr())->d_getset;
    field.function = definition->get;
    field.closure = definition->closure;
  }
  return field;
}

Torch::Method Torch::method(nb::handle type, const char *name) {
  Method method;
  method.name = PyUnicode_InternFromString(name);
  nb::object descriptor = nb::getattr(type, name, nb::none());
  if (Py_IS_TYPE(descriptor.ptr(), &PyMethodDescr_Type)) {
    PyMethodDef *definition = reinterpret_cast<PyMethodDescrObject *>(descriptor.ptr())->d_method;
    if (definition->ml_flags == METH_NOARGS)
      method.function = definition->ml_meth;
  }
  return method;
}

const Torch *Torch::find() {
  nb::object name = nb::steal(PyUnicode_InternFromString("torch"));
  nb::object module = nb::steal(PyImport_GetModule(name.ptr()));
  if (!module.is_valid()) {
    PyErr_Clear();
    return nullptr;
  }
  // While torch is being imported, some of these are not there yet.
  nb::object tensor = nb::getattr(module, "Tensor", nb::none());
  nb::object nn = nb::getattr(module, "nn", nb::none());
  nb::object parameter = nb::getattr(nn, "Parameter", nb::none());
  nb::object enabled = nb::getattr(module, "is_grad_enabled", nb::none());
  if (!PyType_Check(tensor.ptr()) || !PyType_Check(parameter.ptr()) || enabled.is_none())
    return nullptr;
  const DLPackExchangeAPI *api = exchangeTable(tensor);
  if (!api)
    throw nb::import_error("this version of torch has no DLPack exchange table "
                           "(torch.Tensor.__dlpack_c_exchange_api__); install torch 2.13");
  auto *torch = new Torch;
  torch->api = api;
  torch->requiresGradField = field(tensor, "requires_grad");
  torch->versionField = field(tensor, "_version");
  torch->isNegMethod = method(tensor, "is_neg");
  torch->detachMethod = method(tensor, "detach");
  nb::object version = nb::getattr(module, "__version__", nb::none());
  if (PyUnicode_Check(version.ptr()) && knowsTorchLayout(PyUnicode_AsUTF8(version.ptr())))
    torch->layout = Layout::Untried;
  // These live as long as the process, as torch does.
  torch->tensorType = reinterpret_cast<PyTypeObject *>(tensor.release().ptr());
  torch->parameterType = reinterpret_cast<PyTypeObject *>(parameter.release().ptr());
  torch->gradEnabled = enabled.release().ptr();
  instance = torch;
  return torch;
}

int Torch::asBool(PyObject *result) {
  if (!result)
    return -1;
  int truth = result == Py_True ? 1 : result == Py_False ? 0 : PyObject_IsTrue(result);
  Py_DECREF(result);
  return truth;
}

bool Torch::ask(PyObject *object, TensorView &view) const {
  DLTensor seen;
  int failed = api->dltensor_from_py_object_no_sync(object, &seen);
  // Integers cannot be lazily negated.
  bool isFloating = !failed && (seen.dtype.code == kDLFloat || seen.dtype.code == kDLBfloat);
  if (failed || viewDLPack(seen, view).failed() || (isFloating && isNegative(object) != 0)) {
    PyErr_Clear();
    return false;
  }
  if (layout == Layout::Untried)
    tryLayout(object, view);
  return true;
}

void Torch::tryLayout(PyObject *object, const TensorView &asked) const {
  TensorView read;
  bool isEqual = readTorchTensor(object, read) && read.dtype == asked.dtype &&
                 read.data == asked.data && read.rank == asked.rank &&
                 std::equal(read.sizes, read.sizes + read.rank, asked.sizes) &&
                 std::equal(read.strides, read.strides + read.rank, asked.strides) &&
                 readTorchVersion(object) == askVersion(object);
  layout = isEqual ? Layout::Known : Layout::Unknown;
}

int64_t Torch::askVersion(PyObject *object) const {
  PyObject *result = get(versionField, object);
  if (!result) {
    PyErr_Clear();
    return -1;
  }
  int64_t version = PyLong_AsLongLong(result);
  Py_DECREF(result);
  return version;
}

bool Torch::share(PyObject *object, Tensor &tensor) const {
  // torch's capsule holds the tensor itself, which lets go of its memory when `.data` is assigned
  // or `set_()` called; another tensor on the same memory does not.
  nb::object alias = nb::steal(call(detachMethod, object));
  if (!alias.is_valid())
    return false;
  DLManagedTensorVersioned *managed = nullptr;
  if (api->managed_tensor_from_py_object_no_sync(alias.ptr(), &managed) != 0)
    return false;
  Status status = importDLPack(managed, tensor);
  if (status.failed())
    setError(status);
  return !status.failed();
}

std::shared_ptr<void> Torch::hold(PyObject *object) const {
  DLManagedTensorVersioned *managed = nullptr;
  if (api->managed_tensor_from_py_object_no_sync(object, &managed) != 0) {
    PyErr_Clear();
    return nullptr;
  }
  return {managed, [](void *held) {
            auto *managed = static_cast<DLManagedTensorVersioned *>(held);
            if (managed->deleter)
              managed->deleter(managed);
          }};
}

PyObject *Torch::wrap(Tensor tensor) const {
  void *object = nullptr;
  DLManagedTensorVersioned *managed = exportDLPack(std::move(tensor));
  if (api->managed_tensor_to_py_object_no_sync(managed, &object) == 0)
    return static_cast<PyObject *>(object);
  return nullptr;
}
