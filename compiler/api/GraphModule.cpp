//===- GraphModule.cpp - a function in Graph IR ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/GraphModuleImpl.h"
#include "compiler/graph/ir/GraphDialect.h"
#include "compiler/graph/ir/GraphOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace tessera {

void registerGraphDialects(DialectRegistry &registry) {
  registry.insert<func::FuncDialect, graph::GraphDialect>();
}

static DialectRegistry graphRegistry() {
  DialectRegistry registry;
  registerGraphDialects(registry);
  return registry;
}

GraphModule::Impl::Impl() : context(graphRegistry(), MLIRContext::Threading::DISABLED) {
  context.loadAllAvailableDialects();
}

DiagnosticCollector::DiagnosticCollector(MLIRContext *context)
    : handler(context, [this](Diagnostic &diagnostic) {
        if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
          return;
        llvm::raw_string_ostream out(text);
        if (!text.empty())
          out << "\n";
        if (auto file = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
          out << file.getFilename().getValue() << ":" << file.getLine() << ": ";
        out << diagnostic.str();
        for (Diagnostic &note : diagnostic.getNotes())
          out << "\n  note: " << note.str();
      }) {}

std::string DiagnosticCollector::take(StringRef otherwise) {
  return text.empty() ? otherwise.str() : std::exchange(text, std::string());
}

GraphModule::GraphModule(std::shared_ptr<Impl> impl) : impl(std::move(impl)) {}

/// Whether the bytes of a constant are all there. A text may keep them in a section of their own,
/// which printers can leave out.
static LogicalResult checkBytes(graph::ConstantOp op) {
  ElementsAttr value = op.getValue();
  if (isa<DenseElementsAttr>(value))
    return success();
  auto resource = dyn_cast<DenseResourceElementsAttr>(value);
  if (!resource)
    return emitError(op.getLoc(), "[constant] `value` must be dense<…> or dense_resource<…>, got ")
           << value;
  AsmResourceBlob *blob = resource.getRawHandle().getBlob();
  // Booleans take a byte each, as in memory.
  size_t width = std::max(1U, value.getElementType().getIntOrFloatBitWidth() / 8);
  size_t expected = value.getNumElements() * width, found = blob ? blob->getData().size() : 0;
  if (blob && found == expected)
    return success();
  StringRef name = resource.getRawHandle().getKey();
  InFlightDiagnostic error = emitError(op.getLoc(), "[constant] dense_resource<") << name << "> ";
  if (blob)
    error << "has " << found << " bytes";
  else
    error << "has no data in this text";
  error << ", but " << value.getType() << " takes " << expected;
  error.attachNote() << "print the module without eliding resources, or add {-# dialect_resources: "
                        "{ builtin: { "
                     << name << ": \"0x…\" } } #-}";
  return error;
}

Result<GraphModule> GraphModule::parse(const std::string &text) {
  auto impl = std::make_shared<Impl>();
  DiagnosticCollector diagnostics(&impl->context);
  impl->module = parseSourceString<ModuleOp>(text, ParserConfig(&impl->context), "graph");
  if (!impl->module)
    return Result<GraphModule>::error(diagnostics.take("the text is not Graph IR"));
  if (!impl->module->lookupSymbol<func::FuncOp>("main"))
    return Result<GraphModule>::error("Graph IR needs a function @main; the text has none");
  WalkResult checked =
      impl->module->walk([](graph::ConstantOp op) { return WalkResult(checkBytes(op)); });
  if (checked.wasInterrupted())
    return Result<GraphModule>::error(diagnostics.take("a constant has no data"));
  return GraphModule(std::move(impl));
}

std::string GraphModule::str(bool withLocations) const {
  std::lock_guard<std::mutex> lock(impl->mutex);
  std::string text;
  llvm::raw_string_ostream out(text);
  OpPrintingFlags flags;
  if (withLocations)
    flags.enableDebugInfo();
  impl->module->print(out, flags);
  return text;
}

} // namespace tessera
