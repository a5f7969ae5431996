//===- TensorExchange.cpp - tensors from and to Python objects ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/TensorExchange.h"

#include "python/bindings/Bindings.h"
#include "python/bindings/Torch.h"
#include "runtime/Exchange.h"

#include <cstring>

using namespace tessera::bindings;
using namespace tessera::runtime;
using namespace tessera::runtime::dlpack;
using namespace nb::literals;

namespace {

constexpr const char *kVersioned = "dltensor_versioned";
constexpr const char *kLegacy = "dltensor";

/// Runs when a capsule nobody consumed is collected.
template <typename Managed> void destroyCapsule(PyObject *capsule, const char *name) {
  if (!PyCapsule_IsValid(capsule, name))
    return;
  auto *managed = static_cast<Managed *>(PyCapsule_GetPointer(capsule, name));
  if (managed->deleter)
    managed->deleter(managed);
}

std::string typeName(nb::handle object) { return Py_TYPE(object.ptr())->tp_name; }

/// Checks what DLPack cannot carry; returns the tensor to exchange in the object's place.
nb::object settleTorch(const Torch &torch, nb::handle object, Gradients gradients) {
  nb::object tensor = nb::borrow(object);
  int requiresGrad = gradients == Gradients::Ignore ? 0 : torch.requiresGrad(object.ptr());
  if (requiresGrad < 0)
    throw nb::python_error();
  if (requiresGrad) {
    int recorded = gradients == Gradients::Refuse ? 1 : torch.isGradEnabled();
    if (recorded < 0)
      throw nb::python_error();
    if (recorded)
      throw nb::value_error(
          gradients == Gradients::Refuse
              ? "the tensor requires grad, and gradients do not cross DLPack; call .detach() on "
                "it first"
              : "the tensor requires grad; run under torch.no_grad(), or call .detach() on it");
  }
  int negative = torch.isNegative(object.ptr());
  if (negative < 0)
    throw nb::python_error();
  if (negative)
    tensor = tensor.attr("resolve_neg")();
  // Tensor.__dlpack__ of a subclass refuses gradients even where none are recorded.
  if (!torch.isPlain(tensor.ptr()))
    tensor = tensor.attr("detach")();
  return tensor;
}

/// Asks the object for a capsule, in the newest form it knows.
Tensor tensorFromProtocol(nb::handle object) {
  nb::object device = object.attr("__dlpack_device__")();
  int type = nb::cast<int>(device[0]), index = nb::cast<int>(device[1]);
  if (type != kDLCPU)
    throw nb::value_error(("the tensor is on device " + formatDevice({DLDeviceType(type), index}) +
                           ", expected cpu; call .cpu() on it first")
                              .c_str());
  nb::object method = object.attr("__dlpack__");
  try {
    return tensorFromCapsule(
        method("max_version"_a = nb::make_tuple(kMajorVersion, kMinorVersion)));
  } catch (nb::python_error &error) {
    // Producers older than DLPack 1.0 do not know the argument.
    if (!error.matches(PyExc_TypeError))
      throw;
  }
  return tensorFromCapsule(method());
}

} // namespace

bool tessera::bindings::isCoreTensor(PyObject *object) {
  static PyTypeObject *type = reinterpret_cast<PyTypeObject *>(nb::type<Tensor>().ptr());
  return Py_TYPE(object) == type || PyType_IsSubtype(Py_TYPE(object), type);
}

Tensor &tessera::bindings::coreTensor(PyObject *object) { return *nb::inst_ptr<Tensor>(object); }

PyObject *tessera::bindings::wrapCore(Tensor tensor) {
  return nb::cast(std::move(tensor)).release().ptr();
}

Tensor tessera::bindings::tensorFromObject(nb::handle object, Gradients gradients) {
  if (isCoreTensor(object.ptr()))
    return coreTensor(object.ptr());
  if (PyCapsule_CheckExact(object.ptr()))
    return tensorFromCapsule(object);
  const Torch *torch = Torch::get();
  if (torch && torch->isTensor(object.ptr())) {
    nb::object settled = settleTorch(*torch, object, gradients);
    if (!torch->isPlain(settled.ptr()))
      return tensorFromProtocol(settled);
    Tensor tensor;
    if (!torch->share(settled.ptr(), tensor))
      throw nb::python_error();
    return tensor;
  }
  if (!nb::hasattr(object, "__dlpack__"))
    throw nb::type_error((typeName(object) + " is not a tensor: expected a torch tensor, a "
                                             "tessera Tensor, or an object with __dlpack__")
                             .c_str());
  return tensorFromProtocol(object);
}

Tensor tessera::bindings::tensorFromCapsule(nb::handle capsule) {
  Tensor tensor;
  Status status;
  if (PyCapsule_IsValid(capsule.ptr(), kVersioned)) {
    auto *managed =
        static_cast<DLManagedTensorVersioned *>(PyCapsule_GetPointer(capsule.ptr(), kVersioned));
    // Renamed first: from here on the tensor is ours to give back, whatever happens.
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    status = importDLPack(managed, tensor);
  } else if (PyCapsule_IsValid(capsule.ptr(), kLegacy)) {
    auto *managed = static_cast<DLManagedTensor *>(PyCapsule_GetPointer(capsule.ptr(), kLegacy));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    status = importDLPack(managed, tensor);
  } else if (PyCapsule_CheckExact(capsule.ptr())) {
    const char *name = PyCapsule_GetName(capsule.ptr());
    std::string given = name ? name : "";
    if (given.rfind("used_dltensor", 0) == 0)
      throw nb::value_error("the DLPack capsule was consumed before; each capsule can be "
                            "imported once: make another with to_dlpack");
    throw nb::value_error(("expected a DLPack capsule named 'dltensor' or 'dltensor_versioned', "
                           "got one named '" +
                           given + "'")
                              .c_str());
  } else {
    throw nb::type_error(("expected a DLPack capsule, got " + typeName(capsule)).c_str());
  }
  if (status.failed())
    raise(status);
  return tensor;
}

nb::object tessera::bindings::toCapsule(Tensor tensor, bool versioned, bool copied) {
  PyObject *capsule;
  if (versioned)
    capsule = PyCapsule_New(exportDLPack(std::move(tensor), copied), kVersioned, [](PyObject *c) {
      destroyCapsule<DLManagedTensorVersioned>(c, kVersioned);
    });
  else
    capsule = PyCapsule_New(exportLegacyDLPack(std::move(tensor)), kLegacy,
                            [](PyObject *c) { destroyCapsule<DLManagedTensor>(c, kLegacy); });
  if (!capsule)
    throw nb::python_error();
  return nb::steal(capsule);
}

//===----------------------------------------------------------------------===//
// The exchange table
//===----------------------------------------------------------------------===//

namespace {

int allocateManaged(DLTensor *prototype, DLManagedTensorVersioned **out, void *context,
                    void (*setError)(void *, const char *, const char *)) {
  DType dtype;
  Status status = dtypeFromDLPack(prototype->dtype, dtype);
  Tensor tensor;
  if (!status.failed()) {
    tensor = Tensor::empty(dtype, {prototype->shape, prototype->shape + prototype->ndim});
    if (!tensor.defined())
      status = outOfMemory(0, "a tensor");
  }
  if (status.failed()) {
    setError(context, "RuntimeError", status.message().c_str());
    return -1;
  }
  *out = exportDLPack(std::move(tensor));
  return 0;
}

int managedFromObject(void *object, DLManagedTensorVersioned **out) {
  *out = exportDLPack(coreTensor(static_cast<PyObject *>(object)));
  return 0;
}

int managedToObject(DLManagedTensorVersioned *managed, void **out) {
  Tensor tensor;
  if (Status status = importDLPack(managed, tensor); status.failed()) {
    setError(status);
    return -1;
  }
  *out = wrapCore(std::move(tensor));
  return *out ? 0 : -1;
}

int lookAtObject(void *object, DLTensor *out) {
  const Tensor &tensor = coreTensor(static_cast<PyObject *>(object));
  const TensorSpec &spec = tensor.spec();
  *out = {tensor.data(),
          {kDLCPU, 0},
          int32_t(spec.sizes.size()),
          dtypeToDLPack(spec.dtype),
          const_cast<int64_t *>(spec.sizes.data()),
          const_cast<int64_t *>(spec.strides.data()),
          0};
  return 0;
}

int currentStream(DLDeviceType, int32_t, void **out) {
  *out = nullptr;
  return 0;
}

} // namespace

nb::object tessera::bindings::exchangeTableCapsule() {
  static DLPackExchangeAPI table = {{{kMajorVersion, kMinorVersion}, nullptr},
                                    allocateManaged,
                                    managedFromObject,
                                    managedToObject,
                                    lookAtObject,
                                    currentStream};
  return nb::steal(PyCapsule_New(&table, "dlpack_exchange_api", nullptr));
}
