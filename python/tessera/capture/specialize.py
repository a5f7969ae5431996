# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A program captured for many sizes, made concrete for one.

Capturing costs seconds and is done once, with symbols for the sizes. For the sizes of a call the
graph is copied with every number in its place: what follows knows nothing of symbols. Sizes that
depend on data stay symbols until `SpecializedProgram.settled` is told what they are in this call.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sympy
import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind
from torch.utils import _pytree as pytree

from tessera.capture.decompose import inline
from tessera.capture.sized import Sized, sized_operator

Number = bool | int | float
_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
#: Nodes that only state what is known of a size; checked here, once a size.
_CHECKS = ("_assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size")
#: Operators that read the number in a tensor.
ITEMS = (torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default)


class Unsettled(Exception):
    """A size is known only while the program runs."""


class OutsideCapture(Exception):
    """A capture does not hold for these sizes: the model treats them differently."""


@dataclass
class SpecializedProgram:
    """What the importer reads of an ExportedProgram, for one set of sizes."""

    graph: fx.Graph
    #: what the nodes' attributes are read from
    owner: fx.GraphModule
    graph_signature: ExportGraphSignature
    call_spec: Any
    state_dict: Mapping[str, Any]
    constants: Mapping[str, Any]
    #: nodes that became numbers, by name
    numbers: dict[str, Number]
    sizes: Sizes

    def settled(self, values: Sequence[tuple[sympy.Expr, int]]) -> SpecializedProgram:
        """This program with sizes that depended on data; OutsideCapture where it does not hold."""
        sizes = self.sizes.with_values(values)
        result = _Specializer(self, sizes, FakeTensorMode(), {}).run()
        result.numbers = {**self.numbers, **result.numbers}
        return result

    @functools.cached_property
    def graph_module(self) -> fx.GraphModule:
        """The graph as a module; most programs never need one, and writing its code takes long."""
        return fx.GraphModule(self.owner, self.graph)


class WithModule(Protocol):
    """A program whose nodes' attributes are read from its own module."""

    @property
    def graph_module(self) -> fx.GraphModule: ...


def owner_of(program: SpecializedProgram | WithModule) -> fx.GraphModule:
    """The module that the attributes in a program's nodes are read from."""
    return program.owner if isinstance(program, SpecializedProgram) else program.graph_module


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
        self._ranges = program.range_constraints
        self._check_ranges()
        _check_guards(program, shapes)

    def with_values(self, values: Sequence[tuple[sympy.Expr, int]]) -> Sizes:
        """These and those of expressions that were not known."""
        result = object.__new__(Sizes)
        result._values, result._known = dict(self._values), dict(self._known)
        result._ranges = self._ranges
        for expression, value in values:
            result._settle(expression, value)
        result._check_ranges()
        return result

    def _check_ranges(self) -> None:
        for symbol, bounds in self._ranges.items():
            value = self._values.get(symbol)
            if value is not None and not bounds.lower <= value <= bounds.upper:
                raise OutsideCapture(f"{value} is not in {bounds.lower}…{bounds.upper}")

    def _settle(self, expression: sympy.Expr, size: int) -> None:
        unknown = [symbol for symbol in expression.free_symbols if symbol not in self._values]
        if unknown == [expression]:
            self._values[expression] = size
        elif len(unknown) == 1:
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
                known = _number(value, expression)
            self._known[expression] = known
        return known

    def concrete(self, value: Any) -> Any:
        """A symbolic number as a number; everything else as it is."""
        if not isinstance(value, _SYMBOLIC):
            return value
        number = self.number(value.node.expr)
        return float(number) if isinstance(value, torch.SymFloat) else number

    def knows(self, expression: sympy.Expr) -> bool:
        return all(symbol in self._values for symbol in expression.free_symbols)


def _number(value: sympy.Expr, expression: sympy.Expr) -> Number:
    try:
        number = int(value) if value.is_integer else float(value)
    # sympy's of infinities and complex numbers: no power or shift of a size is to be that large.
    except (AttributeError, TypeError, OverflowError, ValueError) as error:
        raise OutsideCapture(f"{expression} is {value}, which is no finite number") from error
    if not math.isfinite(number):
        raise OutsideCapture(f"{expression} is {value}, which is no finite number")
    return number


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


class Specializable:
    """A program captured for many sizes, with what is the same for all of them."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.mode = FakeTensorMode()
        #: the values of nodes that do not depend on sizes, by name
        self.fixed: dict[str, Any] = {}

    def at(self, shapes: Sequence[Sequence[int]]) -> SpecializedProgram:
        """The program for inputs of these shapes, one for each tensor.

        Raises OutsideCapture for sizes the program does not hold for.
        """
        return _Specializer(self.program, Sizes(self.program, shapes), self.mode, self.fixed).run()


class _Specializer:
    def __init__(
        self,
        program: ExportedProgram | SpecializedProgram,
        sizes: Sizes,
        mode: FakeTensorMode,
        fixed: dict[str, Any],
    ) -> None:
        self.program = program
        self.sizes = sizes
        self.mode = mode
        self.fixed = fixed
        self.values: dict[fx.Node, Any] = {}
        self.numbers: dict[str, Number] = {}
        #: numbers read from data that are known only because a check says what they are, and
        #: what follows from them: that check is still to be made
        self.assumed: set[fx.Node] = set()
        #: copies of what is checked
        self.checked: dict[fx.Node, fx.Node] = {}

    def run(self) -> SpecializedProgram:
        graph = fx.Graph()
        for node in self.program.graph.nodes:
            number = self._number(node)
            if number is not None:
                self.values[node] = self.numbers[node.name] = number
                if self._is_assumed(node):
                    self.assumed.add(node)
            elif is_check(node):
                if not self._check(node):
                    self._copy_checked(graph, node)
            else:
                self.values[node] = self._settled_copy(graph, node)
        return SpecializedProgram(
            graph,
            owner_of(self.program),
            self.program.graph_signature,
            self.program.call_spec,
            self.program.state_dict,
            self.program.constants,
            self.numbers,
            self.sizes,
        )

    def _number(self, node: fx.Node) -> Number | None:
        """What a node's value is, where it is a number settled by the sizes."""
        value = node.meta.get("val")
        if node.op != "call_function" or isinstance(value, torch.Tensor):
            return None
        if isinstance(value, _SYMBOLIC):
            try:
                number: Number = self.sizes.concrete(value)
                return number
            except Unsettled:
                return None
        if isinstance(value, (bool, int, float)) and _is_arithmetic(node):
            return value
        return None

    def _check(self, node: fx.Node) -> bool:
        """Whether all is said about a check; OutsideCapture where it fails."""
        condition = node.args[0] if node.args else None
        holds = self.values.get(condition) if isinstance(condition, fx.Node) else condition
        if node.target is not torch.ops.aten._assert_scalar.default:
            return True
        if holds is False:
            raise OutsideCapture(str(node.args[1] if len(node.args) > 1 else node))
        return not isinstance(holds, fx.Node) and condition not in self.assumed

    def _is_assumed(self, node: fx.Node) -> bool:
        """Whether a number is what a check demands, rather than what follows from sizes."""
        if node.target in ITEMS:
            # Before anything has run nothing is read, and a symbol of its own comes of reading.
            first = not isinstance(self.program, SpecializedProgram)
            return first or not node.meta.get("unbacked_bindings")
        return any(
            source in self.assumed
            or (
                isinstance(self.values.get(source), fx.Node)
                and isinstance(source.meta.get("val"), _SYMBOLIC)
            )
            for source in node.all_input_nodes
        )

    def _copy_checked(self, graph: fx.Graph, node: fx.Node) -> fx.Node:
        """A copy of a check, or of an assumed number in it, that reads the data."""
        if node not in self.checked:
            sources = {
                source: self._copy_checked(graph, source)
                if source in self.assumed
                else self.values[source]
                for source in node.all_input_nodes
            }
            self.checked[node] = graph.node_copy(node, lambda source: sources[source])
        return self.checked[node]

    def _settled_copy(self, graph: fx.Graph, node: fx.Node) -> Any:
        """A copy, or what stands for an operator whose size depended on data and is known now."""
        if node.target is operator.getitem:
            source, index = node.args
            parts = self.values[source] if isinstance(source, fx.Node) else None
            if isinstance(parts, tuple) and isinstance(index, int):
                return self._named(graph, node, parts[index])
        sized = sized_operator(node)
        if sized is None:
            return self._copy(graph, node)
        value = self._meta(node)
        tensors = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, torch.Tensor)]
        shapes = [tensor.shape for tensor in tensors]
        known = all(isinstance(size, int) for shape in shapes for size in shape)
        if not known:
            return self._copy(graph, node)
        size = self._size(node, shapes[0])
        if self._is_size_assumed(node):
            self._check_size(graph, node, sized, size)
        results = inline(
            graph, node, lambda *args, **kwargs: sized.build(size, *args, **kwargs), self.values
        )
        if isinstance(results, fx.Node):
            return self._named(graph, node, results)
        return tuple(results)

    def _size(self, node: fx.Node, shape: Sequence[int]) -> int:
        """The number the size of an operator follows from."""
        for expression, _ in bindings(node):
            return int(self.sizes.number(expression))
        return shape[0]  # that of another operator on the same tensor

    def _is_size_assumed(self, node: fx.Node) -> bool:
        """Whether a size that depends on data was never read: a check or an argument says it."""
        if isinstance(self.program, SpecializedProgram):
            if node.meta.get("unbacked_bindings"):
                return False
            mates = {user for source in node.all_input_nodes for user in source.users}
            return not any(mate.meta.get("unbacked_bindings") for mate in mates)
        return any(source.meta["val"].numel() for source in node.all_input_nodes)

    def _check_size(self, graph: fx.Graph, node: fx.Node, sized: Sized, size: int) -> None:
        """Adds the check that the size is what it was taken for."""

        def holds(*args: Any, **kwargs: Any) -> torch.Tensor:
            return sized.measure(*args, **kwargs) == size

        found = inline(graph, node, holds, self.values)
        answer = graph.create_node(
            "call_function", torch.ops.aten.item.default, (found,), name=f"{node.name}__holds"
        )
        answer.meta = {**node.meta, "val": True}
        answer.meta.pop("unbacked_bindings", None)
        message = f"{node.target} has a result of another size than {size}"
        graph.call_function(torch.ops.aten._assert_scalar.default, (answer, message))

    def _named(self, graph: fx.Graph, node: fx.Node, value: fx.Node) -> fx.Node:
        """`value` under the name that other parts of the program know `node` by."""
        copy = graph.create_node(
            "call_function", torch.ops.aten.alias.default, (value,), name=node.name
        )
        copy.meta = {**node.meta, "val": self._meta(node)}
        return copy

    def _meta(self, node: fx.Node) -> Any:
        if node.name in self.fixed:
            return self.fixed[node.name]
        value = node.meta.get("val")
        settled = pytree.tree_map(self._value, value)
        if not symbols(value):
            self.fixed[node.name] = settled
        return settled

    def _copy(self, graph: fx.Graph, node: fx.Node) -> fx.Node:
        copy = graph.node_copy(node, lambda source: self.values[source])
        copy.meta = dict(node.meta)
        if "val" in node.meta:
            copy.meta["val"] = self._meta(node)
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
        # Made by hand, as a call of empty_strided under the mode costs a hundred times as much.
        plain = torch.empty_strided(shape, strides, dtype=value.dtype, device="meta")
        return FakeTensor(self.mode, plain, value.device)


def _is_arithmetic(node: fx.Node) -> bool:
    """Python's own arithmetic on sizes that turned out not to depend on them."""
    module = getattr(node.target, "__module__", "")
    return module in ("_operator", "math", "torch") and node.target is not operator.getitem


def is_check(node: fx.Node) -> bool:
    packet = getattr(node.target, "_overloadpacket", None)
    return packet is not None and packet._qualified_op_name.partition("::")[2] in _CHECKS


def bindings(node: fx.Node) -> list[tuple[sympy.Expr, pytree.KeyPath]]:
    """The sizes that only running `node` tells, and where in its result each is found."""
    found = node.meta.get("unbacked_bindings")
    if not found:
        return []
    env = next((symbol.node.shape_env for symbol in symbols(node.meta.get("val"))), None)
    if env is None:
        return []
    names = env.unbacked_renamings
    return [(env.replace(names.get(key, key)), path) for key, path in found.items()]


def symbols(value: Any) -> list[Any]:
    """The symbolic numbers in a value and in the sizes of its tensors."""
    found: list[Any] = []
    for leaf in pytree.tree_leaves(value):
        if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided:
            found += [size for size in (*leaf.shape, *leaf.stride()) if isinstance(size, _SYMBOLIC)]
        elif isinstance(leaf, _SYMBOLIC):
            found.append(leaf)
    return found


def specialize(program: ExportedProgram) -> SpecializedProgram:
    """`program` for inputs of the shapes it was captured with."""
    return Specializable(program).at([tuple(value.shape) for value in _input_values(program)])
