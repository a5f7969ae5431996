# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Movement: views of one tensor. All of them fold into layouts; none computes anything."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.rules import (
    broadcast_shape,
    normalize_dim,
    normalize_dims,
    rule,
    sizes,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

# --- building blocks -------------------------------------------------------------------------


def permute_to(ctx: LoweringContext, x: GraphValue, dims: Sequence[int]) -> GraphValue:
    """Dimensions in the order `dims`; nothing when that is the order they have."""
    order = list(dims)
    return x if order == list(range(x.ndim)) else ctx.emit("permute", [x], dims=order)


def slice_along(
    ctx: LoweringContext, x: GraphValue, dim: int, start: int, limit: int, step: int = 1
) -> GraphValue:
    """x[start:limit:step] along one dimension; bounds within its size."""
    if start == 0 and limit == x.shape[dim] and step == 1:
        return x
    starts, limits, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[dim], limits[dim], steps[dim] = start, limit, step
    return ctx.emit("slice", [x], starts=starts, limits=limits, steps=steps)


def reverse_along(ctx: LoweringContext, x: GraphValue, dims: Sequence[int]) -> GraphValue:
    """The order of elements inverted along `dims`."""
    moved = [dim for dim in dims if x.shape[dim] > 1]
    return ctx.emit("reverse", [x], dims=moved) if moved else x


def insert_dim(ctx: LoweringContext, x: GraphValue, dim: int) -> GraphValue:
    """A dimension of size one before `dim` (counted in the result)."""
    return ctx.reshape(x, (*x.shape[:dim], 1, *x.shape[dim:]))


def remove_dim(ctx: LoweringContext, x: GraphValue, dim: int) -> GraphValue:
    """Without the dimension `dim`, whose size is one."""
    return ctx.reshape(x, (*x.shape[:dim], *x.shape[dim + 1 :]))


def resolve_shape(count: int, shape: Sequence[object], op: str) -> list[int]:
    """`shape` with a single -1 replaced by what `count` elements leave for it."""
    target = sizes(shape, op)
    if target.count(-1) > 1:
        raise ValueError(f"[{op}] only one size of {target} can be inferred")
    if -1 in target:
        known = math.prod(size for size in target if size != -1)
        if known == 0 or count % known:
            raise ValueError(f"[{op}] {count} elements do not fit the shape {target}")
        target[target.index(-1)] = count // known
    if math.prod(target) != count:
        raise ValueError(f"[{op}] {count} elements do not fit the shape {target}")
    return target


# --- reshapes --------------------------------------------------------------------------------


@rule("view", "reshape", "_unsafe_view", "view_copy", "_reshape_copy", "_reshape_alias")
def view(
    ctx: LoweringContext, self: GraphValue, size: Sequence[int], stride: object = None
) -> GraphValue:
    return ctx.reshape(self, resolve_shape(self.numel(), size, "view"))


@rule("reshape_as", "view_as")
def view_as(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    return view(ctx, self, other.shape)


#: What is one byte, whose every value an integer of one byte has as well.
_BYTES = (torch.bool, torch.int8, torch.uint8)


@rule("view.dtype")
def view_dtype(ctx: LoweringContext, self: GraphValue, dtype: torch.dtype) -> GraphValue:
    if dtype == self.dtype:
        return self
    if self.dtype in _BYTES and dtype in (torch.int8, torch.uint8):
        return ctx.cast(self, dtype)  # integers wrap, so their bits stay
    if self.dtype.itemsize == dtype.itemsize and dtype.itemsize in (4, 8):
        return ctx.emit("bitcast", [self], dtype=dtype)
    raise Unsupported(
        f"view reads the bytes of {self.dtype} as {dtype}",
        "convert the values with .to(dtype) if that is what is meant",
        code="reinterpret",
    )


@rule("flatten.using_ints")
def flatten(
    ctx: LoweringContext, self: GraphValue, start_dim: int = 0, end_dim: int = -1
) -> GraphValue:
    first = normalize_dim(start_dim, self.ndim, "flatten")
    last = normalize_dim(end_dim, self.ndim, "flatten")
    if first > last:
        raise ValueError(f"[flatten] start_dim {start_dim} comes after end_dim {end_dim}")
    if not self.ndim:
        return ctx.reshape(self, (1,))
    middle = math.prod(self.shape[first : last + 1])
    return ctx.reshape(self, (*self.shape[:first], middle, *self.shape[last + 1 :]))


@rule("ravel")
def ravel(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return ctx.reshape(self, (self.numel(),))


@rule("unflatten.int")
def unflatten(ctx: LoweringContext, self: GraphValue, dim: int, sizes: Sequence[int]) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "unflatten")
    inner = resolve_shape(self.shape[axis], sizes, "unflatten")
    return ctx.reshape(self, (*self.shape[:axis], *inner, *self.shape[axis + 1 :]))


@rule("unsqueeze", "unsqueeze_copy")
def unsqueeze(ctx: LoweringContext, self: GraphValue, dim: int) -> GraphValue:
    return insert_dim(ctx, self, normalize_dim(dim, self.ndim + 1, "unsqueeze"))


@rule(
    "squeeze",
    "squeeze.dim",
    "squeeze.dims",
    "squeeze_copy",
    "squeeze_copy.dim",
    "squeeze_copy.dims",
)
def squeeze(
    ctx: LoweringContext, self: GraphValue, dim: int | Sequence[int] | None = None
) -> GraphValue:
    dims = normalize_dims(dim, self.ndim, "squeeze")
    shape = [size for axis, size in enumerate(self.shape) if axis not in dims or size != 1]
    return ctx.reshape(self, shape)


@rule("atleast_1d")
def atleast_1d(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return self if self.ndim else ctx.reshape(self, (1,))


# --- order of dimensions ---------------------------------------------------------------------


@rule("permute", "permute_copy")
def permute(ctx: LoweringContext, self: GraphValue, dims: Sequence[int]) -> GraphValue:
    order = [normalize_dim(dim, self.ndim, "permute") for dim in dims]
    if sorted(order) != list(range(self.ndim)):
        raise ValueError(f"[permute] {list(dims)} must name each of {self.ndim} dimensions once")
    return permute_to(ctx, self, order)


@rule("transpose.int", "transpose_copy.int", "swapaxes", "swapdims")
def transpose(ctx: LoweringContext, self: GraphValue, dim0: int, dim1: int) -> GraphValue:
    first = normalize_dim(dim0, self.ndim, "transpose")
    second = normalize_dim(dim1, self.ndim, "transpose")
    if not self.ndim:
        return self
    order = list(range(self.ndim))
    order[first], order[second] = order[second], order[first]
    return permute_to(ctx, self, order)


@rule("t", "t_copy")
def t(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if self.ndim > 2:
        raise ValueError(f"[t] expects at most two dimensions, but got shape {self.shape}")
    return permute_to(ctx, self, [1, 0]) if self.ndim == 2 else self


@rule("numpy_T")
def numpy_t(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return permute_to(ctx, self, list(range(self.ndim))[::-1])


@rule("mT", "mH", "adjoint", "matrix_H")
def matrix_transpose(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return self if self.ndim < 2 else transpose(ctx, self, -2, -1)


@rule("movedim.int", "movedim.intlist", "moveaxis.int", "moveaxis.intlist")
def movedim(
    ctx: LoweringContext,
    self: GraphValue,
    source: int | Sequence[int],
    destination: int | Sequence[int],
) -> GraphValue:
    given = [source] if isinstance(source, int) else list(source)
    wanted = [destination] if isinstance(destination, int) else list(destination)
    if len(given) != len(wanted):
        raise ValueError(f"[movedim] {given} and {wanted} differ in length")
    if not self.ndim:
        return self
    places = {
        normalize_dim(to, self.ndim, "movedim"): normalize_dim(origin, self.ndim, "movedim")
        for origin, to in zip(given, wanted, strict=True)
    }
    rest = iter([dim for dim in range(self.ndim) if dim not in places.values()])
    order = [places[dim] if dim in places else next(rest) for dim in range(self.ndim)]
    return permute_to(ctx, self, order)


# --- stretching ------------------------------------------------------------------------------


@rule("expand", "expand_copy")
def expand(
    ctx: LoweringContext, self: GraphValue, size: Sequence[int], *, implicit: bool = False
) -> GraphValue:
    target = sizes(size, "expand")
    lead = len(target) - self.ndim
    if lead < 0:
        raise ValueError(f"[expand] {target} has fewer dimensions than the tensor's {self.shape}")
    for axis, wanted in enumerate(target):
        if wanted == -1:
            if axis < lead:
                raise ValueError(f"[expand] -1 cannot stand for a new dimension in {target}")
            target[axis] = self.shape[axis - lead]
    return ctx.broadcast(self, target)


@rule("expand_as")
def expand_as(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    return ctx.broadcast(self, other.shape)


@rule("broadcast_to")
def broadcast_to(ctx: LoweringContext, self: GraphValue, size: Sequence[int]) -> GraphValue:
    return expand(ctx, self, size)


@rule("broadcast_tensors")
def broadcast_tensors(ctx: LoweringContext, tensors: Sequence[GraphValue]) -> list[GraphValue]:
    shape = broadcast_shape(*(tensor.shape for tensor in tensors))
    return [ctx.broadcast(tensor, shape) for tensor in tensors]


@rule("repeat")
def repeat(ctx: LoweringContext, self: GraphValue, repeats: Sequence[int]) -> GraphValue:
    times = sizes(repeats, "repeat")
    lead = len(times) - self.ndim
    if lead < 0:
        raise ValueError(f"[repeat] {times} has fewer entries than the tensor's {self.ndim} dims")
    shape = (1,) * lead + self.shape
    # Each dimension becomes (times, size), stretched over the first.
    paired = [part for size in shape for part in (1, size)]
    wide = [part for count, size in zip(times, shape, strict=True) for part in (count, size)]
    stretched = ctx.broadcast(ctx.reshape(self, paired), wide)
    return ctx.reshape(stretched, [a * b for a, b in zip(times, shape, strict=True)])


@rule("tile")
def tile(ctx: LoweringContext, self: GraphValue, dims: Sequence[int]) -> GraphValue:
    return repeat(ctx, self, [1] * (self.ndim - len(dims)) + list(dims))


@rule("repeat_interleave.self_int")
def repeat_interleave(
    ctx: LoweringContext,
    self: GraphValue,
    repeats: int,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> GraphValue:
    if dim is None:
        self, dim = ravel(ctx, self), 0
    axis = normalize_dim(dim, self.ndim, "repeat_interleave")
    shape = self.shape if self.ndim else (1,)
    column = ctx.reshape(self, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    wide = ctx.broadcast(column, (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return ctx.reshape(wide, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))


# --- parts -----------------------------------------------------------------------------------


def clamp_bounds(size: int, start: int | None, end: int | None) -> tuple[int, int]:
    """Python's rule for slices: negative bounds count from the end, all are clipped."""
    first = 0 if start is None else start
    last = size if end is None else end
    first = max(0, min(first + size if first < 0 else first, size))
    last = max(0, min(last + size if last < 0 else last, size))
    return first, max(first, last)


@rule("slice.Tensor", "slice_copy.Tensor")
def slice_(
    ctx: LoweringContext,
    self: GraphValue,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> GraphValue:
    sizes([bound for bound in (start, end, step) if bound is not None], "slice")
    if step < 1:
        raise ValueError(f"[slice] step must be positive, but is {step}")
    axis = normalize_dim(dim, self.ndim, "slice")
    first, last = clamp_bounds(self.shape[axis], start, end)
    return slice_along(ctx, self, axis, first, last, step)


@rule("narrow", "narrow_copy")
def narrow(ctx: LoweringContext, self: GraphValue, dim: int, start: int, length: int) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "narrow")
    first = start + self.shape[axis] if start < 0 else start
    if length < 0 or not 0 <= first <= self.shape[axis] - length:
        raise ValueError(
            f"[narrow] start {start} and length {length} leave dimension {dim} of {self.shape}"
        )
    return slice_along(ctx, self, axis, first, first + length)


def select(ctx: LoweringContext, self: GraphValue, dim: int, index: int) -> GraphValue:
    """What lies at `index` of a dimension, without it."""
    sizes([index], "select")
    axis = normalize_dim(dim, self.ndim, "select")
    if not self.ndim or not -self.shape[axis] <= index < self.shape[axis]:
        raise IndexError(f"[select] index {index} is out of range for dim {dim} of {self.shape}")
    index %= self.shape[axis]
    return remove_dim(ctx, slice_along(ctx, self, axis, index, index + 1), axis)


@rule("unbind.int", "unbind_copy.int")
def unbind(ctx: LoweringContext, self: GraphValue, dim: int = 0) -> list[GraphValue]:
    axis = normalize_dim(dim, self.ndim, "unbind")
    return [select(ctx, self, axis, index) for index in range(self.shape[axis])]


@rule("split.Tensor", "split_copy.Tensor")
def split(
    ctx: LoweringContext, self: GraphValue, split_size: int, dim: int = 0
) -> list[GraphValue]:
    axis = normalize_dim(dim, self.ndim, "split")
    size = self.shape[axis]
    if split_size < 0 or (split_size == 0 and size):
        raise ValueError(f"[split] split_size {split_size} does not divide {size} elements")
    if not size:
        return [self]
    return [
        slice_along(ctx, self, axis, start, min(start + split_size, size))
        for start in range(0, size, split_size)
    ]


@rule("split_with_sizes", "split.sizes", "split_with_sizes_copy")
def split_with_sizes(
    ctx: LoweringContext, self: GraphValue, split_sizes: Sequence[int], dim: int = 0
) -> list[GraphValue]:
    axis = normalize_dim(dim, self.ndim, "split_with_sizes")
    lengths = sizes(split_sizes, "split_with_sizes")
    if sum(lengths) != self.shape[axis]:
        raise ValueError(
            f"[split_with_sizes] {lengths} does not add up to the {self.shape[axis]} of dim {dim}"
        )
    parts, start = [], 0
    for length in lengths:
        parts.append(slice_along(ctx, self, axis, start, start + length))
        start += length
    return parts


@rule("chunk", "unsafe_chunk")
def chunk(ctx: LoweringContext, self: GraphValue, chunks: int, dim: int = 0) -> list[GraphValue]:
    if chunks < 1:
        raise ValueError(f"[chunk] the number of chunks must be positive, but is {chunks}")
    axis = normalize_dim(dim, self.ndim, "chunk")
    size = self.shape[axis]
    if not size:
        return [self] * chunks
    return split(ctx, self, -(-size // chunks), axis)


@rule("tensor_split.sections")
def tensor_split(
    ctx: LoweringContext, self: GraphValue, sections: int, dim: int = 0
) -> list[GraphValue]:
    axis = normalize_dim(dim, self.ndim, "tensor_split")
    quotient, rest = divmod(self.shape[axis], sections)
    lengths = [quotient + (index < rest) for index in range(sections)]
    return split_with_sizes(ctx, self, lengths, axis)


@rule("diagonal", "diagonal_copy")
def diagonal(
    ctx: LoweringContext, self: GraphValue, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> GraphValue:
    first = normalize_dim(dim1, self.ndim, "diagonal")
    second = normalize_dim(dim2, self.ndim, "diagonal")
    if first == second:
        raise ValueError(f"[diagonal] dim1 {dim1} and dim2 {dim2} are the same dimension")
    rest = [dim for dim in range(self.ndim) if dim not in (first, second)]
    x = permute_to(ctx, self, [*rest, first, second])
    rows, columns = x.shape[-2:]
    top, left = max(-offset, 0), max(offset, 0)
    length = max(min(rows - top, columns - left), 0)
    # In row-major order the diagonal is every (columns + 1)-th element.
    flat = ctx.reshape(x, (*x.shape[:-2], rows * columns))
    start = top * columns + left if length else 0
    limit = start + (length - 1) * (columns + 1) + 1 if length else 0
    return slice_along(ctx, flat, flat.ndim - 1, start, limit, columns + 1)


@rule("flip")
def flip(ctx: LoweringContext, self: GraphValue, dims: Sequence[int]) -> GraphValue:
    return reverse_along(ctx, self, normalize_dims(list(dims), self.ndim, "flip"))


@rule("fliplr")
def fliplr(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return flip(ctx, self, [1])


@rule("flipud")
def flipud(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return flip(ctx, self, [0])


@rule("rot90")
def rot90(
    ctx: LoweringContext, self: GraphValue, k: int = 1, dims: Sequence[int] = (0, 1)
) -> GraphValue:
    turns = k % 4
    if turns == 2:
        return flip(ctx, self, list(dims))
    if turns == 1:
        return transpose(ctx, flip(ctx, self, [dims[1]]), dims[0], dims[1])
    if turns == 3:
        return flip(ctx, transpose(ctx, self, dims[0], dims[1]), [dims[1]])
    return self
