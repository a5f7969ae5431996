# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What answers a call of a converted module: one program, or the model's own Python forward over
compiled children, or PyTorch alone. Which one it became is in the report.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from tessera.capture.hooks import has_user_hooks, outermost_hooked
from tessera.capture.ladder import RUNG_LEAVES, RUNG_MODULES
from tessera.capture.leaves import ResultChanged
from tessera.capture.signature import CallSignature, as_torch
from tessera.capture.specialize import OutsideCapture
from tessera.capture.structure import copy_structure
from tessera.capture.trees import opened
from tessera.errors import ArgumentError, InputMismatchError
from tessera.lowering.islands import Calls
from tessera.module import AnyModule
from tessera.program import Program
from tessera.report.report import CaptureAttempt, IslandRow, NodeRow, Report
from tessera.shims import ChildShim, SequenceShim, adapter, is_container
from tessera.tensor import Tensor, from_torch
from tessera.watch import Entry, changed

if TYPE_CHECKING:
    from tessera.compiled import CompiledModule

LOG = logging.getLogger("tessera.capture")

Call = Callable[[tuple[Any, ...], dict[str, Any]], Any]


class Execution:
    """Answers calls of one form in one mode."""

    #: whether it is one of many that differ in sizes only, and cheap to make again
    sized = False

    def __init__(self, owner: CompiledModule, signature: CallSignature, report: Report) -> None:
        self.owner = owner
        self.signature = signature
        self.report = report
        self._watched: list[Entry] = []
        #: what refresh() looks at besides
        self.settings: list[Entry] = []
        self._run = self._hooked(owner._torch)

    def _hooked(self, module: nn.Module) -> Call:
        """`_answer`, or where the user hooked the root, a call that goes through the hooks."""
        if not has_user_hooks(module, self.owner._options.gradients):
            return self._answer
        shim: nn.Module = object.__new__(module.__class__)
        shim.__dict__.update(module.__dict__)
        shim.__dict__["forward"] = lambda *args, **kwargs: self._answer(args, kwargs)
        return lambda args, kwargs: shim(*args, **kwargs)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._run(args, kwargs)

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    @property
    def fast(self) -> Callable[..., Any] | None:
        """A callable for plain tensors by position that needs nothing around it."""
        return None

    def quick(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """A shorter way for calls of exactly this form, once there is one."""
        return None

    def profile(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls and notes the time; gives the result."""
        begin = time.perf_counter()
        result = self.run(args, kwargs)
        self.report.timings["call"] = (time.perf_counter() - begin) * 1e3
        return result

    def ir(self, level: str, locations: bool) -> str:
        raise ArgumentError(
            f"{self.report.model} has no single program, so no IR: it runs {self.report.mode}",
            remedy="ask a submodule that is compiled, e.g. model.layer.ir(…)",
        )

    def watch(self, entries: list[Entry]) -> None:
        """Makes this outdated once one of `entries` is no longer what it is now."""
        self._watched = entries

    @property
    def outdated(self) -> bool:
        """Whether the model was given other modules, parameters, buffers or hooks since."""
        return changed(self._watched)

    @property
    def unbound(self) -> bool:
        """The same, of plain attributes and of tensors that are no part of the state as well."""
        return self.outdated or changed(self.settings)

    def refresh(self) -> None:
        """Reads parameters again."""

    def full_report(self) -> Report:
        """The report, with those of the submodules that have programs of their own."""
        self.report.count(self._counters())
        self.report.children = {}
        for path, child in self._parts().items():
            current = getattr(child, "_current", None)
            if current is not None:
                self.report.children[path] = current.full_report()
        return self.report

    def _parts(self) -> dict[str, AnyModule]:
        return self.owner._replaced()

    def _counters(self) -> dict[int, Calls]:
        """Of the islands, by their ids."""
        return {}


class ProgramExecution(Execution):
    """One compiled program."""

    def __init__(
        self,
        owner: CompiledModule,
        program: Program,
        report: Report,
        hybrid: Mapping[str, AnyModule] | None = None,
        *,
        sized: bool = False,
    ) -> None:
        super().__init__(owner, program.signature, report)
        self.program = program
        self.sized = sized
        #: children whose forward stays Python, as islands over what is compiled below
        self.hybrid = dict(hybrid or {})
        #: what answers once a child in PyTorch returned another form than the program is for
        self._instead: Execution | None = None
        certain = all(item.succeeded for item in report.capture) and not program.may_refuse
        self._certain = certain and not outermost_hooked(owner._torch, owner._options.gradients)

    def _parts(self) -> dict[str, AnyModule]:
        if self._instead is not None:
            return self._instead._parts()
        return {**self.hybrid, **super()._parts()}

    def _counters(self) -> dict[int, Calls]:
        return self.program.counters if self._instead is None else self._instead._counters()

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._instead is not None:
            return self._instead._answer(args, kwargs)
        try:
            return self.program(args, kwargs)
        except OutsideCapture as reason:
            return self._outside(reason, args, kwargs)
        except ResultChanged as reason:
            return self._give_up(reason)._answer(args, kwargs)

    def _give_up(self, reason: ResultChanged) -> Execution:
        """What answers from now on: a child's results turned out to have no one form."""
        attempt = CaptureAttempt(RUNG_LEAVES, False, reason.message, next_rung=RUNG_MODULES)
        LOG.warning("%s: %s", self.report.model, attempt)
        report = Report(
            model=self.report.model, timings=self.report.timings, memory=self.report.memory
        )
        report.capture = [*(item for item in self.report.capture if not item.succeeded), attempt]
        self.report = report
        self._instead = instead = in_python(self.owner, self.signature, report)
        return instead

    def _outside(
        self, reason: OutsideCapture, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A call for whose data the capture does not hold: PyTorch runs it, or says why not."""
        if self.owner._options.strict:
            raise InputMismatchError(
                f"{self.report.model} was captured for other data: {reason}",
                remedy="convert with strict=False, which runs such calls in PyTorch",
            ) from reason
        LOG.info("%s runs this call in PyTorch: %s", self.report.model, reason)
        return EagerExecution(self.owner, self.signature, self.report)._answer(args, kwargs)

    @property
    def fast(self) -> Callable[..., Any] | None:
        return self.program.fast if self._certain and self._run == self._answer else None

    def quick(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        if not self._certain or self._run != self._answer:
            return None
        return self.program.quick(args, kwargs)

    def profile(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._instead is None:
            try:
                return self.program.profile(self.report, args, kwargs)
            except (OutsideCapture, ResultChanged):
                return super().profile(args, kwargs)  # which says so, and goes another way
        return self._instead.profile(args, kwargs)

    def ir(self, level: str, locations: bool) -> str:
        if self._instead is not None:
            return self._instead.ir(level, locations)
        return self.program.ir(level, locations)

    def watch(self, entries: list[Entry]) -> None:
        self.program.executable.watch(entries)

    @property
    def outdated(self) -> bool:
        return bool(self.program.executable.outdated)

    @property
    def unbound(self) -> bool:
        return super().unbound or self.program.outdated

    def refresh(self) -> None:
        self.program.refresh()


class EagerExecution(Execution):
    """PyTorch alone, without gradients, on a copy of the module."""

    def __init__(self, owner: CompiledModule, signature: CallSignature, report: Report) -> None:
        super().__init__(owner, signature, report)
        self._flags = owner._training_flags()
        self._calls = Calls()
        # One copy for calls of every form: what forward() keeps in attributes is in it.
        copies = owner._python_copies
        found = copies.get(type(self))
        if found is None:
            found = copies[type(self)] = (*self._make_module(), [self._flags])
        #: the copy, its children that are compiled, and (in a list) the modes it is in
        self._module: nn.Module = found[0]
        self._compiled: dict[str, AnyModule] = found[1]
        self._modes: list[dict[int, bool]] = found[2]

    def _counters(self) -> dict[int, Calls]:
        return {0: self._calls}

    def _make_module(self) -> tuple[nn.Module, dict[str, AnyModule]]:
        """The copy, and by their paths the children in it that are compiled on their own."""
        copy = copy_structure(self.owner._torch, training=self._flags)
        _drop_hooks(copy)
        return copy, {}

    def _set_modes(self) -> None:
        """Gives the copy the modes this execution is for."""
        self._modes[0] = self._flags
        root = self.owner._torch
        for name, module in self._module.named_modules(remove_duplicate=False):
            original: Any = root
            for part in name.split(".") if name else ():
                original = getattr(original, "_modules", {}).get(part)
            mode = self._flags.get(id(original))
            if mode is not None and module.training != mode:
                module.training = mode

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._in_pytorch(
            self.signature, self.signature.match(args, kwargs, self.report.model)
        )

    def _refuses_gradients(self) -> bool:
        return torch.is_grad_enabled() and not self.owner._options.gradients

    def _in_pytorch(self, signature: CallSignature, flat: list[Any]) -> Any:
        native = any(isinstance(item, Tensor) for item in flat)
        given = [as_torch(item) for item in flat]
        for name, item in zip(signature.names, given, strict=True):
            if isinstance(item, torch.Tensor) and item.requires_grad and self._refuses_gradients():
                raise ArgumentError(
                    f"argument {name!r} requires grad, and this module computes no gradients",
                    remedy="call under torch.no_grad(), or pass the tensor's .detach()",
                )
        call_args, call_kwargs = pytree.tree_unflatten(given, signature.spec)
        if self._modes[0] is not self._flags:
            self._set_modes()
        begin = time.perf_counter_ns()
        gradients = self.owner._options.gradients and torch.is_grad_enabled()
        with torch.set_grad_enabled(gradients):
            result = self._module(*call_args, **call_kwargs)
        self._calls.add(time.perf_counter_ns() - begin)
        return pytree.tree_map_only(torch.Tensor, from_torch, opened(result)) if native else result


class ModulewiseExecution(EagerExecution):
    """The model's own Python forward over children compiled for what they are called with."""

    def _make_module(self) -> tuple[nn.Module, dict[str, AnyModule]]:
        compiled: dict[str, AnyModule] = {}
        replace: dict[tuple[int, str], nn.Module] = {}
        self._collect(self.owner, "", replace, compiled)
        copy = copy_structure(self.owner._torch, replace=replace, training=self._flags)
        _drop_hooks(copy)
        return copy, compiled

    def _collect(
        self,
        mirror: CompiledModule,
        path: str,
        replace: dict[tuple[int, str], nn.Module],
        compiled: dict[str, AnyModule],
    ) -> None:
        for name, child in mirror._children.items():
            original = mirror._torch._modules[name]
            if child is None or original is None:
                continue
            where = f"{path}.{name}" if path else name
            if mirror._is_mirror(name) and is_container(original):
                self._collect(child, where, replace, compiled)
            elif not has_user_hooks(original, self.owner._options.gradients):
                shim = SequenceShim if hasattr(original, "__len__") else ChildShim
                replace[id(mirror._torch), name] = shim(original, adapter(child))
                compiled[where] = child

    def _parts(self) -> dict[str, AnyModule]:
        return self._compiled

    def profile(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        spent = dict.fromkeys(self._compiled, 0.0)
        repeated = 0.0
        shims = {path: self._module.get_submodule(path).__dict__ for path in spent}
        targets = {path: shim["_target"] for path, shim in shims.items()}

        def timed(path: str) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal repeated
                begin = time.perf_counter()
                measure = getattr(self._compiled[path], "_profiled", None)
                result, took = measure(args, kwargs) if measure is not None else (None, None)
                if measure is None:
                    result = targets[path](*args, **kwargs)
                whole = (time.perf_counter() - begin) * 1e3
                spent[path] += whole if took is None else took
                repeated += 0.0 if took is None else whole - took
                return result

            return call

        try:
            for path, shim in shims.items():
                shim["_target"] = timed(path)
            result = super().profile(args, kwargs)
        finally:
            for path, shim in shims.items():
                shim["_target"] = targets[path]
        self.report.timings["call"] -= repeated
        for path, child in self._compiled.items():
            current = getattr(child, "_current", None)
            if current is not None and spent[path]:
                current.report.timings["call"] = spent[path]
        return result


def _drop_hooks(copy: nn.Module) -> None:
    """The root's hooks run around the execution; see Execution._hooked."""
    copy.__dict__["_forward_hooks"] = {}
    copy.__dict__["_forward_pre_hooks"] = {}


def in_python(
    owner: CompiledModule, signature: CallSignature, report: Report, *, whole: bool = False
) -> Execution:
    """The last rung: the module's own forward, over compiled children where it has any; or all of
    it in PyTorch."""
    report_forward(report, owner)
    if owner._children and not whole:
        report.mode = "hybrid"
        return ModulewiseExecution(owner, signature, report)
    report.mode = "pytorch"
    return EagerExecution(owner, signature, report)


def report_forward(report: Report, owner: CompiledModule) -> None:
    """What the report says of a forward() that stays Python: the first failure is the reason."""
    first = next(attempt for attempt in report.capture if not attempt.succeeded)
    name = f"{type(owner._torch).__name__}.forward"
    remedy = (
        "rewrite that line without Python control flow on data (torch.where, torch.cond) and "
        "without values that only run time knows, or leave it in PyTorch"
    )
    code, reason = "capture-failed", f"{first.rung}: {first.message}"
    report.nodes = [
        NodeRow(
            "forward", name, owner._path, first.file, first.line, "island", code, reason, remedy,
            island=0,
        )
    ]  # fmt: skip
    report.islands = [IslandRow(0, owner._path, [name], code, reason, remedy)]
