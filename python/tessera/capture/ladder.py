# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ways to capture a model, best first.

1. ``torch.export.export`` of the whole model, by a run of it, or where that ends at a number read
   from a tensor (`int(x)`) by its bytecode;
2. the same with the submodules that failed kept opaque (they run in PyTorch);
3. ``torch.fx.symbolic_trace``, its calls into code that cannot be exported kept opaque, and the
   trace exported: for forward methods that call extensions without a fake kernel;
4. module-wise: the model's own ``forward`` stays Python and each of its children is compiled.

Every failure says which line of the user's code it was and what is tried next.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from tessera.capture import autocast
from tessera.capture.bytecode import looks_at_data
from tessera.capture.export import Captured, export, export_from_code
from tessera.capture.leaves import Leaf
from tessera.capture.provenance import error_source, first_line, innermost_module
from tessera.capture.state import StatefulError
from tessera.capture.symbolic import trace_symbolically
from tessera.capture.trial import own_error
from tessera.errors import CaptureError, CompileError, InternalError, TesseraError
from tessera.lowering.importer import CannotCross
from tessera.report.report import CaptureAttempt

LOG = logging.getLogger("tessera.capture")

RUNG_EXPORT = "torch.export"
RUNG_CODE = "torch.export of the bytecode"
RUNG_LEAVES = "torch.export with submodules kept in PyTorch"
RUNG_SYMBOLIC = "torch.fx.symbolic_trace"
RUNG_MODULES = "module-wise"
#: Times that submodules are put aside before the next rung is tried.
MAX_ROUNDS = 16
#: Why a module failed: its class, the message without its numbers, and the line.
_Reason = tuple[type[nn.Module], str, tuple[str, int]]


@dataclass
class Climb:
    """How far capture got: `value` is what `build` made, None when only module-wise is left."""

    value: Any = None
    #: whether submodules share state, so that they cannot be converted apart from one another
    whole: bool = False
    attempts: list[CaptureAttempt] = field(default_factory=list)


def climb(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    build: Callable[[Captured], Any],
    *,
    leaves: Sequence[Leaf] = (),
    training: Mapping[int, bool] | None = None,
    strict: bool = False,
    symbolic: Callable[[], Captured | None] | None = None,
    gradients: bool = False,
    stand_in: Callable[[str], Callable[..., Any] | None] | None = None,
) -> Climb:
    """Captures `module` by the first rung that works and hands the result to `build`.

    `build` may refuse a capture by raising CannotCross. With `strict` a failure of the first rung
    is an error. `stand_in` gives what runs a submodule that failed, if not that itself. `symbolic`
    gives the first rung's capture, out of one that was made for many sizes,
    or None where that one does not hold. With `gradients` there are two rungs, the first and the
    last: autograd itself connects what is module-wise.
    """

    def refusing(captured: Captured) -> Any:
        try:
            return build(captured)
        except InternalError:
            # PyTorch's fake tensors let pass some of what PyTorch refuses, mixed dtypes say.
            error = own_error(module, args, kwargs, training, gradients)
            if error is None:
                raise
            raise error from None

    result = Climb()
    aside = list(leaves)
    reasons: set[_Reason] = set()
    rounds = 0
    names = {id(child): name for name, child in module.named_modules() if name}
    rung = RUNG_EXPORT
    while True:
        try:
            ready = symbolic() if symbolic is not None and rung == RUNG_EXPORT else None
            if gradients and aside:
                raise CaptureError(f"{aside[0].reason}, and so do gradients through it")
            captured = ready or export(
                module, args, kwargs, leaves=aside, training=training, gradients=gradients
            )
        except TesseraError as error:
            if not isinstance(error, CaptureError):
                raise
            failure: Exception = error
        except Exception as error:  # torch's, or the model's own
            failure = error
        else:
            return _built(result, rung, captured, refusing, strict)
        by_code = None
        if rung == RUNG_EXPORT and not aside and not gradients and looks_at_data(failure):
            by_code = _by_code(module, args, kwargs, training)
        if by_code is not None:
            result.attempts.append(_attempt(rung, failure, RUNG_CODE))
            return _built(result, RUNG_CODE, by_code, refusing, strict)
        if gradients and not strict:
            result.attempts.append(_attempt(rung, failure, RUNG_MODULES))
            return result
        culprit = (
            failure.fqn
            if isinstance(failure, StatefulError)
            else innermost_module(failure, _names_of_copies(failure, names, module))
        )
        child = dict(module.named_modules()).get(culprit) if culprit else None
        known = any(leaf.fqn == culprit for leaf in aside)
        sharing = failure.others if isinstance(failure, StatefulError) else ()
        if strict or child is None or known or rounds >= MAX_ROUNDS or "" in sharing:
            # A symbolic trace would not keep state either.
            stateful = isinstance(failure, StatefulError)
            following = RUNG_MODULES if stateful else RUNG_SYMBOLIC
            result.attempts.append(_attempt(rung, failure, following))
            _stop_if(strict, result, failure)
            if stateful:
                result.whole = bool(sharing)
                return result
            break
        result.attempts.append(_attempt(rung, failure, f"{RUNG_LEAVES}: {culprit}"))
        rung = RUNG_LEAVES
        rounds += 1
        # A stand-in may be a copy, with state of its own.
        instead = None if isinstance(failure, StatefulError) or stand_in is None else stand_in
        for path in (str(culprit), *sharing, *_alike(module, str(culprit), failure, reasons)):
            if any(leaf.fqn == path or path.startswith(f"{leaf.fqn}.") for leaf in aside):
                continue
            aside = [leaf for leaf in aside if not leaf.fqn.startswith(f"{path}.")]
            target = instead(path) if instead is not None else None
            aside.append(_failed_leaf(path, module.get_submodule(path), failure, target))
    try:
        captured = trace_symbolically(module, args, kwargs, leaves=aside, training=training)
    except TesseraError as error:
        if not isinstance(error, CaptureError):
            raise
        result.attempts.append(_attempt(RUNG_SYMBOLIC, error, RUNG_MODULES))
        return result
    except Exception as error:
        result.attempts.append(_attempt(RUNG_SYMBOLIC, error, RUNG_MODULES))
        return result
    return _built(result, RUNG_SYMBOLIC, captured, refusing, strict)


def _alike(
    root: nn.Module,
    culprit: str,
    error: Exception,
    reasons: set[_Reason],
) -> Sequence[str]:
    """The submodules that would fail as `culprit` has: each costs a capture to be found out.

    State says so by itself. Of other failures the second at one line of a class does, since the
    first may be its module's own (a flag, say); `reasons` are those seen so far.
    """
    if isinstance(error, StatefulError):
        return error.alike
    kind, place = type(root.get_submodule(culprit)), error_source(error)
    reason = kind, re.sub(r"\d+", "", first_line(error)), place
    if not place[0] or reason not in reasons:
        reasons.add(reason)
        return ()
    return [path for path, child in root.named_modules() if path and type(child) is kind]


def _by_code(
    module: nn.Module,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    training: Mapping[int, bool] | None,
) -> Captured | None:
    """The capture from bytecode; None where there is none, for whatever reason."""
    try:
        return export_from_code(module, args, kwargs, training=training)
    except Exception as error:  # torch's, or the model's own
        LOG.info("%s: failed: %s", RUNG_CODE, first_line(error))
        return None


def _built(
    result: Climb, rung: str, captured: Captured, build: Callable[[Captured], Any], strict: bool
) -> Climb:
    """Hands a capture on; one whose borders cannot be crossed leaves only the last rung."""
    try:
        with autocast.suspended():
            result.value = build(captured)
        result.attempts.append(CaptureAttempt(rung, True))
        LOG.info("%s", result.attempts[-1])
    except CannotCross as error:
        result.attempts.append(_attempt(rung, error, RUNG_MODULES))
        _stop_if(strict, result, error)
    except CompileError as error:
        # Smaller programs may compile where the whole does not.
        if strict:
            raise
        result.attempts.append(_attempt(f"{rung}, then compiling", error, RUNG_MODULES))
    finally:
        if not captured.session.kept:
            captured.session.close()
    return result


def _attempt(rung: str, error: BaseException, next_rung: str) -> CaptureAttempt:
    file, line = error_source(error)
    if isinstance(error, CannotCross):
        _, file, line = error.location
    attempt = CaptureAttempt(rung, False, first_line(error), file, line, next_rung)
    LOG.warning("%s", attempt)
    return attempt


def _stop_if(strict: bool, climb: Climb, error: BaseException) -> None:
    if not strict:
        return
    attempt = climb.attempts[-1]
    where = f"{attempt.file}:{attempt.line}: " if attempt.file else ""
    stop = CaptureError(
        f"{where}{attempt.rung} could not capture the model: {first_line(error)}",
        remedy=getattr(error, "remedy", "")
        or "rewrite that line without Python control flow on data (torch.where, torch.cond), "
        "or convert with strict=False, which keeps what cannot be captured in PyTorch",
    )
    stop.attempts = climb.attempts  # type: ignore[attr-defined]
    raise stop from error


def _names_of_copies(
    error: BaseException, names: dict[int, str], root: nn.Module
) -> dict[int, str]:
    """Paths by id of the modules on the failing stack: copies stand in for the originals."""
    import traceback

    found = dict(names)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        candidate = frame.f_locals.get("self")
        if isinstance(candidate, nn.Module) and type(candidate) is type(root):
            for name, child in candidate.named_modules():
                if name:
                    found.setdefault(id(child), name)
    return found


def _failed_leaf(
    fqn: str, child: nn.Module, error: BaseException, target: Callable[..., Any] | None
) -> Leaf:
    file, line = error_source(error)
    where = f" ({file}:{line})" if file else ""
    if isinstance(error, StatefulError) and fqn in error.alike:
        error = error.of(fqn)
    return Leaf(
        fqn,
        child,
        target or child,
        "capture-failed",
        f"{fqn} could not be captured: {first_line(error)}{where}"
        + ("; its forward() runs in Python over compiled submodules" if target else ""),
        getattr(error, "remedy", "")
        or "rewrite that line without Python control flow on data, or leave it in PyTorch",
    )
