# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators whose kernel is a function of the user's shared library.

``define_op(schema, library=…, symbol=…, shape=…)`` makes them; the library is compiled with
``<tessera/native.h>``, which is in the folder ``get_include()`` names. In compiled programs the
kernel is called on the tensors' own memory, without Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tessera import _core
from tessera.compat.define import DefinedOp, Shape, as_form
from tessera.errors import ArgumentError, RegistrationError
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.dtypes import dtype_name, is_supported
from tessera.ops._dispatch import find_context, operands_of
from tessera.tensor import Tensor
from tessera.threads import get_num_threads
from tessera.tracing.active import building

_TENSORS = ("Tensor", "Optional[Tensor]", "List[Tensor]", "List[Optional[Tensor]]")
#: Types of a schema's other arguments that a kernel can be given, without Optional[…].
_PLAIN = ("int", "float", "bool", "str", "number", "ScalarType", "SymInt")
_LISTS = ("List[int]", "List[float]", "List[bool]", "List[SymInt]")


def get_include() -> str:
    """The folder for the C compiler's ``-I``, in which ``<tessera/native.h>`` is."""
    return str(Path(_core.__file__).parent / "include")


class NativeOp(DefinedOp):
    """An operator whose kernel is native. Called with tensors of either kind it runs; with values
    of a graph, or while a model is captured, its call is built."""

    def __init__(self, schema: str, shape: Shape, library: str | Path, symbol: str | None) -> None:
        name = schema.split("(", 1)[0].split("::")[1].strip()
        try:
            self._native = _core.load_native(_path(library), symbol or name)
        except RuntimeError as error:
            raise RegistrationError(f"define_op: {schema.split('(', 1)[0]}: {error}") from error
        super().__init__(self._built, schema, shape)
        self.__name__ = self.__qualname__ = name
        self.__doc__ = f"{schema.strip()}, by the native kernel {self._native.description}."
        try:
            self._check_schema(self.overload._schema)
        except RegistrationError:
            self.unregister()
            raise

    def _check_schema(self, schema: Any) -> None:
        if schema.is_mutable:
            raise RegistrationError(
                f"define_op: {schema} writes to its arguments, and a native kernel writes to its "
                "results alone",
                remedy="return what is new, and copy it where it belongs with copy_()",
            )
        for argument in schema.arguments:
            kind = _type_of(argument)
            if kind not in (*_TENSORS, *_PLAIN, *_LISTS):
                raise RegistrationError(
                    f"define_op: {schema.name}: argument {argument.name!r} is of type {kind}, "
                    "which a native kernel cannot be given",
                    remedy=f"use {', '.join((*_TENSORS[:3], *_PLAIN[:5], *_LISTS[:2]))}",
                )
        for result in schema.returns:
            if str(result.type) != "Tensor":
                raise RegistrationError(
                    f"define_op: {schema.name} returns {result.type}, and a native kernel gives "
                    "tensors",
                    remedy="return Tensor, or a tuple of so many: (Tensor, Tensor)",
                )

    # --- calls ----------------------------------------------------------------------------

    def _eager(self, *args: Any, **kwargs: Any) -> Any:
        tensors, call = self._prepared(args, kwargs)
        native = any(isinstance(tensor, Tensor) for tensor in tensors)
        for tensor in tensors:
            grad = isinstance(tensor, torch.Tensor) and tensor.requires_grad
            if grad and torch.is_grad_enabled():
                raise ArgumentError(
                    f"[{self.__name__}] a tensor of shape {tuple(tensor.shape)} requires grad, and "
                    "native kernels compute no gradients",
                    remedy="call it under torch.no_grad(), or pass tensor.detach()",
                )
        results = call(*tensors, threads=get_num_threads())
        if not native:
            results = [torch.from_dlpack(result) for result in results]
        return results[0] if len(results) == 1 else tuple(results)

    def _built(self, *args: Any, **kwargs: Any) -> Any:
        context = find_context((args, kwargs)) or building()
        if context is None:
            return self._eager(*args, **kwargs)
        return self._build(context, args, kwargs)

    def _lower(self, node: Any, ctx: LoweringContext) -> Any:
        return self._build(ctx, ctx.get_inputs(node), ctx.get_kwargs(node))

    def _build(self, context: LoweringContext, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        tensors, call = self._prepared(args, kwargs)
        operands = [context.value(operands_of(context, tensor)) for tensor in tensors]
        name = self.qualname.replace("::", ".")
        results = context.native(name, call, operands, self._forms(args, kwargs))
        return results[0] if len(results) == 1 else results

    def _prepared(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[Any], Any]:
        """The tensors among the arguments, and the kernel with all the rest."""
        tensors: list[Any] = []
        positions: list[int] = []
        attributes: list[tuple[str, Any]] = []
        for argument, value in self._arguments(args, kwargs):
            kind = _type_of(argument)
            if kind not in _TENSORS:
                attributes.append((argument.name, _plain(kind, value)))
                continue
            several = kind.startswith("List")
            if several:
                attributes.append((argument.name, len(value)))
            for tensor in value if several else [value]:
                positions.append(-1 if tensor is None else len(tensors))
                tensors += [] if tensor is None else [tensor]
        outputs = [(dtype_name(dtype), list(sizes)) for dtype, sizes in self._forms(args, kwargs)]
        return tensors, _core.native_call(self._native, positions, attributes, outputs)

    def _arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
        """Each argument of the schema with its value."""
        schema = self.overload._schema
        names = [argument.name for argument in schema.arguments]
        unknown = [name for name in kwargs if name not in names]
        if unknown or len(args) > sum(not item.kwarg_only for item in schema.arguments):
            raise ArgumentError(
                f"[{self.__name__}] takes {schema}, and was given {len(args)} positional arguments"
                f" and {sorted(kwargs)}"
            )
        for index, argument in enumerate(schema.arguments):
            if index < len(args):
                yield argument, args[index]
            elif argument.name in kwargs:
                yield argument, kwargs[argument.name]
            elif argument.has_default_value():
                yield argument, argument.default_value
            else:
                raise ArgumentError(f"[{self.__name__}] argument {argument.name!r} is missing")

    def _forms(
        self, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> list[tuple[torch.dtype, tuple[int, ...]]]:
        """Element type and sizes of each result, as the shape function says."""

        def without_data(item: Any) -> torch.Tensor:
            return torch.empty(tuple(item.shape), dtype=item.dtype, device="meta")

        given = pytree.tree_map_only(
            (torch.Tensor, Tensor, GraphValue), without_data, (list(args), kwargs)
        )
        with torch.device("meta"):
            result = self._fake(*given[0], **given[1])
        forms = [as_form(item) for item in (result if isinstance(result, tuple) else (result,))]
        for dtype, _ in forms:
            if not is_supported(dtype):
                raise RegistrationError(
                    f"the shape function of {self.qualname} says {dtype}, which is no element type "
                    "that Tessera has",
                    remedy="use a real floating-point, integer or bool dtype",
                )
        return forms

    def __repr__(self) -> str:
        return f"<operator {self.qualname}, {self._native.description}>"


def _path(library: str | Path) -> str:
    """A file of that name here; otherwise the loader looks where it looks for libraries."""
    path = Path(library).expanduser()
    return str(path.resolve()) if path.is_file() else str(library)


def _type_of(argument: Any) -> str:
    """The type as a schema's text has it, without Optional[…] around what is no tensor."""
    kind = str(argument.real_type)
    if kind in _TENSORS or not kind.startswith("Optional["):
        return kind
    return kind.removeprefix("Optional[").removesuffix("]")


def _plain(kind: str, value: Any) -> Any:
    """An attribute of the kind the schema says, whatever of Python's numbers was given."""
    if value is None:
        return None
    if kind == "ScalarType":
        return str(value).removeprefix("torch.")
    if kind in ("float", "List[float]"):
        # A tuple of its own kind: an empty list would not tell.
        return tuple(float(item) for item in value) if kind != "float" else float(value)
    if kind in _LISTS:
        return [int(item) for item in value]
    if kind == "number" and isinstance(value, torch.Tensor):
        return value.item()
    return int(value) if kind in ("int", "SymInt", "bool") else value
