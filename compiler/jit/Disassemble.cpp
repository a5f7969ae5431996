//===- Disassemble.cpp - the text of machine code -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shows the object that runs rather than what a second compilation would give,
// which holds for objects from the cache as well.
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/Jit.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCAsmInfo.h"
#include "llvm/MC/MCContext.h"
#include "llvm/MC/MCDisassembler/MCDisassembler.h"
#include "llvm/MC/MCInst.h"
#include "llvm/MC/MCInstPrinter.h"
#include "llvm/MC/MCInstrInfo.h"
#include "llvm/MC/MCRegisterInfo.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/MCTargetOptions.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

using namespace tessera::jit;

namespace {

/// LLVM's machine-code parts for x86-64 with every extension.
class Disassembler {
public:
  static llvm::Expected<std::unique_ptr<Disassembler>> create() {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetDisassembler();
    auto self = std::make_unique<Disassembler>();
    llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
    std::string error;
    const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
    if (!target)
      return llvm::createStringError("[jit] " + error);
    self->registers.reset(target->createMCRegInfo(triple));
    self->assembly.reset(
        target->createMCAsmInfo(*self->registers, triple, llvm::MCTargetOptions()));
    self->instructions.reset(target->createMCInstrInfo());
    self->subtarget.reset(target->createMCSubtargetInfo(triple, "", ""));
    self->context = std::make_unique<llvm::MCContext>(triple, self->assembly.get(),
                                                      self->registers.get(), self->subtarget.get());
    self->decoder.reset(target->createMCDisassembler(*self->subtarget, *self->context));
    self->printer.reset(target->createMCInstPrinter(triple, self->assembly->getAssemblerDialect(),
                                                    *self->assembly, *self->instructions,
                                                    *self->registers));
    if (!self->decoder || !self->printer)
      return llvm::createStringError("[jit] this LLVM has no disassembler for " + triple.str());
    self->printer->setPrintBranchImmAsAddress(true);
    return self;
  }

  /// Prints `bytes`, which begin at `address` of their section.
  void print(llvm::ArrayRef<uint8_t> bytes, uint64_t address, llvm::raw_ostream &os) {
    for (uint64_t at = 0; at < bytes.size();) {
      llvm::MCInst instruction;
      uint64_t size = 0;
      auto status =
          decoder->getInstruction(instruction, size, bytes.slice(at), address + at, llvm::nulls());
      os << llvm::format("%6" PRIx64 ":", address + at);
      if (status == llvm::MCDisassembler::Success) {
        printer->printInst(&instruction, address + at, "", *subtarget, os);
      } else {
        size = 1;
        os << "\t.byte " << unsigned(bytes[at]);
      }
      os << "\n";
      at += size;
    }
  }

private:
  std::unique_ptr<llvm::MCRegisterInfo> registers;
  std::unique_ptr<llvm::MCAsmInfo> assembly;
  std::unique_ptr<llvm::MCInstrInfo> instructions;
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget;
  std::unique_ptr<llvm::MCContext> context;
  std::unique_ptr<llvm::MCDisassembler> decoder;
  std::unique_ptr<llvm::MCInstPrinter> printer;
};

} // namespace

llvm::Expected<std::string> tessera::jit::disassemble(llvm::StringRef object) {
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "kernel"));
  if (!file)
    return file.takeError();
  auto disassembler = Disassembler::create();
  if (!disassembler)
    return disassembler.takeError();
  std::string text;
  llvm::raw_string_ostream os(text);
  for (const llvm::object::SectionRef &section : (*file)->sections()) {
    if (!section.isText() || section.getSize() == 0)
      continue;
    auto contents = section.getContents();
    if (!contents)
      return contents.takeError();
    // Functions in the order of their addresses; each ends where the next begins.
    std::map<uint64_t, std::string> functions;
    for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
      auto type = symbol.getType();
      if (!type)
        return type.takeError();
      if (*type != llvm::object::SymbolRef::ST_Function)
        continue;
      auto home = symbol.getSection();
      if (!home)
        return home.takeError();
      if (*home == (*file)->section_end() || **home != section)
        continue;
      auto name = symbol.getName();
      auto address = symbol.getAddress();
      if (!name || !address)
        return llvm::joinErrors(name.takeError(), address.takeError());
      functions[*address] = name->str();
    }
    for (auto it = functions.begin(); it != functions.end(); ++it) {
      uint64_t end = std::next(it) == functions.end() ? section.getSize() : std::next(it)->first;
      os << it->second << ":\n";
      (*disassembler)
          ->print(llvm::arrayRefFromStringRef(contents->slice(it->first, end)), it->first, os);
    }
  }
  return text;
}
