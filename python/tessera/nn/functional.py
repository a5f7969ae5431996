# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers as functions, with the names and arguments of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tessera import ops
from tessera.ops._dispatch import Value, call

Number = int | float

gelu = ops.gelu
relu = ops.relu
silu = ops.silu
sigmoid = ops.sigmoid
tanh = ops.tanh
pad = ops.pad
scaled_dot_product_attention = ops.scaled_dot_product_attention


# --- linear layers ---------------------------------------------------------------------------


def linear(input: Value, weight: Value, bias: Value | None = None) -> Value:
    """input @ weight.T + bias: [..., K] and [N, K] to [..., N]."""
    return call("linear.default", input, weight, bias)


def embedding(
    input: Value,
    weight: Value,
    padding_idx: int | None = None,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Value:
    """The rows of weight [rows, width] that the integers of input name.

    The ATen operator has the two tensors the other way round; since only one of them can be an
    index, both orders are understood. Raises IndexError for an index out of range.
    """
    if _is_float(input) and not _is_float(weight):
        input, weight = weight, input
    return call("embedding.default", weight, input)


def _is_float(value: Value) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(dtype, torch.dtype) and dtype.is_floating_point


def one_hot(tensor: Value, num_classes: int = -1) -> Value:
    """One in the place each integer names, zero elsewhere, along a new last dimension."""
    return call("one_hot.default", tensor, num_classes)


def dropout(input: Value, p: float = 0.5, training: bool = True) -> Value:
    """input, unless training: then elements are zeroed with probability p and the rest scaled by
    1 / (1 - p). torch.manual_seed seeds it; the numbers are others than PyTorch's."""
    return call("dropout.default", input, p, training)


# --- normalization ---------------------------------------------------------------------------


def layer_norm(
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
) -> Value:
    """(x - mean) / sqrt(var + eps) * weight + bias over the trailing dimensions."""
    return call("layer_norm.default", input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    eps: float | None = None,
) -> Value:
    """x / sqrt(mean(x²) + eps) * weight over the trailing dimensions."""
    return call("rms_norm.default", input, normalized_shape, weight, eps)


def group_norm(
    input: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
) -> Value:
    """Normalization over groups of the channels of [N, C, ...]."""
    return call("group_norm.default", input, num_groups, weight, bias, eps)


def batch_norm(
    input: Value,
    running_mean: Value | None,
    running_var: Value | None,
    weight: Value | None = None,
    bias: Value | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    """Normalization of each channel of [N, C, ...] by the running statistics.

    With `training`, only without running statistics: updating them is not compiled.
    """
    return call(
        "batch_norm.default",
        input,
        weight,
        bias,
        running_mean,
        running_var,
        training,
        momentum,
        eps,
        False,
    )


def instance_norm(
    input: Value,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    weight: Value | None = None,
    bias: Value | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    """Normalization of each channel of each sample."""
    return call(
        "instance_norm.default",
        input,
        weight,
        bias,
        running_mean,
        running_var,
        use_input_stats,
        momentum,
        eps,
        False,
    )


def normalize(input: Value, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Value:
    """x / max(norm(x), eps) along `dim`."""
    length = ops.norm(input, p, dim, True)
    return ops.div(input, ops.clamp(length, min=eps))


def softmax(input: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """exp(x) / sum(exp(x)) along `dim`."""
    return ops.softmax(input, dim, dtype)


def log_softmax(input: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """log(softmax(x)) along `dim`."""
    return ops.log_softmax(input, dim, dtype)


# --- activations -----------------------------------------------------------------------------


def relu6(input: Value) -> Value:
    """min(max(x, 0), 6)."""
    return call("relu6.default", input)


def hardtanh(input: Value, min_val: Number = -1.0, max_val: Number = 1.0) -> Value:
    """min(max(x, min_val), max_val)."""
    return call("hardtanh.default", input, min_val, max_val)


def hardswish(input: Value) -> Value:
    """x * min(max(x + 3, 0), 6) / 6."""
    return call("hardswish.default", input)


def hardsigmoid(input: Value) -> Value:
    """min(max(x + 3, 0), 6) / 6."""
    return call("hardsigmoid.default", input)


def leaky_relu(input: Value, negative_slope: Number = 0.01) -> Value:
    """x above zero, negative_slope * x below."""
    return call("leaky_relu.default", input, negative_slope)


def elu(input: Value, alpha: Number = 1.0) -> Value:
    """x above zero, alpha * (exp(x) - 1) below."""
    return call("elu.default", input, alpha)


def selu(input: Value) -> Value:
    """The scaled ELU of self-normalizing networks."""
    return call("selu.default", input)


def celu(input: Value, alpha: Number = 1.0) -> Value:
    """x above zero, alpha * (exp(x / alpha) - 1) below."""
    return call("celu.default", input, alpha)


def softplus(input: Value, beta: Number = 1.0, threshold: Number = 20.0) -> Value:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x exceeds the threshold."""
    return call("softplus.default", input, beta, threshold)


def softsign(input: Value) -> Value:
    """x / (1 + |x|)."""
    return ops.div(input, ops.add(ops.abs(input), 1))


def mish(input: Value) -> Value:
    """x * tanh(softplus(x))."""
    return call("mish.default", input)


def logsigmoid(input: Value) -> Value:
    """log(sigmoid(x))."""
    return call("log_sigmoid.default", input)


def threshold(input: Value, threshold: Number, value: Number) -> Value:
    """x above the threshold, value elsewhere."""
    return call("threshold.default", input, threshold, value)


def prelu(input: Value, weight: Value) -> Value:
    """x above zero, weight * x below; one weight, or one a channel."""
    return call("prelu.default", input, weight)


def glu(input: Value, dim: int = -1) -> Value:
    """The first half of `dim` times the sigmoid of the second."""
    return call("glu.default", input, dim)
