//===- Ordering.cpp - sort, the first k, one element by its rank -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Elements become keys (Keys.h), keys are put in order together with positions, and
// values are copied from where the positions say: a value keeps its bits, the sign of
// a zero and the payload of a NaN included.
//
// Which of several equal elements is chosen PyTorch leaves open, but programs come to
// depend on what it does. These functions take the same algorithm through the same
// steps on the same comparisons, and so choose the same.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Ordering.h"

#include "runtime/library/Library.h"

#include <utility>

using namespace tessera::runtime::library;

namespace {

/// Compares by key alone: positions must not decide.
constexpr auto byKey = [](const auto &x, const auto &y) { return x.key() < y.key(); };

/// One call: rows of `source`, and where a row's results go.
struct Rows {
  Rows(void *const *buffers, const int64_t *description)
      : call(buffers, description), source(call[0]), values(call[1]), indices(call[2]),
        dim(call.parameters[0]), parameters(call.parameters + 1),
        length(source.rank ? source.sizes[dim] : 1), stride(source.rank ? source.strides[dim] : 1) {
  }

  Call call;
  const View &source, &values, &indices;
  int64_t dim;
  const int64_t *parameters;
  int64_t length, stride;

  /// Writes the elements at the entries' positions as the first of row `row`.
  template <typename T, typename Entry>
  void store(int64_t row, const T *from, const Entry *entries, int64_t count) const {
    int64_t valueStride = values.rank ? values.strides[dim] : 1;
    int64_t indexStride = indices.rank ? indices.strides[dim] : 1;
    T *value = values.as<T>() + values.rowOffset(row, dim);
    int64_t *index = indices.as<int64_t>() + indices.rowOffset(row, dim);
    for (int64_t i = 0; i < count; ++i) {
      int64_t position = entries[i].position();
      value[i * valueStride] = from[position * stride];
      index[i * indexStride] = position;
    }
  }

  /// Calls `order(row, elements, entries)` for rows [begin, end): a pointer to the row's elements,
  /// and memory for twice as many entries as it has.
  template <typename Order>
  void forEach(void *scratch, int64_t begin, int64_t end, Order order) const {
    withElement(source.dtype, [&](auto element) {
      using T = decltype(element);
      auto run = [&](auto *entries) {
        for (int64_t row = begin; row < end; ++row)
          order(row, source.as<T>() + source.rowOffset(row, dim), entries);
      };
      if (sizeof(T) <= 4 && length < int64_t(1) << 32)
        run(static_cast<PackedEntry *>(scratch));
      else
        run(static_cast<WideEntry *>(scratch));
    });
  }
};

/// Compares keys alone, so that positions come as std::sort leaves them.
template <typename Entry> Entry *sortLikePyTorch(Entry *entries, int64_t length) {
  std::sort(entries, entries + length, byKey);
  return entries;
}

/// Puts the entry that belongs at `k` there, smaller ones before it and greater ones behind:
/// Hoare's selection with the median of three, step by step as PyTorch's kthvalue takes it.
template <typename Entry> void selectKth(Entry *entries, int64_t length, int64_t k) {
  auto greater = [](const Entry &x, const Entry &y) { return x.key() > y.key(); };
  auto order = [&](int64_t i, int64_t j) {
    if (greater(entries[i], entries[j]))
      std::swap(entries[i], entries[j]);
  };
  int64_t low = 0, high = length - 1;
  while (low < high) {
    if (high == low + 1)
      return order(low, high);
    std::swap(entries[low + (high - low) / 2], entries[low + 1]);
    order(low + 1, high);
    order(low, high);
    order(low + 1, low);
    Entry pivot = entries[low];
    int64_t i = low + 1, j = high;
    while (true) {
      do
        ++i;
      while (greater(pivot, entries[i]));
      do
        --j;
      while (greater(entries[j], pivot));
      if (j < i)
        break;
      std::swap(entries[i], entries[j]);
    }
    std::swap(entries[low], entries[j]);
    if (j <= k)
      low = i;
    if (j >= k)
      high = j - 1;
  }
}

/// Position of the median among `entries`, of equal elements the first; with `skipNaN`, of the
/// numbers alone.
template <typename T, typename Entry>
int64_t medianAt(Entry *entries, int64_t length, bool skipNaN) {
  auto isNaN = [](const Entry &entry) { return isNaNKey<T>(KeyOf<T>(entry.key())); };
  int64_t count = length;
  if (skipNaN) {
    count -= std::count_if(entries, entries + length, isNaN);
  } else if (Entry *found = std::find_if(entries, entries + length, isNaN);
             found != entries + length) {
    std::swap(*entries, *found);
    return 0;
  }
  int64_t at = count == 0 ? 0 : (count - 1) / 2;
  std::nth_element(entries, entries + at, entries + length, [&](const Entry &x, const Entry &y) {
    return isNaN(x) && isNaN(y) ? false : x < y;
  });
  return at;
}

/// Position of the last entry, in sorted order, of the smallest among the most frequent elements.
template <typename Entry> int64_t modeAt(Entry *entries, int64_t length) {
  std::sort(entries, entries + length, byKey);
  int64_t best = 0, most = 0;
  for (int64_t i = 0, run = 1; i < length; ++i, ++run) {
    if (i + 1 < length && entries[i].key() == entries[i + 1].key())
      continue;
    if (run > most) {
      most = run;
      best = i;
    }
    run = 0;
  }
  return best;
}

template <typename T, typename Entry>
int64_t statisticAt(Entry *entries, int64_t length, TesseraStatistic statistic, int64_t k) {
  switch (statistic) {
  case TESSERA_KTH:
    selectKth(entries, length, k - 1);
    return k - 1;
  case TESSERA_MEDIAN:
    return medianAt<T>(entries, length, false);
  case TESSERA_NANMEDIAN:
    return medianAt<T>(entries, length, true);
  case TESSERA_MODE:
    break;
  }
  return modeAt(entries, length);
}

/// Where PyTorch changes from a heap to partitioning.
constexpr int64_t kHeapShare = 64;

/// Brings the first `k` entries to the front by partitioning.
template <typename Entry> void selectFirst(Entry *entries, int64_t length, int64_t k, bool sorted) {
  std::nth_element(entries, entries + k - 1, entries + length, byKey);
  if (sorted)
    std::sort(entries, entries + k - 1, byKey);
}

/// std::partial_sort, one element at a time: only the heap is kept, as entries, with one behind it
/// for the newcomer. Elements that cannot enter are passed over a block at a time.
template <typename T, typename Entry>
void heapFirst(const T *row, int64_t length, int64_t stride, bool descending, Entry *heap,
               int64_t k) {
  using Key = KeyOf<T>;
  constexpr int64_t blockLength = 64;
  Key turn = descending ? std::numeric_limits<Key>::max() : Key(0);
  Key keys[blockLength];
  loadEntries(row, k, stride, descending, heap);
  std::make_heap(heap, heap + k, byKey);
  for (int64_t start = k; start < length; start += blockLength) {
    int64_t count = std::min(blockLength, length - start);
    Key least = std::numeric_limits<Key>::max();
    for (int64_t i = 0; i < count; ++i) {
      keys[i] = Key(keyOf(row[(start + i) * stride]) ^ turn);
      least = std::min(least, keys[i]);
    }
    if (least >= heap->key())
      continue;
    for (int64_t i = 0; i < count; ++i) {
      if (keys[i] >= heap->key())
        continue;
      heap[k] = Entry(keys[i], uint64_t(start + i));
      std::pop_heap(heap, heap + k + 1, byKey);
    }
  }
  std::sort_heap(heap, heap + k, byKey);
}

} // namespace

TESSERA_LIBRARY_FUNCTION(tessera_sort) {
  Rows rows(buffers, description);
  bool descending = rows.parameters[0], stable = rows.parameters[1];
  rows.forEach(scratch, begin, end, [&](int64_t row, auto *elements, auto *entries) {
    using T = std::remove_pointer_t<decltype(elements)>;
    loadEntries(elements, rows.length, rows.stride, descending, entries);
    auto *spare = entries + rows.length;
    auto *sorted = stable ? sortEntries(entries, spare, rows.length, int(sizeof(KeyOf<T>)))
                          : sortLikePyTorch(entries, rows.length);
    rows.store(row, elements, sorted, rows.length);
  });
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_topk) {
  Rows rows(buffers, description);
  bool largest = rows.parameters[0], sorted = rows.parameters[1];
  int64_t k = rows.values.rank ? rows.values.sizes[rows.dim] : 1;
  if (k == 0)
    return TESSERA_OK;
  rows.forEach(scratch, begin, end, [&](int64_t row, auto *elements, auto *entries) {
    if (k * kHeapShare <= rows.length) {
      heapFirst(elements, rows.length, rows.stride, largest, entries, k);
    } else {
      loadEntries(elements, rows.length, rows.stride, largest, entries);
      selectFirst(entries, rows.length, k, sorted);
    }
    rows.store(row, elements, entries, k);
  });
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_order_statistic) {
  Rows rows(buffers, description);
  auto statistic = static_cast<TesseraStatistic>(rows.parameters[0]);
  int64_t k = rows.parameters[1];
  rows.forEach(scratch, begin, end, [&](int64_t row, auto *elements, auto *entries) {
    using T = std::remove_pointer_t<decltype(elements)>;
    loadEntries(elements, rows.length, rows.stride, false, entries);
    int64_t at = statisticAt<T>(entries, rows.length, statistic, k);
    rows.store(row, elements, entries + at, 1);
  });
  return TESSERA_OK;
}
