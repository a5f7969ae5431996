//===- CodeImage.cpp - loaded machine code --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/Jit.h"

#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

#include <atomic>

using namespace tessera;
using namespace tessera::jit;

struct CodeImage::Impl {
  std::unique_ptr<llvm::orc::LLJIT> jit;
  /// libmvec, where it is there, and libm.
  llvm::orc::JITDylib *mathLibrary = nullptr;
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
  return std::shared_ptr<CodeImage>(new CodeImage(std::move(impl)));
}

llvm::Expected<TesseraKernelFn> CodeImage::add(llvm::StringRef object, llvm::StringRef symbol) {
  unsigned number = impl->objects.fetch_add(1);
  auto dylib = impl->jit->createJITDylib("kernel" + std::to_string(number));
  if (!dylib)
    return dylib.takeError();
  dylib->addToLinkOrder(*impl->mathLibrary);
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object, symbol);
  if (llvm::Error error = impl->jit->addObjectFile(*dylib, std::move(buffer)))
    return error;
  auto address = impl->jit->lookup(*dylib, symbol);
  if (!address)
    return address.takeError();
  return address->toPtr<TesseraKernelFn>();
}
