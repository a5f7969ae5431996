# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Capture of the code in place of a run of it: ``torch.export(strict=True)``.

A run on tensors without data ends where Python makes a number of one, `int(x)`, `float(x)` or
`math.sqrt(x)`: they have to give Python's own numbers. Who reads the bytecode sees what is done
with the number, and records that.

It records operators only. What else the code does to the world is lost, so a call on the example
shows beforehand which code runs, and what it leaves behind; only plain code is captured this way.
"""

from __future__ import annotations

import contextlib
import dis
import sys
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from tessera.capture.objects import is_object
from tessera.capture.state import AttributeState
from tessera.capture.trial import call_once
from tessera.errors import CaptureError

#: Dynamo answers these with yes; a call, with no.
_QUESTIONS = frozenset(
    ("is_compiling", "is_dynamo_compiling", "is_exporting", "is_fx_tracing", "is_tracing")
)
#: Dynamo forgets checks of numbers that it makes of floating-point ones.
_CHECKS = ("_assert", "_check")
_NOT_THE_USERS = frozenset((*sys.stdlib_module_names, "tessera", "torch"))


def looks_at_data(error: BaseException) -> bool:
    """Whether a capture ended where the code asked for a number that only run time knows."""
    if isinstance(error, GuardOnDataDependentSymNode):
        return True
    # Imported by torch.export, which has run by now; by itself that takes seconds.
    from torch._dynamo.exc import UserError

    return isinstance(error, UserError) and "data-dependent" in str(error)


def require_plain(trial: nn.Module, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What a call of `trial` gives. CaptureError if the call leaves more behind than tensors that
    were written, or runs code that asks, checks or catches."""
    state = AttributeState(trial)
    registered = _registered(trial)
    state.begin()
    with _noting_code() as ran:
        result = call_once(trial, args, kwargs)
    state.end()
    if state.changed():
        raise CaptureError("forward() writes attributes")
    if _registered(trial) != registered:
        raise CaptureError("forward() puts another tensor in the place of a buffer or parameter")
    for code, reads in ran.items():
        objection = _objection(code) or ("reads what may change elsewhere" if reads else "")
        if objection:
            raise CaptureError(f"{code.co_filename}:{code.co_firstlineno} {objection}")
    return result


def _registered(root: nn.Module) -> dict[tuple[Any, str], int]:
    """What modules, and their classes, have under their names."""
    held: dict[tuple[Any, str], int] = {}
    for path, module in root.named_modules(remove_duplicate=False):
        for name, tensor in (*module._buffers.items(), *module._parameters.items()):
            held[path, name] = id(tensor)
        for name, value in vars(type(module)).items():
            held[type(module), name] = id(value)
    return held


@contextlib.contextmanager
def _noting_code() -> Iterator[dict[types.CodeType, bool]]:
    """The code of the user's and of other libraries that runs meanwhile, and whether it reads
    globals or variables of functions around it that may change."""
    ran: dict[types.CodeType, bool] = {}

    def note(frame: types.FrameType, event: str, _: Any) -> None:
        module = str(frame.f_globals.get("__name__", ""))
        if event == "call" and module.partition(".")[0] not in _NOT_THE_USERS:
            ran[frame.f_code] = ran.get(frame.f_code, False) or _reads_mutable(frame)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield ran
    finally:
        sys.setprofile(before)


def _reads_mutable(frame: types.FrameType) -> bool:
    code, around = frame.f_code, frame.f_locals
    values = [frame.f_globals.get(name) for name in code.co_names]
    values += [around.get(name) for name in code.co_freevars if name != "__class__"]
    return any(
        isinstance(value, (list, dict, set, bytearray))
        or (is_object(value) and type(value).__module__.partition(".")[0] not in _NOT_THE_USERS)
        for value in values
    )


def _objection(code: types.CodeType) -> str:
    """Why a capture of this code may compute something else than a call; empty if it does not."""
    if not _QUESTIONS.isdisjoint(code.co_names):
        return "asks whether it is captured"
    if any(name.startswith(_CHECKS) for name in code.co_names):
        return "checks numbers"
    found = Counter(instruction.opname for instruction in dis.get_instructions(code))
    if found["LOAD_ASSERTION_ERROR"]:
        return "checks numbers"
    if found["PUSH_EXC_INFO"] > found["WITH_EXCEPT_START"]:
        return "handles exceptions"
    return "writes globals" if found["STORE_GLOBAL"] or found["DELETE_GLOBAL"] else ""
