# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What moves elements about, and everything else that does the same to both parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tessera.lowering.complexes.dtypes import real_of
from tessera.lowering.complexes.pairs import (
    Pair,
    pair,
    pairs,
    translation,
)

aten = torch.ops.aten

#: Operators on one complex tensor, whose other arguments say where its elements go.
_MOVES = """
_reshape_alias _unsafe_view alias as_strided channel_shuffle chunk col2im contiguous detach
diag diag_embed diagonal diagonal_copy expand expand_copy flatten flip fliplr flipud gather im2col
index index_select lift_fresh lift_fresh_copy mT moveaxis movedim narrow narrow_copy
native_channel_shuffle numpy_T permute permute_copy pixel_shuffle pixel_unshuffle ravel
reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d
replication_pad2d replication_pad3d reshape roll rot90 select select_copy slice slice_copy split
split_copy split_with_sizes split_with_sizes_copy squeeze squeeze_copy swapaxes swapdims t t_copy
take tensor_split tile trace transpose transpose_copy tril triu unbind unbind_copy unflatten unfold
unfold_copy unsqueeze unsqueeze_copy view view_copy vsplit hsplit dsplit clone positive
_unsafe_index neg negative embedding avg_pool1d avg_pool2d avg_pool3d
"""

#: Operators that put one tensor into another, by the places of those that hold data.
_WRITES = {
    "diagonal_scatter": (0, 1),
    "select_scatter": (0, 1),
    "slice_scatter": (0, 1),
    "as_strided_scatter": (0, 1),
    "index_add": (0, 3),
    "index_copy": (0, 3),
    "index_fill": (0, 3),
    "index_put": (0, 2),
    "_unsafe_index_put": (0, 2),
    "masked_fill": (0, 2),
    "masked_scatter": (0, 2),
    "scatter": (0, 3),
    "scatter_add": (0, 3),
    "constant_pad_nd": (0, 2),
    "put": (0, 2),
    "_unsafe_masked_index_put_accumulate": (0, 3),
}


def _both(target: Any, function: Callable[[Callable[[Any], Any]], Any]) -> Any:
    """`function` for the real parts and for the imaginary ones, paired result by result."""
    res = function(lambda leaf: leaf.re if isinstance(leaf, Pair) else leaf)
    ims = function(lambda leaf: leaf.im if isinstance(leaf, Pair) else leaf)
    re_leaves, spec = pytree.tree_flatten(res)
    joined = [Pair(re, im) for re, im in zip(re_leaves, pytree.tree_leaves(ims), strict=True)]
    return pytree.tree_unflatten(joined, spec)


@translation(*_MOVES.split(), with_operator=True)
def componentwise(target: Any, *args: Any, **kwargs: Any) -> Any:
    """`target` on the parts of every pair among the arguments."""

    def on(pick: Callable[[Any], Any]) -> Any:
        picked_args, picked_kwargs = pytree.tree_map(pick, (args, kwargs))
        return target(*picked_args, **picked_kwargs)

    return _both(target, on)


def _writer(places: Sequence[int]) -> Callable[..., Any]:
    def write(target: Any, *args: Any, **kwargs: Any) -> Any:
        # The operator's own dtype is that of what is written to.
        names = [argument.name for argument in target._schema.arguments]
        given: dict[str, Any] = dict(zip(names, args, strict=False)) | kwargs
        first = given[names[places[0]]]
        if not isinstance(first, Pair):
            raise ValueError("complex numbers into a real tensor")
        if given.get("reduce", "add") != "add":
            raise ValueError("parts can be added one by one, not multiplied")
        dtype = real_of(first.dtype)
        alpha = given.pop("alpha", None)
        numbers: dict[str, complex] = {}
        for place in places:
            value = given.get(names[place])
            if isinstance(value, (bool, int, float, complex)):
                numbers[names[place]] = complex(value)
            elif value is not None:
                given[names[place]] = pair(value, dtype)
        if alpha is not None and alpha != 1:
            source = names[places[1]]
            given[source] = pairs(given[source], alpha)[0] * pairs(given[source], alpha)[1]

        def on(part: str, pick: Callable[[Any], Any]) -> Any:
            own = {key: getattr(number, part) for key, number in numbers.items()}
            return target(**(pytree.tree_map(pick, given) | own))

        return Pair(
            on("real", lambda leaf: leaf.re if isinstance(leaf, Pair) else leaf),
            on("imag", lambda leaf: leaf.im if isinstance(leaf, Pair) else leaf),
        )

    return write


for _name, _places in _WRITES.items():
    translation(_name, with_operator=True)(_writer(_places))


_JOINS = """
cat concat concatenate stack hstack vstack dstack block_diag column_stack row_stack
"""


@translation(*_JOINS.split(), with_operator=True)
def _joined(target: Any, tensors: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
    operands = pairs(*tensors)
    return Pair(
        target([item.re for item in operands], *args, **kwargs),
        target([item.im for item in operands], *args, **kwargs),
    )


@translation(
    "broadcast_tensors", "meshgrid", "atleast_1d", "atleast_2d", "atleast_3d", with_operator=True
)
def _lists(target: Any, tensors: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
    """Operators that give as many tensors as they take."""
    if isinstance(tensors, Pair):
        return componentwise(target, tensors, *args, **kwargs)

    def on(name: str) -> Any:
        own = [getattr(item, name) if isinstance(item, Pair) else item for item in tensors]
        return target(own, *args, **kwargs)

    return [
        Pair(re, im) if isinstance(item, Pair) else re
        for item, re, im in zip(tensors, on("re"), on("im"), strict=True)
    ]


@translation("_unsafe_masked_index")
def masked_index(self: Pair, mask: Any, indices: Any, fill: Any) -> Pair:
    value = complex(fill)
    return Pair(
        aten._unsafe_masked_index(self.re, mask, indices, value.real),
        aten._unsafe_masked_index(self.im, mask, indices, value.imag),
    )


@translation("pad")
def pad(self: Pair, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Pair:
    if mode != "constant":
        return self.map(lambda part: aten.pad(part, pad, mode))
    number = complex(value or 0)
    return Pair(
        aten.pad(self.re, pad, mode, number.real), aten.pad(self.im, pad, mode, number.imag)
    )


@translation("where")
def where(condition: Any, self: Any, other: Any) -> Pair:
    a, b = pairs(self, other)
    return Pair(torch.where(condition, a.re, b.re), torch.where(condition, a.im, b.im))


@translation("expand_as", "view_as", "reshape_as", with_operator=True)
def as_other(target: Any, self: Any, other: Any) -> Any:
    shape = other.shape
    resize = torch.Tensor.expand if "expand" in target._schema.name else torch.Tensor.reshape
    return (
        self.map(lambda part: resize(part, shape))
        if isinstance(self, Pair)
        else (resize(self, shape))
    )


@translation("real")
def real(self: Any) -> Any:
    return self.re if isinstance(self, Pair) else self


@translation("imag")
def imag(self: Pair) -> Any:
    return self.im


@translation("view_as_real", "view_as_real_copy")
def view_as_real(self: Pair) -> Any:
    return torch.stack([self.re, self.im], -1)


@translation("view_as_complex", "view_as_complex_copy")
def view_as_complex(self: torch.Tensor) -> Pair:
    return Pair(self[..., 0], self[..., 1])


@translation("conj", "_conj", "_conj_copy", "conj_physical", "_conj_physical")
def conj(self: Any) -> Any:
    return self.conjugate() if isinstance(self, Pair) else self


@translation("adjoint", "matrix_H", "mH")
def adjoint(self: Pair) -> Pair:
    return self.map(lambda part: part.transpose(-2, -1)).conjugate()


@translation("_neg_view", "_neg_view_copy")
def neg_view(self: Any) -> Any:
    return -self


@translation("resolve_conj", "resolve_neg")
def resolved(self: Any) -> Any:
    return self
