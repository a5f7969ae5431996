//===- ObjectCacheTest.cpp - the cache of objects -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/ObjectCache.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <gtest/gtest.h>

#include <thread>

using tessera::jit::ObjectCache;

namespace {

class ObjectCacheTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("tessera-cache", folder));
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  /// The only file under the folder.
  std::string onlyFile() {
    std::error_code error;
    std::string found;
    for (llvm::sys::fs::recursive_directory_iterator it(folder, error), end; it != end;
         it.increment(error))
      if (it->type() == llvm::sys::fs::file_type::regular_file) {
        EXPECT_TRUE(found.empty()) << "unexpected file " << it->path();
        found = it->path();
      }
    return found;
  }
  void overwrite(llvm::StringRef bytes) {
    std::error_code error;
    llvm::raw_fd_ostream(onlyFile(), error) << bytes;
  }

  llvm::SmallString<128> folder;
};

TEST_F(ObjectCacheTest, KeepsWhatWasStored) {
  ObjectCache cache(folder.str().str());
  std::string key = ObjectCache::key({"kernel", "machine"}), bytes("obj\0ect", 7);
  EXPECT_EQ(key.size(), 64u);
  EXPECT_FALSE(cache.load(key));
  EXPECT_TRUE(cache.store(key, bytes));
  EXPECT_EQ(cache.load(key), bytes);
  EXPECT_FALSE(cache.load(ObjectCache::key({"kernelm", "achine"})));
}

TEST_F(ObjectCacheTest, AnyFolderNameWillDo) {
  llvm::SmallString<128> odd(folder);
  llvm::sys::path::append(odd, "100%% ünïcode");
  ObjectCache cache(odd.str().str());
  std::string key = ObjectCache::key({"k"});
  EXPECT_TRUE(cache.store(key, "machine code"));
  EXPECT_EQ(cache.load(key), "machine code");
}

TEST_F(ObjectCacheTest, DamagedAndForeignFilesAreMisses) {
  ObjectCache cache(folder.str().str());
  std::string key = ObjectCache::key({"k"});
  ASSERT_TRUE(cache.store(key, "machine code"));
  std::string file = onlyFile();
  for (llvm::StringRef bytes :
       {"", "tessera", "tessera object 1\n", "tessera object 1\nshort", "ELF something else"}) {
    overwrite(bytes);
    EXPECT_FALSE(cache.load(key)) << bytes.str();
  }
  EXPECT_TRUE(cache.store(key, "machine code"));
  EXPECT_EQ(cache.load(key), "machine code");
  // An entry under another's name is foreign as well.
  std::string other = ObjectCache::key({"other"});
  ASSERT_TRUE(cache.store(other, "other code"));
  llvm::SmallString<128> otherFile(folder);
  llvm::sys::path::append(otherFile, other.substr(0, 2), other.substr(2) + ".o");
  ASSERT_FALSE(llvm::sys::fs::rename(otherFile, file));
  EXPECT_FALSE(cache.load(key));
}

TEST_F(ObjectCacheTest, UnwritableFolderIsNoError) {
  std::error_code error;
  llvm::SmallString<128> file(folder);
  llvm::sys::path::append(file, "file");
  llvm::raw_fd_ostream(file, error) << "x";
  ObjectCache cache(file.str().str());
  EXPECT_FALSE(cache.store(ObjectCache::key({"k"}), "code"));
  EXPECT_FALSE(cache.load(ObjectCache::key({"k"})));
  EXPECT_FALSE(ObjectCache("").load(ObjectCache::key({"k"})));
}

TEST_F(ObjectCacheTest, ManyWriters) {
  std::string key = ObjectCache::key({"k"});
  std::string a(100000, 'a'), b(100000, 'b');
  std::vector<std::thread> threads;
  std::atomic<bool> bad{false};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      ObjectCache cache(folder.str().str());
      for (int i = 0; i < 50; ++i) {
        cache.store(key, t % 2 ? a : b);
        auto got = cache.load(key);
        if (!got || (*got != a && *got != b))
          bad = true;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_FALSE(bad);
  EXPECT_FALSE(onlyFile().empty());
}

} // namespace
