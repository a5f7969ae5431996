//===- KernelFamilyTest.cpp ------------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Programs that differ in sizes share code where it differs in numbers only, and
// give what programs of their own give.
//
//===----------------------------------------------------------------------===//

#include "compiler/api/Compiler.h"
#include "runtime/Program.h"

#include "llvm/Support/Alignment.h"
#include <gtest/gtest.h>

#include <cmath>
#include <set>

using namespace tessera;

namespace {

/// exp(x + 1) over `rows` x 64, or its softmax.
GraphModule graphOf(int64_t rows, bool softmax = false, double constant = 1) {
  std::string type = "tensor<" + std::to_string(rows) + "x64xf32>";
  std::string text = "func.func @main(%x: " + type + ") -> " + type +
                     " {\n  %c = graph.constant dense<" + std::to_string(constant) +
                     "> : tensor<f32>\n  %0 = graph.add %x, %c : (" + type + ", tensor<f32>) -> " +
                     type + "\n";
  text += softmax ? "  %1 = graph.softmax %0 dim = 1 : " + type : "  %1 = graph.exp %0 : " + type;
  text += "\n  return %1 : " + type + "\n}\n";
  Result<GraphModule> module = GraphModule::parse(text);
  EXPECT_TRUE(bool(module)) << module.message();
  return *module;
}

CompiledProgram compiled(const GraphModule &graph, const std::shared_ptr<KernelFamily> &family) {
  CompileOptions options;
  options.family = family;
  Result<CompiledProgram> result = compile(graph, options);
  EXPECT_TRUE(bool(result)) << result.message();
  return *result;
}

/// Runs the only kernel of a program on rows x 64 numbers.
std::vector<float> run(const CompiledProgram &program, int64_t rows) {
  const runtime::KernelSpec &kernel = program.program->kernels.at(0);
  size_t count = size_t(rows) * 64;
  std::vector<float> memory(2 * count + 64);
  auto *in = reinterpret_cast<float *>(llvm::alignAddr(memory.data(), llvm::Align(64)));
  float *out = in + count;
  for (size_t i = 0; i < count; ++i)
    in[i] = float(i % 97) / 97;
  std::vector<std::byte> scratch(size_t(kernel.scratchBytes) + 128);
  void *aligned = reinterpret_cast<void *>(llvm::alignAddr(scratch.data(), llvm::Align(64)));
  void *buffers[] = {in, out};
  EXPECT_EQ(kernel.entry(buffers, kernel.symbols.data(), aligned, 0, kernel.units), TESSERA_OK);
  return {out, out + count};
}

} // namespace

TEST(KernelFamily, SizesShareCode) {
  for (bool softmax : {false, true}) {
    std::shared_ptr<KernelFamily> family = makeKernelFamily();
    std::set<TesseraKernelFn> entries;
    CompileOptions options;
    options.family = family;
    Result<int> seen = noteSizes(graphOf(1280, softmax), options);
    ASSERT_TRUE(bool(seen)) << seen.message();
    EXPECT_EQ(*seen, 1);
    std::vector<CompiledProgram> programs;
    for (int64_t rows : {512, 768, 3072, 1024}) {
      programs.push_back(compiled(graphOf(rows, softmax), family));
      EXPECT_FALSE(programs.back().program->kernels.at(0).symbols.empty());
      entries.insert(programs.back().program->kernels.at(0).entry);
      CompiledProgram own = compiled(graphOf(rows, softmax), nullptr);
      EXPECT_EQ(run(programs.back(), rows), run(own, rows)) << rows;
    }
    EXPECT_EQ(entries.size(), 1u);
    EXPECT_FALSE(programs.front().launches.at(0).cached);
    EXPECT_TRUE(programs.back().launches.at(0).cached);
  }
}

TEST(KernelFamily, LearnsWhatDiffers) {
  // Without having seen two sizes the first code holds every number; the next one does not fit it.
  std::shared_ptr<KernelFamily> family = makeKernelFamily();
  CompiledProgram first = compiled(graphOf(512), family), second = compiled(graphOf(768), family),
                  third = compiled(graphOf(4096), family);
  EXPECT_TRUE(first.program->kernels.at(0).symbols.empty());
  EXPECT_NE(first.program->kernels.at(0).entry, second.program->kernels.at(0).entry);
  EXPECT_EQ(second.program->kernels.at(0).entry, third.program->kernels.at(0).entry);
  for (auto [program, rows] : {std::pair(&first, 512), {&second, 768}, {&third, 4096}})
    EXPECT_EQ(run(*program, rows), run(compiled(graphOf(rows), nullptr), rows));
}

TEST(KernelFamily, OtherNumbersAreOtherKernels) {
  // The same skeleton with another constant: the constant becomes a symbol, the values are right.
  std::shared_ptr<KernelFamily> family = makeKernelFamily();
  compiled(graphOf(512, false, 1), family);
  CompiledProgram two = compiled(graphOf(512, false, 2), family);
  EXPECT_NEAR(run(two, 512).at(0), std::exp(2.0), 1e-5);
  CompiledProgram one = compiled(graphOf(512, false, 1), family);
  EXPECT_NEAR(run(one, 512).at(0), std::exp(1.0), 1e-5);
}

TEST(KernelFamily, WritesAKernelOnce) {
  // What does not depend on the sizes that change is the same kernel in each program.
  std::shared_ptr<KernelFamily> family = makeKernelFamily();
  CompileOptions options;
  options.family = family;
  CompiledProgram first = compiled(graphOf(512), family);
  EXPECT_EQ(*noteSizes(graphOf(512), options), 0);
  EXPECT_EQ(*noteSizes(graphOf(768), options), 1);
  CompiledProgram again = compiled(graphOf(512), family);
  EXPECT_TRUE(again.launches.at(0).cached);
  EXPECT_EQ(run(again, 512), run(first, 512));
}

TEST(KernelFamily, ShowsTheCodeThatRuns) {
  std::shared_ptr<KernelFamily> family = makeKernelFamily();
  compiled(graphOf(512), family);
  CompiledProgram program = compiled(graphOf(768), family);
  Result<std::string> text = program.ir("target");
  ASSERT_TRUE(bool(text)) << text.message();
  EXPECT_NE(text->find("symbols ["), std::string::npos);
  EXPECT_NE(text->find("target.symbols"), std::string::npos);
  EXPECT_TRUE(bool(program.ir("llvm")));
  EXPECT_TRUE(bool(program.ir("asm")));
}
