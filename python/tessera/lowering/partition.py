# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which nodes run together in PyTorch.

Nodes that cannot be lowered are gathered into islands: neighbours are merged while the graph of
islands and compiled nodes stays free of cycles, and nodes connected by a value that cannot cross
(a number, a sparse tensor, a size known only at run time) are always together, with whatever lies
between them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from torch import fx


class Partitioner:
    """Groups the nodes of one graph."""

    def __init__(
        self,
        nodes: Iterable[fx.Node],
        crossable: Callable[[fx.Node], bool],
        mergeable: Callable[[fx.Node], bool],
    ) -> None:
        self._nodes = list(nodes)
        self._index = {node: index for index, node in enumerate(self._nodes)}
        self._crossable = crossable
        self._mergeable = mergeable
        # Group of each node: an index of `_members`. Compiled nodes are groups of one.
        self._group = list(range(len(self._nodes)))
        self._members: dict[int, list[int]] = {index: [index] for index in self._group}
        self._users = [
            sorted({self._index[user] for user in node.users if user in self._index})
            for node in self._nodes
        ]

    def run(self, unsupported: Iterable[fx.Node]) -> list[list[fx.Node]]:
        """Everything in an order that can be executed; lists that hold an unsupported node are
        islands."""
        islands = {self._index[node] for node in unsupported}
        self._absorb_uncrossable(islands)
        self._merge_neighbours(islands)
        self.islands = {self._group[index] for index in islands}
        return [[self._nodes[index] for index in members] for members in self._order()]

    def is_island(self, nodes: list[fx.Node]) -> bool:
        return self._group[self._index[nodes[0]]] in self.islands

    # --- merging --------------------------------------------------------------------------

    def _union(self, groups: set[int]) -> int:
        keep = min(groups)
        members = sorted(index for group in groups for index in self._members[group])
        for group in groups:
            del self._members[group]
        self._members[keep] = members
        for index in members:
            self._group[index] = keep
        return keep

    def _successors(self, group: int) -> set[int]:
        found = {
            self._group[user] for member in self._members[group] for user in self._users[member]
        }
        found.discard(group)
        return found

    def _predecessors(self, group: int) -> set[int]:
        found = {
            self._group[self._index[source]]
            for member in self._members[group]
            for source in self._nodes[member].all_input_nodes
            if source in self._index
        }
        found.discard(group)
        return found

    def _between(self, groups: set[int]) -> set[int]:
        """Groups outside of `groups` on a path from one of them to another."""
        after = self._reach(groups, self._successors)
        before = self._reach(groups, self._predecessors)
        return (after & before) - groups

    def _reach(self, groups: set[int], step: Callable[[int], set[int]]) -> set[int]:
        seen: set[int] = set()
        stack = [item for group in groups for item in step(group) if item not in groups]
        while stack:
            group = stack.pop()
            if group in seen:
                continue
            seen.add(group)
            stack.extend(step(group) - seen)
        return seen

    def _absorb_uncrossable(self, islands: set[int]) -> None:
        # Each round may pull nodes into an island whose own operands cannot cross either.
        changed = True
        while changed:
            changed = False
            for index, node in enumerate(self._nodes):
                users = self._users[index]
                touches = index in islands or any(user in islands for user in users)
                if self._crossable(node) or not users or not touches:
                    continue
                groups = {self._group[index], *(self._group[user] for user in users)}
                if len(groups) == 1:
                    continue
                groups |= self._between(groups)
                islands.update(self._members[self._union(groups)])
                changed = True

    def _merge_neighbours(self, islands: set[int]) -> None:
        for index in sorted(islands):
            if not self._may_merge(self._group[index]):
                continue
            for source in self._nodes[index].all_input_nodes:
                producer = self._index.get(source)
                if producer is None or producer not in islands:
                    continue
                pair = {self._group[index], self._group[producer]}
                if len(pair) == 2 and all(map(self._may_merge, pair)) and not self._between(pair):
                    self._union(pair)

    def _may_merge(self, group: int) -> bool:
        return all(self._mergeable(self._nodes[index]) for index in self._members[group])

    # --- order ----------------------------------------------------------------------------

    def _order(self) -> list[list[int]]:
        waiting = {group: len(self._predecessors(group)) for group in self._members}
        ready = [group for group, count in waiting.items() if count == 0]
        heapq.heapify(ready)
        order: list[list[int]] = []
        while ready:
            group = heapq.heappop(ready)
            order.append(self._members[group])
            for successor in self._successors(group):
                waiting[successor] -= 1
                if waiting[successor] == 0:
                    heapq.heappush(ready, successor)
        return order
