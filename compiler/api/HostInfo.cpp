//===- HostInfo.cpp - this machine, and this build -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/CompiledProgramImpl.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/MathExtras.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/stat.h>

using namespace tessera;

namespace {
/// Looks for the GNU build id of the loaded object that contains `address`.
struct BuildIdSearch {
  uintptr_t address;
  std::string id;
};
} // namespace

static int visitObject(dl_phdr_info *info, size_t, void *data) {
  auto *search = static_cast<BuildIdSearch *>(data);
  bool contains = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) &segment = info->dlpi_phdr[i];
    uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    contains |= segment.p_type == PT_LOAD && begin <= search->address &&
                search->address < begin + segment.p_memsz;
  }
  if (!contains)
    return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr) &segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE)
      continue;
    const char *note = reinterpret_cast<const char *>(info->dlpi_addr + segment.p_vaddr),
               *end = note + segment.p_memsz;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      auto *header = reinterpret_cast<const ElfW(Nhdr) *>(note);
      const char *name = note + sizeof(*header), *value = name + llvm::alignTo(header->n_namesz, 4);
      if (header->n_type == NT_GNU_BUILD_ID && llvm::StringRef(name, 3) == "GNU")
        search->id = llvm::toHex(llvm::StringRef(value, header->n_descsz), /*LowerCase=*/true);
      note = value + llvm::alignTo(header->n_descsz, 4);
    }
  }
  return 1;
}

llvm::StringRef tessera::buildId() {
  static const std::string id = [] {
    BuildIdSearch search{reinterpret_cast<uintptr_t>(&visitObject), ""};
    dl_iterate_phdr(visitObject, &search);
    if (!search.id.empty())
      return search.id;
    // A linker that leaves no id: the file's size and time tell builds apart on one machine.
    Dl_info info;
    struct stat status;
    if (!dladdr(reinterpret_cast<void *>(&visitObject), &info) ||
        stat(info.dli_fname, &status) != 0)
      return std::string("unknown");
    return std::to_string(status.st_size) + "-" + std::to_string(status.st_mtim.tv_sec) + "." +
           std::to_string(status.st_mtim.tv_nsec);
  }();
  return id;
}

HostInfo tessera::hostInfo() {
  HostInfo info;
  info.llvmVersion = LLVM_VERSION_STRING;
  info.compilerBuild = buildId().str();
  auto machine = jit::machineFor();
  if (!machine) {
    llvm::consumeError(machine.takeError());
    return info;
  }
  info.cpu = machine->cpu;
  info.features = machine->features;
  info.vectorBits = machine->vectorBits;
  return info;
}
