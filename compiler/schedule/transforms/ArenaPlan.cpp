//===- ArenaPlan.cpp - offsets of tensors that live at different times ----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Finding the smallest arena is NP-hard (dynamic storage allocation); greedy
// placement by size is near the bound for networks, and where it is not, another
// order usually is; then orders near the best one.
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/transforms/ArenaPlan.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MathExtras.h"

#include <map>

using namespace llvm;

namespace tessera::schedule {

/// Times the bound: no other order is tried below.
constexpr double kNearEnough = 1.005;
/// Orders tried beyond the first few, and pairs of tensors looked at in all of them.
constexpr int64_t kMostSteps = 1000, kMostWork = 20'000'000;

static int64_t roomOf(const ArenaTensor &tensor) {
  return int64_t(alignTo(uint64_t(tensor.bytes), uint64_t(kArenaAlignment)));
}

int64_t largestLiveSet(ArrayRef<ArenaTensor> tensors) {
  std::map<int64_t, int64_t> changes; // by step
  for (const ArenaTensor &tensor : tensors) {
    changes[tensor.first] += roomOf(tensor);
    changes[tensor.last + 1] -= roomOf(tensor);
  }
  int64_t live = 0, most = 0;
  for (auto [step, change] : changes)
    most = std::max(most, live += change);
  return most;
}

/// Places tensors in `order`; returns the bytes of the arena.
static int64_t place(ArrayRef<const ArenaTensor *> order, MutableArrayRef<int64_t> offsets,
                     ArrayRef<ArenaTensor> all) {
  int64_t total = 0;
  SmallVector<const ArenaTensor *> placed; // by offset
  auto offsetOf = [&](const ArenaTensor *tensor) -> int64_t & {
    return offsets[size_t(tensor - all.data())];
  };
  for (const ArenaTensor *tensor : order) {
    int64_t offset = 0;
    for (const ArenaTensor *rival : placed) {
      if (rival->first > tensor->last || tensor->first > rival->last)
        continue;
      if (offset + roomOf(*tensor) <= offsetOf(rival))
        break;
      offset = std::max(offset, offsetOf(rival) + roomOf(*rival));
    }
    offsetOf(tensor) = offset;
    total = std::max(total, offset + roomOf(*tensor));
    placed.insert(llvm::upper_bound(placed, offset,
                                    [&](int64_t value, const ArenaTensor *other) {
                                      return value < offsetOf(other);
                                    }),
                  tensor);
  }
  return total;
}

namespace {

using Order = SmallVector<const ArenaTensor *>;

/// Places all tensors in some order, and keeps the best plan so far.
class Planner {
public:
  explicit Planner(MutableArrayRef<ArenaTensor> tensors)
      : tensors(tensors), offsets(tensors.size()), bound(largestLiveSet(tensors)) {}

  /// The bytes that `order` takes.
  int64_t attempt(const Order &order) {
    int64_t total = place(order, offsets, tensors);
    if (best < 0 || total < best) {
      best = total;
      for (auto [tensor, offset] : llvm::zip_equal(tensors, offsets))
        tensor.offset = offset;
    }
    return total;
  }
  bool isDone() const { return best >= 0 && double(best) <= kNearEnough * double(bound); }
  int64_t bytes() const { return std::max<int64_t>(best, 0); }
  void improve(Order order);

private:
  MutableArrayRef<ArenaTensor> tensors;
  SmallVector<int64_t> offsets; // of the last attempt
  int64_t bound, best = -1;
};

} // namespace

/// A tensor at the very top goes to an earlier place in the order; what is no worse is kept, so
/// that plateaus are crossed.
void Planner::improve(Order order) {
  int64_t total = attempt(order);
  int64_t work = int64_t(order.size()) * int64_t(order.size());
  uint32_t random = 1;
  for (int64_t step = std::min(kMostSteps, kMostWork / std::max<int64_t>(work, 1));
       step > 0 && !isDone(); --step) {
    Order changed = order;
    SmallVector<size_t> tops;
    for (size_t i = 1; i < changed.size(); ++i)
      if (offsets[size_t(changed[i] - tensors.data())] + roomOf(*changed[i]) == total)
        tops.push_back(i);
    if (tops.empty())
      break;
    random = random * 1664525 + 1013904223;
    size_t from = tops[(random >> 16) % tops.size()];
    random = random * 1664525 + 1013904223;
    size_t to = (random >> 16) % from;
    std::rotate(changed.begin() + to, changed.begin() + from, changed.begin() + from + 1);
    SmallVector<int64_t> before = offsets;
    int64_t now = attempt(changed);
    if (now > total) {
      offsets = before;
      continue;
    }
    total = now;
    order = std::move(changed);
  }
}

int64_t planArena(MutableArrayRef<ArenaTensor> tensors) {
  using Weight = double (*)(const ArenaTensor &);
  // The heaviest first: by size; by size times life; by life; as they come.
  static constexpr Weight weights[] = {
      [](const ArenaTensor &t) { return double(t.bytes); },
      [](const ArenaTensor &t) { return double(t.bytes) * double(t.last - t.first + 1); },
      [](const ArenaTensor &t) { return double(t.last - t.first); },
      [](const ArenaTensor &t) { return -double(t.first); }};
  Planner planner(tensors);
  Order bestOrder;
  int64_t least = -1;
  for (Weight weight : weights) {
    Order order;
    for (const ArenaTensor &tensor : tensors)
      order.push_back(&tensor);
    llvm::stable_sort(order, [&](const ArenaTensor *x, const ArenaTensor *y) {
      double left = weight(*x), right = weight(*y);
      return left != right ? left > right : x->bytes > y->bytes;
    });
    int64_t total = planner.attempt(order);
    if (least < 0 || total < least) {
      least = total;
      bestOrder = std::move(order);
    }
    if (planner.isDone())
      return planner.bytes();
  }
  planner.improve(std::move(bestOrder));
  return planner.bytes();
}

} // namespace tessera::schedule
