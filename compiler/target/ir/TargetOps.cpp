//===- TargetOps.cpp - verifiers of the target dialect --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/target/ir/TargetOps.h"
#include "compiler/support/Sizes.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;
using namespace tessera::target;

#include "compiler/target/ir/TargetDialect.cpp.inc"

#include "compiler/target/ir/TargetEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "compiler/target/ir/TargetAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "compiler/target/ir/TargetTypes.cpp.inc"

#define GET_OP_CLASSES
#include "compiler/target/ir/TargetOps.cpp.inc"

void TargetDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "compiler/target/ir/TargetAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "compiler/target/ir/TargetTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "compiler/target/ir/TargetOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// MachineAttr
//===----------------------------------------------------------------------===//

LogicalResult MachineAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef cpu,
                                  StringRef, int64_t vectorBits, StringRef mathLibrary) {
  if (vectorBits != 512 && vectorBits != 256)
    return emitError() << "[machine] vectorBits must be 512 (AVX-512) or 256 (AVX2), got "
                       << vectorBits << " for " << cpu;
  if (mathLibrary != "libmvec-2.35" && mathLibrary != "libmvec-2.22" && mathLibrary != "none")
    return emitError() << "[machine] mathLibrary must be libmvec-2.35, libmvec-2.22 or none, got "
                       << mathLibrary;
  return success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

LogicalResult CallMathOp::verify() {
  for (Type type : getOperandTypes())
    if (type != getType())
      return emitOpError("[call_math] operand of type ")
             << type << " differs from the result's type " << getType();
  if (getOperands().empty())
    return emitOpError("[call_math] needs an operand");
  Type element = getElementTypeOrSelf(getType());
  if (!element.isF32() && !element.isF64())
    return emitOpError("[call_math] libraries compute in f32 or f64, got ") << element;
  return success();
}

LogicalResult CallLibraryOp::verify() {
  int64_t buffers = getBuffers().size();
  if (static_cast<int64_t>(getOffsets().size()) != buffers)
    return emitOpError("[call_library] needs one offset a buffer, got ")
           << getOffsets().size() << " for " << buffers;
  ArrayRef<int64_t> left = getDescription();
  if (left.empty() || left.front() != buffers)
    return emitOpError("[call_library] description must begin with the number of buffers, ")
           << buffers;
  left = left.drop_front();
  for (int64_t i = 0; i < buffers; ++i) {
    int64_t words = left.size() < 2 ? -1 : 2 + 2 * left[1];
    if (words < 2 || static_cast<int64_t>(left.size()) < words)
      return emitOpError("[call_library] description ends within buffer ") << i;
    left = left.drop_front(words);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// ProgramOp and its parts
//===----------------------------------------------------------------------===//

template <typename OpTy> static OpTy onlyOne(ProgramOp program) {
  auto found = program.getBody().getOps<OpTy>();
  return found.empty() ? OpTy() : *found.begin();
}

PrepareOp ProgramOp::getPrepare() { return onlyOne<PrepareOp>(*this); }
MainOp ProgramOp::getMain() { return onlyOne<MainOp>(*this); }
OutputsOp ProgramOp::getOutputs() { return onlyOne<OutputsOp>(*this); }

LogicalResult ProgramOp::verify() {
  if (int64_t bytes = getArenaBytes(); bytes < 0)
    return emitOpError("[program] arena size must not be negative, got ") << bytes;
  for (Operation &op : getBody().front())
    if (op.getDialect() != (*this)->getDialect())
      return op.emitOpError("[program] does not belong in a program's body");
  return success();
}

LogicalResult ProgramOp::verifyRegions() {
  auto count = [&](auto ops) { return std::distance(ops.begin(), ops.end()); };
  if (count(getBody().getOps<PrepareOp>()) != 1 || count(getBody().getOps<MainOp>()) != 1 ||
      count(getBody().getOps<OutputsOp>()) != 1)
    return emitOpError(
        "[program] needs exactly one target.prepare, one target.main and one target.outputs");
  if (!isa<OutputsOp>(getBody().front().back()))
    return emitOpError("[program] must end in target.outputs");
  for (auto storage : getBody().getOps<StorageOp>()) {
    int64_t offset = storage.getOffset(), bytes = storage.getBytes();
    if (offset < 0 || bytes < 0)
      return storage.emitOpError("[storage] offset and bytes must not be negative");
    int64_t arena = getArenaBytes();
    if (storage.getKind() == StorageKind::Arena && offset + bytes > arena)
      return storage.emitOpError("[storage] bytes ")
             << offset << " to " << offset + bytes << " lie outside the arena of " << arena;
    if (storage.getKind() != StorageKind::Arena && offset != 0)
      return storage.emitOpError("[storage] only the arena has offsets, got ") << offset;
  }
  for (Operation &list : getBody().front())
    if (isa<PrepareOp, MainOp>(list))
      for (Operation &op : list.getRegion(0).getOps())
        if (!isa<LaunchOp, IslandOp>(op))
          return op.emitOpError("[program] only target.launch and target.island may run");
  return success();
}

/// Bytes a storage spans, or none for what an island returned.
static std::optional<int64_t> storageBytes(Operation *storage) {
  return TypeSwitch<Operation *, std::optional<int64_t>>(storage)
      .Case([&](InputOp op) { return byteSize(cast<ShapedType>(op.getType())); })
      .Case([&](ParameterOp op) { return byteSize(cast<ShapedType>(op.getType())); })
      .Case([&](ConstantOp op) { return byteSize(op.getValue().getShapedType()); })
      .Case([&](StorageOp op) -> std::optional<int64_t> {
        if (op.getKind() == StorageKind::Island)
          return std::nullopt;
        return op.getBytes();
      })
      .Default([](Operation *) { return std::nullopt; });
}

LogicalResult ValueOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape())
    return emitOpError("[value] needs static sizes, got ") << type;
  if (static_cast<int64_t>(getStrides().size()) != type.getRank())
    return emitOpError("[value] needs one stride a dimension");
  std::optional<int64_t> bytes;
  if (Operation *storage = getStorage().getDefiningOp())
    bytes = storageBytes(storage);
  if (!bytes || type.getNumElements() == 0)
    return success();
  int64_t size = byteWidth(type.getElementType());
  int64_t low = getOffset(), high = low + size;
  for (auto [dim, stride] : llvm::zip_equal(type.getShape(), getStrides()))
    (stride < 0 ? low : high) += (dim - 1) * stride * size;
  if (low < 0 || high > *bytes)
    return emitOpError("[value] addresses bytes ")
           << low << " to " << high << " of a storage of " << *bytes;
  return success();
}

LogicalResult KernelOp::verify() {
  int64_t units = getUnits(), grain = getGrain(), scratch = getScratch();
  if (units < 0 || grain < 1 || scratch < 0)
    return emitOpError("[kernel] needs units and scratch of at least 0 and a grain of at least 1");
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!symbols.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr()))
    return emitOpError("[launch] no target.kernel named ") << getKernelAttr();
  return success();
}
