# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Islands: no cycles, no forbidden crossings, as few borders as there can be, and cheap ones."""

from __future__ import annotations

import itertools
import operator
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode

from tessera.lowering.costs import CostModel, Prices
from tessera.lowering.partition import BETWEEN, partition
from tessera.lowering.units import has_effect

ADD, DRAW, WRITE = torch.ops.aten.add.Tensor, torch.ops.aten.bernoulli.default, "write"


def _graph(edges, targets=None, shape=(2,)):
    """Nodes in order, each taking the earlier nodes its entry lists."""
    graph = fx.Graph()
    source = graph.placeholder("x")
    with FakeTensorMode():
        value = torch.empty(shape)
    source.meta["val"] = value
    nodes = []
    for position, inputs in enumerate(edges):
        chosen = [nodes[i] for i in inputs] or [source]
        target = (targets or {}).get(position, ADD)
        target = torch.ops.aten.relu_.default if target == WRITE else target
        nodes.append(
            graph.call_function(target, (chosen[0], chosen[-1])[: 2 if target is ADD else 1])
        )
        # Operators of more than two operands, for the sake of the graph's shape.
        nodes[-1].args = (*chosen,) if target is ADD else nodes[-1].args
        nodes[-1].meta["val"] = value
    return nodes


def _run(nodes, islands, uncrossable=(), lonely=(), costs=None, outputs=None):
    return partition(
        nodes,
        [nodes[i] for i in islands],
        crossable=lambda node: node not in uncrossable,
        mergeable=lambda node: node not in lonely,
        outputs=[nodes[-1]] if outputs is None else outputs,
        costs=costs,
    )


def _check_order(nodes, groups):
    place = {node: index for index, group in enumerate(groups) for node in group.nodes}
    assert sum(len(group.nodes) for group in groups) == len(place) == len(nodes)
    for node in nodes:
        for source in node.all_input_nodes:
            if source in place and place[source] == place[node]:
                group = groups[place[node]].nodes
                assert group.index(source) < group.index(node)
            elif source in place:
                assert place[source] < place[node]


def test_neighbours_merge():
    nodes = _graph([[], [0], [1], [2]])
    assert _run(nodes, [1, 2]).islands == [[nodes[1], nodes[2]]]


def test_a_cycle_is_avoided():
    # 0 → 1 → 2 and 0 → 2, with 1 compiled: {0, 2} would both feed and need 1.
    nodes = _graph([[], [0], [0, 1]])
    found = _run(nodes, [0, 2])
    assert found.islands == [[nodes[0]], [nodes[2]]]
    _check_order(nodes, found.groups)


def test_a_cycle_through_two_islands_is_avoided():
    # Merging {0, 3} and {1, 2} would make each need the other.
    nodes = _graph([[], [], [0, 1], [0, 1]])
    _check_order(nodes, _run(nodes, [0, 1, 2, 3]).groups)


def test_independent_nodes_share_an_island():
    # Two branches, each compiled, PyTorch, compiled. In the graph's order there are two islands.
    nodes = _graph([[], [0], [1], [], [3], [4], [2, 5]])
    found = _run(nodes, [1, 4])
    assert found.islands == [[nodes[1], nodes[4]]]
    assert found.segments == 2
    _check_order(nodes, found.groups)


def test_a_result_is_not_made_before_it_is_needed():
    # 0 in PyTorch could run first of all, but only the island at the end reads it.
    nodes = _graph([[], [], [1], [2], [3, 0]])
    found = _run(nodes, [0, 2, 4])
    assert [nodes[0], nodes[4]] in found.islands


def test_what_cannot_cross_stays_together_with_what_lies_between():
    nodes = _graph([[], [0], [0, 1]])
    found = _run(nodes, [0], uncrossable={nodes[0]})
    assert found.islands == [nodes]
    _check_order(nodes, found.groups)


def test_leaves_stay_alone():
    nodes = _graph([[], [0], [1]])
    found = _run(nodes, [0, 1, 2], lonely={nodes[1]})
    assert found.islands == [[node] for node in nodes]


def test_a_cheap_node_between_two_islands_moves():
    nodes = _graph([[], [0], [1], [2], [3]])
    found = _run(nodes, [1, 3], costs=CostModel())
    assert found.islands == [nodes[1:4]]
    assert found.moved == {nodes[2]: BETWEEN}


@pytest.mark.parametrize("kind", ["expensive", "prices"])
def test_a_node_worth_compiling_does_not(kind):
    big = 2048 if kind == "expensive" else 2
    nodes = _graph([[], [0], [1], [2], [3]], {2: torch.ops.aten.mm.default}, (big, big))
    nodes[2].args = (nodes[1], nodes[1])
    prices = Prices() if kind == "expensive" else Prices(island=0.0, tensor=0.0, segment=0.0)
    found = _run(nodes, [1, 3], costs=CostModel(prices))
    assert not found.moved
    assert len(found.islands) == 2


def test_opaque_calls_draw_nothing_to_them():
    # Between two of them nothing is saved: each is an island of its own.
    nodes = _graph([[], [0], [1], [2], [3]])
    found = _run(nodes, [1, 3], lonely={nodes[1], nodes[3]}, costs=CostModel())
    assert not found.moved
    assert found.islands == [[nodes[1]], [nodes[3]]]


def test_random_nodes_do_not_move():
    nodes = _graph([[], [0], [1], [2], [3]], {2: DRAW})
    assert not _run(nodes, [1, 3], costs=CostModel()).moved


def test_random_nodes_keep_their_order():
    # 4 could join the first island, but 1 and 3 draw before it.
    nodes = _graph([[], [], [1], [2], []], {1: DRAW, 3: DRAW, 4: DRAW})
    groups = _run(nodes, [1, 3, 4]).groups
    order = [node for group in groups for node in group.nodes if node.target is DRAW]
    assert order == [nodes[1], nodes[3], nodes[4]]


def test_nothing_passes_a_mutation():
    nodes = _graph([[], [], [0], [0], [3]], {2: WRITE})
    groups = _run(nodes, [0, 2]).groups
    order = [node for group in groups for node in group.nodes]
    assert order.index(nodes[2]) == 2
    assert set(order[:2]) == set(nodes[:2])


@st.composite
def _cases(draw):
    count = draw(st.integers(1, 14))
    edges = [
        draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True)) if i else []
        for i in range(count)
    ]
    some = st.sets(st.integers(0, count - 1))
    targets = draw(st.dictionaries(st.integers(0, count - 1), st.sampled_from([DRAW, WRITE])))
    return edges, targets, draw(some), draw(some), draw(some)


@settings(deadline=None, max_examples=300)
@given(_cases(), st.booleans())
def test_any_graph_can_be_executed_in_the_order_given(case, moves):
    edges, targets, islands, held, lonely = case
    nodes = _graph(edges, targets)
    chosen, alone = {nodes[i] for i in held}, {nodes[i] for i in lonely}
    found = _run(nodes, sorted(islands), chosen, alone, CostModel() if moves else None)
    _check_order(nodes, found.groups)
    again = _run(nodes, sorted(islands), chosen, alone, CostModel() if moves else None)
    assert found == again
    inside = {node for group in found.islands for node in group}
    assert {nodes[i] for i in islands} <= inside
    assert inside.issuperset(found.moved)
    assert not {node for node in found.moved if has_effect(node) or node in alone}
    # A value that cannot cross never leaves or enters an island.
    place = {node: index for index, group in enumerate(found.groups) for node in group.nodes}
    for node in chosen:
        for user in node.users:
            if node in inside or user in inside:
                assert place[node] == place[user]
    # Effects keep their order, each side among its own; a mutation keeps everything in its place.
    order = {node: i for i, node in enumerate(n for g in found.groups for n in g.nodes)}
    for side in (inside, set(nodes) - inside):
        effects = [node for node in nodes if node in side and has_effect(node)]
        assert effects == sorted(effects, key=order.__getitem__)
    for position, node in enumerate(nodes):
        if node.target is torch.ops.aten.relu_.default:
            assert all(order[other] < order[node] for other in nodes[:position])


def _longest_chain(nodes, islands):
    """The most compiled stretches on one path: no order has fewer."""
    runs = {}
    for node in nodes:
        compiled = node not in islands
        runs[node] = max(
            [
                int(compiled),
                *(
                    runs[source] + (compiled and source in islands)
                    for source in node.all_input_nodes
                    if source in runs
                ),
            ]
        )
    return max(runs.values())


@settings(deadline=None, max_examples=300)
@given(_cases())
def test_no_order_has_fewer_borders(case):
    edges, _, islands, _, _ = case
    nodes = _graph(edges)
    found = _run(nodes, sorted(islands))
    assert found.segments == _longest_chain(nodes, {nodes[i] for i in islands})
    kinds = [group.island for group in found.groups]
    assert all(left is not right for left, right in itertools.pairwise(kinds))
    assert _run(nodes, sorted(islands), costs=CostModel()).segments <= found.segments


def test_several_results_stay_with_their_operator():
    graph = fx.Graph()
    source = graph.placeholder("x")
    with FakeTensorMode():
        value = torch.empty(4, 4)
    source.meta["val"] = value
    first = graph.call_function(ADD, (source, source))
    pair = graph.call_function(torch.ops.aten.split.Tensor, (first, 2))
    picks = [graph.call_function(operator.getitem, (pair, i)) for i in (0, 1)]
    last = graph.call_function(ADD, (picks[0], picks[1]))
    nodes = [first, pair, *picks, last]
    for node in nodes:
        node.meta["val"] = value
    pair.meta["val"] = (value, value)
    for costs in (None, CostModel()):
        found = partition(
            nodes,
            [first, last],
            crossable=lambda node: node is not pair,
            mergeable=lambda node: True,
            outputs=[last],
            costs=costs,
        )
        _check_order(nodes, found.groups)
        assert len(found.islands) == (2 if costs is None else 1)


def test_thousands_of_nodes_take_a_moment():
    edges = [[]]
    for position in range(1, 6000):
        edges.append([position - 1] if position % 3 else [position - 1, max(0, position - 40)])
    nodes = _graph(edges)
    begin = time.process_time()
    found = _run(nodes, range(0, 6000, 7), costs=CostModel(Prices(island=4.0)))
    assert time.process_time() - begin < 10
    _check_order(nodes, found.groups)
