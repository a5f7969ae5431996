# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Islands: no cycles, no forbidden crossings, neighbours together."""

from __future__ import annotations

import operator

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx

from tessera.lowering.partition import Partitioner


def _graph(edges):
    """A chain of nodes, each taking the earlier nodes its entry lists."""
    graph = fx.Graph()
    source = graph.placeholder("x")
    nodes = []
    for inputs in edges:
        chosen = [nodes[i] for i in inputs] or [source]
        nodes.append(graph.call_function(operator.add, tuple(chosen)))
    return nodes


def _run(nodes, islands, uncrossable=(), lonely=()):
    partitioner = Partitioner(
        nodes,
        crossable=lambda node: node not in uncrossable,
        mergeable=lambda node: node not in lonely,
    )
    groups = partitioner.run([nodes[i] for i in islands])
    return groups, [group for group in groups if partitioner.is_island(group)]


def _check_order(nodes, groups):
    place = {node: index for index, group in enumerate(groups) for node in group}
    assert len(place) == len(nodes)
    for node in nodes:
        for source in node.all_input_nodes:
            if source in place and place[source] == place[node]:
                group = groups[place[node]]
                assert group.index(source) < group.index(node)
            elif source in place:
                assert place[source] < place[node]


def test_neighbours_merge():
    nodes = _graph([[], [0], [1], [2]])
    _, islands = _run(nodes, [1, 2])
    assert islands == [[nodes[1], nodes[2]]]


def test_a_cycle_is_avoided():
    # 0 → 1 → 2 and 0 → 2, with 1 compiled: {0, 2} would both feed and need 1.
    nodes = _graph([[], [0], [0, 1]])
    groups, islands = _run(nodes, [0, 2])
    assert islands == [[nodes[0]], [nodes[2]]]
    _check_order(nodes, groups)


def test_a_cycle_through_two_islands_is_avoided():
    # Merging {0, 3} and {1, 2} would make each need the other.
    nodes = _graph([[], [], [0, 1], [0, 1]])
    groups, _ = _run(nodes, [0, 1, 2, 3])
    _check_order(nodes, groups)


def test_what_cannot_cross_stays_together_with_what_lies_between():
    nodes = _graph([[], [0], [0, 1]])
    groups, islands = _run(nodes, [0], uncrossable={nodes[0]})
    assert islands == [nodes]
    _check_order(nodes, groups)


def test_leaves_stay_alone():
    nodes = _graph([[], [0], [1]])
    _, islands = _run(nodes, [0, 1, 2], lonely={nodes[1]})
    assert islands == [[node] for node in nodes]


@st.composite
def _cases(draw):
    count = draw(st.integers(1, 12))
    edges = [
        draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True)) if i else []
        for i in range(count)
    ]
    some = st.sets(st.integers(0, count - 1))
    return edges, draw(some), draw(some)


@settings(deadline=None, max_examples=200)
@given(_cases())
def test_any_graph_can_be_executed_in_the_order_given(case):
    edges, islands, uncrossable = case
    nodes = _graph(edges)
    chosen = {nodes[i] for i in uncrossable}
    groups, found = _run(nodes, sorted(islands), uncrossable=chosen)
    _check_order(nodes, groups)
    inside = {node for group in found for node in group}
    assert {nodes[i] for i in islands} <= inside
    # A value that cannot cross never leaves or enters an island.
    place = {node: index for index, group in enumerate(groups) for node in group}
    for node in chosen:
        for user in node.users:
            if node in inside or user in inside:
                assert place[node] == place[user]
