# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The callables behind `graph.island`: what runs in PyTorch, as PyTorch runs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from tessera.capture import autocast
from tessera.capture.leaves import leaf_call, run_leaf
from tessera.capture.provenance import location_of, source_text
from tessera.capture.specialize import OutsideCapture

IslandFn = Callable[..., tuple[torch.Tensor, ...]]


def build_island(
    owner: fx.GraphModule,
    nodes: Sequence[fx.Node],
    inputs: Sequence[fx.Node],
    outputs: Sequence[fx.Node],
    tensors: dict[fx.Node, torch.Tensor],
) -> IslandFn:
    """A function over `inputs` that computes `outputs` by running `nodes` of `owner`.

    `tensors` are nodes whose values are known tensors (parameters that no graph value can hold).
    """
    call = leaf_call(nodes[0]) if nodes else None
    if call is not None and all(_is_getitem_of(node, nodes[0]) for node in nodes[1:]):
        given: Any = nodes[0].args[1]
        positions = [inputs.index(item) for item in given]
        return _guarded(_leaf_outputs(run_leaf(call), positions, outputs), nodes)
    graph = fx.Graph()
    attributes: dict[str, Any] = {}
    copies: dict[fx.Node, fx.Node] = {}
    for position, node in enumerate(inputs):
        copies[node] = graph.placeholder(f"input_{position}")

    def attribute(node: fx.Node, value: Any) -> fx.Node:
        if node not in copies:
            name = f"attribute_{len(attributes)}"
            attributes[name] = value
            copies[node] = graph.get_attr(name)
        return copies[node]

    def copied(node: fx.Node) -> fx.Node:
        if node in copies:
            return copies[node]
        if node in tensors:
            return attribute(node, tensors[node])
        if node.op == "get_attr":
            return attribute(node, _fetch(owner, str(node.target)))
        raise KeyError(node)

    for node in nodes:
        if node.op == "get_attr":
            attribute(node, _fetch(owner, str(node.target)))
            continue
        for source in node.all_input_nodes:
            copied(source)
        leaf = leaf_call(node)
        if leaf is not None:
            values = tuple(fx.node.map_arg(item, copied) for item in node.args[1])  # type: ignore
            copies[node] = graph.call_function(run_leaf(leaf), values)
        else:
            copies[node] = graph.node_copy(node, copied)
            if _is_number(node):
                copies[node].target = _real(node.target)
    graph.output(tuple(copies[node] for node in outputs))
    root = torch.nn.Module()
    for name, value in attributes.items():
        if isinstance(value, torch.nn.Module):
            root.add_module(name, value)
        else:
            # Not as a Parameter: that would make the island a second owner of it.
            root.__dict__[name] = value
    return _guarded(_IslandGraph(root, graph), nodes)


class _IslandGraph:
    """Runs a graph; unlike a bare GraphModule it never keeps the graph's tensors registered."""

    def __init__(self, root: torch.nn.Module, graph: fx.Graph) -> None:
        self.module = fx.GraphModule(root, graph)
        for name, value in root.__dict__.items():
            if name.startswith("attribute_"):
                self.module.__dict__[name] = value

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result: tuple[torch.Tensor, ...] = self.module.forward(*tensors)
        return result


def _is_number(node: fx.Node) -> bool:
    """Whether a node is Python's arithmetic on numbers that are read from tensors."""
    number = isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat))
    return number and not isinstance(node.target, torch._ops.OpOverload)


def _real(function: Any) -> Callable[..., Any]:
    """`function`, whose result has to be a real number: as a symbol it is taken for one."""

    def real(*args: Any, **kwargs: Any) -> Any:
        number = function(*args, **kwargs)
        if isinstance(number, complex):
            raise OutsideCapture(f"{function.__name__}{args} is a complex number")
        return number

    return real


def may_refuse(islands: Mapping[int, Any]) -> bool:
    """Whether there are data that an island does not compute with."""
    return any(getattr(island, "may_refuse", False) for island in islands.values())


def _fetch(owner: fx.GraphModule, path: str) -> Any:
    value: Any = owner
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _is_getitem_of(node: fx.Node, source: fx.Node) -> bool:
    return getattr(node.target, "__name__", "") == "getitem" and node.args[0] is source


def _leaf_outputs(run: IslandFn, positions: Sequence[int], outputs: Sequence[fx.Node]) -> IslandFn:
    # One tensor may be several arguments of the leaf; it crosses once.
    picked = [int(node.args[1]) for node in outputs]  # type: ignore[arg-type]

    def island(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results = run(*(tensors[index] for index in positions))
        return tuple(results[index] for index in picked)

    return island


class Calls:
    """How often an island ran, and for how long in all."""

    __slots__ = ("_lock", "count", "nanoseconds")

    def __init__(self) -> None:
        self.count = 0
        self.nanoseconds = 0
        self._lock = threading.Lock()

    def add(self, nanoseconds: int) -> None:
        with self._lock:
            self.count += 1
            self.nanoseconds += nanoseconds


def counters(islands: Mapping[int, Any]) -> dict[int, Calls]:
    """The counters of a program's islands; kernels of users have none."""
    return {key: island.calls for key, island in islands.items() if hasattr(island, "calls")}


def _guarded(run: IslandFn, nodes: Sequence[fx.Node]) -> IslandFn:
    label = ", ".join(dict.fromkeys(str(node.target) for node in nodes if not _is_plain(node)))
    island = guarded(run, label, source_text(location_of(nodes[0])) if nodes else "")
    island.may_refuse = any(map(_is_number, nodes))  # type: ignore[attr-defined]
    return island


def guarded(run: IslandFn, label: str, where: str) -> IslandFn:
    """`run` without gradients, counted, its errors saying where in the model they arose."""
    calls = Calls()
    now, enabled, enable = time.perf_counter_ns, torch.is_grad_enabled, torch._C._set_grad_enabled

    def island(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        begin = now()
        # What torch.no_grad() does, at a fraction of its price.
        gradients = enabled()
        if gradients:
            enable(False)
        try:
            if not autocast.autocasting():
                return run(*tensors)
            # The graph has the casts of autocast written out.
            with autocast.suspended():
                return run(*tensors)
        except Exception as error:
            error.add_note(f"raised in the PyTorch island {label} ({where})")
            raise
        finally:
            if gradients:
                enable(True)
            calls.add(now() - begin)

    island.calls = calls  # type: ignore[attr-defined]
    return island


def _is_plain(node: fx.Node) -> bool:
    return getattr(node.target, "__name__", "") == "getitem"
