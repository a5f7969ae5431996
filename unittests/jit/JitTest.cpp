//===- JitTest.cpp - machines, images, threads ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GemmText.h"
#include "TileHarness.h"

#include <gtest/gtest.h>

#include <thread>

using namespace tessera;
using namespace tessera::test;

namespace {

std::string messageOf(llvm::Error error) { return llvm::toString(std::move(error)); }

TEST(Machine, TheHostAndBaselines) {
  auto host = jit::machineFor();
  ASSERT_TRUE(static_cast<bool>(host)) << messageOf(host.takeError());
  EXPECT_TRUE(host->vectorBits == 512 || host->vectorBits == 256);
  EXPECT_FALSE(host->cpu.empty());
  auto avx2 = jit::machineFor("avx2");
  ASSERT_TRUE(static_cast<bool>(avx2)) << messageOf(avx2.takeError());
  EXPECT_EQ(avx2->vectorBits, 256);
  EXPECT_NE(avx2->features.find("+fma"), std::string::npos);
  EXPECT_EQ(avx2->features.find("avx512"), std::string::npos);
  EXPECT_NE(avx2->key(), host->key());
}

TEST(Machine, ErrorsSayWhatToDo) {
  auto unknown = jit::machineFor("pentium-nine");
  ASSERT_FALSE(static_cast<bool>(unknown));
  EXPECT_EQ(messageOf(unknown.takeError()), "[machine] unknown cpu 'pentium-nine'; use \"avx2\", "
                                            "\"avx512\", a name LLVM knows such as \"znver4\", or "
                                            "leave it empty for this machine's");
  auto old = jit::machineFor("x86-64-v2");
  ASSERT_FALSE(static_cast<bool>(old));
  EXPECT_NE(
      messageOf(old.takeError()).find("'x86-64-v2' has neither AVX-512 (F, BW, DQ, VL) nor AVX2"),
      std::string::npos);
  // Each of the two has instructions that the other lacks: no machine runs both.
  std::string refused;
  for (llvm::StringRef cpu : {"sapphirerapids", "znver5"}) {
    auto machine = jit::machineFor(cpu);
    if (!machine)
      refused += messageOf(machine.takeError());
  }
  EXPECT_NE(refused.find("cannot run code for '"), std::string::npos) << refused;
  EXPECT_NE(refused.find("leave the cpu empty for this machine's"), std::string::npos) << refused;
}

TEST(CodeImage, ManyObjectsMayUseOneName) {
  auto image = jit::CodeImage::create();
  ASSERT_TRUE(static_cast<bool>(image));
  std::vector<TesseraKernelFn> entries;
  for (int value : {3, 5}) {
    std::string body = "  %v = arith.constant " + std::to_string(value) +
                       " : i64\n  memref.store %v, %out[%c0] : memref<1xi64>";
    TileKernel kernel = compileTile(kernelText("%out: memref<1xi64>", body), "");
    ASSERT_TRUE(kernel.entry);
    auto entry = (*image)->add(kernel.object, "k");
    ASSERT_TRUE(static_cast<bool>(entry)) << messageOf(entry.takeError());
    entries.push_back(*entry);
  }
  int64_t a = 0, b = 0;
  void *first[] = {&a}, *second[] = {&b};
  EXPECT_EQ(entries[0](first, nullptr, nullptr, 0, 1), 0);
  EXPECT_EQ(entries[1](second, nullptr, nullptr, 0, 1), 0);
  EXPECT_EQ(a, 3);
  EXPECT_EQ(b, 5);
}

TEST(CodeImage, BadObjectsAreErrors) {
  auto image = jit::CodeImage::create();
  ASSERT_TRUE(static_cast<bool>(image));
  for (llvm::StringRef bytes : {"", "no object",
                                "\x7f"
                                "ELF"}) {
    auto entry = (*image)->add(bytes, "k");
    ASSERT_FALSE(static_cast<bool>(entry));
    llvm::consumeError(entry.takeError());
    auto text = jit::disassemble(bytes);
    ASSERT_FALSE(static_cast<bool>(text));
    llvm::consumeError(text.takeError());
  }
}

TEST(Jit, KernelsCompileOnManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 3; ++i) {
        TileKernel kernel = compileTile(gemmText({8 + t, 32, 16 + i}), t % 2 ? "avx2" : "");
        EXPECT_TRUE(kernel.entry);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

TEST(Jit, TheTextIsOfTheCode) {
  TileKernel kernel = compileTile(gemmText({8, 32, 16}), "avx2");
  ASSERT_TRUE(kernel.entry);
  std::string text = kernel.assembly();
  EXPECT_NE(text.find("k.body:"), std::string::npos);
  EXPECT_NE(text.find("\nk:"), std::string::npos);
  EXPECT_NE(text.find("vfmadd"), std::string::npos);
  EXPECT_NE(text.find("ymm"), std::string::npos);
  EXPECT_EQ(text.find("zmm"), std::string::npos);
}

} // namespace
