# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where the results of a call come from: the program, arguments of the caller, views of either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import InputKind, OutputKind

from tessera.capture.export import Captured
from tessera.lowering.aliasing import Alias
from tessera.lowering.importer import Imported

_NO_ALIAS = Alias(None, ())  # type: ignore[arg-type]


@dataclass(frozen=True)
class OutputSource:
    """Where one leaf of the result comes from.

    `kind` is "result" (of the program, by `index`), "base" (the same, of which only views are
    returned), "input" (the caller's own argument), "tensor"
    (a parameter or buffer, `value`), "fresh" (a copy of `value`), "constant" (`value`), "same"
    (another output's memory, by `index`) or "copy" (another output's value). `alias` is the view
    to take of it.
    """

    kind: str
    index: int = 0
    value: Any = None
    alias: Alias = _NO_ALIAS


@dataclass(frozen=True)
class WriteBack:
    """A result that goes into an argument or a buffer after the call."""

    result: int
    #: position of the argument, or None for `tensor`
    argument: int | None
    tensor: torch.Tensor | None


def _plan(captured: Captured) -> list[tuple[str, Any, Alias]]:
    """(kind, node or value, view) for each output; kinds as in OutputSource."""
    users = captured.user_inputs
    bases = _hidden_bases(captured)
    whole: dict[fx.Node, int] = {}
    for position, alias in enumerate(captured.aliases):
        if alias is not None and not alias.steps:
            whole.setdefault(alias.base, position)
    plan: list[tuple[str, Any, Alias]] = []
    for position, (output, alias) in enumerate(
        zip(captured.outputs, captured.aliases, strict=True)
    ):
        if not isinstance(output, fx.Node):
            plan.append(("constant", output[0], _NO_ALIAS))
            continue
        base = alias.base if alias is not None else None
        if alias is not None and base is not None and base.op == "placeholder":
            if base.name in users:
                plan.append(("input", users[base.name], alias))
                continue
            target, kind = captured.tensors[base.name]
            if kind in (InputKind.PARAMETER, InputKind.BUFFER):
                plan.append(("tensor", target, alias))
            else:
                plan.append(("fresh", target, alias))
            continue
        first = whole.get(base) if base is not None else None
        if alias is not None and first is not None and first < position:
            plan.append(("same", first, alias))
            continue
        if alias is not None and base in bases:
            plan.append(("base", base, alias))
            continue
        plan.append(("result", output, _NO_ALIAS))
    return plan


def _hidden_bases(captured: Captured) -> set[fx.Node]:
    """What several outputs are views of without being an output itself: as in eager PyTorch, the
    outputs are views of one memory. Known where capture left the graph as the model made it."""
    known = set(captured.program.graph.nodes)
    bases = [
        alias.base
        for alias in captured.aliases
        if alias is not None and alias.base.op != "placeholder" and alias.base in known
    ]
    whole = {alias.base for alias in captured.aliases if alias is not None and not alias.steps}
    return {base for base in bases if bases.count(base) > 1 and base not in whole}


def result_nodes(captured: Captured) -> list[fx.Node]:
    results = [value for kind, value, _ in _plan(captured) if kind in ("result", "base")]
    return list(dict.fromkeys([*results, *(node for _, _, node in captured.mutations)]))


def output_sources(captured: Captured, imported: Imported) -> list[OutputSource]:
    index = {node: position for position, node in enumerate(imported.outputs)}
    seen: dict[int, int] = {}
    sources: list[OutputSource] = []
    for position, (kind, value, alias) in enumerate(_plan(captured)):
        if kind == "result":
            number = index[value]
            # Two outputs that became one node share nothing in eager PyTorch: copy the later.
            if number in seen:
                sources.append(OutputSource("copy", seen[number]))
                continue
            seen[number] = position
            sources.append(OutputSource("result", number))
        elif kind == "base":
            sources.append(OutputSource("base", index[value], None, alias))
        elif kind in ("input", "same"):
            sources.append(OutputSource(kind, value, None, alias))
        elif kind in ("tensor", "fresh"):
            sources.append(OutputSource(kind, 0, imported.live(value), alias))
        else:
            sources.append(OutputSource("constant", 0, value))
    return sources


def write_backs(captured: Captured, imported: Imported) -> list[WriteBack]:
    index = {node: position for position, node in enumerate(imported.outputs)}
    users = captured.user_inputs
    writes: list[WriteBack] = []
    for kind, name, node in captured.mutations:
        if kind == OutputKind.USER_INPUT_MUTATION:
            writes.append(WriteBack(index[node], users[name], None))
        else:
            writes.append(WriteBack(index[node], None, imported.live(name)))
    return writes
