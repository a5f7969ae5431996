//===- ObjectCache.cpp - object files kept between runs -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/ObjectCache.h"

#include "runtime/abi/Kernel.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <mutex>

using namespace tessera::jit;

/// A file is: magic with the format's version, SHA-256 of the key and the payload, payload.
static constexpr llvm::StringLiteral kMagic = "tessera object 1\n";
static constexpr size_t kHashBytes = 32;

static std::string digest(llvm::ArrayRef<llvm::StringRef> parts) {
  llvm::SHA256 hash;
  for (llvm::StringRef part : parts) {
    uint8_t length[8]; // so that ("ab", "c") and ("a", "bc") differ
    llvm::support::endian::write64le(length, part.size());
    hash.update(llvm::ArrayRef<uint8_t>(length));
    hash.update(part);
  }
  auto result = hash.final();
  return std::string(result.begin(), result.end());
}

/// Says once a process what is wrong with the cache; compilation goes on without it.
static void warnOnce(const llvm::Twine &what) {
  static std::atomic<bool> said{false};
  if (!said.exchange(true))
    llvm::errs() << "tessera: warning: object cache: " << what << "\n";
}

//===----------------------------------------------------------------------===//
// The limit
//===----------------------------------------------------------------------===//

/// An entry read again within this time keeps its place among the recently used.
static constexpr auto kTouchInterval = std::chrono::minutes(10);

namespace {
/// What this process knows of the folders it has opened.
struct OpenFolders {
  struct Folder {
    uint64_t bytes = 0;   ///< as of the last look, with what this process wrote since
    uint64_t written = 0; ///< by this process since the last look
  };
  std::mutex mutex;
  llvm::StringMap<Folder> folders;

  static OpenFolders &get() {
    static OpenFolders open;
    return open;
  }
};
} // namespace

ObjectCache::ObjectCache(std::string name, uint64_t limit) : folder(std::move(name)), limit(limit) {
  if (folder.empty())
    return;
  OpenFolders &open = OpenFolders::get();
  std::lock_guard<std::mutex> lock(open.mutex);
  auto [it, isNew] = open.folders.try_emplace(folder);
  if (isNew)
    it->second.bytes = tidyCache(folder, limit);
}

/// Notes a new entry, and makes room where the limit is reached.
void ObjectCache::account(uint64_t bytes) const {
  OpenFolders &open = OpenFolders::get();
  std::lock_guard<std::mutex> lock(open.mutex);
  OpenFolders::Folder &state = open.folders[folder];
  state.bytes += bytes;
  state.written += bytes;
  // Other processes write as well, hence a new look from time to time.
  if (state.bytes <= limit && state.written <= limit / 8)
    return;
  state = {tidyCache(folder, limit), 0};
}

/// Marks an entry as used. Its time of modification says so, since many systems keep no time of
/// access.
void ObjectCache::touch(const std::string &name) const {
  llvm::sys::fs::file_status status;
  auto now = std::chrono::system_clock::now();
  if (limit == kUnlimited || llvm::sys::fs::status(name, status) ||
      now - status.getLastModificationTime() < kTouchInterval)
    return;
  int descriptor;
  if (llvm::sys::fs::openFileForRead(name, descriptor))
    return;
  // Whoever may not do this reads another user's cache, which is not theirs to keep small.
  (void)llvm::sys::fs::setLastAccessAndModificationTime(descriptor, now);
  llvm::sys::Process::SafelyCloseFileDescriptor(descriptor);
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

std::string ObjectCache::key(llvm::ArrayRef<llvm::StringRef> parts) {
  std::string abi = std::to_string(TESSERA_KERNEL_ABI_VERSION);
  llvm::SmallVector<llvm::StringRef> all = {kMagic, abi, LLVM_VERSION_STRING};
  llvm::append_range(all, parts);
  return llvm::toHex(digest(all), /*LowerCase=*/true);
}

std::string ObjectCache::path(llvm::StringRef key) const {
  // Two levels keep folders small.
  llvm::SmallString<256> result(folder);
  llvm::sys::path::append(result, key.take_front(2), key.drop_front(2) + ".o");
  return result.str().str();
}

std::optional<std::string> ObjectCache::load(llvm::StringRef key) const {
  if (folder.empty())
    return std::nullopt;
  std::string name = path(key);
  auto file = llvm::MemoryBuffer::getFile(name, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!file) {
    if (file.getError() != std::errc::no_such_file_or_directory &&
        file.getError() != std::errc::not_a_directory)
      warnOnce("cannot read " + name + ": " + file.getError().message());
    return std::nullopt;
  }
  llvm::StringRef bytes = (*file)->getBuffer();
  bool ours = bytes.consume_front(kMagic) && bytes.size() >= kHashBytes;
  llvm::StringRef payload = ours ? bytes.drop_front(kHashBytes) : "";
  if (!ours || bytes.take_front(kHashBytes) != digest({key, payload})) {
    warnOnce(name + " is damaged or foreign; it is compiled again");
    return std::nullopt;
  }
  touch(name);
  return payload.str();
}

bool ObjectCache::store(llvm::StringRef key, llvm::StringRef bytes) const {
  if (folder.empty())
    return false;
  std::string name = path(key);
  auto fail = [&](std::error_code error) {
    warnOnce("cannot write " + name + ": " + error.message());
    return false;
  };
  if (std::error_code error = llvm::sys::fs::create_directories(llvm::sys::path::parent_path(name)))
    return fail(error);
  // A name nobody else has: what a killed process leaves behind is a stray file, never a damaged
  // entry. Only the suffix is made from a model: a folder's name may hold a '%' of its own.
  llvm::SmallString<16> suffix;
  llvm::sys::fs::createUniquePath("%%%%%%%%%%%%", suffix, /*MakeAbsolute=*/false);
  std::string temporary = name + "." + suffix.str().str() + ".tmp";
  int descriptor;
  if (std::error_code error =
          llvm::sys::fs::openFileForWrite(temporary, descriptor, llvm::sys::fs::CD_CreateNew))
    return fail(error);
  llvm::raw_fd_ostream stream(descriptor, /*shouldClose=*/true);
  stream << kMagic << digest({key, bytes}) << bytes;
  stream.close();
  std::error_code error = stream.error();
  stream.clear_error();
  if (!error)
    error = llvm::sys::fs::rename(temporary, name);
  if (!error) {
    account(kMagic.size() + kHashBytes + bytes.size());
    return true;
  }
  llvm::sys::fs::remove(temporary);
  return fail(error);
}
