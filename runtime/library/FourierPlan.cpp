//===- FourierPlan.cpp - complex transforms of one length ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Mixed radix, each pass from one buffer to the other in the order that needs no
// reversal of digits (Stockham). A length with a great prime factor becomes a
// convolution with a chirp, by transforms of a power of two (Bluestein).
//
//===----------------------------------------------------------------------===//

#include "runtime/library/FourierPlan.h"

#include "runtime/abi/Library.h"

#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>

using namespace tessera::runtime::library;

// GCC: vectors are passed otherwise with AVX. None is passed: what takes them is inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

/// e^(-2πi k/n) for 0 <= k < n, its angle brought to the first eighth of the turn.
template <typename T> static Root<T> rootOf(int64_t k, int64_t n) {
  if (2 * k > n) {
    Root<T> other = rootOf<T>(n - k, n);
    return {other.re, -other.im};
  }
  int64_t eighths = 8 * k, turned = eighths;
  if (eighths > n)
    turned = eighths < 3 * n ? 2 * n - eighths : 4 * n - eighths;
  constexpr double kEighth = 0.78539816339744830962;
  double angle = kEighth * (static_cast<double>(turned) / static_cast<double>(n));
  double cosine = std::cos(angle), sine = std::sin(angle);
  if (eighths > n && eighths < 3 * n)
    std::swap(cosine, sine);
  else if (eighths >= 3 * n)
    cosine = -cosine;
  return {static_cast<T>(cosine), static_cast<T>(-sine)};
}

template <typename T> static std::vector<Root<T>> rootsOf(int64_t n, int64_t count) {
  std::vector<Root<T>> table(count);
  for (int64_t k = 0; k < count; ++k)
    table[k] = rootOf<T>(k, n);
  return table;
}

static std::vector<int64_t> radicesOf(int64_t length) {
  std::vector<int64_t> radices;
  for (int64_t radix : {4, 2})
    for (; length % radix == 0; length /= radix)
      radices.push_back(radix);
  for (int64_t radix = 3; length > 1; radix += 2)
    for (; length % radix == 0; length /= radix)
      radices.push_back(radix);
  return radices;
}

//===----------------------------------------------------------------------===//
// Passes
//===----------------------------------------------------------------------===//

namespace {

/// Where one pass reads and writes: `before` is the product of the radices before its own, `inside`
/// what is left after it.
template <typename T, int L> struct Pass {
  const FourierPlan<T> &plan;
  int64_t radix, before, inside;
  const T *from;
  T *to;

  const T *source(int64_t k, int64_t i, int64_t j) const {
    return from + 2 * L * (i + inside * (j + radix * k));
  }
  T *result(int64_t k, int64_t i, int64_t m) const {
    return to + 2 * L * (i + inside * (k + before * m));
  }
  Root<T> root(int64_t i, int64_t m) const { return plan.roots[m * i * before]; }

  /// The same part of one element of all rows. GCC and Clang compute with it as with a number.
  typedef T Lanes __attribute__((vector_size(L * sizeof(T))));

  // Inlined also where nothing is optimized: how such vectors are passed depends on the machine.
#define TESSERA_INLINE __attribute__((always_inline)) static inline
  TESSERA_INLINE Lanes load(const T *from) {
    Lanes value;
    std::memcpy(&value, from, sizeof(value));
    return value;
  }
  TESSERA_INLINE void store(T *to, Lanes value) { std::memcpy(to, &value, sizeof(value)); }
  TESSERA_INLINE void put(T *to, Lanes re, Lanes im) {
    store(to, re);
    store(to + L, im);
  }
  /// Stores (re, im) times a root.
  TESSERA_INLINE void put(T *to, Lanes re, Lanes im, Root<T> root) {
    put(to, re * root.re - im * root.im, re * root.im + im * root.re);
  }
#undef TESSERA_INLINE

  void two() const {
    for (int64_t k = 0; k < before; ++k)
      for (int64_t i = 0; i < inside; ++i) {
        const T *x = source(k, i, 0), *y = source(k, i, 1);
        Lanes xr = load(x), xi = load(x + L), yr = load(y), yi = load(y + L);
        put(result(k, i, 0), xr + yr, xi + yi);
        put(result(k, i, 1), xr - yr, xi - yi, root(i, 1));
      }
  }

  void four() const {
    for (int64_t k = 0; k < before; ++k)
      for (int64_t i = 0; i < inside; ++i) {
        const T *x0 = source(k, i, 0), *x1 = source(k, i, 1);
        const T *x2 = source(k, i, 2), *x3 = source(k, i, 3);
        Lanes evenR = load(x0) + load(x2), evenI = load(x0 + L) + load(x2 + L);
        Lanes sideR = load(x0) - load(x2), sideI = load(x0 + L) - load(x2 + L);
        Lanes oddR = load(x1) + load(x3), oddI = load(x1 + L) + load(x3 + L);
        Lanes crossR = load(x1) - load(x3), crossI = load(x1 + L) - load(x3 + L);
        put(result(k, i, 0), evenR + oddR, evenI + oddI);
        put(result(k, i, 1), sideR + crossI, sideI - crossR, root(i, 1));
        put(result(k, i, 2), evenR - oddR, evenI - oddI, root(i, 2));
        put(result(k, i, 3), sideR - crossI, sideI + crossR, root(i, 3));
      }
  }

  void three() const {
    constexpr T kHeight = T(0.86602540378443864676), kHalf = T(0.5);
    for (int64_t k = 0; k < before; ++k)
      for (int64_t i = 0; i < inside; ++i) {
        const T *x0 = source(k, i, 0), *x1 = source(k, i, 1), *x2 = source(k, i, 2);
        Lanes sumR = load(x1) + load(x2), sumI = load(x1 + L) + load(x2 + L);
        Lanes upR = kHeight * (load(x1 + L) - load(x2 + L)), upI = kHeight * (load(x2) - load(x1));
        Lanes re = load(x0), im = load(x0 + L);
        Lanes midR = re - kHalf * sumR, midI = im - kHalf * sumI;
        put(result(k, i, 0), re + sumR, im + sumI);
        put(result(k, i, 1), midR + upR, midI + upI, root(i, 1));
        put(result(k, i, 2), midR - upR, midI - upI, root(i, 2));
      }
  }

  /// Any radix: elements j and radix - j have conjugate roots, so they are added first.
  void any() const {
    int64_t step = before * inside, half = (radix - 1) / 2;
    for (int64_t k = 0; k < before; ++k)
      for (int64_t i = 0; i < inside; ++i)
        for (int64_t m = 0; m <= half; ++m)
          dot(k, i, m, step);
  }

private:
  /// Results m and radix - m, which differ in the sign of what stands across.
  void dot(int64_t k, int64_t i, int64_t m, int64_t step) const {
    const T *x = source(k, i, 0);
    Lanes alongR = load(x), alongI = load(x + L), acrossR = {}, acrossI = {};
    for (int64_t j = 1; 2 * j < radix; ++j) {
      const T *p = source(k, i, j), *q = source(k, i, radix - j);
      Root<T> w = plan.roots[(j * m) % radix * step];
      alongR += w.re * (load(p) + load(q));
      alongI += w.re * (load(p + L) + load(q + L));
      acrossR -= w.im * (load(p + L) - load(q + L));
      acrossI += w.im * (load(p) - load(q));
    }
    put(result(k, i, m), alongR + acrossR, alongI + acrossI, root(i, m));
    if (m > 0)
      put(result(k, i, radix - m), alongR - acrossR, alongI - acrossI, root(i, radix - m));
  }
};

} // namespace

/// The transforms of the inner length.
template <typename T, int L> static T *runPassesAnywhere(const FourierPlan<T> &plan, T *a, T *b) {
  int64_t before = 1;
  for (int64_t radix : plan.radices) {
    Pass<T, L> pass{plan, radix, before, plan.inner / before / radix, a, b};
    if (radix == 4)
      pass.four();
    else if (radix == 2)
      pass.two();
    else if (radix == 3)
      pass.three();
    else
      pass.any();
    std::swap(a, b);
    before *= radix;
  }
  return a;
}

#if defined(__x86_64__)
/// The same code for machines with wide vectors, which the runtime as a whole cannot count on.
template <typename T, int L>
__attribute__((target("avx2,fma"), flatten)) static T *runPassesWide(const FourierPlan<T> &plan,
                                                                     T *a, T *b) {
  return runPassesAnywhere<T, L>(plan, a, b);
}

template <typename T, int L> static T *runPasses(const FourierPlan<T> &plan, T *a, T *b) {
  static const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return wide ? runPassesWide<T, L>(plan, a, b) : runPassesAnywhere<T, L>(plan, a, b);
}
#else
template <typename T, int L> static T *runPasses(const FourierPlan<T> &plan, T *a, T *b) {
  return runPassesAnywhere<T, L>(plan, a, b);
}
#endif

//===----------------------------------------------------------------------===//
// Convolution with a chirp
//===----------------------------------------------------------------------===//

/// Multiplies element `e` by a root; with `exchange` the parts change places, which makes the
/// forward transform that follows an inverse one.
template <typename T, int L> static void turn(T *a, int64_t e, Root<T> root, bool exchange) {
  T *re = a + 2 * L * e, *im = re + L;
  for (int v = 0; v < L; ++v) {
    T x = re[v] * root.re - im[v] * root.im, y = re[v] * root.im + im[v] * root.re;
    re[v] = exchange ? y : x;
    im[v] = exchange ? x : y;
  }
}

template <typename T, int L>
T *tessera::runtime::library::transform(const FourierPlan<T> &plan, T *a, T *b) {
  if (plan.chirp.empty())
    return runPasses<T, L>(plan, a, b);
  for (int64_t e = 0; e < plan.length; ++e)
    turn<T, L>(a, e, plan.chirp[e], false);
  for (int64_t x = 2 * L * plan.length; x < 2 * L * plan.inner; ++x)
    a[x] = 0;
  T *middle = runPasses<T, L>(plan, a, b);
  for (int64_t e = 0; e < plan.inner; ++e)
    turn<T, L>(middle, e, plan.spectrum[e], true);
  T *result = runPasses<T, L>(plan, middle, middle == a ? b : a);
  for (int64_t e = 0; e < plan.length; ++e) {
    T *re = result + 2 * L * e, *im = re + L;
    for (int v = 0; v < L; ++v)
      std::swap(re[v], im[v]);
    turn<T, L>(result, e, plan.chirp[e], false);
  }
  return result;
}

template <typename T>
FourierPlan<T>::FourierPlan(int64_t length)
    : length(length), inner(tessera_fft_inner_length(length)), radices(radicesOf(inner)),
      roots(rootsOf<T>(inner, inner)), halfTurn(rootsOf<T>(2 * length, length + 1)) {
  if (inner == length)
    return;
  std::vector<Root<T>> table(length);
  // k² without overflow: each is an odd number more than the one before.
  for (int64_t k = 0, square = 0; k < length; square = (square + 2 * k + 1) % (2 * length), ++k)
    table[k] = rootOf<T>(square, 2 * length);
  std::vector<T> a(2 * inner), b(2 * inner);
  T scale = 1 / static_cast<T>(inner);
  for (int64_t k = 0; k < length; ++k)
    for (int64_t at : {k, (inner - k) % inner}) {
      a[2 * at] = table[k].re * scale;
      a[2 * at + 1] = -table[k].im * scale;
    }
  const T *transformed = runPasses<T, 1>(*this, a.data(), b.data());
  spectrum.resize(inner);
  for (int64_t k = 0; k < inner; ++k)
    spectrum[k] = {transformed[2 * k], transformed[2 * k + 1]};
  chirp = std::move(table);
}

//===----------------------------------------------------------------------===//
// Keeping plans
//===----------------------------------------------------------------------===//

/// The plans used last, the latest first.
template <typename T>
std::shared_ptr<const FourierPlan<T>> tessera::runtime::library::fourierPlan(int64_t length) {
  using Plan = std::shared_ptr<const FourierPlan<T>>;
  constexpr size_t kKept = 32;
  // Never destroyed: other threads may still compute while the process ends.
  static std::mutex &lock = *new std::mutex;
  static std::vector<Plan> &kept = *new std::vector<Plan>;
  std::lock_guard<std::mutex> guard(lock);
  for (size_t i = 0; i < kept.size(); ++i)
    if (kept[i]->length == length) {
      Plan found = kept[i];
      kept.erase(kept.begin() + i);
      kept.insert(kept.begin(), found);
      return found;
    }
  Plan made = std::make_shared<const FourierPlan<T>>(length);
  kept.insert(kept.begin(), made);
  if (kept.size() > kKept)
    kept.pop_back();
  return made;
}

namespace tessera::runtime::library {
template std::shared_ptr<const FourierPlan<float>> fourierPlan(int64_t);
template std::shared_ptr<const FourierPlan<double>> fourierPlan(int64_t);
template float *transform<float, 1>(const FourierPlan<float> &, float *, float *);
template float *transform<float, 8>(const FourierPlan<float> &, float *, float *);
template double *transform<double, 1>(const FourierPlan<double> &, double *, double *);
template double *transform<double, 8>(const FourierPlan<double> &, double *, double *);
} // namespace tessera::runtime::library
