//===- ObjectCacheTest.cpp - the cache of objects -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/ObjectCache.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"

#include <gtest/gtest.h>

#include <thread>

using tessera::jit::ObjectCache;
using tessera::jit::tidyCache;

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
  /// How many files are under the folder.
  int countFiles() {
    std::error_code error;
    int count = 0;
    for (llvm::sys::fs::recursive_directory_iterator it(folder, error), end; it != end;
         it.increment(error))
      count += it->type() == llvm::sys::fs::file_type::regular_file;
    return count;
  }
  /// The file of an entry, with `suffix` behind its name.
  std::string fileOf(const std::string &key, llvm::StringRef suffix = "") {
    llvm::SmallString<128> file(folder);
    llvm::sys::path::append(file, key.substr(0, 2), key.substr(2) + ".o" + suffix.str());
    return file.str().str();
  }
  static void write(const std::string &file, llvm::StringRef bytes) {
    llvm::sys::fs::create_directories(llvm::sys::path::parent_path(file));
    std::error_code error;
    llvm::raw_fd_ostream(file, error) << bytes;
    ASSERT_FALSE(error);
  }
  /// Makes a file look as if it had last been used `age` ago.
  static void makeOld(const std::string &file, std::chrono::minutes age) {
    int descriptor;
    ASSERT_FALSE(llvm::sys::fs::openFileForRead(file, descriptor));
    ASSERT_FALSE(llvm::sys::fs::setLastAccessAndModificationTime(
        descriptor, std::chrono::system_clock::now() - age));
    ASSERT_FALSE(llvm::sys::Process::SafelyCloseFileDescriptor(descriptor));
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

TEST_F(ObjectCacheTest, OpeningRemovesWhatKilledWritersLeft) {
  using std::chrono::minutes;
  std::string key = ObjectCache::key({"k"});
  std::string stale = fileOf(key, ".0123456789ab.tmp"), fresh = fileOf(key, ".ba9876543210.tmp");
  std::string foreign = fileOf(key, ".0123456789ab.bak"), outside = (folder + "/notes.tmp").str();
  for (const std::string &file : {stale, fresh, foreign, outside}) {
    write(file, "half of an obj");
    makeOld(file, minutes(61));
  }
  makeOld(fresh, minutes(59));
  ObjectCache cache(folder.str().str());
  EXPECT_FALSE(llvm::sys::fs::exists(stale));
  EXPECT_TRUE(llvm::sys::fs::exists(fresh)) << "somebody may be writing it";
  EXPECT_TRUE(llvm::sys::fs::exists(foreign));
  EXPECT_TRUE(llvm::sys::fs::exists(outside));
  EXPECT_TRUE(cache.store(key, "code"));
  EXPECT_EQ(cache.load(key), "code");
}

TEST_F(ObjectCacheTest, TheLongestUnusedLeave) {
  constexpr int entries = 20, size = 10000;
  std::string bytes(size, 'x');
  std::vector<std::string> keys;
  {
    ObjectCache cache(folder.str().str());
    for (int i = 0; i < entries; ++i) {
      keys.push_back(ObjectCache::key({std::to_string(i)}));
      ASSERT_TRUE(cache.store(keys.back(), bytes));
      makeOld(fileOf(keys.back()), std::chrono::minutes(1000 - i));
    }
    // Room for 15 is left; reading an entry makes it recent.
    ObjectCache limited(folder.str().str(), 15 * size);
    ASSERT_TRUE(limited.load(keys[0]));
  }
  uint64_t left = tidyCache(folder, 15 * size);
  EXPECT_LE(left, uint64_t(15 * size));
  EXPECT_GE(left, uint64_t(12 * size)) << "a tenth is freed, not more";
  ObjectCache cache(folder.str().str());
  EXPECT_TRUE(cache.load(keys[0])) << "used just now";
  EXPECT_FALSE(cache.load(keys[1])) << "unused for longest";
  EXPECT_TRUE(cache.load(keys[entries - 1]));
  EXPECT_EQ(tidyCache(folder, 0), 0u);
  EXPECT_EQ(countFiles(), 0);
}

TEST_F(ObjectCacheTest, WritersStayWithinTheLimit) {
  constexpr uint64_t size = 10000, limit = 10 * size;
  std::string bytes(size, 'x');
  std::vector<std::thread> threads;
  std::atomic<bool> bad{false};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      ObjectCache cache(folder.str().str(), limit);
      for (int i = 0; i < 50; ++i) {
        std::string key = ObjectCache::key({std::to_string(t), std::to_string(i)});
        bad = bad || !cache.store(key, bytes);
        auto got = cache.load(key); // may be gone again, but never something else
        bad = bad || (got && *got != bytes);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_FALSE(bad);
  EXPECT_LE(tidyCache(folder, ObjectCache::kUnlimited), limit);
  EXPECT_GE(countFiles(), 5);
}

} // namespace
