# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A traced function, compiled: tensors in, tensors out, of the kind that was given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tessera import _core, phases
from tessera.capture.flat import builder_of, is_flat_call
from tessera.capture.leaves import TensorSpec
from tessera.capture.signature import CallSignature, as_torch
from tessera.errors import ArgumentError, CompileError
from tessera.lowering.context import GraphValue
from tessera.lowering.dtypes import dtype_name
from tessera.lowering.islands import counters
from tessera.lowering.registry import Unsupported
from tessera.ops._eager import shared_results
from tessera.random_keys import with_keys
from tessera.report.attach import attach_kernels, attach_profile
from tessera.report.report import Report
from tessera.tensor import Tensor, from_torch, is_tensor
from tessera.tracing.active import listening
from tessera.tracing.context import Opaque, TracingContext
from tessera.tuning.compiled import compile_tuned
from tessera.watch import changed

#: Calls whose mean profile() reports.
PROFILED_CALLS = 5


class Trace:
    """The graph of one function for one form of its arguments."""

    def __init__(
        self,
        signature: CallSignature,
        roots: dict[str, Any],
        opaque: dict[int, Opaque],
        precision: str | None = None,
    ) -> None:
        self.signature = signature
        self.context = TracingContext(roots, opaque, precision)
        self.outputs: list[GraphValue] = []
        #: ("result", index of an output), ("input", index of a leaf) or ("constant", value)
        self.sources: list[tuple[str, Any]] = []
        self.out_spec: Any = None

    def run(self, function: Callable[..., Any]) -> None:
        """Builds the graph. Whatever `function` raises on values without data passes through."""
        given = [
            GraphValue(self.context, self._input(name, leaf))
            if isinstance(leaf, TensorSpec)
            else leaf.value
            for name, leaf in zip(self.signature.names, self.signature.leaves, strict=True)
        ]
        args, kwargs = pytree.tree_unflatten(given, self.signature.spec)
        changed: tuple[Any, str] | None = None
        try:
            with listening(self.context), torch.no_grad(), self.context.computed:
                result = function(*args, **kwargs)
        finally:
            for module, attributes in self.context.touched.values():
                name = attributes.restore()
                changed = changed or ((module, name) if name else None)
        if changed is not None:
            self.context.failed = (changed[0], state_changed(changed[1]))
            raise self.context.failed[1]
        # By identity: an operator's result may be its operand's value, but is another tensor.
        inputs = {id(item): index for index, item in enumerate(given) if _is_value(item)}
        leaves, self.out_spec = pytree.tree_flatten(result)
        self._note_results(leaves, inputs)

    def _note_results(self, leaves: list[Any], inputs: dict[int, int]) -> None:
        numbers: dict[int, int] = {}
        for leaf in leaves:
            if not _is_value(leaf):
                self.sources.append(("constant", leaf))
            elif id(leaf) in inputs:
                self.sources.append(("input", inputs[id(leaf)]))
            else:
                number = numbers.setdefault(id(leaf), len(self.outputs))
                if number == len(self.outputs):
                    self.outputs.append(leaf)
                self.sources.append(("result", number))

    def _input(self, name: str, spec: TensorSpec) -> Any:
        label = name.replace('"', "'")
        return self.context.builder.input(label, dtype_name(spec.dtype), list(spec.shape))


class TracedProgram:
    """A compiled trace. Never changes once made."""

    def __init__(self, name: str, trace: Trace, report: Report, threads: int) -> None:
        self.name = name
        self.signature = trace.signature
        self.report = report
        context = trace.context
        self._spec, self._sources = trace.out_spec, trace.sources
        self._positions = trace.signature.tensor_positions
        # As ts.ops: of tensors of both kinds, and of none at all, comes a ts.Tensor.
        self._native = bool(context.hidden) or not (self._positions or context.parameters)
        self._hidden = list(context.hidden.values())
        #: the results in the memory of arguments; None before a call has shown them
        self._shared: frozenset[int] | None = None
        self._targets = [target for target, _ in context.writes.values()]
        values = [*trace.outputs, *(value for _, value in context.writes.values())]
        graph = context.finish(values, [True] * len(values))
        self._count = len(values)
        try:
            with phases.phase(report, "compile"):
                self.compiled = compile_tuned(graph, threads, report)
        except RuntimeError as error:
            raise CompileError(f"{name}: {error}") from error
        self._owned = [context.parameters[item] for item in self.compiled.parameter_names]
        self.executable = with_keys(
            _core.Executable(self.compiled, self._owned, context.islands, name, threads),
            context.key_count,
        )
        # Before attributes change again: what the program holds for.
        self._entries = [
            entry for attributes in context.depends_on() for entry in attributes.watched()
        ]
        self.executable.watch(self._entries)
        self._forms = _forms(self._owned)
        report.nodes, report.islands = context.rows, context.island_rows
        attach_kernels(report, self.compiled, context.natives)
        #: how often each island has run
        self.counters = counters(context.islands)

    @property
    def outdated(self) -> bool:
        """Whether modules are others now than the program takes for granted."""
        if not self.executable.outdated:
            return False
        if changed(self._entries) or self._forms != _forms(self._owned):
            return True
        # They are again as they were, after train() and eval() for instance.
        self.executable.watch(self._entries)
        return False

    def __call__(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        return self._run(args, kwargs, self.executable)

    def quick(
        self, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Callable[[Sequence[Any], dict[str, Any]], Any] | None:
        """A way around pytrees for calls of plain values in the form of this one, once there is
        one: after a call that showed that no result shares memory with an argument."""
        form = pytree.tree_flatten((tuple(args), kwargs))[1]
        tensors = [item for item in (*args, *kwargs.values()) if is_tensor(item)]
        kinds = {isinstance(item, Tensor) for item in tensors}
        plain = all(kind != "input" for kind, _ in self._sources)
        if form != self.signature.spec or not is_flat_call(form):
            return None
        if kinds != {True} and (kinds != {False} or self._native):
            return None
        if not plain or self._targets or self._shared is None or self._shared:
            return None
        positions = [index for index in self._positions if index < len(args)]
        names = [list(kwargs)[index - len(args)] for index in self._positions[len(positions) :]]
        executable, single, hidden = self.executable, self._count == 1, self._hidden
        rebuild, sources = builder_of(self._spec), self._sources

        def call(args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            result = executable(
                *[args[index] for index in positions], *[kwargs[name] for name in names], *hidden
            )
            values = (result,) if single else result
            return rebuild([values[item] if kind == "result" else item for kind, item in sources])

        return call

    def _run(self, args: Sequence[Any], kwargs: dict[str, Any], call: Callable[..., Any]) -> Any:
        flat = self.check(args, kwargs)
        tensors = [*(flat[index] for index in self._positions), *self._hidden]
        native = self._native or any(isinstance(item, Tensor) for item in tensors)
        if native and not all(isinstance(item, Tensor) for item in tensors):
            # One of each kind: the program takes torch's, and what it gives is converted.
            tensors = [as_torch(item) for item in tensors]
        result = call(*tensors)
        values = [result] if self._count == 1 else list(result or ())
        shared = self._shared
        if shared is None:
            shared = shared_results(values, [*tensors, *self._owned])
            # Strided arguments are copied on the way in, which hides what happens to others.
            if all(item.is_contiguous() for item in tensors):
                self._shared = shared
        for index in shared:
            # The compiler simplified a copy away; results are fresh memory.
            values[index] = as_torch(values[index]).clone()
        split = self._count - len(self._targets)
        with torch.no_grad():
            for target, value in zip(self._targets, values[split:], strict=True):
                as_torch(target).copy_(as_torch(value))
        leaves: list[Any] = []
        converted = [_of_kind(value, native) for value in values[:split]]
        for kind, item in self._sources:
            leaves.append(
                converted[item] if kind == "result" else flat[item] if kind == "input" else item
            )
        return pytree.tree_unflatten(leaves, self._spec)

    def in_kind(self, result: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """What the function itself has given, with tensors of the kind that calls give."""
        given = pytree.tree_leaves((args, kwargs))
        kept = {id(item) for item in given}
        native = self._native or any(isinstance(item, Tensor) for item in given)
        return pytree.tree_map_only(
            (torch.Tensor, Tensor),
            lambda value: value if id(value) in kept else _of_kind(value, native),
            result,
        )

    def check(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
        """The leaves of a call; ArgumentError says by name what the program cannot take."""
        flat = self.signature.match(args, kwargs, self.name)
        refuse_gradients(self.signature.names, flat)
        return flat

    def profile(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Calls several times (once where buffers change) and puts the times into the report."""
        measured: list[list[int]] = []

        def call(*tensors: Any) -> Any:
            result, times = self.executable.profile(*tensors)
            measured.append(times)
            return result

        for _ in range(1 if self._targets else PROFILED_CALLS):
            begin = time.perf_counter()
            self._run(args, kwargs, call)
            self.report.timings["call"] = (time.perf_counter() - begin) * 1e3
        mean = [sum(times) / len(times) for times in zip(*measured, strict=True)]
        attach_profile(self.report, self.compiled, mean)

    def ir(self, level: str, locations: bool = False) -> str:
        text: str = self.compiled.ir(level, locations)
        return text


def state_changed(name: str) -> Unsupported:
    """Why a module that sets its attribute `name` in forward() is not compiled."""
    return Unsupported(
        f"forward() changes self.{name}, which a program would do only once",
        f"make {name!r} a buffer and call self.update_buffer({name!r}, …)",
        code="state",
    )


def _forms(tensors: Sequence[torch.Tensor]) -> list[tuple[torch.Size, torch.dtype]]:
    return [(tensor.shape, tensor.dtype) for tensor in tensors]


def _is_value(leaf: Any) -> bool:
    return isinstance(leaf, GraphValue)


def _of_kind(value: Any, native: bool) -> Any:
    if native:
        return value if isinstance(value, Tensor) else from_torch(value.detach())
    return as_torch(value)


def refuse_gradients(names: Sequence[str], flat: Sequence[Any]) -> None:
    """ArgumentError for an argument whose gradients would be lost."""
    if not torch.is_grad_enabled():
        return
    for name, value in zip(names, flat, strict=True):
        if isinstance(value, torch.Tensor) and value.requires_grad:
            raise ArgumentError(
                f"argument {name!r} requires grad, and what ts.jit compiles computes no gradients",
                remedy="call under torch.no_grad(), or pass the tensor's .detach()",
            )
