//===- GraphBase.td - dialect, types and base classes ------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_BASE
#define TESSERA_GRAPH_BASE

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "compiler/graph/ir/GraphEnums.td"
include "compiler/graph/ir/GraphInterfaces.td"

def Graph_Dialect : Dialect {
  let name = "graph";
  let cppNamespace = "::tessera::graph";
  let summary = "Level 1: what to compute, on tensors";
  let description = [{
    Value semantics on ranked tensors, about a hundred ops in families. Signless
    integers are signed; `ui8` is torch's uint8; `i1` is a boolean.

    Type promotion is explicit: the operands of an elementwise op share one element
    type, and `graph.cast` changes it. Only elementwise ops broadcast, by NumPy's
    rule. A dimension of one broadcasts; a `?` is taken to be equal to what it meets.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

// In assembly formats an empty literal goes before an enumeration, which prints a blank itself.
class Graph_EnumAttr<EnumInfo enumInfo, string name>
    : EnumAttr<Graph_Dialect, enumInfo, name>;

def Graph_ComparePredicateAttr : Graph_EnumAttr<Graph_ComparePredicate, "compare_predicate">;
def Graph_ReduceKindAttr : Graph_EnumAttr<Graph_ReduceKind, "reduce_kind">;
def Graph_ArgReduceKindAttr : Graph_EnumAttr<Graph_ArgReduceKind, "arg_reduce_kind">;
def Graph_ScatterKindAttr : Graph_EnumAttr<Graph_ScatterKind, "scatter_kind">;
def Graph_StatisticAttr : Graph_EnumAttr<Graph_Statistic, "statistic">;
def Graph_RequirementAttr : Graph_EnumAttr<Graph_Requirement, "requirement">;
def Graph_GeluApproximationAttr : Graph_EnumAttr<Graph_GeluApproximation, "gelu_approximation">;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

defvar Graph_FloatTypes = [F32, F64, F16, BF16];
defvar Graph_IntegerTypes = [I8, I16, I32, I64, UI8];

def Graph_Tensor
    : RankedTensorOf<!listconcat(Graph_FloatTypes, Graph_IntegerTypes, [I1])>;
def Graph_FloatTensor : RankedTensorOf<Graph_FloatTypes>;
def Graph_NumericTensor : RankedTensorOf<!listconcat(Graph_FloatTypes, Graph_IntegerTypes)>;
def Graph_IntegerTensor : RankedTensorOf<Graph_IntegerTypes>;
def Graph_IntegerOrBoolTensor : RankedTensorOf<!listconcat(Graph_IntegerTypes, [I1])>;
def Graph_BoolTensor : RankedTensorOf<[I1]>;
def Graph_IndexTensor : RankedTensorOf<[I32, I64]>;
def Graph_MaskTensor : RankedTensorOf<!listconcat(Graph_FloatTypes, [I1])>;

//===----------------------------------------------------------------------===//
// Traits
//===----------------------------------------------------------------------===//

class Graph_OpTrait<string name> : NativeOpTrait<name> {
  let cppNamespace = "::tessera::graph";
}

/// Each result element depends on the operands' elements at the same place, after broadcasting.
def Graph_Elementwise : Graph_OpTrait<"Elementwise">;
/// Each result element depends on its own place, and on operands of one element: no movement
/// passes it, though a kernel computes it among elementwise ops.
def Graph_Positional : Graph_OpTrait<"Positional">;
/// Result elements are operand elements elsewhere (or a padding value): nothing is computed.
def Graph_Movement : Graph_OpTrait<"Movement">;
/// Combines or normalizes along some dimensions and keeps the others apart.
def Graph_Rows : Graph_OpTrait<"Rows">;
/// A sum of products over a dimension that disappears.
def Graph_Contraction : Graph_OpTrait<"Contraction">;
/// No loop nest computes it: a function of the runtime's library does, on whole tensors in memory.
def Graph_Library : Graph_OpTrait<"Library">;

//===----------------------------------------------------------------------===//
// Op classes
//===----------------------------------------------------------------------===//

class Graph_Op<string mnemonic, list<Trait> traits = []>
    : Op<Graph_Dialect, mnemonic, traits>;

// Inference holds every constraint between operands, attributes and result, so that text, C++
// and the name-driven builder all meet the same message. Verification runs it as well, and first:
// when MLIR runs it, a second error follows that says no more than that it failed.
defvar Graph_InferDeclaration = [{
    /// The result's type, or an error naming the operand or attribute at fault.
    static ::llvm::FailureOr<::mlir::RankedTensorType>
    inferType(const ::tessera::graph::InferContext &ctx, Adaptor adaptor);
    static bool isCompatibleReturnTypes(::mlir::TypeRange lhs, ::mlir::TypeRange rhs);
}];
defvar Graph_InferDefinition = [{
  ::llvm::LogicalResult $cppClass::inferReturnTypes(
      ::mlir::MLIRContext *context, ::std::optional<::mlir::Location> location,
      ::mlir::ValueRange operands, ::mlir::DictionaryAttr attributes,
      ::mlir::OpaqueProperties properties, ::mlir::RegionRange regions,
      ::llvm::SmallVectorImpl<::mlir::Type> &types) {
    ::tessera::graph::InferContext ctx(context, location, getOperationName());
    if (::mlir::failed(::tessera::graph::checkArity<$cppClass>(ctx, operands.size())))
      return ::mlir::failure();
    Adaptor adaptor(operands, attributes, properties, regions);
    if (location && ::mlir::failed(adaptor.verify(*location)))
      return ::mlir::failure();
    auto type = inferType(ctx, adaptor);
    if (::mlir::failed(type))
      return ::mlir::failure();
    types.push_back(*type);
    return ::mlir::success();
  }
  ::llvm::LogicalResult $cppClass::verify() {
    ::llvm::SmallVector<::mlir::Type> types((*this)->getResultTypes());
    return refineReturnTypes(getContext(), getLoc(), (*this)->getOperands(),
                             (*this)->getRawDictionaryAttrs(), (*this)->getPropertiesStorage(),
                             (*this)->getRegions(), types);
  }
  bool $cppClass::isCompatibleReturnTypes(::mlir::TypeRange lhs, ::mlir::TypeRange rhs) {
    return ::tessera::graph::areCompatibleTypes(lhs, rhs);
  }
}];

/// An op with one result whose type follows from operands and attributes.
class Graph_InferredOp<string mnemonic, list<Trait> traits = [],
                       list<string> buildMethods = []>
    : Graph_Op<mnemonic, !listconcat(traits, [
        Pure,
        DeclareOpInterfaceMethods<InferTypeOpInterface>,
        DeclareOpInterfaceMethods<Graph_NamedBuildOpInterface, buildMethods>])> {
  let hasVerifier = 1;
  let extraClassDeclaration = Graph_InferDeclaration;
  let extraClassDefinition = Graph_InferDefinition;
}

/// The same for several results, by `inferTypes(ctx, adaptor, types)`.
class Graph_InferredResultsOp<string mnemonic, list<Trait> traits = [],
                              list<string> buildMethods = []>
    : Graph_InferredOp<mnemonic, traits, buildMethods> {
  let extraClassDeclaration = [{
    /// Adds the results' types, or emits an error naming the operand or attribute at fault.
    static ::llvm::LogicalResult
    inferTypes(const ::tessera::graph::InferContext &ctx, Adaptor adaptor,
               ::llvm::SmallVectorImpl<::mlir::Type> &types);
    static bool isCompatibleReturnTypes(::mlir::TypeRange lhs, ::mlir::TypeRange rhs);
  }];
  let extraClassDefinition = !subst("auto type = inferType(ctx, adaptor);",
      "auto type = inferTypes(ctx, adaptor, types);",
      !subst("types.push_back(*type);", "", Graph_InferDefinition));
}

#endif // TESSERA_GRAPH_BASE
