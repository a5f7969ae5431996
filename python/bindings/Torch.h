//===- Torch.h - what the bindings know of PyTorch ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Nothing of PyTorch is linked. Its tensors are reached through the DLPack
// exchange table of its tensor types and through a few attributes, whose C
// functions are looked up once: through Python's attribute lookup each of them
// would cost as much as all the rest of a small call.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_PYTHON_BINDINGS_TORCH_H
#define TESSERA_PYTHON_BINDINGS_TORCH_H

#include "python/bindings/TorchLayout.h"
#include "runtime/DLPack.h"

#include <nanobind/nanobind.h>

#include <memory>

namespace tessera::bindings {

namespace nb = nanobind;

class Torch {
public:
  /// PyTorch, once the program has imported it; else null. Never imports it.
  static const Torch *get() { return instance ? instance : find(); }

  /// Exactly torch.Tensor or torch.nn.Parameter. Subclasses inherit the exchange table but may
  /// not hold what it hands out.
  bool isPlain(PyObject *object) const {
    return Py_TYPE(object) == tensorType || Py_TYPE(object) == parameterType;
  }
  bool isTensor(PyObject *object) const {
    return PyObject_TypeCheck(object, reinterpret_cast<PyTypeObject *>(tensorType));
  }

  /// Looks at a plain tensor; the view's sizes belong to it. False, without an error set, where
  /// something is out of the ordinary: not dense memory of the CPU, or not as it stands there.
  bool look(PyObject *object, runtime::TensorView &view) const {
    return layout == Layout::Known ? readTorchTensor(object, view) : ask(object, view);
  }
  /// A share in a plain tensor's memory, whatever becomes of the tensor. False with Python's error
  /// set.
  bool share(PyObject *object, runtime::Tensor &tensor) const;
  /// A reference to a plain tensor from outside Python; null where there can be none. While there
  /// is one, looking at the tensor costs less: torch need not make Python's object stay.
  std::shared_ptr<void> hold(PyObject *object) const;
  /// A torch tensor that shares `tensor`. Null with Python's error set.
  PyObject *wrap(runtime::Tensor tensor) const;

  /// -1 with Python's error set, as for the others.
  int requiresGrad(PyObject *object) const { return asBool(get(requiresGradField, object)); }
  int isNegative(PyObject *object) const { return asBool(call(isNegMethod, object)); }
  int isGradEnabled() const { return asBool(PyObject_CallNoArgs(gradEnabled)); }
  bool knowsLayout() const { return layout == Layout::Known; }
  /// Counts in-place writes; -1 without an error for inference tensors, which do not count.
  int64_t version(PyObject *object) const {
    return layout == Layout::Known ? readTorchVersion(object) : askVersion(object);
  }

private:
  /// Whether tensors are read where PyTorch keeps them. To be trusted, that has to say of a first
  /// tensor what PyTorch says.
  enum class Layout { Unknown, Untried, Known };

  struct Field {
    PyObject *name = nullptr;
    getter function = nullptr; ///< null: through the attribute
    void *closure = nullptr;
  };
  struct Method {
    PyObject *name = nullptr;
    PyCFunction function = nullptr; ///< null: through the attribute
  };

  static const Torch *find();
  bool ask(PyObject *object, runtime::TensorView &view) const;
  int64_t askVersion(PyObject *object) const;
  void tryLayout(PyObject *object, const runtime::TensorView &asked) const;
  static int asBool(PyObject *result);
  static PyObject *get(const Field &field, PyObject *object) {
    return field.function ? field.function(object, field.closure)
                          : PyObject_GetAttr(object, field.name);
  }
  static PyObject *call(const Method &method, PyObject *object) {
    return method.function ? method.function(object, nullptr)
                           : PyObject_CallMethodNoArgs(object, method.name);
  }
  static Field field(nb::handle type, const char *name);
  static Method method(nb::handle type, const char *name);

  static const Torch *instance;
  PyTypeObject *tensorType = nullptr, *parameterType = nullptr;
  const runtime::dlpack::DLPackExchangeAPI *api = nullptr;
  mutable Layout layout = Layout::Unknown; ///< guarded by the GIL
  Field requiresGradField, versionField;
  Method isNegMethod, detachMethod;
  PyObject *gradEnabled = nullptr;
};

} // namespace tessera::bindings

#endif // TESSERA_PYTHON_BINDINGS_TORCH_H
