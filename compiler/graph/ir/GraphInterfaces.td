//===- GraphInterfaces.td - interfaces of graph ops --------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_INTERFACES
#define TESSERA_GRAPH_INTERFACES

include "mlir/IR/OpBase.td"

def Graph_NamedBuildOpInterface : OpInterface<"NamedBuildOpInterface"> {
  let description = [{
    What a builder that knows an op only by its name and its attributes only as
    plain values needs to know. Every graph op has it; the defaults fit most.
  }];
  let cppNamespace = "::tessera::graph";
  let methods = [
    StaticInterfaceMethod<
      [{
        The number of operand groups of an op whose optional operands may be left
        out one by one (it then carries `operandSegmentSizes`), else 0.
      }],
      "unsigned", "getNumOperandGroups", (ins), [{}], [{ return 0; }]>,
    StaticInterfaceMethod<
      [{
        Turns the attribute a plain value suggests into the one the op declares:
        a string into an enumeration, an integer into a float. Null when the value
        is none the op knows; `allowed` then says which ones it does.
      }],
      "::mlir::Attribute", "coerceAttribute",
      (ins "::llvm::StringRef":$name, "::mlir::Attribute":$given, "::std::string &":$allowed),
      [{}], [{ return given; }]>,
  ];
}

#endif // TESSERA_GRAPH_INTERFACES
