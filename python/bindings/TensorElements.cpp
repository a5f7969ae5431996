//===- TensorElements.cpp - elements as Python numbers -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/TensorElements.h"

#include "python/bindings/Bindings.h"

#include <bit>
#include <cmath>
#include <cstring>

using namespace tessera::bindings;
using namespace tessera::runtime;

namespace {

template <typename T> T read(const std::byte *from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

double halfToDouble(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                     : exponent == 31 ? (fraction ? NAN : INFINITY)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

nb::object number(DType dtype, const std::byte *from) {
  switch (dtype) {
  case DType::Bool:
    return nb::bool_(read<uint8_t>(from) != 0);
  case DType::U8:
    return nb::int_(read<uint8_t>(from));
  case DType::I8:
    return nb::int_(read<int8_t>(from));
  case DType::I16:
    return nb::int_(read<int16_t>(from));
  case DType::I32:
    return nb::int_(read<int32_t>(from));
  case DType::I64:
    return nb::int_(read<int64_t>(from));
  case DType::F16:
    return nb::float_(halfToDouble(read<uint16_t>(from)));
  case DType::BF16:
    return nb::float_(double(std::bit_cast<float>(uint32_t(read<uint16_t>(from)) << 16)));
  case DType::F32:
    return nb::float_(double(read<float>(from)));
  case DType::F64:
    return nb::float_(read<double>(from));
  }
  return nb::none();
}

nb::object list(const TensorSpec &spec, size_t dim, const std::byte *from) {
  if (dim == spec.sizes.size())
    return number(spec.dtype, from);
  nb::list items;
  for (int64_t i = 0; i < spec.sizes[dim]; ++i)
    items.append(list(spec, dim + 1, from + i * spec.strides[dim] * sizeOf(spec.dtype)));
  return items;
}

} // namespace

nb::object tessera::bindings::itemOf(const Tensor &tensor) {
  if (tensor.spec().numElements() != 1)
    throw nb::value_error(("a tensor of shape " + formatShape(tensor.spec().sizes) +
                           " is not one number: only a tensor of one element can be converted")
                              .c_str());
  return number(tensor.spec().dtype, static_cast<const std::byte *>(tensor.data()));
}

nb::object tessera::bindings::listOf(const Tensor &tensor) {
  return list(tensor.spec(), 0, static_cast<const std::byte *>(tensor.data()));
}
