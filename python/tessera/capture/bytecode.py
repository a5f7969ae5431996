# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Capture of the code in place of a run of it: ``torch.export(strict=True)``.

A run on tensors without data ends where Python makes a number of one, `int(x)`, `float(x)` or
`math.sqrt(x)`: they have to give Python's own numbers. Who reads the bytecode sees what is done
with the number, and records that.

Nothing of the module runs, so nothing tells which attributes it writes: a run on the example says
so beforehand, and modules that write any are not captured this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from tessera.capture.objects import copied_arguments
from tessera.capture.state import AttributeState
from tessera.errors import CaptureError


def looks_at_data(error: BaseException) -> bool:
    """Whether a capture ended where the code asked for a number that only run time knows."""
    if isinstance(error, GuardOnDataDependentSymNode):
        return True
    # Imported by torch.export, which has run by now; by itself that takes seconds.
    from torch._dynamo.exc import UserError

    return isinstance(error, UserError) and "data-dependent" in str(error)


def require_no_state(trial: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """CaptureError if a call of `trial`, a copy with buffers of its own, writes attributes."""
    state = AttributeState(trial)
    copied = copied_arguments((tuple(args), kwargs), torch.clone)
    state.begin()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        trial(*copied[0], **copied[1])
    state.end()
    if state.changed():
        raise CaptureError("forward() writes attributes")
