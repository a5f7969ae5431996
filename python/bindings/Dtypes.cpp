//===- Dtypes.cpp - element types and shapes ---------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"

#include <nanobind/stl/string.h>

using namespace tessera::bindings;
using namespace tessera::runtime;
using namespace nb::literals;

static constexpr DType kAll[] = {DType::Bool, DType::U8,  DType::I8,   DType::I16, DType::I32,
                                 DType::I64,  DType::F16, DType::BF16, DType::F32, DType::F64};

DType tessera::bindings::dtypeFrom(nb::handle object) {
  DType dtype;
  if (nb::try_cast(object, dtype))
    return dtype;
  std::string name = nb::cast<std::string>(nb::str(object));
  // torch.float32 prints with its module.
  if (name.rfind("torch.", 0) == 0)
    name = name.substr(6);
  for (DType known : kAll)
    if (name == nameOf(known))
      return known;
  std::string message = "unknown dtype '" + name + "'; supported are";
  for (DType known : kAll)
    message += std::string(known == DType::Bool ? " " : ", ") + nameOf(known);
  throw nb::value_error(message.c_str());
}

nb::tuple tessera::bindings::toTuple(const std::vector<int64_t> &values) {
  nb::object tuple = nb::steal(PyTuple_New(Py_ssize_t(values.size())));
  for (size_t i = 0; i < values.size(); ++i)
    PyTuple_SET_ITEM(tuple.ptr(), Py_ssize_t(i), PyLong_FromLongLong(values[i]));
  return nb::borrow<nb::tuple>(tuple);
}

std::vector<int64_t> tessera::bindings::shapeFrom(nb::handle object) {
  constexpr const char *expected = "a sequence of integers";
  std::vector<int64_t> shape;
  for (nb::handle size : iterate(object, "GraphBuilder", "shape", expected)) {
    shape.push_back(castArgument<int64_t>(size, "GraphBuilder", "shape", expected));
    if (shape.back() < 0)
      throw nb::value_error(
          ("shape " + formatShape(shape) + " has a negative size; sizes must be known").c_str());
  }
  return shape;
}

void tessera::bindings::init_dtypes(nb::module_ &m) {
  auto cls = nb::enum_<DType>(m, "DType", "The type of a tensor's elements.");
  for (DType dtype : kAll)
    cls.value(nameOf(dtype), dtype);
  cls.def_prop_ro("itemsize", [](DType dtype) { return sizeOf(dtype); }, "Bytes of one element.");
  m.def("dtype", &dtypeFrom, "name"_a, "The DType of a name, with or without \"torch.\".");
}
