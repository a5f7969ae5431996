//===- IterationSpace.cpp - points and indices of a kernel -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/IterationSpace.h"

#include "llvm/ADT/STLExtras.h"

#include <cassert>

using namespace tessera;
using llvm::ArrayRef;
using llvm::SmallVector;

void LinearForm::addSymbol(unsigned symbol, int64_t coefficient) {
  auto *it = llvm::lower_bound(symbols, symbol,
                               [](const auto &entry, unsigned id) { return entry.first < id; });
  if (it == symbols.end() || it->first != symbol)
    symbols.insert(it, {symbol, coefficient});
  else if ((it->second += coefficient) == 0)
    symbols.erase(it);
}

void LinearForm::add(const LinearForm &other, int64_t factor) {
  assert(dims.size() == other.dims.size() && "forms over different spaces");
  if (factor == 0)
    return;
  base += factor * other.base;
  for (auto [mine, theirs] : llvm::zip_equal(dims, other.dims))
    mine += factor * theirs;
  for (auto [symbol, coefficient] : other.symbols)
    addSymbol(symbol, factor * coefficient);
}

void LinearForm::appendKey(std::vector<int64_t> &key) const {
  key.push_back(base);
  key.insert(key.end(), dims.begin(), dims.end());
  key.push_back(symbols.size());
  for (auto [symbol, coefficient] : symbols) {
    key.push_back(symbol);
    key.push_back(coefficient);
  }
}

int64_t IterationSpace::rowLength() const {
  int64_t length = 1;
  for (auto [size, isReduced] : llvm::zip_equal(sizes, reduced))
    if (isReduced)
      length *= size;
  return length;
}

IterationSpace IterationSpace::of(ArrayRef<int64_t> shape, ArrayRef<int64_t> reducedDims) {
  IterationSpace space;
  SmallVector<int64_t> position(shape.size(), -1);
  for (auto [d, size] : llvm::enumerate(shape)) {
    if (size == 1)
      continue;
    position[d] = space.sizes.size();
    space.sizes.push_back(size);
    space.reduced.push_back(llvm::is_contained(reducedDims, static_cast<int64_t>(d)));
  }
  for (int64_t d : position) {
    LinearForm form(space.rank(), 0);
    if (d >= 0)
      form.dims[d] = 1;
    space.roots.push_back(std::move(form));
  }
  return space;
}

void IterationSpace::refine(unsigned dim, int64_t inner) {
  assert(sizes[dim] % inner == 0 && "refinement must divide the dimension");
  sizes[dim] /= inner;
  sizes.insert(sizes.begin() + dim + 1, inner);
  reduced.insert(reduced.begin() + dim + 1, reduced[dim]);
  for (LinearForm &form : roots) {
    int64_t coefficient = form.dims[dim];
    form.dims[dim] = coefficient * inner;
    form.dims.insert(form.dims.begin() + dim + 1, coefficient);
  }
}

std::pair<IterationSpace, IterationSpace> IterationSpace::split(unsigned dim, int64_t at) const {
  IterationSpace first = *this, second = *this;
  first.sizes[dim] = at;
  second.sizes[dim] = sizes[dim] - at;
  for (LinearForm &form : second.roots)
    form.base += form.dims[dim] * at;
  return {std::move(first), std::move(second)};
}
