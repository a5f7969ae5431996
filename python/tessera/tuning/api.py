# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.tune``, and what ``tune=`` means elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from tessera._settings import TUNE_MODES, settings
from tessera.compiled import CompiledModule
from tessera.errors import ArgumentError, ArgumentTypeError
from tessera.execution import Execution, ProgramExecution
from tessera.staged import StagedProgram
from tessera.tuning.progress import progress_for
from tessera.tuning.result import Tuning
from tessera.tuning.session import MODES, Session, active, suspended
from tessera.tuning.stored import store, using

#: Of this process, in order.
finished: list[Tuning] = []


def mode_of(tune: Any, function: str) -> str:
    """The mode that a ``tune=`` asks for: the setting where it is None."""
    if tune is None:
        return settings().tune
    if not isinstance(tune, str) or tune not in TUNE_MODES:
        names = ", ".join(f'"{mode}"' for mode in TUNE_MODES)
        raise ArgumentError(
            f"{function}: tune must be one of {names}, not {tune!r}",
            remedy='"cached", the default, uses what was tuned before; "quick" and "full" search '
            "for what was not",
        )
    return tune


@contextlib.contextmanager
def tuning(
    mode: str, *, seconds: float | None = None, progress: bool | None = None
) -> Iterator[Session | None]:
    """Programs compiled inside use tuned schedules as `mode` says, and are tuned if it says so."""
    with using(mode):
        if mode not in MODES:
            with suspended() if mode == "off" else contextlib.nullcontext():
                yield None
            return
        outer = active()
        if outer is not None and seconds is None:
            seconds = outer.seconds
        session = Session(mode, store(), seconds=seconds, progress=progress_for(progress))
        finished.append(session.result)
        with session.running():
            yield session


def tune(
    model: nn.Module | CompiledModule,
    *inputs: Any,
    example_kwargs: Mapping[str, Any] | None = None,
    mode: str = "quick",
    seconds: float | None = None,
    threads: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
) -> Tuning:
    """Searches for better schedules of a model's kernels, for calls like ``model(*inputs)``.

    ``model`` is a PyTorch module, which is converted, or a converted one, which uses what was found
    from its next call on; either way it is ``result.module``. Printed, the result is a table of
    kernels, times before and after, and what was changed.

    ``mode="quick"`` searches for about half a minute, ``"full"`` for up to ten; ``seconds`` sets
    another limit. Kernels found in the store are not searched again, nor those that take next to
    no time. Each point is held against the default's results before it is timed, and replaces it
    only where it is faster beyond noise. What is found is stored kernel by kernel: Ctrl-C keeps it
    and returns. ``progress`` shows a bar on standard error; by default on terminals.
    ``threads`` and ``precision`` are those of from_pytorch, for a model that is not converted yet.

    Raises ArgumentError, ArgumentTypeError and what from_pytorch raises.
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise ArgumentError(
            f"tune: mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}",
            remedy="to convert without a search, use ts.from_pytorch(…)",
        )
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and seconds > 0):
        raise ArgumentError(f"tune: seconds must be a positive number, not {seconds!r}")
    if not isinstance(model, (nn.Module, CompiledModule)):
        raise ArgumentTypeError(
            f"tune takes a torch.nn.Module or a converted one, not {type(model).__name__}",
            remedy="convert the model with ts.from_pytorch(model, example_inputs=(…))",
        )
    kwargs = dict(example_kwargs or {})
    with tuning(mode, seconds=seconds, progress=progress) as session:
        assert session is not None
        if isinstance(model, CompiledModule):
            for name, value in (("threads", threads), ("precision", precision)):
                if value is not None:
                    raise ArgumentError(
                        f"tune: {name}={value!r} came too late: the model is converted already",
                        remedy=f"leave {name}= out, or convert it again with "
                        f"from_pytorch({name}=…)",
                    )
            _tune_converted(model, session, inputs, kwargs)
        else:
            from tessera.api import from_pytorch

            model = from_pytorch(
                model,
                inputs,
                example_kwargs=kwargs,
                threads=threads,
                tune="cached",
                precision=precision,
            )
            if model._present().report.mode != "compiled":
                model(*inputs, **kwargs)  # which compiles the parts it calls
        session.result.module = model
    return session.result


def _tune_converted(
    model: CompiledModule, session: Session, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Has the programs tuned that answer a call, those made for it among them."""
    if inputs or kwargs:
        model(*inputs, **kwargs)
    for owner, execution in _programs_of(model, model._present()):
        if isinstance(execution.program, StagedProgram):
            # It compiles as calls need it, here for the next one.
            owner._catch_up()
            if inputs or kwargs:
                model(*inputs, **kwargs)
        elif not session.has_seen(execution.program.compiled):
            with using(None, owner._options.prepack):
                execution.program = execution.program.recompiled(execution.report)
            with owner._lock:
                owner.__dict__["_fast"] = None
                owner.__dict__["_quick"] = {}


def _programs_of(
    owner: CompiledModule, execution: Execution
) -> Iterator[tuple[CompiledModule, ProgramExecution]]:
    """What answers calls, here and in submodules compiled on their own."""
    if isinstance(execution, ProgramExecution):
        yield owner, execution
    for child in execution._parts().values():
        current = getattr(child, "_current", None)
        if isinstance(child, CompiledModule) and current is not None:
            yield from _programs_of(child, current)
