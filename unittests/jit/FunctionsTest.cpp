//===- FunctionsTest.cpp - accuracy of exp, exp2, erf, tanh, GELU ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every 97th float there is, and the special ones, against the C library in double.
//
//===----------------------------------------------------------------------===//

#include "TileHarness.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

using namespace tessera::test;

namespace {

constexpr int64_t kPoints = 1 << 12;

/// Applies `op` to blocks of kPoints floats or doubles, in vectors of `lanes` or as scalars (lanes
/// 0).
std::string functionKernel(const std::string &op, const std::string &element, int lanes) {
  std::string buffer = "memref<" + std::to_string(kPoints) + "x" + element + ">";
  std::string vector = "vector<" + std::to_string(lanes) + "x" + element + ">";
  std::string body = "  %n = arith.constant " + std::to_string(kPoints) + " : index\n";
  if (lanes == 0)
    body += "  scf.for %i = %c0 to %n step %c1 {\n    %x = memref.load %in[%i] : " + buffer +
            "\n    %y = " + op + " %x : " + element +
            "\n    memref.store %y, %out[%i] : " + buffer + "\n  }";
  else
    body += "  %s = arith.constant " + std::to_string(lanes) +
            " : index\n  scf.for %i = %c0 to %n step %s {\n    %left = arith.subi %n, %i : index\n "
            "   %x = tile.load "
            "%in[%i] valid %left : " +
            buffer + " -> " + vector + "\n    %y = " + op + " %x : " + vector +
            "\n    tile.store %y, %out[%i] valid %left : " + vector + ", " + buffer + "\n  }";
  return kernelText("%in: " + buffer + ", %out: " + buffer, body);
}

struct Case {
  std::string op;
  double (*reference)(double);
  double bound;           ///< in epsilons, relative above 1 and absolute below
  bool isProduct = false; ///< of the argument and a factor of at most 1: relative to the argument

  /// What the error is relative to, no less than `least`.
  double scale(double x, double exact, double least) const {
    return std::max(std::abs(isProduct ? x : exact), least);
  }
};

double gelu(double x) { return x * 0.5 * std::erfc(-x * std::sqrt(0.5)); }

double geluTanh(double x) {
  double root = std::sqrt(2 / std::numbers::pi);
  return x / (1 + std::exp(-2 * root * (x + 0.044715 * x * x * x)));
}

/// Largest error over all the floats tried; special values must agree exactly.
double largestError(const TileKernel &kernel, const Case &test, bool relative) {
  std::vector<float> in(kPoints), out(kPoints);
  double largest = 0;
  uint64_t bits = 0;
  while (bits <= std::numeric_limits<uint32_t>::max()) {
    for (float &x : in) {
      x = std::bit_cast<float>(static_cast<uint32_t>(std::min<uint64_t>(bits, 0xffffffff)));
      bits += 97;
    }
    in.front() = std::numeric_limits<float>::infinity();
    in[1] = -in[0];
    in[2] = -0.0f;
    in[3] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(kernel({in.data(), out.data()}), 0);
    for (int64_t i = 0; i < kPoints; ++i) {
      double exact = test.reference(in[i]);
      float rounded = static_cast<float>(exact);
      if (std::isnan(exact) || std::isinf(rounded) || exact == 0) {
        bool same = std::isnan(exact) ? std::isnan(out[i]) : out[i] == rounded;
        // Near the threshold of overflow an error within the bound may round either way.
        if (!same && !(std::isinf(rounded) && std::abs(exact) < 3.4029e38))
          ADD_FAILURE() << test.op << "(" << in[i] << ") = " << out[i] << ", expected " << exact;
        continue;
      }
      double scale = test.scale(in[i], exact, relative ? 1.2e-38 : 1.0);
      double error = std::isinf(out[i]) && exact > 3.4028e38 ? 0 : std::abs(out[i] - exact) / scale;
      largest = std::max(largest, error / 0x1p-23);
    }
  }
  return largest;
}

const Case kCases[] = {
    {"tile.exp", std::exp, 2.0},    {"tile.exp {accuracy = 1.0}", std::exp, 1.0},
    {"tile.exp2", std::exp2, 2.0},  {"tile.exp2 {accuracy = 1.0}", std::exp2, 1.0},
    {"tile.erf", std::erf, 3.0},    {"tile.tanh", std::tanh, 3.0},
    {"tile.gelu", gelu, 2.5, true}, {"tile.gelu_tanh", geluTanh, 2.5, true},
};

/// The attribute follows the operand: "tile.exp {a}" becomes a kernel with "tile.exp %x {a}".
std::string withAttribute(std::string text) {
  for (std::string op : {"tile.exp2", "tile.exp"}) {
    size_t at = text.find(op + " {");
    if (at == std::string::npos)
      continue;
    size_t open = at + op.size() + 1, close = text.find('}', open) + 1;
    std::string attribute = text.substr(open, close - open);
    text.erase(open, close - open + 1);
    text.insert(text.find(" :", open), " " + attribute);
  }
  return text;
}

TEST(Functions, AccuracyOverAllFloats) {
  for (const std::string &cpu : runnableCpus())
    for (const Case &test : kCases) {
      TileKernel kernel = compileTile(withAttribute(functionKernel(test.op, "f32", 64)), cpu);
      ASSERT_TRUE(kernel.entry);
      double error = largestError(kernel, test, /*relative=*/true);
      EXPECT_LE(error, test.bound) << test.op << " for " << cpu;
      RecordProperty(test.op + " " + cpu, std::to_string(error));
      std::printf("%-28s %-7s %.3f epsilon\n", test.op.c_str(), cpu.c_str(), error);
    }
}

TEST(Functions, ScalarsAndOddLanesAgreeWithTheLibrary) {
  std::vector<float> in(kPoints), out(kPoints);
  for (int64_t i = 0; i < kPoints; ++i)
    in[i] = -110.0f + 0.055f * i;
  for (const std::string &cpu : runnableCpus())
    for (const Case &test : kCases)
      for (int lanes : {0, 1, 4, 7, 24}) {
        TileKernel kernel = compileTile(withAttribute(functionKernel(test.op, "f32", lanes)), cpu);
        ASSERT_TRUE(kernel.entry);
        kernel({in.data(), out.data()});
        for (int64_t i = 0; i < kPoints; ++i) {
          double exact = test.reference(in[i]);
          if (std::abs(exact) < 3.4e38) {
            ASSERT_NEAR(out[i], exact, test.bound * 0x1p-23 * test.scale(in[i], exact, 1.0))
                << test.op << " " << lanes << " " << cpu << " " << in[i];
          }
        }
      }
}

TEST(Functions, LibraryFunctions) {
  const Case cases[] = {
      {"math.sin", std::sin, 4},     {"math.log", std::log, 4},      {"math.log1p", std::log1p, 4},
      {"math.expm1", std::expm1, 4}, {"math.cbrt", std::cbrt, 4},    {"math.atan", std::atan, 4},
      {"math.erfc", std::erfc, 6},   {"tile.exp", std::exp, 4},      {"tile.tanh", std::tanh, 4},
      {"tile.gelu", gelu, 4},        {"tile.gelu_tanh", geluTanh, 4}};
  std::vector<float> in(kPoints), out(kPoints);
  std::vector<double> in64(kPoints), out64(kPoints);
  for (int64_t i = 0; i < kPoints; ++i)
    in64[i] = in[i] = 0.001f + 0.0071f * i;
  for (const std::string &cpu : runnableCpus())
    for (const Case &test : cases)
      for (int lanes : {0, 3, 16, 24}) {
        TileKernel kernel = compileTile(functionKernel(test.op, "f32", lanes), cpu);
        TileKernel kernel64 = compileTile(functionKernel(test.op, "f64", lanes), cpu);
        ASSERT_TRUE(kernel.entry && kernel64.entry);
        kernel({in.data(), out.data()});
        kernel64({in64.data(), out64.data()});
        for (int64_t i = 0; i < kPoints; ++i) {
          double exact = test.reference(in[i]), scale = std::max(1.0, std::abs(exact));
          ASSERT_NEAR(out[i], exact, test.bound * 0x1p-23 * scale)
              << test.op << " " << lanes << " " << cpu << " " << in[i];
          ASSERT_NEAR(out64[i], exact, test.bound * 0x1p-52 * scale)
              << test.op << " " << lanes << " " << cpu;
        }
      }
}

} // namespace
