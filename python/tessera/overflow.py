# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What answers calls of further forms, once a module has as many programs as it may."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tessera.capture.signature import CallSignature
from tessera.errors import ArgumentError
from tessera.execution import EagerExecution, Execution
from tessera.report.report import IslandRow, NodeRow, Report
from tessera.watch import watched_entries

if TYPE_CHECKING:
    from tessera.compiled import CompiledModule

LOG = logging.getLogger("tessera.compile")


class OverflowExecution(EagerExecution):
    """PyTorch alone, for calls of every form that there is no program for."""

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        signature = CallSignature.of(self.owner._torch.forward, args, kwargs, objects=True)
        return self._in_pytorch(signature, signature.match(args, kwargs))


def overflow_execution(owner: CompiledModule, signature: CallSignature | None) -> Execution:
    """What runs calls of further forms once `owner` has as many programs as it may.

    Raises ArgumentError where nothing may run in PyTorch.
    """
    assert signature is not None
    limit = owner._options.max_signatures
    name = owner._label()
    remedy = (
        "pad the inputs to few sizes, pass numbers that change as tensors, or allow more with "
        "max_signatures"
    )
    reason = f"{name} was called with more than {limit} forms of arguments"
    if owner._options.strict:
        raise ArgumentError(f"{reason}; the latest: {signature}", remedy=remedy)
    LOG.warning(
        "%s; from now on PyTorch runs those that are new, beginning with %s. What to do: %s",
        reason, signature, remedy,
    )  # fmt: skip
    module = type(owner._torch).__name__
    report = Report(model=module + (f" ({owner._path})" if owner._path else ""), mode="pytorch")
    code = "too-many-forms"
    report.nodes = [
        NodeRow(
            "forward", f"{module}.forward", owner._path, "", 0, "island", code, reason, remedy,
            island=0,
        )
    ]  # fmt: skip
    report.islands = [IslandRow(0, owner._path, [f"{module}.forward"], code, reason, remedy)]
    execution = OverflowExecution(owner, signature, report)
    execution.watch(watched_entries(owner))
    return execution
