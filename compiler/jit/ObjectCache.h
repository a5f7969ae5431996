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
// The folder has a limit. Who writes past it removes the entries that were not
// used for the longest time; a process that reads one of them at that moment
// either has its bytes already or meets a miss. What killed writers left is
// removed when the folder is opened.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_JIT_OBJECTCACHE_H
#define TESSERA_COMPILER_JIT_OBJECTCACHE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>

namespace tessera::jit {

class ObjectCache {
public:
  static constexpr uint64_t kUnlimited = UINT64_MAX;

  /// `folder` is made on the first store; empty disables the cache. `limit` is in bytes of files.
  /// The first cache of a process on a folder tidies it.
  explicit ObjectCache(std::string folder, uint64_t limit = kUnlimited);

  /// SHA-256 of the parts, each with its length, as 64 hex digits. The versions of the kernel ABI,
  /// of LLVM and of the file format are always among them.
  static std::string key(llvm::ArrayRef<llvm::StringRef> parts);

  /// The bytes stored under `key`, or none. Safe to call from any thread.
  std::optional<std::string> load(llvm::StringRef key) const;
  /// Stores `bytes`; false when the folder cannot be written (warned about once).
  bool store(llvm::StringRef key, llvm::StringRef bytes) const;

private:
  std::string path(llvm::StringRef key) const;
  void touch(const std::string &name) const;
  void account(uint64_t bytes) const;

  std::string folder;
  uint64_t limit;
};

/// Tidies the folder of a cache: removes temporary files nobody has written to for an hour and,
/// where the rest takes more than `limit`, the entries unused for longest until a tenth of it is
/// free. The bytes of the files left. Files that no cache has made are not looked at.
uint64_t tidyCache(llvm::StringRef folder, uint64_t limit);

} // namespace tessera::jit

#endif // TESSERA_COMPILER_JIT_OBJECTCACHE_H
