//===- Fourier.cpp - Fourier transforms of rows -----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rows are copied to scratch, several side by side so that each step is one of
// vectors, transformed there, and copied out. Real rows of an even length are half
// as many complex numbers.
//
// Numbers in f32 are transformed in f32 with roots rounded from double; where the
// length has a great prime factor, whose detour costs digits, in double.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/FourierPlan.h"
#include "runtime/library/Library.h"
#include "runtime/library/Views.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

using namespace tessera::runtime::library;

namespace {

/// The lanes of a tensor: where `count` rows from `first` on begin; further lanes repeat the last.
template <typename T, int L> struct Lanes {
  T *rows[L];
  int64_t stride;
  int count;

  Lanes(const View &view, int64_t dim, int64_t first, int count)
      : stride(view.strides[dim]), count(count) {
    for (int v = 0; v < L; ++v)
      rows[v] = view.as<T>() + view.rowOffset(first + std::min(v, count - 1), dim);
  }

  template <typename Work> void load(int64_t element, Work *to) const {
    for (int v = 0; v < L; ++v)
      to[v] = static_cast<Work>(rows[v][element * stride]);
  }
  template <typename Work> void store(int64_t element, const Work *from, Work scale) const {
    for (int v = 0; v < count; ++v)
      rows[v][element * stride] = static_cast<T>(from[v] * scale);
  }
};

/// What a call is told.
struct Task {
  Call call;
  int64_t dim;
  double scale;
  bool inverse;

  Task(void *const *buffers, const int64_t *description, bool hasInverse)
      : call(buffers, description), dim(call.parameters[0]),
        inverse(hasInverse && call.parameters[2]) {
    std::memcpy(&scale, &call.parameters[1], sizeof(scale));
  }
};

/// Complex rows.
template <typename T> struct ComplexRows {
  static int64_t length(const Task &task) { return task.call[0].sizes[task.dim]; }
  static int64_t planned(int64_t length) { return length; }

  template <typename Work, int L>
  static void run(const Task &task, const FourierPlan<Work> &plan, Work *scratch, int64_t first,
                  int count) {
    Lanes<T, L> re(task.call[0], task.dim, first, count), im(task.call[1], task.dim, first, count);
    Lanes<T, L> toRe(task.call[2], task.dim, first, count);
    Lanes<T, L> toIm(task.call[3], task.dim, first, count);
    if (task.inverse) { // the transform of what has its parts exchanged, exchanged again
      std::swap(re, im);
      std::swap(toRe, toIm);
    }
    for (int64_t e = 0; e < plan.length; ++e) {
      re.load(e, scratch + 2 * L * e);
      im.load(e, scratch + 2 * L * e + L);
    }
    const Work *result = transform<Work, L>(plan, scratch, scratch + 2 * L * plan.inner);
    Work scale = static_cast<Work>(task.scale);
    for (int64_t e = 0; e < plan.length; ++e) {
      toRe.store(e, result + 2 * L * e, scale);
      toIm.store(e, result + 2 * L * e + L, scale);
    }
  }
};

/// Real rows, to the first half of their transform.
template <typename T> struct RealRows {
  static int64_t length(const Task &task) { return task.call[0].sizes[task.dim]; }
  static int64_t planned(int64_t length) { return length % 2 ? length : length / 2; }

  template <typename Work, int L>
  static void run(const Task &task, const FourierPlan<Work> &plan, Work *scratch, int64_t first,
                  int count) {
    Lanes<T, L> from(task.call[0], task.dim, first, count);
    Lanes<T, L> toRe(task.call[1], task.dim, first, count);
    Lanes<T, L> toIm(task.call[2], task.dim, first, count);
    bool packed = length(task) % 2 == 0;
    for (int64_t e = 0; e < plan.length; ++e) {
      from.load(packed ? 2 * e : e, scratch + 2 * L * e);
      if (packed)
        from.load(2 * e + 1, scratch + 2 * L * e + L);
      else
        std::fill_n(scratch + 2 * L * e + L, L, Work(0));
    }
    const Work *result = transform<Work, L>(plan, scratch, scratch + 2 * L * plan.inner);
    Work scale = static_cast<Work>(task.scale);
    for (int64_t k = 0; k <= length(task) / 2; ++k) {
      Work re[L], im[L];
      const Work *z = result + 2 * L * (k % plan.length);
      if (packed)
        unpack<Work, L>(z, result + 2 * L * ((plan.length - k) % plan.length), plan.halfTurn[k], re,
                        im);
      toRe.store(k, packed ? re : z, scale);
      // Of real numbers the sum is real, and so is the alternating one.
      if (!packed && k == 0)
        std::fill_n(im, L, Work(0));
      toIm.store(k, packed || k == 0 ? im : z + L, scale);
    }
  }

  /// One element of the transform of a row out of that of its even and odd elements as parts.
  template <typename Work, int L>
  static void unpack(const Work *z, const Work *mirrored, Root<Work> root, Work *re, Work *im) {
    for (int v = 0; v < L; ++v) {
      Work evenR = (z[v] + mirrored[v]) / 2, evenI = (z[L + v] - mirrored[L + v]) / 2;
      Work oddR = (z[L + v] + mirrored[L + v]) / 2, oddI = (mirrored[v] - z[v]) / 2;
      re[v] = evenR + (oddR * root.re - oddI * root.im);
      im[v] = evenI + (oddR * root.im + oddI * root.re);
    }
  }
};

/// The first half of a transform, to real rows.
template <typename T> struct HalfRows {
  static int64_t length(const Task &task) { return task.call[2].sizes[task.dim]; }
  static int64_t planned(int64_t length) { return length % 2 ? length : length / 2; }

  template <typename Work, int L>
  static void run(const Task &task, const FourierPlan<Work> &plan, Work *scratch, int64_t first,
                  int count) {
    Lanes<T, L> re(task.call[0], task.dim, first, count), im(task.call[1], task.dim, first, count);
    Lanes<T, L> to(task.call[2], task.dim, first, count);
    int64_t total = length(task), half = total / 2;
    bool packed = total % 2 == 0;
    // Parts in each other's places all along: that makes the forward transform an inverse one.
    if (packed)
      pack<Work, L>(plan, re, im, scratch);
    else
      for (int64_t k = 0; k <= half; ++k)
        for (int64_t at : {k, (total - k) % total}) {
          Work *z = scratch + 2 * L * at;
          im.load(k, z);
          re.load(k, z + L);
          for (int v = 0; v < L; ++v)
            z[v] = k == 0 ? 0 : at == k ? z[v] : -z[v];
        }
    const Work *result = transform<Work, L>(plan, scratch, scratch + 2 * L * plan.inner);
    Work scale = static_cast<Work>(task.scale);
    for (int64_t e = 0; e < plan.length; ++e) {
      to.store(packed ? 2 * e : e, result + 2 * L * e + L, scale);
      if (packed)
        to.store(2 * e + 1, result + 2 * L * e, scale);
    }
  }

  template <typename Work, int L>
  static void pack(const FourierPlan<Work> &plan, const Lanes<T, L> &re, const Lanes<T, L> &im,
                   Work *scratch) {
    int64_t half = plan.length;
    for (int64_t k = 0; k < half; ++k) {
      Work xr[L], xi[L], yr[L], yi[L];
      re.load(k, xr);
      im.load(k, xi);
      re.load(half - k, yr);
      im.load(half - k, yi);
      Root<Work> root = plan.halfTurn[k];
      Work *z = scratch + 2 * L * k;
      for (int v = 0; v < L; ++v) {
        if (k == 0)
          xi[v] = yi[v] = 0;
        Work evenR = xr[v] + yr[v], evenI = xi[v] - yi[v];
        Work sideR = xr[v] - yr[v], sideI = xi[v] + yi[v];
        Work oddR = sideR * root.re + sideI * root.im, oddI = sideI * root.re - sideR * root.im;
        z[L + v] = evenR - oddI;
        z[v] = evenI + oddR;
      }
    }
  }
};

/// The rows [begin, end), as many side by side as there are.
template <typename Work, typename Rows>
void runRows(const Task &task, void *scratch, int64_t begin, int64_t end) {
  int64_t length = Rows::length(task);
  auto plan = fourierPlan<Work>(Rows::planned(length));
  auto *work = static_cast<Work *>(scratch);
  bool wide = tessera_fft_lanes(length) == 8;
  while (begin < end) {
    int count = wide ? static_cast<int>(std::min<int64_t>(end - begin, 8)) : 1;
    if (count > 1)
      Rows::template run<Work, 8>(task, *plan, work, begin, count);
    else
      Rows::template run<Work, 1>(task, *plan, work, begin, 1);
    begin += count;
  }
}

template <template <typename> typename Rows>
int32_t runCall(const Task &task, void *scratch, int64_t begin, int64_t end) {
  if (task.call[0].dtype == TESSERA_F64) {
    runRows<double, Rows<double>>(task, scratch, begin, end);
    return TESSERA_OK;
  }
  int64_t planned = Rows<float>::planned(Rows<float>::length(task));
  if (tessera_fft_inner_length(planned) != planned)
    runRows<double, Rows<float>>(task, scratch, begin, end);
  else
    runRows<float, Rows<float>>(task, scratch, begin, end);
  return TESSERA_OK;
}

} // namespace

TESSERA_LIBRARY_FUNCTION(tessera_fft) {
  return runCall<ComplexRows>(Task(buffers, description, true), scratch, begin, end);
}

TESSERA_LIBRARY_FUNCTION(tessera_real_fft) {
  return runCall<RealRows>(Task(buffers, description, false), scratch, begin, end);
}

TESSERA_LIBRARY_FUNCTION(tessera_inverse_real_fft) {
  return runCall<HalfRows>(Task(buffers, description, false), scratch, begin, end);
}
