//===- Errors.cpp - the runtime's errors as Python's -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"

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
