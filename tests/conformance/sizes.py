# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The same call at other sizes: what one conversion with dynamic shapes must answer.

Knows nothing of Tessera. Which sizes belong together is torch.export's word; inputs of other sizes
are made of those PyTorch's samples have, so that indices stay in range and matrices regular.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sympy
import torch
from op_samples import Function, Sample
from torch import Tensor
from torch.export import Dim

#: Tensors are not grown beyond so many elements.
MAX_ELEMENTS = 50_000
#: PyTorch does not check what these are given: it crashes, or gives what lay in memory, where sizes
#: and elements disagree.
UNCHECKED = (
    "_segment_reduce.lengths",
    "_segment_reduce.offsets",
    "lu_unpack",
    "nn.functional.embedding_bag",
    "repeat_interleave",
)
#: PyTorch's shape functions, which a capture follows, say other than it does without elements.
NEVER_EMPTY = ("addmv", "bincount", "pixel_shuffle", "pixel_unshuffle")
#: How the sizes of a sample change: by its symbols in order, from the size each has there.
CHANGES = {
    "grown": lambda size, place: size + 1 + place,
    "shrunk": lambda size, place: max(size - 1 - place % 2, 2),
    "tripled": lambda size, place: 3 * size + 2 + place,
    "one": lambda size, place: 1,
    "zero": lambda size, place: 0 if place == 0 else size,
    "another zero": lambda size, place: 0 if place == 1 else size,
}


def dynamic_dims(sample: Sample) -> dict[str, Any]:
    """Every dimension of every tensor, for `dynamic_shapes=`; torch takes 0 and 1 for constants."""
    return {
        "tensors": tuple(
            {dim: Dim.AUTO for dim, size in enumerate(tensor.shape) if size > 1}
            for tensor in sample.args
        )
    }


def in_range(sample: Sample, example: Sample) -> bool:
    """Whether the sizes of `sample` are those of `example` but in its dynamic dimensions."""
    return all(
        size == given or given > 1
        for tensor, other in zip(sample.args, example.args, strict=True)
        for size, given in zip(tensor.shape, other.shape, strict=True)
    )


def families(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Samples that differ in the sizes of their tensors only; of each, the fullest first."""
    found: dict[Any, list[Sample]] = {}
    for sample in samples:
        function = sample.module
        if not isinstance(function, Function) or not any(t.dim() for t in sample.args):
            continue
        fixed = [None if isinstance(item, Tensor) else repr(item) for item in function.flat]
        form = [(t.dtype, t.dim(), t.layout) for t in sample.args]
        found.setdefault(repr((function.spec, fixed, form)), []).append(sample)
    return [sorted(group, key=_thinness) for group in found.values()]


def _thinness(sample: Sample) -> tuple[int, int]:
    sizes = [size for tensor in sample.args for size in tensor.shape]
    return sum(size < 2 for size in sizes), -sum(sizes)


def other_sizes(sample: Sample) -> Iterator[Sample]:
    """`sample` at other sizes, whether or not PyTorch takes them."""
    name = getattr(getattr(sample.module, "op", None), "__name__", "")
    shapes = _symbolic_shapes(sample)
    symbols = list(dict.fromkeys(s for shape in shapes for size in shape for s in _symbols(size)))
    symbols = [s for s in symbols if _size_of(s, shapes, sample) is not None]
    seen = {tuple(t.shape for t in sample.args)}
    for label, change in CHANGES.items():
        values = {s: change(_size_of(s, shapes, sample), i) for i, s in enumerate(symbols)}
        wanted = [[_value(size, values) for size in shape] for shape in shapes]
        if any(size is None or size < 0 for shape in wanted for size in shape):
            continue
        key = tuple(torch.Size(shape) for shape in wanted)
        if name in NEVER_EMPTY and not all(shape.numel() for shape in key):
            continue
        if key in seen or any(shape.numel() > MAX_ELEMENTS for shape in key):
            continue
        seen.add(key)
        args = tuple(resized(t, shape) for t, shape in zip(sample.args, key, strict=True))
        where = ", ".join(str(tuple(shape)) for shape in key)
        yield dataclasses.replace(sample, args=args, label=f"{label}: {where}")


def resized(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor of this shape with elements of `tensor`.

    Floats that are repeated become a little smaller; a square matrix becomes blocks on a diagonal,
    so that a regular one stays that.
    """
    if tensor.shape == torch.Size(shape):
        return tensor
    if tensor.layout != torch.strided or (tensor.numel() == 0 and 0 not in shape):
        raise ValueError("only dense tensors with elements")
    result = tensor
    for dim, size in enumerate(shape):
        places = torch.arange(size) % max(tensor.shape[dim], 1)
        result = result.index_select(dim, places)
    if not result.is_floating_point():
        return result
    if _is_square(tensor.shape) and _is_square(shape):
        blocks = torch.arange(shape[-1]) // tensor.shape[-1]
        return result.masked_fill(blocks != blocks[:, None], 0)
    if result.numel() > tensor.numel():
        noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        result = (result * (1 - 0.1 * noise)).to(tensor.dtype)
    return result


def _is_square(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and shape[-1] == shape[-2] > 1


def _symbolic_shapes(sample: Sample) -> list[tuple[Any, ...]]:
    """The inputs' sizes, as torch.export relates them to one another."""
    try:
        program = torch.export.export(
            sample.module, sample.args, dynamic_shapes=dynamic_dims(sample), strict=False
        )
    except Exception:  # of any type; equal sizes then are taken for the same
        names = sympy.symbols("n:2000")
        return [
            tuple(names[size] if 2 <= size < len(names) else size for size in tensor.shape)
            for tensor in sample.args
        ]
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    shapes = []
    for name in program.graph_signature.user_inputs:
        value = values.get(name)
        if isinstance(value, Tensor):
            shapes.append(
                tuple(
                    size.node.expr if isinstance(size, torch.SymInt) else size
                    for size in value.shape
                )
            )
    return shapes


def _symbols(size: Any) -> list[sympy.Symbol]:
    return sorted(size.free_symbols, key=str) if isinstance(size, sympy.Expr) else []


def _size_of(symbol: sympy.Symbol, shapes: Sequence[Any], sample: Sample) -> int | None:
    """What a symbol stands for in the sample; None where no size is just that symbol."""
    for shape, tensor in zip(shapes, sample.args, strict=True):
        for expression, size in zip(shape, tensor.shape, strict=True):
            if expression == symbol:
                return int(size)
    return None


def _value(size: Any, values: dict[sympy.Symbol, int]) -> int | None:
    if not isinstance(size, sympy.Expr):
        return int(size)
    value = size.xreplace({symbol: sympy.Integer(number) for symbol, number in values.items()})
    return int(value) if value.is_Integer else None
