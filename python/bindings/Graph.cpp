//===- Graph.cpp - building Graph IR from Python -----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/Compiler.h"
#include "python/bindings/Bindings.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

using namespace tessera;
using namespace tessera::bindings;
using namespace nb::literals;

namespace {

/// The value, or ValueError with the compiler's message.
template <typename T> T unwrap(Result<T> result) {
  if (!result)
    throw nb::value_error(result.message().c_str());
  return std::move(*result);
}

/// (fqn, file, line), or None.
SourceLocation locationFrom(nb::handle object) {
  SourceLocation location;
  if (object.is_none())
    return location;
  constexpr const char *expected = "None or (module path, file, line)";
  if (!PyTuple_Check(object.ptr()) || PyTuple_GET_SIZE(object.ptr()) != 3)
    raiseWrongType("GraphBuilder", "loc", expected, object);
  location.fqn = castArgument<std::string>(object[0], "GraphBuilder", "loc", expected);
  location.file = castArgument<std::string>(object[1], "GraphBuilder", "loc", expected);
  location.line = castArgument<int>(object[2], "GraphBuilder", "loc", expected);
  return location;
}

/// Values of the graph; None leaves an optional operand out.
std::vector<GraphValue> operandsFrom(nb::handle object) {
  constexpr const char *expected = "a sequence of Values of the graph";
  std::vector<GraphValue> operands;
  for (nb::handle operand : iterate(object, "GraphBuilder", "operands", expected))
    operands.push_back(operand.is_none() ? GraphValue()
                                         : castArgument<GraphValue>(operand, "GraphBuilder",
                                                                    "operands", expected));
  return operands;
}

AttributeValue listFrom(const std::string &name, nb::handle object) {
  std::vector<int64_t> integers;
  if (nb::try_cast(object, integers))
    return integers;
  std::vector<double> numbers;
  if (nb::try_cast(object, numbers))
    return numbers;
  throw nb::type_error(("attribute '" + name + "' must hold integers or floats, got " +
                        nb::cast<std::string>(nb::repr(object)))
                           .c_str());
}

AttributeValue attributeFrom(const std::string &name, nb::handle object) {
  PyObject *value = object.ptr();
  if (nb::isinstance<runtime::DType>(object) || name == "dtype")
    return dtypeFrom(object);
  // Before int, whose subclass it is.
  if (PyBool_Check(value))
    return value == Py_True;
  if (PyLong_Check(value))
    return nb::cast<int64_t>(object);
  if (PyFloat_Check(value))
    return nb::cast<double>(object);
  if (PyUnicode_Check(value))
    return nb::cast<std::string>(object);
  return listFrom(name, object);
}

Attributes attributesFrom(const nb::dict &dict) {
  Attributes attributes;
  for (auto [key, value] : dict) {
    auto name = castArgument<std::string>(key, "GraphBuilder", "attrs", "a dict by strings");
    attributes.emplace_back(name, attributeFrom(name, value));
  }
  return attributes;
}

/// Bytes of any contiguous buffer, given back at the end of the scope.
struct Buffer {
  explicit Buffer(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_C_CONTIGUOUS) != 0)
      throw nb::python_error();
  }
  ~Buffer() { PyBuffer_Release(&view); }
  Py_buffer view;
};

GraphValue constantFrom(GraphBuilder &builder, nb::handle array, nb::handle dtype, nb::handle shape,
                        nb::handle location) {
  Buffer buffer(array);
  runtime::DType type = dtypeFrom(dtype);
  std::vector<int64_t> sizes = shapeFrom(shape);
  int64_t expected = runtime::TensorSpec::contiguous(type, sizes).numElements() * sizeOf(type);
  // One element stands for all of them.
  if (buffer.view.len != expected && buffer.view.len != sizeOf(type))
    throw nb::value_error(("the constant has " + std::to_string(buffer.view.len) +
                           " bytes, expected " + std::to_string(expected) + " for " + nameOf(type) +
                           " " + runtime::formatShape(sizes))
                              .c_str());
  return builder.constant(type, sizes, buffer.view.buf, size_t(buffer.view.len),
                          locationFrom(location));
}

std::vector<GraphValue> islandFrom(GraphBuilder &builder, int64_t id, const std::string &reason,
                                   nb::handle operands, nb::handle results, nb::handle location) {
  std::vector<std::pair<runtime::DType, std::vector<int64_t>>> types;
  constexpr const char *expected = "a sequence of (dtype, shape)";
  for (nb::handle result : iterate(results, "GraphBuilder", "results", expected)) {
    if (!PyTuple_Check(result.ptr()) || PyTuple_GET_SIZE(result.ptr()) != 2)
      raiseWrongType("GraphBuilder", "results", expected, result);
    types.emplace_back(dtypeFrom(result[0]), shapeFrom(result[1]));
  }
  return unwrap(builder.island(id, reason, operandsFrom(operands), types, locationFrom(location)));
}

std::string reprOfValue(const GraphValue &value) {
  return "Value(%" + std::to_string(value.id) + ": " + nameOf(value.dtype) + " " +
         runtime::formatShape(value.shape) + ")";
}

void defineBuilder(nb::module_ &m) {
  nb::class_<GraphBuilder>(m, "GraphBuilder",
                           "Builds a function of Graph IR op by op; result types are inferred.")
      .def(nb::init<const std::string &>(), "precision"_a = "")
      .def(
          "input",
          [](GraphBuilder &builder, const std::string &name, nb::handle dtype, nb::handle shape) {
            return builder.input(name, dtypeFrom(dtype), shapeFrom(shape));
          },
          "name"_a, "dtype"_a, "shape"_a)
      .def(
          "open_first_input",
          [](GraphBuilder &builder, const std::string &name, nb::handle dtype, int rank) {
            return builder.openFirstInput(name, dtypeFrom(dtype), rank);
          },
          "name"_a, "dtype"_a, "rank"_a,
          "An input before all others, whose sizes set_input_shape() gives when its readers are "
          "known.")
      .def(
          "set_input_shape",
          [](GraphBuilder &builder, const GraphValue &input, nb::handle shape) {
            builder.setInputShape(input, shapeFrom(shape));
          },
          "input"_a, "shape"_a, "The sizes of an input made by open_first_input().")
      .def(
          "parameter",
          [](GraphBuilder &builder, const std::string &name, nb::handle dtype, nb::handle shape) {
            return builder.parameter(name, dtypeFrom(dtype), shapeFrom(shape));
          },
          "name"_a, "dtype"_a, "shape"_a)
      .def("constant", &constantFrom, "array"_a, "dtype"_a, "shape"_a, "loc"_a = nb::none(),
           "A dense constant from a contiguous buffer; one element stands for all.")
      .def(
          "create",
          [](GraphBuilder &builder, const std::string &op, nb::handle operands,
             const nb::dict &attrs, nb::handle location) {
            return unwrap(builder.create(op, operandsFrom(operands), attributesFrom(attrs),
                                         locationFrom(location)));
          },
          "op"_a, "operands"_a, "attrs"_a = nb::dict(), "loc"_a = nb::none(),
          "One op of the graph dialect, named without prefix; its results. ValueError with the "
          "verifier's text when it does not verify.")
      .def("island", &islandFrom, "id"_a, "reason"_a, "operands"_a, "results"_a,
           "loc"_a = nb::none(), "A call of the island `id`; result types are given.")
      .def(
          "finish",
          [](GraphBuilder &builder, nb::handle outputs, nb::handle contiguous) {
            std::vector<bool> wanted;
            for (nb::handle flag : contiguous)
              wanted.push_back(
                  castArgument<bool>(flag, "GraphBuilder", "contiguous", "a sequence of bools"));
            return unwrap(builder.finish(operandsFrom(outputs), wanted));
          },
          "outputs"_a, "contiguous"_a = nb::make_tuple(),
          "The finished graph. `contiguous` says of each output whether its layout must be "
          "row-major; where it need not, it may be a strided view.");
}

} // namespace

void tessera::bindings::init_graph(nb::module_ &m) {
  nb::class_<GraphValue>(m, "Value", "A value of the graph being built.")
      .def_ro("id", &GraphValue::id)
      .def_prop_ro("dtype", [](const GraphValue &value) { return nameOf(value.dtype); })
      .def_prop_ro("shape", [](const GraphValue &value) { return toTuple(value.shape); })
      .def("__repr__", &reprOfValue);
  nb::class_<GraphModule>(m, "GraphModule", "A function in Graph IR, ready to compile.")
      .def_static(
          "parse", [](const std::string &text) { return unwrap(GraphModule::parse(text)); },
          "text"_a, "Reads Graph IR text.")
      .def("str", &GraphModule::str, "locations"_a = false)
      .def(
          "split_joint",
          [](const GraphModule &joint, int64_t results, int64_t tangents,
             const std::string &rematerialize) {
            return unwrap(splitJoint(joint, results, tangents, rematerialize));
          },
          "results"_a, "tangents"_a, "rematerialize"_a = "auto",
          "A graph whose results after the first `results` are gradients, and whose last "
          "`tangents` inputs are gradients of results, as a forward and a backward graph.")
      .def("__str__", [](const GraphModule &module) { return module.str(); });
  nb::class_<SplitGraph>(m, "SplitGraph", "A graph with gradients, taken apart.")
      .def_ro("forward", &SplitGraph::forward, "Its results: the model's, then what is saved.")
      .def_ro("backward", &SplitGraph::backward, "Its results: the gradients.")
      .def_prop_ro(
          "sources",
          [](const SplitGraph &split) {
            nb::list sources;
            for (const SplitGraph::Source &source : split.arguments)
              sources.append(nb::make_tuple(source.saved, source.index));
            return sources;
          },
          "Of each input of `backward`: (whether it is a result of `forward`, number of that, or "
          "else of the input of the whole).")
      .def_ro("saved_bytes", &SplitGraph::savedBytes);
  defineBuilder(m);
}
