# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A complex tensor of the graph being built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tessera.lowering.complexes.dtypes import complex_of
from tessera.lowering.context import GraphValue, LoweringContext


class ComplexValue:
    """Real and imaginary parts, of one shape and dtype. Bits of conjugation are resolved in it."""

    __slots__ = ("im", "re")

    def __init__(self, re: GraphValue, im: GraphValue) -> None:
        self.re = re
        self.im = im

    @property
    def shape(self) -> tuple[int, ...]:
        return self.re.shape

    @property
    def dtype(self) -> torch.dtype:
        return complex_of(self.re.dtype)

    def __repr__(self) -> str:
        return f"ComplexValue({self.re!r}, {self.im!r})"

    def joined(self, ctx: LoweringContext, conjugate: bool = False) -> GraphValue:
        """What ``torch.view_as_real`` gives, of this or of its conjugate: the parts along a last
        dimension of two."""
        im = ctx.emit("neg", [self.im]) if conjugate else self.im
        parts = [ctx.reshape(part, (*self.shape, 1)) for part in (self.re, im)]
        return ctx.emit("concat", parts, dim=len(self.shape))


def split(ctx: LoweringContext, joined: GraphValue, conjugate: bool = False) -> ComplexValue:
    """The complex tensor whose ``torch.view_as_real`` is `joined`, or the conjugate of it."""
    shape = joined.shape[:-1]

    def part(index: int) -> GraphValue:
        starts = [0] * len(shape) + [index]
        limits = [*shape, index + 1]
        steps = [1] * joined.ndim
        value = ctx.emit("slice", [joined], starts=starts, limits=limits, steps=steps)
        return ctx.reshape(value, shape)

    re, im = part(0), part(1)
    return ComplexValue(re, ctx.emit("neg", [im]) if conjugate else im)


def complex_constant(ctx: LoweringContext, tensor: torch.Tensor) -> ComplexValue:
    """A tensor of the program's own."""
    plain = torch.view_as_real(tensor.detach().resolve_conj().resolve_neg())
    return ComplexValue(*(ctx.constant(plain[..., index]) for index in range(2)))


def parts_of(value: Any) -> list[GraphValue]:
    """The graph values a value is made of."""
    return [value.re, value.im] if isinstance(value, ComplexValue) else [value]


def regrouped(values: Sequence[GraphValue], meta: Any) -> Any:
    """`values` in the structure of `meta`, two for each complex tensor of it."""
    source = iter(values)

    def take(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor) and leaf.dtype.is_complex:
            return ComplexValue(next(source), next(source))
        return next(source)

    leaves, spec = pytree.tree_flatten(meta)
    return pytree.tree_unflatten([take(leaf) for leaf in leaves], spec)


def is_complex(value: Any) -> bool:
    """Whether a value of a node (of its meta data, or lowered) has complex tensors in it."""
    return any(
        isinstance(leaf, ComplexValue) or (isinstance(leaf, torch.Tensor) and leaf.dtype.is_complex)
        for leaf in pytree.tree_leaves(value)
    )


__all__ = [
    "ComplexValue",
    "complex_constant",
    "is_complex",
    "parts_of",
    "regrouped",
    "split",
]
