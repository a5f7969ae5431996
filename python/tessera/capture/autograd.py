# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a forward() tells autograd beside its operators: derivatives of its own, and hooks.

A captured graph has none of it, and its derivatives would silently be others. While a model is
captured for training, whatever forward() says in this way ends the capture with a reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec
from torch.utils import _pytree as pytree

from tessera.capture.decompose import is_mutating, updates_statistics
from tessera.errors import CaptureError

#: Methods by which a hook gets onto a tensor of the graph.
_HOOKS = ("register_hook", "register_post_accumulate_grad_hook")
_REMEDY = (
    "move it into a submodule of its own, which then runs in PyTorch while the others are compiled"
)


@contextlib.contextmanager
def plain_derivatives() -> Iterator[None]:
    """CaptureError for whoever gives a derivative or hooks a gradient in the meantime.

    Changes classes of the process, so one thread at a time may be in it.
    """
    function: Any = torch.autograd.Function
    apply = function.__dict__["apply"]
    hooks = {name: torch.Tensor.__dict__[name] for name in _HOOKS}

    def refuse_function(cls: type, *args: Any, **kwargs: Any) -> Any:
        if cls.__module__.startswith("torch._library"):  # what register_autograd makes: an operator
            return apply.__func__(cls, *args, **kwargs)
        raise CaptureError(
            f"forward() calls {cls.__name__}, a torch.autograd.Function with a backward of its own",
            remedy=_REMEDY,
        )

    def refusal(name: str) -> Any:
        def refuse_hook(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            raise CaptureError(
                f"forward() hooks the gradient of a tensor (Tensor.{name})", remedy=_REMEDY
            )

        return refuse_hook

    try:
        function.apply = classmethod(refuse_function)
        for name in _HOOKS:
            setattr(torch.Tensor, name, refusal(name))
        yield
    finally:
        function.apply = apply
        for name, original in hooks.items():
            setattr(torch.Tensor, name, original)


def require_visible_writes(program: ExportedProgram) -> None:
    """CaptureError where a program that changes values in place may do so behind autograd's back:
    through what detach() or .data gives, or under no_grad(). Autograd then keeps the derivative
    the value had before; a functional graph has no place for that, and what makes one inlines
    regions under no_grad()."""
    graph = program.graph
    if any(
        node.target is torch.ops.higher_order.wrap_with_set_grad_enabled for node in graph.nodes
    ):
        raise CaptureError(
            "forward() has parts under no_grad(), and changes values in place",
            remedy="use detach() for what autograd is not to see",
        )
    kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    #: of views: what they are views of, and whether autograd knows
    bases: dict[fx.Node, tuple[fx.Node, bool]] = {}
    for node in graph.nodes:
        for written in _written(node):
            base, visible = _base(written, bases)
            if visible or _gets_no_gradient(program, kinds.get(base.name)):
                continue
            raise CaptureError(
                "forward() changes a value in place where autograd does not see it (through "
                "detach() or .data)",
                remedy="change a copy: x.detach().clone()",
            )
        if _is_view(node) and isinstance(node.args[0], fx.Node):
            base, visible = _base(node.args[0], bases)
            bases[node] = base, visible and node.target is not torch.ops.aten.detach.default


def _gets_no_gradient(program: ExportedProgram, spec: InputSpec | None) -> bool:
    """Whether an input is state that autograd does not record: it may be updated in any way."""
    if spec is None or spec.kind not in (InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
        return False
    tensor = program.state_dict.get(spec.target, program.constants.get(spec.target))
    return isinstance(tensor, torch.Tensor) and not tensor.requires_grad


def _base(node: fx.Node, bases: Mapping[fx.Node, tuple[fx.Node, bool]]) -> tuple[fx.Node, bool]:
    return bases.get(node, (node, True))


def _is_view(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(item.alias_info is not None for item in schema.returns)


def _written(node: fx.Node) -> list[fx.Node]:
    """The arguments that a node changes in place."""
    if node.op != "call_function" or updates_statistics(node) or not is_mutating(node):
        return []
    found = []
    for place, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = node.args[place] if place < len(node.args) else node.kwargs.get(argument.name)
            found += pytree.tree_leaves(value)  # lists of tensors as well
    return [item for item in found if isinstance(item, fx.Node)]
