# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Taking operators apart, one at a time, while importing.

``ExportedProgram.run_decompositions`` traces the whole program again, which costs more than
everything Tessera does; here only operators without a lowering are traced, each on its own, into
a small graph of simpler operators.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import dispatch_functionalize
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from tessera.capture import autocast
from tessera.capture.composites import composite_of
from tessera.capture.trees import staying_open

#: In-place by name only: nothing that anyone can see changes.
_HARMLESS = {"aten::detach_", "aten::lift_fresh", "aten::requires_grad_"}


#: Operators that update running statistics without saying so: the places of running_mean and of
#: the flag that lets them.
_UPDATES_STATISTICS = {
    "aten::batch_norm": (3, 5),
    "aten::native_batch_norm": (3, 5),
    "aten::_batch_norm_impl_index": (3, 5),
    "aten::instance_norm": (3, 5),
}


def is_mutating(node: fx.Node) -> bool:
    """Whether a node writes to one of its arguments."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    return target._schema.is_mutable and target._schema.name not in _HARMLESS


def updates_statistics(node: fx.Node) -> bool:
    """Whether a node is a normalization that writes to the running statistics it is given."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    places = _UPDATES_STATISTICS.get(target._schema.name)
    return places is not None and (node.args[places[0]] is not None and bool(node.args[places[1]]))


def _writes(node: fx.Node) -> bool:
    return node.op == "call_function" and (is_mutating(node) or updates_statistics(node))


def needs_functionalization(program: ExportedProgram) -> bool:
    """Whether the graph has in-place operators, autocast regions, or the borders of vmap and other
    transforms of torch.func, which hold only as a whole (also in its subgraphs).

    Under autocast it does as a whole: functionalizing writes the casts out.
    """
    if autocast.state() is not None:
        return True
    for module in program.graph_module.modules():
        if not isinstance(module, fx.GraphModule):
            continue
        for node in module.graph.nodes:
            if node.target is torch.ops.higher_order.wrap_with_autocast:
                return True
            if str(getattr(node.target, "__module__", "")).startswith("torch._functorch"):
                return True
            if _writes(node):
                return True
    return False


def functionalize(program: ExportedProgram) -> ExportedProgram:
    """The program without in-place operators; every operator that could be kept is kept whole."""
    # The one that hides its writes behind copies of the statistics: they show once it is taken
    # apart.
    hiding = torch.ops.aten.instance_norm.default
    hidden = any(node.target is hiding and updates_statistics(node) for node in program.graph.nodes)
    with staying_open():
        result: ExportedProgram = program.run_decompositions(
            {hiding: decomposition_of(hiding)} if hidden else {}
        )
    return result


@functools.cache
def _core_table() -> dict[Any, Callable[..., Any]]:
    return dict(torch.export.default_decompositions().items())


def decomposition_of(op: Any) -> Callable[..., Any] | None:
    """PyTorch's own decomposition of an operator: core ATen's table first, then all others."""
    table = _core_table()
    if op in table:
        return table[op]
    general: dict[Any, Callable[..., Any]] = torch._decomp.decomposition_table
    if op in general:
        return general[op]
    if not isinstance(op, torch._ops.OpOverload):
        return None
    return op.decompose if op._can_decompose() else composite_of(op)


def _has_generator(node: fx.Node) -> bool:
    """Whether a node draws from a generator it is given; its parts would draw from another."""
    return any(
        isinstance(leaf, torch.Generator) for leaf in pytree.tree_leaves((node.args, node.kwargs))
    )


def trace_decomposition(node: fx.Node) -> fx.GraphModule | None:
    """The graph `node` decomposes into, on the fake tensors of its arguments.

    Placeholders are the tensors among the node's flattened arguments, in order. None when the
    operator has no decomposition, or only into itself.
    """
    decomposition = decomposition_of(node.target)
    if decomposition is None or _has_generator(node):
        return None
    flat, spec = pytree.tree_flatten((node.args, node.kwargs))
    values = [item.meta.get("val") if isinstance(item, fx.Node) else item for item in flat]
    positions = [index for index, value in enumerate(values) if isinstance(value, torch.Tensor)]
    if any(not isinstance(values[index], FakeTensor) for index in positions):
        return None
    first: Any = values[positions[0]] if positions else None
    mode = FakeTensorMode() if first is None else first.fake_mode

    def run(*tensors: torch.Tensor) -> Any:
        leaves = list(values)
        for index, tensor in zip(positions, tensors, strict=True):
            leaves[index] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, spec)
        result = decomposition(*args, **kwargs)
        if result is NotImplemented:
            raise NotImplementedError(str(node.target))
        # A named tuple would be one more call in the graph.
        return tuple(result) if isinstance(result, tuple) else result

    def trace(function: Callable[..., Any]) -> fx.GraphModule | None:
        try:
            with mode, torch.no_grad():
                traced = make_fx(function, tracing_mode="real")
                return traced(*(values[index] for index in positions))
        except Exception:  # a decomposition may fail on any input, in any way: the op stays whole
            return None

    graph = trace(run)
    if graph is not None and _mutates(graph):
        # Most of them only finish a tensor of their own in place.
        graph = None if _mutates_inputs(graph) else trace(dispatch_functionalize(run))
    if graph is None or _mutates(graph):
        return None
    if any(inner.target is node.target for inner in graph.graph.nodes):
        return None
    return graph


def of_tensors(
    function: Callable[..., Any], kind: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], list[Any]]:
    """A call of `function` as a function of the tensors among its arguments, all else fixed.

    Returns it with the arguments of `kind`, which stand for the tensors, in the order it takes
    them.
    """
    flat, spec = pytree.tree_flatten((args, dict(kwargs)))
    places = [index for index, item in enumerate(flat) if isinstance(item, kind)]

    def call(*tensors: torch.Tensor) -> Any:
        leaves = list(flat)
        for place, tensor in zip(places, tensors, strict=True):
            leaves[place] = tensor
        given, named = pytree.tree_unflatten(leaves, spec)
        return function(*given, **named)

    return call, [flat[place] for place in places]


def trace_call(
    function: Callable[..., Any], tensors: Sequence[torch.Tensor], mode: FakeTensorMode
) -> fx.GraphModule | None:
    """A call of a function of PyTorch on fake tensors of `mode`, as a graph of ATen's operators.

    Operators stay whole where they can. None where the call writes to one of the tensors. What the
    function raises passes through.
    """

    def trace(run: Callable[..., Any], whole: bool) -> fx.GraphModule:
        with mode, torch.no_grad():
            return make_fx(run, tracing_mode="real", pre_dispatch=whole)(*tensors)

    graph = trace(function, True)
    if _mutates(graph):
        # Most functions only finish a tensor of their own in place.
        if _mutates_inputs(graph):
            return None
        graph = trace(dispatch_functionalize(function), False)
    return None if _mutates(graph) else graph


def inline(
    graph: fx.Graph, node: fx.Node, function: Callable[..., Any], copies: Mapping[fx.Node, Any]
) -> Any:
    """What `function` of a node's arguments is, built into `graph`: a node, or a tuple of them.

    `copies` are the values of the node's own graph in `graph`, whose fake tensors are traced with.
    """
    given_args, given_kwargs = pytree.tree_map_only(
        fx.Node, copies.__getitem__, (node.args, node.kwargs)
    )
    run, tensors = of_tensors(function, fx.Node, tuple(given_args), given_kwargs)
    fakes = [item.meta["val"] for item in tensors]
    body = trace_call(run, fakes, fakes[0].fake_mode)
    assert body is not None, "the function of an operator writes to nothing"
    inside: dict[fx.Node, Any] = {}
    given = iter(tensors)
    for inner in body.graph.nodes:
        if inner.op == "placeholder":
            inside[inner] = next(given)
        elif inner.op == "output":
            return fx.node.map_arg(inner.args[0], lambda item: inside[item])
        else:
            # No other node of the program is called so, also of those that are still to come.
            name = f"{node.name}__{inner.name}"
            args, kwargs = fx.node.map_arg((inner.args, inner.kwargs), lambda item: inside[item])
            copy = graph.create_node(inner.op, inner.target, args, kwargs, name=name)
            inside[inner] = copy
            copy.meta = {**node.meta, "val": inner.meta.get("val")}
            copy.meta.pop("unbacked_bindings", None)
    raise AssertionError("a traced graph ends in its results")


def _mutates(graph: fx.GraphModule) -> bool:
    return any(_writes(node) for node in graph.graph.nodes)


def _mutates_inputs(graph: fx.GraphModule) -> bool:
    """Whether a write may reach an argument of the graph, through whatever views."""

    def base(node: Any) -> Any:
        while isinstance(node, fx.Node) and node.op == "call_function":
            schema = getattr(node.target, "_schema", None)
            aliases = schema is None or any(result.alias_info for result in schema.returns)
            if not aliases or not node.args:
                break
            node = node.args[0]
        return node

    for node in graph.graph.nodes:
        if not _writes(node):
            continue
        infos = [argument.alias_info for argument in node.target._schema.arguments]
        for argument, info in zip(node.args, infos, strict=False):
            written = updates_statistics(node) or (info is not None and info.is_write)
            if written and getattr(base(argument), "op", "") in ("placeholder", "get_attr"):
                return True
    return False
