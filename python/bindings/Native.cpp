//===- Native.cpp - the classes NativeKernel and NativeCall -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"
#include "python/bindings/NativeObject.h"
#include "python/bindings/TensorExchange.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;
using namespace tessera::bindings;
using namespace tessera::runtime;

namespace {

NativeKernelObject loadKernel(const std::string &library, const std::string &symbol) {
  NativeKernelObject object;
  if (Status status = NativeKernel::load(library, symbol, object.kernel); status.failed())
    raise(status);
  return object;
}

/// By what Python's value is: a list holds integers, a tuple real numbers.
NativeAttribute attributeFrom(const std::string &name, nb::handle value) {
  NativeAttribute result;
  result.name = name;
  if (value.is_none())
    return result;
  if (nb::isinstance<nb::bool_>(value) || nb::isinstance<nb::int_>(value)) {
    result.kind = TESSERA_INT;
    result.integer = castArgument<int64_t>(value, "NativeCall", name, "an integer of 64 bits");
  } else if (nb::isinstance<nb::float_>(value)) {
    result.kind = TESSERA_FLOAT;
    result.number = nb::cast<double>(value);
  } else if (nb::isinstance<nb::str>(value)) {
    result.kind = TESSERA_TEXT;
    result.text = nb::cast<std::string>(value);
  } else {
    constexpr const char *expected = "None, a number, a string, or numbers in a list or tuple";
    bool real = nb::isinstance<nb::tuple>(value);
    result.kind = real ? TESSERA_FLOATS : TESSERA_INTS;
    for (nb::handle item : iterate(value, "NativeCall", name, expected)) {
      if (real)
        result.numbers.push_back(castArgument<double>(item, "NativeCall", name, expected));
      else
        result.integers.push_back(castArgument<int64_t>(item, "NativeCall", name, expected));
    }
  }
  return result;
}

/// `attributes` are pairs of name and value, `outputs` pairs of element type and sizes.
NativeCallObject makeCall(const NativeKernelObject &kernel, const std::vector<int32_t> &operands,
                          nb::list attributes, nb::sequence outputs) {
  std::vector<NativeAttribute> given;
  for (nb::handle pair : attributes)
    given.push_back(attributeFrom(nb::cast<std::string>(pair[0]), pair[1]));
  std::vector<TensorSpec> specs;
  for (nb::handle pair : outputs)
    specs.push_back(TensorSpec::contiguous(dtypeFrom(pair[0]), shapeFrom(pair[1])));
  return {
      std::make_shared<NativeCall>(kernel.kernel, operands, std::move(given), std::move(specs))};
}

nb::list runCall(const NativeCallObject &self, nb::args tensors, int threads) {
  std::vector<Tensor> inputs, results;
  for (nb::handle tensor : tensors)
    inputs.push_back(tensorFromObject(tensor, Gradients::RefuseIfRecorded));
  Status status;
  {
    nb::gil_scoped_release released;
    status = self.call->run(inputs, threads, results);
  }
  if (status.failed())
    raise(status);
  nb::list list;
  for (Tensor &result : results) {
    PyObject *object = wrapCore(std::move(result));
    if (!object)
      throw nb::python_error();
    list.append(nb::steal(object));
  }
  return list;
}

} // namespace

void tessera::bindings::init_native(nb::module_ &m) {
  nb::class_<NativeKernelObject>(m, "NativeKernel", "A function of a user's shared library.")
      .def_prop_ro("description",
                   [](const NativeKernelObject &self) { return self.kernel->describe(); });
  nb::class_<NativeCallObject>(
      m, "NativeCall",
      "A kernel with everything of a call but the tensors. As an island of an Executable it runs "
      "without Python.")
      .def("__call__", &runCall, "tensors"_a, nb::kw_only(), "threads"_a = 1)
      .def_prop_ro("description",
                   [](const NativeCallObject &self) { return self.call->getKernel().describe(); });
  m.def("load_native", &loadKernel, "library"_a, "symbol"_a,
        "RuntimeError says why a library or a function of it cannot be used.");
  m.def("native_call", &makeCall, "kernel"_a, "operands"_a, "attributes"_a, "outputs"_a);
}
