//===- TidyCache.cpp - keeps the folder of the object cache small -------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Several processes may tidy one folder at once without a lock: each removes
// the same, the oldest first, and what is gone already is no error.
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/ObjectCache.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <vector>

namespace fs = llvm::sys::fs;

namespace {

/// No writer takes this long over one file.
constexpr auto kStaleAfter = std::chrono::hours(1);

struct File {
  std::string path;
  uint64_t bytes;
  llvm::sys::TimePoint<> used;
};

bool isHex(llvm::StringRef text) { return llvm::all_of(text, llvm::isHexDigit); }

/// "ab": the first two digits of the keys inside.
bool isFolderOfEntries(llvm::StringRef name) { return name.size() == 2 && isHex(name); }

/// The other 62 digits and ".o"; `rest` is what comes after.
bool consumeEntryName(llvm::StringRef &rest) {
  constexpr size_t digits = 62;
  if (!isHex(rest.take_front(digits)) || rest.size() <= digits)
    return false;
  rest = rest.drop_front(digits);
  return rest.consume_front(".o");
}

/// ".0123456789ab.tmp"
bool isTemporarySuffix(llvm::StringRef suffix) {
  return suffix.consume_front(".") && suffix.consume_back(".tmp") && suffix.size() == 12 &&
         isHex(suffix);
}

/// Calls `visit(name, path, status)` for what is in `folder`; what cannot be read is left out.
template <typename Visit> void forEachIn(llvm::StringRef folder, const Visit &visit) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    llvm::ErrorOr<fs::basic_file_status> status = it->status();
    if (status)
      visit(llvm::sys::path::filename(it->path()), it->path(), *status);
  }
}

} // namespace

uint64_t tessera::jit::tidyCache(llvm::StringRef folder, uint64_t limit) {
  std::vector<File> entries;
  uint64_t total = 0;
  auto now = std::chrono::system_clock::now();
  auto visitFile = [&](llvm::StringRef name, const std::string &path,
                       const fs::basic_file_status &status) {
    if (status.type() != fs::file_type::regular_file || !consumeEntryName(name))
      return;
    bool stale = now - status.getLastModificationTime() > kStaleAfter;
    if (isTemporarySuffix(name) && stale && !fs::remove(path))
      return;
    if (name.empty())
      entries.push_back({path, status.getSize(), status.getLastModificationTime()});
    else if (!isTemporarySuffix(name))
      return;
    total += status.getSize();
  };
  forEachIn(folder, [&](llvm::StringRef name, const std::string &path,
                        const fs::basic_file_status &status) {
    if (status.type() == fs::file_type::directory_file && isFolderOfEntries(name))
      forEachIn(path, visitFile);
  });
  if (total <= limit)
    return total;
  // Some room to write into, so that not every store has to look again.
  uint64_t goal = limit - limit / 10;
  llvm::sort(entries, [](const File &a, const File &b) { return a.used < b.used; });
  for (const File &entry : entries) {
    if (total <= goal)
      break;
    if (!fs::remove(entry.path))
      total -= entry.bytes;
  }
  return total;
}
