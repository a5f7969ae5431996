# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``tess.verify(x)``: captures the model as a call would and compares its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from tessera.capture.export import Captured
from tessera.capture.ladder import climb
from tessera.capture.objects import copied_arguments, opened_results
from tessera.capture.signature import CallSignature, as_torch
from tessera.capture.stages import depends_on_data
from tessera.capture.structure import copy_structure
from tessera.capture.trial import call_once
from tessera.compiling import kept_leaves
from tessera.report.report import Report
from tessera.staged import StagedExecutable
from tessera.tensor import Tensor
from tessera.threads import get_num_threads
from tessera.verification.replay import Subject, check_capture, verify_program
from tessera.verification.result import ModuleCheck, Verification

if TYPE_CHECKING:
    from tessera.compiled import CompiledModule

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def verify(
    owner: CompiledModule,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> Verification:
    """See :meth:`tessera.compiled.CompiledModule.verify`."""
    owner._settle()
    module = owner._torch
    name = type(module).__name__ + (f" ({owner._path})" if owner._path else "")
    args, kwargs = pytree.tree_map_only(Tensor, as_torch, (args, kwargs))
    signature = CallSignature.of(module.forward, args, kwargs, objects=True)
    flat = signature.match(args, kwargs, name)

    leaves = kept_leaves(owner)

    def build(captured: Captured) -> Verification:
        captured = replace(captured, precision=owner._options.precision)
        tensors = [flat[index] for index in signature.tensor_positions]
        threads = owner._options.threads or get_num_threads()
        if depends_on_data(captured.program, captured.outputs):
            stages = StagedExecutable(
                name, module, captured, Report(name), threads=threads, strict=False, family=None
            )
            captured = stages.settled(captured, tensors)
        names = [signature.names[index].replace('"', "'") for index in signature.tensor_positions]
        subject = Subject(name, captured, module, names, tensors, threads, rtol, atol)
        found = verify_program(subject)
        if found.ok and not leaves:
            check_capture(subject, found, _by_python(owner, args, kwargs))
        return found

    result = climb(
        module,
        args,
        kwargs,
        build,
        leaves=leaves,
        training=owner._training_flags(),
    )
    if result.value is not None:
        found: Verification = result.value
        found.notes += [f"{leaf.reason}: it is taken as it is" for leaf in leaves if leaf.native]
        return found
    return _modulewise(owner, name, args, kwargs, rtol, atol)


def _by_python(
    owner: CompiledModule, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[torch.Tensor]:
    """The tensors forward() gives when Python runs it."""
    copy = copy_structure(owner._torch, training=owner._training_flags(), clone_buffers=True)
    result = opened_results(call_once(copy, args, kwargs))
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def _modulewise(
    owner: CompiledModule,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    rtol: float | None,
    atol: float | None,
) -> Verification:
    """The forward stays Python: what it calls is verified on the arguments it calls it with."""
    result = Verification(name)
    execution = owner._execution(args, kwargs)
    parts = {path: child for path, child in execution._parts().items() if hasattr(child, "_torch")}
    copy = copy_structure(owner._torch, training=owner._training_flags(), clone_buffers=True)
    calls = _first_calls(copy, parts, args, kwargs)
    for path, (given, named) in calls.items():
        _add(result, path, verify(parts[path], given, named, rtol=rtol, atol=atol))
    idle = [path for path in parts if path not in calls]
    if idle:
        result.notes.append(f"not called with these arguments: {', '.join(idle)}")
    if not parts:
        result.notes.append(f"{name} runs in PyTorch as a whole: there is nothing to compare")
    return result


def _first_calls(
    module: nn.Module, paths: Iterable[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Arguments]:
    """The arguments of the first call of each submodule in `paths`, in the order of the calls."""
    seen: dict[str, Arguments] = {}
    for path in paths:

        def note(
            _: nn.Module, given: tuple[Any, ...], named: dict[str, Any], path: str = path
        ) -> None:
            seen.setdefault(path, (given, named))

        module.get_submodule(path).register_forward_pre_hook(note, with_kwargs=True)
    with torch.no_grad():
        copied = copied_arguments((args, kwargs), torch.clone)
        module(*copied[0], **copied[1])
    return seen


def _add(result: Verification, path: str, part: Verification) -> None:
    def moved(check: ModuleCheck) -> ModuleCheck:
        return replace(check, module=".".join(item for item in (path, check.module) if item))

    result.modules += [moved(check) for check in part.modules]
    result.notes += [f"{path}: {note}" for note in part.notes]
    if result.first is None and part.first is not None:
        result.first = moved(part.first)
        result.operator = moved(part.operator) if part.operator is not None else None
