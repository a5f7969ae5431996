//===- MmaTest.cpp - the register-tile product ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Small whole numbers make every product and sum exact in each type, so results
// must agree exactly, whatever the order.
//
//===----------------------------------------------------------------------===//

#include "GemmText.h"
#include "TileHarness.h"

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cstring>
#include <sstream>

using namespace tessera::test;

namespace {

/// Bytes of `value` as an element of type `name`.
void put(std::vector<char> &to, const std::string &name, int value) {
  auto append = [&](auto v) {
    const char *bytes = reinterpret_cast<const char *>(&v);
    to.insert(to.end(), bytes, bytes + sizeof(v));
  };
  if (name == "f32")
    append(static_cast<float>(value));
  else if (name == "f64")
    append(static_cast<double>(value));
  else if (name == "bf16")
    append(static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16));
  else if (name == "f16")
    append(static_cast<_Float16>(value));
  else if (name == "i8")
    append(static_cast<int8_t>(value));
  else if (name == "i16")
    append(static_cast<int16_t>(value));
  else if (name == "i32")
    append(static_cast<int32_t>(value));
  else
    append(static_cast<int64_t>(value));
}

int64_t get(const std::vector<char> &from, const std::string &name, int64_t i) {
  auto read = [&](auto v) {
    std::memcpy(&v, from.data() + i * sizeof(v), sizeof(v));
    return static_cast<int64_t>(v);
  };
  if (name == "f32")
    return read(float());
  if (name == "f64")
    return read(double());
  if (name == "i8")
    return read(int8_t());
  if (name == "i32")
    return read(int32_t());
  return read(int64_t());
}

int valueAt(int64_t i, int64_t j) { return static_cast<int>((i * 7 + j * 13 + i * j) % 9) - 4; }

void check(const GemmShape &s, const std::string &cpu) {
  TileKernel kernel = compileTile(gemmText(s), cpu);
  ASSERT_TRUE(kernel.entry);
  std::vector<char> a, b, c;
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t k = 0; k < s.k; ++k)
      put(a, s.element, valueAt(i, k));
  int64_t panels = (s.n + s.nr - 1) / s.nr;
  for (int64_t p = 0; p < panels; ++p)
    for (int64_t k = 0; k < s.k; ++k)
      for (int64_t j = 0; j < s.nr; ++j)
        put(b, s.element, p * s.nr + j < s.n ? valueAt(k + 1, p * s.nr + j) : 0);
  for (int64_t i = 0; i < s.m * s.n; ++i)
    put(c, s.acc, 77);
  kernel({a.data(), b.data(), c.data()}, 0, panels);
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      int64_t sum = 0;
      for (int64_t k = 0; k < s.k; ++k)
        sum += valueAt(i, k) * valueAt(k + 1, j);
      if (s.acc == "i8")
        sum = static_cast<int8_t>(sum);
      ASSERT_EQ(get(c, s.acc, i * s.n + j), sum) << s.element << " " << cpu << " " << i << "," << j;
    }
}

TEST(Mma, TailsInEveryDirection) {
  for (const std::string &cpu : runnableCpus())
    for (GemmShape s :
         {GemmShape{8, 32, 16}, GemmShape{9, 33, 5}, GemmShape{7, 31, 1}, GemmShape{16, 64, 7},
          GemmShape{17, 40, 66, 16, 16, 2}, GemmShape{12, 70, 13, 6, 64, 1},
          GemmShape{5, 20, 9, 4, 24, 3}, GemmShape{1, 100, 30, 1, 64, 8},
          GemmShape{3, 20, 800, 3, 32, 3}, GemmShape{8, 32, 777, 8, 32, 5}})
      for (bool prefetch : {false, true}) {
        s.prefetch = prefetch;
        check(s, cpu);
      }
}

TEST(Mma, ElementTypes) {
  for (const std::string &cpu : runnableCpus())
    for (auto [element, acc] :
         {std::pair("f64", "f64"), std::pair("bf16", "f32"), std::pair("f16", "f32"),
          std::pair("i8", "i32"), std::pair("i8", "i8"), std::pair("i16", "i64"),
          std::pair("i32", "i32"), std::pair("i64", "i64")})
      check(GemmShape{11, 45, 10, 8, 32, 4, element, acc}, cpu);
}

/// Spills would show as accesses of the stack among the products. Strips lie apart: what passes
/// between them over the stack does so where no product is near.
TEST(Mma, AccumulatorsStayInRegisters) {
  for (const std::string &cpu : runnableCpus())
    for (auto [mr, nr] : {std::pair(8, 32), std::pair(12, 32), std::pair(6, 64), std::pair(4, 64),
                          std::pair(16, 16)}) {
      TileKernel kernel =
          compileTile(gemmText({64, 256, 1024, mr, nr, 4, "f32", "f32", true}), cpu);
      ASSERT_TRUE(kernel.entry);
      std::istringstream text(kernel.assembly());
      std::vector<std::string> lines;
      for (std::string line; std::getline(text, line);)
        lines.push_back(line);
      for (size_t i = 1; i + 1 < lines.size(); ++i)
        if (lines[i].find("(%rsp)") != std::string::npos &&
            lines[i].find("mm") != std::string::npos) {
          EXPECT_FALSE(lines[i - 1].find("vfmadd") != std::string::npos &&
                       lines[i + 1].find("vfmadd") != std::string::npos)
              << mr << "x" << nr << " " << cpu << lines[i];
        }
    }
}

/// GFLOP/s of a compute-bound product, beside the machine's peak; run it by hand.
TEST(Mma, DISABLED_Speed) {
  for (const std::string &cpu : runnableCpus())
    for (auto [mr, nr] : {std::pair(8, 32), std::pair(12, 32), std::pair(6, 64)})
      for (int unroll : {1, 2, 4}) {
        GemmShape s{1024 / mr * mr, 1024, 1024, mr, nr, unroll, "f32", "f32", true};
        TileKernel kernel = compileTile(gemmText(s), cpu);
        ASSERT_TRUE(kernel.entry);
        std::vector<float> a(s.m * s.k, 1), b(s.n * s.k + 4096, 1), c(s.m * s.n);
        double best = 1e9;
        for (int r = 0; r < 15; ++r) {
          auto start = std::chrono::steady_clock::now();
          kernel({a.data(), b.data(), c.data()}, 0, s.n / s.nr);
          best = std::min(
              best,
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        }
        std::printf("%-7s %2dx%2d unroll %d: %.1f GFLOP/s; lower %.1f, codegen %.1f, load %.2f ms, "
                    "%zu bytes\n",
                    cpu.c_str(), mr, nr, unroll, 2e-9 * s.m * s.n * s.k / best, kernel.lowerMs,
                    kernel.codegenMs, kernel.loadMs, kernel.object.size());
      }
}

} // namespace
