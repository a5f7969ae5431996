//===- Immediates.cpp - the numbers in a kernel's code ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/target/transforms/Immediates.h"

#include "compiler/target/ir/TargetOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace tessera::target;

/// Arguments of a kernel behind its buffers: scratch, begin, end.
constexpr unsigned kTrailing = 3;

namespace {
struct Numbers {
  Immediate::Kind kind;
  SmallVector<int64_t, 2> values;
};
} // namespace

static bool isNumber(Type type) {
  return type.isIndex() || type.isF32() || type.isF64() ||
         (type.isInteger() && type.getIntOrFloatBitWidth() > 1 &&
          type.getIntOrFloatBitWidth() <= 64);
}

static int64_t bitsOf(Attribute element) {
  if (auto real = dyn_cast<FloatAttr>(element))
    return static_cast<int64_t>(real.getValue().bitcastToAPInt().getZExtValue());
  return cast<IntegerAttr>(element).getValue().getSExtValue();
}

/// The leading set lanes of a mask; nothing where others are set.
static std::optional<int64_t> leadingLanes(DenseElementsAttr mask) {
  int64_t count = 0, lane = 0;
  for (bool set : mask.getValues<bool>()) {
    if (set && count != lane)
      return std::nullopt;
    count += set;
    ++lane;
  }
  return count;
}

static std::optional<Numbers> numbersOf(DenseElementsAttr dense) {
  auto type = dyn_cast<VectorType>(dense.getType());
  if (!type || type.getRank() != 1)
    return std::nullopt;
  Type element = type.getElementType();
  if (element.isInteger(1)) {
    std::optional<int64_t> lanes = leadingLanes(dense);
    return lanes ? std::optional(Numbers{Immediate::Mask, {*lanes}}) : std::nullopt;
  }
  if (!isNumber(element))
    return std::nullopt;
  if (dense.isSplat())
    return Numbers{Immediate::Splat, {bitsOf(dense.getSplatValue<Attribute>())}};
  if (isa<FloatType>(element))
    return std::nullopt;
  auto values = llvm::map_to_vector(dense.getValues<APInt>(),
                                    [](const APInt &value) { return value.getSExtValue(); });
  int64_t step = values[1] - values[0];
  for (size_t lane = 1; lane < values.size(); ++lane)
    if (values[lane] - values[lane - 1] != step)
      return std::nullopt;
  return Numbers{Immediate::Progression, {values[0], step}};
}

/// What a constant consists of, where it can be told in numbers.
static std::optional<Numbers> numbersOf(Value value) {
  Operation *def = value.getDefiningOp();
  if (auto size = dyn_cast_or_null<SizeOp>(def))
    return Numbers{Immediate::Scalar, {static_cast<int64_t>(size.getValue())}};
  if (auto mask = dyn_cast_or_null<vector::ConstantMaskOp>(def)) {
    if (mask.getType().getRank() != 1)
      return std::nullopt;
    return Numbers{Immediate::Mask, {mask.getMaskDimSizes().front()}};
  }
  auto constant = dyn_cast_or_null<arith::ConstantOp>(def);
  if (!constant)
    return std::nullopt;
  if (auto dense = dyn_cast<DenseElementsAttr>(constant.getValue()))
    return numbersOf(dense);
  if (isNumber(value.getType()) && isa<IntegerAttr, FloatAttr>(constant.getValue()))
    return Numbers{Immediate::Scalar, {bitsOf(constant.getValue())}};
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Taking apart
//===----------------------------------------------------------------------===//

class Immediates::Reader {
public:
  explicit Reader(Immediates &result) : result(result), os(text) {}

  void run() {
    Block &entry = result.function.getBody().front();
    addArguments(entry);
    for (unsigned i = 0, e = result.function.getNumArguments(); i != e; ++i)
      os << result.function.getArgAttrDict(i) << ',';
    addOps(entry);
    auto digest = llvm::SHA256::hash(
        llvm::ArrayRef(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
    result.skeleton = llvm::toHex(digest, /*LowerCase=*/true);
  }

private:
  void addArguments(Block &block) {
    os << '(';
    for (BlockArgument argument : block.getArguments())
      define(argument, /*ownsMemory=*/false);
    os << "){\n";
  }

  void define(Value value, bool ownsMemory) {
    ids[value] = ids.size();
    os << ':';
    auto buffer = dyn_cast<MemRefType>(value.getType());
    bool isFlat = buffer && buffer.getRank() == 1 && buffer.getLayout().isIdentity();
    if (isFlat && !ownsMemory)
      os << "buffer of " << buffer.getElementType();
    else
      os << value.getType();
  }

  void addOps(Block &block) {
    for (Operation &op : block) {
      // Constants are told where they are used.
      if (op.getNumResults() == 1 && numbersOf(op.getResult(0)))
        continue;
      os << op.getName() << op.getAttrDictionary();
      for (OpOperand &use : op.getOpOperands())
        addUse(use);
      for (Value value : op.getResults())
        define(value, isa<memref::AllocaOp>(op));
      os << '\n';
      for (Region &region : op.getRegions())
        for (Block &inner : region) {
          addArguments(inner);
          addOps(inner);
          os << "}\n";
        }
    }
  }

  void addUse(OpOperand &use) {
    std::optional<Numbers> found = numbersOf(use.get());
    if (!found) {
      os << " %" << ids.lookup(use.get());
      return;
    }
    os << " #" << static_cast<int>(found->kind) << use.get().getType();
    result.uses.push_back({&use, found->kind, static_cast<unsigned>(result.numbers.size())});
    llvm::append_range(result.numbers, found->values);
  }

  Immediates &result;
  std::string text;
  llvm::raw_string_ostream os;
  DenseMap<Value, unsigned> ids;
};

Immediates::Immediates(func::FuncOp function) : function(function) { Reader(*this).run(); }

//===----------------------------------------------------------------------===//
// Symbols
//===----------------------------------------------------------------------===//

namespace {
/// Writes values that depend on symbols, each once, at the function's entry.
class SymbolReader {
public:
  SymbolReader(func::FuncOp function, unsigned count) : b(function), loc(function.getLoc()) {
    unsigned position = function.getNumArguments() - kTrailing;
    auto type = MemRefType::get({count}, b.getI64Type());
    auto readOnly = b.getDictionaryAttr(
        b.getNamedAttr(LLVM::LLVMDialect::getReadonlyAttrName(), b.getUnitAttr()));
    (void)function.insertArgument(position, type, readOnly, loc);
    function->setAttr(kSymbolsAttr, b.getUnitAttr());
    symbols = function.getArgument(position);
    b.setInsertionPointToStart(&function.getBody().front());
  }

  /// A number, as an i64.
  Value number(int64_t known, int symbol) {
    if (symbol < 0)
      return arith::ConstantIntOp::create(b, loc, known, 64);
    Value &value = loaded[symbol];
    if (!value) {
      Value place = arith::ConstantIndexOp::create(b, loc, symbol);
      value = memref::LoadOp::create(b, loc, symbols, place);
    }
    return value;
  }

  /// An i64 as a scalar of `type`, whose bits it holds.
  Value asScalar(Value number, Type type) {
    if (type.isIndex())
      return arith::IndexCastOp::create(b, loc, type, number);
    unsigned width = type.getIntOrFloatBitWidth();
    if (width < 64)
      number = arith::TruncIOp::create(b, loc, b.getIntegerType(width), number);
    return isa<FloatType>(type) ? arith::BitcastOp::create(b, loc, type, number).getResult()
                                : number;
  }

  Value build(const Immediate &immediate, llvm::ArrayRef<int64_t> known,
              llvm::ArrayRef<int> symbol) {
    Type type = immediate.use->get().getType();
    Value first = number(known[0], symbol[0]);
    if (immediate.kind == Immediate::Scalar)
      return asScalar(first, type);
    auto vector = cast<VectorType>(type);
    if (immediate.kind == Immediate::Mask) {
      Type i32 = b.getI32Type();
      auto counts = VectorType::get(vector.getShape(), i32);
      Value limit = vector::BroadcastOp::create(b, loc, counts, asScalar(first, i32));
      return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lanes(counts), limit);
    }
    Type element = vector.getElementType();
    Value start = vector::BroadcastOp::create(b, loc, vector, asScalar(first, element));
    if (immediate.kind == Immediate::Splat)
      return start;
    Value step = asScalar(number(known[1], symbol[1]), element);
    Value steps = vector::BroadcastOp::create(b, loc, vector, step);
    return arith::AddIOp::create(b, loc, start,
                                 arith::MulIOp::create(b, loc, steps, lanes(vector)));
  }

private:
  /// 0, 1, 2, …
  Value lanes(VectorType type) {
    auto numbers = llvm::map_to_vector(
        llvm::seq<int64_t>(0, type.getNumElements()),
        [&](int64_t lane) -> Attribute { return b.getIntegerAttr(type.getElementType(), lane); });
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, numbers));
  }

  OpBuilder b;
  Location loc;
  Value symbols;
  llvm::DenseMap<int, Value> loaded;
};
} // namespace

void Immediates::parametrize(llvm::ArrayRef<int> symbols) {
  int last = -1;
  for (int symbol : symbols)
    last = std::max(last, symbol);
  if (last < 0)
    return;
  SymbolReader reader(function, static_cast<unsigned>(last) + 1);
  for (const Immediate &immediate : uses) {
    auto chosen = symbols.slice(immediate.first, immediate.count());
    if (llvm::all_of(chosen, [](int symbol) { return symbol < 0; }))
      continue;
    auto known = llvm::ArrayRef(numbers).slice(immediate.first, immediate.count());
    immediate.use->set(reader.build(immediate, known, chosen));
  }
}
