//===- MemoryTest.cpp - loads, stores and packing -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TileHarness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

using namespace tessera::test;

namespace {

std::string str(int64_t v) { return std::to_string(v); }

std::string typeOf(int64_t bytes) { return "i" + str(8 * bytes); }

/// `count` numbers as elements of `bytes` bytes.
std::vector<char> numbers(int64_t count, int64_t bytes) {
  std::vector<char> result(count * bytes);
  for (int64_t i = 0; i < count; ++i)
    for (int64_t b = 0; b < std::min<int64_t>(bytes, 4); ++b)
      result[i * bytes + b] = static_cast<char>((i * 2654435761u) >> (8 * b));
  return result;
}

std::vector<char> element(const std::vector<char> &from, int64_t i, int64_t bytes) {
  return {from.begin() + i * bytes, from.begin() + (i + 1) * bytes};
}

/// Copies `valid` of `lanes` elements with every stride, through one load and one store.
TEST(Memory, StridesAndMasks) {
  constexpr int64_t kLanes = 24;
  for (const std::string &cpu : runnableCpus())
    for (int64_t bytes : {1, 2, 4, 8})
      for (int64_t stride : {0, 1, 2, 7, -1, -3}) {
        std::string type = typeOf(bytes), vector = "vector<24x" + type + ">";
        std::string in = "memref<24x" + type + ", strided<[" + str(stride) + "], offset: 5>>";
        std::string out = "memref<24x" + type + ", strided<[3]>>";
        std::string text = "  %pad = arith.constant 9 : " + type +
                           "\n  %v = tile.load %in[%c0] valid %begin pad %pad : " + type + " : " +
                           in + " -> " + vector +
                           "\n  tile.store %v, %out[%c0] valid %end : " + vector + ", " + out;
        TileKernel kernel = compileTile(kernelText("%in: " + in + ", %out: " + out, text), cpu);
        ASSERT_TRUE(kernel.entry);
        for (int64_t valid : {0, 1, 5, 16, 23, 24, 40}) {
          std::vector<char> from = numbers(400, bytes), to(200 * bytes, 7);
          int64_t stored = std::min<int64_t>(kLanes, valid + 2);
          kernel({from.data() + 200 * bytes, to.data()}, valid, stored);
          std::vector<char> pad(bytes, 0), untouched(bytes, 7);
          pad[0] = 9;
          for (int64_t i = 0; i < 60; ++i) {
            int64_t lane = i / 3;
            std::vector<char> expected = untouched;
            if (i % 3 == 0 && lane < stored)
              expected = lane < valid ? element(from, 200 + lane * stride, bytes) : pad;
            ASSERT_EQ(element(to, i, bytes), expected)
                << cpu << " " << type << " stride " << stride << " valid " << valid << " at " << i;
          }
        }
      }
}

/// A panel of every shape against the definition.
TEST(Pack, AgreesWithTheDefinition) {
  for (const std::string &cpu : runnableCpus())
    for (int64_t bytes : {1, 2, 4, 8})
      for (int64_t nr : {8, 16, 32, 40})
        for (bool transposed : {false, true}) {
          std::string type = typeOf(bytes), layout = transposed ? "[1, 50]" : "[60, 1]";
          std::string src = "memref<45x50x" + type + ", strided<" + layout + ">>";
          std::string dst = "memref<2x45x" + str(nr) + "x" + type + ">";
          std::string text =
              "  tile.pack %src[%c1, %c1], %dst[%c1, %c0, %c0] depth %begin valid %end : " + src +
              ", " + dst;
          TileKernel kernel = compileTile(kernelText("%src: " + src + ", %dst: " + dst, text), cpu);
          ASSERT_TRUE(kernel.entry);
          for (auto [depth, valid] :
               {std::pair<int64_t, int64_t>{1, 3}, {16, nr}, {35, nr}, {35, nr - 1}, {7, nr}}) {
            std::vector<char> from = numbers(4000, bytes), to(2 * 45 * nr * bytes, 7);
            kernel({from.data(), to.data()}, depth, valid);
            for (int64_t k = 0; k < 45; ++k)
              for (int64_t j = 0; j < nr; ++j) {
                std::vector<char> expected(bytes, k < depth ? 0 : 7);
                if (k < depth && j < valid)
                  expected = element(from, transposed ? k + 1 + 50 * (j + 1) : 60 * (k + 1) + j + 1,
                                     bytes);
                ASSERT_EQ(element(to, (45 + k) * nr + j, bytes), expected)
                    << cpu << " " << type << " nr " << nr << (transposed ? " transposed " : " ")
                    << k << "," << j;
              }
          }
        }
}

/// Views of scratch: what one kernel lays out in it comes back.
TEST(Memory, ScratchViews) {
  std::string body = R"(
  %c64 = arith.constant 64 : index
  %rows = memref.view %scratch[%c64][] : memref<?xi8> to memref<4x40xf32>
  %row = memref.subview %rows[1, 8] [2, 24] [1, 1] : memref<4x40xf32> to memref<2x24xf32, strided<[40, 1], offset: 48>>
  %v = tile.load %in[%c0] : memref<24xf32> -> vector<24xf32>
  tile.store %v, %row[%c1, %c0] : vector<24xf32>, memref<2x24xf32, strided<[40, 1], offset: 48>>
  %c2 = arith.constant 2 : index
  %c9 = arith.constant 9 : index
  %w = tile.load %rows[%c2, %c9] : memref<4x40xf32> -> vector<23xf32>
  tile.store %w, %out[%c0] : vector<23xf32>, memref<24xf32>)";
  for (const std::string &cpu : runnableCpus()) {
    TileKernel kernel =
        compileTile(kernelText("%in: memref<24xf32>, %out: memref<24xf32>", body), cpu);
    ASSERT_TRUE(kernel.entry);
    std::vector<float> in(24), out(24, -1), scratch(200, -2);
    std::iota(in.begin(), in.end(), 1);
    kernel({in.data(), out.data()}, 0, 1, scratch.data());
    for (int i = 0; i < 23; ++i)
      EXPECT_EQ(out[i], in[i + 1]);
    EXPECT_EQ(out[23], -1);
    EXPECT_EQ(scratch[16 + 2 * 40 + 8], 1);
  }
}

/// Shapes of vectors: rows, slices, broadcasts, reductions, narrow floats.
TEST(Vectors, RowsSlicesReductions) {
  std::string body = R"(
  %a = tile.load %in[%c0] : memref<96xf32> -> vector<96xf32>
  %m = vector.shape_cast %a : vector<96xf32> to vector<4x24xf32>
  %r1 = vector.extract %m[1] : vector<24xf32> from vector<4x24xf32>
  %n = vector.insert %r1, %m [3] : vector<24xf32> into vector<4x24xf32>
  %r3 = vector.extract %n[3] : vector<24xf32> from vector<4x24xf32>
  %sum = vector.reduction <add>, %r3 : vector<24xf32> into f32
  %max = vector.reduction <maximumf>, %a : vector<96xf32> into f32
  %slice = vector.extract_strided_slice %a {offsets = [13], sizes = [20], strides = [1]} : vector<96xf32> to vector<20xf32>
  %s19 = vector.extract %slice[19] : f32 from vector<20xf32>
  %b = vector.broadcast %s19 : f32 to vector<2x24xf32>
  %b1 = vector.extract %b[1, 17] : f32 from vector<2x24xf32>
  %h = arith.truncf %a : vector<96xf32> to vector<96xbf16>
  %e = arith.extf %h : vector<96xbf16> to vector<96xf32>
  %e7 = vector.extract %e[7] : f32 from vector<96xf32>
  %d = arith.extf %a : vector<96xf32> to vector<96xf64>
  %hh = arith.truncf %d : vector<96xf64> to vector<96xf16>
  %hd = arith.extf %hh : vector<96xf16> to vector<96xf64>
  %hd9 = vector.extract %hd[9] : f64 from vector<96xf64>
  %hs = arith.truncf %hd9 : f64 to f32
  %all = vector.from_elements %sum, %max, %s19, %b1, %e7, %hs : vector<6xf32>
  tile.store %all, %out[%c0] : vector<6xf32>, memref<6xf32>)";
  for (const std::string &cpu : runnableCpus()) {
    TileKernel kernel =
        compileTile(kernelText("%in: memref<96xf32>, %out: memref<6xf32>", body), cpu);
    ASSERT_TRUE(kernel.entry);
    std::vector<float> in(96), out(6);
    for (int i = 0; i < 96; ++i)
      in[i] = 1.0f + 0.37f * ((i * 41) % 96);
    kernel({in.data(), out.data()});
    float sum = 0, max = 0;
    for (int i = 0; i < 96; ++i) {
      sum += i / 24 == 1 ? in[i] : 0;
      max = std::max(max, in[i]);
    }
    EXPECT_NEAR(out[0], sum, 1e-3);
    EXPECT_EQ(out[1], max);
    EXPECT_EQ(out[2], in[32]);
    EXPECT_EQ(out[3], in[32]);
    EXPECT_NEAR(out[4], in[7], in[7] / 256);
    EXPECT_NEAR(out[5], in[9], in[9] / 2048);
    EXPECT_EQ(out[5], static_cast<float>(static_cast<_Float16>(in[9])));
  }
}

/// Largest elements, whose NaNs either propagate or are passed over, in vectors of any length.
TEST(Vectors, Extrema) {
  for (const std::string &cpu : runnableCpus())
    for (int lanes : {1, 2, 3, 7, 16, 24, 37}) {
      std::string vector = "vector<" + str(lanes) + "xf32>";
      std::string body =
          "  %v = tile.load %in[%c0] : memref<40xf32> -> " + vector +
          "\n  %a = vector.reduction <maximumf>, %v : " + vector +
          " into f32\n  %b = vector.reduction <minnumf>, %v : " + vector +
          " into f32\n  memref.store %a, %out[%c0] : memref<2xf32>\n  memref.store %b, "
          "%out[%c1] : memref<2xf32>";
      TileKernel kernel =
          compileTile(kernelText("%in: memref<40xf32>, %out: memref<2xf32>", body), cpu);
      ASSERT_TRUE(kernel.entry);
      for (int special = 0; special < lanes; ++special) {
        std::vector<float> in(40, 3.0f), out(2);
        in[special] = 8.0f;
        kernel({in.data(), out.data()});
        EXPECT_EQ(out[0], 8.0f) << lanes << " " << special;
        EXPECT_EQ(out[1], lanes == 1 ? 8.0f : 3.0f) << lanes << " " << special;
        in[special] = std::numeric_limits<float>::quiet_NaN();
        kernel({in.data(), out.data()});
        EXPECT_TRUE(std::isnan(out[0])) << lanes << " " << special;
        if (lanes > 1) {
          EXPECT_EQ(out[1], 3.0f) << lanes << " " << special;
        }
      }
    }
}

} // namespace
