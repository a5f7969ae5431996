//===- KernelEmitter.cpp - the frame of a tile function --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"

#include "compiler/conversions/ScheduleToTile/ScalarOps.h"
#include "compiler/conversions/ScheduleToTile/TileKernel.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace tessera;
using schedule::KernelKind;
using schedule::KernelOp;

/// One cache line, and the widest vector.
constexpr int64_t scratchAlignment = 64;

/// About what a core does and reads in a microsecond.
constexpr double kFlopsPerMicrosecond = 2.0e5, kBytesPerMicrosecond = 4.0e4;
/// Microseconds of the shortest chunk worth handing out, and of the longest with any use; between
/// them, so many chunks that the last ones leave no thread waiting for long.
constexpr double kShortestChunk = 1, kLongestChunk = 10;
constexpr int64_t kChunks = 32;

int64_t tessera::chunkOfUnits(int64_t units, double unitFlops, double unitBytes) {
  double time =
      std::max({unitFlops / kFlopsPerMicrosecond, unitBytes / kBytesPerMicrosecond, 1e-6});
  auto unitsIn = [&](double microseconds) { return static_cast<int64_t>(microseconds / time) + 1; };
  int64_t chunk = std::clamp<int64_t>(llvm::divideCeil(units, kChunks), unitsIn(kShortestChunk),
                                      unitsIn(kLongestChunk));
  return std::clamp<int64_t>(chunk, 1, std::max<int64_t>(units, 1));
}

Type tessera::registerType(Type elementType) {
  if (elementType.isF16() || elementType.isBF16())
    return Float32Type::get(elementType.getContext());
  if (elementType.isUnsignedInteger())
    return IntegerType::get(elementType.getContext(), elementType.getIntOrFloatBitWidth());
  return elementType;
}

Type tessera::storageType(Type elementType) {
  if (elementType.isInteger(1) || elementType.isUnsignedInteger(8))
    return IntegerType::get(elementType.getContext(), 8);
  return elementType;
}

Value KernelFrame::allocScratch(Location loc, MemRefType type) {
  // Carve at the entry, so that the view dominates every use and is computed once.
  OpBuilder::InsertionGuard guard(b);
  if (Operation *def = scratchAnchor)
    b.setInsertionPointAfter(def);
  else
    b.setInsertionPointToStart(&function.getBody().front());
  Value offset = arith::ConstantIndexOp::create(b, loc, scratchBytes);
  auto view = memref::ViewOp::create(b, loc, type, scratch, offset, ValueRange());
  scratchAnchor = view;
  scratchBytes += llvm::alignTo(byteSize(type), scratchAlignment);
  return view;
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

/// The pointer a kernel gets is the view's first element, so offsets are the runtime's.
static MemRefType bufferType(RankedTensorType tensor, ArrayRef<int64_t> strides) {
  return MemRefType::get(tensor.getShape(), storageType(tensor.getElementType()),
                         StridedLayoutAttr::get(tensor.getContext(), 0, strides));
}

static SmallVector<int64_t> permutedStrides(RankedTensorType stored, ArrayRef<int64_t> perm) {
  SmallVector<int64_t> strides(perm.size());
  for (auto [d, stride] : llvm::zip_equal(perm, rowMajorStrides(stored.getShape())))
    strides[d] = stride;
  return strides;
}

std::string tessera::kernelKey(KernelOp kernel) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << stringifyKernelKind(kernel.getKind()) << ' ' << kernel.getPointAttr() << '\n';
  for (unsigned i = 0, e = kernel.getInputs().size(); i != e; ++i) {
    os << kernel.getInputs()[i].getType() << " [";
    llvm::interleaveComma(kernel.getInputStrides(i), os);
    os << "]\n";
  }
  if (ArrayAttr perms = kernel.getResultPermsAttr())
    os << perms << '\n';
  // An isolated region prints with names of its own: equal bodies give equal text.
  OwningOpRef<KernelOp> clone = kernel.clone();
  clone->removePlacementAttr();
  clone->getOperation()->setDiscardableAttrs(DictionaryAttr::get(kernel.getContext())); // notes
  clone->print(os, OpPrintingFlags().useLocalScope().enableDebugInfo(false).elideLargeElementsAttrs(
                       1 << 30));
  return text;
}

std::string tessera::kernelName(KernelOp kernel, StringRef key) {
  auto digest =
      llvm::SHA256::hash(llvm::ArrayRef(reinterpret_cast<const uint8_t *>(key.data()), key.size()));
  return (stringifyKernelKind(kernel.getKind()) + "_" +
          llvm::toHex(digest, /*LowerCase=*/true).substr(0, 12))
      .str();
}

/// Behind a product, whose sums are in an order of their own anyway, x·y + z rounds once.
static void contractEpilogue(KernelOp kernel) {
  for (auto sum : kernel.getBody().front().getOps<graph::AddOp>())
    for (Value operand : sum->getOperands())
      if (auto product = operand.getDefiningOp<graph::MulOp>(); product && product->hasOneUse())
        for (Operation *op : {product.getOperation(), sum.getOperation()})
          op->setAttr(kContractAttr, UnitAttr::get(kernel.getContext()));
}

/// The emitter of the kernel's class.
static FailureOr<KernelExtent> emitBody(KernelFrame &frame) {
  switch (frame.kernel.getKind()) {
  case KernelKind::Contraction:
    return emitContraction(frame);
  case KernelKind::Convolution:
    return emitConvolution(frame);
  case KernelKind::Attention:
    return emitAttention(frame);
  case KernelKind::Rows:
    return emitRows(frame);
  case KernelKind::Elementwise:
    return emitElementwise(frame);
  case KernelKind::Indexing:
    return emitIndexing(frame);
  case KernelKind::Pack:
    return emitPack(frame);
  case KernelKind::Library:
    return emitLibrary(frame);
  case KernelKind::Depthwise:
    return emitDepthwise(frame);
  }
  llvm_unreachable("every class has an emitter");
}

FailureOr<func::FuncOp> tessera::emitTileKernel(KernelOp kernel, OpBuilder &module, StringRef name,
                                                TileKernel &record) {
  MLIRContext *context = kernel.getContext();
  Location loc = kernel.getLoc();
  SmallVector<Type> arguments;
  for (auto [i, input] : llvm::enumerate(kernel.getInputs()))
    arguments.push_back(
        bufferType(cast<RankedTensorType>(input.getType()), kernel.getInputStrides(i)));
  for (unsigned i = 0, e = kernel.getOutputs().size(); i != e; ++i) {
    auto stored = cast<RankedTensorType>(kernel.getOutputs()[i].getType());
    auto yielded = cast<RankedTensorType>(kernel.getYield().getValues()[i].getType());
    arguments.push_back(bufferType(yielded, permutedStrides(stored, kernel.getResultPerm(i))));
  }
  Type index = IndexType::get(context), i32 = IntegerType::get(context, 32);
  arguments.append(
      {MemRefType::get({ShapedType::kDynamic}, IntegerType::get(context, 8)), index, index});

  auto function =
      func::FuncOp::create(module, loc, name, FunctionType::get(context, arguments, {i32}));
  Block *entry = function.addEntryBlock();
  OpBuilder b = OpBuilder::atBlockEnd(entry);
  Value ok = arith::ConstantIntOp::create(b, loc, 0, 32);
  auto ret = func::ReturnOp::create(b, loc, ok);
  b.setInsertionPoint(ret);

  unsigned inputs = kernel.getInputs().size(), outputs = kernel.getOutputs().size();
  KernelFrame frame{b,
                    kernel,
                    function,
                    {},
                    {},
                    entry->getArgument(inputs + outputs),
                    entry->getArgument(inputs + outputs + 1),
                    entry->getArgument(inputs + outputs + 2)};
  llvm::append_range(frame.inputs, entry->getArguments().take_front(inputs));
  llvm::append_range(frame.outputs, entry->getArguments().slice(inputs, outputs));
  if (isa_and_nonnull<schedule::ContractionAttr, schedule::ConvolutionAttr,
                      schedule::DepthwiseAttr>(kernel.getPointAttr()))
    contractEpilogue(kernel);
  FailureOr<KernelExtent> extent = emitBody(frame);
  if (failed(extent)) {
    function.erase();
    return failure();
  }
  record.units = extent->units;
  record.grain = extent->grain;
  record.scratchBytes = frame.scratchBytes;
  function->setAttr("tile.inputs", module.getI64IntegerAttr(inputs));
  return function;
}
