# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Complex operators in terms of real ones: the table, and what its functions are written with.

A function is called as its operator is, with a `Pair` for each complex tensor. It runs only while
it is traced, on tensors without data.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import dispatch_functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from tessera.lowering.complexes.dtypes import complex_of, real_of
from tessera.lowering.dtypes import result_type

Part = torch.Tensor
F = TypeVar("F", bound=Callable[..., Any])

#: operators by their names without namespace and overload
TABLE: dict[str, Callable[..., Any]] = {}
#: those whose function takes the operator itself first: it stands for several
_WITH_OPERATOR: set[str] = set()


class Pair:
    """A complex tensor as its parts."""

    __slots__ = ("im", "re")

    def __init__(self, re: Part, im: Part) -> None:
        self.re = re
        self.im = im

    @property
    def shape(self) -> torch.Size:
        return self.re.shape

    @property
    def ndim(self) -> int:
        return self.re.ndim

    @property
    def dtype(self) -> torch.dtype:
        return complex_of(self.re.dtype)

    def map(self, function: Callable[[Part], Part]) -> Pair:
        return Pair(function(self.re), function(self.im))

    def narrow(self, dim: int, start: int, length: int) -> Pair:
        return self.map(lambda part: part.narrow(dim, start, length))

    def followed_by(self, other: Pair, dim: int) -> Pair:
        return Pair(torch.cat([self.re, other.re], dim), torch.cat([self.im, other.im], dim))

    def cast(self, dtype: torch.dtype) -> Pair:
        return self.map(lambda part: part.to(dtype))

    # Arithmetic of two pairs of one dtype, as PyTorch does it.

    def __add__(self, other: Pair) -> Pair:
        return Pair(self.re + other.re, self.im + other.im)

    def __sub__(self, other: Pair) -> Pair:
        return Pair(self.re - other.re, self.im - other.im)

    def __mul__(self, other: Pair) -> Pair:
        return Pair(
            self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re
        )

    def __neg__(self) -> Pair:
        return Pair(-self.re, -self.im)

    def scaled(self, factor: float | Part) -> Pair:
        return Pair(self.re * factor, self.im * factor)

    def times_i(self) -> Pair:
        return Pair(-self.im, self.re)

    def over_i(self) -> Pair:
        return Pair(self.im, -self.re)

    def conjugate(self) -> Pair:
        return Pair(self.re, -self.im)


def translation(*names: str, with_operator: bool = False) -> Callable[[F], F]:
    """Registers a function for operators of ATen; `with_operator`: it takes the one meant first."""

    def decorate(function: F) -> F:
        for name in names:
            assert name not in TABLE, f"{name} is translated twice"
            TABLE[name] = function
        if with_operator:
            _WITH_OPERATOR.update(names)
        return function

    return decorate


def translation_of(target: Any) -> Callable[..., Any] | None:
    """The function for an operator; None where there is none."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
        return None
    name = target._schema.name.partition("::")[2]
    function = TABLE.get(name)
    if function is not None and name in _WITH_OPERATOR:
        return functools.partial(function, target)
    return function


def is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex))


def promoted(*operands: Any) -> torch.dtype:
    """torch.result_type of pairs, tensors and numbers."""
    return result_type(item if is_number(item) else (item.dtype, item.ndim) for item in operands)


def pair(value: Any, dtype: torch.dtype, like: Part | None = None) -> Pair:
    """Anything as a pair with parts of `dtype`; a number becomes a tensor without dimensions."""
    if isinstance(value, Pair):
        return value.cast(dtype)
    if isinstance(value, torch.Tensor):
        real = value.to(dtype)
        return Pair(real, torch.zeros_like(real))
    number = complex(value)
    return Pair(torch.full((), number.real, dtype=dtype), torch.full((), number.imag, dtype=dtype))


def pairs(*operands: Any) -> list[Pair]:
    """All operands as pairs of the one dtype PyTorch computes in."""
    dtype = real_of(promoted(*operands, 1j))
    return [pair(operand, dtype) for operand in operands]


# --- tracing ---------------------------------------------------------------------------------


def trace(node: fx.Node, function: Callable[..., Any]) -> fx.GraphModule | None:
    """The graph of `function` for the arguments of `node`, in real tensors only.

    Its placeholders are the tensors among the flattened arguments, complex ones as two, and its
    result is a flat tuple in which they are two as well. None where the function cannot be traced.
    """
    flat, spec = pytree.tree_flatten((node.args, node.kwargs))
    values = [item.meta.get("val") if isinstance(item, fx.Node) else item for item in flat]
    if any(isinstance(item, fx.Node) for item in values):
        return None
    fakes: list[Any] = [value for value in values if isinstance(value, torch.Tensor)]
    if any(not isinstance(value, FakeTensor) for value in fakes):
        return None
    mode = fakes[0].fake_mode if fakes else FakeTensorMode()
    expected = pytree.tree_leaves(node.meta.get("val"))
    tensors = [part for value in fakes for part in _fake_parts(value, mode)]

    def run(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        source = iter(given)
        leaves = [
            _rebuilt(value, source) if isinstance(value, torch.Tensor) else value
            for value in values
        ]
        args, kwargs = pytree.tree_unflatten(leaves, spec)
        results = pytree.tree_leaves(function(*args, **kwargs))
        return _flat_result(results, expected)

    # Operators stay whole where they can; some finish a tensor of their own in place.
    for attempt, whole in ((run, True), (dispatch_functionalize(run), False)):
        try:
            with mode, torch.no_grad():
                traced = make_fx(attempt, tracing_mode="real", pre_dispatch=whole)
                graph: fx.GraphModule = traced(*tensors)
        except Exception:  # a case the function does not cover, whatever it says of it
            return None
        if not any(_writes(inner) for inner in graph.graph.nodes):
            return graph
    return None


def _writes(node: fx.Node) -> bool:
    target = node.target
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _fake_parts(value: torch.Tensor, mode: FakeTensorMode) -> list[torch.Tensor]:
    if not value.dtype.is_complex:
        return [value]
    dtype = real_of(value.dtype)
    with mode:
        return [
            torch.empty_strided(value.shape, value.stride(), dtype=dtype, device=value.device)
            for _ in range(2)
        ]


def _rebuilt(value: torch.Tensor, source: Any) -> Any:
    if not value.dtype.is_complex:
        return next(source)
    result = Pair(next(source), next(source))
    # Half precision is computed in single, and rounded at the end of each operator.
    return result.cast(torch.float32) if value.dtype == torch.complex32 else result


def _flat_result(results: list[Any], expected: list[Any]) -> tuple[torch.Tensor, ...]:
    """The results in the dtypes PyTorch foretells; ValueError where they are others altogether."""
    flat: list[torch.Tensor] = []
    for result, meta in zip(results, expected, strict=True):
        if isinstance(result, Pair) != meta.dtype.is_complex:
            raise ValueError("complex where real numbers are expected, or the other way round")
        parts = [result.re, result.im] if isinstance(result, Pair) else [result]
        if any(part.shape != meta.shape for part in parts):
            raise ValueError(f"shape {parts[0].shape} where {meta.shape} is expected")
        flat += [part.to(real_of(meta.dtype)) for part in parts]
    return tuple(flat)
