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

from tessera.capture.export import Captured
from tessera.capture.hooks import has_user_hooks, outermost_hooked
from tessera.capture.ladder import RUNG_EXPORT, RUNG_LEAVES, RUNG_MODULES, climb
from tessera.capture.leaves import Leaf, ResultChanged
from tessera.capture.signature import CallSignature, as_torch
from tessera.capture.specialize import OutsideCapture
from tessera.capture.structure import copy_structure
from tessera.capture.trees import opened
from tessera.errors import ArgumentError, CaptureError, ConversionError, InputMismatchError
from tessera.garbage import collection_paused
from tessera.lowering.islands import Calls
from tessera.module import AnyModule, Module
from tessera.program import Program, build_program
from tessera.report.crossings import warning_of
from tessera.report.report import CaptureAttempt, IslandRow, NodeRow, Report
from tessera.sizes import SizedCaptures
from tessera.strict import complete_error
from tessera.tensor import Tensor, from_torch
from tessera.watch import Entry, changed, plain_entries, watched_entries

if TYPE_CHECKING:
    from tessera.compiled import CompiledModule

LOG = logging.getLogger("tessera.capture")
CROSSINGS_LOG = logging.getLogger("tessera.islands")

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
        if not has_user_hooks(module):
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
        certain = all(attempt.succeeded for attempt in report.capture)
        self._certain = certain and not outermost_hooked(owner._torch)

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
        report = Report(model=self.report.model, timings=self.report.timings)
        report.capture = [*(item for item in self.report.capture if not item.succeeded), attempt]
        self.report = report
        self._instead = instead = _in_python(self.owner, self.signature, report)
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

    def _in_pytorch(self, signature: CallSignature, flat: list[Any]) -> Any:
        native = any(isinstance(item, Tensor) for item in flat)
        given = [as_torch(item) for item in flat]
        for name, item in zip(signature.names, given, strict=True):
            if isinstance(item, torch.Tensor) and item.requires_grad and torch.is_grad_enabled():
                raise ArgumentError(
                    f"argument {name!r} requires grad, and this module computes no gradients",
                    remedy="call under torch.no_grad(), or pass the tensor's .detach()",
                )
        call_args, call_kwargs = pytree.tree_unflatten(given, signature.spec)
        if self._modes[0] is not self._flags:
            self._set_modes()
        begin = time.perf_counter_ns()
        with torch.no_grad():
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
            elif not has_user_hooks(original):
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


class ChildShim(nn.Module):
    """Stands in a Python forward for a child that Tessera runs."""

    def __init__(self, original: nn.Module, target: Callable[..., Any]) -> None:
        super().__init__()
        self.__dict__["_original"] = original
        self.__dict__["_target"] = target

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_original"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_target"](*args, **kwargs)


class SequenceShim(ChildShim):
    """For a Sequential and its like, which a forward may also index."""

    def __len__(self) -> int:
        return len(self.__dict__["_original"])

    def __iter__(self) -> Any:
        return iter(self.__dict__["_original"])

    def __getitem__(self, index: Any) -> Any:
        return self.__dict__["_original"][index]


def is_container(module: nn.Module) -> bool:
    """Whether a module only holds others: it has no forward of its own."""
    return type(module).forward is nn.Module.forward


def adapter(target: AnyModule) -> Callable[..., Any]:
    """`target` as a function over torch tensors; native modules get and give ts.Tensor."""
    if not isinstance(target, Module) or hasattr(target, "_torch"):
        return target

    def call(*args: Any, **kwargs: Any) -> Any:
        native = pytree.tree_map_only(torch.Tensor, from_torch, opened((args, kwargs)))
        result = target(*native[0], **native[1])
        return pytree.tree_map_only(Tensor, as_torch, opened(result))

    return call


def _drop_hooks(copy: nn.Module) -> None:
    """The root's hooks run around the execution; see Execution._hooked."""
    copy.__dict__["_forward_hooks"] = {}
    copy.__dict__["_forward_pre_hooks"] = {}


# --- making one -------------------------------------------------------------------------------


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
    with collection_paused():
        execution = _make_execution(owner, signature, args, kwargs)
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
    threads = options.threads or torch.get_num_threads()
    plain_args, plain_kwargs = pytree.tree_map_only(Tensor, as_torch, opened((args, kwargs)))
    unusual = signature.unusual
    if unusual:
        _refuse_unusual(report, unusual, options.strict)
        return _in_python(owner, signature, report)
    flat = [as_torch(item) for item in signature.match(args, kwargs, report.model)]
    own_time = 0.0
    leaves = kept_leaves(owner)
    captures: SizedCaptures | None = None
    sized = owner._dynamic is not None

    def symbolic() -> Captured | None:
        nonlocal captures, sized
        captures = None if leaves else owner._captures(signature)
        if captures is None:
            return None
        captured = captures.at(signature, (plain_args, plain_kwargs))
        sized = sized or captured is not None
        return captured

    def build(captured: Captured) -> Program:
        nonlocal own_time
        begin = time.perf_counter()
        try:
            return build_program(
                report.model,
                module,
                signature,
                captured,
                report,
                threads=threads,
                strict=options.strict,
                example=[flat[place] for place in signature.tensor_positions],
                family=None if captures is None else captures.taught(signature, threads),
            )
        finally:
            own_time += time.perf_counter() - begin

    begin = time.perf_counter()
    hybrid: dict[str, CompiledModule] = {}
    try:
        result = climb(
            module,
            plain_args,
            plain_kwargs,
            build,
            leaves=leaves,
            training=owner._training_flags(),
            strict=options.strict,
            symbolic=symbolic,
            stand_in=lambda path: _hybrid_child(owner, path, hybrid),
        )
    except CaptureError as error:
        attempts = getattr(error, "attempts", [])
        if not options.strict or not attempts:
            raise
        report.capture = attempts
        _report_forward(report, owner)
        raise complete_error(owner, error, report, plain_args, plain_kwargs) from error
    report.timings["capture"] = (time.perf_counter() - begin - own_time) * 1e3
    report.capture = result.attempts
    if result.value is not None:
        _warn_of_crossings(owner, report)
        return ProgramExecution(owner, result.value, report, hybrid, sized=sized)
    return _in_python(owner, signature, report, whole=result.whole)


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


def _in_python(
    owner: CompiledModule, signature: CallSignature, report: Report, *, whole: bool = False
) -> Execution:
    """The last rung: the module's own forward, over compiled children where it has any; or all of
    it in PyTorch."""
    _report_forward(report, owner)
    if owner._children and not whole:
        report.mode = "hybrid"
        return ModulewiseExecution(owner, signature, report)
    report.mode = "pytorch"
    return EagerExecution(owner, signature, report)


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


def _report_forward(report: Report, owner: CompiledModule) -> None:
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
    for path, hooked in outermost_hooked(owner._torch).items():
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
