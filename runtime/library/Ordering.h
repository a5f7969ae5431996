//===- Ordering.h - rows of entries in order -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_LIBRARY_ORDERING_H
#define TESSERA_RUNTIME_LIBRARY_ORDERING_H

#include "runtime/library/Keys.h"

#include <algorithm>
#include <utility>

namespace tessera::runtime::library {

/// From this length on counting digits beats comparing.
constexpr int64_t kRadixLength = 384;

/// Sorts by key, equal keys by position, by the `digits` bytes of the keys. Entries come in order
/// of their positions; `spare` holds as many. Returns where the sorted entries are.
template <typename Entry>
Entry *sortByDigits(Entry *entries, Entry *spare, int64_t length, int digits) {
  int64_t counts[8][256] = {};
  for (int64_t i = 0; i < length; ++i) {
    uint64_t key = entries[i].key();
    for (int d = 0; d < digits; ++d)
      ++counts[d][key >> (8 * d) & 255];
  }
  for (int d = 0; d < digits; ++d) {
    int64_t *count = counts[d];
    if (count[entries[0].key() >> (8 * d) & 255] == length)
      continue; // all keys agree in this digit
    for (int64_t v = 0, start = 0; v < 256; ++v)
      start += std::exchange(count[v], start);
    for (int64_t i = 0; i < length; ++i)
      spare[count[entries[i].key() >> (8 * d) & 255]++] = entries[i];
    std::swap(entries, spare);
  }
  return entries;
}

/// The same, by whichever way is faster.
template <typename Entry>
Entry *sortEntries(Entry *entries, Entry *spare, int64_t length, int keyBytes) {
  if (length >= kRadixLength)
    return sortByDigits(entries, spare, length, keyBytes);
  std::sort(entries, entries + length);
  return entries;
}

} // namespace tessera::runtime::library

#endif // TESSERA_RUNTIME_LIBRARY_ORDERING_H
