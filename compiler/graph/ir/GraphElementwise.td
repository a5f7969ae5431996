//===- GraphElementwise.td - one element at a time ---------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_ELEMENTWISE
#define TESSERA_GRAPH_ELEMENTWISE

include "compiler/graph/ir/GraphBase.td"

// Operands broadcast against each other by NumPy's rule and share one element type.
class Graph_ElementwiseOp<string mnemonic, list<Trait> traits = [],
                          list<string> buildMethods = []>
    : Graph_InferredOp<mnemonic, !listconcat([Graph_Elementwise], traits), buildMethods>;

// The result has the operands' element type.
defvar Graph_InferSameType = [{
  ::llvm::FailureOr<::mlir::RankedTensorType> $cppClass::inferType(
      const ::tessera::graph::InferContext &ctx, Adaptor adaptor) {
    return ::tessera::graph::inferElementwise(ctx, adaptor.getOperands());
  }
}];
// The result is i1.
defvar Graph_InferBool = [{
  ::llvm::FailureOr<::mlir::RankedTensorType> $cppClass::inferType(
      const ::tessera::graph::InferContext &ctx, Adaptor adaptor) {
    return ::tessera::graph::inferElementwise(
        ctx, adaptor.getOperands(), ::mlir::IntegerType::get(ctx.getContext(), 1));
  }
}];

//===----------------------------------------------------------------------===//
// Unary
//===----------------------------------------------------------------------===//

class Graph_UnaryOp<string mnemonic, Type type, string text>
    : Graph_ElementwiseOp<mnemonic> {
  let summary = text;
  let description = [{
    Example:
    ```mlir
    %1 = graph.}] # mnemonic # [{ %0 : tensor<8x512x}] #
    !if(!eq(type, Graph_IntegerOrBoolTensor), "i1", "f32") # [{>
    ```
  }];
  let arguments = (ins type:$operand);
  let results = (outs type:$result);
  let assemblyFormat = [{
    $operand attr-dict `:` custom<ElementwiseTypes>(type($operand), type($result))
  }];
  let extraClassDefinition = !strconcat(Graph_InferDefinition, Graph_InferSameType);
}
class Graph_FloatUnaryOp<string mnemonic, string text>
    : Graph_UnaryOp<mnemonic, Graph_FloatTensor, text>;
class Graph_NumericUnaryOp<string mnemonic, string text>
    : Graph_UnaryOp<mnemonic, Graph_NumericTensor, text>;
class Graph_PredicateUnaryOp<string mnemonic, string text> : Graph_ElementwiseOp<mnemonic> {
  let summary = text;
  let description = [{
    Example:
    ```mlir
    %1 = graph.}] # mnemonic # [{ %0 : (tensor<8xf32>) -> tensor<8xi1>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$operand);
  let results = (outs Graph_BoolTensor:$result);
  let assemblyFormat = [{
    $operand attr-dict `:` custom<ElementwiseTypes>(type($operand), type($result))
  }];
  let extraClassDefinition = !strconcat(Graph_InferDefinition, Graph_InferBool);
}

def Graph_AbsOp : Graph_NumericUnaryOp<"abs", "absolute value; the most negative integer stays">;
def Graph_NegOp : Graph_NumericUnaryOp<"neg", "-x; integers wrap">;
def Graph_SignOp : Graph_NumericUnaryOp<"sign", "-1, 0 or 1; 0 for NaN and for either zero">;
def Graph_ExpOp : Graph_FloatUnaryOp<"exp", "e to the power of the operand">;
def Graph_Exp2Op : Graph_FloatUnaryOp<"exp2", "two to the power of the operand">;
def Graph_Expm1Op : Graph_FloatUnaryOp<"expm1", "exp(x) - 1, accurate near zero">;
def Graph_LogOp : Graph_FloatUnaryOp<"log", "natural logarithm">;
def Graph_Log2Op : Graph_FloatUnaryOp<"log2", "logarithm to base 2">;
def Graph_Log10Op : Graph_FloatUnaryOp<"log10", "logarithm to base 10">;
def Graph_Log1pOp : Graph_FloatUnaryOp<"log1p", "log(1 + x), accurate near zero">;
def Graph_SqrtOp : Graph_FloatUnaryOp<"sqrt", "square root; NaN below zero">;
def Graph_RsqrtOp : Graph_FloatUnaryOp<"rsqrt", "1 / sqrt(x)">;
def Graph_ReciprocalOp : Graph_FloatUnaryOp<"reciprocal", "1 / x">;
def Graph_SinOp : Graph_FloatUnaryOp<"sin", "sine">;
def Graph_CosOp : Graph_FloatUnaryOp<"cos", "cosine">;
def Graph_TanOp : Graph_FloatUnaryOp<"tan", "tangent">;
def Graph_AsinOp : Graph_FloatUnaryOp<"asin", "arc sine">;
def Graph_AcosOp : Graph_FloatUnaryOp<"acos", "arc cosine">;
def Graph_AtanOp : Graph_FloatUnaryOp<"atan", "arc tangent">;
def Graph_SinhOp : Graph_FloatUnaryOp<"sinh", "hyperbolic sine">;
def Graph_CoshOp : Graph_FloatUnaryOp<"cosh", "hyperbolic cosine">;
def Graph_TanhOp : Graph_FloatUnaryOp<"tanh", "hyperbolic tangent">;
def Graph_AsinhOp : Graph_FloatUnaryOp<"asinh", "inverse hyperbolic sine">;
def Graph_AcoshOp : Graph_FloatUnaryOp<"acosh", "inverse hyperbolic cosine">;
def Graph_AtanhOp : Graph_FloatUnaryOp<"atanh", "inverse hyperbolic tangent">;
def Graph_ErfOp : Graph_FloatUnaryOp<"erf", "error function">;
def Graph_ErfcOp : Graph_FloatUnaryOp<"erfc", "1 - erf(x), accurate for large x">;
def Graph_ErfinvOp : Graph_FloatUnaryOp<"erfinv", "inverse of the error function">;
def Graph_SigmoidOp : Graph_FloatUnaryOp<"sigmoid", "1 / (1 + exp(-x))">;
def Graph_SiluOp : Graph_FloatUnaryOp<"silu", "x * sigmoid(x)">;
def Graph_CeilOp : Graph_FloatUnaryOp<"ceil", "smallest integer not below x">;
def Graph_FloorOp : Graph_FloatUnaryOp<"floor", "largest integer not above x">;
def Graph_TruncOp : Graph_FloatUnaryOp<"trunc", "x without its fraction">;
def Graph_RoundOp : Graph_FloatUnaryOp<"round", "nearest integer, ties to even">;
def Graph_BitwiseNotOp : Graph_UnaryOp<"bitwise_not", Graph_IntegerOrBoolTensor,
                                       "all bits inverted; logical not on i1">;
def Graph_IsnanOp : Graph_PredicateUnaryOp<"isnan", "whether the operand is NaN">;
def Graph_IsinfOp : Graph_PredicateUnaryOp<"isinf", "whether the operand is an infinity">;

def Graph_GeluOp : Graph_ElementwiseOp<"gelu", [], ["coerceAttribute"]> {
  let summary = "x times the normal distribution's cumulative function";
  let description = [{
    `approximate = tanh` is the definition through tanh, `none` the one through erf.

    Example:
    ```mlir
    %1 = graph.gelu %0 : tensor<8x512xf32>
    %2 = graph.gelu %1 approximate = tanh : tensor<8x512xf32>
    ```
  }];
  let arguments = (ins
    Graph_FloatTensor:$operand,
    DefaultValuedAttr<Graph_GeluApproximationAttr,
                      "::tessera::graph::GeluApproximation::None">:$approximate);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $operand (`approximate` `=` `` $approximate^)? attr-dict `:`
    custom<ElementwiseTypes>(type($operand), type($result))
  }];
  let extraClassDefinition = !strconcat(Graph_InferDefinition, Graph_InferSameType);
}

def Graph_SpecialOp : Graph_ElementwiseOp<"special"> {
  let summary = "a special function of one or two operands";
  let description = [{
    The functions of runtime/abi/Mathematics.h, which the runtime computes one element at a time. For half
    precision they are computed in f32.

    Example:
    ```mlir
    %1 = graph.special "digamma"(%0) : (tensor<8xf32>) -> tensor<8xf32>
    %2 = graph.special "zeta"(%0, %1) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
    ```
  }];
  let arguments = (ins StrAttr:$function, Variadic<Graph_FloatTensor>:$operands);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $function `(` $operands `)` attr-dict `:` functional-type($operands, $result)
  }];
}

//===----------------------------------------------------------------------===//
// Binary
//===----------------------------------------------------------------------===//

class Graph_BinaryOp<string mnemonic, Type type, string text, list<Trait> traits = []>
    : Graph_ElementwiseOp<mnemonic, traits> {
  let summary = text;
  let description = [{
    Example:
    ```mlir
    %2 = graph.}] # mnemonic # [{ %0, %1 : (tensor<8x512x}] #
    !if(!or(!eq(type, Graph_IntegerOrBoolTensor), !eq(type, Graph_IntegerTensor)),
        "i32>, tensor<512xi32>) -> tensor<8x512xi32>",
        "f32>, tensor<512xf32>) -> tensor<8x512xf32>") # [{
    ```
  }];
  let arguments = (ins type:$lhs, type:$rhs);
  let results = (outs type:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs attr-dict `:` custom<ElementwiseTypes>(type($lhs), type($rhs), type($result))
  }];
  let extraClassDefinition = !strconcat(Graph_InferDefinition, Graph_InferSameType);
}
class Graph_NumericBinaryOp<string mnemonic, string text, list<Trait> traits = []>
    : Graph_BinaryOp<mnemonic, Graph_NumericTensor, text, traits>;
class Graph_FloatBinaryOp<string mnemonic, string text>
    : Graph_BinaryOp<mnemonic, Graph_FloatTensor, text>;

def Graph_AddOp : Graph_NumericBinaryOp<"add", "sum; integers wrap", [Commutative]>;
def Graph_SubOp : Graph_NumericBinaryOp<"sub", "difference; integers wrap">;
def Graph_MulOp : Graph_NumericBinaryOp<"mul", "product; integers wrap", [Commutative]>;
def Graph_DivOp : Graph_FloatBinaryOp<"div", "quotient of floats">;
def Graph_FloorDivOp : Graph_NumericBinaryOp<"floor_div",
    "quotient rounded towards minus infinity">;
def Graph_TruncDivOp : Graph_NumericBinaryOp<"trunc_div", "quotient rounded towards zero">;
def Graph_RemainderOp : Graph_NumericBinaryOp<"remainder",
    "remainder with the sign of the divisor">;
def Graph_FmodOp : Graph_NumericBinaryOp<"fmod", "remainder with the sign of the dividend">;
def Graph_PowOp : Graph_NumericBinaryOp<"pow", "lhs to the power of rhs">;
def Graph_Atan2Op : Graph_FloatBinaryOp<"atan2", "angle of the point (rhs, lhs)">;
def Graph_CopysignOp : Graph_FloatBinaryOp<"copysign", "magnitude of lhs with the sign of rhs">;
def Graph_MaximumOp : Graph_NumericBinaryOp<"maximum",
    "larger of two; NaN when either is", [Commutative]>;
def Graph_MinimumOp : Graph_NumericBinaryOp<"minimum",
    "smaller of two; NaN when either is", [Commutative]>;
def Graph_BitwiseAndOp : Graph_BinaryOp<"bitwise_and", Graph_IntegerOrBoolTensor,
    "bitwise conjunction; logical on i1", [Commutative]>;
def Graph_BitwiseOrOp : Graph_BinaryOp<"bitwise_or", Graph_IntegerOrBoolTensor,
    "bitwise disjunction; logical on i1", [Commutative]>;
def Graph_BitwiseXorOp : Graph_BinaryOp<"bitwise_xor", Graph_IntegerOrBoolTensor,
    "bitwise exclusive disjunction; logical on i1", [Commutative]>;
def Graph_ShiftLeftOp : Graph_BinaryOp<"shift_left", Graph_IntegerTensor,
    "lhs * 2^rhs, wrapping">;
def Graph_ShiftRightOp : Graph_BinaryOp<"shift_right", Graph_IntegerTensor,
    "lhs / 2^rhs rounded down; ui8 shifts in zeros">;

//===----------------------------------------------------------------------===//
// Others
//===----------------------------------------------------------------------===//

def Graph_CompareOp : Graph_ElementwiseOp<"compare", [], ["coerceAttribute"]> {
  let summary = "comparison of two tensors";
  let description = [{
    Example:
    ```mlir
    %2 = graph.compare lt %0, %1 : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi1>
    ```
  }];
  let arguments = (ins Graph_ComparePredicateAttr:$predicate, Graph_Tensor:$lhs, Graph_Tensor:$rhs);
  let results = (outs Graph_BoolTensor:$result);
  let assemblyFormat = [{
    `` $predicate $lhs `,` $rhs attr-dict `:`
    custom<ElementwiseTypes>(type($lhs), type($rhs), type($result))
  }];
  let extraClassDefinition = !strconcat(Graph_InferDefinition, Graph_InferBool);
}

def Graph_SelectOp : Graph_ElementwiseOp<"select"> {
  let summary = "on_true where the condition holds, else on_false";
  let description = [{
    Example:
    ```mlir
    %3 = graph.select %0, %1, %2 : (tensor<8xi1>, tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
    ```
  }];
  let arguments = (ins Graph_BoolTensor:$condition, Graph_Tensor:$on_true, Graph_Tensor:$on_false);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $condition `,` $on_true `,` $on_false attr-dict `:`
    custom<ElementwiseTypes>(type($condition), type($on_true), type($on_false), type($result))
  }];
}

def Graph_CastOp : Graph_ElementwiseOp<"cast"> {
  let summary = "conversion to another element type";
  let description = [{
    Floats are rounded to nearest even among floats and towards zero to integers;
    integers wrap; anything but zero becomes true.

    Example:
    ```mlir
    %1 = graph.cast %0 to bf16 : (tensor<8xf32>) -> tensor<8xbf16>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, TypeAttr:$dtype);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `to` $dtype attr-dict `:` custom<ElementwiseTypes>(type($operand), type($result))
  }];
}

def Graph_BitcastOp : Graph_ElementwiseOp<"bitcast"> {
  let summary = "the same bits as another element type of 32 or 64 bits";
  let description = [{
    Example:
    ```mlir
    %1 = graph.bitcast %0 to i32 : (tensor<8xf32>) -> tensor<8xi32>
    ```
  }];
  let arguments = (ins Graph_NumericTensor:$operand, TypeAttr:$dtype);
  let results = (outs Graph_NumericTensor:$result);
  let assemblyFormat = [{
    $operand `to` $dtype attr-dict `:` custom<ElementwiseTypes>(type($operand), type($result))
  }];
}

#endif // TESSERA_GRAPH_ELEMENTWISE
