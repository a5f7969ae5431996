/*===- NativeKernel.h - kernels of one's own, in C ----------------*- C -*-===*\
|*
|* Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
|*===----------------------------------------------------------------------===*|
|*
|* Installed with the Python package as <tessera/native.h>; C99 and C++. A shared
|* library that says TESSERA_NATIVE_LIBRARY once offers its functions as kernels to
|* ts.compat.define_op(schema, library=…, symbol=…, shape=…):
|*
|*   #include <tessera/native.h>
|*
|*   TESSERA_NATIVE_LIBRARY
|*
|*   TESSERA_KERNEL(scale) {
|*     const DLTensor *x = call->inputs[0];
|*     const TesseraAttribute *factor = tessera_attribute(call, "factor");
|*     if (!tessera_is_float32(x))
|*       return tessera_fail(call, "x must be float32");
|*     …
|*     return 0;
|*   }
|*
\*===----------------------------------------------------------------------===*/

#ifndef TESSERA_NATIVE_H
#define TESSERA_NATIVE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* DLPack's own header where there is one; else the part of it that is needed here. A copy that is
   not found as <dlpack/dlpack.h> must be included before this file. */
#if !defined(DLPACK_DLPACK_H_) && defined(__has_include)
#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef DLPACK_DLPACK_H_

typedef enum { kDLCPU = 1 } DLDeviceType;

typedef struct {
  int32_t device_type; /* a DLDeviceType: always kDLCPU here */
  int32_t device_id;
} DLDevice;

typedef enum { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4, kDLBool = 6 } DLDataTypeCode;

typedef struct {
  uint8_t code; /* a DLDataTypeCode */
  uint8_t bits;
  uint16_t lanes;
} DLDataType;

typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides; /* in elements */
  uint64_t byte_offset;
} DLTensor;

#endif /* DLPACK_DLPACK_H_ */

/* Moves when what is below changes; a library of another version is refused when it is loaded. */
#define TESSERA_NATIVE_ABI_VERSION 1

typedef enum {
  TESSERA_NONE = 0, /* an optional argument that was not given */
  TESSERA_INT = 1,  /* int, bool, and the number of tensors of a Tensor[] */
  TESSERA_FLOAT = 2,
  TESSERA_TEXT = 3, /* str, and a ScalarType by its name: "float32" */
  TESSERA_INTS = 4, /* int[], bool[] */
  TESSERA_FLOATS = 5
} TesseraAttributeKind;

/* An argument of the operator that is no tensor. */
typedef struct {
  const char *name; /* as the schema has it */
  int32_t kind;     /* a TesseraAttributeKind */
  int64_t length;   /* of text in bytes, of integers and numbers in elements */
  int64_t integer;
  double number;
  const char *text; /* ends with a zero */
  const int64_t *integers;
  const double *numbers;
} TesseraAttribute;

/* One call of a kernel. Everything in it belongs to the caller and ends with the call. */
typedef struct {
  int32_t abi_version; /* the caller's TESSERA_NATIVE_ABI_VERSION */
  int32_t num_threads; /* as many as a kernel should use */
  /* The operator's tensors in the order of its schema, those of a Tensor[] one after the other, and
     null for a Tensor? that was not given. Row-major, on the CPU, with strides and no offset; they
     may be other people's memory and must not be written to. */
  int32_t num_inputs;
  const DLTensor *const *inputs;
  /* The results, with the sizes and types the shape function said: row-major and not initialized.
     No memory is shared with an input or with another output. */
  int32_t num_outputs;
  const DLTensor *const *outputs;
  int32_t num_attributes;
  const TesseraAttribute *attributes;
  /* Where tessera_fail puts its message. */
  char *error;
  size_t error_size;
} TesseraKernelCall;

/* Returns 0; anything else is an error of the program that calls it, with the message in `error`.
   Called from any thread, from several at once, without Python's lock. No exception may leave it.
 */
typedef int (*TesseraKernel)(const TesseraKernelCall *call);

#if defined(_WIN32)
#define TESSERA_EXPORT __declspec(dllexport)
#else
#define TESSERA_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
#define TESSERA_EXTERN_C extern "C"
#else
#define TESSERA_EXTERN_C
#endif

/* Once in each library: says which version of this file it was compiled with. */
#define TESSERA_NATIVE_LIBRARY                                                                     \
  TESSERA_EXTERN_C TESSERA_EXPORT int32_t tessera_native_abi_version(void);                        \
  int32_t tessera_native_abi_version(void) { return TESSERA_NATIVE_ABI_VERSION; }

/* The head of a kernel; its argument is `call`. */
#define TESSERA_KERNEL(name)                                                                       \
  TESSERA_EXTERN_C TESSERA_EXPORT int name(const TesseraKernelCall *call);                         \
  int name(const TesseraKernelCall *call)

/* Leaves a message for the user and returns what the kernel should. */
static inline int tessera_fail(const TesseraKernelCall *call, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(call->error, call->error_size, format, arguments);
  va_end(arguments);
  return 1;
}

/* The attribute called `name`, or null. */
static inline const TesseraAttribute *tessera_attribute(const TesseraKernelCall *call,
                                                        const char *name) {
  for (int32_t i = 0; i < call->num_attributes; ++i)
    if (strcmp(call->attributes[i].name, name) == 0)
      return &call->attributes[i];
  return NULL;
}

/* The number in the attribute called `name`, whichever kind it has; 0 where there is none. */
static inline double tessera_number(const TesseraKernelCall *call, const char *name) {
  const TesseraAttribute *found = tessera_attribute(call, name);
  if (!found)
    return 0;
  return found->kind == TESSERA_FLOAT ? found->number : (double)found->integer;
}

static inline int64_t tessera_integer(const TesseraKernelCall *call, const char *name) {
  const TesseraAttribute *found = tessera_attribute(call, name);
  if (!found)
    return 0;
  return found->kind == TESSERA_FLOAT ? (int64_t)found->number : found->integer;
}

static inline int64_t tessera_num_elements(const DLTensor *tensor) {
  int64_t count = 1;
  for (int32_t i = 0; i < tensor->ndim; ++i)
    count *= tensor->shape[i];
  return count;
}

static inline int tessera_is(const DLTensor *tensor, int code, int bits) {
  return tensor->dtype.code == code && tensor->dtype.bits == bits && tensor->dtype.lanes == 1;
}

static inline int tessera_is_float32(const DLTensor *tensor) {
  return tessera_is(tensor, kDLFloat, 32);
}

static inline int tessera_is_float64(const DLTensor *tensor) {
  return tessera_is(tensor, kDLFloat, 64);
}

static inline int tessera_is_int64(const DLTensor *tensor) {
  return tessera_is(tensor, kDLInt, 64);
}

#ifdef __cplusplus
}
#endif

#endif /* TESSERA_NATIVE_H */
