//===- FourierTest.cpp - Fourier transforms against their definition ------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Library.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <type_traits>
#include <vector>

namespace {
using Complex = std::complex<double>;
using Exact = std::complex<long double>;

/// Some numbers that have nothing to do with one another.
std::vector<double> numbers(int64_t count, unsigned seed) {
  std::vector<double> values(count);
  for (double &value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<double>(seed >> 8) / (1 << 23) - 1;
  }
  return values;
}

std::vector<Complex> definition(const std::vector<Complex> &x, double sign) {
  int64_t n = x.size();
  std::vector<Exact> roots(n);
  for (int64_t k = 0; k < n; ++k) {
    long double angle = 2 * M_PIl * k / n;
    roots[k] = {cosl(angle), sign * sinl(angle)};
  }
  std::vector<Complex> y(n);
  for (int64_t k = 0; k < n; ++k) {
    Exact sum;
    for (int64_t j = 0; j < n; ++j)
      sum += Exact(x[j]) * roots[j * k % n];
    y[k] = Complex(sum);
  }
  return y;
}

/// Matrices whose rows lie along `dim`, of one element type, and a call with them.
template <typename T> struct Harness {
  int64_t rows, dim;
  std::vector<std::vector<T>> tensors;
  std::vector<int64_t> lengths;

  void add(int64_t length, const std::vector<double> &values) {
    lengths.push_back(length);
    std::vector<T> tensor(rows * length);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t e = 0; e < length && !values.empty(); ++e)
        tensor[place(row, e, length)] = static_cast<T>(values[row * length + e]);
    tensors.push_back(std::move(tensor));
  }
  int64_t place(int64_t row, int64_t e, int64_t length) const {
    return dim == 1 ? row * length + e : e * rows + row;
  }
  double at(int tensor, int64_t row, int64_t e) const {
    return tensors[tensor][place(row, e, lengths[tensor])];
  }
  template <typename Function>
  void call(Function function, double scale, int64_t inverse, int64_t length) {
    std::vector<int64_t> description{static_cast<int64_t>(tensors.size())};
    std::vector<void *> buffers;
    for (size_t t = 0; t < tensors.size(); ++t) {
      buffers.push_back(tensors[t].data());
      int64_t n = lengths[t];
      for (int64_t number :
           {int64_t(std::is_same_v<T, float> ? TESSERA_F32 : TESSERA_F64), int64_t(2),
            dim == 1 ? rows : n, dim == 1 ? n : rows, dim == 1 ? n : rows, int64_t(1)})
        description.push_back(number);
    }
    int64_t bits;
    std::memcpy(&bits, &scale, sizeof(bits));
    for (int64_t number : {dim, bits, inverse})
      description.push_back(number);
    std::vector<double> scratch(tessera_fft_scratch(length) / sizeof(double) + 1);
    ASSERT_EQ(function(buffers.data(), description.data(), scratch.data(), 0, rows), TESSERA_OK);
  }
};

/// How far apart numbers may be whose like is of size `size`.
template <typename T> double allowed(double size) {
  return (std::is_same_v<T, float> ? 6e-7 : 1e-15) * (size + 1);
}

template <typename T> void checkComplex(int64_t n, int64_t rows, int64_t dim, bool inverse) {
  Harness<T> harness{rows, dim, {}, {}};
  std::vector<double> re = numbers(rows * n, 1), im = numbers(rows * n, 2);
  for (const auto &values : {re, im, {}, {}})
    harness.add(n, values);
  harness.call(tessera_fft, 0.5, inverse, n);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<Complex> x(n);
    for (int64_t e = 0; e < n; ++e)
      x[e] = {harness.at(0, row, e), harness.at(1, row, e)};
    std::vector<Complex> y = definition(x, inverse ? 1 : -1);
    for (int64_t k = 0; k < n; ++k) {
      Complex got(harness.at(2, row, k), harness.at(3, row, k));
      ASSERT_LE(std::abs(got - 0.5 * y[k]), allowed<T>(std::sqrt(n)))
          << n << " row " << row << " element " << k;
    }
  }
}

template <typename T> void checkReal(int64_t n, int64_t rows, int64_t dim) {
  Harness<T> harness{rows, dim, {}, {}};
  harness.add(n, numbers(rows * n, 3));
  harness.add(n / 2 + 1, {});
  harness.add(n / 2 + 1, {});
  harness.call(tessera_real_fft, 1, 0, n);
  Harness<T> back{rows, dim, {}, {}};
  for (int t : {1, 2}) {
    back.tensors.push_back(harness.tensors[t]);
    back.lengths.push_back(n / 2 + 1);
  }
  back.add(n, {});
  back.call(tessera_inverse_real_fft, 1.0 / n, 0, n);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<Complex> x(n);
    for (int64_t e = 0; e < n; ++e)
      x[e] = harness.at(0, row, e);
    std::vector<Complex> y = definition(x, -1);
    for (int64_t k = 0; k <= n / 2; ++k) {
      Complex got(harness.at(1, row, k), harness.at(2, row, k));
      ASSERT_LE(std::abs(got - y[k]), allowed<T>(std::sqrt(n))) << n << " element " << k;
    }
    for (int64_t e = 0; e < n; ++e)
      ASSERT_LE(std::abs(back.at(2, row, e) - x[e].real()), allowed<T>(2)) << n << " back " << e;
  }
}

// Every radix, squares of primes, primes beyond the largest radix, and what is made of both.
const int64_t lengths[] = {1,  2,   3,   4,   5,   6,   7,   8,   9,   10,  11,  12,  13,   15,  16,
                           17, 19,  23,  25,  29,  30,  31,  32,  37,  41,  49,  60,  64,   74,  77,
                           97, 100, 121, 128, 169, 210, 243, 256, 311, 480, 512, 961, 1000, 1022};

TEST(Fourier, ComplexRows) {
  for (int64_t n : lengths)
    for (bool inverse : {false, true}) {
      checkComplex<double>(n, 1, 1, inverse);
      checkComplex<float>(n, 3, 0, inverse);
    }
}

TEST(Fourier, RealRowsAndBack) {
  for (int64_t n : lengths) {
    checkReal<double>(n, 3, 1);
    checkReal<float>(n, 1, 0);
  }
}

TEST(Fourier, RowsSideBySide) {
  for (int64_t rows : {2, 8, 9, 19}) {
    checkComplex<float>(60, rows, 1, false);
    checkComplex<double>(37, rows, 0, true);
    checkReal<float>(48, rows, 1);
    checkReal<float>(35, rows, 0);
  }
}

TEST(Fourier, LongRows) {
  checkComplex<float>(4608, 1, 1, false);
  checkComplex<double>(2503, 2, 1, true);
  checkReal<float>(6000, 1, 1);
}

// Rows that are transformed together stay strangers.
TEST(Fourier, RowsDoNotMix) {
  Harness<float> harness{8, 1, {}, {}};
  std::vector<double> values = numbers(8 * 16, 5);
  values[3 * 16] = NAN;
  for (int64_t e = 0; e < 16; ++e)
    values[5 * 16 + e] *= 1e30;
  harness.add(16, values);
  harness.add(9, {});
  harness.add(9, {});
  harness.call(tessera_real_fft, 1, 0, 16);
  for (int64_t row = 0; row < 8; ++row)
    for (int64_t k = 0; k < 9; ++k) {
      EXPECT_EQ(std::isnan(harness.at(1, row, k)), row == 3);
      EXPECT_TRUE(row == 5 || row == 3 || std::abs(harness.at(1, row, k)) < 100);
    }
}
} // namespace
