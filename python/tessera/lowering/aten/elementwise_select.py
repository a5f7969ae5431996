# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise: comparisons, logic, selection, clamping and the fused three-operand forms."""

from __future__ import annotations

import torch
from torch import fx

from tessera.lowering.aten.creation import check_factory
from tessera.lowering.aten.rules import (
    Arith,
    Number,
    Operand,
    as_bool,
    both,
    broadcast_shape,
    either,
    finish,
    is_integral,
    negate,
    number,
    promote_to,
    promoted,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import register

COMPARISONS: dict[str, tuple[str, ...]] = {
    "eq": ("eq",),
    "ne": ("ne", "not_equal"),
    "lt": ("lt", "less"),
    "le": ("le", "less_equal"),
    "gt": ("gt", "greater"),
    "ge": ("ge", "greater_equal"),
}


def _register_comparison(predicate: str, names: tuple[str, ...]) -> None:
    spelled = [f"{name}.{overload}" for name in names for overload in ("Tensor", "Scalar")]

    @rule(*spelled)
    def lower(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
        return compare(ctx, predicate, self, other)


def compare(ctx: LoweringContext, predicate: str, self: Operand, other: Operand) -> GraphValue:
    """A comparison in the operands' common type."""
    (x, y), _ = promoted(ctx, self, other)
    return ctx.emit("compare", [x, y], predicate=predicate)


for _predicate, _names in COMPARISONS.items():
    _register_comparison(_predicate, _names)


# --- logic -----------------------------------------------------------------------------------


def _truth(ctx: LoweringContext, operand: Operand) -> GraphValue:
    if isinstance(operand, GraphValue):
        return as_bool(ctx, operand)
    return ctx.constant(bool(operand), torch.bool)


@rule("logical_not")
def logical_not(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if self.dtype == torch.bool:
        return negate(ctx, self)
    return Arith(ctx, self.dtype).compare("eq", self, 0)


@rule("logical_and")
def logical_and(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return both(ctx, _truth(ctx, self), _truth(ctx, other))


@rule("logical_or")
def logical_or(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return either(ctx, _truth(ctx, self), _truth(ctx, other))


@rule("logical_xor")
def logical_xor(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return ctx.emit("bitwise_xor", [_truth(ctx, self), _truth(ctx, other)])


@rule("isclose")
def isclose(
    ctx: LoweringContext,
    self: GraphValue,
    other: GraphValue,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> GraphValue:
    if self.dtype != other.dtype:
        raise TypeError(f"[isclose] {self.dtype} and {other.dtype} do not match")
    close = compare(ctx, "eq", self, other)
    if equal_nan and not is_integral(self.dtype):
        close = either(ctx, close, both(ctx, ctx.emit("isnan", [self]), ctx.emit("isnan", [other])))
    if rtol == 0 and atol == 0:
        return close
    (x, y), _ = promoted(ctx, self, other, int_to_float=True, wide=True)
    a = Arith(ctx, x.dtype)
    error = a.unary("abs", a.sub(x, y))
    allowed = a.add(a.mul(a.unary("abs", y), rtol), atol)
    # An infinite error is never within an infinite tolerance.
    near = both(ctx, a.compare("le", error, allowed), negate(ctx, a.unary("isinf", error)))
    return either(ctx, close, near)


# --- selection -------------------------------------------------------------------------------


@rule("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(ctx: LoweringContext, condition: GraphValue, self: Operand, other: Operand) -> GraphValue:
    if condition.dtype not in (torch.bool, torch.uint8):
        raise TypeError(f"[where] condition must be bool, but is {condition.dtype}")
    dtype = ctx.result_type(self, other)
    x, y = promote_to(ctx, dtype, self, other)
    return ctx.emit("select", [as_bool(ctx, condition), x, y])


@rule("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(
    ctx: LoweringContext, self: GraphValue, mask: GraphValue, value: Operand
) -> GraphValue:
    if mask.dtype != torch.bool:
        raise TypeError(f"[masked_fill] mask must be bool, but is {mask.dtype}")
    if isinstance(value, GraphValue) and value.ndim:
        raise ValueError(f"[masked_fill] value must be a 0-d tensor, but has {value.ndim} dims")
    return Arith(ctx, self.dtype).select(mask, value, self)


@rule("clamp", "clamp.Tensor", "clip", "clip.Tensor")
def clamp(
    ctx: LoweringContext,
    self: GraphValue,
    min: Operand | None = None,
    max: Operand | None = None,
) -> GraphValue:
    if min is None and max is None:
        raise ValueError("[clamp] needs at least one of min and max")
    bounds = [bound for bound in (min, max) if bound is not None]
    (x, *rest), result = promoted(ctx, self, *bounds)
    a = Arith(ctx, x.dtype)
    if min is not None:
        x = a.maximum(x, rest.pop(0))
    if max is not None:
        x = a.minimum(x, rest.pop(0))
    return finish(ctx, x, result)


@rule("clamp_min", "clamp_min.Tensor")
def clamp_min(ctx: LoweringContext, self: GraphValue, min: Operand) -> GraphValue:
    return clamp(ctx, self, min)


@rule("clamp_max", "clamp_max.Tensor")
def clamp_max(ctx: LoweringContext, self: GraphValue, max: Operand) -> GraphValue:
    return clamp(ctx, self, None, max)


# --- three operands --------------------------------------------------------------------------


@rule("addcmul")
def addcmul(
    ctx: LoweringContext,
    self: GraphValue,
    tensor1: GraphValue,
    tensor2: GraphValue,
    *,
    value: Number = 1,
) -> GraphValue:
    (x, y, z), result = promoted(ctx, self, tensor1, tensor2, wide=True)
    a = Arith(ctx, x.dtype)
    return finish(ctx, a.add(x, a.mul(a.scale(y, value), z)), result)


@rule("addcdiv")
def addcdiv(
    ctx: LoweringContext,
    self: GraphValue,
    tensor1: GraphValue,
    tensor2: GraphValue,
    *,
    value: Number = 1,
) -> GraphValue:
    if is_integral(tensor1.dtype) and is_integral(tensor2.dtype):
        raise TypeError("[addcdiv] integer division is not defined; cast to a float dtype")
    (x, y, z), result = promoted(ctx, self, tensor1, tensor2, wide=True)
    a = Arith(ctx, x.dtype)
    return finish(ctx, a.add(x, a.div(a.scale(y, value), z)), result)


@rule("lerp.Scalar", "lerp.Tensor")
def lerp(ctx: LoweringContext, self: GraphValue, end: GraphValue, weight: Operand) -> GraphValue:
    # Weights below one half count from the start, others from the end: both ends are exact.
    if isinstance(weight, GraphValue):
        (x, y, w), result = promoted(ctx, self, end, weight, wide=True)
        a = Arith(ctx, x.dtype)
        span = a.sub(y, x)
        early = a.add(x, a.mul(w, span))
        late = a.sub(y, a.mul(span, a.sub(1.0, w)))
        near = a.compare("lt", a.unary("abs", w), 0.5)
        return finish(ctx, a.select(near, early, late), result)
    (x, y), result = promoted(ctx, self, end, wide=True)
    a = Arith(ctx, x.dtype)
    span = a.sub(y, x)
    if abs(weight) < 0.5:
        return finish(ctx, a.add(x, a.mul(span, weight)), result)
    return finish(ctx, a.sub(y, a.mul(span, 1.0 - weight)), result)


# --- conversion ------------------------------------------------------------------------------


@rule("_to_copy", "to.dtype_layout")
def to_copy(
    ctx: LoweringContext,
    self: GraphValue,
    *,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
    device: object = None,
    pin_memory: bool | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: object = None,
) -> GraphValue:
    check_factory(layout, device)
    return self if dtype is None else ctx.cast(self, dtype)


@register("prims.convert_element_type.default")
def convert_element_type(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    # What PyTorch's own decompositions write for a cast.
    value, dtype = ctx.get_inputs(node)
    return ctx.cast(value, dtype)


@rule("to.dtype")
def to_dtype(
    ctx: LoweringContext, self: GraphValue, dtype: torch.dtype, *_: object, **__: object
) -> GraphValue:
    return ctx.cast(self, dtype)


@rule("to.device")
def to_device(
    ctx: LoweringContext,
    self: GraphValue,
    device: object,
    dtype: torch.dtype,
    *_: object,
    **__: object,
) -> GraphValue:
    check_factory(device=device)
    return ctx.cast(self, dtype)


@rule("to.other", "type_as")
def to_other(
    ctx: LoweringContext, self: GraphValue, other: GraphValue, *_: object, **__: object
) -> GraphValue:
    return ctx.cast(self, other.dtype)


@rule("to.prim_dtype")
def to_prim_dtype(
    ctx: LoweringContext, self: GraphValue, dtype: torch.dtype | None = None, *_: object
) -> GraphValue:
    return self if dtype is None else ctx.cast(self, dtype)


@rule("fill.Scalar", "fill.Tensor")
def fill(ctx: LoweringContext, self: GraphValue, value: Operand) -> GraphValue:
    if isinstance(value, GraphValue):
        if value.ndim:
            raise ValueError(f"[fill] value must be a 0-d tensor, but has {value.ndim} dims")
        return ctx.broadcast(ctx.cast(value, self.dtype), self.shape)
    return ctx.broadcast(number(ctx, value, self.dtype), self.shape)


@rule("copy")
def copy(
    ctx: LoweringContext, self: GraphValue, src: GraphValue, non_blocking: bool = False
) -> GraphValue:
    if broadcast_shape(self.shape, src.shape) != self.shape:
        raise ValueError(f"[copy] {src.shape} does not broadcast to {self.shape}")
    return ctx.broadcast(ctx.cast(src, self.dtype), self.shape)
