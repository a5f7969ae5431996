# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention with its projections, and a whole encoder layer, as PyTorch fuses them for inference.

Capture turns this fusion off; graphs of torch.compile and programs exported elsewhere have it.
"""

from __future__ import annotations

import math

from tessera.lowering.aten.attention import attend
from tessera.lowering.aten.contraction import linear, matmul
from tessera.lowering.aten.elementwise_activation import gelu, relu
from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.normalization import layer_norm
from tessera.lowering.aten.reduction import all_, mean
from tessera.lowering.aten.rules import Arith, as_bool, negate, node_rule, number, rule
from tessera.lowering.aten.softmax import softmax
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported


def _mask(
    ctx: LoweringContext, mask: GraphValue | None, mask_type: int | None, batch: int
) -> GraphValue | None:
    """What is left out, as something that broadcasts to [N, heads, L, S]."""
    if mask is None:
        return None
    mask = as_bool(ctx, mask)
    if mask.ndim == 4:
        return mask
    if mask_type == 1 or (mask_type is None and mask.shape[0] == batch):  # of keys: [N, S]
        return ctx.reshape(mask, (mask.shape[0], 1, 1, mask.shape[-1]))
    return ctx.reshape(mask, (1, 1, *mask.shape[-2:]))


def _heads(ctx: LoweringContext, x: GraphValue, heads: int) -> GraphValue:
    batch, length, width = x.shape
    split = ctx.reshape(x, (batch, length, heads, width // heads))
    return permute_to(ctx, split, [0, 2, 1, 3])


def _weights(
    ctx: LoweringContext, q: GraphValue, k: GraphValue, mask: GraphValue | None
) -> GraphValue:
    """softmax(q @ k.T / sqrt(width)) of what is not left out; NaN where everything is."""
    a = Arith(ctx, q.dtype)
    scores = matmul(ctx, a.mul(q, 1 / math.sqrt(q.shape[-1])), permute_to(ctx, k, [0, 1, 3, 2]))
    if mask is not None:
        spread = ctx.broadcast(mask, scores.shape)
        scores = ctx.emit("select", [spread, number(ctx, -math.inf, scores.dtype), scores])
    return softmax(ctx, scores, -1)


def _attention(
    ctx: LoweringContext, q: GraphValue, k: GraphValue, v: GraphValue, mask: GraphValue | None
) -> GraphValue:
    """The same times v, fused; rows where everything is left out are NaN, as the softmax is."""
    if mask is None:
        return attend(ctx, q, k, v, None, False, None, False)
    result = attend(ctx, q, k, v, negate(ctx, mask), False, None, False)
    nothing = ctx.broadcast(all_(ctx, mask, -1, True), result.shape)
    return ctx.emit("select", [nothing, number(ctx, math.nan, result.dtype), result])


@node_rule("_native_multi_head_attention")
def native_multi_head_attention(
    ctx: LoweringContext,
    used: frozenset[int],
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    embed_dim: int,
    num_head: int,
    qkv_weight: GraphValue,
    qkv_bias: GraphValue,
    proj_weight: GraphValue,
    proj_bias: GraphValue,
    mask: GraphValue | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[GraphValue, GraphValue | None]:
    if 1 in used and not need_weights:
        raise Unsupported(
            "the attention weights are read, and need_weights=False leaves them out",
            "call it with need_weights=True",
            code="unsupported-result",
        )
    batch, length, _ = query.shape
    q, k, v = (
        _heads(ctx, item, num_head)
        for item in _projected(ctx, (query, key, value), qkv_weight, qkv_bias, embed_dim)
    )
    left_out = _mask(ctx, mask, mask_type, batch)
    weights: GraphValue | None = None
    if 1 in used:
        weights = _weights(ctx, q, k, left_out)
        result = matmul(ctx, weights, v)
        weights = mean(ctx, weights, 1) if average_attn_weights else weights
    else:
        result = _attention(ctx, q, k, v, left_out)
    joined = ctx.reshape(permute_to(ctx, result, [0, 2, 1, 3]), (batch, length, embed_dim))
    return linear(ctx, joined, proj_weight, proj_bias), weights


def _projected(
    ctx: LoweringContext,
    inputs: tuple[GraphValue, GraphValue, GraphValue],
    weight: GraphValue,
    bias: GraphValue,
    width: int,
) -> list[GraphValue]:
    """Queries, keys and values: one product where all three are made of one tensor."""
    if all(item is inputs[0] for item in inputs):
        joined = linear(ctx, inputs[0], weight, bias)
        return [_part(ctx, joined, 2, part, width) for part in range(3)]
    return [
        linear(ctx, item, _part(ctx, weight, 0, part, width), _part(ctx, bias, 0, part, width))
        for part, item in enumerate(inputs)
    ]


def _part(ctx: LoweringContext, value: GraphValue, dim: int, part: int, width: int) -> GraphValue:
    """One of the three parts of what is packed along a dimension."""
    starts, limits = [0] * value.ndim, list(value.shape)
    starts[dim], limits[dim] = part * width, (part + 1) * width
    return ctx.emit("slice", [value], starts=starts, limits=limits, steps=[1] * value.ndim)


@rule("_transformer_encoder_layer_fwd")
def transformer_encoder_layer(
    ctx: LoweringContext,
    src: GraphValue,
    embed_dim: int,
    num_heads: int,
    qkv_weight: GraphValue,
    qkv_bias: GraphValue,
    proj_weight: GraphValue,
    proj_bias: GraphValue,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: GraphValue,
    norm_bias_1: GraphValue,
    norm_weight_2: GraphValue,
    norm_bias_2: GraphValue,
    ffn_weight_1: GraphValue,
    ffn_bias_1: GraphValue,
    ffn_weight_2: GraphValue,
    ffn_bias_2: GraphValue,
    mask: GraphValue | None = None,
    mask_type: int | None = None,
) -> GraphValue:
    def first_norm(x: GraphValue) -> GraphValue:
        return layer_norm(ctx, x, [embed_dim], norm_weight_1, norm_bias_1, eps)

    def second_norm(x: GraphValue) -> GraphValue:
        return layer_norm(ctx, x, [embed_dim], norm_weight_2, norm_bias_2, eps)

    a = Arith(ctx, src.dtype)
    x = first_norm(src) if norm_first else src
    attended, _ = native_multi_head_attention(
        ctx, frozenset({0}), x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight,
        proj_bias, mask, False, False, mask_type,
    )  # fmt: skip
    x = a.add(src, attended)
    if not norm_first:
        x = first_norm(x)
    hidden = linear(ctx, second_norm(x) if norm_first else x, ffn_weight_1, ffn_bias_1)
    hidden = gelu(ctx, hidden) if use_gelu else relu(ctx, hidden)
    x = a.add(x, linear(ctx, hidden, ffn_weight_2, ffn_bias_2))
    return x if norm_first else second_norm(x)
