# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise: activation functions, written as torch's CPU kernels write them.

Several steps on half precision are computed in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable

from tessera.lowering.aten.rules import (
    Arith,
    Number,
    finish,
    is_integral,
    normalize_dim,
    promoted,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
#: From here on mish(x) is x in every type.
MISH_IS_LINEAR = 20.0


def _wide(
    ctx: LoweringContext, self: GraphValue, body: Callable[[Arith, GraphValue], GraphValue]
) -> GraphValue:
    """`body` computed in the operation's own precision, its result in the tensor's dtype."""
    (x,), result = promoted(ctx, self, wide=True)
    return finish(ctx, body(Arith(ctx, x.dtype), x), result)


def _require_float(op: str, self: GraphValue) -> None:
    if is_integral(self.dtype):
        raise TypeError(f"[{op}] is not defined for {self.dtype}; cast to a floating-point dtype")


@rule("relu")
def relu(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return Arith(ctx, self.dtype).maximum(self, 0)


@rule("relu6")
def relu6(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return hardtanh(ctx, self, 0, 6)


@rule("hardtanh")
def hardtanh(
    ctx: LoweringContext, self: GraphValue, min_val: Number = -1, max_val: Number = 1
) -> GraphValue:
    a = Arith(ctx, self.dtype)
    return a.minimum(a.maximum(self, min_val), max_val)


@rule("gelu")
def gelu(ctx: LoweringContext, self: GraphValue, *, approximate: str = "none") -> GraphValue:
    _require_float("gelu", self)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"[gelu] approximate is {approximate!r}; expected 'none' or 'tanh'")
    return ctx.emit("gelu", [self], approximate=approximate)


@rule("silu")
def silu(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    _require_float("silu", self)
    return ctx.emit("silu", [self])


@rule("leaky_relu")
def leaky_relu(ctx: LoweringContext, self: GraphValue, negative_slope: Number = 0.01) -> GraphValue:
    _require_float("leaky_relu", self)
    return _wide(
        ctx,
        self,
        lambda a, x: a.select(a.compare("gt", x, 0.0), x, a.mul(x, float(negative_slope))),
    )


@rule("elu")
def elu(
    ctx: LoweringContext,
    self: GraphValue,
    alpha: Number = 1,
    scale: Number = 1,
    input_scale: Number = 1,
) -> GraphValue:
    _require_float("elu", self)

    def body(a: Arith, x: GraphValue) -> GraphValue:
        grown = a.unary("expm1", a.scale(x, float(input_scale)))
        below = a.scale(grown, float(alpha) * float(scale))
        return a.select(a.compare("le", x, 0.0), below, a.scale(x, float(scale)))

    return _wide(ctx, self, body)


@rule("celu")
def celu(ctx: LoweringContext, self: GraphValue, alpha: Number = 1.0) -> GraphValue:
    return elu(ctx, self, alpha, 1, 1.0 / float(alpha))


@rule("selu")
def selu(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return elu(ctx, self, SELU_ALPHA, SELU_SCALE)


@rule("hardswish")
def hardswish(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    _require_float("hardswish", self)

    def body(a: Arith, x: GraphValue) -> GraphValue:
        gate = a.minimum(a.maximum(a.add(x, 3.0), 0.0), 6.0)
        return a.div(a.mul(x, gate), 6.0)

    return _wide(ctx, self, body)


@rule("hardsigmoid")
def hardsigmoid(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    _require_float("hardsigmoid", self)
    return _wide(ctx, self, lambda a, x: a.div(a.minimum(a.maximum(a.add(x, 3.0), 0.0), 6.0), 6.0))


@rule("softplus")
def softplus(
    ctx: LoweringContext, self: GraphValue, beta: Number = 1, threshold: Number = 20
) -> GraphValue:
    _require_float("softplus", self)

    def body(a: Arith, x: GraphValue) -> GraphValue:
        scaled = a.scale(x, float(beta))
        curve = a.unary("log1p", a.unary("exp", scaled))
        if beta != 1:
            curve = a.div(curve, float(beta))
        return a.select(a.compare("gt", scaled, float(threshold)), x, curve)

    return _wide(ctx, self, body)


@rule("mish")
def mish(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    _require_float("mish", self)

    def body(a: Arith, x: GraphValue) -> GraphValue:
        # tanh(log(1 + w)) of w = exp(x) is n / (n + 2) with n = w² + 2w: 1 before w² overflows.
        w = a.unary("exp", a.minimum(x, MISH_IS_LINEAR))
        n = a.mul(w, a.add(w, 2.0))
        return a.mul(x, a.div(n, a.add(n, 2.0)))

    return _wide(ctx, self, body)


@rule("log_sigmoid")
def log_sigmoid(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    _require_float("log_sigmoid", self)

    def body(a: Arith, x: GraphValue) -> GraphValue:
        # exp of minus the magnitude cannot overflow.
        decay = a.unary("exp", a.unary("neg", a.unary("abs", x)))
        return a.sub(a.minimum(x, 0.0), a.unary("log1p", decay))

    return _wide(ctx, self, body)


@rule("log_sigmoid_forward")
def log_sigmoid_forward(ctx: LoweringContext, self: GraphValue) -> tuple[GraphValue, GraphValue]:
    a = Arith(ctx, self.dtype)
    return log_sigmoid(ctx, self), a.unary("exp", a.unary("neg", a.unary("abs", self)))


@rule("threshold")
def threshold(
    ctx: LoweringContext, self: GraphValue, threshold: Number, value: Number
) -> GraphValue:
    a = Arith(ctx, self.dtype)
    return a.select(a.compare("le", self, threshold), value, self)


@rule("hardshrink")
def hardshrink(ctx: LoweringContext, self: GraphValue, lambd: Number = 0.5) -> GraphValue:
    a = Arith(ctx, self.dtype)
    # Written so that NaN passes through.
    inside = ctx.emit(
        "bitwise_and",
        [a.compare("ge", self, -float(lambd)), a.compare("le", self, float(lambd))],
    )
    return a.select(inside, 0.0, self)


@rule("softshrink")
def softshrink(ctx: LoweringContext, self: GraphValue, lambd: Number = 0.5) -> GraphValue:
    if lambd < 0:
        raise ValueError(f"[softshrink] lambd must not be negative, but is {lambd}")

    def body(a: Arith, x: GraphValue) -> GraphValue:
        # x * 0 keeps NaN.
        below = a.select(a.compare("lt", x, -float(lambd)), a.add(x, float(lambd)), a.mul(x, 0.0))
        return a.select(a.compare("gt", x, float(lambd)), a.sub(x, float(lambd)), below)

    return _wide(ctx, self, body)


@rule("prelu", "_prelu_kernel")
def prelu(ctx: LoweringContext, self: GraphValue, weight: GraphValue) -> GraphValue:
    # One slope, or one a channel (dimension 1); _prelu_kernel gets it already in shape.
    if weight.ndim == 1 and self.ndim != 1:
        shape = [1] * self.ndim
        if self.ndim > 1:
            shape[1] = weight.shape[0]
        weight = ctx.reshape(weight, shape)
    a = Arith(ctx, self.dtype)
    return a.select(a.compare("gt", self, 0.0), self, a.mul(self, weight))


@rule("glu")
def glu(ctx: LoweringContext, self: GraphValue, dim: int = -1) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "glu")
    size = self.shape[axis] if self.ndim else 0
    if size % 2 or not self.ndim:
        raise ValueError(f"[glu] dim {dim} has {size} elements; the halving needs an even number")
    starts, limits, steps = [0] * self.ndim, list(self.shape), [1] * self.ndim
    limits[axis] = size // 2
    first = ctx.emit("slice", [self], starts=list(starts), limits=list(limits), steps=steps)
    starts[axis], limits[axis] = size // 2, size
    second = ctx.emit("slice", [self], starts=starts, limits=limits, steps=steps)
    (x, gate), result = promoted(ctx, first, second, wide=True)
    a = Arith(ctx, x.dtype)
    return finish(ctx, a.mul(x, a.unary("sigmoid", gate)), result)
