# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A compiled program behind a Python call: arguments in, the model's own structure out."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from tessera import _core, phases
from tessera._settings import settings
from tessera.capture.export import Captured
from tessera.capture.flat import builder_of, is_flat_call
from tessera.capture.objects import answering, apply_changes
from tessera.capture.signature import CallSignature, as_torch
from tessera.capture.stages import depends_on_data
from tessera.errors import ArgumentError, ConversionError
from tessera.lowering.importer import Imported, crossable_spec, import_program
from tessera.lowering.islands import Calls, counters, may_refuse
from tessera.machine_code import Code, bind, make_code
from tessera.outputs import output_sources, result_nodes, write_backs
from tessera.precision import graph_builder
from tessera.report.attach import attach_kernels, attach_profile
from tessera.report.report import Report, strict_message
from tessera.tensor import Tensor, from_torch
from tessera.threads import get_num_threads
from tessera.tuning.stored import compile_options

#: Calls whose median tess.profile() reports.
PROFILED_CALLS = 5


class Program:
    """One static program: a model for one form of its arguments. Never changes once made."""

    #: whether results carry gradients, in a mode that asks for them
    gradients = False

    def __init__(
        self,
        name: str,
        signature: CallSignature,
        captured: Captured,
        imported: Imported,
        code: Code,
        threads: int,
        family: Any = None,
    ) -> None:
        self.name = name
        self.signature = signature
        self._positions = signature.tensor_positions
        self._has_objects = bool(signature.handles)
        self._imported = imported
        self._out_spec = captured.out_spec
        self.compiled = code.compiled
        self.executable = code.executable
        self._owned = code.parameters
        self._threads = threads
        self._family = family
        names = [*imported.parameters, *(name for name, _ in captured.tensors.values())]
        self._bound = {name: imported.live(name) for name in dict.fromkeys(names)}
        self._aliased: frozenset[int] | None = None
        self._sources = output_sources(captured, imported)
        self._writes = write_backs(captured, imported)
        self._count = len(imported.outputs)
        self._single = self._count == 1

    @property
    def fast(self) -> Callable[..., Any] | None:
        """The executable itself, where calling it is all a call needs.

        Known after the first call: only then is it clear that no result shares memory with an
        argument.
        """
        if self._aliased is None or self._aliased:
            return None
        plain = all(
            source.kind == "result" and source.index == index and not source.alias.steps
            for index, source in enumerate(self._sources)
        )
        flat_out = self._out_spec.is_leaf() or (
            self._out_spec.type is tuple
            and len(self._sources) > 1
            and all(child.is_leaf() for child in self._out_spec.children())
        )
        if not plain or not flat_out or self._writes or len(self._sources) != self._count:
            return None
        return self.executable if self.signature.is_flat else None

    def quick(
        self, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Callable[[Sequence[Any], dict[str, Any]], Any] | None:
        """A way around pytrees for calls of plain values in the form of this one."""
        simple = all(source.kind in ("result", "constant") for source in self._sources)
        if self._aliased is None or self._aliased or self._writes or not simple:
            return None
        form = pytree.tree_flatten((tuple(args), kwargs))[1]
        if form != self.signature.spec or not is_flat_call(form):
            return None
        positions = [index for index in self._positions if index < len(args)]
        names = [list(kwargs)[index - len(args)] for index in self._positions[len(positions) :]]
        executable, single = self.executable, self._single
        rebuild = builder_of(self._out_spec)
        picks = [(source.kind == "result", source.index, source.value) for source in self._sources]

        def call(args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
            result = executable(
                *[args[index] for index in positions], *[kwargs[name] for name in names]
            )
            values = (result,) if single else result
            return rebuild(
                [values[index] if is_result else value for is_result, index, value in picks]
            )

        return call

    def __call__(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        flat = self.signature.match(args, kwargs, self.name)
        return self._finish(flat, lambda tensors: self.executable(*tensors))

    def _finish(self, flat: list[Any], run: Callable[[list[Any]], Any]) -> Any:
        tensors = [flat[index] for index in self._positions]
        native = any(isinstance(item, Tensor) for item in tensors)
        given = [as_torch(item) for item in flat] if native else flat
        if not self.gradients:
            _refuse_gradients(self.signature, given, self._positions)
        if self._writes:
            self._refuse_overlaps(given)
        results = run([given[index] for index in self._positions])
        values = [results] if self._single else list(results or ())
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            self._separate(given, values)
            with torch.no_grad():
                self._write_back(given, values)
            leaves = self._assemble(flat, given, values, native)
        if not self._has_objects:
            return pytree.tree_unflatten(leaves, self._out_spec)
        with answering(flat):
            result, changes = pytree.tree_unflatten(leaves, self._out_spec)
        apply_changes(changes, flat)
        return result

    def _write_back(self, given: list[Any], values: list[Any]) -> None:
        for write in self._writes:
            target: Any = write.tensor if write.argument is None else given[write.argument]
            value = values[write.result]
            if target.shape != value.shape:  # out= of another size
                target.resize_(value.shape)
            target.copy_(value)

    def _refuse_overlaps(self, given: list[Any]) -> None:
        """Writes take place after the call, so what is written must be nobody else's memory."""
        # Once each: caches have many tensors, and all of them are written.
        stretches = {index: _stretch(given[index]) for index in self._positions}
        for write in self._writes:
            target: Any = write.tensor if write.argument is None else given[write.argument]
            if _overlaps_itself(target):
                names = self.signature.names
                what = (
                    "a buffer" if write.argument is None else f"argument {names[write.argument]!r}"
                )
                raise ArgumentError(
                    f"{what} of {self.name} has several elements in one place of memory (strides "
                    f"{tuple(target.stride())} for {tuple(target.shape)}), and the model writes it "
                    "in place",
                    remedy="pass a copy: tensor.clone()",
                )
            first, end = _stretch(target) if write.argument is None else stretches[write.argument]
            for index, (other, other_end) in stretches.items():
                if index != write.argument and max(first, other) < min(end, other_end):
                    names = self.signature.names
                    where = "a buffer" if write.argument is None else f"{names[write.argument]!r}"
                    raise ArgumentError(
                        f"argument {names[index]!r} of {self.name} shares memory with {where}, "
                        "which the model writes in place",
                        remedy=f"pass {names[index]}.clone()",
                    )

    def _separate(self, given: list[Any], values: list[Any]) -> None:
        """Copies results that share memory with arguments, parameters or one another.

        The compiler may simplify a copy away (x.clone(), x + 0) and return its operand; what eager
        PyTorch returns is fresh memory. True aliases do not come out of the program at all.
        """
        if self._aliased is None:
            tensors = [given[index] for index in self._positions]
            taken = {
                item.untyped_storage().data_ptr()
                for item in [*tensors, *self._owned]
                if isinstance(item, torch.Tensor) and item.numel()
            }
            aliased: set[int] = set()
            for index, value in enumerate(values):
                if not isinstance(value, torch.Tensor):
                    continue
                if value.numel() and value.untyped_storage().data_ptr() in taken:
                    aliased.add(index)
                taken.add(value.untyped_storage().data_ptr())
            # Strided arguments are copied on the way in, which hides what happens to others.
            if all(item.is_contiguous() for item in tensors):
                self._aliased = frozenset(aliased)
        else:
            aliased = set(self._aliased)
        for index in aliased:
            values[index] = values[index].clone()

    def _assemble(
        self, flat: list[Any], given: list[Any], values: list[Any], native: bool
    ) -> list[Any]:
        leaves: list[Any] = []
        for source in self._sources:
            steps = source.alias.steps
            if source.kind == "constant":
                leaves.append(source.value)
                continue
            if source.kind == "input" and not steps:
                leaves.append(flat[source.index])
                continue
            if source.kind in ("result", "base"):
                value = values[source.index]
            elif source.kind == "input":
                value = given[source.index]
            elif source.kind == "same":
                value = leaves[source.index]
            elif source.kind == "copy":
                value = as_torch(leaves[source.index]).clone()
            else:
                value = source.value.clone() if source.kind == "fresh" else source.value
            if steps:
                value = source.alias.replay(as_torch(value))
            if native and isinstance(value, torch.Tensor):
                value = from_torch(value.detach())
            leaves.append(value)
        return leaves

    @property
    def outdated(self) -> bool:
        """Whether the model now has other tensor objects than the program was made with."""
        return any(self._imported.live(name) is not tensor for name, tensor in self._bound.items())

    @property
    def may_refuse(self) -> bool:
        """Whether there are data that it raises OutsideCapture for."""
        return may_refuse(self._imported.islands)

    @property
    def counters(self) -> dict[int, Calls]:
        """How often each island has run."""
        return counters(self._imported.islands)

    def refresh(self) -> None:
        """Prepares everything derived from parameters again."""
        self.executable.refresh()

    def rebound(self, root: nn.Module) -> Program | None:
        """The same machine code over the parameters and buffers that `root` has under their names.

        None where it would not hold for them: another shape or dtype, tensors tied otherwise, or
        one that only PyTorch can hold. Constants that capture made stay.
        """
        tensors: dict[str, torch.Tensor] = {}
        for name, old in self._bound.items():
            path, _, last = name.rpartition(".")
            new = getattr(root.get_submodule(path), last, old)
            spec = crossable_spec(new)
            if spec is None or spec != crossable_spec(old) or new.is_conj() != old.is_conj():
                return None
            tensors[name] = new
        if _ties(tensors) != _ties(self._bound):
            return None
        new_of = {id(old): tensors[name] for name, old in self._bound.items()}
        result = copy.copy(self)
        result._bound = tensors
        result._owned = [tensors[name] for name in self.compiled.parameter_names]
        result._imported = dataclasses.replace(
            self._imported,
            parameters={name: tensors[name] for name in self._imported.parameters},
            live=tensors.__getitem__,
        )
        result.executable = bind(
            self.name, self.compiled, result._imported, result._owned, self._threads
        )
        result._aliased = None
        result._sources = [
            dataclasses.replace(source, value=new_of.get(id(source.value), source.value))
            for source in self._sources
        ]
        result._writes = [
            dataclasses.replace(write, tensor=new_of.get(id(write.tensor)))
            for write in self._writes
        ]
        return result

    def recompiled(self, report: Report) -> Program:
        """The same, compiled again: with the schedules that are known by now."""
        with phases.phase(report, "compile"):
            code = make_code(self.name, self._imported, self._threads, report, self._family)
        attach_kernels(report, code.compiled, self._imported.natives)
        result = copy.copy(self)
        result.compiled, result.executable = code.compiled, code.executable
        result._owned = code.parameters
        return result

    def ir(self, level: str, locations: bool = False) -> str:
        text: str = self.compiled.ir(level, locations)
        return text

    def profile(self, report: Report, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Measures and fills the report's times in; returns the result of the last call.

        The median of several calls, or one call where calls change buffers or arguments.
        """
        flat = self.signature.match(args, kwargs, self.name)
        measured: list[Any] = []
        whole: list[float] = []

        def run(tensors: list[Any]) -> Any:
            begin = time.perf_counter()
            result, times = self.executable.profile(*tensors)
            whole.append((time.perf_counter() - begin) * 1e3)
            measured.append(times)
            return result

        result: Any = None
        for _ in range(1 if self._writes else PROFILED_CALLS):
            result = self._finish(flat, run)
        report.timings["call"] = statistics.median(whole)
        self._attach(report, measured)
        return result

    def _attach(self, report: Report, measured: Sequence[Any]) -> None:
        """Fills in the times of several calls."""
        attach_profile(report, self.compiled, typical(measured))


def typical(measured: Sequence[Sequence[int]]) -> list[float]:
    """Of each instruction's times in several calls the median."""
    return [statistics.median(times) for times in zip(*measured, strict=True)]


def _imported(root: nn.Module, signature: CallSignature, captured: Captured) -> Imported:
    return import_program(
        captured.program,
        root,
        input_names=[escaped(signature.names[item]) for item in signature.tensor_positions],
        outputs=result_nodes(captured),
        builder_factory=graph_builder(captured.precision),
    )


def note_sizes(
    root: nn.Module, signature: CallSignature, captured: Captured, family: Any, threads: int
) -> None:
    """Shows `family` the kernels for the sizes of a capture; see `_core.note_sizes`."""
    with contextlib.suppress(RuntimeError):  # the same comes up again when it is compiled
        options = compile_options()
        _core.note_sizes(
            _imported(root, signature, captured).graph,
            family,
            threads=threads or get_num_threads(),
            points=options["points"],
            prepack=options["prepack"],
        )


def build_program(
    name: str,
    root: nn.Module,
    signature: CallSignature,
    captured: Captured,
    report: Report,
    *,
    threads: int,
    strict: bool,
    example: Sequence[torch.Tensor],
    family: Any = None,
) -> Program:
    """Imports and compiles a capture; fills `report`. Raises ConversionError under `strict`."""
    if captured.gradients:
        from tessera.differentiable import build_differentiable

        return build_differentiable(
            name, root, signature, captured, report, threads=threads, strict=strict, example=example
        )
    if depends_on_data(captured.program, result_nodes(captured)):
        from tessera.staged import build_staged

        return build_staged(
            name, root, signature, captured, report, example,
            threads=threads, strict=strict, family=family,
        )  # fmt: skip
    with phases.phase(report, "import"):
        imported = _imported(root, signature, captured)
    report.nodes = imported.nodes
    report.islands = imported.island_rows
    if "graph" in settings().debug:
        print(imported.graph, file=sys.stderr)
    if strict and report.unconverted:
        raise ConversionError(strict_message(report), report=report)
    with phases.phase(report, "compile"):
        code = make_code(name, imported, threads, report, family)
    program = Program(name, signature, captured, imported, code, threads, family)
    attach_kernels(report, program.compiled, imported.natives)
    return program


def _ties(tensors: dict[str, torch.Tensor]) -> list[int]:
    """For each tensor the position of the first one that is the same object."""
    first: dict[int, int] = {}
    return [
        first.setdefault(id(tensor), position) for position, tensor in enumerate(tensors.values())
    ]


def _overlaps_itself(tensor: torch.Tensor) -> bool:
    """Whether elements of a tensor may share memory (some odd strides only seem to)."""
    reach = 0
    sizes = zip(tensor.stride(), tensor.shape, strict=True)
    for stride, size in sorted((stride, size) for stride, size in sizes if size > 1):
        if stride <= reach:
            return tensor.numel() > 0
        reach += stride * (size - 1)
    return False


def _stretch(tensor: torch.Tensor) -> tuple[int, int]:
    """From where to where in memory a tensor lies; nowhere when it is empty."""
    if not tensor.numel():
        return 0, 0
    begin = tensor.data_ptr()
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return begin, begin + (last + 1) * tensor.element_size()


def escaped(name: str) -> str:
    return name.replace('"', "'")


def _refuse_gradients(signature: CallSignature, given: list[Any], positions: list[int]) -> None:
    if not torch.is_grad_enabled():
        return
    for index in positions:
        if given[index].requires_grad:
            raise ArgumentError(
                f"argument {signature.names[index]!r} requires grad, and this program computes no "
                "gradients",
                remedy="call under torch.no_grad(), or pass the tensor's .detach()",
            )
