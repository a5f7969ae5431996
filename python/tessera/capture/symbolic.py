# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Capture through ``torch.fx.symbolic_trace``.

Symbolic tracing records calls without running them, so it gets past functions that have no fake
kernel. It may also take a wrong turn without a word (``isinstance(x, Tensor)`` is answered for its
proxy), hence the trace is run on the example inputs and must reproduce the model's own result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from tessera.capture.export import Captured, export, quiet
from tessera.capture.leaves import Leaf
from tessera.capture.objects import copied_arguments
from tessera.capture.provenance import first_line
from tessera.capture.structure import copy_structure
from tessera.capture.trees import opened
from tessera.errors import CaptureError


class _Call(nn.Module):
    """A Python function as a module, so that it can be kept opaque like one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class _Tracer(fx.Tracer):
    #: A buffer that forward() writes to would be written while tracing.
    proxy_buffer_attributes = True

    def __init__(self, leaves: set[int]) -> None:
        super().__init__(autowrap_modules=(__import__("math"),))
        self._leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) in self._leaves or super().is_leaf_module(m, module_qualified_name)


def trace_symbolically(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    leaves: Sequence[Leaf] = (),
    training: Mapping[int, bool] | None = None,
) -> Captured:
    """A capture whose unexportable function calls are opaque; CaptureError where that fails."""
    copy = copy_structure(module, training=training)
    path_of = {leaf.fqn: leaf for leaf in leaves}
    opaque = {id(copy.get_submodule(fqn)) for fqn in path_of}
    with quiet(), torch.no_grad():
        try:
            graph = _Tracer(opaque).trace(copy)
        except Exception as error:
            raise CaptureError(f"symbolic tracing failed: {first_line(error)}") from error
        traced = fx.GraphModule(copy, graph, type(module).__name__)
        calls = _make_calls_opaque(traced)
        _require_same_result(module, traced, args, kwargs, training)
    inner = [
        Leaf(
            fqn,
            traced.get_submodule(fqn),
            leaf.target,
            leaf.code,
            leaf.reason,
            leaf.remedy,
            leaf.native,
        )
        for fqn, leaf in path_of.items()
    ]
    if not calls and not inner:
        raise CaptureError("the trace has nothing that export did not see")
    return export(traced, args, kwargs, leaves=[*inner, *calls], training=None)


def _make_calls_opaque(traced: fx.GraphModule) -> list[Leaf]:
    """Turns calls of functions that are not PyTorch's or Python's own into leaves."""
    leaves: list[Leaf] = []
    for node in list(traced.graph.nodes):
        if node.op != "call_function" or _is_exportable(node.target):
            continue
        name = f"call_{getattr(node.target, '__name__', 'function')}_{len(leaves)}"
        call = _Call(node.target)
        traced.add_submodule(name, call)
        with traced.graph.inserting_after(node):
            replacement = traced.graph.call_module(name, node.args, node.kwargs)
        node.replace_all_uses_with(replacement)
        traced.graph.erase_node(node)
        leaves.append(
            Leaf(
                name,
                call,
                call,
                "extension",
                f"{_function_name(node.target)} cannot be traced",
                "define it as an operator with torch.library (with a fake kernel) and register a "
                "lowering with ts.compat.register_aten, or leave it in PyTorch",
            )
        )
    traced.recompile()
    return leaves


def _function_name(target: Any) -> str:
    name = getattr(target, "__qualname__", None) or getattr(target, "__name__", None) or str(target)
    return f"{getattr(target, '__module__', None) or '?'}.{name}"


def _is_exportable(target: Any) -> bool:
    if isinstance(target, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        packet = (
            target if isinstance(target, torch._ops.OpOverloadPacket) else target.overloadpacket
        )
        namespace = packet._qualified_op_name.split("::")[0]
        return namespace in ("aten", "prims", "torchvision") or _has_fake_kernel(packet)
    owner = getattr(target, "__module__", None) or ""
    return owner.startswith(("torch", "math", "_operator", "operator", "builtins")) or (
        hasattr(operator, getattr(target, "__name__", "?"))
        and getattr(operator, target.__name__) is target
    )


def _has_fake_kernel(packet: Any) -> bool:
    for overload in packet.overloads():
        op = getattr(packet, overload)
        if torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), "Meta"):
            return True
        entry = torch._library.simple_registry.singleton.find(op.name())
        if entry.fake_impl.kernel is not None:
            return True
    return False


def _require_same_result(
    module: nn.Module,
    traced: fx.GraphModule,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    training: Mapping[int, bool] | None,
) -> None:
    def run(what: nn.Module) -> Any:
        state = torch.random.get_rng_state()
        try:
            copied = copied_arguments((tuple(args), kwargs), torch.clone)
            return opened(what(*copied[0], **copied[1]))
        finally:
            torch.random.set_rng_state(state)

    wanted, wanted_spec = pytree.tree_flatten(
        run(copy_structure(module, training=training, clone_buffers=True))
    )
    got, got_spec = pytree.tree_flatten(run(copy_structure(traced, clone_buffers=True)))
    same = wanted_spec == got_spec
    for left, right in zip(wanted, got, strict=False):
        if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
            same = (
                same
                and left.shape == right.shape
                and left.dtype == right.dtype
                and bool(torch.allclose(left, right, equal_nan=True))
            )
        else:
            same = same and type(left) is type(right) and bool(left == right)
    if not same:
        raise CaptureError("the symbolic trace does not compute what the model computes")
