//===- Storage.cpp - the freelist behind storages ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Blocks are kept in buckets of sizes, four to a doubling. Reuse matters twice:
// a small output costs some twenty nanoseconds instead of a malloc, and a large
// one keeps its pages instead of faulting every one of them in again.
//
//===----------------------------------------------------------------------===//

#include "runtime/Storage.h"

#include "runtime/SpinLock.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace tessera::runtime;

namespace {

constexpr int64_t kMinBytes = 256;
/// Below, blocks are counted; above, their bytes are.
constexpr int64_t kSmallBytes = 64 << 10;
constexpr int64_t kSmallBlocksKept = 256;
/// Beyond is beyond the address space; also keeps the numbers of buckets in range.
constexpr int64_t kMostBytes = int64_t(1) << 46;
constexpr size_t kHugePage = size_t(2) << 20;
constexpr uint32_t kBuckets = 4 * 48;

/// The bucket of a request and the bytes its blocks have.
std::pair<uint32_t, int64_t> bucketFor(int64_t bytes) {
  uint64_t wanted = std::max(bytes, kMinBytes);
  int log = std::bit_width(wanted - 1) - 1; // 2^log < wanted <= 2^(log+1)
  uint64_t base = uint64_t(1) << log, step = base / 4;
  uint64_t steps = (wanted - base + step - 1) / step;
  return {uint32_t(4 * log + steps - 1), int64_t(base + steps * step)};
}

struct alignas(64) Bucket {
  SpinLock lock;
  Storage *head = nullptr;
  int64_t kept = 0;
  int64_t live = 0;
};

} // namespace

namespace tessera::runtime {

class StorageCache {
public:
  /// Never destroyed: storages may outlive every static object.
  static StorageCache &get() {
    static StorageCache *cache = new StorageCache;
    return *cache;
  }

  StorageRef allocate(int64_t bytes);
  void recycle(Storage *storage);
  StorageStats stats();
  void trim();

  std::atomic<int64_t> limit;
  std::atomic<int64_t> foreignLive{0};

private:
  StorageCache();
  Storage *create(uint32_t bucket, int64_t capacity);
  void lockAll();
  void unlockAll();

  std::atomic<int64_t> largeBytes{0};
  Bucket buckets[kBuckets];
};

} // namespace tessera::runtime

StorageCache::StorageCache() {
  limit = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 8;
  // A fork while another thread holds a bucket would leave it locked in the child.
  pthread_atfork([] { get().lockAll(); }, [] { get().unlockAll(); }, [] { get().unlockAll(); });
}

void StorageCache::lockAll() {
  for (Bucket &bucket : buckets)
    bucket.lock.lock();
}

void StorageCache::unlockAll() {
  for (Bucket &bucket : buckets)
    bucket.lock.unlock();
}

/// From the system, to be freed; null when there is none left.
static void *takeMemory(size_t total) {
  size_t alignment = total >= 2 * kHugePage ? kHugePage : Storage::kAlignment;
  total = (total + alignment - 1) / alignment * alignment;
  void *block = std::aligned_alloc(alignment, total);
  // Fewer page faults and TLB misses; only a hint, so its result does not matter.
  if (block && alignment == kHugePage)
    (void)madvise(block, total, MADV_HUGEPAGE);
  return block;
}

Storage *StorageCache::create(uint32_t bucket, int64_t capacity) {
  void *block = takeMemory(sizeof(Storage) + size_t(capacity));
  if (!block)
    return nullptr;
  return new (block) Storage(bucket, static_cast<char *>(block) + sizeof(Storage), capacity);
}

StorageRef StorageCache::allocate(int64_t bytes) {
  if (bytes < 0 || bytes > kMostBytes)
    return StorageRef();
  auto [index, capacity] = bucketFor(bytes);
  Bucket &bucket = buckets[index];
  Storage *storage;
  {
    std::lock_guard<SpinLock> guard(bucket.lock);
    ++bucket.live;
    storage = bucket.head;
    if (storage) {
      bucket.head = storage->next;
      --bucket.kept;
    }
  }
  if (storage) {
    if (capacity > kSmallBytes)
      largeBytes.fetch_sub(capacity, std::memory_order_relaxed);
    storage->references.store(1, std::memory_order_relaxed);
    return StorageRef(storage);
  }
  storage = create(index, capacity);
  if (!storage) {
    // What lies in the freelists may be just what is missing.
    trim();
    storage = create(index, capacity);
  }
  if (!storage) {
    std::lock_guard<SpinLock> guard(bucket.lock);
    --bucket.live;
  }
  return StorageRef(storage);
}

void StorageCache::recycle(Storage *storage) {
  Bucket &bucket = buckets[storage->bucket];
  int64_t capacity = storage->capacity;
  bool keep = true;
  if (capacity > kSmallBytes) {
    int64_t before = largeBytes.fetch_add(capacity, std::memory_order_relaxed);
    keep = before + capacity <= limit.load(std::memory_order_relaxed);
    if (!keep)
      largeBytes.fetch_sub(capacity, std::memory_order_relaxed);
  }
  {
    std::lock_guard<SpinLock> guard(bucket.lock);
    --bucket.live;
    keep = keep && (capacity > kSmallBytes || bucket.kept < kSmallBlocksKept);
    if (keep) {
      storage->next = bucket.head;
      bucket.head = storage;
      ++bucket.kept;
    }
  }
  if (!keep)
    std::free(storage);
}

StorageStats StorageCache::stats() {
  StorageStats stats;
  stats.live = foreignLive.load(std::memory_order_relaxed);
  for (Bucket &bucket : buckets) {
    std::lock_guard<SpinLock> guard(bucket.lock);
    stats.live += bucket.live;
    stats.cachedBlocks += bucket.kept;
    if (bucket.head)
      stats.cachedBytes += bucket.kept * bucket.head->capacity;
  }
  return stats;
}

void StorageCache::trim() {
  for (Bucket &bucket : buckets) {
    Storage *head;
    {
      std::lock_guard<SpinLock> guard(bucket.lock);
      head = std::exchange(bucket.head, nullptr);
      bucket.kept = 0;
    }
    while (head) {
      Storage *next = head->next;
      if (head->capacity > kSmallBytes)
        largeBytes.fetch_sub(head->capacity, std::memory_order_relaxed);
      std::free(head);
      head = next;
    }
  }
}

StorageRef Storage::allocate(int64_t bytes) { return StorageCache::get().allocate(bytes); }

StorageRef Storage::allocateLasting(int64_t bytes) {
  if (bytes < 0 || bytes > kMostBytes)
    return StorageRef();
  void *memory = takeMemory(size_t(bytes) + 1);
  if (!memory) {
    StorageCache::get().trim();
    memory = takeMemory(size_t(bytes) + 1);
  }
  return memory ? foreign(memory, bytes, std::free, memory) : StorageRef();
}

StorageRef Storage::foreign(void *data, int64_t bytes, void (*deleter)(void *), void *context) {
  auto *storage = new Storage(kForeign, data, bytes);
  storage->deleter = deleter;
  storage->context = context;
  StorageCache::get().foreignLive.fetch_add(1, std::memory_order_relaxed);
  return StorageRef(storage);
}

void Storage::destroy() {
  if (bucket != kForeign)
    return StorageCache::get().recycle(this);
  StorageCache::get().foreignLive.fetch_sub(1, std::memory_order_relaxed);
  if (deleter)
    deleter(context);
  delete this;
}

StorageStats tessera::runtime::storageStats() { return StorageCache::get().stats(); }

void tessera::runtime::setStorageCacheLimit(int64_t bytes) {
  StorageCache::get().limit.store(bytes, std::memory_order_relaxed);
}

void tessera::runtime::trimStorageCache() { StorageCache::get().trim(); }
