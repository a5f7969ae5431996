# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Dynamo's graphs as modules.

Takes a graph whose parameters and buffers are placeholders, and leaves one that reads them from a
tree of modules, under the names they have in the user's model.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from tessera.capture.provenance import innermost_user_frame
from tessera.report.report import CaptureAttempt

_KEY = re.compile(r"\['([^']*)'\]|\[(\d+)\]|\.(\w+)")
_REGISTRIES = ("_modules", "_parameters", "_buffers")


class GraphRoot(nn.Module):
    """A tree of parameters and the graph over them."""

    graph: fx.Graph

    def forward(self, *args: Any) -> Any:
        # What a node is traced into keeps the node's module path and source line.
        with fx.traceback.preserve_node_meta():
            return fx.Interpreter(self, graph=self.graph).run(*args)


@dataclass
class GraphParts:
    """A graph and which of its original inputs are parameters."""

    owner: fx.GraphModule
    graph: fx.Graph
    #: positions of parameters and buffers among the inputs, and their paths
    parameters: dict[int, str]
    #: positions of the others that are used
    inputs: list[int]
    #: why dynamo ended the graph here
    reason: str = ""
    #: file and line of the first node
    place: tuple[str, int] = ("", 0)
    parameters_of: Callable[[Sequence[Any]], Sequence[Any]] = field(init=False)
    inputs_of: Callable[[Sequence[Any]], Sequence[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.parameters_of = _picker(list(self.parameters))
        self.inputs_of = _picker(self.inputs)

    @property
    def where(self) -> str:
        file, line = self.place
        return f"{Path(file).name}:{line}" if file else "unknown line"

    def module(self, tensors: Sequence[torch.Tensor], name: str) -> nn.Module:
        """The module over these parameters, which are in the order of `parameters`."""
        # Messages and reports call a module by its class.
        root: GraphRoot = type(name, (GraphRoot,), {})()
        root.training = self.owner.training
        for registry in _REGISTRIES:
            root.__dict__[registry].update(self.owner.__dict__[registry])
        for path, tensor in zip(self.parameters.values(), tensors, strict=True):
            *holders, last = path.split(".")
            holder: nn.Module = root
            for part in holders:
                if part not in holder._modules:
                    holder.add_module(part, nn.Module())
                holder = holder.get_submodule(part)
            if isinstance(tensor, nn.Parameter):
                holder.register_parameter(last, tensor)
            else:
                holder.register_buffer(last, tensor)
        for key, value in self.owner.__dict__.items():
            # Constants that dynamo kept as plain attributes.
            if isinstance(value, torch.Tensor):
                root.__dict__[key] = value
        root.graph = self.graph
        return root

    def operators(self) -> list[str]:
        """What the graph calls, each once."""
        names = (
            _name(node.target)
            for node in self.graph.nodes
            if node.op in ("call_function", "call_method", "call_module")
        )
        return list(dict.fromkeys(names))

    def origin(self) -> list[CaptureAttempt]:
        """How dynamo came to this graph, as a line of the report."""
        file, line = self.place
        return [CaptureAttempt("torch._dynamo", True, self.reason, file, line)]


def take_apart(module: fx.GraphModule, example_inputs: Sequence[Any]) -> GraphParts:
    """Splits the inputs of dynamo's graph into parameters and what calls give."""
    parameters: dict[int, str] = {}
    inputs: list[int] = []
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    taken = _attribute_names(module)
    position = -1
    for node in module.graph.nodes:
        if node.op == "output":
            graph.output(fx.node.map_arg(node.args[0], copies.__getitem__))
        elif node.op != "placeholder":
            copies[node] = graph.node_copy(node, copies.__getitem__)
            _strip_self(copies[node])
        else:
            position += 1
            if _is_static(node, example_inputs[position]):
                path = _unused(_path_of(node), taken)
                parameters[position] = path
                copies[node] = graph.get_attr(path)
            elif node.users:
                inputs.append(position)
                copies[node] = graph.node_copy(node)
    reason = getattr(getattr(module, "compile_subgraph_reason", None), "reason", "") or ""
    return GraphParts(
        module, graph, parameters, inputs, reason.splitlines()[0] if reason else "", _place(graph)
    )


def _picker(positions: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    if len(positions) > 1:
        return operator.itemgetter(*positions)
    return lambda args: [args[position] for position in positions]


def _is_static(node: fx.Node, example: Any) -> bool:
    """Whether an input is a parameter or buffer, which stays the same from call to call."""
    if isinstance(example, nn.Parameter):
        return True
    marks = node.meta.get("tensor_dict") or {}
    return isinstance(example, torch.Tensor) and bool(marks.get("_dynamo_static_input_type"))


def _path_of(node: fx.Node) -> str:
    """`encoder.layers.0.weight` for L['self']._modules['encoder']._modules['layers']…"""
    source = getattr(node, "_dynamo_source", None)
    name = source if isinstance(source, str) else getattr(source, "name", None)
    text = name() if callable(name) else str(name or node.target)
    head = re.match(r"[LG]\['(\w+)'\]", text)
    keys = [next(filter(None, match)) for match in _KEY.findall(text[head.end() :] if head else "")]
    keys = [key for key in keys if key not in _REGISTRIES]
    if head is not None and not keys:
        keys = [head[1]]
    parts = [part for key in keys for part in key.split(".") if part] or [str(node.target)]
    return ".".join(re.sub(r"\W", "_", part) for part in parts)


def _attribute_names(module: nn.Module) -> set[str]:
    """Every path that is taken by something of the graph's own."""
    names = {name for name, _ in module.named_modules()}
    names.update(name for name, _ in module.named_parameters(remove_duplicate=False))
    names.update(name for name, _ in module.named_buffers(remove_duplicate=False))
    names.update(vars(nn.Module()), ("graph", "forward", *dir(nn.Module)))
    return names


def _unused(path: str, taken: set[str]) -> str:
    """`path`, or a variation of it that neither is something else nor lies inside or above it."""

    def clashes(candidate: str) -> bool:
        parts = candidate.split(".")
        above = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
        return not above.isdisjoint(taken) or any(
            name.startswith(f"{candidate}.") for name in taken
        )

    candidate, count = path, 1
    while clashes(candidate):
        count += 1
        candidate = f"{path.replace('.', '_')}_{count}"
    taken.add(candidate)
    return candidate


def _strip_self(node: fx.Node) -> None:
    """Module paths without dynamo's L['self'] in front."""
    stack = node.meta.get("nn_module_stack")
    if stack:
        node.meta["nn_module_stack"] = {
            key: (re.sub(r"^[LG]\['\w+'\]\.?", "", str(path)), kind)
            for key, (path, kind) in stack.items()
        }


def _place(graph: fx.Graph) -> tuple[str, int]:
    for node in graph.nodes:
        if node.op.startswith("call") and node.meta.get("stack_trace"):
            return innermost_user_frame(node.meta["stack_trace"])
    return "", 0


def _name(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))
