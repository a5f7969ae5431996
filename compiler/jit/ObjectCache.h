//===- ObjectCache.h - object files kept between runs -----------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One file a kernel, named by the SHA-256 of everything that can change it.
// Writers write beside and rename, so readers see whole files or none and any
// number of processes may share a folder. A file that is not what this build
// wrote is a miss. A folder that cannot be written makes compilation slower,
// never fail.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_JIT_OBJECTCACHE_H
#define TESSERA_COMPILER_JIT_OBJECTCACHE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace tessera::jit {

class ObjectCache {
public:
  /// `folder` is made on the first store; empty disables the cache.
  explicit ObjectCache(std::string folder) : folder(std::move(folder)) {}

  /// SHA-256 of the parts, each with its length, as 64 hex digits. The versions of the kernel ABI,
  /// of LLVM and of the file format are always among them.
  static std::string key(llvm::ArrayRef<llvm::StringRef> parts);

  /// The bytes stored under `key`, or none. Safe to call from any thread.
  std::optional<std::string> load(llvm::StringRef key) const;
  /// Stores `bytes`; false when the folder cannot be written (warned about once).
  bool store(llvm::StringRef key, llvm::StringRef bytes) const;

private:
  std::string path(llvm::StringRef key) const;
  std::string folder;
};

} // namespace tessera::jit

#endif // TESSERA_COMPILER_JIT_OBJECTCACHE_H
