//===- ProgramLoader.h - target.program to runtime::Program ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Private to compiler/api.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_API_PROGRAMLOADER_H
#define TESSERA_COMPILER_API_PROGRAMLOADER_H

#include "compiler/api/Compiler.h"
#include "compiler/target/ir/TargetOps.h"

#include "llvm/ADT/StringMap.h"

namespace tessera {

/// The program as plain data; `entries` are the kernels' addresses by name.
std::shared_ptr<runtime::Program> loadProgram(target::ProgramOp program,
                                              const llvm::StringMap<TesseraKernelFn> &entries);

/// Module path, file and line behind a location; of a fused one, each of its parts that has any.
std::vector<SourceLocation> sourcesOf(mlir::Location location);

} // namespace tessera

#endif // TESSERA_COMPILER_API_PROGRAMLOADER_H
