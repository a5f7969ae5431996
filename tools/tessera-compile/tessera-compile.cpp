//===- tessera-compile.cpp - one driver that can stop at any level ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads Graph IR, walks the whole road and prints the level asked for.
//
//===----------------------------------------------------------------------===//

#include "compiler/api/Compiler.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

static int fail(const Twine &message) {
  errs() << "tessera-compile: " << message << "\n";
  return 1;
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  // Local, not global: option objects belong to the tool, never to the libraries.
  cl::OptionCategory category("tessera-compile options");
  cl::opt<std::string> input(cl::Positional, cl::desc("<Graph IR file, or - >"), cl::init("-"),
                             cl::cat(category));
  cl::opt<std::string> output("o", cl::desc("Output file"), cl::value_desc("file"), cl::init("-"),
                              cl::cat(category));
  cl::opt<std::string> emit("emit",
                            cl::desc("Level to print: graph, schedule, tile, target, llvm or asm"),
                            cl::init("asm"), cl::cat(category));
  cl::opt<std::string> cpu("cpu", cl::desc("avx2, avx512 or an LLVM CPU name (default: the host)"),
                           cl::cat(category));
  cl::opt<int> threads("num-threads", cl::desc("Threads the schedule is made for"), cl::init(1),
                       cl::cat(category));
  cl::opt<bool> locations("locations", cl::desc("Print source locations"), cl::cat(category));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Compiles Graph IR and prints it at any level\n");

  auto buffer = MemoryBuffer::getFileOrSTDIN(input);
  if (!buffer)
    return fail(input + ": " + buffer.getError().message());
  auto module = tessera::GraphModule::parse((*buffer)->getBuffer().str());
  if (!module)
    return fail(module.message());
  tessera::CompileOptions options;
  options.cpu = cpu;
  options.threads = threads;
  auto program = tessera::compile(*module, options);
  if (!program)
    return fail(program.message());
  auto text = program->ir(emit, locations);
  if (!text)
    return fail(text.message());

  std::error_code error;
  ToolOutputFile file(output, error, sys::fs::OF_Text);
  if (error)
    return fail(output + ": " + error.message());
  file.os() << *text;
  file.keep();
  return 0;
}
