# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Movement and indexing, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera.lowering.context import GraphValue
from tessera.ops._dispatch import Value, call
from tessera.tensor import from_torch


def _sizes(given: tuple[Any, ...]) -> list[int]:
    """f(2, 3) and f((2, 3)) mean the same."""
    if len(given) == 1 and not isinstance(given[0], int):
        return list(given[0])
    return list(given)


def reshape(input: Value, *shape: Any) -> Value:
    """The same elements in another shape; one size may be -1."""
    return call("reshape.default", input, _sizes(shape))


def view(input: Value, *shape: Any) -> Value:
    """As :func:`reshape`; with a dtype in place of a shape, the same bytes read as that."""
    dtype = shape[0] if len(shape) == 1 else None
    if not isinstance(dtype, torch.dtype):
        return call("view.default", input, _sizes(shape))
    if isinstance(input, GraphValue):
        return call("view.dtype", input, dtype)
    if isinstance(input, torch.Tensor):
        return input.view(dtype)
    return from_torch(torch.from_dlpack(input).view(dtype))


def permute(input: Value, *shape: Any) -> Value:
    """The dimensions in another order."""
    return call("permute.default", input, _sizes(shape))


def expand(input: Value, *shape: Any) -> Value:
    """Repetition along new dimensions and dimensions of size one; -1 keeps a size."""
    return call("expand.default", input, _sizes(shape))


def broadcast_to(input: Value, *shape: Any) -> Value:
    """As :func:`expand`."""
    return call("broadcast_to.default", input, _sizes(shape))


def repeat(input: Value, *shape: Any) -> Value:
    """Copies side by side, so many along each dimension."""
    return call("repeat.default", input, _sizes(shape))


def tile(input: Value, *shape: Any) -> Value:
    """As :func:`repeat`, missing entries counting as one."""
    return call("tile.default", input, _sizes(shape))


def flatten(input: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """A range of dimensions joined into one."""
    return call("flatten.using_ints", input, start_dim, end_dim)


def unflatten(input: Value, dim: int, sizes: Sequence[int]) -> Value:
    """One dimension split into several."""
    return call("unflatten.int", input, dim, sizes)


def squeeze(input: Value, dim: int | Sequence[int] | None = None) -> Value:
    """Without dimensions of size one (among `dim`, or all)."""
    return call("squeeze.dims", input, dim)


def unsqueeze(input: Value, dim: int) -> Value:
    """A dimension of size one put in at `dim`."""
    return call("unsqueeze.default", input, dim)


def transpose(input: Value, dim0: int, dim1: int) -> Value:
    """Two dimensions exchanged."""
    return call("transpose.int", input, dim0, dim1)


def t(input: Value) -> Value:
    """The transpose of a matrix."""
    return call("t.default", input)


def movedim(input: Value, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Dimensions moved to other places, the rest in order."""
    return call("movedim.intlist", input, source, destination)


def select(input: Value, dim: int, index: int) -> Value:
    """What lies at `index` of a dimension, without it."""
    return call("select.int", input, dim, index)


def narrow(input: Value, dim: int, start: int, length: int) -> Value:
    """`length` elements of a dimension from `start` on."""
    return call("narrow.default", input, dim, start, length)


def slice(
    input: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    """input[start:end:step] along `dim`."""
    return call("slice.Tensor", input, dim, start, end, step)


def split(input: Value, split_size_or_sections: int | Sequence[int], dim: int = 0) -> list[Value]:
    """Parts of one size (the last may be smaller), or of the sizes given, along `dim`."""
    if isinstance(split_size_or_sections, int):
        parts: list[Value] = call("split.Tensor", input, split_size_or_sections, dim)
    else:
        parts = call("split_with_sizes.default", input, split_size_or_sections, dim)
    return parts


def chunk(input: Value, chunks: int, dim: int = 0) -> list[Value]:
    """Up to `chunks` parts of equal size along `dim`."""
    return list(call("chunk.default", input, chunks, dim))


def unbind(input: Value, dim: int = 0) -> list[Value]:
    """All slices along a dimension, without it."""
    return list(call("unbind.int", input, dim))


def cat(tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors one after another along `dim`."""
    return call("cat.default", tensors, dim)


def stack(tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors of one shape along a new dimension."""
    return call("stack.default", tensors, dim)


def pad(
    input: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Value:
    """A border (before, after) for the last dimension, then the one before it, and so on."""
    return call("pad.default", input, pad, mode, value)


def flip(input: Value, dims: int | Sequence[int]) -> Value:
    """The order of elements inverted along `dims`."""
    return call("flip.default", input, _sizes((dims,)))


def roll(input: Value, shifts: int | Sequence[int], dims: int | Sequence[int] = ()) -> Value:
    """Elements shifted along `dims`, those that leave entering at the other end."""
    return call("roll.default", input, shifts, dims)


def diagonal(input: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """The diagonal of two dimensions, as the last one."""
    return call("diagonal.default", input, offset, dim1, dim2)


def tril(input: Value, diagonal: int = 0) -> Value:
    """The lower triangle, zero above it."""
    return call("tril.default", input, diagonal)


def triu(input: Value, diagonal: int = 0) -> Value:
    """The upper triangle, zero below it."""
    return call("triu.default", input, diagonal)


def contiguous(input: Value) -> Value:
    """The same elements in row-major order."""
    return call("contiguous.default", input)


def clone(input: Value) -> Value:
    """The same elements."""
    return call("clone.default", input)


def gather(input: Value, dim: int, index: Value) -> Value:
    """For each entry of `index`, the element at that place of `dim`."""
    return call("gather.default", input, dim, index)


def index_select(input: Value, dim: int, index: Value) -> Value:
    """The slices of `dim` that `index` names."""
    return call("index_select.default", input, dim, index)


def take_along_dim(input: Value, indices: Value, dim: int | None = None) -> Value:
    """As :func:`gather`, with broadcasting."""
    return call("take_along_dim.default", input, indices, dim)
