//===- Keys.h - numbers that compare as elements do ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every element type is put in order by unsigned keys, so that the algorithms are
// written once. A NaN is greater than every number, both zeros are equal, and so are
// all NaNs: PyTorch's order.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_LIBRARY_KEYS_H
#define TESSERA_RUNTIME_LIBRARY_KEYS_H

#include "runtime/library/Views.h"

#include <bit>
#include <limits>
#include <type_traits>

namespace tessera::runtime::library {

/// Of an IEEE number's bits; `infinity` are those of its infinity.
template <typename Bits> Bits floatKey(Bits bits, Bits infinity) {
  constexpr Bits sign = Bits(1) << (sizeof(Bits) * 8 - 1);
  Bits magnitude = Bits(bits & ~sign);
  if (magnitude > infinity)
    return std::numeric_limits<Bits>::max();
  if (magnitude == 0)
    return sign;
  return bits & sign ? Bits(~bits) : Bits(bits | sign);
}

inline uint8_t keyOf(bool x) { return x ? 1 : 0; }
inline uint16_t keyOf(Half x) { return floatKey<uint16_t>(x.bits, 0x7c00); }
inline uint16_t keyOf(BFloat x) { return floatKey<uint16_t>(x.bits, 0x7f80); }
inline uint32_t keyOf(float x) { return floatKey(std::bit_cast<uint32_t>(x), 0x7f800000u); }
inline uint64_t keyOf(double x) {
  return floatKey(std::bit_cast<uint64_t>(x), uint64_t(0x7ff0000000000000));
}
template <typename Integer> std::make_unsigned_t<Integer> keyOf(Integer x) {
  using Key = std::make_unsigned_t<Integer>;
  constexpr Key sign = std::is_signed_v<Integer> ? Key(Key(1) << (sizeof(Key) * 8 - 1)) : Key(0);
  return Key(Key(x) ^ sign);
}

/// The type of an element's key.
template <typename T> using KeyOf = decltype(keyOf(T()));

template <typename T> constexpr bool hasNaN = !std::is_integral_v<T>;

/// Whether the key is that of a NaN.
template <typename T> bool isNaNKey(KeyOf<T> key) {
  return hasNaN<T> && key == std::numeric_limits<KeyOf<T>>::max();
}

/// A key of up to 32 bits and the position it came from.
struct PackedEntry {
  uint64_t bits;

  PackedEntry() = default;
  PackedEntry(uint64_t key, uint64_t position) : bits(key << 32 | position) {}
  uint64_t key() const { return bits >> 32; }
  int64_t position() const { return int64_t(bits & 0xffffffff); }
  bool operator<(const PackedEntry &other) const { return bits < other.bits; }
};

/// A key of up to 64 bits and the position it came from.
struct WideEntry {
  uint64_t bits;
  uint64_t place;

  WideEntry() = default;
  WideEntry(uint64_t key, uint64_t position) : bits(key), place(position) {}
  uint64_t key() const { return bits; }
  int64_t position() const { return int64_t(place); }
  bool operator<(const WideEntry &other) const {
    return bits != other.bits ? bits < other.bits : place < other.place;
  }
};

/// Fills `entries` with the elements of a row; `descending` turns the order round.
template <typename T, typename Entry>
void loadEntries(const T *row, int64_t length, int64_t stride, bool descending, Entry *entries) {
  using Key = KeyOf<T>;
  Key turn = descending ? std::numeric_limits<Key>::max() : Key(0);
  for (int64_t i = 0; i < length; ++i)
    entries[i] = Entry(Key(keyOf(row[i * stride]) ^ turn), uint64_t(i));
}

} // namespace tessera::runtime::library

#endif // TESSERA_RUNTIME_LIBRARY_KEYS_H
