# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs with sizes that depend on data: stages, each compiled for the sizes that are known.

What is compiled for one set of sizes is kept and found again by those sizes. See
docs/decisions/0010-data-dependent-sizes.md; capture/stages.py does the cutting.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from tessera import _core, phases
from tessera._core import OutdatedError
from tessera.capture import autocast
from tessera.capture.export import Captured
from tessera.capture.provenance import location_of
from tessera.capture.signature import CallSignature
from tessera.capture.specialize import OutsideCapture
from tessera.capture.stages import Cutter, Probe, Stage, first_program
from tessera.errors import ArgumentError, ConversionError
from tessera.lowering.importer import CannotCross, Imported, Importer, import_program
from tessera.lowering.registry import registry
from tessera.machine_code import Code, make_code
from tessera.outputs import result_nodes
from tessera.precision import graph_builder
from tessera.program import Program, escaped, typical
from tessera.report.attach import attach_kernels, attach_profile
from tessera.report.report import IslandRow, NodeRow, Report, strict_message
from tessera.watch import Entry, changed

LOG = logging.getLogger("tessera.dynamic")

#: Sizes that the programs behind one stage are kept for; the oldest goes first.
MAX_SIZES = 256


@dataclass
class _Step:
    """A stage with its code, and what follows for the sizes met so far."""

    stage: Stage
    code: Code | None
    nodes: list[fx.Node]
    following: dict[tuple[int, ...], _Step] = field(default_factory=dict)
    #: the rows of what it computes, and of what PyTorch computes for the sizes it ends in
    parts: list[Report] = field(default_factory=list)
    #: by how much the islands' numbers in the first of them are higher than in the code
    offset: int = 0


@dataclass
class _Clock:
    """What one call took: nanoseconds for each instruction of a step's code, and of its probes."""

    steps: list[tuple[_Step, list[int]]] = field(default_factory=list)
    probes: dict[str, int] = field(default_factory=dict)


class StagedExecutable:
    """Tensors in, the values of a capture's result nodes out, as of an executable."""

    def __init__(
        self,
        name: str,
        root: nn.Module,
        captured: Captured,
        report: Report,
        *,
        threads: int,
        strict: bool,
        family: Any,
    ) -> None:
        self._name = name
        self._root = root
        self._threads = threads
        self._precision = captured.precision
        self._strict = strict
        self._family = family if family is not None else _core.KernelFamily()
        self._lock = threading.RLock()
        self._inputs = list(captured.user_inputs)
        self._results = [node.name for node in result_nodes(captured)]
        self._entries: list[Entry] = []
        self._warned = False
        #: filled while it is set: with what the example needs
        self.report: Report | None = report
        #: the islands of all stages, by their numbers in reports, and the next such number
        self.islands: dict[int, Any] = {}
        self._count = 0
        self.program = first_program(captured.program)
        self._first = self._step(Cutter(self.program, set(self._inputs), self._results))
        captured.session.kept = True
        weakref.finalize(self, captured.session.close)

    # --- calling --------------------------------------------------------------------------

    def __call__(self, *tensors: torch.Tensor) -> Any:
        return self._answer(tensors, None)

    def profile(self, *tensors: torch.Tensor) -> tuple[Any, _Clock]:
        """The same, and what it took."""
        clock = _Clock()
        return self._answer(tensors, clock), clock

    def _answer(self, tensors: Sequence[torch.Tensor], clock: _Clock | None) -> Any:
        if self.outdated:
            raise OutdatedError("the model was changed")
        with torch.no_grad(), autocast.suspended():
            env = dict(zip(self._inputs, tensors, strict=True))
            step = self._run(env, clock)
            numbers = dict(step.stage.program.numbers)
            for node in step.stage.numbers:
                numbers[node.name] = _evaluate(node, numbers, env)
        values = [numbers[name] if name in numbers else env[name] for name in self._results]
        return values[0] if len(values) == 1 else tuple(values)

    def settled(self, captured: Captured, tensors: Sequence[torch.Tensor]) -> Captured:
        """The capture as it is for the sizes these tensors lead to."""
        with torch.no_grad(), autocast.suspended(), torch.random.fork_rng(devices=[]):
            program = self._run(dict(zip(self._inputs, tensors, strict=True))).stage.whole
        nodes = {node.name: node for node in program.graph.nodes}

        def of(item: Any) -> Any:
            if not isinstance(item, fx.Node):
                return item
            known = item.name in program.numbers
            return (program.numbers[item.name],) if known else nodes[item.name]

        return replace(
            captured,
            program=program,
            outputs=[of(item) for item in captured.outputs],
            mutations=[(kind, name, nodes[node.name]) for kind, name, node in captured.mutations],
        )

    def _run(self, env: dict[str, Any], clock: _Clock | None = None) -> _Step:
        """Runs all stages; gives the last, and fills `env` with their values."""
        step = self._first
        while True:
            self._compute(step, env, clock)
            if not step.stage.probes:
                return step
            sizes: tuple[int, ...] = ()
            for probe in step.stage.probes:
                begin = time.perf_counter_ns()
                sizes += tuple(self._read(probe, step, env))
                if clock is not None:
                    clock.probes[probe.node.name] = time.perf_counter_ns() - begin
            step = step.following.get(sizes) or self._follow(step, sizes, set(env))

    def _compute(self, step: _Step, env: dict[str, Any], clock: _Clock | None) -> None:
        if clock is not None:
            clock.steps.append((step, []))
        if step.code is None:
            return
        inputs = [env[name] for name in step.stage.inputs]
        if clock is None:
            results = step.code.executable(*inputs)
        else:
            results, spent = step.code.executable.profile(*inputs)
            clock.steps[-1][1].extend(spent)
        values = (results,) if len(step.nodes) == 1 else results
        by_node = dict(zip(step.nodes, values, strict=True))
        env.update({name: by_node[node] for name, node in step.stage.outputs.items()})

    def _read(self, probe: Probe, step: _Step, env: dict[str, Any]) -> list[int]:
        """The sizes a stage ends in."""
        if probe.measure is not None:
            return [int(env[probe.measure].item())]
        owner = step.stage.program.owner
        result = _call(probe.node, step.stage.program.numbers, env, owner)
        env[probe.node.name] = result
        for user in probe.node.users:
            if isinstance(result, (tuple, list)) and user.name not in env:
                env[user.name] = result[int(user.args[1])]  # type: ignore[arg-type]
        return [int(pytree.key_get(result, path)) for _, path in probe.sizes]

    # --- compiling ------------------------------------------------------------------------

    def _follow(self, step: _Step, sizes: tuple[int, ...], available: set[str]) -> _Step:
        """What follows a stage for sizes that are met for the first time."""
        with self._lock, torch.inference_mode(False), torch.no_grad():
            found = step.following.get(sizes)
            if found is not None:
                return found
            expressions = [name for probe in step.stage.probes for name, _ in probe.sizes]
            if any(size < 0 for size in sizes):
                raise OutsideCapture(f"the arguments of {step.stage.probes[0].node.target}")
            program = step.stage.whole.settled(list(zip(expressions, sizes, strict=True)))
            made = self._step(Cutter(program, available, self._results))
            if len(step.following) >= MAX_SIZES:
                self._warn()
                del step.following[next(iter(step.following))]
            step.following[sizes] = made
            return made

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            LOG.warning(
                "%s met more than %d sizes that depend on data; programs for the oldest are "
                "forgotten. What to do: use fewer sizes (torch.nonzero_static, a mask in place of "
                "a selection)",
                self._name,
                MAX_SIZES,
            )

    def _step(self, cutter: Cutter) -> _Step:
        stage = cutter.cut()
        if stage is None:
            raise CannotCross(
                "a size that depends on data follows from no operator of the graph",
                "keep the size of what torch.cond, while_loop and scan return fixed",
            )
        probes = self._report_probes(stage)
        if not stage.outputs:
            return _Step(stage, None, [], parts=probes)
        report = Report(self._name)
        with phases.phase(report, "import"):
            imported = import_program(
                stage.program,
                self._root,
                input_names=[escaped(name) for name in stage.inputs],
                outputs=list(stage.outputs.values()),
                builder_factory=graph_builder(self._precision),
            )
        report.nodes, report.islands = imported.nodes, imported.island_rows
        if self._strict and report.unconverted:
            raise ConversionError(strict_message(report), report=report)
        with phases.phase(report, "compile"):
            code = make_code(self._name, imported, self._threads, report, self._family)
        code.executable.watch(self._entries)
        attach_kernels(report, code.compiled, imported.natives)
        offset = self._report(report, imported.islands)
        return _Step(stage, code, imported.outputs, parts=[report, *probes], offset=offset)

    # --- reports --------------------------------------------------------------------------

    def _report_probes(self, stage: Stage) -> list[Report]:
        rows = [
            _island_row(probe.node)
            for probe in stage.probes
            if probe.measure is None and not _reads_number(probe.node)
        ]
        if not rows:
            return []
        islands = [
            IslandRow(index, row.fqn, [row.op], row.code, row.reason, row.remedy)
            for index, row in enumerate(rows)
        ]
        for index, row in enumerate(rows):
            row.island = index
        report = Report(self._name, nodes=rows, islands=islands)
        if self._strict:
            raise ConversionError(strict_message(report), report=report)
        self._report(report)
        return [report]

    def _report(self, part: Report, islands: Mapping[int, Any] | None = None) -> int:
        """Adds what became of one stage; gives what its islands' numbers grew by."""
        offset = self._count
        self._count += max((island.id + 1 for island in part.islands), default=0)
        self.islands.update({key + offset: island for key, island in (islands or {}).items()})
        for row in part.nodes:
            row.island = None if row.island is None else row.island + offset
        for island in part.islands:
            island.id += offset
        whole = self.report
        if whole is None:
            return offset
        whole.nodes += part.nodes
        whole.islands += part.islands
        whole.kernels += part.kernels
        for name, time_ms in part.timings.items():
            whole.timings[name] = whole.timings.get(name, 0.0) + time_ms
        whole.buffers = whole.buffers.before(part.buffers)
        for name, growth in part.memory.items():
            whole.memory[name] = whole.memory.get(name, 0) + growth
        return offset

    # --- as of an executable --------------------------------------------------------------

    def watch(self, entries: list[Entry]) -> None:
        self._entries = entries
        for step in self.steps():
            if step.code is not None:
                step.code.executable.watch(entries)

    @property
    def outdated(self) -> bool:
        return changed(self._entries)

    def steps(self) -> list[_Step]:
        """Everything compiled so far, in the order in which it runs."""
        found, index = [self._first], 0
        with self._lock:
            while index < len(found):
                found += found[index].following.values()
                index += 1
        return found

    def refresh(self) -> None:
        for step in self.steps():
            if step.code is not None:
                step.code.executable.refresh()


def _call(node: fx.Node, numbers: Any, env: dict[str, Any], owner: fx.GraphModule) -> Any:
    """What PyTorch makes of one node."""

    def value(item: fx.Node) -> Any:
        if item.op == "get_attr" and item.name not in env:
            return getattr(owner, str(item.target))
        return numbers[item.name] if item.name in numbers else env[item.name]

    args, kwargs = fx.node.map_arg((node.args, node.kwargs), value)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _evaluate(node: fx.Node, numbers: dict[str, Any], env: dict[str, Any]) -> Any:
    try:
        return _call(node, numbers, env, node.graph.owning_module)  # type: ignore[arg-type]
    except RuntimeError as error:
        # A check: PyTorch runs the call, and says it in the model's own words.
        raise OutsideCapture(str(error)) from error


def _reads_number(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), (torch.SymInt, torch.SymFloat, torch.SymBool))


def _island_row(node: fx.Node) -> NodeRow:
    fqn, file, line = location_of(node)
    return NodeRow(
        node.name,
        str(node.target),
        fqn,
        file,
        line,
        "island",
        "data-dependent-shape",
        f"{node.target} has a result whose size depends on the data",
        "use an operator of fixed size (torch.where, torch.nonzero_static, a product with a mask)",
        island=0,
    )


class StagedProgram(Program):
    """A program in stages behind the same call."""

    executable: StagedExecutable

    def _separate(self, given: list[Any], values: list[Any]) -> None:
        # Which results share memory may differ from size to size.
        self._aliased = None
        super()._separate(given, values)

    @property
    def fast(self) -> None:
        return None

    def quick(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        return None

    def rebound(self, root: nn.Module) -> None:
        return None

    def ir(self, level: str, locations: bool = False) -> str:
        parts = []
        for number, step in enumerate(self.executable.steps()):
            if step.code is not None:
                parts.append(f"// stage {number}\n{step.code.compiled.ir(level, locations)}")
        if not parts:
            raise ArgumentError(f"{self.name} computes nothing but numbers, so it has no IR")
        return "\n".join(parts)

    def _attach(self, report: Report, measured: Sequence[Any]) -> None:
        """The rows are then those of the stages that ran; other sizes have stages of their own."""
        clocks: list[_Clock] = measured  # type: ignore[assignment]
        last = clocks[-1]
        rows = [part for step, _ in last.steps for part in step.parts]
        report.nodes = [row for part in rows for row in part.nodes]
        report.kernels = [row for part in rows for row in part.kernels]
        report.islands = [row for part in rows for row in part.islands]
        for step, _ in last.steps:
            if step.code is None:
                continue
            times = [spent for clock in clocks for other, spent in clock.steps if other is step]
            attach_profile(step.parts[0], step.code.compiled, typical(times), step.offset)
        for part in rows:
            for node in part.nodes:
                if node.node in last.probes and node.island is not None:
                    row = next(row for row in part.islands if row.id == node.island)
                    row.measured_us = last.probes[node.node] / 1e3


def build_staged(
    name: str,
    root: nn.Module,
    signature: CallSignature,
    captured: Captured,
    report: Report,
    example: Sequence[torch.Tensor],
    *,
    threads: int,
    strict: bool,
    family: Any,
) -> StagedProgram:
    """Compiles what the example needs; fills `report`."""
    executable = StagedExecutable(
        name, root, captured, report, threads=threads, strict=strict, family=family
    )
    with torch.random.fork_rng(devices=[]):
        try:
            executable(*example)
        except OutsideCapture as reason:
            # Calls with other data may fit; those that do not run in PyTorch.
            LOG.info("%s: the example is outside of what was captured: %s", name, reason)
    executable.report = None
    importer = Importer(executable.program, root, (), (), registry, _core.GraphBuilder)
    owned = {target: importer.live_tensor(target) for target, _ in captured.tensors.values()}
    imported = Imported(
        None, owned, executable.islands, [], [], result_nodes(captured), importer.live_tensor
    )
    code = Code(None, executable, list(owned.values()))
    return StagedProgram(name, signature, captured, imported, code, threads)
