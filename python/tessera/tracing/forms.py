# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The programs of one jitted function, by the form of its arguments, and how one is made."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tessera import phases
from tessera._core import OutdatedError
from tessera.capture.leaves import TreeOfTensors
from tessera.capture.provenance import error_source, first_line
from tessera.capture.signature import CallSignature
from tessera.errors import ArgumentError, CompileError, ConversionError
from tessera.lowering.context import GraphValue
from tessera.lowering.registry import Unsupported
from tessera.module import Module
from tessera.report.report import CaptureAttempt, IslandRow, NodeRow, Report, strict_message
from tessera.tensor import Tensor
from tessera.tracing.active import listening
from tessera.tracing.context import Opaque, Recorder
from tessera.tracing.program import Trace, TracedProgram, refuse_gradients

LOG = logging.getLogger("tessera.jit")
#: Programs of one form that wait for modules to be again as they were (train and eval, say).
MAX_VARIANTS = 4
#: Forms of calls that take the short way.
MAX_QUICK_FORMS = 256
_MISSING: Any = object()

_TENSORS = (torch.Tensor, torch.nn.Parameter, Tensor)

Quick = Callable[[Any, dict[str, Any]], Any]
Recorded = dict[int, list[tuple[TreeOfTensors, TreeOfTensors]]]


@dataclass(frozen=True)
class JitOptions:
    """How a function is compiled."""

    strict: bool = False
    max_signatures: int = 64
    #: 0: as many as PyTorch uses
    threads: int = 0
    #: "bf16": products, convolutions and attention of float32 on operands rounded to bfloat16
    precision: str | None = None


class Uncompiled:
    """Stands for a program where the function runs as it is."""

    outdated = False

    def __init__(self, report: Report) -> None:
        self.report = report


Made = TracedProgram | Uncompiled


class Forms:
    """Programs of one function; calls find theirs, or have it made. Safe to share by threads."""

    def __init__(self, options: JitOptions, roots: dict[str, Any], *, weak: bool = False) -> None:
        self.options = options
        #: modules whose parameters have names without a prefix, by the prefix they have
        self.roots = {} if weak else roots
        self.count = 0
        self._weak = weak
        self._programs: dict[Any, list[Made]] = {}
        self._quick: dict[Any, tuple[TracedProgram, Quick]] = {}
        self._current: Made | None = None
        self._lock = threading.RLock()

    # --- calls ----------------------------------------------------------------------------

    def call(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Answers a call."""
        form = _form(args, kwargs)
        known = self._quick.get(form)
        if known is not None:
            self._current = known[0]
            try:
                return known[1](args, kwargs)
            except OutdatedError:
                self._quick.pop(form, None)
            except (TypeError, ValueError):
                known[0].check(args, kwargs)  # says more where it was the arguments
                raise
        while True:
            made, result = self._find(function, args, kwargs)
            self._current = made
            if result is not _MISSING:
                return result
            if isinstance(made, Uncompiled):
                return run_plainly(function, args, kwargs)
            try:
                result = made(args, kwargs)
            except OutdatedError:
                continue  # another thread changed a module since
            if form is not None:
                quick = made.quick(args, kwargs)
                if quick is not None:
                    if len(self._quick) >= MAX_QUICK_FORMS:
                        self._quick.clear()
                    self._quick[form] = (made, quick)
            return result

    def _find(
        self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> tuple[Made, Any]:
        """What runs this call, and the result where making it has given one."""
        signature = inspect_arguments(function, args, kwargs)
        key = (signature.key(), torch.get_default_dtype())
        with self._lock:
            variants = self._programs.get(key, [])
            for made in variants:
                if not made.outdated:
                    return made, _MISSING
            if key not in self._programs and len(self._programs) >= self.options.max_signatures:
                return self._overflow(function, signature), _MISSING
            made, result = _Making(self, function, signature, args, kwargs).run()
            # The oldest of those that wait is the least likely to come back.
            self._programs[key] = [*variants[-(MAX_VARIANTS - 1) :], made]
            self.count += isinstance(made, TracedProgram)
            return made, result

    def _overflow(self, function: Callable[..., Any], signature: CallSignature) -> Made:
        made = self._programs.get(None)
        if made is not None:
            return made[0]
        name, limit = self.name_of(function), self.options.max_signatures
        reason = f"{name} was called with more than {limit} forms of arguments"
        remedy = (
            "pad the inputs to few sizes, pass numbers that change as tensors, or allow more with "
            "max_signatures"
        )
        if self.options.strict:
            raise ArgumentError(f"{reason}; the latest: {signature}", remedy=remedy)
        LOG.warning("%s; those that are new run uncompiled. What to do: %s", reason, remedy)
        uncompiled = Uncompiled(whole_report(name, function, "too-many-forms", reason, remedy))
        self._programs[None] = [uncompiled]
        return uncompiled

    # --- questions ------------------------------------------------------------------------

    def name_of(self, function: Callable[..., Any]) -> str:
        """What messages call the function."""
        if isinstance(function, Module):
            return type(function).__name__
        name: str = getattr(function, "__qualname__", None) or type(function).__name__
        return name.replace("<locals>.", "")

    @property
    def report(self) -> Report:
        """The report of the latest call."""
        if self._current is None:
            raise ArgumentError(
                "nothing is compiled before the first call", remedy="call the function once"
            )
        if isinstance(self._current, TracedProgram):
            self._current.report.count(self._current.counters)
        return self._current.report

    def ir(self, level: str, locations: bool) -> str:
        """The text of what the latest call ran."""
        report = self.report
        if not isinstance(self._current, TracedProgram):
            raise ArgumentError(
                f"{report.model} ran uncompiled, so there is no IR",
                remedy="report.nodes has the reason",
            )
        return self._current.ir(level, locations)

    def profile(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Report:
        """Measures a call."""
        made, _ = self._find(function, args, kwargs)
        self._current = made
        if isinstance(made, TracedProgram):
            made.profile(args, kwargs)
        else:
            begin = time.perf_counter()
            run_plainly(function, args, kwargs)
            made.report.timings["call"] = (time.perf_counter() - begin) * 1e3
        return made.report


class _Making:
    """Makes the program for one form of calls."""

    def __init__(
        self,
        forms: Forms,
        function: Callable[..., Any],
        signature: CallSignature,
        args: Any,
        kwargs: dict[str, Any],
    ) -> None:
        self.options = forms.options
        self.function = function
        self.signature = signature
        self.args = args
        self.kwargs = kwargs
        self.name = forms.name_of(function)
        self.report = Report(self.name, precision=forms.options.precision)
        self.roots = dict(forms.roots)
        owner = getattr(function, "__self__", None)
        if isinstance(owner, Module):
            self.roots[""] = owner
        for label, leaf in zip(signature.names, signature.leaves, strict=True):
            value = getattr(leaf, "value", None)
            if isinstance(value, Module):
                self.roots[label] = value
        self.opaque: dict[int, Opaque] = {}
        self.recorded: Recorded | None = None
        self.result: Any = _MISSING

    def run(self) -> tuple[Made, Any]:
        """The program or what stands for it, and the call's result where it is known already."""
        self._check_call()
        try:
            with phases.conversion(self.name):
                made: Made = self._program()
            phases.print_phases(self.report)
        except ConversionError:
            raise
        except Exception as error:
            made = self._uncompiled(error)
        return made, self.result

    def _program(self) -> TracedProgram:
        with phases.phase(self.report, "capture"):
            trace = self._trace()
        self.report.nodes = trace.context.rows
        if self.options.strict and self.report.unconverted:
            raise ConversionError(strict_message(self.report), report=self.report)
        threads = self.options.threads
        program = TracedProgram(self.name, trace, self.report, threads)
        if self.result is not _MISSING:
            self.result = program.in_kind(self.result, self.args, self.kwargs)
        return program

    def _check_call(self) -> None:
        """TypeError, as calling it gives, where the arguments are not the function's."""
        function = self.function
        called = function.forward if isinstance(function, Module) else function
        try:
            inspect.signature(called).bind(*self.args, **self.kwargs)
        except ValueError:
            return  # it has no signature
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None

    def _trace(self) -> Trace:
        """The trace, in which modules that cannot be traced are opaque."""
        whole = {id(root) for root in self.roots.values()}
        while True:
            trace = Trace(self.signature, self.roots, self.opaque, self.options.precision)
            try:
                trace.run(self.function)
                self.report.capture.append(CaptureAttempt("ts.jit", True))
                return trace
            except Exception as error:
                module, cause = trace.context.failed or (None, error)
                stuck = module is None or id(module) in self.opaque or id(module) in whole
                following = "" if stuck else f"{type(module).__name__} as it is"
                self._note(cause, following)
                if stuck:
                    raise cause from None
                self._set_aside(module, cause)

    def _set_aside(self, module: Any, cause: Exception) -> None:
        if self.recorded is None:
            # The one run on data, which is the answer of this call as well.
            recorder = Recorder()
            with listening(recorder):
                self.result = run_plainly(self.function, self.args, self.kwargs)
            self.recorded = recorder.calls
        native = hasattr(module, "_torch")
        self.opaque[id(module)] = Opaque(
            module,
            f"{type(module).__name__}: {first_line(cause)}",
            _remedy(cause),
            getattr(cause, "code", "trace-failed"),
            native,
            self.recorded.get(id(module), []),
        )

    def _note(self, error: Exception, following: str) -> None:
        file, line = error_source(error)
        attempt = CaptureAttempt("ts.jit", False, first_line(error), file, line, following)
        self.report.capture.append(attempt)
        if following and getattr(error, "code", "") != "converted":
            LOG.warning("%s: %s", self.name, attempt)

    def _uncompiled(self, error: Exception) -> Uncompiled:
        """The function runs as it is; where that fails too, the caller gets to see that."""
        code = "compile-failed" if isinstance(error, CompileError) else "trace-failed"
        code = error.code if isinstance(error, Unsupported) else code
        reason, remedy = first_line(error), _remedy(error)
        file, line = error_source(error)
        report = whole_report(self.name, self.function, code, reason, remedy, file, line)
        report.capture = self.report.capture
        if self.options.strict:
            raise ConversionError(strict_message(report), report=report) from error
        if self.result is _MISSING:
            self.result = run_plainly(self.function, self.args, self.kwargs)
        where = f" ({file}:{line})" if file else ""
        LOG.warning("%s runs uncompiled: %s%s. What to do: %s", self.name, reason, where, remedy)
        return Uncompiled(report)


def run_plainly(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """The function as it is: as what is compiled does, it computes no gradients."""
    signature = inspect_arguments(function, args, kwargs)
    refuse_gradients(signature.names, pytree.tree_leaves((tuple(args), kwargs)))
    with torch.no_grad():
        return function(*args, **kwargs)


def inspect_arguments(
    function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
) -> CallSignature:
    """The form of a call."""
    called = function.forward if isinstance(function, Module) else function
    return CallSignature.of(called, args, kwargs)


def whole_report(
    name: str,
    function: Callable[..., Any],
    code: str,
    reason: str,
    remedy: str,
    file: str = "",
    line: int = 0,
) -> Report:
    """The report of a function that runs uncompiled."""
    if not file:
        target = function.forward if isinstance(function, Module) else function
        place = getattr(inspect.unwrap(target), "__code__", None)
        file, line = (place.co_filename, place.co_firstlineno) if place else ("", 0)
    report = Report(name, mode="uncompiled")
    report.nodes = [NodeRow("call", name, "", file, line, "island", code, reason, remedy, island=0)]
    report.islands = [IslandRow(0, "", [name], code, reason, remedy)]
    return report


def _remedy(error: Exception) -> str:
    if isinstance(error, TypeError) and GraphValue.__name__ in str(error):
        return (
            "PyTorch's functions take PyTorch's tensors: call those of ts.ops and ts.nn, which "
            "have the same names, or keep it in a ts.Module of its own, which then runs as it is"
        )
    return getattr(error, "remedy", "") or (
        "keep it in a ts.Module of its own, which then runs as it is, or leave it as it is"
    )


def _form(args: Any, kwargs: dict[str, Any]) -> Any:
    """What tells calls of plain values apart; None for everything else."""
    parts: list[Any] = [torch.get_default_dtype()]
    for value in (*args, *kwargs.values()):
        kind = type(value)
        if kind in _TENSORS:
            parts.append((kind, tuple(value.shape), value.dtype))
        elif value is None or kind in (bool, int, float, str):
            # 0.0 and -0.0 are equal, and so are 1, 1.0 and True.
            parts.append((kind, repr(value)))
        else:
            return None
    return len(args), tuple(kwargs), tuple(parts)
