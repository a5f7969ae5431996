//===- GraphBuilder.cpp - Graph IR from plain values ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Names, numbers and strings in, verified graph ops out. Nothing here knows a
// particular op: what an op needs it says through NamedBuildOpInterface.
//
//===----------------------------------------------------------------------===//

#include "compiler/api/DTypes.h"
#include "compiler/api/GraphModuleImpl.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace tessera {

using Values = std::vector<GraphValue>;

struct GraphBuilder::Impl {
  Impl();

  MLIRContext *context() { return &owner->context; }
  Location locationOf(const SourceLocation &source);
  RankedTensorType typeFor(runtime::DType dtype, ArrayRef<int64_t> shape);
  GraphValue add(Value value);
  std::vector<GraphValue> add(ResultRange results);
  /// Remembers the first misuse of a function that cannot return one; create and finish tell it,
  /// and nothing is built any more.
  GraphValue fail(const Twine &message);

  Result<SmallVector<Value>> lookup(const std::string &op, ArrayRef<GraphValue> operands);

  std::shared_ptr<GraphModule::Impl> owner;
  func::FuncOp function;
  OpBuilder builder;
  std::vector<Value> values;
  llvm::StringMap<GraphValue> parameters;
  std::string misuse;
};

GraphBuilder::Impl::Impl()
    : owner(std::make_shared<GraphModule::Impl>()), builder(&owner->context) {
  Location loc = NameLoc::get(builder.getStringAttr("main"));
  owner->module = ModuleOp::create(loc);
  builder.setInsertionPointToEnd(owner->module->getBody());
  function = func::FuncOp::create(builder, loc, "main", builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
}

/// NameLoc(module path, file:line); what the front end adds of itself is called "<graph>", since
/// every op must say where it came from.
Location GraphBuilder::Impl::locationOf(const SourceLocation &source) {
  if (source.file.empty())
    return NameLoc::get(builder.getStringAttr(source.fqn.empty() ? "<graph>" : source.fqn));
  Location file = FileLineColLoc::get(context(), source.file, source.line, /*column=*/0);
  return source.fqn.empty() ? file : NameLoc::get(builder.getStringAttr(source.fqn), file);
}

RankedTensorType GraphBuilder::Impl::typeFor(runtime::DType dtype, ArrayRef<int64_t> shape) {
  SmallVector<int64_t> sizes = llvm::map_to_vector(
      shape, [](int64_t size) { return size < 0 ? ShapedType::kDynamic : size; });
  return RankedTensorType::get(sizes, typeOf(context(), dtype));
}

GraphValue GraphBuilder::Impl::add(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  GraphValue result;
  result.id = static_cast<int32_t>(values.size());
  result.dtype = *dtypeOf(type.getElementType());
  for (int64_t size : type.getShape())
    result.shape.push_back(ShapedType::isDynamic(size) ? -1 : size);
  values.push_back(value);
  return result;
}

std::vector<GraphValue> GraphBuilder::Impl::add(ResultRange results) {
  std::vector<GraphValue> added;
  for (Value result : results)
    added.push_back(add(result));
  return added;
}

GraphValue GraphBuilder::Impl::fail(const Twine &message) {
  if (misuse.empty())
    misuse = message.str();
  return {};
}

/// The operands' values; id -1 gives a null value: an optional operand left out.
Result<SmallVector<Value>> GraphBuilder::Impl::lookup(const std::string &op,
                                                      ArrayRef<GraphValue> operands) {
  SmallVector<Value> result;
  for (auto [index, operand] : llvm::enumerate(operands)) {
    if (operand.id >= static_cast<int64_t>(values.size()) || operand.id < -1)
      return Result<SmallVector<Value>>::error("[" + op + "] operand " + std::to_string(index) +
                                               " is no value of this graph");
    result.push_back(operand.id == -1 ? Value() : values[operand.id]);
  }
  return result;
}

GraphBuilder::GraphBuilder(const std::string &precision) : impl(std::make_unique<Impl>()) {
  if (!precision.empty())
    impl->function->setAttr(graph::kPrecision, impl->builder.getStringAttr(precision));
}
GraphBuilder::~GraphBuilder() = default;
GraphBuilder::GraphBuilder(GraphBuilder &&) noexcept = default;

GraphValue GraphBuilder::input(const std::string &name, runtime::DType dtype,
                               std::vector<int64_t> shape) {
  if (!impl->misuse.empty())
    return {};
  Block &entry = impl->function.getBody().front();
  Value argument = entry.addArgument(impl->typeFor(dtype, shape),
                                     NameLoc::get(impl->builder.getStringAttr(name)));
  impl->function.setType(impl->builder.getFunctionType(entry.getArgumentTypes(), /*results=*/{}));
  impl->function.setArgAttr(entry.getNumArguments() - 1, "graph.name",
                            impl->builder.getStringAttr(name));
  return impl->add(argument);
}

GraphValue GraphBuilder::openFirstInput(const std::string &name, runtime::DType dtype, int rank) {
  if (!impl->misuse.empty())
    return {};
  StringAttr label = impl->builder.getStringAttr(name);
  NamedAttribute attribute = impl->builder.getNamedAttr("graph.name", label);
  RankedTensorType type = impl->typeFor(dtype, SmallVector<int64_t>(rank, -1));
  if (failed(impl->function.insertArgument(0, type, impl->builder.getDictionaryAttr(attribute),
                                           NameLoc::get(label))))
    return impl->fail("[openFirstInput] the graph takes no further input");
  return impl->add(impl->function.getArgument(0));
}

void GraphBuilder::setInputShape(const GraphValue &input, std::vector<int64_t> shape) {
  if (!impl->misuse.empty())
    return;
  Result<SmallVector<Value>> values = impl->lookup("setInputShape", input);
  Value value = values ? values->front() : Value();
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  if (!type || !isa<BlockArgument>(value) ||
      failed(verifyCompatibleShape(type.getShape(), ArrayRef(shape)))) {
    impl->fail("[setInputShape] expects an input of the graph, and sizes only where it has none");
    return;
  }
  value.setType(type.clone(shape));
  Block &entry = impl->function.getBody().front();
  impl->function.setType(impl->builder.getFunctionType(entry.getArgumentTypes(), /*results=*/{}));
}

GraphValue GraphBuilder::parameter(const std::string &name, runtime::DType dtype,
                                   std::vector<int64_t> shape) {
  if (!impl->misuse.empty())
    return {};
  if (name.empty())
    return impl->fail("[parameter] the name must not be empty");
  auto known = impl->parameters.find(name);
  RankedTensorType type = impl->typeFor(dtype, shape);
  if (known != impl->parameters.end()) {
    if (impl->values[known->second.id].getType() != type)
      return impl->fail("[parameter] '" + name + "' was used before with another dtype or shape");
    return known->second;
  }
  GraphValue value = impl->add(graph::ParameterOp::create(
      impl->builder, NameLoc::get(impl->builder.getStringAttr(name)), type, name));
  impl->parameters[name] = value;
  return value;
}

/// A row-major buffer as an attribute; null when its size does not fit the type.
static DenseElementsAttr elementsFrom(RankedTensorType type, ArrayRef<char> bytes) {
  int64_t count = type.getNumElements();
  if (type.getElementType().isInteger(1)) {
    if (static_cast<int64_t>(bytes.size()) != count && bytes.size() != 1)
      return {};
    SmallVector<bool> bits(llvm::map_range(bytes, [](char byte) { return byte != 0; }));
    return DenseElementsAttr::get(type, count == 0 ? ArrayRef<bool>() : ArrayRef<bool>(bits));
  }
  size_t width = type.getElementTypeBitWidth() / 8;
  if (bytes.size() != count * width && bytes.size() != width)
    return {};
  return DenseElementsAttr::getFromRawBuffer(type, count == 0 ? ArrayRef<char>() : bytes);
}

GraphValue GraphBuilder::constant(runtime::DType dtype, std::vector<int64_t> shape,
                                  const void *data, size_t bytes, const SourceLocation &loc) {
  if (!impl->misuse.empty())
    return {};
  RankedTensorType type = impl->typeFor(dtype, shape);
  if (!type.hasStaticShape())
    return impl->fail("[constant] the shape must be known, got " +
                      Twine(graph::formatShape(type.getShape())));
  DenseElementsAttr value =
      elementsFrom(type, ArrayRef<char>(static_cast<const char *>(data), bytes));
  if (!value)
    return impl->fail("[constant] " + Twine(bytes) + " bytes are neither one element nor all of " +
                      graph::formatShape(type.getShape()));
  return impl->add(graph::ConstantOp::create(impl->builder, impl->locationOf(loc), value));
}

namespace {
/// One op on its way from plain values to a verified operation.
class NamedOp {
public:
  NamedOp(RegisteredOperationName name, StringRef mnemonic, Location loc)
      : name(name), mnemonic(mnemonic), context(loc.getContext()), state(loc, name),
        build(*name.getInterface<graph::NamedBuildOpInterface>()) {}

  /// Each returns the error's text, empty when all is well.
  std::string setOperands(ArrayRef<Value> operands);
  std::string setAttributes(const Attributes &attributes);
  LogicalResult inferTypes();

  OperationState &getState() { return state; }

private:
  std::string fail(const Twine &message) const { return ("[" + mnemonic + "] " + message).str(); }
  std::string checkName(StringRef attribute) const;
  Attribute convert(const AttributeValue &value) const;

  RegisteredOperationName name;
  StringRef mnemonic;
  MLIRContext *context;
  OperationState state;
  graph::NamedBuildOpInterface::Concept &build;
};
} // namespace

std::string NamedOp::setOperands(ArrayRef<Value> operands) {
  unsigned groups = build.getNumOperandGroups();
  if (groups && operands.size() > groups)
    return fail("takes at most " + Twine(groups) + " operands, got " + Twine(operands.size()));
  SmallVector<int32_t> segments(groups, 0);
  while (!groups && !operands.empty() && !operands.back())
    operands = operands.drop_back();
  for (auto [index, operand] : llvm::enumerate(operands)) {
    if (groups)
      segments[index] = operand ? 1 : 0;
    else if (!operand)
      return fail("operand " + Twine(index) + " cannot be left out");
    if (operand)
      state.operands.push_back(operand);
  }
  if (groups && (operands.empty() || !operands.front()))
    return fail("operand 0 cannot be left out");
  if (groups)
    state.addAttribute("operandSegmentSizes", DenseI32ArrayAttr::get(context, segments));
  return {};
}

std::string NamedOp::checkName(StringRef attribute) const {
  SmallVector<StringRef> known;
  for (StringAttr name : name.getAttributeNames())
    if (name != "operandSegmentSizes")
      known.push_back(name.getValue());
  if (llvm::is_contained(known, attribute))
    return {};
  return fail("has no attribute '" + attribute + "'; it has " +
              (known.empty() ? std::string("none") : llvm::join(known, ", ")));
}

/// The attribute a value suggests by itself; null for `false`, which is the absence of a flag.
Attribute NamedOp::convert(const AttributeValue &value) const {
  Builder builder(context);
  if (auto *flag = std::get_if<bool>(&value))
    return *flag ? Attribute(builder.getUnitAttr()) : Attribute();
  if (auto *integer = std::get_if<int64_t>(&value))
    return builder.getI64IntegerAttr(*integer);
  if (auto *number = std::get_if<double>(&value))
    return builder.getF64FloatAttr(*number);
  if (auto *text = std::get_if<std::string>(&value))
    return builder.getStringAttr(*text);
  if (auto *integers = std::get_if<std::vector<int64_t>>(&value))
    return builder.getDenseI64ArrayAttr(*integers);
  if (auto *numbers = std::get_if<std::vector<double>>(&value))
    return builder.getDenseF64ArrayAttr(*numbers);
  return TypeAttr::get(typeOf(context, std::get<runtime::DType>(value)));
}

std::string NamedOp::setAttributes(const Attributes &attributes) {
  for (const auto &[key, value] : attributes) {
    if (std::string error = checkName(key); !error.empty())
      return error;
    Attribute given = convert(value);
    if (!given)
      continue;
    std::string allowed;
    Attribute attribute = build.coerceAttribute(key, given, allowed);
    if (!attribute)
      return fail("`" + key + "` is '" + cast<StringAttr>(given).getValue() + "'; use one of " +
                  allowed);
    state.addAttribute(key, attribute);
  }
  return {};
}

/// Infers before the op exists, so the properties are built by hand and thrown away.
LogicalResult NamedOp::inferTypes() {
  DictionaryAttr attributes = state.attributes.getDictionary(context);
  auto infer = [&](OpaqueProperties properties) {
    return name.getInterface<InferTypeOpInterface>()->inferReturnTypes(
        context, state.location, state.operands, attributes, properties, /*regions=*/{},
        state.types);
  };
  size_t size = name.getOpPropertyByteSize();
  if (size == 0)
    return infer(nullptr);
  auto storage = std::make_unique<std::max_align_t[]>(size / sizeof(std::max_align_t) + 1);
  OpaqueProperties properties(storage.get());
  name.initOpProperties(properties, /*init=*/nullptr);
  auto emit = [&] {
    return emitError(state.location) << "'" << name.getStringRef() << "' op [" << mnemonic << "] ";
  };
  LogicalResult result =
      name.setOpPropertiesFromAttribute(OperationName(name), properties, attributes, emit);
  if (succeeded(result))
    result = infer(properties);
  name.destroyOpProperties(properties);
  return result;
}

Result<Values> GraphBuilder::create(const std::string &op, const Values &operands,
                                    const Attributes &attributes, const SourceLocation &loc) {
  using Answer = Result<Values>;
  if (!impl->misuse.empty())
    return Answer::error(impl->misuse);
  std::optional<RegisteredOperationName> name =
      RegisteredOperationName::lookup("graph." + op, impl->context());
  if (!name)
    return Answer::error("[" + op + "] is no op of Graph IR; docs list the ops by family");
  if (!name->hasInterface<InferTypeOpInterface>())
    return Answer::error("[" + op + "] has results that cannot be inferred; use " + op + "()");
  Result<SmallVector<Value>> values = impl->lookup(op, operands);
  if (!values)
    return Answer::error(values.message());

  DiagnosticCollector diagnostics(impl->context());
  NamedOp named(*name, op, impl->locationOf(loc));
  if (std::string error = named.setOperands(*values); !error.empty())
    return Answer::error(error);
  if (std::string error = named.setAttributes(attributes); !error.empty())
    return Answer::error(error);
  if (failed(named.inferTypes()))
    return Answer::error(diagnostics.take("[" + op + "] result types cannot be inferred"));
  Operation *operation = impl->builder.create(named.getState());
  if (failed(verify(operation))) {
    operation->erase();
    return Answer::error(diagnostics.take("[" + op + "] does not verify"));
  }
  return impl->add(operation->getResults());
}

Result<Values>
GraphBuilder::island(int64_t id, const std::string &reason, const Values &operands,
                     const std::vector<std::pair<runtime::DType, std::vector<int64_t>>> &results,
                     const SourceLocation &loc) {
  if (!impl->misuse.empty())
    return Result<Values>::error(impl->misuse);
  Result<SmallVector<Value>> values = impl->lookup("island", operands);
  if (!values)
    return Result<Values>::error(values.message());
  if (llvm::is_contained(*values, Value()))
    return Result<Values>::error("[island] operands cannot be left out");
  SmallVector<Type> types;
  for (const auto &[dtype, shape] : results)
    types.push_back(impl->typeFor(dtype, shape));
  auto island =
      graph::IslandOp::create(impl->builder, impl->locationOf(loc), types, id, reason, *values);
  return impl->add(island->getResults());
}

Result<GraphModule> GraphBuilder::finish(const Values &outputs,
                                         const std::vector<bool> &contiguous) {
  using Answer = Result<GraphModule>;
  if (!impl->misuse.empty())
    return Answer::error(impl->misuse);
  Result<SmallVector<Value>> values = impl->lookup("finish", outputs);
  if (!values)
    return Answer::error(values.message());
  if (llvm::is_contained(*values, Value()))
    return Answer::error("[finish] outputs cannot be left out");
  if (!contiguous.empty() && contiguous.size() != outputs.size())
    return Answer::error("[finish] `contiguous` has " + std::to_string(contiguous.size()) +
                         " entries for " + std::to_string(outputs.size()) + " outputs");
  func::FuncOp function = impl->function;
  func::ReturnOp::create(impl->builder, function.getLoc(), *values);
  function.setType(
      impl->builder.getFunctionType(function.getArgumentTypes(), ValueRange(*values).getTypes()));
  for (auto [index, wanted] : llvm::enumerate(contiguous))
    if (wanted)
      function.setResultAttr(index, "graph.contiguous", impl->builder.getUnitAttr());
  DiagnosticCollector diagnostics(impl->context());
  if (failed(verify(*impl->owner->module)))
    return Answer::error(diagnostics.take("the graph does not verify"));
  impl->misuse = "[finish] the graph is finished: a builder builds one graph";
  return GraphModule(impl->owner);
}

} // namespace tessera
