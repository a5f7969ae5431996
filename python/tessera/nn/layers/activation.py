# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Activation and softmax layers. `inplace` is accepted and changes nothing: results are new."""

from __future__ import annotations

from torch import nn

from tessera import ops
from tessera.nn import functional as F
from tessera.nn.layers.base import Layer
from tessera.nn.layers.composite import CompositeLayer
from tessera.ops._dispatch import Value


class ReLU(Layer):
    """max(x, 0)."""

    counterpart = nn.ReLU

    def forward(self, input: Value) -> Value:
        return F.relu(input)


class ReLU6(Layer):
    """min(max(x, 0), 6)."""

    counterpart = nn.ReLU6

    def forward(self, input: Value) -> Value:
        return F.relu6(input)


class LeakyReLU(Layer):
    """x above zero, negative_slope * x below."""

    counterpart = nn.LeakyReLU

    def forward(self, input: Value) -> Value:
        return F.leaky_relu(input, self.negative_slope)


class PReLU(Layer):
    """x above zero, weight * x below; one weight, or one a channel."""

    counterpart = nn.PReLU

    def forward(self, input: Value) -> Value:
        return F.prelu(input, self.weight)


class ELU(Layer):
    """x above zero, alpha * (exp(x) - 1) below."""

    counterpart = nn.ELU

    def forward(self, input: Value) -> Value:
        return F.elu(input, self.alpha)


class SELU(Layer):
    """The scaled ELU of self-normalizing networks."""

    counterpart = nn.SELU

    def forward(self, input: Value) -> Value:
        return F.selu(input)


class CELU(Layer):
    """x above zero, alpha * (exp(x / alpha) - 1) below."""

    counterpart = nn.CELU

    def forward(self, input: Value) -> Value:
        return F.celu(input, self.alpha)


class GELU(Layer):
    """x * Φ(x), or its approximation by tanh."""

    counterpart = nn.GELU

    def forward(self, input: Value) -> Value:
        return F.gelu(input, approximate=self.approximate)


class SiLU(Layer):
    """x * sigmoid(x)."""

    counterpart = nn.SiLU

    def forward(self, input: Value) -> Value:
        return F.silu(input)


class Mish(Layer):
    """x * tanh(softplus(x))."""

    counterpart = nn.Mish

    def forward(self, input: Value) -> Value:
        return F.mish(input)


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    counterpart = nn.Sigmoid

    def forward(self, input: Value) -> Value:
        return F.sigmoid(input)


class LogSigmoid(Layer):
    """log(sigmoid(x))."""

    counterpart = nn.LogSigmoid

    def forward(self, input: Value) -> Value:
        return F.logsigmoid(input)


class Tanh(Layer):
    """The hyperbolic tangent."""

    counterpart = nn.Tanh

    def forward(self, input: Value) -> Value:
        return F.tanh(input)


class Tanhshrink(Layer):
    """x - tanh(x)."""

    counterpart = nn.Tanhshrink

    def forward(self, input: Value) -> Value:
        return ops.sub(input, F.tanh(input))


class Hardtanh(Layer):
    """min(max(x, min_val), max_val)."""

    counterpart = nn.Hardtanh

    def forward(self, input: Value) -> Value:
        return F.hardtanh(input, self.min_val, self.max_val)


class Hardswish(Layer):
    """x * min(max(x + 3, 0), 6) / 6."""

    counterpart = nn.Hardswish

    def forward(self, input: Value) -> Value:
        return F.hardswish(input)


class Hardsigmoid(Layer):
    """min(max(x + 3, 0), 6) / 6."""

    counterpart = nn.Hardsigmoid

    def forward(self, input: Value) -> Value:
        return F.hardsigmoid(input)


class Hardshrink(Layer):
    """x outside of [-lambd, lambd], zero inside."""

    counterpart = nn.Hardshrink

    def forward(self, input: Value) -> Value:
        return ops.hardshrink(input, self.lambd)


class Softshrink(Layer):
    """x moved towards zero by lambd."""

    counterpart = nn.Softshrink

    def forward(self, input: Value) -> Value:
        return ops.softshrink(input, self.lambd)


class Softplus(Layer):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x exceeds the threshold."""

    counterpart = nn.Softplus

    def forward(self, input: Value) -> Value:
        return F.softplus(input, self.beta, self.threshold)


class Softsign(Layer):
    """x / (1 + |x|)."""

    counterpart = nn.Softsign

    def forward(self, input: Value) -> Value:
        return F.softsign(input)


class Threshold(Layer):
    """x above the threshold, value elsewhere."""

    counterpart = nn.Threshold

    def forward(self, input: Value) -> Value:
        return F.threshold(input, self.threshold, self.value)


class GLU(Layer):
    """The first half of `dim` times the sigmoid of the second."""

    counterpart = nn.GLU

    def forward(self, input: Value) -> Value:
        return F.glu(input, self.dim)


def _dimension(dim: int | None, rank: int) -> int:
    """torch's choice where none is given."""
    if dim is not None:
        return dim
    return 0 if rank in (0, 1, 3) else 1


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along `dim`."""

    counterpart = nn.Softmax

    def forward(self, input: Value) -> Value:
        return F.softmax(input, _dimension(self.dim, len(input.shape)))


class LogSoftmax(Layer):
    """log(softmax(x)) along `dim`."""

    counterpart = nn.LogSoftmax

    def forward(self, input: Value) -> Value:
        return F.log_softmax(input, _dimension(self.dim, len(input.shape)))


class Softmin(Layer):
    """softmax(-x) along `dim`."""

    counterpart = nn.Softmin

    def forward(self, input: Value) -> Value:
        return F.softmax(ops.neg(input), _dimension(self.dim, len(input.shape)))


class Softmax2d(Layer):
    """softmax over the channels of [N, C, H, W] or [C, H, W]."""

    counterpart = nn.Softmax2d

    def forward(self, input: Value) -> Value:
        return F.softmax(input, -3)


class RReLU(CompositeLayer):
    """x above zero, below it times a number drawn in training and the mean of them otherwise."""

    counterpart = nn.RReLU
