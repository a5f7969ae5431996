# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Control flow that PyTorch captures as operators: torch.cond, while_loop, scan, map.

A program has no jumps (docs/decisions/0006-control-flow.md), hence what can be written without is:
of a cond both branches and a choice between their results, where the branch not taken costs little
and can do no harm; a loop whose number of rounds is known, round after round. All else is left to
PyTorch with the reason. Operators that only call a subgraph are that subgraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from tessera.capture.decompose import is_mutating
from tessera.lowering.context import GraphValue
from tessera.lowering.outcome import Done, Failure

if TYPE_CHECKING:
    from tessera.lowering.nodes import NodeLowering

#: Operations (about one a result element) that both branches of a cond may take together.
MAX_SELECTED_WORK = 1 << 25
#: Nodes that the rounds of a loop may come to.
MAX_UNROLLED_NODES = 1024
#: Elements that are computed while importing to learn how often a loop runs.
MAX_KNOWN_ELEMENTS = 64

#: Ops of the graph dialect that may end a program with an error, whatever their operands are, and
#: those that may where they compute in integers (division by zero).
RAISING = frozenset({"gather", "require", "scatter"})
RAISING_INTEGER = frozenset({"floor_div", "trunc_div", "remainder", "fmod"})

_REMEDY = "write it with torch.where where both sides may run, or leave it in PyTorch"
#: Where the operands of an operator that only calls its subgraph begin, after the subgraph.
_CALLS = {
    "wrap": 1,
    "wrap_with_set_grad_enabled": 2,
    "tag_activation_checkpoint": 1,
    "wrap_activation_checkpoint": 1,
    "invoke_subgraph": 2,
}


def lower_higher_order(lowering: NodeLowering, node: fx.Node, depth: int) -> Done | Failure:
    """Lowers a higher-order operator: Done, or the Failure that keeps it in PyTorch."""
    name = str(node.target)
    work = _Inlining(lowering, depth)
    outcome: Any
    if name in _CALLS:
        outcome = work.call(node, _CALLS[name])
    elif name == "cond":
        outcome = work.cond(node)
    elif name == "scan":
        outcome = work.scan(node)
    elif name == "while_loop":
        outcome = work.while_loop(node)
    elif name in ("map_impl", "map"):
        outcome = work.map(node)
    else:
        return Failure("higher-order", f"torch.{name} is not compiled", _REMEDY)
    if isinstance(outcome, Failure):
        return outcome
    lowering.context.bind(node, outcome)
    return Done("decomposed", name) if name not in _CALLS else Done(reported=False)


#: What a recording calls a kernel of the user's own.
_NATIVE = "native"


class _Recording:
    """The builder, with a list of the ops it has created."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self.created: list[tuple[str, list[Any], list[Any]]] = []

    def create(self, op: str, operands: Any, *rest: Any) -> Any:
        results = self._builder.create(op, operands, *rest)
        self.created.append((op, list(operands), list(results)))
        return results

    def island(self, number: int, reason: str, operands: Any, *rest: Any) -> Any:
        results = self._builder.island(number, reason, operands, *rest)
        self.created.append((_NATIVE, list(operands), list(results)))
        return results

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)


class _Inlining:
    """Lowers subgraphs in place of the operator that calls them."""

    def __init__(self, lowering: NodeLowering, depth: int) -> None:
        self.lowering = lowering
        self.context = lowering.context
        self.depth = depth

    def run(self, body: fx.GraphModule, operands: Sequence[Any]) -> Any:
        """What `body` returns for these operands, in its structure, or a Failure."""
        values = iter(operands)
        for inner in body.graph.nodes:
            if inner.op == "placeholder":
                self.context.bind(inner, next(values))
            elif inner.op == "output":
                return self.context.map(inner.args[0])
            else:
                if inner.op == "call_function" and is_mutating(inner):
                    return Failure("mutation", f"{inner.target} writes in place", _REMEDY)
                outcome = self.lowering.lower(inner, self.depth + 1, body)
                if isinstance(outcome, Failure):
                    return Failure(
                        outcome.code, f"{inner.target} ({outcome.reason})", outcome.remedy
                    )
        return ()

    def call(self, node: fx.Node, first: int) -> Any:
        """An operator that calls its subgraph once."""
        arguments = [self.context.map(item) for item in node.args]
        body = next(item for item in arguments if isinstance(item, fx.GraphModule))
        return self.run(body, arguments[first:])

    def _operands(self, arguments: Any) -> list[Any]:
        return [self.context.map(item) for item in arguments]

    # --- cond -----------------------------------------------------------------------------

    def cond(self, node: fx.Node) -> Any:
        """Both branches, and a choice between their results."""
        condition, then, other = (self.context.map(item) for item in node.args[:3])
        operands = self._operands(node.args[3] if len(node.args) > 3 else ())
        if isinstance(condition, bool):
            return self._named("cond", self.run(then if condition else other, operands))
        recording = _Recording(self.context.builder)
        self.context.builder = recording
        try:
            sides = [self.run(branch, operands) for branch in (then, other)]
        finally:
            self.context.builder = recording._builder
        for which, side in zip(("true", "false"), sides, strict=True):
            if isinstance(side, Failure):
                reason = f"torch.cond: its {which} branch needs {side.reason}"
                return Failure("control-flow", reason, side.remedy or _REMEDY)
        problem = _harm(recording.created)
        if problem:
            return Failure(
                "control-flow", f"torch.cond: only the branch taken may run, since {problem}",
                _REMEDY,
            )  # fmt: skip
        flag = self.context.reshape(self.context.value(condition, torch.bool), ())
        return self._choices(flag, *map(_listed, sides))

    def _choices(self, flag: GraphValue, then: list[Any], other: list[Any]) -> Any:
        chosen: list[Any] = []
        for one, two in zip(then, other, strict=True):
            if not isinstance(one, GraphValue) or not isinstance(two, GraphValue):
                if one is two or (type(one) is type(two) and bool(one == two)):
                    chosen.append(one)
                    continue
                return Failure(
                    "control-flow", f"torch.cond: its branches return {one!r} and {two!r}", _REMEDY
                )
            if one is two:
                chosen.append(one)
                continue
            spread = self.context.broadcast(flag, one.shape)
            chosen.append(self.context.emit("select", [spread, one, two]))
        return tuple(chosen)

    # --- loops ----------------------------------------------------------------------------

    def scan(self, node: fx.Node) -> Any:
        """Round after round over the slices of the inputs."""
        body = self.context.map(node.args[0])
        carried, inputs = self._operands(node.args[1]), self._operands(node.args[2])
        extra = self._operands(node.args[3] if len(node.args) > 3 else ())
        return self._over_slices("scan", body, carried, inputs, extra)

    def map(self, node: fx.Node) -> Any:
        """The same, with nothing carried from one round to the next."""
        body = self.context.map(node.args[0])
        return self._over_slices(
            "map", body, [], self._operands(node.args[1]), self._operands(node.args[2])
        )

    def _over_slices(
        self,
        name: str,
        body: fx.GraphModule,
        carried: list[Any],
        inputs: list[Any],
        extra: list[Any],
    ) -> Any:
        rounds = inputs[0].shape[0] if inputs else 0
        problem = _too_long(name, body, rounds)
        if problem is not None:
            return problem
        results: list[list[Any]] = []
        for number in range(rounds):
            slices = [self._slice(value, number) for value in inputs]
            outcome = self._named(name, self.run(body, [*carried, *slices, *extra]))
            if isinstance(outcome, Failure):
                return outcome
            given = _listed(outcome)
            carried, given = given[: len(carried)], given[len(carried) :]
            results.append(given)
        stacked = [self._stack(values) for values in zip(*results, strict=True)]
        return (*carried, *stacked)

    def _slice(self, value: GraphValue, number: int) -> GraphValue:
        rank = value.ndim
        part = self.context.emit(
            "slice", [value], starts=[number] + [0] * (rank - 1),
            limits=[number + 1, *value.shape[1:]], steps=[1] * rank,
        )  # fmt: skip
        return self.context.reshape(part, value.shape[1:])

    def _stack(self, values: Sequence[GraphValue]) -> GraphValue:
        parts = [self.context.reshape(value, (1, *value.shape)) for value in values]
        return parts[0] if len(parts) == 1 else self.context.emit("concat", parts, dim=0)

    def while_loop(self, node: fx.Node) -> Any:
        """Round after round, where what decides about the next one is known now."""
        test, body = (self.context.map(item) for item in node.args[:2])
        carried, extra = self._operands(node.args[2]), self._operands(node.args[3])
        known = _Known(self.lowering)
        values = [known.of(item) for item in (*node.args[2], *node.args[3])]  # type: ignore
        fixed = values[len(carried) :]
        rounds = 0
        while True:
            verdict = known.run(test, values)
            if verdict is None or verdict[0] is _UNKNOWN:
                return Failure(
                    "control-flow",
                    "torch.while_loop: how often it runs depends on data",
                    "run it a fixed number of times with torch.scan, or leave it in PyTorch",
                )
            if not bool(verdict[0]):
                return tuple(carried)
            rounds += 1
            problem = _too_long("while_loop", body, rounds)
            if problem is not None:
                return problem
            following = known.run(body, values)
            outcome = self._named("while_loop", self.run(body, [*carried, *extra]))
            if isinstance(outcome, Failure):
                return outcome
            carried = _listed(outcome)
            values = [*(following or [_UNKNOWN] * len(carried)), *fixed]

    def _named(self, name: str, outcome: Any) -> Any:
        if not isinstance(outcome, Failure):
            return outcome
        return Failure("control-flow", f"torch.{name}: it needs {outcome.reason}", outcome.remedy)


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _too_long(name: str, body: fx.GraphModule, rounds: int) -> Any:
    """The Failure for a loop with too many rounds, or with none that could tell its results."""
    count = sum(inner.op == "call_function" for inner in body.graph.nodes)
    if rounds and rounds * max(count, 1) <= MAX_UNROLLED_NODES:
        return None
    reason = f"{rounds} rounds of {count} operators are more than {MAX_UNROLLED_NODES}"
    return Failure(
        "control-flow",
        f"torch.{name}: {reason if rounds else 'there are no rounds'}, and programs have no loops "
        "over operators",
        "compute over the whole dimension at once, or leave it in PyTorch",
    )


def _harm(created: Sequence[tuple[str, list[Any], list[Any]]]) -> str:
    """Why ops must not run unless they are asked for; "" where they may."""
    work = 0
    for op, operands, results in created:
        if op == "random_bits":
            return "it draws random numbers"
        if op == _NATIVE:
            return "a native kernel may end in an error"
        integral = not results[0].dtype.startswith(("float", "bfloat"))
        if op in RAISING or (op in RAISING_INTEGER and integral):
            return f"graph.{op} may end in an error"
        work += _work(op, operands, results)
    if work > MAX_SELECTED_WORK:
        return f"both branches together are {work:.1e} operations, and only one is needed"
    return ""


def _work(op: str, operands: Sequence[Any], results: Sequence[Any]) -> int:
    """Operations, roughly: one an element read or written, and what a product sums over."""
    shapes = [tuple(value.shape) for value in operands if value is not None]
    written = sum(_count(value.shape) for value in results)
    if op == "matmul":
        return written * int(shapes[0][-1])
    if op == "convolution":
        return written * _count(shapes[1][1:])
    return max([written, *map(_count, shapes)])


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= int(size)
    return count


# --- what is known while importing ------------------------------------------------------------

_UNKNOWN: Any = object()


class _Known:
    """Computes small parts of graphs that depend on constants only."""

    def __init__(self, lowering: NodeLowering) -> None:
        self.constants = lowering.constants
        self._values: dict[fx.Node, Any] = {}

    def of(self, item: Any) -> Any:
        """The value of an argument of the captured graph, or _UNKNOWN."""
        if not isinstance(item, fx.Node):
            return item
        if item in self.constants:
            return self.constants[item]
        if item not in self._values:
            self._values[item] = _UNKNOWN  # until it is known, also where it refers to itself
            self._values[item] = self._compute(item, self.of)
        return self._values[item]

    def run(self, body: fx.GraphModule, operands: Sequence[Any]) -> list[Any] | None:
        """What a subgraph returns, as far as it is known; None when nothing can be said."""
        values: dict[fx.Node, Any] = {}
        given = iter(operands)

        def value_of(item: Any) -> Any:
            return values.get(item, _UNKNOWN) if isinstance(item, fx.Node) else item

        for inner in body.graph.nodes:
            if inner.op == "placeholder":
                values[inner] = next(given, _UNKNOWN)
            elif inner.op == "output":
                result = inner.args[0]
                flat = list(result) if isinstance(result, (tuple, list)) else [result]
                return [value_of(item) for item in flat]
            elif inner.op == "call_function":
                values[inner] = self._compute(inner, value_of)
        return None

    def _compute(self, node: fx.Node, value_of: Any) -> Any:
        target = node.target
        if node.op != "call_function" or not callable(target):
            return _UNKNOWN
        if isinstance(target, torch._ops.HigherOrderOperator) or is_mutating(node):
            return _UNKNOWN
        if isinstance(target, torch._ops.OpOverload) and (
            torch.Tag.nondeterministic_seeded in target.tags or target.namespace != "aten"
        ):
            return _UNKNOWN
        args, kwargs = pytree.tree_map_only(fx.Node, value_of, (node.args, node.kwargs))
        leaves = pytree.tree_leaves((args, kwargs))
        small = all(
            leaf is not _UNKNOWN and not isinstance(leaf, (torch.SymInt, torch.SymBool))
            for leaf in leaves
        )
        expected = node.meta.get("val")
        if not small or (
            isinstance(expected, torch.Tensor) and expected.numel() > MAX_KNOWN_ELEMENTS
        ):
            return _UNKNOWN
        try:
            with torch.no_grad():
                return target(*args, **kwargs)
        except Exception:  # whatever it is, the program will say so where it matters
            return _UNKNOWN
