# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which nodes run together in PyTorch, and when.

A program runs in phases: compiled code and islands in turn. Units that read nothing from one
another share a phase, wherever in the graph they stand, so the longest chain of borders on a path
through the graph is all the borders there are, and no grouping that leaves every supported node
compiled has fewer. Then supported nodes between two islands move to PyTorch where that is
cheaper: a whole phase vanishes when the nodes that keep it in its place, those on a longest chain,
do. See docs/decisions/0009-partitioning.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from torch import fx

from tessera.lowering.costs import CostModel, bytes_of
from tessera.lowering.units import UnitGraph

BETWEEN = "kept in PyTorch: between two islands, crossing costs more"
BESIDE = "kept in PyTorch: beside an island, crossing costs more"
#: How often a move that looked good may turn out not to be one.
MAX_ATTEMPTS = 8


@dataclass
class Group:
    """Nodes that run together: an island, or compiled code between two of them."""

    nodes: list[fx.Node]
    island: bool


@dataclass
class Partition:
    """Everything, in an order that can be executed."""

    groups: list[Group]
    #: supported nodes that run in PyTorch since a crossing costs more; each with the reason
    moved: dict[fx.Node, str] = field(default_factory=dict)

    @property
    def islands(self) -> list[list[fx.Node]]:
        return [group.nodes for group in self.groups if group.island]

    @property
    def segments(self) -> int:
        """Stretches of compiled code; each is entered from PyTorch once and left once."""
        return sum(not group.island for group in self.groups)


@dataclass
class _Plan:
    """Which units run in PyTorch and the phase of each: even in PyTorch, odd compiled."""

    in_pytorch: list[bool]
    phase: list[int]
    cost: float


@dataclass
class _Move:
    """Compiled units that might run in PyTorch: what that costs, and what it saves above that."""

    units: list[int]
    price: float
    gain: float
    reason: str


def partition(
    nodes: Iterable[fx.Node],
    unsupported: Collection[fx.Node],
    *,
    crossable: Callable[[fx.Node], bool],
    mergeable: Callable[[fx.Node], bool],
    movable: Callable[[fx.Node], bool] = lambda node: True,
    outputs: Collection[fx.Node] = (),
    costs: CostModel | None = None,
) -> Partition:
    """Groups `nodes`, of which PyTorch must run the `unsupported`.

    The value of a node that is not `crossable` stays on its side; a node that is not `mergeable`
    is an island of its own. `costs` decides which of the supported nodes that are `movable` move to
    PyTorch; None: none.
    """
    graph = UnitGraph(list(nodes), unsupported, crossable, mergeable, movable)
    return _Partitioner(graph, set(outputs), costs).run()


class _Partitioner:
    def __init__(self, graph: UnitGraph, outputs: set[fx.Node], costs: CostModel | None) -> None:
        self.graph, self.units = graph, graph.units
        self.outputs = outputs
        self.costs = costs
        self.model = costs or CostModel()
        self.prices = self.model.prices
        self._bytes = [bytes_of(node) for node in graph.nodes]
        #: for each tensor from outside of the graph the units that read it, and the other way round
        self._external = self._read_from_outside()
        self._reads: dict[int, list[int]] = {}
        for tensor, readers in enumerate(self._external):
            for number in readers:
                self._reads.setdefault(number, []).append(tensor)
        #: units that were moved to PyTorch, and why
        self._moved: dict[int, str] = {}

    def run(self) -> Partition:
        start = [unit.in_pytorch for unit in self.units]
        plan = self._plan(start, 0.0)
        if self.costs is not None:
            plan = self._move(plan)
        self._sink(plan)
        moved = {
            self.graph.nodes[item]: reason
            for number, reason in sorted(self._moved.items())
            for item in self.units[number].members
        }
        return Partition(self._groups(plan), moved)

    # --- phases ---------------------------------------------------------------------------

    def _plan(self, in_pytorch: list[bool], paid: float) -> _Plan:
        """The earliest phase of each unit; `paid` is what moving nodes has cost."""
        plans = []
        # In PyTorch first, unless there is no need: that makes an island before anything is
        # compiled.
        for first in (2, 0):
            phase = self._earliest(in_pytorch, first)
            plans.append(_Plan(in_pytorch, phase, paid + self._crossings(in_pytorch, phase)))
        later, sooner = plans
        same = _segments(later) == _segments(sooner)
        return later if same and later.cost < sooner.cost else sooner

    def _earliest(self, in_pytorch: list[bool], first: int) -> list[int]:
        phase: list[int] = []
        for unit, side in zip(self.units, in_pytorch, strict=True):
            own = first if side else 1
            for source in unit.before:
                own = max(own, phase[source] + (in_pytorch[source] is not side))
            phase.append(own)
        return phase

    def _latest(self, plan: _Plan) -> list[int]:
        last = max(plan.phase)
        phase = [0] * len(self.units)
        for number in reversed(range(len(self.units))):
            side = plan.in_pytorch[number]
            own = last - ((last % 2 == 0) is not side)
            for user in self.units[number].after:
                own = min(own, phase[user] - (plan.in_pytorch[user] is not side))
            phase[number] = own
        return phase

    def _sink(self, plan: _Plan) -> None:
        """Later phases for units whose results would otherwise wait for their users."""
        for number in reversed(range(len(self.units))):
            unit, side = self.units[number], plan.in_pytorch[number]
            if not unit.after or unit.alone:
                continue
            latest = min(
                plan.phase[user] - (plan.in_pytorch[user] is not side) for user in unit.after
            )
            if latest <= plan.phase[number]:
                continue
            held = sum(self._bytes[item] for item in unit.members)
            read = sum(
                self._bytes[source]
                for item in unit.members
                for source in self.graph.sources[item]
                if self.graph.unit_of[source] != number
                and plan.phase[self.graph.unit_of[source]] == plan.phase[number]
            )
            if read <= held:
                plan.phase[number] = latest

    # --- what crossings cost --------------------------------------------------------------

    def _read_from_outside(self) -> list[list[int]]:
        readers: dict[fx.Node, set[int]] = {}
        known = set(self.graph.nodes)
        for position, node in enumerate(self.graph.nodes):
            for source in node.all_input_nodes:
                if source not in known:
                    readers.setdefault(source, set()).add(self.graph.unit_of[position])
        return [sorted(units) for units in readers.values()]

    def _crossings(self, in_pytorch: list[bool], phase: list[int]) -> float:
        """The price of all borders."""
        prices = self.prices

        def island(number: int) -> int:
            # Opaque calls have an island each.
            return -1 - number if self.units[number].alone else phase[number]

        islands = {island(number) for number, side in enumerate(in_pytorch) if side}
        segments = {phase[number] for number, side in enumerate(in_pytorch) if not side}
        total = len(islands) * prices.island + len(segments) * prices.segment
        for readers in self._external:
            taken = {island(number) for number in readers if in_pytorch[number]}
            total += len(taken) * prices.tensor
        for position, node in enumerate(self.graph.nodes):
            number = self.graph.unit_of[position]
            side = in_pytorch[number]
            own = island(number) if side else None
            users = {self.graph.unit_of[user] for user in self.graph.users[position]}
            taken = {island(user) for user in users if in_pytorch[user]} - {own}
            left = side and (
                len(taken) > 0
                or node in self.outputs
                or any(not in_pytorch[user] for user in users)
            )
            if taken or left:
                total += (len(taken) + left) * prices.tensor
                total += self._bytes[position] * prices.crossing_byte
        return total

    # --- moving supported nodes -----------------------------------------------------------

    def _move(self, plan: _Plan) -> _Plan:
        """Moves the phases to PyTorch that are cheaper there."""
        paid = 0.0
        refused: set[int] = set()
        attempts = MAX_ATTEMPTS
        while attempts:
            chosen = self._candidates(plan, refused)
            # All at once, or the better half: most phases do not depend on one another.
            while chosen:
                price = sum(move.price for move in chosen)
                side = list(plan.in_pytorch)
                for move in chosen:
                    for number in move.units:
                        side[number] = True
                tried = self._plan(side, paid + price)
                if tried.cost < plan.cost and _segments(tried) < _segments(plan):
                    plan, paid = tried, paid + price
                    for move in chosen:
                        self._moved.update(dict.fromkeys(move.units, move.reason))
                    break
                if len(chosen) == 1:
                    refused.update(chosen[0].units)
                    attempts -= 1
                chosen = chosen[: len(chosen) // 2]
            else:
                if not self._candidates(plan, refused):
                    break
        return plan

    def _candidates(self, plan: _Plan, refused: set[int]) -> list[_Move]:
        """Compiled phases that look cheaper in PyTorch, the best first."""
        latest = self._latest(plan)
        phases: dict[int, list[int]] = {}
        for number, (early, late) in enumerate(zip(plan.phase, latest, strict=True)):
            if early == late and not plan.in_pytorch[number]:
                phases.setdefault(early, []).append(number)
        islands = {
            plan.phase[number]
            for number, side in enumerate(plan.in_pytorch)
            if side and not self.units[number].alone
        }
        found = []
        for phase, units in phases.items():
            beside = (phase - 1 in islands) + (phase + 1 in islands)
            if not beside or not refused.isdisjoint(units):
                continue
            saved = self.prices.segment + (self.prices.island if beside == 2 else 0.0)
            saved += self._tensors_saved(plan, phase, set(units))
            price = self._price(units, saved)
            if price < saved and all(map(self.graph.movable, units)):
                found.append(_Move(units, price, saved - price, BETWEEN if beside == 2 else BESIDE))
        return sorted(found, key=lambda move: (-move.gain, move.units))

    def _tensors_saved(self, plan: _Plan, phase: int, units: set[int]) -> float:
        """Crossings of single tensors that moving `units` saves, less those it adds."""
        balance = 0
        graph, near = self.graph, (phase - 1, phase + 1)
        sources: set[int] = set()
        for number in units:
            for position in self.units[number].members:
                sources.update(graph.sources[position])
                users = {graph.unit_of[user] for user in graph.users[position]}
                balance += any(plan.in_pytorch[user] and plan.phase[user] in near for user in users)
                compiled = any(not plan.in_pytorch[user] for user in users - units)
                balance -= compiled or graph.nodes[position] in self.outputs
        for maker in (graph.unit_of[source] for source in sources):
            if maker not in units:
                balance += 1 if plan.in_pytorch[maker] else -1
        outside = {tensor for number in units for tensor in self._reads.get(number, ())}
        for readers in (self._external[tensor] for tensor in outside):
            # What an island beside them reads already crosses.
            balance -= not any(
                plan.in_pytorch[user] and plan.phase[user] in near for user in readers
            )
        return balance * self.prices.tensor

    def _price(self, units: list[int], limit: float) -> float:
        """What it costs to run `units` in PyTorch; infinite once it is beyond `limit`."""
        members = [item for number in units for item in self.units[number].members]
        nodes = self.graph.nodes
        total = 0.0
        for item in members:
            cost = self.model.of(nodes[item])
            total += cost.dispatches * self.prices.dispatch
            users = self.graph.users[item]
            # Compiled, it would never be stored.
            if users and all(self._fused(user) for user in users):
                total += cost.bytes * self.prices.byte
            if total >= limit:
                return float("inf")
        for item in members:
            flops = self.model.flops(nodes[item])
            total += float("inf") if flops is None else flops * self.prices.flop
            if total >= limit:
                break
        return total

    def _fused(self, position: int) -> bool:
        unit = self.units[self.graph.unit_of[position]]
        return not unit.in_pytorch and self.model.of(self.graph.nodes[position]).fuses

    # --- the result -----------------------------------------------------------------------

    def _groups(self, plan: _Plan) -> list[Group]:
        phases: dict[int, list[int]] = {}
        for number, phase in enumerate(plan.phase):
            phases.setdefault(phase, []).append(number)
        groups: list[Group] = []
        for phase in sorted(phases):
            if phase % 2:
                groups.append(self._group(phases[phase], island=False))
            else:
                groups += self._islands(phases[phase])
        return groups

    def _islands(self, units: list[int]) -> list[Group]:
        """The islands of one phase: opaque calls, and what lies between them."""
        turn: dict[int, int] = {}
        for number in units:
            alone = self.units[number].alone
            turn[number] = max(
                [
                    int(alone),
                    *(
                        turn[source] + (alone is not self.units[source].alone)
                        for source in self.units[number].before
                        if source in turn
                    ),
                ]
            )
        groups: list[Group] = []
        for step in range(max(turn.values()) + 1):
            here = [number for number in units if turn[number] == step]
            if step % 2:
                groups += [self._group([number], island=True) for number in here]
            elif here:
                groups.append(self._group(here, island=True))
        return groups

    def _group(self, units: list[int], island: bool) -> Group:
        members = sorted(item for number in units for item in self.units[number].members)
        return Group([self.graph.nodes[item] for item in members], island)


def _segments(plan: _Plan) -> int:
    pairs = zip(plan.phase, plan.in_pytorch, strict=True)
    return len({phase for phase, side in pairs if not side})
