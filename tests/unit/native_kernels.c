// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels that test_native_kernels.py compiles and registers.

#include <tessera/native.h>

TESSERA_NATIVE_LIBRARY

/// scale(Tensor x, float factor=2.0, *, int[] shift=[]) -> Tensor: x * factor + the sum of shift.
TESSERA_KERNEL(scale) {
  const DLTensor *x = call->inputs[0], *y = call->outputs[0];
  const TesseraAttribute *shift = tessera_attribute(call, "shift");
  double factor = tessera_number(call, "factor"), sum = 0;
  if (!tessera_is_float32(x))
    return tessera_fail(call, "x must be float32, not %d bits of code %d", x->dtype.bits,
                        x->dtype.code);
  if (tessera_num_elements(y) != tessera_num_elements(x))
    return tessera_fail(call, "the result has %lld elements, and x has %lld",
                        (long long)tessera_num_elements(y), (long long)tessera_num_elements(x));
  for (int64_t i = 0; i < shift->length; ++i)
    sum += (double)shift->integers[i];
  const float *from = (const float *)x->data;
  if (tessera_num_elements(x) && from[0] != from[0])
    return tessera_fail(call, "x begins with NaN");
  float *to = (float *)y->data;
  for (int64_t i = 0; i < tessera_num_elements(x); ++i)
    to[i] = (float)(from[i] * factor + sum);
  return 0;
}

/// extremes(Tensor x) -> (Tensor, Tensor): the smallest and the largest element.
TESSERA_KERNEL(extremes) {
  const float *x = (const float *)call->inputs[0]->data;
  float *low = (float *)call->outputs[0]->data, *high = (float *)call->outputs[1]->data;
  *low = *high = x[0];
  for (int64_t i = 1; i < tessera_num_elements(call->inputs[0]); ++i) {
    *low = x[i] < *low ? x[i] : *low;
    *high = x[i] > *high ? x[i] : *high;
  }
  return 0;
}

/// address(Tensor x) -> Tensor: where x lies.
TESSERA_KERNEL(address) {
  *(int64_t *)call->outputs[0]->data = (int64_t)(intptr_t)call->inputs[0]->data;
  return 0;
}

/// Adds up to `total` what the operands have first; a tensor that is not there counts 1000.
TESSERA_KERNEL(operands) {
  double total = 0;
  for (int32_t i = 0; i < call->num_inputs; ++i)
    total += call->inputs[i] ? *(const float *)call->inputs[i]->data : 1000;
  *(float *)call->outputs[0]->data = (float)total;
  return 0;
}

/// What each attribute is, as "name:kind:length:value;", in bytes.
TESSERA_KERNEL(attributes) {
  char *to = (char *)call->outputs[0]->data;
  size_t room = (size_t)tessera_num_elements(call->outputs[0]);
  memset(to, 0, room);
  for (int32_t i = 0; i < call->num_attributes; ++i) {
    const TesseraAttribute *a = &call->attributes[i];
    double first = a->kind == TESSERA_INTS && a->length     ? (double)a->integers[0]
                   : a->kind == TESSERA_FLOATS && a->length ? a->numbers[0]
                   : a->kind == TESSERA_FLOAT               ? a->number
                                                            : (double)a->integer;
    int written = snprintf(to, room, "%s:%d:%d:%g%s;", a->name, (int)a->kind, (int)a->length,
                           first, a->text);
    to += written;
    room -= (size_t)written;
  }
  return 0;
}

TESSERA_KERNEL(silent_failure) {
  (void)call;
  return 7;
}
