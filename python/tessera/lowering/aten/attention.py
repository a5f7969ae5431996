# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scaled-dot-product attention in every spelling torch has for it."""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.random_dropout import dropout
from tessera.lowering.aten.reduction import logsumexp
from tessera.lowering.aten.rules import (
    Arith,
    broadcast_shape,
    is_integral,
    node_rule,
    opmath,
    rule,
)
from tessera.lowering.aten.softmax import safe_softmax
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported


def _check_operands(query: GraphValue, key: GraphValue, value: GraphValue) -> None:
    op = "scaled_dot_product_attention"
    for name, operand in (("query", query), ("key", key), ("value", value)):
        if operand.ndim < 2:
            raise ValueError(f"[{op}] {name} needs two dimensions, but has shape {operand.shape}")
        if operand.dtype != query.dtype or is_integral(operand.dtype):
            raise TypeError(
                f"[{op}] {name} is {operand.dtype}; query, key and value must have one "
                f"floating-point dtype (query: {query.dtype})"
            )
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"[{op}] query {query.shape} and key {key.shape} differ in the last size")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"[{op}] key {key.shape} and value {value.shape} differ in length")


def _heads(
    ctx: LoweringContext, query: GraphValue, key: GraphValue, value: GraphValue, grouped: bool
) -> tuple[GraphValue, GraphValue, GraphValue]:
    """The operands with equal batch sizes and the head dimension the graph op needs."""
    operands = [query, key, value]
    # Four dimensions: what lacks a batch or heads gets them with size one.
    rank = max(4, *(operand.ndim for operand in operands))
    operands = [
        ctx.reshape(operand, (1,) * (rank - operand.ndim) + operand.shape) for operand in operands
    ]
    query, key, value = operands
    heads, groups = query.shape[-3], key.shape[-3]
    if not grouped:
        batch = broadcast_shape(*(operand.shape[:-2] for operand in operands))
        # One head shared by all is a group, which need not be repeated.
        shared = groups == value.shape[-3] == 1
        q, k, v = (
            ctx.broadcast(
                operand,
                (*batch[:-1], 1 if shared and index else batch[-1], *operand.shape[-2:]),
            )
            for index, operand in enumerate(operands)
        )
        return q, k, v
    if value.shape[-3] != groups or not groups or heads % groups:
        raise ValueError(
            f"[scaled_dot_product_attention] enable_gqa needs the {heads} heads of the query to "
            f"be a multiple of the {groups} and {value.shape[-3]} heads of key and value"
        )
    batch = broadcast_shape(*(operand.shape[:-3] for operand in operands))
    q, k, v = (ctx.broadcast(operand, (*batch, *operand.shape[-3:])) for operand in operands)
    return q, k, v


def attend(
    ctx: LoweringContext,
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    mask: GraphValue | None,
    is_causal: bool,
    scale: float | None,
    grouped: bool,
) -> GraphValue:
    """`graph.attention` after torch's checks and broadcasts."""
    _check_operands(query, key, value)
    if is_causal and mask is not None:
        raise ValueError("[scaled_dot_product_attention] give is_causal or attn_mask, not both")
    rank = max(query.ndim, key.ndim, value.ndim)
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    q, k, v = _heads(ctx, query, key, value, grouped)
    operands = [q, k, v]
    if mask is not None:
        if mask.dtype != torch.bool:
            mask = ctx.cast(mask, q.dtype)
        operands.append(mask)
    result = ctx.emit("attention", operands, scale=float(scale), causal=bool(is_causal))
    # Only the dimensions added above are dropped again.
    return ctx.reshape(result, result.shape[result.ndim - rank :])


def _refuse_dropout(dropout_p: float) -> None:
    if dropout_p:
        raise Unsupported(
            f"a fused attention kernel with dropout_p={dropout_p} has a stream of its own",
            "call torch.nn.functional.scaled_dot_product_attention",
            code="random",
        )


def attend_dropping(
    ctx: LoweringContext,
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    mask: GraphValue | None,
    is_causal: bool,
    scale: float | None,
    grouped: bool,
    dropout_p: float,
) -> GraphValue:
    """Attention whose weights are dropped at random, step by step."""
    _check_operands(query, key, value)
    rank = max(query.ndim, key.ndim, value.ndim)
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    q, k, v = _heads(ctx, query, key, value, grouped)
    scores = _scores(ctx, q, k, mask, is_causal, scale)
    weights = dropout(ctx, safe_softmax(ctx, scores, -1), dropout_p, True)
    v = _repeat_heads(ctx, ctx.cast(v, weights.dtype), weights.shape[-3])
    result = ctx.emit("matmul", [weights, v], transpose_a=False, transpose_b=False)
    result = ctx.cast(result, query.dtype)
    return ctx.reshape(result, result.shape[result.ndim - rank :])


def _repeat_heads(ctx: LoweringContext, x: GraphValue, heads: int) -> GraphValue:
    """Each head of x as often as there are query heads for it."""
    groups = heads // x.shape[-3] if x.shape[-3] else 1
    if groups <= 1:
        return x
    unit = ctx.reshape(x, (*x.shape[:-2], 1, *x.shape[-2:]))
    spread = ctx.broadcast(unit, (*x.shape[:-2], groups, *x.shape[-2:]))
    return ctx.reshape(spread, (*x.shape[:-3], heads, *x.shape[-2:]))


@rule("scaled_dot_product_attention")
def scaled_dot_product_attention(
    ctx: LoweringContext,
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    attn_mask: GraphValue | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> GraphValue:
    if dropout_p:
        return attend_dropping(
            ctx, query, key, value, attn_mask, is_causal, scale, enable_gqa, dropout_p
        )
    return attend(ctx, query, key, value, attn_mask, is_causal, scale, enable_gqa)


def _scores(
    ctx: LoweringContext,
    query: GraphValue,
    key: GraphValue,
    mask: GraphValue | None,
    is_causal: bool,
    scale: float | None,
) -> GraphValue:
    """The masked scores."""
    a = Arith(ctx, opmath(query.dtype))
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    q, k = ctx.cast(query, a.dtype), ctx.cast(key, a.dtype)
    k = _repeat_heads(ctx, k, q.shape[-3])
    scores = ctx.emit("matmul", [q, k], transpose_a=False, transpose_b=True)
    scores = a.scale(scores, factor)
    if is_causal:
        length, width = scores.shape[-2:]
        row = ctx.emit("iota", [], shape=[length, 1], dim=0, start=0, step=1, dtype=torch.int64)
        column = ctx.emit("iota", [], shape=[1, width], dim=1, start=0, step=1, dtype=torch.int64)
        seen = ctx.emit("compare", [column, row], predicate="le")
        scores = a.select(seen, scores, -math.inf)
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return a.select(mask, scores, -math.inf)
    return a.add(scores, ctx.cast(mask, a.dtype))


@rule("_scaled_dot_product_flash_attention_for_cpu")
def flash_attention_for_cpu(
    ctx: LoweringContext,
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: GraphValue | None = None,
    scale: float | None = None,
) -> tuple[GraphValue, GraphValue]:
    _refuse_dropout(dropout_p)
    result = attend(ctx, query, key, value, attn_mask, is_causal, scale, True)
    # Where nobody reads the log-sum-exp, the compiler drops it.
    scores = _scores(ctx, query, key, attn_mask, is_causal, scale)
    return result, logsumexp(ctx, scores, [scores.ndim - 1])


@node_rule("_scaled_dot_product_attention_math", "_scaled_dot_product_attention_math_for_mps")
def attention_math(
    ctx: LoweringContext,
    used: frozenset[int],
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    attn_mask: GraphValue | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    dropout_mask: GraphValue | None = None,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[GraphValue, None]:
    _refuse_others(used, {0}, "the attention weights")
    if dropout_p and dropout_mask is not None:
        _refuse_dropout(dropout_p)
    return scaled_dot_product_attention(
        ctx,
        query,
        key,
        value,
        attn_mask,
        dropout_p,
        is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    ), None


def _refuse_others(used: frozenset[int], covered: set[int], what: str) -> None:
    if used - covered:
        raise Unsupported(
            f"{what} of an attention kernel are read, which the fused kernel does not keep",
            "write the attention out, or use only its first result",
            code="unsupported-result",
        )


@node_rule("_scaled_dot_product_flash_attention")
def flash_attention(
    ctx: LoweringContext,
    used: frozenset[int],
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    return_debug_mask: bool = False,
    *,
    scale: float | None = None,
) -> tuple[GraphValue | None, ...]:
    _refuse_dropout(dropout_p)
    _refuse_others(used, {0}, "the statistics")
    return attend(ctx, query, key, value, None, is_causal, scale, True), *(None,) * 8


@node_rule(
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)
def efficient_attention(
    ctx: LoweringContext,
    used: frozenset[int],
    query: GraphValue,
    key: GraphValue,
    value: GraphValue,
    attn_bias: GraphValue | None,
    compute_log_sumexp: bool,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    return_debug_mask: bool = False,
    *,
    scale: float | None = None,
) -> tuple[GraphValue | None, ...]:
    _refuse_dropout(dropout_p)
    _refuse_others(used, {0}, "the statistics")
    return attend(ctx, query, key, value, attn_bias, is_causal, scale, False), *(None,) * 8
