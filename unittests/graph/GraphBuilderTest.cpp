//===- GraphBuilderTest.cpp - building Graph IR by name -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/Compiler.h"

#include <gtest/gtest.h>

using namespace tessera;
using runtime::DType;

namespace {

const SourceLocation loc{"net.fc", "model.py", 12};

/// The only result of an op that must build.
GraphValue build(GraphBuilder &builder, const std::string &op,
                 const std::vector<GraphValue> &operands, const Attributes &attributes = {}) {
  auto result = builder.create(op, operands, attributes, loc);
  EXPECT_TRUE(result) << (result ? "" : result.message());
  return result ? result->front() : GraphValue{};
}

/// The message of an op that must not build.
std::string errorOf(GraphBuilder &builder, const std::string &op,
                    const std::vector<GraphValue> &operands, const Attributes &attributes = {}) {
  auto result = builder.create(op, operands, attributes, loc);
  EXPECT_FALSE(result);
  return result ? "" : result.message();
}

std::string textOf(GraphBuilder &builder, const std::vector<GraphValue> &outputs,
                   bool withLocations = false) {
  auto module = builder.finish(outputs);
  EXPECT_TRUE(module) << (module ? "" : module.message());
  return module ? module->str(withLocations) : "";
}

::testing::AssertionResult contains(const std::string &text, const std::string &part) {
  if (text.find(part) != std::string::npos)
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "no \"" << part << "\" in:\n" << text;
}

TEST(GraphBuilder, InfersTypesAndConvertsAttributes) {
  GraphBuilder builder;
  GraphValue x = builder.input("x", DType::F32, {8, 512});
  GraphValue w = builder.parameter("fc.weight", DType::F32, {2048, 512});
  GraphValue y = build(builder, "matmul", {x, w}, {{"transpose_b", true}, {"transpose_a", false}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{8, 2048}));
  EXPECT_EQ(y.dtype, DType::F32);
  GraphValue g = build(builder, "gelu", {y}, {{"approximate", "tanh"}});
  GraphValue s =
      build(builder, "reduce", {g}, {{"kind", "sum"}, {"dims", std::vector<int64_t>{1}}});
  EXPECT_EQ(s.shape, (std::vector<int64_t>{8}));
  GraphValue c = build(builder, "cast", {s}, {{"dtype", DType::BF16}});
  EXPECT_EQ(c.dtype, DType::BF16);
  GraphValue n = build(builder, "isnan", {s});
  EXPECT_EQ(n.dtype, DType::Bool);
  std::string text = textOf(builder, {c, n}, /*withLocations=*/true);
  EXPECT_TRUE(contains(text, "graph.name = \"x\""));
  EXPECT_TRUE(contains(text, "{transpose_b}"));
  EXPECT_TRUE(contains(text, "approximate = tanh"));
  EXPECT_TRUE(contains(text, "loc(\"model.py\":12:0)"));
  EXPECT_TRUE(contains(text, "loc(\"net.fc\"("));
  EXPECT_TRUE(GraphModule::parse(text));
}

TEST(GraphBuilder, LeavesOptionalOperandsOut) {
  GraphBuilder builder;
  GraphValue x = builder.input("x", DType::F32, {8, 16});
  GraphValue b = builder.parameter("norm.bias", DType::F32, {16});
  Attributes attributes = {{"axes", int64_t{1}}, {"eps", int64_t{1}}};
  GraphValue none = build(builder, "layer_norm", {x}, attributes);
  GraphValue onlyBias = build(builder, "layer_norm", {x, GraphValue{}, b}, attributes);
  GraphValue both = build(builder, "layer_norm", {x, b, b}, attributes);
  GraphValue rms = build(builder, "rms_norm", {x, GraphValue{}}, attributes);
  EXPECT_TRUE(contains(errorOf(builder, "layer_norm", {GraphValue{}, b}, attributes),
                       "[layer_norm] operand 0 cannot be left out"));
  EXPECT_TRUE(
      contains(errorOf(builder, "add", {GraphValue{}, b}), "[add] operand 0 cannot be left out"));
  std::string text = textOf(builder, {none, onlyBias, both, rms});
  EXPECT_TRUE(contains(text, "graph.layer_norm %arg0 axes = 1, eps = 1.000000e+00"));
  EXPECT_TRUE(contains(text, "graph.layer_norm %arg0 bias %0 axes"));
  EXPECT_TRUE(contains(text, "graph.layer_norm %arg0 weight %0 bias %0 axes"));
}

TEST(GraphBuilder, SaysWhatIsWrong) {
  GraphBuilder builder;
  GraphValue x = builder.input("x", DType::F32, {8, 512});
  GraphValue i = builder.input("i", DType::I64, {8});
  EXPECT_TRUE(contains(errorOf(builder, "matmull", {x, x}), "[matmull] is no op of Graph IR"));
  EXPECT_TRUE(contains(errorOf(builder, "matmul", {x, x}),
                       "'graph.matmul' op [matmul] last dimension of lhs (512) must equal the "
                       "second to last dimension of rhs (8)"));
  EXPECT_TRUE(contains(errorOf(builder, "add", {x}), "takes 2 operands, got 1"));
  EXPECT_TRUE(contains(errorOf(builder, "add", {x, i}), "insert graph.cast"));
  EXPECT_TRUE(contains(errorOf(builder, "exp", {i}), "operand #0 must be ranked tensor of 32-bit"));
  EXPECT_TRUE(contains(errorOf(builder, "softmax", {x}), "requires attribute 'dim'"));
  EXPECT_TRUE(contains(errorOf(builder, "softmax", {x}, {{"axis", int64_t{1}}}),
                       "[softmax] has no attribute 'axis'; it has dim"));
  EXPECT_TRUE(contains(errorOf(builder, "softmax", {x}, {{"dim", 1.5}}),
                       "[softmax] Invalid attribute `dim` in property conversion: 1.5"));
  EXPECT_TRUE(contains(errorOf(builder, "compare", {x, x}, {{"predicate", "less"}}),
                       "[compare] `predicate` is 'less'; use one of eq, ne, lt, le, gt, ge"));
  EXPECT_TRUE(contains(errorOf(builder, "island", {x}), "use island()"));
  GraphValue stranger{99, DType::F32, {8}};
  EXPECT_TRUE(contains(errorOf(builder, "exp", {stranger}), "operand 0 is no value of this graph"));
  // The builder goes on after an error.
  EXPECT_TRUE(contains(textOf(builder, {build(builder, "exp", {x})}), "graph.exp"));
}

TEST(GraphBuilder, MakesConstantsOfEveryType) {
  GraphBuilder builder;
  const float one = 1.0f;
  const uint8_t bits[] = {1, 0, 1};
  const uint8_t bytes[] = {200, 0, 255};
  const int64_t ints[] = {-1, 2, 3};
  std::vector<GraphValue> outputs = {
      builder.constant(DType::F32, {}, &one, 4, loc),
      builder.constant(DType::F32, {4, 4}, &one, 4, loc),
      builder.constant(DType::Bool, {3}, bits, 3, loc),
      builder.constant(DType::U8, {3}, bytes, 3, loc),
      builder.constant(DType::I64, {3}, ints, 24, loc),
      builder.constant(DType::F64, {0, 2}, nullptr, 0, loc),
      builder.constant(DType::Bool, {0}, nullptr, 0),
      builder.constant(DType::Bool, {2, 2}, bits, 1),
  };
  std::string text = textOf(builder, outputs);
  EXPECT_TRUE(contains(text, "dense<1.000000e+00> : tensor<f32>"));
  EXPECT_TRUE(contains(text, "dense<1.000000e+00> : tensor<4x4xf32>"));
  EXPECT_TRUE(contains(text, "dense<[true, false, true]> : tensor<3xi1>"));
  EXPECT_TRUE(contains(text, "dense<[200, 0, 255]> : tensor<3xui8>"));
  EXPECT_TRUE(contains(text, "dense<[-1, 2, 3]> : tensor<3xi64>"));
  EXPECT_TRUE(contains(text, "dense<> : tensor<0x2xf64>"));
  EXPECT_TRUE(contains(text, "dense<true> : tensor<2x2xi1>"));
}

TEST(GraphBuilder, TellsMisuseWhenItCan) {
  GraphBuilder builder;
  const float one = 1.0f;
  GraphValue x = builder.constant(DType::F32, {3}, &one, 8);
  EXPECT_EQ(x.id, -1);
  EXPECT_TRUE(contains(errorOf(builder, "exp", {x}), "[constant] 8 bytes are neither"));

  GraphBuilder twice;
  GraphValue p = twice.parameter("w", DType::F32, {3});
  EXPECT_EQ(twice.parameter("w", DType::F32, {3}).id, p.id);
  twice.parameter("w", DType::F32, {4});
  auto module = twice.finish({p});
  ASSERT_FALSE(module);
  EXPECT_TRUE(contains(module.message(), "'w' was used before with another dtype or shape"));

  GraphBuilder done;
  EXPECT_TRUE(done.finish({}));
  EXPECT_TRUE(contains(errorOf(done, "exp", {p}), "a builder builds one graph"));
}

TEST(GraphBuilder, KeepsIslands) {
  GraphBuilder builder;
  GraphValue x = builder.input("x", DType::F32, {8});
  auto results = builder.island(3, "no lowering for aten.sort", {x},
                                {{DType::F32, {8}}, {DType::I64, {8}}}, loc);
  ASSERT_TRUE(results);
  ASSERT_EQ(results->size(), 2u);
  EXPECT_EQ((*results)[1].dtype, DType::I64);
  EXPECT_TRUE(contains(textOf(builder, *results), "graph.island 3 \"no lowering for aten.sort\""));
}

TEST(GraphBuilder, OpensAnInputBeforeTheOthers) {
  GraphBuilder builder;
  GraphValue x = builder.input("x", DType::F32, {8});
  GraphValue keys = builder.openFirstInput("random keys", DType::I64, 1);
  EXPECT_EQ(keys.shape, (std::vector<int64_t>{-1}));
  GraphValue second = build(builder, "slice", {keys},
                            {{"starts", std::vector<int64_t>{1}},
                             {"limits", std::vector<int64_t>{2}},
                             {"steps", std::vector<int64_t>{1}}});
  builder.setInputShape(keys, {2});
  EXPECT_TRUE(contains(textOf(builder, {x, second}),
                       "@main(%arg0: tensor<2xi64> {graph.name = \"random keys\"}, "
                       "%arg1: tensor<8xf32> {graph.name = \"x\"})"));

  GraphBuilder other;
  other.setInputShape(other.input("x", DType::F32, {8}), {9});
  auto module = other.finish({});
  ASSERT_FALSE(module);
  EXPECT_TRUE(contains(module.message(), "[setInputShape] expects an input of the graph"));
}

TEST(GraphModule, ParseReportsWhere) {
  auto broken = GraphModule::parse("func.func @main() {\n  graph.nothing\n}");
  ASSERT_FALSE(broken);
  EXPECT_TRUE(contains(broken.message(), "graph:2: "));
  auto empty = GraphModule::parse("");
  ASSERT_FALSE(empty);
  EXPECT_TRUE(contains(empty.message(), "@main"));
}

} // namespace
