//===- FamilyObject.h - the class KernelFamily -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_BINDINGS_FAMILYOBJECT_H
#define TESSERA_BINDINGS_FAMILYOBJECT_H

#include "compiler/api/Compiler.h"
#include "runtime/PreparedPool.h"

#include <memory>

namespace tessera::bindings {

/// What programs of one model for different sizes share: machine code and prepared weights.
struct FamilyObject {
  std::shared_ptr<KernelFamily> family = makeKernelFamily();
  std::shared_ptr<runtime::PreparedPool> pool = std::make_shared<runtime::PreparedPool>();
};

} // namespace tessera::bindings

#endif // TESSERA_BINDINGS_FAMILYOBJECT_H
