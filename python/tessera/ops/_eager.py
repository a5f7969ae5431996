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
from tessera.errors import ArgumentError, ArgumentTypeError, CompileError, InternalError
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.dtypes import dtype_from_name, dtype_name, is_supported
from tessera.lowering.registry import Unsupported
from tessera.ops._check import COMPOSITE, argument_name, check_operands, check_tensors
from tessera.ops._dispatch import explain, plain_number
from tessera.random_keys import with_keys
from tessera.threads import get_num_threads
from tessera.tuning.stored import compile_options

#: Programs kept; each is one small kernel.
CACHE_SIZE = 1024


@dataclass
class _Program:
    """A compiled operator: what to call, and how its results are put together."""

    executable: Callable[..., Any] | None
    spec: pytree.TreeSpec
    #: for each leaf of the result: the number of a result of the executable, or a plain value
    leaves: tuple[tuple[int | None, Any], ...]
    #: results may share memory with arguments, as torch's views do
    views: bool
    #: the results that must be copied, since they are an argument's memory; None before it is known
    shared: frozenset[int] | None = None

    @property
    def single(self) -> bool:
        """The executable's one result is the operator's."""
        return self.spec.is_leaf() and self.leaves[0][0] == 0


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
    tensors: list[Any] = []
    threads = get_num_threads()
    try:
        arguments = _key(key, (args, kwargs), tensors)
    except _RequiresGrad as error:
        raise _no_gradients(key, args, kwargs, error.operand) from None
    signature = (key, arguments, torch.get_default_dtype(), threads)
    tensors = _of_one_kind(tensors)
    try:
        program = cache.get(signature)
    except TypeError:  # an argument without a hash is none that an operator takes
        check_operands(key, args, kwargs)
        raise
    if program is None:
        check_operands(key, args, kwargs)
        program = _build(key, lower, (args, kwargs), threads)
        cache.put(signature, program)
    values = _execute(program, tensors)
    if program.single:
        return values[0]
    leaves = [value if index is None else values[index] for index, value in program.leaves]
    return pytree.tree_unflatten(leaves, program.spec)


def _execute(program: _Program, tensors: Sequence[Any]) -> list[Any]:
    if program.executable is None:
        return []
    result = program.executable(*tensors)
    values = list(result) if isinstance(result, (tuple, list)) else [result]
    if not tensors:
        # Without tensors among the arguments the result is Tessera's own kind.
        return [_native(value) for value in values]
    if program.views:
        return values
    if program.shared is None:
        shared = shared_results(values, tensors)
        # Strided arguments are copied on the way in, which hides what happens to others.
        if all(tensor.is_contiguous() for tensor in tensors):
            program.shared = shared
    else:
        shared = program.shared
    for index in shared:
        # A copy that the compiler simplified away is still a copy to the caller.
        values[index] = _copy(values[index])
    return values


def shared_results(values: Sequence[Any], tensors: Sequence[Any]) -> frozenset[int]:
    """The results that lie in the memory of an argument, or of a result before them."""
    taken = [(tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes) for tensor in tensors]
    found = set()
    for index, value in enumerate(values):
        start = value.data_ptr()
        if value.nbytes and any(low <= start < high for low, high in taken):
            found.add(index)
        taken.append((start, start + value.nbytes))
    return frozenset(found)


# --- arguments -------------------------------------------------------------------------------


def _native(value: Any) -> Any:
    return value if isinstance(value, _core.Tensor) else _core.from_dlpack(value)


def _copy(value: Any) -> Any:
    if isinstance(value, _core.Tensor):
        return _core.from_dlpack(from_dlpack(value).clone())
    return value.clone()


def _of_one_kind(tensors: list[Any]) -> list[Any]:
    """All torch tensors, or all ts.Tensors where there is one."""
    native = sum(isinstance(tensor, _core.Tensor) for tensor in tensors)
    if native in (0, len(tensors)):
        return tensors
    return [_native(tensor) for tensor in tensors]


def _key(key: str, item: Any, tensors: list[Any]) -> Any:
    """What identifies the program for `item`; its tensors are appended to `tensors`.

    1, 1.0 and True are kept apart, and so are 0.0 and -0.0.
    """
    kind = type(item)
    if kind is _core.Tensor:
        tensors.append(item)
        return ("tensor", item.dtype, item.shape)
    if kind is float:
        return (kind, repr(item))
    if isinstance(item, (list, tuple)):
        return ("items", *[_key(key, entry, tensors) for entry in item])
    if kind is dict:
        return (kind, *[(name, _key(key, item[name], tensors)) for name in sorted(item)])
    if isinstance(item, torch.Tensor):
        tensors.append(_checked(key, item))
        return ("tensor", item.dtype, tuple(item.shape))
    return (kind, item)


def _checked(key: str, tensor: torch.Tensor) -> torch.Tensor:
    name = key.split(".")[0]
    if tensor.requires_grad and torch.is_grad_enabled():
        raise _RequiresGrad(tensor)
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


class _RequiresGrad(Exception):
    """On the way to where it is known which argument the operand is."""

    def __init__(self, operand: torch.Tensor) -> None:
        super().__init__()
        self.operand = operand


def _no_gradients(key: str, args: Any, kwargs: Any, operand: torch.Tensor) -> ArgumentError:
    name = argument_name(key, args, kwargs, operand)
    which = f"argument {name!r}" if name else "an operand"
    shape = tuple(operand.shape)
    if isinstance(operand, torch.nn.Parameter):
        what = f"is a parameter of shape {shape} that requires grad"
        remedy = (
            "call the module under torch.no_grad() (with torch.no_grad(): module(x)), or switch "
            "its gradients off once with module.requires_grad_(False)"
        )
    else:
        what = f"is a tensor of shape {shape} that requires grad"
        remedy = "call it under torch.no_grad(), or pass tensor.detach()"
    return ArgumentError(
        f"[{key.split('.')[0]}] {which} {what}, and Tessera computes no gradients yet",
        remedy=remedy,
    )


# --- building --------------------------------------------------------------------------------


def _build(key: str, lower: Callable[..., Any], arguments: Any, threads: int) -> _Program:
    builder = _core.GraphBuilder()
    context = LoweringContext(builder)
    count = 0

    def operand(item: Any) -> Any:
        """The argument with inputs of the graph for its tensors, in the order of `_key`."""
        nonlocal count
        if isinstance(item, (list, tuple)):
            return [operand(entry) for entry in item]
        if isinstance(item, dict):
            return {name: operand(item[name]) for name in sorted(item)}
        if not isinstance(item, (torch.Tensor, _core.Tensor)):
            return plain_number(item)
        name = dtype_name(dtype_from_name(item.dtype))
        handle = builder.input(f"x{count}", name, list(item.shape))
        count += 1
        return GraphValue(context, handle)

    args, kwargs = operand(arguments)
    try:
        result = lower(context, *args, **kwargs)
    except (Unsupported, InternalError, ValueError, TypeError, IndexError) as error:
        raise explain(key, error) from error
    except AttributeError:
        # A lowering that asked a number for its shape.
        check_tensors(key, *arguments)
        raise
    flat, spec = pytree.tree_flatten(result)
    outputs: list[Any] = []
    leaves: list[tuple[int | None, Any]] = []
    for leaf in flat:
        if isinstance(leaf, GraphValue):
            leaves.append((len(outputs), None))
            outputs.append(leaf)
        else:
            leaves.append((None, leaf))
    executable = None
    if outputs:
        executable = with_keys(_compile(key, context.finish(outputs), threads), context.key_count)
    return _Program(executable, spec, tuple(leaves), _returns_views(key))


def _compile(key: str, graph: Any, threads: int) -> Callable[..., Any]:
    try:
        compiled = _core.compile(graph, threads=threads, **compile_options())
    except RuntimeError as error:
        raise CompileError(
            f"[{key}] {error}", remedy="report it; meanwhile call PyTorch's function"
        ) from error
    executable: Callable[..., Any] = _core.Executable(compiled, [], {}, f"ts.ops.{key}", threads)
    return executable


def _returns_views(key: str) -> bool:
    """Whether torch's operator returns a view of its argument."""
    name, overload = key.split(".")
    if overload == COMPOSITE:
        return False
    schema = getattr(getattr(torch.ops.aten, name), overload)._schema
    return any(entry.alias_info is not None for entry in schema.returns)
