//===- CodeImage.cpp - loaded machine code --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/Jit.h"

#include "runtime/abi/Library.h"
#include "runtime/abi/Mathematics.h"

#include "llvm/ADT/bit.h"
#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

#include <atomic>

using namespace tessera;
using namespace tessera::jit;

namespace {
/// `__truncsfbf2`, which LLVM calls where a lone bf16 passes through a register of a machine that
/// has none for them. Half to even; the result is the low half of the register of a float.
float truncateToBF16(float x) {
  uint32_t bits = llvm::bit_cast<uint32_t>(x);
  if (x != x)
    bits |= 0x400000; // quiet, so that no payload is rounded away
  else
    bits += 0x7fff + (bits >> 16 & 1);
  return llvm::bit_cast<float>(bits >> 16);
}

/// Gives kernels the functions of runtime/abi/Library.h and Mathematics.h by name.
class RuntimeFunctions : public llvm::orc::DefinitionGenerator {
public:
  llvm::Error tryToGenerate(llvm::orc::LookupState &, llvm::orc::LookupKind,
                            llvm::orc::JITDylib &dylib, llvm::orc::JITDylibLookupFlags,
                            const llvm::orc::SymbolLookupSet &wanted) override {
    llvm::orc::SymbolMap found;
    auto define = [&](const llvm::orc::SymbolStringPtr &symbol, auto function) {
      found[symbol] = {llvm::orc::ExecutorAddr::fromPtr(function),
                       llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
    };
    for (const auto &symbol : wanted) {
      std::string name = (*symbol.first).str();
      if (TesseraLibraryFn function = tessera_library_function(name.c_str()))
        define(symbol.first, function);
      else if (TesseraMathFn function = tessera_math_function(name.c_str()))
        define(symbol.first, function);
      else if (name == "__truncsfbf2")
        define(symbol.first, truncateToBF16);
    }
    if (found.empty())
      return llvm::Error::success();
    return dylib.define(llvm::orc::absoluteSymbols(std::move(found)));
  }
};
} // namespace

struct CodeImage::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  /// libmvec, where it is there, and libm.
  llvm::orc::JITDylib *mathLibrary = nullptr;
  /// The runtime's own functions.
  llvm::orc::JITDylib *runtimeLibrary = nullptr;
  std::atomic<unsigned> objects{0};
};

CodeImage::CodeImage(std::unique_ptr<Impl> impl) : impl(std::move(impl)) {}
CodeImage::~CodeImage() = default;

llvm::Expected<std::shared_ptr<CodeImage>> CodeImage::create() {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::orc::LLJITBuilder builder;
  builder.setJITTargetMachineBuilder(
      llvm::orc::JITTargetMachineBuilder(llvm::Triple(llvm::sys::getDefaultTargetTriple())));
  // Kernels have no constructors, exceptions or thread-local storage for a platform to look after.
  builder.setPlatformSetUp(llvm::orc::setUpInactivePlatform);
  auto jit = builder.create();
  if (!jit)
    return jit.takeError();
  auto impl = std::make_unique<Impl>();
  impl->jit = std::move(*jit);
  llvm::orc::ExecutionSession &session = impl->jit->getExecutionSession();
  impl->mathLibrary = &session.createBareJITDylib("mathematics");
  // libm is named as well: in a process that loaded it privately its symbols are not in sight.
  for (const char *name : {"libmvec.so.1", "libm.so.6"}) {
    auto library = llvm::orc::DynamicLibrarySearchGenerator::Load(
        name, impl->jit->getDataLayout().getGlobalPrefix());
    if (library)
      impl->mathLibrary->addGenerator(std::move(*library));
    else // code for a machine without it does not ask for it
      llvm::consumeError(library.takeError());
  }
  impl->runtimeLibrary = &session.createBareJITDylib("runtime");
  impl->runtimeLibrary->addGenerator(std::make_unique<RuntimeFunctions>());
  return std::shared_ptr<CodeImage>(new CodeImage(std::move(impl)));
}

llvm::Expected<TesseraKernelFn> CodeImage::add(llvm::StringRef object, llvm::StringRef symbol) {
  unsigned number = impl->objects.fetch_add(1);
  auto dylib = impl->jit->createJITDylib("kernel" + std::to_string(number));
  if (!dylib)
    return dylib.takeError();
  dylib->addToLinkOrder(*impl->runtimeLibrary);
  dylib->addToLinkOrder(*impl->mathLibrary);
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object, symbol);
  if (llvm::Error error = impl->jit->addObjectFile(*dylib, std::move(buffer)))
    return error;
  auto address = impl->jit->lookup(*dylib, symbol);
  if (!address)
    return address.takeError();
  return address->toPtr<TesseraKernelFn>();
}
