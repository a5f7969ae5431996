# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls of single ATen and prims overloads, with arguments PyTorch's own tests lead to.

What the operators of op_db come down to, forwards and backwards, above and below autograd, is
recorded; the other overloads of the same operators (in-place, `out=`, scalars for tensors, copies
for views) are called with the same arguments where their schema takes them. Knows nothing of
Tessera, so that what is tested does not depend on what works.
"""

from __future__ import annotations

import copyreg
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from op_samples import OPERATORS, Function, Sample, operator_samples
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

NAMESPACES = ("aten", "prims")
#: Tensors of more elements make no better example.
MAX_ELEMENTS = 4096
#: How many samples of op_db are taken of each operator, and how many calls of each overload.
SAMPLES_EACH = 6
CALLS_EACH = 3
#: Complex numbers have a sweep of their own.
_COMPLEX = (torch.complex32, torch.complex64, torch.complex128)


class Call(Function):
    """A call of one overload on the tensors among its arguments; all else is fixed.

    What the overload writes to is a copy, which is a result as well.
    """

    def __init__(self, op: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        self.op = op
        self.flat, self.spec = pytree.tree_flatten((args, kwargs))
        self.places = [i for i, item in enumerate(self.flat) if isinstance(item, Tensor)]
        self.writes = op._schema.is_mutable

    def forward(self, *tensors: Tensor) -> Any:
        flat = list(self.flat)
        for place, tensor in zip(self.places, tensors, strict=True):
            flat[place] = tensor
        args, kwargs = pytree.tree_unflatten(flat, self.spec)
        if not self.writes:
            return self.op(*args, **kwargs)
        written = []
        args = list(args)
        for index, argument in enumerate(self.op._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            where: Any = args if index < len(args) else kwargs
            key: Any = index if index < len(args) else argument.name
            if index >= len(args) and argument.name not in kwargs:
                continue
            where[key] = pytree.tree_map_only(Tensor, torch.clone, where[key])
            written.append(where[key])
        return self.op(*args, **kwargs), written


@dataclass
class Calls:
    """What has been recorded: by overload, calls of different structure."""

    found: dict[str, list[Call]] = field(default_factory=dict)
    seen: set[tuple[Any, ...]] = field(default_factory=set)

    def add(self, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if not isinstance(op, OpOverload) or op.namespace not in NAMESPACES:
            return False
        name = name_of(op)
        if len(self.found.get(name, ())) >= CALLS_EACH or not _takes(args, kwargs):
            return False
        key = (name, *_structure((args, kwargs)))
        if key in self.seen:
            return False
        self.seen.add(key)
        args, kwargs = pytree.tree_map_only(Tensor, _copy, (args, kwargs))
        self.found.setdefault(name, []).append(Call(op, args, kwargs))
        return True


def name_of(op: OpOverload) -> str:
    return f"{op.namespace}.{op._schema.name.split('::')[1]}.{op._overloadname}"


def _copy(tensor: Tensor) -> Tensor:
    copy = tensor.detach()
    return copy.clone() if copy.layout == torch.strided else copy


def _takes(args: Any, kwargs: Any) -> bool:
    for item in pytree.tree_leaves((args, kwargs)):
        if isinstance(item, Tensor):
            if type(item) not in (Tensor, nn.Parameter) or item.layout != torch.strided:
                return False
            if item.numel() > MAX_ELEMENTS or item.dtype in _COMPLEX or item.is_quantized:
                return False
        elif isinstance(item, (complex, torch.Generator)) or item in _COMPLEX:
            return False
        if isinstance(item, torch.device) and item.type != "cpu":
            return False
    return True


def _structure(values: Any) -> tuple[Any, ...]:
    flat, spec = pytree.tree_flatten(values)
    kinds = []
    for item in flat:
        if isinstance(item, Tensor):
            kinds.append((item.dtype, min(item.ndim, 1), item.numel() == 0))
        else:
            kinds.append(type(item))
    return (tuple(kinds), spec.num_leaves)


def memory_format(name: str) -> torch.memory_format:
    return getattr(torch, name.removeprefix("torch."))  # type: ignore[no-any-return]


# --- recording -------------------------------------------------------------------------------


class _Below(TorchDispatchMode):
    """Records what comes out of autograd."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self.calls = calls

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.calls.add(func, args, kwargs)
        return func(*args, **kwargs)


class _Above(fx.Interpreter):
    """Records what a program says above autograd."""

    calls: Calls

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        self.calls.add(target, args, kwargs)
        return super().call_function(target, args, kwargs)


def record(calls: Calls, sample: Sample) -> None:
    """What one sample of op_db comes down to."""
    module, tensors = sample.module, sample.args
    assert isinstance(module, Function)
    if any(item.numel() > MAX_ELEMENTS for item in tensors):
        return
    try:
        graph = make_fx(module, tracing_mode="real", pre_dispatch=True)(*tensors)
        above = _Above(graph)
        above.calls = calls
        above.run(*(tensor.clone() for tensor in tensors))
    except Exception:  # not every function can be traced
        pass
    leaves = [
        tensor.detach().clone().requires_grad_(tensor.is_floating_point()) for tensor in tensors
    ]
    try:
        with _Below(calls), torch.enable_grad():
            results = pytree.tree_leaves(module(*(leaf.clone() for leaf in leaves)))
            losses = [
                item.square().sum()
                for item in results
                if isinstance(item, Tensor) and item.requires_grad and not item.is_complex()
            ]
            if losses:
                torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    except Exception:  # nor differentiated
        pass


def collect(dtypes: tuple[torch.dtype, ...], only: str = "") -> Calls:
    """All calls that the operators of op_db lead to."""
    calls = Calls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in dtypes:
            for name, op in OPERATORS.items():
                if only in name and dtype in op.supported_dtypes("cpu"):
                    try:
                        samples = list(operator_samples(name, dtype))
                    except Exception:
                        continue
                    step = max(1, len(samples) // SAMPLES_EACH)
                    for sample in samples[::step]:
                        record(calls, sample)
        _siblings(calls)
    return calls


# --- other overloads -------------------------------------------------------------------------


def _overloads(packet: str) -> Iterator[OpOverload]:
    for namespace in ("aten",):
        try:
            found = getattr(getattr(torch.ops, namespace), packet)
        except AttributeError:
            continue
        for overload in found.overloads():
            yield getattr(found, overload)


def _siblings(calls: Calls) -> None:
    """The overloads nobody called, with the arguments of the ones that were."""
    for name in list(calls.found):
        namespace, packet, _ = name.split(".")
        if namespace != "aten":
            continue
        bare = packet.removesuffix("_")
        for relative in (bare, f"{bare}_", f"{bare}_copy", f"{bare}_functional"):
            for op in _overloads(relative):
                if name_of(op) in calls.found:
                    continue
                for call in calls.found[name]:
                    _borrow(calls, op, call)


def _borrow(calls: Calls, op: OpOverload, call: Call) -> None:
    """Adds a call of `op` with the arguments of `call`, if it takes them."""
    args, kwargs = pytree.tree_unflatten(call.flat, call.spec)
    given = dict(zip((a.name for a in call.op._schema.arguments), args, strict=False)) | kwargs
    own: list[Any] = []
    named: dict[str, Any] = {}
    outs: list[str] = []
    for argument in op._schema.arguments:
        if argument.is_out:
            outs.append(argument.name)
            continue
        if argument.name not in given:
            if not argument.has_default_value():
                return
            continue
        try:
            value = _as(str(argument.type), given[argument.name])
        except TypeError:
            return
        if argument.kwarg_only or len(own) < op._schema.arguments.index(argument):
            named[argument.name] = value
        else:
            own.append(value)
    if not _survives(lambda: _try(op, call, (args, kwargs), own, named, outs)):
        return
    _try(op, call, (args, kwargs), own, named, outs)
    calls.add(op, tuple(own), named)


def _try(op: OpOverload, call: Call, given: Any, own: Any, named: Any, outs: list[str]) -> None:
    """Calls `op`; adds what it writes its results to."""
    with torch.no_grad():
        if outs:
            results = call.op(*given[0], **given[1])
            results = results if isinstance(results, (tuple, list)) else (results,)
            for out, result in zip(outs, results, strict=True):
                named[out] = torch.zeros_like(result)
        copies = pytree.tree_map_only(Tensor, torch.clone, (own, named))
        op(*copies[0], **copies[1])


def _survives(function: Callable[[], None]) -> bool:
    """Whether a process comes through `function`: PyTorch does not check all that it is given."""
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        torch.set_num_threads(1)  # it has no others
        try:
            function()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _as(kind: str, value: Any) -> Any:
    """`value` as an argument of a schema's type; TypeError where it is none."""
    kind = kind.removeprefix("Optional[").removesuffix("]") if "Optional" in kind else kind
    if kind == "Tensor":
        if isinstance(value, (bool, int, float)):
            return torch.tensor(value)
    elif kind in ("number", "Scalar", "float", "int"):
        if isinstance(value, Tensor):
            if value.numel() == 0:
                raise TypeError
            value = value.reshape(-1)[0].item()
        if kind == "int" and not isinstance(value, int):
            raise TypeError
        return value
    if kind.startswith(("Dimname", "str", "Generator")):
        raise TypeError
    return value


def samples(calls: Calls) -> dict[str, list[Sample]]:
    """By name of the overload."""
    return {
        name: [
            Sample(f"#{index} {_show(call)}", call.eval(), call.tensors)
            for index, call in enumerate(found)
        ]
        for name, found in sorted(calls.found.items())
    }


def save(calls: Calls, path: Path) -> None:
    """For processes that do not collect them anew."""
    copyreg.pickle(torch.memory_format, lambda item: (memory_format, (str(item),)))  # type: ignore
    trees = {
        name: [pytree.tree_unflatten(call.flat, call.spec) for call in found]
        for name, found in calls.found.items()
    }
    torch.save(trees, path)


def load(path: Path) -> dict[str, list[Sample]]:
    calls = Calls()
    for name, trees in torch.load(path, weights_only=False).items():
        calls.found[name] = [Call(operator_of(name), *tree) for tree in trees]
    return samples(calls)


def operator_of(name: str) -> OpOverload:
    namespace, packet, overload = name.split(".")
    found: OpOverload = getattr(getattr(getattr(torch.ops, namespace), packet), overload)
    return found


def _show(call: Call) -> str:
    def show(item: Any) -> str:
        if isinstance(item, Tensor):
            kind = str(item.dtype).removeprefix("torch.")
            return f"{kind}[{', '.join(str(size) for size in item.shape)}]"
        return str(item)

    args, kwargs = pytree.tree_unflatten([show(item) for item in call.flat], call.spec)
    parts = [str(item).replace("'", "") for item in args]
    return ", ".join(parts + [f"{key}={item!s}" for key, item in kwargs.items()])
