# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs that autograd differentiates: a forward and a backward program behind one
``torch.autograd.Function``.

Which tensors get a gradient decides what is computed, so there is a pair of programs for each set
of them, all from one captured graph; see docs/decisions/0015-training.md.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx, nn
from torch.autograd.function import once_differentiable
from torch.export.graph_signature import OutputKind

from tessera import phases
from tessera.capture.export import Captured
from tessera.capture.joint import Joint, capture_joint
from tessera.capture.provenance import first_line
from tessera.capture.signature import CallSignature
from tessera.errors import CaptureError, ConversionError
from tessera.lowering.importer import CannotCross, Imported, import_program, own_tensor
from tessera.machine_code import Code, make_code
from tessera.outputs import result_nodes
from tessera.precision import graph_builder
from tessera.program import Program, escaped
from tessera.random_keys import draw_keys
from tessera.report.attach import attach_kernels
from tessera.report.report import Report, strict_message
from tessera.tuning.stored import using

_WRITES_ARGUMENTS = (OutputKind.USER_INPUT_MUTATION,)

#: Of the arguments, and of the parameters and buffers: whether each gets a gradient.
Flags = tuple[tuple[bool, ...], tuple[bool, ...]]


@dataclass(frozen=True)
class Pair:
    """What computes results, and the gradients of some tensors from theirs."""

    imported: Imported
    forward: Code
    #: None where nothing gets a gradient
    backward: Code | None
    #: where among what `forward` gives the results are; what comes after them is saved
    results: Sequence[int]
    #: the numbers of the results that have a gradient
    tangents: Sequence[int] = ()
    #: of each input of `backward`: whether `forward` gives it, and its number there, or else among
    #: the inputs of both: keys, arguments, tangents
    sources: Sequence[tuple[bool, int]] = ()
    #: of each argument and parameter: which of what `backward` gives is its gradient
    gradients: Sequence[int | None] = ()
    #: bytes kept from a call to its backward pass
    saved: int = 0

    def run(self, keys: Sequence[torch.Tensor], arguments: Sequence[torch.Tensor]) -> list[Any]:
        """What `forward` gives."""
        return _listed(self.forward.executable(*keys, *(item.detach() for item in arguments)))

    def draw_keys(self) -> list[torch.Tensor]:
        """The random keys of a call, as the first of the programs' inputs."""
        return [draw_keys(self.imported.random_keys)] if self.imported.random_keys else []


class PairMaker:
    """Makes the pairs for a captured program."""

    def __init__(
        self,
        name: str,
        root: nn.Module,
        signature: CallSignature,
        captured: Captured,
        threads: int,
    ) -> None:
        self.name = name
        self.root = root
        self.captured = captured
        self.threads = threads
        self.input_names = [escaped(signature.names[item]) for item in signature.tensor_positions]
        self.results = result_nodes(captured)
        placeholders = [
            node.name for node in captured.program.graph.nodes if node.op == "placeholder"
        ]
        #: the captured graph's names of the arguments and of the tensors of the model
        self.inputs = [name for name in placeholders if name in captured.user_inputs]
        self.tensors = [name for name in placeholders if name in captured.tensors]
        written = {name for kind, name, _ in captured.mutations if kind in _WRITES_ARGUMENTS}
        self._written = [name in written for name in self.inputs]
        self._written_state = {
            name for kind, name, _ in captured.mutations if kind not in _WRITES_ARGUMENTS
        }
        #: how it is to be compiled: calls may ask for more pairs later
        self._context = copy_context()

    def live_tensors(self) -> list[torch.Tensor]:
        """The tensors of the model, by the order of `tensors`."""
        program, paths = self.captured.program, self.captured.tensors
        return [own_tensor(self.root, program, paths[name][0]) for name in self.tensors]

    def make_later(self, flags: Flags) -> Pair:
        """The same for a call that asks for other gradients than the ones before."""
        try:
            report = Report(model=self.name)
            return self._context.copy().run(self.make, flags, report)
        except CannotCross as error:
            raise CaptureError(str(error), remedy=error.remedy) from error

    def make(self, flags: Flags, report: Report, strict: bool = False) -> Pair:
        """Traces, imports and compiles; fills `report`. Raises ConversionError under `strict`."""
        names = [*self.inputs, *self.tensors]
        wanted = [name for name, flag in zip(names, sum(flags, ()), strict=True) if flag]
        if any(flag and written for flag, written in zip(flags[0], self._written, strict=True)):
            raise CannotCross(
                "an argument that requires grad is changed in place",
                "pass a tensor that does not require grad, or x.clone()",
            )
        with phases.phase(report, "capture"):
            joint = self._joint(wanted)
        gradients = [node for node in joint.gradients.values() if node is not None]
        with phases.phase(report, "import"):
            imported = self._import(joint, gradients)
        report.nodes, report.islands = imported.nodes, imported.island_rows
        if strict and report.unconverted:
            raise ConversionError(strict_message(report), report=report)
        with phases.phase(report, "compile"):
            return self._compile(joint, gradients, imported, names, report)

    def _joint(self, wanted: list[str]) -> Joint:
        if not wanted:  # then it is the captured graph
            return Joint(self.captured.program, list(self.results), [], {})
        try:
            return capture_joint(self.captured, self.results, wanted)
        except Exception as error:  # torch's
            raise CannotCross(
                f"its backward pass cannot be traced: {first_line(error)}",
                "keep the part that cannot be differentiated in a submodule of its own",
            ) from error

    def _import(self, joint: Joint, gradients: list[fx.Node]) -> Imported:
        tangents = [f"gradient of result {number}" for number in joint.tangents]
        imported = import_program(
            joint.program,
            self.root,
            input_names=[*self.input_names, *tangents],
            outputs=[*joint.results, *gradients],
            builder_factory=graph_builder(self.captured.precision),
        )
        complexes = any(tensor.dtype.is_complex for tensor in imported.parameters.values())
        if imported.complex_inputs or imported.complex_outputs or complexes:
            raise CannotCross(
                "gradients of complex tensors are not compiled yet",
                "keep what computes with them in PyTorch",
            )
        return imported

    def _compile(
        self,
        joint: Joint,
        gradients: list[fx.Node],
        imported: Imported,
        names: list[str],
        report: Report,
    ) -> Pair:
        place = {node: number for number, node in enumerate(imported.outputs)}
        results = [place[node] for node in joint.results]
        count = len(set(results))
        if any(place[node] < count for node in gradients):
            raise CannotCross("a result is a gradient as well", "return a copy of it")
        imported = replace(imported, outputs=self.results)
        if not gradients:
            return Pair(imported, self._code("", imported.graph, imported, report), None, results)
        split = imported.graph.split_joint(count, len(joint.tangents))
        forward = self._code("", split.forward, imported, report)
        attach_kernels(report, forward.compiled, imported.natives)
        backward = self._code("'s backward pass", split.backward, imported, report)
        for name in backward.compiled.parameter_names:
            if name in self._written_state:  # by then it has another value
                raise CannotCross(
                    f"{name} is written by forward() and read by the backward pass",
                    "compute with a copy of it: self.buffer.clone()",
                )
        nodes = [joint.gradients.get(name) for name in names]
        return Pair(
            replace(imported, graph=split.forward),
            forward,
            backward,
            results,
            joint.tangents,
            split.sources,
            [None if node is None else place[node] - count for node in nodes],
            split.saved_bytes,
        )

    def _code(self, what: str, graph: Any, imported: Imported, report: Report) -> Code:
        alone = replace(imported, graph=graph, random_keys=0)
        # Whoever trains writes parameters, also where PyTorch does not count it (.data): a copy of
        # them, packed before, might be an old one.
        with using(None, prepack=False):
            return make_code(f"{self.name}{what}", alone, self.threads, report)


class _Call(torch.autograd.Function):
    """One call of a pair, as autograd sees it."""

    @staticmethod
    def forward(ctx: Any, pair: Pair, count: int, *tensors: torch.Tensor) -> tuple[Any, ...]:
        """`count` of the tensors are arguments, the others the model's."""
        keys = pair.draw_keys()
        values = pair.run(keys, tensors[:count])
        results = [values[index] for index in pair.results]
        given = [*keys, *tensors[:count]]
        ctx.pair, ctx.count = pair, len(given)
        #: what the backward program reads and is known now: nothing else has to stay as it is
        ctx.known = [source for source in pair.sources if source[0] or source[1] < len(given)]
        stored = [values[index] if saved else given[index] for saved, index in ctx.known]
        # Parameters that it reads are saved for their version: one that was changed in between is
        # PyTorch's error.
        ctx.save_for_backward(*stored, *pair.backward.parameters)  # type: ignore[union-attr]
        differentiable = set(pair.tangents)
        ctx.mark_non_differentiable(
            *(item for number, item in enumerate(results) if number not in differentiable)
        )
        return tuple(results)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *tangents: torch.Tensor) -> tuple[Any, ...]:
        pair: Pair = ctx.pair
        known = dict(zip(ctx.known, ctx.saved_tensors, strict=False))
        given = [tangents[number] for number in pair.tangents]
        inputs = [
            known[source] if source in known else given[source[1] - ctx.count]
            for source in pair.sources
        ]
        results = _listed(pair.backward.executable(*inputs))  # type: ignore[union-attr]
        _separate(results, inputs)
        gradients = [None if index is None else results[index] for index in pair.gradients]
        return None, None, *gradients


def _listed(results: Any) -> list[torch.Tensor]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


def _separate(results: list[torch.Tensor], inputs: Sequence[torch.Tensor]) -> None:
    """Copies results that share memory with what was given, or with one another: autograd adds to
    gradients in place."""
    taken = {item.untyped_storage().data_ptr() for item in inputs}
    for index, result in enumerate(results):
        place = result.untyped_storage().data_ptr()
        if place in taken and result.numel():
            results[index] = result.clone()
        taken.add(place)


class DifferentiableExecutable:
    """What `Program` runs: tensors in, results out, with gradients for those that require them."""

    def __init__(
        self, maker: PairMaker, tensors: Sequence[torch.Tensor], flags: Flags, pair: Pair
    ) -> None:
        self._maker = maker
        #: those of the model, in the order of the flags
        self._tensors = tensors
        self._pairs: dict[Flags, Pair] = {flags: pair}
        self._flags, self.first = flags, pair
        self._single = len(pair.results) == 1
        self._lock = threading.Lock()

    def __call__(self, *tensors: torch.Tensor) -> Any:
        flags = flags_of(tensors, self._tensors)
        pair = self._pairs.get(flags) or self._make(flags)
        if pair.backward is None:
            values = pair.run(pair.draw_keys(), tensors)
            results = tuple(values[index] for index in pair.results)
        else:
            call: Any = _Call.apply
            results = call(pair, len(tensors), *tensors, *self._tensors)
        return results[0] if self._single else results

    def _make(self, flags: Flags) -> Pair:
        with self._lock:
            pair = self._pairs.get(flags)
            if pair is None:
                pair = self._maker.make_later(flags)
                self._pairs[flags] = pair
            return pair

    def again(self, report: Report) -> DifferentiableExecutable:
        """The same with programs compiled anew."""
        pair = self._maker.make(self._flags, report)
        return DifferentiableExecutable(self._maker, self._tensors, self._flags, pair)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.first.forward.executable, name)


def flags_of(arguments: Sequence[Any], tensors: Sequence[torch.Tensor]) -> Flags:
    return (
        tuple([item.requires_grad for item in arguments]),
        tuple([item.requires_grad for item in tensors]),
    )


class DifferentiableProgram(Program):
    """A program whose results carry gradients."""

    gradients = True

    @property
    def fast(self) -> None:
        """None: whoever calls the executable itself would not look whether gradients are asked
        for."""
        return None

    def rebound(self, root: nn.Module) -> None:
        """None: it is made again for other parameters."""
        return

    def recompiled(self, report: Report) -> Program:
        """The same, compiled again; further pairs are, when calls ask for them."""
        result: Program = copy.copy(self)
        result.executable = self.executable.again(report)
        forward = result.executable.first.forward
        result.compiled, result._owned = forward.compiled, forward.parameters
        return result


def build_differentiable(
    name: str,
    root: nn.Module,
    signature: CallSignature,
    captured: Captured,
    report: Report,
    *,
    threads: int,
    strict: bool,
    example: Sequence[torch.Tensor],
) -> Program:
    """What `program.build_program` gives for a capture with gradients."""
    maker = PairMaker(name, root, signature, captured, threads)
    tensors = maker.live_tensors()
    flags = flags_of(example, tensors)
    pair = maker.make(flags, report, strict)
    executable = DifferentiableExecutable(maker, tensors, flags, pair)
    code = Code(pair.forward.compiled, executable, pair.forward.parameters)
    return DifferentiableProgram(name, signature, captured, pair.imported, code, threads)
