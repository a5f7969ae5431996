//===- Errors.cpp - the runtime's errors as Python's -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"

#include <nanobind/stl/string.h>

using namespace tessera::bindings;
using namespace tessera::runtime;

static PyObject *exceptionOf(ErrorKind kind) {
  switch (kind) {
  case ErrorKind::Value:
    return PyExc_ValueError;
  case ErrorKind::Type:
    return PyExc_TypeError;
  case ErrorKind::Index:
    return PyExc_IndexError;
  case ErrorKind::Buffer:
    return PyExc_BufferError;
  case ErrorKind::Memory:
    return PyExc_MemoryError;
  case ErrorKind::Interrupted:
    return PyExc_KeyboardInterrupt;
  case ErrorKind::Runtime:
  case ErrorKind::Host:
    return PyExc_RuntimeError;
  }
  return PyExc_RuntimeError;
}

void tessera::bindings::setError(const Status &status, const std::string &prefix) {
  // An island's exception, or the one a signal handler raised, is what the user should see.
  bool raisedAlready = status.kind() == ErrorKind::Host || status.kind() == ErrorKind::Interrupted;
  if (raisedAlready && PyErr_Occurred())
    return;
  PyErr_SetString(exceptionOf(status.kind()), (prefix + status.message()).c_str());
}

void tessera::bindings::raise(const Status &status, const std::string &prefix) {
  setError(status, prefix);
  throw nb::python_error();
}

void tessera::bindings::raiseWrongType(const std::string &function, const std::string &name,
                                       const char *expected, nb::handle given) {
  constexpr size_t longest = 80;
  std::string text = nb::cast<std::string>(nb::repr(given));
  if (text.size() > longest)
    text = text.substr(0, longest) + "...";
  throw nb::type_error((function + ": argument '" + name + "' must be " + expected + ", got " +
                        text + " (" + Py_TYPE(given.ptr())->tp_name + ")")
                           .c_str());
}

nb::object tessera::bindings::iterate(nb::handle object, const char *function,
                                      const std::string &name, const char *expected) {
  nb::object iterator = nb::steal(PyObject_GetIter(object.ptr()));
  if (!iterator.is_valid()) {
    PyErr_Clear();
    raiseWrongType(function, name, expected, object);
  }
  return iterator;
}
