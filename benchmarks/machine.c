// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the core can do at most: fused multiply-adds on registers, and bytes read
// from memory. The widest vectors the machine has are used.

#include <immintrin.h>
#include <stdint.h>

enum { kChains = 24 };

__attribute__((target("avx512f"))) static float fma512(int64_t steps) {
  __m512 acc[kChains], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
  for (int i = 0; i < kChains; ++i)
    acc[i] = _mm512_set1_ps((float)i);
  for (int64_t s = 0; s < steps; ++s)
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i)
      acc[i] = _mm512_fmadd_ps(acc[i], x, y);
  float sum = 0;
  for (int i = 0; i < kChains; ++i)
    sum += _mm512_reduce_add_ps(acc[i]);
  return sum;
}

__attribute__((target("avx2,fma"))) static float fma256(int64_t steps) {
  __m256 acc[12], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
  for (int i = 0; i < 12; ++i)
    acc[i] = _mm256_set1_ps((float)i);
  for (int64_t s = 0; s < steps; ++s)
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i)
      acc[i] = _mm256_fmadd_ps(acc[i], x, y);
  float lanes[8], sum = 0;
  for (int i = 0; i < 12; ++i) {
    _mm256_storeu_ps(lanes, acc[i]);
    for (int l = 0; l < 8; ++l)
      sum += lanes[l];
  }
  return sum;
}

/// Runs `steps` rounds of independent fused multiply-adds; returns the floating-point operations done, or 0
/// where the machine has no FMA. `sink` keeps the work from being removed.
double tessera_bench_fma(int64_t steps, float *sink) {
  if (__builtin_cpu_supports("avx512f")) {
    *sink = fma512(steps);
    return (double)steps * kChains * 16 * 2;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    *sink = fma256(steps);
    return (double)steps * 12 * 8 * 2;
  }
  return 0;
}

/// Reads `bytes` (a multiple of 256) once, one word of every half line, fetching 4 KB ahead: without it one
/// core waits more than it reads.
uint64_t tessera_bench_read(const uint64_t *data, int64_t bytes) {
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (int64_t i = 0; i < bytes / 8; i += 32) {
    for (int64_t line = 0; line < 32; line += 8)
      __builtin_prefetch(data + i + 512 + line, 0, 2);
    a += data[i] + data[i + 4];
    b += data[i + 8] + data[i + 12];
    c += data[i + 16] + data[i + 20];
    d += data[i + 24] + data[i + 28];
  }
  return a + b + c + d;
}
