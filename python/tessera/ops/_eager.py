# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of `ts.ops` on tensors with data: one-operator programs, compiled once a signature."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils.dlpack import from_dlpack

from tessera import _core
from tessera._settings import settings
from tessera.errors import ArgumentError, ArgumentTypeError, CompileError, InternalError
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.dtypes import dtype_name, is_supported
from tessera.lowering.registry import Unsupported
from tessera.ops._dispatch import explain

#: Programs kept; each is one small kernel.
CACHE_SIZE = 1024


@dataclass(frozen=True)
class _Place:
    """Stands for the tensor at `index` in a flattened argument list."""

    index: int


@dataclass(frozen=True)
class _Program:
    """A compiled operator: what to call, and how its results are put together."""

    executable: Callable[..., Any] | None
    spec: pytree.TreeSpec
    #: for each leaf of the result: the number of a result of the executable, or a plain value
    leaves: tuple[tuple[int | None, Any], ...]
    #: results may share memory with arguments, as torch's views do
    views: bool


class _Cache:
    """The least recently used programs leave first. Safe to share between threads."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._programs: OrderedDict[Any, _Program] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> _Program | None:
        with self._lock:
            program = self._programs.get(key)
            if program is not None:
                self._programs.move_to_end(key)
            return program

    def put(self, key: Any, program: _Program) -> None:
        with self._lock:
            self._programs[key] = program
            while len(self._programs) > self.size:
                self._programs.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._programs.clear()


cache = _Cache(CACHE_SIZE)


def run(key: str, lower: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Calls the operator on tensors; ts.Tensors give ts.Tensors, torch tensors torch tensors."""
    from tessera.tensor import from_torch

    tensors: list[torch.Tensor] = []
    native = [False]
    places = _extract(key, (args, kwargs), tensors, native)
    threads = torch.get_num_threads()
    signature = (
        key,
        _hashable(places),
        tuple((tensor.dtype, tuple(tensor.shape)) for tensor in tensors),
        torch.get_default_dtype(),
        threads,
    )
    program = cache.get(signature)
    if program is None:
        program = _build(key, lower, places, tensors, threads)
        cache.put(signature, program)
    with torch.no_grad():
        values = _execute(program, tensors)
    # Without tensors among the arguments the result is Tessera's own kind.
    wrap = native[0] or not tensors
    leaves = [
        value if index is None else from_torch(values[index]) if wrap else values[index]
        for index, value in program.leaves
    ]
    return pytree.tree_unflatten(leaves, program.spec)


def _execute(program: _Program, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if program.executable is None:
        return []
    result = program.executable(*tensors)
    values = list(result) if isinstance(result, (tuple, list)) else [result]
    if program.views:
        return values
    taken = {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}
    for index, value in enumerate(values):
        # A copy that the compiler simplified away is still a copy to the caller.
        if value.numel() and value.untyped_storage().data_ptr() in taken:
            values[index] = value.clone()
            continue
        taken.add(value.untyped_storage().data_ptr())
    return values


# --- arguments -------------------------------------------------------------------------------


def _extract(key: str, argument: Any, tensors: list[torch.Tensor], native: list[bool]) -> Any:
    """`argument` with places for its tensors, which are appended to `tensors`."""
    if isinstance(argument, (list, tuple)):
        return tuple(_extract(key, item, tensors, native) for item in argument)
    if isinstance(argument, dict):
        return {name: _extract(key, item, tensors, native) for name, item in argument.items()}
    if isinstance(argument, _core.Tensor):
        native[0] = True
        argument = from_dlpack(argument)
    elif not isinstance(argument, torch.Tensor):
        return argument
    tensors.append(_checked(key, argument))
    return _Place(len(tensors) - 1)


def _checked(key: str, tensor: torch.Tensor) -> torch.Tensor:
    name = key.split(".")[0]
    if tensor.requires_grad and torch.is_grad_enabled():
        raise ArgumentError(
            f"[{name}] an operand requires grad, and ts.ops computes no gradients",
            remedy="call it under torch.no_grad(), or pass tensor.detach()",
        )
    if tensor.device.type != "cpu" or tensor.layout != torch.strided:
        raise ArgumentError(
            f"[{name}] an operand is a {tensor.layout} tensor on {tensor.device}",
            remedy="pass a dense tensor on the CPU",
        )
    if not is_supported(tensor.dtype):
        raise ArgumentTypeError(
            f"[{name}] {tensor.dtype} is not an element type Tessera has",
            remedy="convert to a real floating-point, integer or bool dtype first",
        )
    return tensor.detach().resolve_neg()


def _hashable(item: Any) -> Any:
    """A key that keeps 1, 1.0 and True apart, and 0.0 and -0.0."""
    if isinstance(item, tuple):
        return tuple(_hashable(entry) for entry in item)
    if isinstance(item, dict):
        return tuple((name, _hashable(entry)) for name, entry in sorted(item.items()))
    return (type(item), repr(item) if isinstance(item, float) else item)


def _filled(item: Any, values: Sequence[GraphValue]) -> Any:
    if isinstance(item, _Place):
        return values[item.index]
    if isinstance(item, tuple):
        return [_filled(entry, values) for entry in item]
    if isinstance(item, dict):
        return {name: _filled(entry, values) for name, entry in item.items()}
    return item


# --- building --------------------------------------------------------------------------------


def _build(
    key: str,
    lower: Callable[..., Any],
    places: Any,
    tensors: Sequence[torch.Tensor],
    threads: int,
) -> _Program:
    builder = _core.GraphBuilder()
    context = LoweringContext(builder)
    inputs = [
        GraphValue(context, builder.input(f"x{i}", dtype_name(tensor.dtype), list(tensor.shape)))
        for i, tensor in enumerate(tensors)
    ]
    args, kwargs = _filled(places, inputs)
    try:
        result = lower(context, *args, **kwargs)
    except (Unsupported, InternalError, ValueError, TypeError, IndexError) as error:
        raise explain(key, error) from error
    flat, spec = pytree.tree_flatten(result)
    outputs: list[Any] = []
    leaves: list[tuple[int | None, Any]] = []
    for leaf in flat:
        if isinstance(leaf, GraphValue):
            leaves.append((len(outputs), None))
            outputs.append(leaf.handle)
        else:
            leaves.append((None, leaf))
    executable = None
    if outputs:
        executable = _compile(key, builder.finish(outputs), threads)
    return _Program(executable, spec, tuple(leaves), _returns_views(key))


def _compile(key: str, graph: Any, threads: int) -> Callable[..., Any]:
    try:
        compiled = _core.compile(graph, threads=threads, cache_dir=settings().cache_dir)
    except RuntimeError as error:
        raise CompileError(
            f"[{key}] {error}", remedy="report it; meanwhile call PyTorch's function"
        ) from error
    executable: Callable[..., Any] = _core.Executable(compiled, [], {}, f"ts.ops.{key}", threads)
    return executable


def _returns_views(key: str) -> bool:
    """Whether torch's operator returns a view of its argument."""
    name, overload = key.split(".")
    schema = getattr(getattr(torch.ops.aten, name), overload)._schema
    return any(entry.alias_info is not None for entry in schema.returns)
