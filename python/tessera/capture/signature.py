# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The arguments a program was captured with, and whether a call fits them.

A program is static: tensors have the shapes and dtypes of the example, everything else its
value. ``CallSignature.match`` takes a call apart, forgiving what means the same (a keyword
argument given by position, a default written out), and says by name what does not fit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tessera.capture.leaves import TensorSpec, kind_of
from tessera.capture.objects import Handle, opened_arguments
from tessera.capture.trees import opened
from tessera.errors import ArgumentTypeError, InputMismatchError
from tessera.tensor import Tensor, is_tensor, torch_dtype

REMEDY_STATIC = (
    "the program is static: convert again with example_inputs of this form, or use "
    "ts.compat.wrap(module), which compiles once for every form it meets"
)


@dataclass(frozen=True)
class StaticLeaf:
    """An argument that is no tensor: the program holds for this value only."""

    value: Any


@dataclass(frozen=True)
class ObjectLeaf(StaticLeaf):
    """An argument that was taken apart: `value` is its class."""


@dataclass(frozen=True)
class CallSignature:
    """Structure and leaves of ``(args, kwargs)``."""

    spec: pytree.TreeSpec
    names: tuple[str, ...]
    #: a TensorSpec or a StaticLeaf each
    leaves: tuple[Any, ...]
    parameters: tuple[tuple[str, inspect.Parameter], ...] | None
    #: whether objects are taken apart
    objects: bool = False

    @staticmethod
    def of(
        forward: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        objects: bool = False,
    ) -> CallSignature:
        """Of the arguments of a call. With `objects` caches and their like are taken apart."""
        paths, spec = pytree.tree_flatten_with_path(_opened(args, kwargs, objects))
        parameters = _parameters(forward)
        names = tuple(_leaf_name(path, parameters, len(args)) for path, _ in paths)
        leaves = tuple(_leaf_spec(leaf) for _, leaf in paths)
        return CallSignature(spec, names, leaves, parameters, objects)

    @property
    def tensor_positions(self) -> list[int]:
        return [index for index, leaf in enumerate(self.leaves) if isinstance(leaf, TensorSpec)]

    @property
    def handles(self) -> list[int]:
        """The places of objects that were taken apart."""
        return [index for index, leaf in enumerate(self.leaves) if isinstance(leaf, ObjectLeaf)]

    @property
    def unusual(self) -> str:
        """The first argument that compiled code cannot compute with, and why; "" without one."""
        for name, leaf in zip(self.names, self.leaves, strict=True):
            if isinstance(leaf, TensorSpec) and leaf.kind:
                return f"argument {name!r} is {leaf}"
        return ""

    @property
    def is_flat(self) -> bool:
        """Whether a call is just tensors by position."""
        args, kwargs = self.spec.children()
        return (
            all(isinstance(leaf, TensorSpec) for leaf in self.leaves)
            and kwargs.num_leaves == 0
            and all(child.is_leaf() for child in args.children())
        )

    def __str__(self) -> str:
        shown = (
            f"{name}: {leaf if isinstance(leaf, TensorSpec) else repr(leaf.value)}"
            for name, leaf in zip(self.names, self.leaves, strict=True)
        )
        return f"({', '.join(shown)})"

    def key(self) -> tuple[Any, ...]:
        """A hashable stand-in, equal for calls one program serves."""
        return (
            str(self.spec),
            tuple(
                leaf
                if isinstance(leaf, TensorSpec)
                else ("static", type(leaf.value).__name__, _hashable(leaf.value))
                for leaf in self.leaves
            ),
        )

    def match(
        self, args: Sequence[Any], kwargs: dict[str, Any], what: str = "the module"
    ) -> list[Any]:
        """The call's leaves, in this signature's order; InputMismatchError says what differs."""
        flat = self._arranged(args, kwargs, what)
        for index, leaf in enumerate(flat):
            problem, remedy = self._leaf_problem(index, leaf)
            if problem:
                raise InputMismatchError(
                    f"argument {self.names[index]!r} of {what}: {problem}", remedy=remedy
                )
        return flat

    def matches(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        try:
            self.match(args, kwargs)
        except (ArgumentTypeError, InputMismatchError):
            return False
        return True

    def like(self, args: Sequence[Any], kwargs: dict[str, Any], what: str) -> CallSignature:
        """The signature of a call that is like this one but for the types of its tensors."""
        flat = self._arranged(args, kwargs, what)
        leaves = []
        for index, (leaf, wanted) in enumerate(zip(flat, self.leaves, strict=True)):
            if is_tensor(leaf) and isinstance(wanted, TensorSpec) and not kind_of(leaf):
                leaves.append(_tensor_spec(leaf))
                continue
            problem, remedy = self._leaf_problem(index, leaf)
            if problem:
                raise InputMismatchError(
                    f"argument {self.names[index]!r} of {what}: {problem}", remedy=remedy
                )
            leaves.append(wanted)
        return CallSignature(self.spec, self.names, tuple(leaves), self.parameters, self.objects)

    def form(self) -> tuple[Any, ...]:
        """The same, equal for calls that differ in sizes of tensors and in integers only."""
        structure, leaves = self.key()
        return structure, tuple(
            (len(leaf.shape), leaf.dtype, leaf.kind)
            if isinstance(leaf, TensorSpec)
            else leaf[:2]
            if leaf[1] == "int"
            else leaf
            for leaf in leaves
        )

    def in_order(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], what: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same call with its arguments where this signature has them."""
        if pytree.tree_structure(_opened(args, kwargs, self.objects)) == self.spec:
            return args, kwargs
        flat = self._arranged(args, kwargs, what)
        leaves = [Handle() if isinstance(leaf, Handle) else leaf for leaf in flat]
        ordered: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_unflatten(leaves, self.spec)
        return ordered

    def _arranged(self, args: Sequence[Any], kwargs: dict[str, Any], what: str) -> list[Any]:
        flat, spec = pytree.tree_flatten((tuple(args), kwargs))
        if spec != self.spec:
            flat, spec = pytree.tree_flatten(_opened(args, kwargs, self.objects))
        if spec != self.spec:
            rearranged = self._rearrange(args, kwargs, what)
            try:
                # Dictionaries may have their keys in any order.
                flat = self.spec.flatten_up_to(
                    _opened(*(rearranged or (args, kwargs)), self.objects)
                )
            except ValueError as error:
                raise InputMismatchError(
                    self._structure_message(args, kwargs, what), remedy=REMEDY_STATIC
                ) from error
        return flat

    def fits(self, args: Sequence[Any]) -> bool:
        """Whether these are tensors as the program takes them, by position."""
        return len(args) == len(self.leaves) and all(
            is_tensor(leaf) and not self._leaf_problem(index, leaf)[0]
            for index, leaf in enumerate(args)
        )

    def _leaf_problem(self, index: int, leaf: Any) -> tuple[str, str]:
        """What is wrong with an argument and what to do about it; empty when it fits."""
        wanted = self.leaves[index]
        if isinstance(wanted, ObjectLeaf):
            return "", ""  # its class is part of the structure
        if not isinstance(wanted, TensorSpec):
            if is_tensor(leaf) or not _equal(leaf, wanted.value):
                text = f"the program was compiled for the value {wanted.value!r}, got {_show(leaf)}"
                return text, REMEDY_STATIC
            return "", ""
        if not is_tensor(leaf):
            raise ArgumentTypeError(
                f"argument {self.names[index]!r} must be a torch.Tensor or ts.Tensor of "
                f"{wanted}, got {_show(leaf)}",
                remedy=_to_tensor(leaf, self.names[index]),
            )
        kind = kind_of(leaf)
        if kind != wanted.kind:
            return _kind_problem(leaf, kind, wanted)
        if kind != "nested" and tuple(leaf.shape) != wanted.shape:
            return f"expected {wanted}, got {_show(leaf)}", REMEDY_STATIC
        if torch_dtype(leaf) != wanted.dtype:
            return f"expected {wanted}, got {_show(leaf)}", REMEDY_STATIC
        return "", ""

    def _rearrange(
        self, args: Sequence[Any], kwargs: dict[str, Any], what: str
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """The same call in the form of the example: positions, keywords, defaults left out."""
        if self.parameters is None:
            return None
        signature = inspect.Signature([parameter for _, parameter in self.parameters])
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentTypeError(f"{what}: {error}") from error
        example = pytree.tree_unflatten(list(range(len(self.leaves))), self.spec)
        by_position, by_keyword = len(example[0]), list(example[1])
        bound.apply_defaults()
        values = dict(bound.arguments)
        new_args: list[Any] = []
        new_kwargs: dict[str, Any] = {}
        for name, parameter in self.parameters:
            if name not in values:
                return None
            value = values.pop(name)
            if parameter.kind is parameter.VAR_POSITIONAL:
                new_args.extend(value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                new_kwargs.update(value)
            elif len(new_args) < by_position and parameter.kind is not parameter.KEYWORD_ONLY:
                new_args.append(value)
            elif name in by_keyword:
                new_kwargs[name] = value
            elif not _equal(value, parameter.default):
                return None
        ordered = {name: new_kwargs.pop(name) for name in by_keyword if name in new_kwargs}
        return tuple(new_args), {**ordered, **new_kwargs}

    def _structure_message(self, args: Sequence[Any], kwargs: dict[str, Any], what: str) -> str:
        given = [_show(arg) for arg in args] + [f"{k}={_show(v)}" for k, v in kwargs.items()]
        return f"{what} was compiled for {self}, called with ({', '.join(given)})"


def _opened(args: Sequence[Any], kwargs: dict[str, Any], objects: bool) -> Any:
    """The arguments of a call with sizes that stay a torch.Size."""
    given = (tuple(args), kwargs)
    return opened_arguments(given) if objects else opened(given, sizes_only=True)


def _parameters(forward: Callable[..., Any]) -> tuple[tuple[str, inspect.Parameter], ...] | None:
    try:
        return tuple(inspect.signature(forward).parameters.items())
    except (TypeError, ValueError):
        return None


def _tensor_spec(value: Any) -> TensorSpec:
    if isinstance(value, torch.Tensor):
        return TensorSpec.of(value)
    return TensorSpec(tuple(value.shape), torch_dtype(value))


def _to_tensor(given: Any, name: str) -> str:
    """How to make of an argument the tensor it should be."""
    if isinstance(given, (list, tuple)) and len(given) == 1 and is_tensor(given[0]):
        return f"pass the tensor itself, {name}[0]"
    if isinstance(given, (list, tuple)) and any(is_tensor(item) for item in given):
        return "pass one tensor: torch.stack(…) or torch.cat(…) of them"
    if isinstance(given, (bool, int, float, list, tuple)):
        return "make a tensor of it with torch.tensor(…)"
    if given is None:
        return "convert again with an example of a call without it, or use ts.compat.wrap(module)"
    return ""


def _kind_problem(leaf: Any, kind: str, wanted: TensorSpec) -> tuple[str, str]:
    if wanted.kind:
        return f"expected {wanted}, got {_show(leaf)}", REMEDY_STATIC
    if kind == "nested":
        return "expected a dense tensor, got a nested one", "pass tensor.to_padded_tensor(0)"
    if leaf.layout != torch.strided:
        return f"expected a dense tensor, got {leaf.layout}", "pass tensor.to_dense()"
    if leaf.device.type != "cpu":
        return (
            f"expected a tensor on the CPU, got one on {leaf.device}",
            'pass tensor.to("cpu"); this version runs on the CPU',
        )
    if kind == "torch.func":
        return (
            "expected a plain tensor, got one that torch.vmap or another transform of torch.func "
            "made",
            "transform the PyTorch model, or call it through ts.compat.wrap, which runs such calls "
            "in PyTorch",
        )
    return (
        f"expected a plain tensor, got a {kind}, a class with __torch_function__ or "
        "__torch_dispatch__ of its own, which compiled code does not call",
        "pass tensor.as_subclass(torch.Tensor), or convert with an example of this class",
    )


def _leaf_spec(leaf: Any) -> TensorSpec | StaticLeaf:
    if is_tensor(leaf):
        return _tensor_spec(leaf)
    if isinstance(leaf, Handle):
        return ObjectLeaf(type(leaf.value))
    holds = pytree.tree_leaves(getattr(leaf, "__dict__", None))
    # A module among the arguments is the same one in each call; its tensors are read from it.
    if not hasattr(leaf, "named_parameters") and any(is_tensor(item) for item in holds):
        raise ArgumentTypeError(
            f"an argument is a {type(leaf).__name__} that holds tensors, and PyTorch does not know "
            "how to take it apart",
            remedy="register the class with torch.export.register_dataclass or "
            "torch.utils._pytree.register_pytree_node",
        )
    # Arrays may change in place.
    return StaticLeaf(leaf.copy() if _is_array(leaf) else leaf)


def _leaf_name(path: tuple[Any, ...], parameters: Any, positional: int) -> str:
    """`x`, `batch['ids']`, `args[2]`: how the caller would write the place of a leaf."""
    where, rest = path[0].idx, path[1:]
    if not rest:
        return "args"
    head = rest[0]
    name = str(head.key) if where == 1 else _positional_name(head.idx, parameters)
    return name + pytree.keystr(rest[1:])


def _positional_name(index: int, parameters: Any) -> str:
    names = [
        name
        for name, parameter in parameters or ()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if index < len(names):
        return str(names[index])
    for name, parameter in parameters or ():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return f"{name}[{index - len(names)}]"
    return f"args[{index}]"


def _is_array(value: Any) -> bool:
    """Whether it is a NumPy array of numbers."""
    return hasattr(value, "__array_interface__") and not value.dtype.hasobject


def _equal(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if _is_array(left) and _is_array(right):
        return bool(_hashable(left) == _hashable(right))
    if isinstance(left, (float, complex)):
        return repr(left) == repr(right)
    try:
        return bool(left == right)
    except (TypeError, ValueError, RuntimeError):
        return False


def _hashable(value: Any) -> Any:
    if isinstance(value, (float, complex)):
        return repr(value)  # 0.0 and -0.0 are equal, and no NaN is equal to another
    try:
        hash(value)
    except TypeError:
        if _is_array(value):
            # The text of a large array leaves elements out.
            return value.shape, str(value.dtype), value.tobytes()
        return repr(value)
    return value


def _show(value: Any) -> str:
    """A value as error messages print it: tensors by type, the rest by (short) repr."""
    if is_tensor(value):
        return str(_tensor_spec(value))
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def as_torch(value: Any) -> Any:
    """A `ts.Tensor` as the torch tensor over the same memory; everything else as it is."""
    return torch.from_dlpack(value) if isinstance(value, Tensor) else value
