//===- GraphEnums.td - enumerations of the graph dialect ---*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plain enumerations only; the attributes that carry them are in GraphBase.td.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_ENUMS
#define TESSERA_GRAPH_ENUMS

include "mlir/IR/EnumAttr.td"

class Graph_Enum<string name, string summary, list<EnumCase> cases>
    : I32Enum<name, summary, cases> {
  let cppNamespace = "::tessera::graph";
}

def Graph_ComparePredicate : Graph_Enum<"ComparePredicate",
    "a comparison (with NaN only `ne` holds)", [
  I32EnumCase<"Eq", 0, "eq">,
  I32EnumCase<"Ne", 1, "ne">,
  I32EnumCase<"Lt", 2, "lt">,
  I32EnumCase<"Le", 3, "le">,
  I32EnumCase<"Gt", 4, "gt">,
  I32EnumCase<"Ge", 5, "ge">,
]>;

def Graph_ReduceKind : Graph_Enum<"ReduceKind", "a reduction kind", [
  I32EnumCase<"Sum", 0, "sum">,
  I32EnumCase<"Prod", 1, "prod">,
  I32EnumCase<"Max", 2, "max">,
  I32EnumCase<"Min", 3, "min">,
  I32EnumCase<"Any", 4, "any">,
  I32EnumCase<"All", 5, "all">,
]>;

def Graph_ArgReduceKind : Graph_Enum<"ArgReduceKind", "an extremum", [
  I32EnumCase<"Max", 0, "max">,
  I32EnumCase<"Min", 1, "min">,
]>;

def Graph_ScatterKind : Graph_Enum<"ScatterKind", "what becomes of an element that is written to", [
  I32EnumCase<"None", 0, "none">,
  I32EnumCase<"Sum", 1, "sum">,
  I32EnumCase<"Prod", 2, "prod">,
  I32EnumCase<"Max", 3, "max">,
  I32EnumCase<"Min", 4, "min">,
]>;

def Graph_Statistic : Graph_Enum<"Statistic", "an element chosen by its rank", [
  I32EnumCase<"Kth", 0, "kth">,
  I32EnumCase<"Median", 1, "median">,
  I32EnumCase<"NanMedian", 2, "nanmedian">,
  I32EnumCase<"Mode", 3, "mode">,
]>;

def Graph_GeluApproximation : Graph_Enum<"GeluApproximation", "a definition of GELU", [
  I32EnumCase<"None", 0, "none">,
  I32EnumCase<"Tanh", 1, "tanh">,
]>;

def Graph_Requirement : Graph_Enum<"Requirement", "what a program demands of its arguments", [
  I32EnumCase<"Probability", 0, "probability">,
  I32EnumCase<"Deviation", 1, "deviation">,
  I32EnumCase<"Weights", 2, "weights">,
]>;

#endif // TESSERA_GRAPH_ENUMS
