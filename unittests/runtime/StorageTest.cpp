//===- StorageTest.cpp -------------------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Storage.h"

#include <cstring>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

using namespace tessera::runtime;

TEST(Storage, IsAlignedAndLargeEnough) {
  for (int64_t bytes : {0, 1, 255, 256, 257, 5000, 70000, 1 << 20, (5 << 20) + 3}) {
    StorageRef storage = Storage::allocate(bytes);
    ASSERT_TRUE(storage);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(storage->data()) % 64, 0u);
    EXPECT_GE(storage->bytes(), bytes);
    // No more than a quarter is wasted, small blocks apart.
    if (bytes >= 256) {
      EXPECT_LE(storage->bytes(), bytes + bytes / 4 + 64);
    }
    std::memset(storage->data(), 1, size_t(bytes));
  }
}

TEST(Storage, IsRecycled) {
  void *first = Storage::allocate(10000)->data();
  StorageRef second = Storage::allocate(10000);
  EXPECT_EQ(second->data(), first);
  StorageRef third = Storage::allocate(10000);
  EXPECT_NE(third->data(), first);
}

TEST(Storage, ImpossibleSizesFail) {
  EXPECT_FALSE(Storage::allocate(int64_t(1) << 62));
  EXPECT_FALSE(Storage::allocate(-1));
}

TEST(Storage, CountsWhatLives) {
  int64_t before = storageStats().live;
  {
    StorageRef a = Storage::allocate(100), b = a;
    EXPECT_EQ(storageStats().live, before + 1);
  }
  EXPECT_EQ(storageStats().live, before);
}

TEST(Storage, ForeignMemoryIsGivenBackOnce) {
  int deleted = 0, data = 0;
  {
    StorageRef a = Storage::foreign(
        &data, sizeof data, [](void *count) { ++*static_cast<int *>(count); }, &deleted);
    StorageRef b = a;
    EXPECT_EQ(b->data(), &data);
    EXPECT_TRUE(b->isForeign());
  }
  EXPECT_EQ(deleted, 1);
}

TEST(Storage, CacheKeepsToItsLimit) {
  trimStorageCache();
  setStorageCacheLimit(3 << 20);
  {
    std::vector<StorageRef> blocks;
    for (int i = 0; i < 8; ++i)
      blocks.push_back(Storage::allocate(1 << 20));
  }
  EXPECT_LE(storageStats().cachedBytes, 3 << 20);
  EXPECT_GT(storageStats().cachedBytes, 0);
  trimStorageCache();
  EXPECT_EQ(storageStats().cachedBytes, 0);
  setStorageCacheLimit(int64_t(1) << 30);
}

TEST(Storage, WhatLastsGoesBackToTheSystem) {
  trimStorageCache();
  int64_t before = storageStats().live;
  {
    StorageRef storage = Storage::allocateLasting(5 << 20);
    ASSERT_TRUE(storage);
    EXPECT_EQ(storage->bytes(), 5 << 20);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(storage->data()) % Storage::kAlignment, 0u);
    static_cast<char *>(storage->data())[(5 << 20) - 1] = 1;
    EXPECT_EQ(storageStats().live, before + 1);
  }
  EXPECT_EQ(storageStats().live, before);
  EXPECT_EQ(storageStats().cachedBytes, 0);
  EXPECT_FALSE(Storage::allocateLasting(int64_t(1) << 50));
}

TEST(Storage, ThreadsShareTheCache) {
  int64_t before = storageStats().live;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 20000; ++i) {
        StorageRef storage = Storage::allocate(512 << (i % 3));
        static_cast<char *>(storage->data())[0] = char(t);
        StorageRef other = storage;
        ASSERT_EQ(static_cast<char *>(other->data())[0], char(t));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(storageStats().live, before);
}
