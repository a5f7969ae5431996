//===- GraphBuild.h - from plain values to an op's attributes ---*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Helpers for implementing NamedBuildOpInterface.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_IR_GRAPHBUILD_H
#define TESSERA_COMPILER_GRAPH_IR_GRAPHBUILD_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"

#include <string>

namespace tessera::graph {

/// A string becomes the enumeration it spells, everything else stays.
template <typename EnumAttr, typename Enum>
mlir::Attribute coerceEnum(mlir::Attribute given, std::optional<Enum> (*symbolize)(llvm::StringRef),
                           llvm::StringRef spellings, std::string &allowed) {
  auto spelling = llvm::dyn_cast<mlir::StringAttr>(given);
  if (!spelling)
    return given;
  if (std::optional<Enum> value = symbolize(spelling.getValue()))
    return EnumAttr::get(given.getContext(), *value);
  allowed = spellings.str();
  return {};
}

/// An integer becomes a float where the op declares one: `eps=1` means 1.0.
inline mlir::Attribute coerceFloat(mlir::Attribute given) {
  auto integer = llvm::dyn_cast<mlir::IntegerAttr>(given);
  if (!integer || !integer.getType().isInteger(64))
    return given;
  return mlir::Builder(given.getContext()).getF64FloatAttr(static_cast<double>(integer.getInt()));
}

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_IR_GRAPHBUILD_H
