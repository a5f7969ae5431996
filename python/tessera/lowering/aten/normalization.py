# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Normalization: layer, RMS and group norm as graph ops; batch norm as scale and shift.

The saved statistics (mean, reciprocal deviation) are written over reductions; where nobody reads
them the compiler drops them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.rules import Arith, finish, is_integral, opmath, rule
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

Statistics = tuple[GraphValue, GraphValue, GraphValue]


def _affine(
    ctx: LoweringContext,
    op: str,
    x: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    **attrs: object,
) -> GraphValue:
    """The graph op with the operands that are there; mixed dtypes compute in float32."""
    if is_integral(x.dtype):
        raise TypeError(f"[{op}] is not defined for {x.dtype}; cast to a floating-point dtype")
    given = [value for value in (weight, bias) if value is not None]
    mixed = any(value.dtype != x.dtype for value in given)
    # A group's scale and shift are applied apart from its statistics, and nothing is to be
    # rounded in between.
    wide = mixed or op == "group_norm"
    compute = opmath(x.dtype) if wide else x.dtype
    operands = [ctx.cast(x, compute)]
    if weight is not None:
        operands += [ctx.cast(value, compute) for value in given]
    value = ctx.emit(op, operands, **attrs)
    if weight is None and bias is not None:
        # A bias without a weight is not an operand of the op.
        shape = bias.shape
        if op == "group_norm":
            shape = (*shape, *(1,) * (x.ndim - 2))
        value = ctx.emit("add", [value, ctx.reshape(ctx.cast(bias, compute), shape)])
    return finish(ctx, value, x.dtype)


def _check_trailing(op: str, shape: Sequence[int], normalized_shape: Sequence[int]) -> int:
    axes = len(normalized_shape)
    if not axes or tuple(shape[len(shape) - axes :]) != tuple(normalized_shape):
        raise ValueError(
            f"[{op}] normalized_shape {list(normalized_shape)} is not the end of the input's "
            f"shape {list(shape)}"
        )
    return axes


def moments(
    ctx: LoweringContext, x: GraphValue, dims: Sequence[int], eps: float
) -> tuple[GraphValue, GraphValue]:
    """Mean and 1 / sqrt(biased variance + eps) over `dims`, kept, in the precision of sums."""
    a = Arith(ctx, opmath(x.dtype))
    x = ctx.cast(x, a.dtype)
    count = float(math.prod(x.shape[dim] for dim in dims))
    mean = a.div(a.unary("reduce", x, kind="sum", dims=list(dims), keepdim=True), count)
    centered = a.sub(x, mean)
    squares = a.mul(centered, centered)
    variance = a.div(a.unary("reduce", squares, kind="sum", dims=list(dims), keepdim=True), count)
    return mean, a.unary("rsqrt", a.add(variance, eps))


# --- layer and RMS norm ----------------------------------------------------------------------


@rule("layer_norm")
def layer_norm(
    ctx: LoweringContext,
    input: GraphValue,
    normalized_shape: Sequence[int],
    weight: GraphValue | None = None,
    bias: GraphValue | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> GraphValue:
    axes = _check_trailing("layer_norm", input.shape, normalized_shape)
    return _affine(ctx, "layer_norm", input, weight, bias, axes=axes, eps=float(eps))


@rule("native_layer_norm")
def native_layer_norm(
    ctx: LoweringContext,
    input: GraphValue,
    normalized_shape: Sequence[int],
    weight: GraphValue | None,
    bias: GraphValue | None,
    eps: float,
) -> Statistics:
    value = layer_norm(ctx, input, normalized_shape, weight, bias, eps)
    dims = range(input.ndim - len(normalized_shape), input.ndim)
    mean, rstd = moments(ctx, input, dims, eps)
    # The type that capture foretells; eager keeps them in that of wider parameters.
    return value, ctx.cast(mean, input.dtype), ctx.cast(rstd, input.dtype)


@rule("rms_norm")
def rms_norm(
    ctx: LoweringContext,
    input: GraphValue,
    normalized_shape: Sequence[int],
    weight: GraphValue | None = None,
    eps: float | None = None,
) -> GraphValue:
    axes = _check_trailing("rms_norm", input.shape, normalized_shape)
    return _affine(ctx, "rms_norm", input, weight, None, axes=axes, eps=_rms_eps(input, eps))


def _rms_eps(input: GraphValue, eps: float | None) -> float:
    if is_integral(input.dtype):
        raise TypeError(f"[rms_norm] is not defined for {input.dtype}")
    return torch.finfo(opmath(input.dtype)).eps if eps is None else float(eps)


@rule("_fused_rms_norm")
def fused_rms_norm(
    ctx: LoweringContext,
    input: GraphValue,
    normalized_shape: Sequence[int],
    weight: GraphValue | None,
    eps: float | None,
) -> tuple[GraphValue, GraphValue]:
    value = rms_norm(ctx, input, normalized_shape, weight, eps)
    a = Arith(ctx, opmath(input.dtype))
    x = ctx.cast(input, a.dtype)
    dims = list(range(input.ndim - len(normalized_shape), input.ndim))
    total = a.unary("reduce", a.mul(x, x), kind="sum", dims=dims, keepdim=True)
    mean = a.div(total, float(math.prod(normalized_shape)))
    return value, a.unary("rsqrt", a.add(mean, _rms_eps(input, eps)))


# --- group norm ------------------------------------------------------------------------------


@rule("group_norm")
def group_norm(
    ctx: LoweringContext,
    input: GraphValue,
    num_groups: int,
    weight: GraphValue | None = None,
    bias: GraphValue | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> GraphValue:
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ValueError(
            f"[group_norm] the channels of {input.shape} do not divide into {num_groups} groups"
        )
    return _affine(ctx, "group_norm", input, weight, bias, groups=num_groups, eps=float(eps))


@rule("native_group_norm")
def native_group_norm(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> Statistics:
    value = group_norm(ctx, input, group, weight, bias, eps)
    grouped = ctx.reshape(input, (N, group, (C // group) * HxW))
    mean, rstd = moments(ctx, grouped, [2], eps)
    return (
        value,
        ctx.cast(ctx.reshape(mean, (N, group)), input.dtype),
        ctx.cast(ctx.reshape(rstd, (N, group)), input.dtype),
    )


# --- batch norm ------------------------------------------------------------------------------


def _along_channels(ctx: LoweringContext, value: GraphValue, rank: int) -> GraphValue:
    return ctx.reshape(value, (value.shape[0],) + (1,) * (rank - 2)) if rank > 2 else value


def _batch_norm(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    mean: GraphValue,
    inverse: GraphValue,
) -> GraphValue:
    """input * scale + shift; both are functions of parameters only and are prepared once."""
    a = Arith(ctx, opmath(input.dtype))
    scale = inverse if weight is None else a.mul(inverse, ctx.cast(weight, a.dtype))
    shift = a.unary("neg", a.mul(mean, scale))
    if bias is not None:
        shift = a.add(shift, ctx.cast(bias, a.dtype))
    x = ctx.cast(input, a.dtype)
    value = a.mul(x, _along_channels(ctx, scale, input.ndim))
    return finish(ctx, a.add(value, _along_channels(ctx, shift, input.ndim)), input.dtype)


def batch_norm_inference(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    running_mean: GraphValue | None,
    running_var: GraphValue | None,
    eps: float,
) -> GraphValue:
    """Batch norm by the running statistics."""
    if running_mean is None or running_var is None:
        raise ValueError("[batch_norm] running_mean and running_var are needed in inference")
    if not input.numel():
        return input
    if input.ndim < 2 or is_integral(input.dtype):
        raise ValueError(f"[batch_norm] does not take {input.dtype} of shape {input.shape}")
    a = Arith(ctx, opmath(input.dtype))
    mean = ctx.cast(running_mean, a.dtype)
    variance = ctx.cast(running_var, a.dtype)
    inverse = a.unary("rsqrt", a.add(variance, float(eps)))
    return _batch_norm(ctx, input, weight, bias, mean, inverse)


def batch_norm_training(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    eps: float,
) -> Statistics:
    """Batch norm by the batch's own statistics."""
    if input.ndim < 2 or is_integral(input.dtype):
        raise ValueError(f"[batch_norm] does not take {input.dtype} of shape {input.shape}")
    dims = [dim for dim in range(input.ndim) if dim != 1]
    mean, inverse = moments(ctx, input, dims, float(eps))
    channels = (input.shape[1],)
    mean, inverse = ctx.reshape(mean, channels), ctx.reshape(inverse, channels)
    return _batch_norm(ctx, input, weight, bias, mean, inverse), mean, inverse


def _refuse_training(op: str) -> Unsupported:
    return Unsupported(
        f"[{op}] in training updates its running statistics",
        "call .eval() on the module before converting it",
        code="training",
    )


@rule("batch_norm")
def batch_norm(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    running_mean: GraphValue | None,
    running_var: GraphValue | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> GraphValue:
    if not training:
        return batch_norm_inference(ctx, input, weight, bias, running_mean, running_var, eps)
    if running_mean is not None:
        raise _refuse_training("batch_norm")
    return batch_norm_training(ctx, input, weight, bias, eps)[0]


@rule("_native_batch_norm_legit_no_training")
def native_batch_norm_no_training(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    running_mean: GraphValue,
    running_var: GraphValue,
    momentum: float,
    eps: float,
) -> Statistics:
    value = batch_norm_inference(ctx, input, weight, bias, running_mean, running_var, eps)
    # torch saves no statistics in inference.
    empty = ctx.broadcast(ctx.constant(0, running_mean.dtype), (0,))
    return value, empty, empty


@rule("native_batch_norm", "_native_batch_norm_legit")
def native_batch_norm(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    running_mean: GraphValue | None,
    running_var: GraphValue | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Statistics:
    if training and running_mean is not None:
        raise _refuse_training("native_batch_norm")
    if training:
        return native_batch_norm_no_stats(ctx, input, weight, bias, training, momentum, eps)
    assert running_mean is not None
    assert running_var is not None
    return native_batch_norm_no_training(
        ctx, input, weight, bias, running_mean, running_var, momentum, eps
    )


@rule("_native_batch_norm_legit.no_stats")
def native_batch_norm_no_stats(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Statistics:
    value, mean, inverse = batch_norm_training(ctx, input, weight, bias, eps)
    # The type that capture foretells; eager keeps them in that of wider parameters.
    return value, ctx.cast(mean, input.dtype), ctx.cast(inverse, input.dtype)


@rule("instance_norm")
def instance_norm(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue | None,
    bias: GraphValue | None,
    running_mean: GraphValue | None,
    running_var: GraphValue | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> GraphValue:
    if not use_input_stats:
        return batch_norm_inference(ctx, input, weight, bias, running_mean, running_var, eps)
    if running_mean is not None:
        raise _refuse_training("instance_norm")
    # One group a channel.
    return group_norm(ctx, input, input.shape[1], weight, bias, eps)
