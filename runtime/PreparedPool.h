//===- PreparedPool.h - prepared weights shared by programs ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Programs of one model for different sizes prepare the same parameters the same
// way. What one has prepared, the others take from here, for as long as the
// parameters are what they were.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_PREPAREDPOOL_H
#define TESSERA_RUNTIME_PREPAREDPOOL_H

#include "runtime/Program.h"
#include "runtime/Storage.h"
#include "runtime/Tensor.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace tessera::runtime {

/// Which parameters something was prepared from: address and number of writes of each.
using ParameterStamps = std::vector<std::pair<const void *, int64_t>>;

class PreparedPool {
public:
  /// What was prepared under `key` from parameters as `stamps` says; null where there is nothing.
  StorageRef find(const std::string &key, const ParameterStamps &stamps);
  /// In place of what was there under `key`: the latest parameters count. `owners` keeps their
  /// memory, so that no other tensor gets their addresses.
  void put(const std::string &key, ParameterStamps stamps, StorageRef storage,
           std::vector<Tensor> owners);
  /// Takes nothing from before for granted.
  void clear();

private:
  struct Entry {
    ParameterStamps stamps;
    StorageRef storage;
    std::vector<Tensor> owners;
  };
  std::mutex mutex;
  std::map<std::string, Entry> entries;
};

/// How a prepared storage comes about.
struct Preparation {
  /// Equal texts mean equal contents, for equal parameters. Empty: nothing is known.
  std::string text;
  std::vector<int32_t> parameters; ///< those it depends on, by index
};

/// By storage; only those of kind Prepared say anything.
std::vector<Preparation> describePreparations(const Program &program);

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_PREPAREDPOOL_H
