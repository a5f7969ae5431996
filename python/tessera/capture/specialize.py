# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A program captured for many sizes, made concrete for one.

Capturing costs seconds and is done once, with symbols for the sizes. For the sizes of a call the
graph is copied with every number in its place: what follows knows nothing of symbols.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind
from torch.utils import _pytree as pytree

Number = bool | int | float
_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
#: Nodes that only state what is known of a size; checked here, once a size.
_CHECKS = ("_assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size")


class Unsettled(Exception):
    """A size is known only while the program runs."""


class OutsideCapture(Exception):
    """A capture does not hold for these sizes: the model treats them differently."""


@dataclass
class SpecializedProgram:
    """What the importer reads of an ExportedProgram, for one set of sizes."""

    graph_module: fx.GraphModule
    graph_signature: ExportGraphSignature
    call_spec: Any
    state_dict: Mapping[str, Any]
    constants: Mapping[str, Any]
    #: nodes that became numbers, by name
    numbers: dict[str, Number]

    @property
    def graph(self) -> fx.Graph:
        return self.graph_module.graph


class Sizes:
    """The symbols of a program and their values in one call."""

    def __init__(self, program: ExportedProgram, shapes: Sequence[Sequence[int]]) -> None:
        self._values: dict[sympy.Symbol, int] = {}
        self._known: dict[sympy.Expr, Number] = {}
        inputs = _input_values(program)
        derived: list[tuple[sympy.Expr, int]] = []
        for example, shape in zip(inputs, shapes, strict=True):
            for symbolic, size in zip(example.shape, shape, strict=True):
                if not isinstance(symbolic, torch.SymInt):
                    self._require(symbolic == size, f"{symbolic}", size)
                    continue
                expression = symbolic.node.expr
                if isinstance(expression, sympy.Symbol) and expression not in self._values:
                    self._values[expression] = size
                else:
                    derived.append((expression, size))
        for expression, size in derived:
            self._settle(expression, size)
        for symbol, bounds in program.range_constraints.items():
            value = self._values.get(symbol)
            if value is not None and not bounds.lower <= value <= bounds.upper:
                raise OutsideCapture(f"{value} is not in {bounds.lower}…{bounds.upper}")
        _check_guards(program, shapes)

    def _settle(self, expression: sympy.Expr, size: int) -> None:
        unknown = [symbol for symbol in expression.free_symbols if symbol not in self._values]
        if len(unknown) == 1:
            solutions = sympy.solve(sympy.Eq(expression.xreplace(self._substitutes()), size))
            if len(solutions) == 1 and getattr(solutions[0], "is_Integer", False):
                self._values[unknown[0]] = int(solutions[0])
        self._require(self.number(expression) == size, str(expression), size)

    @staticmethod
    def _require(holds: bool, expected: str, size: int) -> None:
        if not holds:
            raise OutsideCapture(f"{size} where {expected} was captured")

    def _substitutes(self) -> dict[sympy.Symbol, sympy.Integer]:
        return {symbol: sympy.Integer(value) for symbol, value in self._values.items()}

    def number(self, expression: Any) -> Number:
        """The value of a symbolic expression; Unsettled when it depends on data."""
        known = self._known.get(expression)
        if known is None:
            value = expression.xreplace(self._substitutes())
            if value.free_symbols:
                raise Unsettled(str(expression))
            if value is sympy.true or value is sympy.false:
                known = bool(value)
            else:
                known = int(value) if value.is_integer else float(value)
            self._known[expression] = known
        return known

    def concrete(self, value: Any) -> Any:
        """A symbolic number as a number; everything else as it is."""
        return self.number(value.node.expr) if isinstance(value, _SYMBOLIC) else value


def _check_guards(program: ExportedProgram, shapes: Sequence[Sequence[int]]) -> None:
    """What the capture took for granted of its inputs, as torch wrote it down."""
    guards = getattr(program, "_guards_code", None) or ()
    inputs = [torch.empty(tuple(shape), device="meta") for shape in shapes]
    names = {"L": {"given": inputs}, "math": math, "torch": torch}
    for guard in guards:
        try:
            holds = bool(eval(guard, names))
        except Exception as error:  # whatever torch wrote that does not speak of sizes alone
            raise OutsideCapture(f"{guard}: {error}") from error
        if not holds:
            raise OutsideCapture(guard)


def _input_values(program: ExportedProgram) -> list[torch.Tensor]:
    values = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    return [
        values[spec.arg.name]
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.USER_INPUT
    ]


class _Specializer:
    def __init__(self, program: ExportedProgram, sizes: Sizes) -> None:
        self.program = program
        self.sizes = sizes
        self.mode = FakeTensorMode()
        self.values: dict[fx.Node, Any] = {}
        self.numbers: dict[str, Number] = {}

    def run(self) -> SpecializedProgram:
        graph = fx.Graph()
        for node in self.program.graph.nodes:
            number = self._number(node)
            if number is not None:
                self.values[node] = self.numbers[node.name] = number
            elif _is_check(node):
                self._check(node)
            else:
                self.values[node] = self._copy(graph, node)
        module = fx.GraphModule(self.program.graph_module, graph)
        return SpecializedProgram(
            module,
            self.program.graph_signature,
            self.program.call_spec,
            self.program.state_dict,
            self.program.constants,
            self.numbers,
        )

    def _number(self, node: fx.Node) -> Number | None:
        """What a node's value is, where it is a number settled by the sizes."""
        value = node.meta.get("val")
        if node.op != "call_function" or isinstance(value, torch.Tensor):
            return None
        if isinstance(value, _SYMBOLIC):
            try:
                return self.sizes.number(value.node.expr)
            except Unsettled:
                return None
        if isinstance(value, (bool, int, float)) and _is_arithmetic(node):
            return value
        return None

    def _check(self, node: fx.Node) -> None:
        condition = node.args[0] if node.args else None
        holds = self.values.get(condition) if isinstance(condition, fx.Node) else condition
        if node.target is torch.ops.aten._assert_scalar.default and holds is False:
            raise OutsideCapture(str(node.args[1] if len(node.args) > 1 else node))

    def _copy(self, graph: fx.Graph, node: fx.Node) -> fx.Node:
        copy = graph.node_copy(node, lambda source: self.values[source])
        copy.meta = dict(node.meta)
        if "val" in node.meta:
            copy.meta["val"] = pytree.tree_map(self._value, node.meta["val"])
        return copy

    def _value(self, value: Any) -> Any:
        if isinstance(value, _SYMBOLIC):
            try:
                return self.sizes.concrete(value)
            except Unsettled:
                return value
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            return value
        try:
            shape = tuple(self.sizes.concrete(size) for size in value.shape)
            strides = tuple(self.sizes.concrete(stride) for stride in value.stride())
        except Unsettled:
            return value
        # Each value has a storage of its own: values that share one would pass for tied tensors.
        with self.mode:
            return torch.empty_strided(shape, strides, dtype=value.dtype, device=value.device)


def _is_arithmetic(node: fx.Node) -> bool:
    """Python's own arithmetic on sizes that turned out not to depend on them."""
    module = getattr(node.target, "__module__", "")
    return module in ("_operator", "math", "torch") and node.target is not operator.getitem


def _is_check(node: fx.Node) -> bool:
    packet = getattr(node.target, "_overloadpacket", None)
    return packet is not None and packet._qualified_op_name.partition("::")[2] in _CHECKS


def specialize(program: ExportedProgram, shapes: Sequence[Sequence[int]]) -> SpecializedProgram:
    """`program` for inputs of these shapes, one for each tensor it takes.

    Raises OutsideCapture for sizes the program does not hold for.
    """
    return _Specializer(program, Sizes(program, shapes)).run()
