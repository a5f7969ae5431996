//===- Tensor.cpp - the class Tensor -----------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/Bindings.h"
#include "python/bindings/TensorElements.h"
#include "python/bindings/TensorExchange.h"
#include "runtime/DLPack.h"
#include "runtime/StridedCopy.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

using namespace tessera::bindings;
using namespace tessera::runtime;
using namespace nb::literals;

namespace {

/// Row-major; a copy unless it is already.
Tensor contiguous(const Tensor &tensor, bool always = false) {
  Tensor copy =
      always ? Tensor::empty(tensor.spec().dtype, tensor.spec().sizes) : tensor.contiguous();
  if (!copy.defined())
    raise(outOfMemory(tensor.spec().numElements() * sizeOf(tensor.spec().dtype), "a copy"));
  if (always)
    copyStrided(tensor.view(), copy.data(), copy.spec().strides.data());
  return copy;
}

/// As the array API standard defines the method.
nb::object dlpack(const Tensor &tensor, nb::handle stream, nb::handle maxVersion, nb::handle device,
                  std::optional<bool> copy) {
  if (!stream.is_none())
    throw nb::value_error("stream must be None for a tensor on the CPU");
  if (!device.is_none() && nb::cast<int>(device[0]) != dlpack::kDLCPU) {
    PyErr_SetString(PyExc_BufferError, "the tensor is on the CPU and cannot be exported to "
                                       "another device");
    throw nb::python_error();
  }
  bool versioned = !maxVersion.is_none() && nb::cast<int>(maxVersion[0]) >= 1;
  bool copied = copy.value_or(false);
  if (!versioned && tensor.readOnly() && !copied) {
    PyErr_SetString(PyExc_BufferError,
                    "the tensor is read-only, which DLPack can say from version 1 on only; pass "
                    "max_version=(1, 0) or copy=True");
    throw nb::python_error();
  }
  return toCapsule(copied ? contiguous(tensor, true) : tensor, versioned, copied);
}

nb::object toNumpy(nb::handle self) {
  const Tensor &tensor = coreTensor(self.ptr());
  if (tensor.spec().dtype == DType::BF16)
    throw nb::type_error("NumPy has no bfloat16; convert the tensor to float32 first");
  return nb::module_::import_("numpy").attr("from_dlpack")(self);
}

nb::object toArray(nb::handle self, nb::handle dtype, nb::handle copy) {
  nb::object array = toNumpy(self);
  bool copies = nb::isinstance<nb::bool_>(copy) && nb::cast<bool>(copy);
  if (!dtype.is_none())
    return array.attr("astype")(dtype, "copy"_a = copies);
  return copies ? nb::object(array.attr("copy")()) : array;
}

int64_t sizeAlong(const TensorSpec &spec, int64_t dim) {
  int64_t rank = int64_t(spec.sizes.size());
  if (dim < -rank || dim >= rank)
    throw nb::index_error(("dimension " + std::to_string(dim) +
                           " is out of range for a tensor of " + std::to_string(rank) +
                           " dimensions")
                              .c_str());
  return spec.sizes[size_t(dim < 0 ? dim + rank : dim)];
}

std::string repr(const Tensor &tensor) {
  return "Tensor(shape=" + formatShape(tensor.spec().sizes) +
         ", dtype=" + nameOf(tensor.spec().dtype) + ")";
}

void defineLayout(nb::class_<Tensor> &cls) {
  cls.def_prop_ro(
         "dtype", [](const Tensor &t) { return nameOf(t.spec().dtype); },
         "Name of the element type: \"float32\".")
      .def_prop_ro("shape", [](const Tensor &t) { return toTuple(t.spec().sizes); })
      .def_prop_ro(
          "strides", [](const Tensor &t) { return toTuple(t.spec().strides); },
          "Distance between neighbours along each dimension, in elements.")
      .def_prop_ro("device", [](const Tensor &) { return "cpu"; })
      .def_prop_ro("ndim", [](const Tensor &t) { return t.spec().sizes.size(); })
      .def_prop_ro("itemsize", [](const Tensor &t) { return sizeOf(t.spec().dtype); })
      .def_prop_ro("nbytes",
                   [](const Tensor &t) { return t.spec().numElements() * sizeOf(t.spec().dtype); })
      .def_prop_ro("readonly", &Tensor::readOnly, "Whether its producer forbids writing to it.")
      .def(
          "numel", [](const Tensor &t) { return t.spec().numElements(); }, "Number of elements.")
      .def("dim", [](const Tensor &t) { return t.spec().sizes.size(); })
      .def(
          "size",
          [](const Tensor &t, std::optional<int64_t> dim) -> nb::object {
            return dim ? nb::object(nb::int_(sizeAlong(t.spec(), *dim)))
                       : nb::object(toTuple(t.spec().sizes));
          },
          "dim"_a = nb::none(), "The shape, or the size along one dimension.")
      .def(
          "data_ptr", [](const Tensor &t) { return reinterpret_cast<uintptr_t>(t.data()); },
          "Address of the first element.")
      .def("is_contiguous", [](const Tensor &t) { return t.spec().isContiguous(); })
      .def(
          "contiguous", [](const Tensor &t) { return contiguous(t); },
          "This tensor, or a row-major copy where it is strided.");
}

void defineExchange(nb::class_<Tensor> &cls) {
  cls.def("__dlpack__", &dlpack, nb::kw_only(), "stream"_a = nb::none(),
          "max_version"_a = nb::none(), "dl_device"_a = nb::none(), "copy"_a = nb::none())
      .def("__dlpack_device__",
           [](const Tensor &) { return nb::make_tuple(int(dlpack::kDLCPU), 0); })
      .def("numpy", &toNumpy, "A NumPy array that shares the memory.")
      .def("__array__", &toArray, "dtype"_a = nb::none(), "copy"_a = nb::none());
  cls.attr("__dlpack_c_exchange_api__") = exchangeTableCapsule();
}

void defineElements(nb::class_<Tensor> &cls) {
  cls.def(
         "item", [](const Tensor &t) { return itemOf(t); }, "The one element as a Python number.")
      .def(
          "tolist", [](const Tensor &t) { return listOf(t); },
          "The elements as nested lists; a number for a tensor without dimensions.")
      .def("__len__",
           [](const Tensor &t) {
             if (t.spec().sizes.empty())
               throw nb::type_error("len() of a tensor without dimensions");
             return t.spec().sizes[0];
           })
      .def("__bool__",
           [](const Tensor &t) {
             int truth = PyObject_IsTrue(itemOf(t).ptr());
             return truth == 1;
           })
      .def("__float__", [](const Tensor &t) { return nb::float_(itemOf(t)); })
      .def("__int__", [](const Tensor &t) { return nb::int_(itemOf(t)); })
      .def("__index__",
           [](const Tensor &t) {
             DType dtype = t.spec().dtype;
             if (dtype == DType::F16 || dtype == DType::BF16 || dtype == DType::F32 ||
                 dtype == DType::F64)
               throw nb::type_error("only tensors of integers can be an index");
             return nb::int_(itemOf(t));
           })
      .def("__repr__", &repr);
}

} // namespace

void tessera::bindings::init_tensor(nb::module_ &m) {
  nb::class_<Tensor> cls(m, "Tensor", nb::dynamic_attr(), nb::is_weak_referenceable(),
                         "A tensor in the CPU's memory, shared by DLPack without copies.");
  defineLayout(cls);
  defineExchange(cls);
  defineElements(cls);
  m.def(
      "from_dlpack", [](nb::handle object) { return tensorFromObject(object, Gradients::Refuse); },
      "object"_a.none(),
      "A Tensor that shares the memory of a DLPack capsule or of any object with __dlpack__. A "
      "negated view of torch is copied.");
  m.def(
      "to_dlpack",
      // Capsules that are passed by hand go to consumers of any age.
      [](const Tensor &tensor) { return toCapsule(tensor, /*versioned=*/tensor.readOnly()); },
      "tensor"_a, "A DLPack capsule that shares the tensor's memory; it can be imported once.");
  m.def(
      "storage_stats",
      [] {
        StorageStats stats = storageStats();
        nb::dict dict;
        dict["live"] = stats.live;
        dict["cached_blocks"] = stats.cachedBlocks;
        dict["cached_bytes"] = stats.cachedBytes;
        return dict;
      },
      "Memory the runtime holds: storages in use, and blocks kept for reuse.");
  m.def("trim_storage_cache", &trimStorageCache,
        "Returns the memory kept for reuse to the system.");
}
