# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A program with sizes that depend on data, cut into stages.

A stage is what can be computed with the sizes that are known; it ends in numbers. With those the
rest of the program is specialized as for dynamic shapes, and cut again, until nothing is unknown.
Only sizes end a stage: a number that nothing's shape follows from is a value like any other.
See docs/decisions/0010-data-dependent-sizes.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

from tessera.capture.decompose import inline
from tessera.capture.sized import sized_operator
from tessera.capture.specialize import (
    ITEMS,
    SpecializedProgram,
    bindings,
    is_check,
    owner_of,
    specialize,
    symbols,
)


@dataclass(frozen=True)
class Probe:
    """A node whose sizes become known between two stages.

    `measure` is the value of the stage that is the size, where there is one; else PyTorch runs the
    node itself.
    """

    node: fx.Node
    measure: str | None
    sizes: tuple[tuple[sympy.Expr, pytree.KeyPath], ...]


@dataclass(frozen=True)
class Stage:
    """What is computed before the next sizes are read: a program over values by name."""

    program: SpecializedProgram
    #: what it was cut off
    whole: SpecializedProgram
    inputs: list[str]
    #: what later stages, probes and numbers read: by name, nodes of `program`
    outputs: dict[str, fx.Node]
    #: empty in the last stage
    probes: list[Probe]
    #: of the last stage: the numbers that are results, or that checks are about, in order
    numbers: list[fx.Node] = field(default_factory=list)


def depends_on_data(program: ExportedProgram | SpecializedProgram, results: Sequence[Any]) -> bool:
    """Whether a size in `program`, a result or a check is a number that only running it tells."""
    if any(isinstance(item, fx.Node) and _is_number(item) for item in results):
        return True
    nodes = program.graph.nodes
    return bool(_wanted(program)) or any(
        is_check(node) and any(isinstance(item, fx.Node) for item in node.args) for node in nodes
    )


def _is_number(node: fx.Node) -> bool:
    numbers = (bool, int, float, torch.SymInt, torch.SymFloat, torch.SymBool)
    return isinstance(node.meta.get("val"), numbers)


def _free(values: Any) -> set[sympy.Symbol]:
    """The symbols in symbolic numbers, and in the sizes of tensors."""
    return {symbol for item in symbols(values) for symbol in item.node.expr.free_symbols}


def _wanted(program: ExportedProgram | SpecializedProgram) -> set[sympy.Symbol]:
    """The symbols that the size of a tensor follows from."""
    sizes = program.sizes if isinstance(program, SpecializedProgram) else None
    wanted: set[sympy.Symbol] = set()
    for node in program.graph.nodes:
        leaves = pytree.tree_leaves(node.meta.get("val"))
        wanted |= _free([leaf for leaf in leaves if isinstance(leaf, torch.Tensor)])
    before = -1
    while len(wanted) != before:
        before = len(wanted)
        for node in program.graph.nodes:
            if any(expression.free_symbols & wanted for expression, _ in bindings(node)):
                wanted |= _free([item.meta.get("val") for item in node.all_input_nodes])
    return {symbol for symbol in wanted if sizes is None or not sizes.knows(symbol)}


class Cutter:
    """Cuts the next stage off a program; `available` names the values there are already."""

    def __init__(
        self, program: SpecializedProgram, available: set[str], results: Sequence[str]
    ) -> None:
        self.program = program
        self.available = available
        self.results = results
        self._nodes = {node.name: node for node in program.graph.nodes}
        self._follow_from_sizes()
        self._wanted = _wanted(self.program)
        self._computable: set[fx.Node] = set()
        self._sources = [node for node in self.program.graph.nodes if self._is_source(node)]

    # --- what is known --------------------------------------------------------------------

    def _follow_from_sizes(self) -> None:
        """Settles sizes that follow from numbers without running anything: those of slices."""
        changed = True
        while changed:
            changed = False
            for node in self.program.graph.nodes:
                found = bindings(node)
                if not found or sized_operator(node) is not None or node.target in ITEMS:
                    continue
                values = _sizes_without_data(node, found)
                if values:
                    self.program = self.program.settled(values)
                    self._nodes = {node.name: node for node in self.program.graph.nodes}
                    changed = True
                    break

    def _is_source(self, node: fx.Node) -> bool:
        """Whether a node tells sizes nobody knows yet and has all that it needs to."""
        ready = all(source in self._computable for source in node.all_input_nodes)
        if node.op in ("placeholder", "get_attr") or node.name in self.available:
            self._computable.add(node)
            return False
        if not ready or node.op == "output":
            return False
        if any(expression.free_symbols & self._wanted for expression, _ in bindings(node)):
            return True
        if not _free(node.meta.get("val")) & self._wanted:
            self._computable.add(node)
        return False

    # --- cutting --------------------------------------------------------------------------

    def cut(self) -> Stage | None:
        """The next stage; None where the rest depends on numbers that no node tells."""
        if self._sources:
            operands = [item for node in self._sources for item in node.all_input_nodes]
            return self._stage(operands, self._sources, [])
        numbers = self._number_nodes()
        wanted = [
            self._nodes[name]
            for name in self.results
            if name not in self.program.numbers and not _is_number(self._nodes[name])
        ]
        wanted += [
            item for node in numbers for item in node.all_input_nodes if not _is_number(item)
        ]
        if any(node not in self._computable for node in (*wanted, *numbers)):
            return None
        return self._stage(wanted, [], numbers)

    def _number_nodes(self) -> list[fx.Node]:
        """The numbers that results and checks are, or follow from."""
        named = [self._nodes[name] for name in self.results if name in self._nodes]
        needed = {node for node in named if _is_number(node)}
        for node in reversed(self.program.graph.nodes):
            if node in needed or (is_check(node) and node not in needed):
                needed.add(node)
                needed.update(item for item in node.all_input_nodes if _is_number(item))
        return [node for node in self.program.graph.nodes if node in needed]

    def _closure(self, targets: Sequence[fx.Node]) -> set[fx.Node]:
        """What must be computed for `targets`."""
        found: set[fx.Node] = set()
        stack = list(targets)
        while stack:
            node = stack.pop()
            given = node.name in self.available or node.op == "placeholder"
            if node in found or given:
                continue
            found.add(node)
            stack += node.all_input_nodes
        return found

    def _stage(
        self, targets: list[fx.Node], sources: list[fx.Node], numbers: list[fx.Node]
    ) -> Stage:
        inside = self._closure(targets)
        kept = list(targets)
        if sources:
            # A later stage computes numbers again, from the tensors they are read from.
            kept += [
                node
                for node in self.program.graph.nodes
                if node in inside
                and any(user not in inside or _is_number(user) for user in node.users)
            ]
        kept = [node for node in dict.fromkeys(kept) if _is_tensor(node)]
        read = {item for node in inside for item in node.all_input_nodes} | set(targets)
        graph = fx.Graph()
        copies: dict[fx.Node, Any] = {}
        specs: list[InputSpec] = []
        originals = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        for node in self.program.graph.nodes:
            if node in read and node not in inside:
                copies[node] = _placeholder(graph, node)
                spec = originals.get(node.name)
                if spec is None or spec.kind == InputKind.USER_INPUT:
                    spec = InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None)
                specs.append(spec)
        for node in self.program.graph.nodes:
            if node in inside:
                copies[node] = graph.node_copy(node, lambda item: copies[item])
                copies[node].meta = dict(node.meta)
        outputs = {node.name: copies[node] for node in kept if node.name not in self.available}
        probes = [self._probe(graph, node, copies, outputs) for node in sources]
        if not graph.nodes or all(node.op == "placeholder" for node in graph.nodes):
            graph.output(())  # a function needs a body
        given = [str(spec.arg.name) for spec in specs if spec.kind == InputKind.USER_INPUT]
        return Stage(self._around(graph, specs), self.program, given, outputs, probes, numbers)

    def _probe(
        self,
        graph: fx.Graph,
        node: fx.Node,
        copies: Mapping[fx.Node, Any],
        outputs: dict[str, fx.Node],
    ) -> Probe:
        sizes = tuple(bindings(node))
        sized = sized_operator(node)
        measure = None
        if sized is not None and len(sizes) == 1:
            measure = f"size of {node.name}"
            outputs[measure] = inline(graph, node, sized.measure, copies)
        return Probe(node, measure, sizes)

    def _around(self, graph: fx.Graph, specs: list[InputSpec]) -> SpecializedProgram:
        program = self.program
        graph.output(())  # a module needs one
        return SpecializedProgram(
            graph,
            owner_of(program),
            ExportGraphSignature(specs, []),
            program.call_spec,
            program.state_dict,
            program.constants,
            program.numbers,
            program.sizes,
        )


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor)


def _placeholder(graph: fx.Graph, node: fx.Node) -> fx.Node:
    copy = graph.create_node("placeholder", node.name, name=node.name)
    copy.meta = dict(node.meta)
    return copy


def _sizes_without_data(
    node: fx.Node, found: list[tuple[sympy.Expr, pytree.KeyPath]]
) -> list[tuple[sympy.Expr, int]]:
    """The sizes of a node's result, where its arguments' sizes and numbers tell them."""
    flat, spec = pytree.tree_flatten((node.args, node.kwargs))
    values = [item.meta.get("val") if isinstance(item, fx.Node) else item for item in flat]
    fakes = [item for item in values if isinstance(item, FakeTensor)]
    if not fakes or symbols(values):
        return []
    args, kwargs = pytree.tree_unflatten(values, spec)
    try:
        with fakes[0].fake_mode:
            result = node.target(*args, **kwargs)  # type: ignore[operator]
    except Exception:  # the operator's result depends on data, or it refuses these sizes
        return []
    return [(expression, int(pytree.key_get(result, path))) for expression, path in found]


def first_program(program: ExportedProgram | SpecializedProgram) -> SpecializedProgram:
    """`program` with all sizes known that do not depend on data."""
    return program if isinstance(program, SpecializedProgram) else specialize(program)
