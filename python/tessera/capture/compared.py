# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether a capture for many sizes computes what one for the sizes of a single call does.

In the former a size is a symbol. Python tells it from a number: by its type, by its text, as a key
or by its identity, and a model that asks goes another way than it would with the number. Nothing
says that it asked, so both captures are made once and their programs compared, operator for
operator. What differs, for whatever reason, is not captured for many sizes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from tessera.capture.export import Captured, DynamicCapture, export
from tessera.capture.objects import opened_arguments
from tessera.capture.provenance import location_of, source_text
from tessera.capture.specialize import (
    ITEMS,
    SpecializedProgram,
    is_check,
    owner_of,
    specialize,
)
from tessera.errors import CaptureError

_CONSTANTS = (InputKind.CONSTANT_TENSOR, InputKind.CUSTOM_OBJ)


class SizesDiffer(CaptureError):
    """A model does not treat a size that may change as it treats the number."""


def require_numbers_do(
    capture: DynamicCapture,
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    training: Mapping[int, bool] | None,
) -> None:
    """SizesDiffer where a capture for many sizes is not what a call with these arguments does."""
    leaves = pytree.tree_leaves(opened_arguments((tuple(args), kwargs)))
    shapes = [tuple(leaf.shape) for leaf in leaves if isinstance(leaf, torch.Tensor)]
    one = export(module, args, kwargs, training=training)
    try:
        _require_same(capture.at(shapes), one)
    finally:
        one.session.close()


def _require_same(many: Captured, one: Captured) -> None:
    """SizesDiffer where a capture for many sizes, at those of `one`, differs from it."""
    if isinstance(one.program, ExportedProgram):
        fixed: ExportedProgram | SpecializedProgram = specialize(one.program)
    else:
        fixed = one.program
    comparison = _Comparison(many.program, fixed)
    if many.out_spec != one.out_spec or many.user_inputs.keys() != one.user_inputs.keys():
        raise SizesDiffer(
            "what the model returns depends on whether a size is a number", remedy=_REMEDY
        )
    comparison.graphs(many.program.graph, fixed.graph)
    numbers = fixed.numbers if isinstance(fixed, SpecializedProgram) else {}
    outputs = [
        (numbers[item.name],) if isinstance(item, fx.Node) and item.name in numbers else item
        for item in one.outputs
    ]
    comparison.values(many.outputs, comparison.of_names(fixed.graph, outputs), None)


_REMEDY = (
    "compute with sizes and compare them, rather than ask for their type (isinstance, is) or "
    "their text (str, f-strings)"
)


class _Comparison:
    def __init__(
        self,
        many: ExportedProgram | SpecializedProgram,
        one: ExportedProgram | SpecializedProgram,
    ) -> None:
        self._programs = many, one
        #: of nodes in the one program: their counterparts in the other
        self._partners: dict[fx.Node, fx.Node] = {}

    @staticmethod
    def of_names(graph: fx.Graph, items: list[Any]) -> list[Any]:
        """Nodes of a program as the nodes of those names in its copy."""
        nodes = {node.name: node for node in graph.nodes}
        return [nodes[item.name] if isinstance(item, fx.Node) else item for item in items]

    def graphs(self, left: fx.Graph, right: fx.Graph) -> None:
        ours, theirs = _computing(left), _computing(right)
        for one, other in zip(ours, theirs, strict=False):
            if one.op == "output" == other.op:
                break
            self._nodes(one, other)
        if len(ours) != len(theirs):
            self._differ(ours[min(len(ours), len(theirs)) - 1])

    def _nodes(self, one: fx.Node, other: fx.Node) -> None:
        self._partners[one] = other
        if one.op != other.op:
            self._differ(one)
        if one.op == "placeholder":
            self._inputs(one, other)
        elif one.op == "get_attr":
            self._attributes(one, other)
        elif one.target is not other.target:
            self._differ(one)
        self.values((one.args, one.kwargs), (other.args, other.kwargs), one)

    def _inputs(self, one: fx.Node, other: fx.Node) -> None:
        specs = [
            {spec.arg.name: spec for spec in program.graph_signature.input_specs}
            for program in self._programs
        ]
        left, right = specs[0].get(one.name), specs[1].get(other.name)
        if left is None or right is None:  # of the body of a loop or branch
            return
        if left.kind != right.kind:
            self._differ(one)
        if left.kind in _CONSTANTS:
            values = [
                program.constants.get(str(spec.target))
                for program, spec in zip(self._programs, (left, right), strict=True)
            ]
            self.values(values[0], values[1], one)
        elif left.kind != InputKind.USER_INPUT and left.target != right.target:
            self._differ(one)

    def _attributes(self, one: fx.Node, other: fx.Node) -> None:
        left, right = (
            _attribute(owner_of(program), node)
            for program, node in zip(self._programs, (one, other), strict=True)
        )
        if isinstance(left, fx.GraphModule) and isinstance(right, fx.GraphModule):
            self.graphs(left.graph, right.graph)
            results = [module.graph.output_node() for module in (left, right)]
            self.values(results[0].args, results[1].args, one)
        else:
            self.values(left, right, one)

    def values(self, left: Any, right: Any, node: fx.Node | None) -> None:
        ours, our_spec = pytree.tree_flatten(_plain(left))
        theirs, their_spec = pytree.tree_flatten(_plain(right))
        if our_spec != their_spec or not all(map(self._same, ours, theirs)):
            self._differ(node)

    def _same(self, one: Any, other: Any) -> bool:
        if isinstance(one, fx.Node) and isinstance(other, fx.Node):
            return self._partners.get(_source(one)) is _source(other)
        if type(one) is not type(other):
            return False
        if isinstance(one, torch.Tensor):
            return one is other or _same_tensors(one, other)
        if isinstance(one, float) and math.isnan(one):
            return math.isnan(other)
        return one is other or bool(one == other)

    def _differ(self, node: fx.Node | None) -> None:
        where = f"{source_text(location_of(node))}: " if node is not None else ""
        what = f" ({node.target})" if node is not None and node.op == "call_function" else ""
        raise SizesDiffer(
            f"{where}what is computed{what} depends on whether a size is a number: a size that may "
            "change is a symbol, of another type and text",
            remedy=_REMEDY,
        )


def _attribute(owner: Any, node: fx.Node) -> Any:
    for name in str(node.target).split("."):
        owner = getattr(owner, name)
    return owner


def _computing(graph: fx.Graph) -> list[fx.Node]:
    """The nodes but for checks of sizes, and what only those read: capture adds some on its own."""
    found: list[fx.Node] = []
    left_out: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        number = isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool))
        read = number and node.target not in ITEMS and node.op == "call_function"
        if is_check(node) or (read and node.users and left_out.issuperset(node.users)):
            left_out.add(node)
        elif not _is_whole(node):
            found.append(node)
    return found[::-1]


def _is_whole(node: fx.Node) -> bool:
    """Whether a node is all of its argument: indexing makes it a slice of sizes that may change."""
    if node.target is torch.ops.aten.alias.default:
        return True
    if node.target is not torch.ops.aten.slice.Tensor:
        return False
    given = list(node.args)
    source, dim, start, end, step = given + [None, 0, None, None, 1][len(given) :]
    if node.kwargs or not isinstance(source, fx.Node) or step != 1 or start not in (0, None):
        return False
    size = source.meta["val"].shape[dim]
    if end is None or end == sys.maxsize:
        return True
    return isinstance(size, int) and isinstance(end, int) and end >= size


def _source(node: fx.Node) -> fx.Node:
    while _is_whole(node):
        node = node.args[0]  # type: ignore[assignment]
    return node


def _plain(value: Any) -> Any:
    """Arguments of a node, with lists for all sequences."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, slice):
        return [slice, value.start, value.stop, value.step]
    return value


def _same_tensors(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape or one.layout != other.layout:
        return False
    equal = one == other
    if one.is_floating_point() or one.is_complex():
        equal |= (one != one) & (other != other)
    return bool(equal.all())
