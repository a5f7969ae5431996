//===- GemmText.cpp - a matrix product written in Tile IR -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GemmText.h"
#include "TileHarness.h"

using namespace tessera::test;

static std::string memref(std::string shape, const std::string &element) {
  return "memref<" + shape + "x" + element + ">";
}

/// One tile of `rows` rows at %row of panel %panel.
static std::string tile(const GemmShape &s, int64_t rows, const std::string &a,
                        const std::string &b, const std::string &c) {
  std::string n = std::to_string(s.n), nr = std::to_string(s.nr);
  std::string acc = "vector<" + std::to_string(rows) + "x" + nr + "x" + s.acc + ">";
  std::string row = "vector<" + nr + "x" + s.acc + ">";
  std::string zero = s.acc[0] == 'f' ? "0.0" : "0";
  std::string text = "    %zero = arith.constant dense<" + zero + "> : " + acc + "\n";
  text += "    %r = tile.mma %zero, %a[%row, %c0], %b[%panel, %c0, %c0] depth %depth";
  if (s.prefetch)
    text += " prefetch [%next, %share, %c0]";
  text += " {unroll = " + std::to_string(s.unroll);
  if (s.prefetch) // spread over the tiles of a panel
    text += ", prefetchStep = " + std::to_string(std::max<int64_t>(1, s.nr * s.mr / s.m));
  text += "} : " + acc + ", " + a + ", " + b + "\n";
  for (int64_t i = 0; i < rows; ++i) {
    std::string id = std::to_string(i);
    text += "    %i" + id + " = arith.constant " + id + " : index\n    %row" + id +
            " = arith.addi %row, %i" + id + " : index\n    %v" + id + " = vector.extract %r[" + id +
            "] : " + row + " from " + acc + "\n    tile.store %v" + id + ", %c[%row" + id +
            ", %col] valid %left : " + row + ", " + c + "\n";
  }
  return text;
}

std::string tessera::test::gemmText(const GemmShape &s) {
  auto str = [](int64_t v) { return std::to_string(v); };
  std::string a = memref(str(s.m) + "x" + str(s.k), s.element),
              c = memref(str(s.m) + "x" + str(s.n), s.acc);
  std::string b =
      memref(str((s.n + s.nr - 1) / s.nr) + "x" + str(s.k) + "x" + str(s.nr), s.element);
  int64_t full = s.m / s.mr * s.mr;
  std::string text = "  %mr = arith.constant " + str(s.mr) + " : index\n  %full = arith.constant " +
                     str(full) + " : index\n  %depth = arith.constant " + str(s.k) +
                     " : index\n  %nr = arith.constant " + str(s.nr) +
                     " : index\n  %n = arith.constant " + str(s.n) +
                     " : index\n  %m = arith.constant " + str(s.m) + " : index\n";
  text += "  scf.for %panel = %begin to %end step %c1 {\n  %col = arith.muli %panel, %nr : index\n"
          "  %left = arith.subi %n, %col : index\n  %next = arith.addi %panel, %c1 : index\n";
  text += "  scf.for %row = %c0 to %full step %mr {\n";
  text += "    %scaled = arith.muli %row, %depth : index\n    %share = arith.divui %scaled, %m : "
          "index\n";
  text += tile(s, s.mr, a, b, c) + "  }\n";
  if (s.m != full) {
    text += "  scf.for %row = %full to %m step %mr {\n    %share = arith.constant 0 : index\n" +
            tile(s, s.m - full, a, b, c) + "  }\n";
  }
  text += "  }";
  return kernelText("%a: " + a + ", %b: " + b + ", %c: " + c, text);
}
