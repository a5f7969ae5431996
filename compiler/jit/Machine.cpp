//===- Machine.cpp - what code is made for --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/Jit.h"
#include "compiler/target/ir/TargetOps.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <dlfcn.h>

using namespace tessera;
using namespace tessera::jit;

/// What the emitted code of each width relies on.
static constexpr llvm::StringLiteral kNeedsAvx512[] = {
    "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma", "f16c"};
static constexpr llvm::StringLiteral kNeedsAvx2[] = {"avx2", "fma", "f16c"};

static int widthOf(const llvm::StringSet<> &features) {
  auto has = [&](llvm::StringRef f) { return features.contains(f); };
  return llvm::all_of(kNeedsAvx512, has) ? 512 : llvm::all_of(kNeedsAvx2, has) ? 256 : 0;
}

/// Which generation of glibc's vector library this process can load.
static std::string detectMathLibrary() {
  static const std::string found = [] {
    void *library = dlopen("libmvec.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!library)
      return "none";
    // Of two symbols, one came with the first release and one with the second.
    if (dlsym(library, "_ZGVeN16v_tanf"))
      return "libmvec-2.35";
    return dlsym(library, "_ZGVeN16v_sinf") ? "libmvec-2.22" : "none";
  }();
  return found;
}

static std::string join(const llvm::StringSet<> &features) {
  std::vector<std::string> names;
  for (llvm::StringRef name : features.keys())
    names.push_back("+" + name.str());
  llvm::sort(names);
  return llvm::join(names, ",");
}

static llvm::StringSet<> hostFeatures() {
  llvm::StringSet<> features;
  for (const auto &entry : llvm::sys::getHostCPUFeatures())
    if (entry.second)
      features.insert(entry.first());
  return features;
}

/// Features of a CPU LLVM knows by name, with all they imply; none when it does not know it. What
/// only tunes code stays out.
static llvm::StringSet<> featuresOf(llvm::StringRef cpu) {
  llvm::InitializeNativeTarget();
  llvm::StringSet<> features;
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  std::unique_ptr<llvm::MCSubtargetInfo> subtarget(
      target ? target->createMCSubtargetInfo(triple, "", "") : nullptr);
  if (!subtarget || !subtarget->isCPUStringValid(cpu))
    return features;
  subtarget->setDefaultFeatures(cpu, cpu, "");
  const llvm::StringMap<bool> known = llvm::sys::getHostCPUFeatures();
  for (const llvm::SubtargetFeatureKV &feature : subtarget->getAllProcessorFeatures())
    if (subtarget->getFeatureBits().test(feature.Value) && known.contains(feature.Key))
      features.insert(feature.Key);
  return features;
}

static llvm::Error unsupported(const llvm::Twine &what) {
  return llvm::createStringError("[machine] " + what);
}

llvm::Expected<Machine> tessera::jit::machineFor(llvm::StringRef spec) {
  if (llvm::Triple(llvm::sys::getDefaultTargetTriple()).getArch() != llvm::Triple::x86_64)
    return unsupported("Tessera makes code for x86-64 with AVX2 or AVX-512; this machine is a " +
                       llvm::sys::getDefaultTargetTriple());
  llvm::StringSet<> host = hostFeatures();
  Machine machine;
  machine.mathLibrary = detectMathLibrary();
  llvm::StringSet<> wanted;
  if (spec.empty()) {
    machine.cpu = llvm::sys::getHostCPUName().str();
    wanted = host;
  } else {
    machine.cpu = spec == "avx512" ? "x86-64-v4" : spec == "avx2" ? "x86-64-v3" : spec.str();
    wanted = featuresOf(machine.cpu);
    if (wanted.empty())
      return unsupported("unknown cpu '" + spec +
                         "'; use \"avx2\", \"avx512\", a name LLVM knows such as "
                         "\"znver4\", or leave it empty for this machine's");
    std::string missing;
    for (llvm::StringRef feature : wanted.keys())
      if (!host.contains(feature) && (feature.starts_with("avx") || feature.starts_with("amx")))
        missing += (missing.empty() ? "" : ", ") + feature.str();
    if (!missing.empty())
      return unsupported("this machine (" + llvm::sys::getHostCPUName() +
                         ") cannot run code for '" + spec + "': it lacks " + missing +
                         "; leave the cpu empty for this machine's");
  }
  machine.features = join(wanted);
  machine.vectorBits = widthOf(wanted);
  if (machine.vectorBits == 0)
    return unsupported("'" + machine.cpu +
                       "' has neither AVX-512 (F, BW, DQ, VL) nor AVX2 with FMA and F16C, which "
                       "Tessera's code needs");
  return machine;
}

mlir::Attribute Machine::attribute(mlir::MLIRContext *context) const {
  context->loadDialect<target::TargetDialect>();
  return target::MachineAttr::get(context, cpu, features, vectorBits, mathLibrary);
}

std::string Machine::key() const {
  return cpu + ";" + features + ";" + std::to_string(vectorBits) + ";" + mathLibrary;
}
