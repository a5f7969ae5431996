# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Modules made from PyTorch's: what a call of one runs. The tree they form is in mirror.py."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils import _pytree as pytree

from tessera._core import OutdatedError, fast_call
from tessera.capture.autocast import autocasting
from tessera.capture.autocast import state as autocast_state
from tessera.capture.compared import SizesDiffer
from tessera.capture.dynamic import DynamicShapes, from_plain, to_plain
from tessera.capture.leaves import TreeOfTensors
from tessera.capture.signature import CallSignature, as_torch
from tessera.capture.trees import opened
from tessera.compiling import compile_execution
from tessera.errors import ArgumentError
from tessera.execution import Execution
from tessera.mirror import Mirror
from tessera.overflow import overflow_execution
from tessera.report.report import Report
from tessera.sizes import SeenSizes, SizedCaptures
from tessera.tensor import Tensor
from tessera.tracing.active import current
from tessera.tuning.stored import using
from tessera.verification.result import Verification

DYNAMIC_LOG = logging.getLogger("tessera.dynamic")

C = TypeVar("C", bound="CompiledModule")

#: Forms of calls that take the short way.
MAX_QUICK_FORMS = 256
#: Sizes a module keeps programs for, where few captures serve many; the oldest goes first.
MAX_SIZES = 256


@dataclass(frozen=True)
class Options:
    """How a module is converted."""

    strict: bool = False
    #: threads the programs are made for; 0: as many as PyTorch uses at that time
    threads: int = 0
    #: forms of arguments that programs are compiled for; PyTorch runs calls of further ones
    max_signatures: int = 64
    #: "off" where tuned schedules are not to be used; None: as TESSERA_TUNE says
    tune: str | None = None
    #: whether weights are packed once and kept beside the parameters
    prepack: bool = True
    #: "bf16": products, convolutions and attention of float32 on operands rounded to bfloat16
    precision: str | None = None
    #: whether results carry gradients where autograd records
    gradients: bool = False


class CompiledModule(Mirror):
    """The mirror of a PyTorch module, with programs.

    Its parameters and buffers are the PyTorch module's own. Called, it runs a program compiled
    for the form of the arguments: for the example's only, when `example` is given, else for any,
    each compiled when first met. Under ``torch.autocast`` it computes in the precision PyTorch
    would, by a program of its own, made at the first call there.
    """

    def __init__(
        self,
        module: nn.Module,
        options: Options,
        example: TreeOfTensors | None = None,
        *,
        dynamic: DynamicShapes | None = None,
        path: str = "",
        memo: dict[int, Mirror] | None = None,
    ) -> None:
        super().__init__(module, path)
        state = self.__dict__
        state["_options"] = options
        state["_example"] = example
        state["_dynamic"] = dynamic
        self._mirror_children({} if memo is None else memo)
        self._reset()

    def _new_mirror(
        self, module: nn.Module, path: str, memo: dict[int, Mirror] | None = None
    ) -> CompiledModule:
        return CompiledModule(module, self._options, path=path, memo=memo)

    def _is_mirror(self, name: str) -> bool:
        # A wrapped module is one opaque call, even where it is the original that was wrapped.
        child = self._children[name]
        return type(child) is CompiledModule and child._torch is self._torch._modules.get(name)

    def _reset(self) -> None:
        """Forgets every program."""
        state = self.__dict__
        state["_programs"] = {}
        #: how many of them are not for one size of many
        state["_forms"] = 0
        state["_current"] = None
        state["_fast"] = None
        state["_mode"] = None
        state["_quick"] = {}
        state["_sized_captures"] = {}
        state["_python_copies"] = {}

    # --- calling --------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(args, kwargs)

    # The fast way: plain tensors straight into the program, which checks them itself.
    __call__ = fast_call(__call__, autocasting)

    def _recover(self, error: Exception, args: tuple[Any, ...]) -> Any:
        """What a call gives after `error` on the fast way."""
        if isinstance(error, OutdatedError):
            self._catch_up()
        elif self._signature.fits(args):
            # What the program said of arguments that fit came from within; of others the general
            # way says more, or takes them after all.
            raise error
        return self._call(args, {})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The same as calling the module, as torch.nn.Module's is without the hooks.

        Training mode and ``torch.autocast`` are those of the moment, and each has its programs.
        """
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        listener = current()
        if listener is not None:  # a ts.jit around this module
            return listener.call_module(self, args, kwargs)
        known, form = self._quick, _form(args, kwargs)
        if form is not None and autocasting():
            form = (autocast_state(), form)
        if form is not None and self._options.gradients:
            form = (torch.is_grad_enabled(), form)
        made = known.get(form)
        if made is not None:
            execution, quick = made
            self.__dict__["_current"] = execution
            try:
                return quick(args, kwargs)
            except OutdatedError:
                known = self._catch_up()
            except (TypeError, ValueError):
                # Says more where it was the arguments, or finds what takes them.
                if execution.signature.matches(args, kwargs):
                    raise
        while True:
            execution = self._execution(args, kwargs)
            try:
                result = execution.run(args, kwargs)
                break
            except OutdatedError:
                # Another thread changed the model since.
                known = self._catch_up()
        quick = execution.quick(args, kwargs) if form is not None else None
        if quick is not None:
            if len(known) >= MAX_QUICK_FORMS:
                known.clear()
            known[form] = (execution, quick)
        static = self._example is not None and self._dynamic is None
        static = static and not self._options.gradients  # there are two ways then
        if static and self._fast is None and not autocasting():
            fast = execution.fast
            with self._lock:
                # Unless the tree was changed meanwhile.
                if fast is not None and self._current is execution:
                    self.__dict__["_signature"] = execution.signature
                    self.__dict__["_fast"] = fast
        return result

    def _execution(
        self, args: tuple[Any, ...] | None = None, kwargs: dict[str, Any] | None = None
    ) -> Execution:
        """What runs a call of this form in the present mode; compiled now when it is new."""
        mode = self._mode_key()
        key: Any = mode
        signature = None
        if self._dynamic is not None:
            signature, args, kwargs = self._sized_call(args, kwargs)
            key = (mode, signature.key())
        elif self._example is None:
            args, kwargs = args or (), kwargs or {}
            signature = CallSignature.of(self._torch.forward, args, kwargs, objects=True)
            key = (mode, signature.key())
        found: Execution | None = self._programs.get(key)
        full = found is None and self._is_full()
        if full:
            key = (mode, None)
            found = self._programs.get(key)
        if found is None:  # what it would be compiled from may be outdated as well
            self._settle()
        elif found.outdated:
            self._catch_up()
            return self._execution(args, kwargs)
        if found is None:
            with self._lock:
                found = self._programs.get(key)
                if found is None:
                    self._make_room()
                    found = (
                        overflow_execution(self, signature)
                        if full
                        else self._compile(signature, args, kwargs)
                    )
                    self._programs[key] = found
                    self.__dict__["_forms"] += not found.sized
        self.__dict__["_current"] = found
        return found

    def _is_full(self) -> bool:
        """Whether no more forms of arguments are compiled."""
        return self._example is None and self._forms >= int(self._options.max_signatures)

    def _make_room(self) -> None:
        """For one more size."""
        sized = [key for key, execution in self._programs.items() if execution.sized]
        if len(sized) >= MAX_SIZES:
            del self._programs[sized[0]]
            self._quick.clear()

    def _sized_call(
        self, args: tuple[Any, ...] | None, kwargs: dict[str, Any] | None
    ) -> tuple[CallSignature, tuple[Any, ...], dict[str, Any]]:
        """A call of a module with dynamic shapes in the example's form; else InputMismatchError."""
        example = self.__dict__.get("_sized")
        if example is None:
            given = self._example_arguments()
            example = CallSignature.of(self._torch.forward, *given, objects=True)
            self.__dict__["_sized"] = example
            if args is None or kwargs is None:
                return example, *given
        if args is None or kwargs is None:
            args, kwargs = self._example_arguments()
        name = type(self._torch).__name__
        call = example.like(args, kwargs, name)
        self._dynamic.check(call, example, name)
        return call, *example.in_order(args, kwargs, name)

    def _captures(self, signature: CallSignature) -> SizedCaptures | None:
        """What captures for the sizes of a call; None where its form is static, or new."""
        known, mode = self._sized_captures, self._mode_key()
        if self._dynamic is None:
            if self._example is not None or signature.unusual:
                return None
            form = (mode, signature.form())
            seen: SeenSizes = known.setdefault(form, SeenSizes(signature))
            return seen.captures(self._torch, signature, self._training_flags())
        if mode not in known:
            captures = SizedCaptures(self._torch, self._dynamic, self._training_flags())
            try:
                captures.start(self._dynamic.examples(*self._example_arguments()))
            except SizesDiffer as error:
                if self._options.strict:
                    raise
                DYNAMIC_LOG.warning("%s is captured for each size: %s", self._label(), error)
            known[mode] = captures
        found: SizedCaptures = known[mode]
        return found

    def _compile(
        self,
        signature: CallSignature | None,
        args: tuple[Any, ...] | None,
        kwargs: dict[str, Any] | None,
    ) -> Execution:
        if signature is None or args is None or kwargs is None:
            if args is None or kwargs is None or "_first" in self.__dict__ or not self._unusual():
                self._refuse_others(args, kwargs)
                args, kwargs = self._example_arguments()
            signature = CallSignature.of(self._torch.forward, args, kwargs, objects=True)
            self.__dict__["_form"] = signature
        with using(self._options.tune, self._options.prepack):
            return compile_execution(self, signature, args, kwargs)

    def _refuse_others(self, args: tuple[Any, ...] | None, kwargs: dict[str, Any] | None) -> None:
        """InputMismatchError for a call that does not fit the example: before anything is made."""
        known = self.__dict__.get("_form")
        if known is not None and args is not None and kwargs is not None:
            known.match(args, kwargs, type(self._torch).__name__)

    def _unusual(self) -> bool:
        """Whether the example has tensors that cannot be made again from its form."""
        return any(spec.kind for spec in self._example.tensors)

    def _example_arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of the example's form: the example itself the first time, zeros after."""
        example: TreeOfTensors = self._example
        first = self.__dict__.pop("_first", None)
        if first is not None:
            given: tuple[tuple[Any, ...], dict[str, Any]] = first
            return given
        tensors = [torch.zeros(spec.shape, dtype=spec.dtype) for spec in example.tensors]
        args, kwargs = example.fill(tensors)
        return args, kwargs

    def _catch_up(self) -> dict[Any, Any]:
        """The PyTorch model has changed: forgets every program, and mirrors what is new."""
        with self._lock:
            self._follow()
            self._reset()
        forms: dict[Any, Any] = self._quick
        return forms

    def _settle(self) -> None:
        """Follows changes of the PyTorch model now, where the next call would."""
        with self._lock:
            known = next(iter(self._programs.values()), None)
            if known is None or known.outdated:
                self._catch_up()

    def _mode_key(self) -> tuple[Any, ...]:
        """What programs are told apart by, besides the form of arguments."""
        training = self._mode
        if training is None:
            training = self.__dict__["_mode"] = self._modes()
        return autocast_state(), training, self._options.gradients and torch.is_grad_enabled()

    def _modes(self) -> tuple[bool, ...]:
        return tuple(module.training for module in self._mirrors())

    def _mode_changed(self) -> None:
        with self._lock:
            self.__dict__["_mode"] = None
            self.__dict__["_fast"] = None
            self.__dict__["_current"] = None
            self.__dict__["_quick"] = {}
        for owner in self._living_owners():
            owner._mode_changed()

    # --- state ----------------------------------------------------------------------------

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        self._settle()
        if not self._replaced():
            state: dict[str, Any] = self._torch.state_dict(
                destination=destination, prefix=prefix, keep_vars=keep_vars
            )
            return state
        return super().state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)

    def load_state_dict(
        self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        self._settle()
        if self._replaced() or assign:
            return super().load_state_dict(state_dict, strict, assign)
        plain = {key: as_torch(value) for key, value in state_dict.items()}
        return self._torch.load_state_dict(plain, strict=strict)

    def train(self: C, mode: bool = True) -> C:
        """Sets the mode here and below. Each mode has its own programs, over the same parameters;
        the PyTorch model keeps its own mode."""
        super().train(mode)
        self._mode_changed()
        return self

    # --- copies ---------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        self._settle()
        replaced = self._replaced()
        return {
            "module": self._torch,
            "options": self._options,
            "example": None if self._example is None else self._example.as_tree(),
            "dynamic": to_plain(self._dynamic),
            "replaced": replaced,
            "modes": [mirror.training for mirror in self._mirrors()],
        }

    @classmethod
    def _from_state(cls: type[C], state: dict[str, Any]) -> C:
        self = cls.__new__(cls)
        tree = state["example"]
        example = None if tree is None else TreeOfTensors.from_tree(tree)
        dynamic = from_plain(state["dynamic"])
        CompiledModule.__init__(self, state["module"], state["options"], example, dynamic=dynamic)
        for path, child in state["replaced"].items():
            parent, _, name = path.rpartition(".")
            self.get_submodule(parent)._replace(name, child)
        for mirror, mode in zip(self._mirrors(), state["modes"], strict=True):
            mirror.__dict__["training"] = mode
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._state())

    def __deepcopy__(self: C, memo: dict[int, Any]) -> C:
        result = type(self)._from_state(copy.deepcopy(self._state(), memo))
        memo[id(self)] = result
        return result

    # --- reports --------------------------------------------------------------------------

    def _present(self) -> Execution:
        """What the last call ran; compiled now, if the module is static and stale."""
        self._settle()
        if self._current is not None:
            current: Execution = self._current
            return current
        if self._example is None:
            raise ArgumentError(
                f"{self._label()} has not been called yet, or not since it was changed, so nothing "
                "is compiled",
                remedy="call it once: a program is made for each form of arguments",
            )
        return self._execution()

    @property
    def report(self) -> Report:
        """What became of each node; see :class:`tessera.report.Report`."""
        execution = self._present()
        return execution.full_report()

    def explain(self, *, nodes: bool = False, level: str | None = None) -> None:
        """Prints the report: what runs where, why, and what to do about it.

        ``level="schedule"`` prints how kernels came about instead: what was fused and what was not
        and why, the predicted work, each kernel's point, and where that came from.
        """
        from tessera.report.render import print_report

        print_report(self.report, nodes=nodes, level=level)

    def profile(self, *args: Any, **kwargs: Any) -> Report:
        """Calls the module and returns its report with the measured times filled in."""
        self._profiled(args, kwargs)
        return self._present().full_report()

    def _profiled(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, float]:
        """The result of a call that was measured, and the milliseconds it takes."""
        while True:
            execution = self._execution(args, kwargs)
            try:
                result = execution.profile(args, kwargs)
                return result, execution.report.timings["call"]
            except OutdatedError:
                self._catch_up()

    def verify(
        self, *args: Any, rtol: float | None = None, atol: float | None = None, **kwargs: Any
    ) -> Verification:
        """Compares the model, module by module, with PyTorch in float64.

        Called like the module. Every value that enters or leaves a submodule is computed by
        Tessera, by PyTorch in the model's precision and by PyTorch in float64; Tessera may be off
        by ``atol + rtol * largest`` (torch.testing's defaults for the dtype) plus a small multiple
        of PyTorch's own error. The result is true where all agree; printed, it names the first
        module, operator and source line that do not.

        Raises ArgumentError for models that draw random numbers.
        """
        from tessera.verification.verify import verify

        return verify(self, args, kwargs, rtol=rtol, atol=atol)

    def ir(self, level: str = "graph", *, locations: bool = False) -> str:
        """The text of what runs: "graph", "schedule", "tile", "target", "llvm" or "asm"."""
        return self._present().ir(level, locations)

    def refresh(self) -> None:
        """Reads all parameters and attributes again, also in submodules.

        Needed after writes that PyTorch does not count (through .data, NumPy or DLPack) and after
        assigning other attributes of the PyTorch modules (dropout.p = 0.2). That the
        PyTorch model was given other parameters, buffers, children or hooks is noticed without.
        """
        with self._lock:
            if any(execution.unbound for execution in self._programs.values()):
                self._catch_up()
            for captures in self._sized_captures.values():
                captures.forget()
            for execution in self._programs.values():
                execution.refresh()
        for child in self._children.values():
            if isinstance(child, CompiledModule):
                child.refresh()

    def _label(self) -> str:
        return f"ts.{type(self._torch).__name__}"

    def extra_repr(self) -> str:
        extra = str(self._torch.extra_repr())
        if self._current is not None and not self._path:
            report = self._current.report
            note = report.summary().split(": ", 1)[-1]
            return f"{extra}; {note}" if extra else note
        return extra


def _form(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What tells calls apart, of plain tensors and plain values; None for everything else."""
    parts: list[Any] = []
    for value in (*args, *kwargs.values()):
        kind = type(value)
        if kind is torch.Tensor or kind is Tensor or kind is nn.Parameter:
            try:
                parts.append((kind, value.shape, value.dtype))
            except RuntimeError:  # a nested tensor has no shape
                return None
        elif kind is float:
            parts.append((kind, repr(value)))  # 0.0 and -0.0 are equal
        elif value is None or kind in (bool, int, str):
            parts.append((kind, value))
        else:
            return None
    return len(args), tuple(kwargs), tuple(parts)


def _rebuild(cls: type[CompiledModule], state: dict[str, Any]) -> CompiledModule:
    return cls._from_state(state)


def example_tree(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TreeOfTensors:
    """The form of example arguments, without their memory."""
    return TreeOfTensors.of(pytree.tree_map_only(Tensor, as_torch, opened((args, kwargs))))
