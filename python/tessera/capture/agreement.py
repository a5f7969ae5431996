# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether a captured program gives what a call gives, on the example.

Asked of captures by ways on which a model may compute something else than in a call: told that it
is captured, or from its code. Only differences beyond any rounding count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils import _pytree as pytree

from tessera.capture.objects import opened_arguments, opened_results
from tessera.errors import CaptureError

#: What may lie between two ways to compute a model in one precision, as a share of the largest.
TOLERANCE = {
    torch.float64: 1e-8,
    torch.float32: 1e-3,
    torch.float16: 0.05,
    torch.bfloat16: 0.2,
}


def require_agreement(
    program: ExportedProgram,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    positions: Sequence[int],
    call: Callable[[], Any],
) -> None:
    """CaptureError where `program`, whose inputs are the leaves at `positions`, gives another
    result for the example than `call`. Programs that draw random numbers are not asked."""
    if any(
        torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        for node in program.graph.nodes
    ):
        return
    flat = pytree.tree_leaves(opened_arguments((tuple(args), kwargs)))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        given = iter([flat[place].detach().clone() for place in positions])
        found = _run(program, given)
    wanted = pytree.tree_leaves(opened_results(call()))
    ours, theirs = ([_as_tensor(leaf) for leaf in side] for side in (found, wanted))
    if len(ours) != len(theirs) or not all(map(close, ours, theirs)):
        raise CaptureError(
            "captured this way, forward() gives another result than in a call",
            remedy="look at what it does where it asks whether it is compiled or exported",
        )


def _as_tensor(leaf: Any) -> torch.Tensor:
    """A result to compare; what is no number is the same on any way."""
    if isinstance(leaf, torch.Tensor):
        return leaf
    number = float(leaf) if isinstance(leaf, (bool, int, float)) else 0.0
    return torch.tensor(number, dtype=torch.float64)


def _run(program: ExportedProgram, given: Any) -> list[Any]:
    values = []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT:
            values.append(next(given))
            continue
        name = str(spec.target)
        held = program.constants[name] if name in program.constants else program.state_dict[name]
        values.append(held.detach().clone() if isinstance(held, torch.Tensor) else held)
    results = fx.Interpreter(program.graph_module).run(*values)
    return [
        spec.arg.value if isinstance(spec.arg, ConstantArgument) else value
        for value, spec in zip(results, program.graph_signature.output_specs, strict=True)
        if spec.kind == OutputKind.USER_OUTPUT
    ]


def close(value: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether two results are one but for rounding."""
    if value.shape != wanted.shape or value.dtype != wanted.dtype:
        return False
    error, allowed = difference(value, wanted)
    return error <= allowed


def difference(value: torch.Tensor, wanted: torch.Tensor) -> tuple[float, float]:
    """The largest difference and what it may be: infinities and NaN have to be the same."""
    if not value.numel():
        return 0.0, 0.0
    if value.dtype.is_complex:
        value, wanted = (torch.view_as_real(x.resolve_conj()) for x in (value, wanted))
    if not value.dtype.is_floating_point:
        return float((value != wanted).sum()), 0.0
    settled = value.isfinite() & wanted.isfinite()
    same = (value == wanted) | (value.isnan() & wanted.isnan())
    if bool((~settled & ~same).any()):
        return math.inf, 0.0
    zero = torch.zeros((), dtype=torch.float64)
    error = torch.where(settled, (value.double() - wanted.double()).abs(), zero).max()
    scale = torch.where(settled, wanted.double().abs(), zero).max()
    return float(error), TOLERANCE.get(value.dtype, 0.0) * max(float(scale), 1.0)
