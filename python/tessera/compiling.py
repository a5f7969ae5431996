# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a call of one form becomes: captures a converted module, and has its program built."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from tessera import phases
from tessera.capture.export import Captured
from tessera.capture.hooks import outermost_hooked
from tessera.capture.ladder import RUNG_EXPORT, RUNG_MODULES, climb
from tessera.capture.leaves import Leaf
from tessera.capture.signature import CallSignature, as_torch
from tessera.capture.trees import opened
from tessera.errors import ArgumentError, CaptureError, ConversionError
from tessera.execution import Execution, ProgramExecution, in_python, report_forward
from tessera.garbage import collection_paused
from tessera.module import AnyModule, Module
from tessera.program import Program, build_program
from tessera.report.crossings import warning_of
from tessera.report.report import CaptureAttempt, Report
from tessera.shims import adapter, is_container
from tessera.sizes import SizedCaptures
from tessera.strict import complete_error
from tessera.tensor import Tensor
from tessera.watch import plain_entries, watched_entries

if TYPE_CHECKING:
    from tessera.compiled import CompiledModule

CROSSINGS_LOG = logging.getLogger("tessera.islands")


def compile_execution(
    owner: CompiledModule,
    signature: CallSignature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Execution:
    """Captures and compiles `owner` for calls of this form."""
    # Before capture: what changes meanwhile is noticed by the first call.
    entries = watched_entries(owner)
    settings = plain_entries(owner)
    with collection_paused(), phases.conversion(type(owner._torch).__name__):
        execution = _make_execution(owner, signature, args, kwargs)
    phases.print_phases(execution.report)
    execution.settings = settings
    execution.watch(entries)
    return execution


def _make_execution(
    owner: CompiledModule,
    signature: CallSignature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Execution:
    module = owner._torch
    report = Report(model=type(module).__name__ + (f" ({owner._path})" if owner._path else ""))
    options = owner._options
    report.precision = options.precision
    threads = options.threads
    plain_args, plain_kwargs = pytree.tree_map_only(Tensor, as_torch, opened((args, kwargs)))
    unusual = signature.unusual
    if unusual:
        _refuse_unusual(report, unusual, options.strict)
        return in_python(owner, signature, report)
    flat = [as_torch(item) for item in signature.match(args, kwargs, report.model)]
    leaves = kept_leaves(owner)
    gradients = options.gradients and torch.is_grad_enabled()
    captures: SizedCaptures | None = None
    sized = owner._dynamic is not None

    def symbolic() -> Captured | None:
        nonlocal captures, sized
        captures = None if leaves or gradients else owner._captures(signature)
        if captures is None:
            return None
        captured = captures.at(signature, (plain_args, plain_kwargs))
        sized = sized or captured is not None
        return captured

    def build(captured: Captured) -> Program:
        return build_program(
            report.model,
            module,
            signature,
            replace(captured, precision=options.precision),
            report,
            threads=threads,
            strict=options.strict,
            example=[flat[place] for place in signature.tensor_positions],
            family=None
            if captures is None
            else captures.taught(signature, threads, options.precision),
        )

    hybrid: dict[str, CompiledModule] = {}
    try:
        with phases.phase(report, "capture"):
            result = climb(
                module,
                plain_args,
                plain_kwargs,
                build,
                leaves=leaves,
                training=owner._training_flags(),
                strict=options.strict,
                symbolic=symbolic,
                gradients=gradients,
                stand_in=lambda path: _hybrid_child(owner, path, hybrid),
            )
    except CaptureError as error:
        attempts = getattr(error, "attempts", [])
        if not options.strict or not attempts:
            raise
        report.capture = attempts
        report_forward(report, owner)
        raise complete_error(owner, error, report, plain_args, plain_kwargs) from error
    report.capture = result.attempts
    if result.value is not None:
        _warn_of_crossings(owner, report)
        return ProgramExecution(owner, result.value, report, hybrid, sized=sized)
    return in_python(owner, signature, report, whole=result.whole)


def _refuse_unusual(report: Report, what: str, strict: bool) -> None:
    """Says that nothing is captured for arguments that only PyTorch computes with."""
    reason = f"{what}, which only PyTorch computes with"
    if strict:
        raise ConversionError(
            f"{report.model}: {reason}",
            report=report,
            remedy="pass dense tensors on the CPU, or convert with strict=False",
        )
    report.capture = [CaptureAttempt(RUNG_EXPORT, False, reason, next_rung=RUNG_MODULES)]


def _warn_of_crossings(owner: CompiledModule, report: Report) -> None:
    """Says so, once a model, when its calls go back and forth between compiled code and PyTorch."""
    text = warning_of(report)
    root: Any = owner
    while (above := next(root._living_owners(), None)) is not None:
        root = above
    if text and not root.__dict__.get("_told_of_crossings"):
        root.__dict__["_told_of_crossings"] = True
        CROSSINGS_LOG.warning("%s", text)


def _hybrid_child(
    owner: CompiledModule, path: str, hybrid: dict[str, CompiledModule]
) -> Callable[..., Any] | None:
    """What runs a child that capture does not get through: its own mirror, so that what is below is
    compiled. None where nothing is, or where the mirror would keep state of its own."""
    child: Any = owner.get_submodule(path)
    if not any(not is_container(item) for item in list(child._torch.modules())[1:]):
        return None
    hybrid[path] = child
    return adapter(child)


def kept_leaves(owner: CompiledModule) -> list[Leaf]:
    """Children that capture must not look into: replaced ones, and those with hooks."""
    replaced: Mapping[str, AnyModule] = owner._replaced()
    leaves = []
    for path, child in replaced.items():
        leaves.append(
            Leaf(
                path,
                owner._torch.get_submodule(path),
                adapter(child),
                "replaced",
                f"{path} was replaced by {child._label() if isinstance(child, Module) else child}",
                "",
                native=True,
            )
        )
    for path, hooked in outermost_hooked(owner._torch, owner._options.gradients).items():
        if any(path == other or path.startswith(f"{other}.") for other in replaced):
            continue
        inside = [other for other in replaced if other.startswith(f"{path}.")]
        if inside:
            raise ArgumentError(
                f"{path} has forward hooks, which keep it in PyTorch, and {inside[0]} inside of "
                "it was replaced",
                remedy="remove the hooks, or replace the hooked module as a whole",
            )
        leaves.append(
            Leaf(
                path,
                hooked,
                hooked,
                "forward-hook",
                f"{path} has forward hooks, which only PyTorch can run",
                "remove the hooks before converting, if their effect is not needed",
            )
        )
    return leaves
