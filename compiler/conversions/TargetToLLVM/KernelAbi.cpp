//===- KernelAbi.cpp - kernel functions and their entries -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The entry and the body are two functions because only parameters can be
// `noalias`: pointers loaded from `buffers` could be anything.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TargetToLLVM/KernelAbi.h"

#include "compiler/target/transforms/Immediates.h"

using namespace mlir;
using namespace tessera;

/// The last three parameters: scratch, begin, end.
static constexpr unsigned kTrailing = 3;

/// The arguments that are no buffers: with the symbols, where the kernel reads any.
static unsigned trailing(func::FuncOp function) {
  return kTrailing + (function->hasAttr(target::kSymbolsAttr) ? 1 : 0);
}

static LogicalResult verifySignature(func::FuncOp function) {
  FunctionType type = function.getFunctionType();
  auto isBuffer = [](Type t) {
    auto buffer = dyn_cast<MemRefType>(t);
    return buffer && buffer.getRank() == 1 && buffer.hasStaticShape() &&
           buffer.getLayout().isIdentity();
  };
  unsigned count = type.getNumInputs();
  unsigned last = trailing(function);
  bool good = count >= last && type.getNumResults() == 1 && type.getResult(0).isInteger(32);
  if (good) {
    auto scratch = dyn_cast<MemRefType>(type.getInput(count - 3));
    good = scratch && scratch.getRank() == 1 && scratch.getElementType().isInteger(8) &&
           type.getInput(count - 2).isIndex() && type.getInput(count - 1).isIndex() &&
           llvm::all_of(type.getInputs().drop_back(last), isBuffer);
  }
  if (!good)
    return function.emitOpError("[target] is no kernel: expected (flat buffers…, memref<?xi8>, "
                                "index, index) -> i32, "
                                "got ")
           << type;
  return success();
}

FailureOr<KernelBody> tessera::prepareBody(func::FuncOp function) {
  if (failed(verifySignature(function)))
    return failure();
  bool readsSymbols = function->hasAttr(target::kSymbolsAttr);
  KernelBody body{function.getName().str(), {}, function.getLoc(), readsSymbols};
  unsigned buffers = function.getNumArguments() - trailing(function);
  for (unsigned i = 0; i < buffers; ++i) {
    auto type = cast<MemRefType>(function.getArgument(i).getType());
    auto low = function.getArgAttrOfType<IntegerAttr>(i, "target.low");
    body.low.push_back(low ? low.getInt() * static_cast<int64_t>(type.getElementTypeBitWidth() / 8)
                           : 0);
    function.removeArgAttr(i, "target.low");
  }
  // A bare pointer needs a static size; nothing reads scratch's.
  Builder b(function);
  unsigned scratch = function.getNumArguments() - kTrailing;
  function.getArgument(scratch).setType(MemRefType::get({0}, b.getI8Type()));
  function->removeAttr(target::kSymbolsAttr);
  function.setFunctionType(
      b.getFunctionType(function.getBody().getArgumentTypes(), function.getResultTypes()));
  function.setName(body.name + ".body");
  // Inlined, the parameters' attributes would become metadata for each access: slower to compile,
  // no faster.
  function->setAttr("passthrough", b.getStrArrayAttr({"noinline"}));
  function->setAttr("llvm.linkage",
                    LLVM::LinkageAttr::get(b.getContext(), LLVM::Linkage::Internal));
  return body;
}

void tessera::buildEntry(OpBuilder &b, const KernelBody &body, LLVM::LLVMFuncOp function) {
  Location loc = body.loc;
  Type pointer = LLVM::LLVMPointerType::get(b.getContext());
  Type i64 = b.getI64Type();
  auto type = LLVM::LLVMFunctionType::get(b.getI32Type(), {pointer, pointer, pointer, i64, i64});
  auto entry = LLVM::LLVMFuncOp::create(b, loc, body.name, type);
  OpBuilder::InsertionGuard guard(b);
  Block *block = entry.addEntryBlock(b);
  b.setInsertionPointToStart(block);
  SmallVector<Value> arguments;
  for (auto [i, low] : llvm::enumerate(body.low)) {
    Value slot = LLVM::GEPOp::create(b, loc, pointer, pointer, block->getArgument(0),
                                     ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
    Value buffer = LLVM::LoadOp::create(b, loc, pointer, slot);
    if (low != 0) {
      Value bytes = LLVM::ConstantOp::create(b, loc, i64, low);
      buffer = LLVM::GEPOp::create(b, loc, pointer, b.getI8Type(), buffer, ValueRange(bytes));
    }
    arguments.push_back(buffer);
  }
  llvm::append_range(arguments, block->getArguments().drop_front(body.readsSymbols ? 1 : 2));
  auto call = LLVM::CallOp::create(b, loc, function, arguments);
  LLVM::ReturnOp::create(b, loc, call.getResult());
}
