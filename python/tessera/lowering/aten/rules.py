# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How the built-in lowerings are written, and the table `ts.ops` finds them in.

A built-in is a plain function ``fn(ctx, *arguments)`` whose parameters are named and ordered as in
the ATen schema, with graph values where the operator takes tensors. :func:`rule` registers it for
captured nodes and records it in :data:`BUILTINS`, so that a captured node, ``ts.ops`` on graph
values and ``ts.ops`` on tensors all go through the one definition.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import fx

from tessera.lowering.context import GraphValue, LoweringContext, NumberValue
from tessera.lowering.registry import Unsupported, register

Builtin = Callable[..., Any]
F = TypeVar("F", bound=Builtin)
Number = bool | int | float
#: A tensor operand or the number that stands in its place.
Operand = GraphValue | Number

#: Every built-in lowering, by operator and overload: "add.Tensor", "relu.default".
BUILTINS: dict[str, Builtin] = {}

HALF = (torch.float16, torch.bfloat16)


def qualified(name: str) -> str:
    """`name` with its overload spelled out: "relu" is "relu.default"."""
    return name if "." in name else f"{name}.default"


def rule(*names: str) -> Callable[[F], F]:
    """Registers `fn(ctx, *arguments)` as the built-in lowering of the named ATen overloads."""

    def decorate(fn: F) -> F:
        @functools.wraps(fn)
        def lower(node: fx.Node, ctx: LoweringContext) -> Any:
            return fn(ctx, *ctx.get_inputs(node), **ctx.get_kwargs(node))

        keys = [qualified(name) for name in names]
        register(*(f"aten.{key}" for key in keys))(lower)
        for key in keys:
            BUILTINS[key] = fn
        return fn

    return decorate


def node_rule(*names: str) -> Callable[[F], F]:
    """Like :func:`rule` for operators with results that a lowering may leave out.

    ``fn(ctx, used, *arguments)``: `used` holds the indices of the results somebody reads; for
    the others it may give None.
    """

    def decorate(fn: F) -> F:
        @functools.wraps(fn)
        def lower(node: fx.Node, ctx: LoweringContext) -> Any:
            results = fn(ctx, used_results(node), *ctx.get_inputs(node), **ctx.get_kwargs(node))
            expected = ctx.meta(node)
            if not isinstance(expected, (tuple, list)):
                return results
            # What nobody reads still needs the type that was foretold.
            return tuple(
                ctx.broadcast(number(ctx, 0, meta.dtype), meta.shape)
                if result is None and isinstance(meta, torch.Tensor)
                else result
                for result, meta in zip(results, expected, strict=True)
            )

        @functools.wraps(fn)
        def direct(ctx: LoweringContext, *args: Any, **kwargs: Any) -> Any:
            return fn(ctx, frozenset({0}), *args, **kwargs)

        signature = inspect.signature(fn)
        kept = [each for name, each in signature.parameters.items() if name != "used"]
        direct.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        keys = [qualified(name) for name in names]
        register(*(f"aten.{key}" for key in keys))(lower)
        for key in keys:
            BUILTINS[key] = direct
        return fn

    return decorate


def used_results(node: fx.Node) -> frozenset[int]:
    """The results of a multi-output node that have users; all that are named when it escapes."""
    used: set[int] = set()
    for user in node.users:
        if user.op == "call_function" and getattr(user.target, "__name__", "") == "getitem":
            if user.users:
                used.add(int(user.args[1]))  # type: ignore[arg-type]
        else:
            schema: Any = getattr(node.target, "_schema", None)
            used.update(range(len(schema.returns) if schema is not None else 1))
    return frozenset(used)


# --- element types ---------------------------------------------------------------------------


def opmath(dtype: torch.dtype) -> torch.dtype:
    """The type torch's CPU kernels compute in: float32 for the half-precision types."""
    return torch.float32 if dtype in HALF else dtype


def promoted(
    ctx: LoweringContext, *operands: Operand, int_to_float: bool = False, wide: bool = False
) -> tuple[tuple[GraphValue, ...], torch.dtype]:
    """The operands in the type to compute in, and the type of the result.

    The two differ for half precision: with `wide` (several steps follow), and when a number that
    half precision would round takes part, the computation happens in float32 and
    :func:`finish` rounds once.
    """
    result = ctx.result_type(*operands)
    if int_to_float and not (result.is_floating_point or result.is_complex):
        result = torch.get_default_dtype()
    compute = result
    if result in HALF and (wide or any(_is_number(operand) for operand in operands)):
        compute = torch.float32
    return promote_to(ctx, compute, *operands), result


def promote_to(
    ctx: LoweringContext, dtype: torch.dtype, *operands: Operand
) -> tuple[GraphValue, ...]:
    """The operands as values of `dtype`."""
    ctx.require_supported(dtype)
    return tuple(
        number(ctx, operand, dtype)
        if isinstance(operand, (bool, int, float))
        else ctx.value(operand, dtype)
        for operand in operands
    )


def _is_number(operand: Any) -> bool:
    return isinstance(operand, (bool, int, float, NumberValue))


def number(ctx: LoweringContext, value: Number | NumberValue, dtype: torch.dtype) -> GraphValue:
    """A 0-d constant; integers wrap as C's conversions do. Or a number the program reads."""
    if isinstance(value, NumberValue):
        return ctx.cast(value, dtype)
    if dtype == torch.bool:
        return ctx.constant(bool(value), dtype)
    if not dtype.is_floating_point and isinstance(value, (int, float)):
        info = torch.iinfo(dtype)
        span = 1 << info.bits
        value = (int(value) - info.min) % span + info.min
    return ctx.constant(value, dtype)


def finish(ctx: LoweringContext, value: GraphValue, dtype: torch.dtype) -> GraphValue:
    """`value`, computed wide, in the type of the result."""
    return ctx.cast(value, dtype)


def is_integral(dtype: torch.dtype) -> bool:
    """Integers and bool."""
    return not (dtype.is_floating_point or dtype.is_complex)


# --- small arithmetic, for composites --------------------------------------------------------


class Arith:
    """Writes composites readably: every operand is a value or a number of one dtype."""

    def __init__(self, ctx: LoweringContext, dtype: torch.dtype) -> None:
        self.ctx = ctx
        self.dtype = dtype

    def emit(self, op: str, *operands: Operand, **attrs: Any) -> GraphValue:
        return self.ctx.emit(op, promote_to(self.ctx, self.dtype, *operands), **attrs)

    def add(self, a: Operand, b: Operand) -> GraphValue:
        return self.emit("bitwise_or" if self.dtype == torch.bool else "add", a, b)

    def sub(self, a: Operand, b: Operand) -> GraphValue:
        return self.emit("sub", a, b)

    def mul(self, a: Operand, b: Operand) -> GraphValue:
        return self.emit("bitwise_and" if self.dtype == torch.bool else "mul", a, b)

    def div(self, a: Operand, b: Operand) -> GraphValue:
        return self.emit("div", a, b)

    def maximum(self, a: Operand, b: Operand) -> GraphValue:
        return self.emit("bitwise_or" if self.dtype == torch.bool else "maximum", a, b)

    def minimum(self, a: Operand, b: Operand) -> GraphValue:
        return self.emit("bitwise_and" if self.dtype == torch.bool else "minimum", a, b)

    def scale(self, a: GraphValue, factor: Number) -> GraphValue:
        """a * factor, without the multiplication when the factor is one."""
        return a if factor == 1 else self.mul(a, factor)

    def unary(self, op: str, a: Operand, **attrs: Any) -> GraphValue:
        return self.emit(op, a, **attrs)

    def compare(self, predicate: str, a: Operand, b: Operand) -> GraphValue:
        return self.emit("compare", a, b, predicate=predicate)

    def select(self, condition: GraphValue, a: Operand, b: Operand) -> GraphValue:
        """a where the condition (a bool value) holds, else b."""
        return self.ctx.emit("select", [condition, *promote_to(self.ctx, self.dtype, a, b)])


def both(ctx: LoweringContext, a: GraphValue, b: GraphValue) -> GraphValue:
    """The conjunction of two bool values."""
    return ctx.emit("bitwise_and", [a, b])


def either(ctx: LoweringContext, a: GraphValue, b: GraphValue) -> GraphValue:
    """The disjunction of two bool values."""
    return ctx.emit("bitwise_or", [a, b])


def negate(ctx: LoweringContext, a: GraphValue) -> GraphValue:
    """The negation of a bool value."""
    return ctx.emit("bitwise_not", [a])


def as_bool(ctx: LoweringContext, value: GraphValue) -> GraphValue:
    """True where an element is not zero (NaN is true)."""
    if value.dtype == torch.bool:
        return value
    return Arith(ctx, value.dtype).compare("ne", value, 0)


# --- shapes ----------------------------------------------------------------------------------


def normalize_dim(dim: int, rank: int, op: str) -> int:
    """`dim` counted from the front; 0-d tensors are treated as having one dimension."""
    limit = max(rank, 1)
    if not -limit <= dim < limit:
        raise ValueError(
            f"[{op}] dim {dim} is out of range for a tensor of {rank} dimensions "
            f"(expected {-limit} to {limit - 1})"
        )
    return dim % limit


def normalize_dims(dims: int | Sequence[int] | None, rank: int, op: str) -> list[int]:
    """Sorted dimensions counted from the front; None means all."""
    if dims is None:
        return list(range(rank))
    given = [dims] if isinstance(dims, int) else list(dims)
    if rank == 0:
        for dim in given:
            normalize_dim(dim, 0, op)
        return []
    found = sorted(normalize_dim(dim, rank, op) for dim in given)
    for first, second in itertools.pairwise(found):
        if first == second:
            raise ValueError(f"[{op}] dim {first} appears twice in {given}")
    return found


def broadcast_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """NumPy's rule."""
    rank = max((len(shape) for shape in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for index, size in enumerate(shape, start=rank - len(shape)):
            if size == 1 or size == result[index]:
                continue
            if result[index] != 1:
                raise ValueError(f"shapes {[tuple(s) for s in shapes]} do not broadcast")
            result[index] = size
    return tuple(result)


def sizes(values: Sequence[Any], op: str) -> list[int]:
    """A list of sizes that must be known while the graph is built."""
    for value in values:
        if not isinstance(value, int):
            raise Unsupported(
                f"[{op}] a size is known only at run time ({value})",
                "give example inputs of fixed sizes",
                code="dynamic-shape",
            )
    return [int(value) for value in values]
