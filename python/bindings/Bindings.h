//===- Bindings.h - what the files of tessera._core share --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_PYTHON_BINDINGS_BINDINGS_H
#define TESSERA_PYTHON_BINDINGS_BINDINGS_H

#include "runtime/Program.h"
#include "runtime/Status.h"
#include "runtime/Tensor.h"

#include <nanobind/nanobind.h>

#include <string>

namespace tessera::bindings {

namespace nb = nanobind;

/// Each fills in its topic; called once, in this order.
// NOLINTBEGIN(readability-identifier-naming): nanobind's custom
void init_dtypes(nb::module_ &m);
void init_tensor(nb::module_ &m);
void init_graph(nb::module_ &m);
void init_compiler(nb::module_ &m);
void init_native(nb::module_ &m);
void init_executable(nb::module_ &m);
void init_fast_call(nb::module_ &m);
// NOLINTEND(readability-identifier-naming)

/// Sets Python's error indicator; an error that is the host's own is there already.
void setError(const runtime::Status &status, const std::string &prefix = "");
/// As above, for functions nanobind wraps.
[[noreturn]] void raise(const runtime::Status &status, const std::string &prefix = "");

/// TypeError: argument `name` of `function` is not `expected`.
[[noreturn]] void raiseWrongType(const std::string &function, const std::string &name,
                                 const char *expected, nb::handle given);
/// `object` as a T; where it is none, TypeError names the argument.
template <typename T>
T castArgument(nb::handle object, const char *function, const std::string &name,
               const char *expected) {
  T value;
  if (!nb::try_cast(object, value))
    raiseWrongType(function, name, expected, object);
  return value;
}

/// What `object` holds, to be iterated over; where it holds nothing, TypeError names the argument.
nb::object iterate(nb::handle object, const char *function, const std::string &name,
                   const char *expected);

/// An element type from its name or a DType.
runtime::DType dtypeFrom(nb::handle object);

/// (2, 3)
nb::tuple toTuple(const std::vector<int64_t> &values);
/// A sequence of non-negative integers.
std::vector<int64_t> shapeFrom(nb::handle object);

} // namespace tessera::bindings

#endif // TESSERA_PYTHON_BINDINGS_BINDINGS_H
