//===- NativeObject.h - what NativeKernel and NativeCall hold -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_BINDINGS_NATIVEOBJECT_H
#define TESSERA_BINDINGS_NATIVEOBJECT_H

#include "runtime/NativeKernel.h"

#include <memory>

namespace tessera::bindings {

struct NativeKernelObject {
  std::shared_ptr<const runtime::NativeKernel> kernel;
};

struct NativeCallObject {
  std::shared_ptr<const runtime::NativeCall> call;
};

} // namespace tessera::bindings

#endif // TESSERA_BINDINGS_NATIVEOBJECT_H
