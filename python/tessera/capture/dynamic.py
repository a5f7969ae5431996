# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``dynamic_shapes=``: which sizes of which arguments may change from call to call.

The annotations are those of ``torch.export``: by argument name or by position, nested as the
arguments are, with a ``torch.export.Dim``, a ``Dim`` hint, an int or None for each dimension.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim
from torch.export.dynamic_shapes import _combine_args, _DimHint, _tree_map_with_path
from torch.utils import _pytree as pytree
from torch.utils._sympy.numbers import int_oo

from tessera.capture.leaves import TensorSpec
from tessera.capture.objects import opened_arguments
from tessera.capture.signature import CallSignature
from tessera.errors import ArgumentError, ArgumentTypeError, InputMismatchError

#: What one tensor's dimensions are declared as: only those that may change.
Dims = dict[int, Any]


@dataclass(frozen=True)
class DynamicShapes:
    """The dimensions that may change, by leaf of the arguments."""

    leaves: tuple[Dims, ...]

    @staticmethod
    def of(
        forward: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        dynamic_shapes: Any,
    ) -> DynamicShapes:
        """Reads the annotation; ArgumentError says where it does not fit the arguments."""
        try:
            combined = _combine_args(forward, tuple(args), kwargs)
            annotation = _completed(combined, dynamic_shapes)
            found: list[Dims] = []
            _tree_map_with_path(
                lambda path, leaf, spec: found.extend(_dims_inside(path, leaf, spec)),
                combined,
                annotation,
                tree_name="example_inputs",
            )
        except (ArgumentError, ArgumentTypeError):
            raise
        except Exception as error:  # torch's UserError, of several types
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ArgumentError(
                f"from_pytorch: dynamic_shapes does not fit the example: {text}",
                remedy='annotate each tensor argument, as {"x": {0: torch.export.Dim("batch")}}',
            ) from error
        return DynamicShapes(tuple(found))

    @property
    def is_static(self) -> bool:
        return not any(self.leaves)

    def hints(self, leaf: int) -> dict[int, Any]:
        """A leaf's dimensions as hints for capture.

        With torch's named dimensions a model that treats some sizes differently is refused as a
        whole; with hints the capture says which sizes it is for, and the others get their own.
        """
        return {
            dim: spec if isinstance(spec, _DimHint) else Dim.AUTO(min=spec.min, max=_limit(spec))
            for dim, spec in self.leaves[leaf].items()
        }

    def examples(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """(args, kwargs) to capture with: torch takes a size of 0 or 1 for a constant."""
        leaves, spec = pytree.tree_flatten(opened_arguments((args, kwargs)))
        for index, dims in enumerate(self.leaves):
            shape = list(leaves[index].shape) if dims else []
            if any(shape[dim] < 2 for dim in dims):
                for dim, rule in dims.items():
                    shape[dim] = _moved(shape[dim], rule, lambda size: size if size > 1 else 3)
                leaves[index] = torch.zeros(shape, dtype=leaves[index].dtype)
        return pytree.tree_unflatten(leaves, spec)

    def other_shapes(self, signature: CallSignature) -> list[tuple[int, ...]]:
        """The shapes of another call in range, all of whose dynamic sizes are others."""
        shapes = []
        for place in signature.tensor_positions:
            shape = list(signature.leaves[place].shape)
            for dim, rule in self.leaves[place].items():
                low, high = max(_root(rule).min or 0, 2), _limit(_root(rule))
                shape[dim] = _moved(
                    shape[dim], rule, functools.partial(_other_size, low=low, high=high)
                )
            shapes.append(tuple(shape))
        return shapes

    def above_one(self, signature: CallSignature) -> DynamicShapes:
        """Those of the dimensions that are neither 0 nor 1 in a call."""
        return DynamicShapes(
            tuple(
                {dim: rule for dim, rule in dims.items() if signature.leaves[index].shape[dim] > 1}
                for index, dims in enumerate(self.leaves)
            )
        )

    def key(self, signature: CallSignature) -> tuple[Any, ...]:
        """The sizes of one call, for calls that fit `signature` apart from them."""
        return tuple(
            signature.leaves[index].shape[dim]
            for index, dims in enumerate(self.leaves)
            for dim in dims
        )

    def check(self, call: CallSignature, example: CallSignature, what: str) -> None:
        """InputMismatchError where a call does not fit the example but for its dynamic sizes."""
        seen: dict[str, tuple[int, str]] = {}
        for index, (leaf, wanted) in enumerate(zip(call.leaves, example.leaves, strict=True)):
            name = f"argument {example.names[index]!r} of {what}"
            if not isinstance(wanted, TensorSpec):
                continue  # matched already
            if leaf.dtype != wanted.dtype or len(leaf.shape) != len(wanted.shape):
                raise InputMismatchError(
                    f"{name}: expected {len(wanted.shape)} dimensions of {wanted.dtype}, as in "
                    f"{wanted}, got {leaf}",
                    remedy="convert again with an example of this form",
                )
            for dim, size in enumerate(leaf.shape):
                spec = self.leaves[index].get(dim)
                if spec is None and size != wanted.shape[dim]:
                    raise InputMismatchError(
                        f"{name}: dimension {dim} is {size}; it is not annotated in dynamic_shapes "
                        f"and was {wanted.shape[dim]} in the example",
                        remedy=f"annotate dimension {dim} with a torch.export.Dim, or convert "
                        "again with an example of this size",
                    )
                if spec is not None:
                    _check_size(name, dim, size, spec, seen)


def _root(rule: Any) -> Any:
    return getattr(rule, "root", rule)


def _moved(size: int, rule: Any, move: Callable[[int], int]) -> int:
    """A size after its root has been moved: those derived from one root move together."""
    if _root(rule) is rule:
        return move(size)
    offset = rule.fn(0)
    moved: int = rule.fn(move((size - offset) // (rule.fn(1) - offset)))
    return moved


def _other_size(size: int, low: int, high: int | None) -> int:
    """Far enough to be another in every number derived from it, and with the same remainders by
    the widths of vectors where the range allows."""
    for step in (64, -64, 32, -32, 16, -16, 8, -8, 4, -4, 2, -2, 1, -1):
        if low <= size + step and (high is None or size + step <= high):
            return size + step
    return size


def _check_size(
    name: str, dim: int, size: int, spec: Any, seen: dict[str, tuple[int, str]]
) -> None:
    """Against the range of a named dimension, and against its other occurrences."""
    low, limit = spec.min or 0, _limit(spec)
    label = str(spec) if isinstance(spec, _DimHint) else repr(spec.__name__)
    if size < low or (limit is not None and size > limit):
        top = "…" if limit is None else str(limit)
        raise InputMismatchError(
            f"{name}: dimension {dim} is {size}, outside of the range of {label}, {low}…{top}",
            remedy="convert with a wider range in dynamic_shapes",
        )
    if isinstance(spec, _DimHint):
        return
    root = getattr(spec, "root", None)
    if root is not None:
        other = seen.get(repr(root.__name__))
        if other is not None and spec.fn(other[0]) != size:
            raise InputMismatchError(
                f"{name}: dimension {dim} is {size}, declared as {label} where "
                f"{root.__name__!r} is {other[0]} ({other[1]})",
                remedy="pass tensors whose sizes agree",
            )
        return
    value, place = seen.setdefault(label, (size, f"dimension {dim} of {name}"))
    if value != size:
        raise InputMismatchError(
            f"{name}: dimension {dim} is {size}, but {label} is {value} in {place}",
            remedy="pass tensors whose sizes agree",
        )


def _completed(combined: dict[str, Any], annotation: Any) -> Any:
    """Arguments left out of a dictionary of names have no dynamic sizes."""
    if not isinstance(annotation, (dict, tuple, list)):
        raise ArgumentTypeError(
            f"from_pytorch: dynamic_shapes must be a dict by argument name or a tuple by position, "
            f"not {type(annotation).__name__}",
            remedy='write dynamic_shapes={"x": {0: torch.export.Dim("batch")}}',
        )
    if not isinstance(annotation, dict):
        if len(annotation) > len(combined):
            raise ArgumentError(
                f"from_pytorch: dynamic_shapes has {len(annotation)} entries for an example of "
                f"{len(combined)} arguments"
            )
        annotation = dict(zip(combined, annotation, strict=False))
    unknown = [name for name in annotation if name not in combined]
    if unknown:
        raise ArgumentError(
            f"from_pytorch: dynamic_shapes names {unknown[0]!r}, which is no argument of the "
            f"example (it has {', '.join(combined)})"
        )
    return {
        name: annotation[name] if name in annotation else pytree.tree_map(lambda _: None, value)
        for name, value in combined.items()
    }


def _dims_inside(path: Any, leaf: Any, spec: Any) -> list[Dims]:
    """Of each leaf of the signature: what is inside of an object has no dynamic sizes."""
    inside = pytree.tree_leaves(opened_arguments(leaf))
    if len(inside) == 1 and inside[0] is leaf:
        return [_dims_of(path, leaf, spec)]
    if spec is not None:
        raise ArgumentError(
            f"from_pytorch: dynamic_shapes{pytree.keystr(path)} is {spec!r} for an object of type "
            f"{type(leaf).__name__}, whose tensors keep their sizes",
            remedy="annotate tensors only, and leave the object's entry out or None",
        )
    return [{} for _ in inside]


def _dims_of(path: Any, leaf: Any, spec: Any) -> Dims:
    where = f"dynamic_shapes{pytree.keystr(path)}"
    if spec is None:
        return {}
    if not isinstance(leaf, torch.Tensor):
        raise ArgumentError(f"from_pytorch: {where} is {spec!r} for an argument that is no tensor")
    if isinstance(spec, (tuple, list)):
        if len(spec) != leaf.dim():
            raise ArgumentError(
                f"from_pytorch: {where} has {len(spec)} entries for a tensor of {leaf.dim()} "
                "dimensions"
            )
        spec = dict(enumerate(spec))
    if not isinstance(spec, dict):
        raise ArgumentTypeError(
            f"from_pytorch: {where} must be a dict, a tuple or None, not {spec!r}"
        )
    dims: Dims = {}
    for dim, value in spec.items():
        if not isinstance(dim, int) or not -leaf.dim() <= dim < leaf.dim():
            raise ArgumentError(
                f"from_pytorch: {where} names dimension {dim!r} of a tensor of {leaf.dim()} "
                "dimensions"
            )
        place = dim % leaf.dim()
        if value is None or value is Dim.STATIC:
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            if value != leaf.shape[place]:
                raise ArgumentError(
                    f"from_pytorch: {where}[{dim}] is {value}, the example has {leaf.shape[place]}"
                )
            continue
        if not isinstance(value, (Dim, _DimHint)):
            raise ArgumentTypeError(
                f"from_pytorch: {where}[{dim}] must be a torch.export.Dim, Dim.AUTO, Dim.DYNAMIC, "
                f"an int or None, not {value!r}"
            )
        dims[place] = value
    return dims


# --- as plain data, for pickling ----------------------------------------------------------------


def to_plain(shapes: DynamicShapes | None) -> Any:
    """What :func:`from_plain` makes the annotation of again; torch's own objects do not pickle."""
    if shapes is None:
        return None
    return [{dim: _plain_dim(value) for dim, value in dims.items()} for dims in shapes.leaves]


def from_plain(plain: Any) -> DynamicShapes | None:
    if plain is None:
        return None
    return DynamicShapes(
        tuple({dim: _dim_of(value) for dim, value in dims.items()} for dims in plain)
    )


def _plain_dim(value: Any) -> tuple[Any, ...]:
    if isinstance(value, _DimHint):
        return ("hint", value.type.name, value.min, value.max)
    root = getattr(value, "root", None)
    if root is None:
        return ("dim", value.__name__, value.min, _limit(value))
    # torch's derived dimensions are linear in their root.
    offset = value.fn(0)
    return ("derived", root.__name__, root.min, _limit(root), value.fn(1) - offset, offset)


def _dim_of(plain: tuple[Any, ...]) -> Any:
    kind, name, low, high, *linear = plain
    if kind == "hint":
        hint = getattr(Dim, name)
        return hint if low is None and high is None else hint(min=low, max=high)
    root = Dim(name, min=low, max=high)
    if not linear:
        return root
    factor, offset = linear
    scaled = root if factor == 1 else root * factor
    return scaled if offset == 0 else scaled + offset


def _limit(dim: Any) -> int | None:
    """The largest size of a dimension; None where there is no limit."""
    return None if dim.max is None or dim.max is int_oo else int(dim.max)
