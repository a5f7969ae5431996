//===- KernelFamily.cpp - code shared by programs of different sizes -------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/KernelFamily.h"

#include "compiler/target/transforms/Immediates.h"

#include "llvm/Support/raw_ostream.h"

#include <tuple>

using namespace mlir;
using namespace tessera;

/// The symbol of code that serves several kernels.
constexpr llvm::StringLiteral kKernelName = "kernel";
/// Kernels that are remembered: those of hundreds of sizes.
constexpr unsigned kMaxKnown = 20000;

std::optional<SeenKernel> KernelFamily::seen(llvm::StringRef key) {
  std::lock_guard<std::mutex> lock(mutex);
  auto it = known.find(key);
  if (it == known.end())
    return std::nullopt;
  return it->second;
}

void KernelFamily::remember(llvm::StringRef key, SeenKernel kernel) {
  kernel.kernel.isNew = false;
  std::lock_guard<std::mutex> lock(mutex);
  if (known.size() >= kMaxKnown)
    known.clear();
  known[key] = std::move(kernel);
}

bool KernelFamily::Template::fits(const std::vector<int64_t> &numbers) const {
  std::vector<std::optional<int64_t>> values(count);
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (symbols[i] < 0) {
      if (numbers[i] != first[i])
        return false;
      continue;
    }
    std::optional<int64_t> &value = values[symbols[i]];
    if (value && *value != numbers[i])
      return false;
    value = numbers[i];
  }
  return true;
}

void KernelFamily::Template::learn(const std::vector<int64_t> &numbers) {
  // Numbers stay together while they are equal in every kernel; those that never changed have no
  // symbol.
  std::map<std::tuple<int, int64_t, int64_t>, int> classes;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (symbols[i] < 0 && numbers[i] == first[i])
      continue;
    // What changes for the first time had one value so far.
    std::tuple key(symbols[i], symbols[i] < 0 ? first[i] : 0, numbers[i]);
    symbols[i] = classes.try_emplace(key, static_cast<int>(classes.size())).first->second;
  }
  count = static_cast<int>(classes.size());
  code = nullptr;
  ++version;
}

std::vector<int64_t> KernelFamily::Template::read(const std::vector<int64_t> &numbers) const {
  std::vector<int64_t> values(count);
  for (size_t i = 0; i < numbers.size(); ++i)
    if (symbols[i] >= 0)
      values[symbols[i]] = numbers[i];
  return values;
}

KernelFamily::Template &KernelFamily::templateOf(const std::string &skeleton,
                                                 const std::vector<int64_t> &numbers) {
  auto [it, isNew] = templates.try_emplace(skeleton);
  Template &found = it->second;
  if (isNew) {
    found.first = numbers;
    found.symbols.assign(numbers.size(), -1);
  } else if (!found.fits(numbers)) {
    found.learn(numbers);
  }
  return found;
}

void KernelFamily::note(func::FuncOp kernel) {
  target::Immediates immediates(kernel);
  std::lock_guard<std::mutex> lock(mutex);
  templateOf(immediates.getSkeleton(), immediates.getNumbers());
}

/// Everything the code of a template depends on, but for the machine and the compiler.
static std::string describe(const std::string &skeleton, const std::vector<int64_t> &numbers,
                            const std::vector<int> &symbols) {
  std::string text = skeleton;
  llvm::raw_string_ostream os(text);
  for (auto [number, symbol] : llvm::zip_equal(numbers, symbols)) {
    if (symbol < 0)
      os << ' ' << number;
    else
      os << " s" << symbol;
  }
  return text;
}

llvm::Expected<TesseraKernelFn> KernelFamily::link(const std::string &object) {
  if (!image) {
    auto made = jit::CodeImage::create();
    if (!made)
      return made.takeError();
    image = *made;
  }
  return image->add(object, kKernelName);
}

llvm::Expected<FamilyKernel>
KernelFamily::codeFor(ModuleOp module, const jit::ObjectCache &cache, llvm::StringRef cacheKey,
                      llvm::function_ref<llvm::Expected<std::string>(ModuleOp)> compile) {
  func::FuncOp function = *module.getOps<func::FuncOp>().begin();
  target::Immediates immediates(function);
  const std::vector<int64_t> &numbers = immediates.getNumbers();
  FamilyKernel kernel;
  std::vector<int> symbols;
  int version;
  {
    std::lock_guard<std::mutex> lock(mutex);
    const Template &found = templateOf(immediates.getSkeleton(), numbers);
    kernel = {found.code, found.read(numbers), false};
    if (kernel.code)
      return kernel;
    symbols = found.symbols;
    version = found.version;
  }
  // The name tells the sizes of one kernel: code for many has one of its own.
  function.setName(kKernelName);
  immediates.parametrize(symbols);
  auto code = std::make_shared<FamilyCode>();
  llvm::raw_string_ostream(code->target) << module;
  std::string key =
      jit::ObjectCache::key({cacheKey, describe(immediates.getSkeleton(), numbers, symbols)});
  if (std::optional<std::string> object = cache.load(key)) {
    code->object = std::move(*object);
  } else {
    llvm::Expected<std::string> made = compile(module);
    if (!made)
      return made.takeError();
    code->object = std::move(*made);
    cache.store(key, code->object);
  }
  std::lock_guard<std::mutex> lock(mutex);
  llvm::Expected<TesseraKernelFn> entry = link(code->object);
  if (!entry)
    return entry.takeError();
  code->entry = *entry;
  // Another thread may have learned more meanwhile; this kernel keeps what it asked for.
  if (Template &found = templates[immediates.getSkeleton()]; found.version == version)
    found.code = code;
  kernel.code = std::move(code);
  kernel.isNew = true;
  return kernel;
}
