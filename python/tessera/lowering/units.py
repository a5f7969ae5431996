# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the partitioner moves about: units of nodes that stay together, and the order they need.

A unit is one node, or several that no border may cut: values that compiled code cannot hold (a
number, a sparse tensor, a size known only at run time) stay with the nodes that read them, an
operator with several results stays with the picks from it, and what lies between the members of a
unit belongs to it. Units form a graph without cycles; besides the values it has edges for effects:
what draws random numbers or runs foreign code keeps its order, and nothing passes a mutation.
"""

from __future__ import annotations

import heapq
import itertools
import math
import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import fx

from tessera.capture.decompose import is_mutating
from tessera.capture.leaves import leaf_call


@dataclass
class Unit:
    """Nodes that stay together, as positions in the graph's order."""

    members: list[int]
    #: a member has no lowering
    in_pytorch: bool
    #: an opaque call: it is never put into one island with anything else
    alone: bool
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)


class UnitGraph:
    """The units of a graph, in an order that can be executed."""

    def __init__(
        self,
        nodes: Sequence[fx.Node],
        unsupported: Collection[fx.Node],
        crossable: Callable[[fx.Node], bool],
        mergeable: Callable[[fx.Node], bool],
        movable: Callable[[fx.Node], bool],
    ) -> None:
        self.nodes = nodes
        index = {node: position for position, node in enumerate(nodes)}
        self.users = [
            sorted({index[user] for user in node.users if user in index}) for node in nodes
        ]
        self.sources = [
            sorted({index[source] for source in node.all_input_nodes if source in index})
            for node in nodes
        ]
        self._held = [not crossable(node) for node in nodes]
        self._mergeable, self._may_move = mergeable, movable
        #: what keeps its order in PyTorch, and compiled
        self._ordered = {True: list(map(has_effect, nodes)), False: list(map(_takes_key, nodes))}
        self._barriers = [position for position, node in enumerate(nodes) if _mutates(node)]
        self._parent = list(range(len(nodes)))
        self._in_pytorch = [False] * len(nodes)
        self._keep_picks()
        self._close(index[node] for node in unsupported)
        self._movable_units: dict[int, bool] = {}
        #: the unit of each node
        self.unit_of: list[int] = []
        self.units: list[Unit] = self._make_units()

    # --- which nodes stay together --------------------------------------------------------

    def _find(self, position: int) -> int:
        parent = self._parent
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    def _union(self, positions: Iterable[int]) -> None:
        roots = {self._find(position) for position in positions}
        keep = min(roots)
        for root in roots:
            self._parent[root] = keep

    def _groups(self) -> dict[int, list[int]]:
        groups: dict[int, list[int]] = {}
        for position in range(len(self.nodes)):
            groups.setdefault(self._find(position), []).append(position)
        return groups

    def _keep_picks(self) -> None:
        for position, users in enumerate(self.users):
            picks = all(self.nodes[user].target is operator.getitem for user in users)
            if self._held[position] and users and picks:
                self._union([position, *users])

    def _close(self, unsupported: Iterable[int]) -> None:
        """Pulls into PyTorch what cannot be cut off from it; merges what would form a cycle."""
        waiting = list(unsupported)
        while True:
            self._pull(waiting)
            cycles = [
                cycle for cycle in _components(*self._edges(self._groups())) if len(cycle) > 1
            ]
            if not cycles:
                return
            for cycle in cycles:
                self._union(cycle)
            waiting = [
                position
                for members in self._groups().values()
                if any(self._in_pytorch[member] for member in members)
                for position in members
                if not self._in_pytorch[position]
            ]

    def _pull(self, waiting: list[int]) -> None:
        members = self._groups()
        while waiting:
            position = waiting.pop()
            if self._in_pytorch[position]:
                continue
            self._in_pytorch[position] = True
            waiting += [item for item in members[self._find(position)] if item != position]
            for held in [position, *self.sources[position]]:
                together = {self._find(item) for item in (held, *self.users[held])}
                if not self._held[held] or len(together) == 1:
                    continue
                joined = sorted(item for root in together for item in members.pop(root))
                self._union(joined)
                members[self._find(joined[0])] = joined
                waiting += joined

    # --- edges ----------------------------------------------------------------------------

    def _edges(self, groups: dict[int, list[int]]) -> tuple[list[int], dict[int, list[int]]]:
        """The groups, by their first node, and the groups that must run after each."""
        after: dict[int, set[int]] = {root: set() for root in groups}
        pairs = itertools.chain(
            ((position, user) for position, users in enumerate(self.users) for user in users),
            self._order_edges(),
        )
        for position, user in pairs:
            first, second = self._find(position), self._find(user)
            if first != second:
                after[first].add(second)
        return sorted(groups), {root: sorted(found) for root, found in after.items()}

    def _order_edges(self) -> Iterable[tuple[int, int]]:
        # Compiled code draws its keys when a call begins, so its effects and those of islands do
        # not meet; each keeps its own order.
        for side in (False, True):
            chain = [
                position
                for position, ordered in enumerate(self._ordered[side])
                if ordered and self._in_pytorch[position] is side
            ]
            yield from itertools.pairwise(chain)
        edges = [-1, *self._barriers, len(self.nodes)]
        for before, barrier, behind in zip(edges, edges[1:], edges[2:], strict=False):
            yield from ((position, barrier) for position in range(max(before, 0), barrier))
            yield from (
                (barrier, position) for position in range(barrier + 1, min(behind + 1, edges[-1]))
            )

    def _make_units(self) -> list[Unit]:
        groups = self._groups()
        roots, after = self._edges(groups)
        waiting = dict.fromkeys(roots, 0)
        for found in after.values():
            for root in found:
                waiting[root] += 1
        ready = [root for root in roots if not waiting[root]]
        order: list[int] = []
        while ready:
            root = heapq.heappop(ready)
            order.append(root)
            for user in after[root]:
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(ready, user)
        number = {root: position for position, root in enumerate(order)}
        self.unit_of = [number[self._find(position)] for position in range(len(self.nodes))]
        units = [self._unit(groups[root]) for root in order]
        for root, found in after.items():
            units[number[root]].after = sorted(number[user] for user in found)
            for user in found:
                units[number[user]].before.append(number[root])
        for unit in units:
            unit.before.sort()
        return units

    def _unit(self, members: list[int]) -> Unit:
        in_pytorch = any(self._in_pytorch[member] for member in members)
        return Unit(
            members,
            in_pytorch,
            in_pytorch and not all(self._mergeable(self.nodes[member]) for member in members),
        )

    def movable(self, number: int) -> bool:
        """Whether a unit that is compiled may run in PyTorch instead."""
        found = self._movable_units.get(number)
        if found is None:
            members = self.units[number].members
            found = all(self._movable(member, members) for member in members)
            self._movable_units[number] = found
        return found

    def _movable(self, position: int, members: list[int]) -> bool:
        node = self.nodes[position]
        if self._ordered[True][position] or not (self._mergeable(node) and self._may_move(node)):
            return False
        inside = set(members)
        return not (
            (self._held[position] and not inside.issuperset(self.users[position]))
            or any(self._held[item] and item not in inside for item in self.sources[position])
        )


def has_effect(node: fx.Node) -> bool:
    """Whether `node`, run in PyTorch, must keep its place among others of its kind."""
    if node.op != "call_function" or node.target is operator.getitem:
        return False
    if leaf_call(node) is not None:
        return True
    if isinstance(node.target, torch._ops.OpOverload):
        return bool(node.is_impure()) and not _is_dormant(node)
    # Arithmetic on sizes; any other Python function, and an operator with a body, may do anything.
    module = getattr(node.target, "__module__", "")
    return module not in (operator.add.__module__, math.floor.__module__, "torch")


def _takes_key(node: fx.Node) -> bool:
    """Whether `node`, compiled, may draw random numbers; keys are handed out in order."""
    if isinstance(node.target, torch._ops.OpOverload):
        return torch.Tag.nondeterministic_seeded in node.target.tags and not _is_dormant(node)
    return has_effect(node)


def _is_dormant(node: fx.Node) -> bool:
    """Whether `node` could draw random numbers but its arguments say it does not: dropout in
    evaluation, attention without dropout."""
    target = node.target
    assert isinstance(target, torch._ops.OpOverload)
    if target._schema.is_mutable or torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    given = {
        argument.name: node.kwargs.get(argument.name, argument.default_value)
        for argument in target._schema.arguments
    }
    given.update(zip(given, node.args, strict=False))
    evaluates = any(given.get(name) is False for name in ("train", "training"))
    return evaluates or given.get("dropout_p") in (0, 0.0)


def _mutates(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and is_mutating(node)


def _components(roots: Sequence[int], after: dict[int, list[int]]) -> list[list[int]]:
    """Strongly connected components, by Tarjan."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    found: list[list[int]] = []
    for start in roots:
        if start in number:
            continue
        stack = [(start, iter(after[start]))]
        number[start] = low[start] = len(number)
        path.append(start)
        on_path.add(start)
        while stack:
            here, users = stack[-1]
            for user in users:
                if user not in number:
                    number[user] = low[user] = len(number)
                    path.append(user)
                    on_path.add(user)
                    stack.append((user, iter(after[user])))
                    break
                if user in on_path:
                    low[here] = min(low[here], number[user])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[here])
                if low[here] == number[here]:
                    found.append([])
                    while not found[-1] or found[-1][-1] != here:
                        found[-1].append(path.pop())
                    on_path.difference_update(found[-1])
    return found
