# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The one complete error of a strict conversion that capture stopped.

Capture knows the first line it cannot get past. What else there is comes from a conversion that is
not strict, on a copy of the model, called once with the example.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from tessera.capture.structure import copy_structure
from tessera.errors import CaptureError, StrictCaptureError
from tessera.report.report import Report, strict_message

if TYPE_CHECKING:
    from tessera.compiled import CompiledModule


def complete_error(
    owner: CompiledModule,
    error: CaptureError,
    known: Report,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> StrictCaptureError:
    """`error` with everything else that keeps `owner` from being converted.

    `known` is the report where nothing more can be learned.
    """
    report = (_trial(owner, args, kwargs) if owner._children else None) or known
    return StrictCaptureError(
        f"{error.message}\n{strict_message(report)}", report=report, remedy=error.remedy
    )


def _trial(owner: CompiledModule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Report | None:
    """The report of a conversion that is not strict; None when the model itself fails."""
    from tessera.compiled import CompiledModule

    module = copy_structure(owner._torch, training=owner._training_flags(), clone_buffers=True)
    trial = CompiledModule(module, replace(owner._options, strict=False), path=owner._path)
    given = pytree.tree_map_only(torch.Tensor, torch.clone, (args, kwargs))
    with torch.no_grad(), torch.random.fork_rng(devices=[]), _silence():
        try:
            trial(*given[0], **given[1])
            report = trial.report
        except Exception:  # whatever the model raises, the error under way says more
            return None
    replaced = owner._replaced()
    report.children = {
        path: child for path, child in report.children.items() if path not in replaced
    }
    return report


@contextlib.contextmanager
def _silence() -> Any:
    """The failures of the trial are in the error that is being made."""
    loggers = [logging.getLogger(name) for name in ("tessera.capture", "tessera.islands")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
