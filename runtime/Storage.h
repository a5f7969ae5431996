//===- Storage.h - reference-counted memory ----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block of memory that tensors share: either the runtime's own, 64-byte
// aligned and recycled through a freelist, or a foreign owner's, given back by
// its deleter.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_STORAGE_H
#define TESSERA_RUNTIME_STORAGE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tessera::runtime {

class StorageRef;

/// The header of a block. Own blocks carry it in front of their data.
class alignas(64) Storage {
public:
  static constexpr size_t kAlignment = 64;

  void *data() const { return begin; }
  int64_t bytes() const { return capacity; }
  bool isForeign() const { return bucket == kForeign; }

  /// At least `bytes` of uninitialised memory; null when there is none left.
  static StorageRef allocate(int64_t bytes);
  /// The same for what is kept for long: as much as asked for, and back to the system at the end,
  /// since hardly anything else is of its size.
  static StorageRef allocateLasting(int64_t bytes);
  /// Memory of somebody else; `deleter(context)` runs once, after the last use.
  static StorageRef foreign(void *data, int64_t bytes, void (*deleter)(void *), void *context);

private:
  friend class StorageRef;
  friend class StorageCache;
  static constexpr uint32_t kForeign = ~0u;

  Storage(uint32_t bucket, void *begin, int64_t capacity)
      : bucket(bucket), begin(begin), capacity(capacity) {}
  void destroy();

  std::atomic<uint32_t> references{1};
  uint32_t bucket;
  void *begin;
  int64_t capacity;
  Storage *next = nullptr;           ///< in the freelist
  void (*deleter)(void *) = nullptr; ///< of a foreign block
  void *context = nullptr;
};

/// Shares ownership of a Storage.
class StorageRef {
public:
  StorageRef() = default;
  StorageRef(const StorageRef &other) : storage(other.storage) {
    if (storage)
      storage->references.fetch_add(1, std::memory_order_relaxed);
  }
  StorageRef(StorageRef &&other) noexcept : storage(std::exchange(other.storage, nullptr)) {}
  StorageRef &operator=(StorageRef other) noexcept {
    std::swap(storage, other.storage);
    return *this;
  }
  ~StorageRef() {
    if (storage && storage->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      storage->destroy();
  }

  explicit operator bool() const { return storage != nullptr; }
  Storage *operator->() const { return storage; }
  Storage *get() const { return storage; }

private:
  friend class Storage;
  friend class StorageCache;
  explicit StorageRef(Storage *adopted) : storage(adopted) {}
  Storage *storage = nullptr;
};

/// What the process holds, for tests and `stats`.
struct StorageStats {
  int64_t live = 0;         ///< own and foreign storages in use
  int64_t cachedBlocks = 0; ///< blocks waiting to be used again
  int64_t cachedBytes = 0;
};
StorageStats storageStats();

/// Large blocks kept for reuse add up to at most this many bytes (default: an eighth of
/// the machine's memory). Small blocks are limited by number instead.
void setStorageCacheLimit(int64_t bytes);
/// Returns all cached blocks to the system.
void trimStorageCache();

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_STORAGE_H
