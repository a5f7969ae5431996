# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A captured program becomes Graph IR.

The first pass lowers every node and learns which cannot be lowered. Where there are such nodes, a
partition gathers them into islands and a second pass builds the graph around them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from tessera.capture.joint import JointProgram
from tessera.capture.leaves import TensorSpec, leaf_call
from tessera.capture.provenance import location_of
from tessera.capture.specialize import SpecializedProgram, owner_of
from tessera.errors import InternalError
from tessera.lowering.complexes.boundary import complex_island, crossing_shape
from tessera.lowering.complexes.value import ComplexValue, complex_constant, split
from tessera.lowering.context import NO_LOCATION, GraphValue, Location, LoweringContext
from tessera.lowering.costs import CostModel, Prices
from tessera.lowering.dtypes import dtype_name, is_compiled
from tessera.lowering.islands import IslandFn, build_island
from tessera.lowering.nodes import NodeLowering
from tessera.lowering.outcome import Failure, Uncrossable
from tessera.lowering.partition import Partition, partition
from tessera.lowering.registry import Registry, registry
from tessera.report.report import IslandRow, NodeRow

#: Tensors created in forward() are constants of the program up to this size, parameters beyond.
INLINE_CONSTANT_BYTES = 4096


#: What captures leave behind; the importer reads their graphs, signatures and tensors.
AnyProgram = ExportedProgram | SpecializedProgram | JointProgram


class CannotCross(Exception):
    """A value at the border of the program has no place in it; the whole capture is unusable."""

    def __init__(self, reason: str, remedy: str, location: Location = NO_LOCATION) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.location = location


@dataclass
class Imported:
    """Graph IR and what is needed to run it."""

    graph: Any
    #: declared parameters, in order: name and the live tensor
    parameters: dict[str, torch.Tensor]
    islands: dict[int, IslandFn]
    nodes: list[NodeRow]
    island_rows: list[IslandRow]
    #: the graph's outputs, as nodes of the program
    outputs: list[fx.Node]
    #: the live tensor behind a parameter, buffer or constant of the capture
    live: Callable[[str], torch.Tensor]
    #: how many random keys the graph takes before its other inputs; see tessera.random_keys
    random_keys: int = 0
    #: which of the islands are kernels of users; see LoweringContext.natives
    natives: dict[int, tuple[str, Location]] = field(default_factory=dict)
    #: complex inputs by position: name and dtype; the graph takes them as torch.view_as_real
    complex_inputs: dict[int, tuple[str, torch.dtype]] = field(default_factory=dict)
    #: complex outputs by position, which the graph gives as torch.view_as_real: whether the tensor
    #: returned is the conjugate of that
    complex_outputs: dict[int, bool] = field(default_factory=dict)


def crossable_spec(value: Any) -> TensorSpec | None:
    """The type of a tensor a compiled program can hold; None for everything else."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return None
    if is_traceable_wrapper_subclass(value):
        return None  # its data is somewhere else
    if value.device.type != "cpu" or not is_compiled(value.dtype) or value.is_quantized:
        return None
    if not all(isinstance(size, int) for size in value.shape):
        return None
    return TensorSpec.of(value)


def own_tensor(root: nn.Module, program: Any, name: str) -> torch.Tensor:
    """The tensor that a captured program calls `name`: the model's, or else the capture's own."""
    value: Any = root
    for part in name.split("."):
        value = getattr(value, part, None)
    if not isinstance(value, torch.Tensor):
        value = program.state_dict.get(name, program.constants.get(name))
    if not isinstance(value, torch.Tensor):
        raise InternalError(f"the captured program refers to {name!r}, which has no value")
    return value


class Importer:
    """Imports one exported program; see :func:`import_program`."""

    def __init__(
        self,
        program: AnyProgram,
        root: nn.Module,
        input_names: Sequence[str],
        outputs: Sequence[fx.Node],
        rules: Registry,
        builder_factory: Callable[[], Any],
    ) -> None:
        self.program = program
        self.root = root
        self.input_names = input_names
        self.outputs = list(dict.fromkeys(outputs))
        self.rules = rules
        self.builder_factory = builder_factory
        self.nodes = [
            node for node in program.graph.nodes if node.op in ("call_function", "get_attr")
        ]
        self.decompositions: dict[fx.Node, fx.GraphModule | None] = {}

    def live_tensor(self, name: str) -> torch.Tensor:
        """The user's own tensor, so that what they write to it is what the program reads."""
        value = own_tensor(self.root, self.program, name)
        if type(value) not in (torch.Tensor, nn.Parameter) and crossable_spec(value) is not None:
            return value.detach().as_subclass(torch.Tensor)
        return value

    def run(self) -> Imported:
        attempt, failures = self.first_pass()
        if not failures:
            return attempt.finish()
        # Without moved nodes where a lowering needs what an island does not tell: the value of a
        # constant.
        for costs in (CostModel(), None):
            final = self._hybrid(failures, costs)
            if not final.failures:
                return final.finish()
        node, failure = next(iter(final.failures.items()))
        raise InternalError(f"{node.target} lowered at first, then not: {failure.reason}")

    def first_pass(self) -> tuple[_Attempt, dict[fx.Node, Failure]]:
        """Lowers every node; which cannot be lowered, and why."""
        attempt = _Attempt(self)
        attempt.lower_all(self.nodes)
        return attempt, attempt.failures

    def partition(self, failures: Mapping[fx.Node, Failure], costs: CostModel | None) -> Partition:
        """The nodes in compiled stretches and islands for `failures`, as `costs` has it.

        An island belongs to one half of a program with a backward pass.
        """
        whole = Partition([])
        late = self.program.late if isinstance(self.program, JointProgram) else frozenset()
        halves = (
            [node for node in self.nodes if node not in late],
            [node for node in self.nodes if node in late],
        )
        outputs = {*self.outputs, *(source for node in late for source in node.all_input_nodes)}
        for nodes in halves:
            if nodes:
                half = self._partition(nodes, failures, outputs, costs)
                whole.groups += half.groups
                whole.moved.update(half.moved)
        return whole

    def _partition(
        self,
        nodes: Sequence[fx.Node],
        failures: Mapping[fx.Node, Failure],
        outputs: Collection[fx.Node],
        costs: CostModel | None,
    ) -> Partition:
        here = set(nodes)
        return partition(
            nodes,
            {node: failure for node, failure in failures.items() if node in here},
            crossable=lambda node: crossable_spec(node.meta.get("val")) is not None,
            mergeable=lambda node: leaf_call(node) is None,
            movable=self._is_ours,
            outputs=outputs,
            costs=costs,
        )

    def _hybrid(self, failures: dict[fx.Node, Failure], costs: CostModel | None) -> _Attempt:
        parts = self.partition(failures, costs)
        attempt = _Attempt(self)
        for group in parts.groups:
            if group.island:
                attempt.island(group.nodes, failures, parts.moved)
            else:
                attempt.lower_all(group.nodes)
        return attempt

    def _is_ours(self, node: fx.Node) -> bool:
        """Whether PyTorch would compute the same: an operator of its own, lowered by our rules.

        Whoever registers a lowering wants it to be used.
        """
        if node.op != "call_function" or node.target is operator.getitem:
            return True
        target = node.target
        if not isinstance(target, torch._ops.OpOverload) or target.namespace != "aten":
            return False
        if self.rules.user_overrides_inside(target):
            return False
        body = self.decompositions.get(node)
        return all(rule.builtin for rule in self.rules.lookup(target)) and (
            body is None or all(map(self._is_ours, body.graph.nodes))
        )


class _Attempt:
    """One walk over the graph with its own builder."""

    def __init__(self, importer: Importer) -> None:
        self.importer = importer
        self.context = LoweringContext(importer.builder_factory())
        self.lowering = NodeLowering(
            self.context, importer.rules, owner_of(importer.program), importer.decompositions
        )
        self.failures: dict[fx.Node, Failure] = {}
        self.rows: dict[fx.Node, NodeRow] = {}
        self.parameters: dict[str, torch.Tensor] = {}
        self.islands: dict[int, IslandFn] = self.context.islands
        self.island_rows: list[IslandRow] = []
        self.tensors: dict[fx.Node, torch.Tensor] = {}
        self._shared: dict[int, GraphValue | ComplexValue] = {}
        self.complex_inputs: dict[int, tuple[str, torch.dtype]] = {}
        self._bind_placeholders()

    # --- inputs, parameters, constants ----------------------------------------------------

    def _bind_placeholders(self) -> None:
        placeholders = {
            node.name: node
            for node in self.importer.program.graph.nodes
            if node.op == "placeholder"
        }
        users = iter(enumerate(self.importer.input_names))
        for spec in self.importer.program.graph_signature.input_specs:
            node = placeholders[spec.arg.name]
            if spec.kind == InputKind.USER_INPUT:
                self._bind_user_input(node, *next(users))
            elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
                self._bind_tensor(node, str(spec.target), spec.kind)
            else:
                raise CannotCross(
                    f"the program takes {spec.arg.name}, a {spec.kind.name.lower()}",
                    "keep script objects and tokens out of forward()",
                )

    def _bind_user_input(self, node: fx.Node, position: int, name: str) -> None:
        value = node.meta.get("val")
        spec = crossable_spec(value)
        if spec is None:
            raise CannotCross(
                f"input {name!r} is {_describe(value)}, which compiled programs cannot take",
                "pass dense CPU tensors of another dtype",
            )
        if spec.dtype.is_complex:
            self.complex_inputs[position] = (name, spec.dtype)
        self.context.bind(node, self._input(name, spec))

    def _input(self, name: str, spec: TensorSpec) -> GraphValue | ComplexValue:
        shape, dtype = crossing_shape(spec.shape, spec.dtype)
        value = GraphValue(self.context, self.context.builder.input(name, dtype_name(dtype), shape))
        return split(self.context, value) if spec.dtype.is_complex else value

    def _bind_tensor(self, node: fx.Node, name: str, kind: InputKind) -> None:
        tensor = self.importer.live_tensor(name)
        if isinstance(tensor, FakeTensor) or torch._C._functorch.is_functorch_wrapped_tensor(
            tensor
        ):
            raise CannotCross(
                f"the capture has a constant without data, {name}",
                "keep transforms of torch.func (grad, vjp, jacrev) out of forward()",
            )
        spec = crossable_spec(tensor)
        if spec is None:
            self.tensors[node] = tensor
            self.context.bind(node, Uncrossable(f"{name} is {_describe(tensor)}"))
            return
        lifted = kind == InputKind.CONSTANT_TENSOR and not _on_module(self.importer.root, name)
        size = tensor.numel() * tensor.element_size()
        if lifted and size <= INLINE_CONSTANT_BYTES:
            if spec.dtype.is_complex:
                self.context.bind(node, complex_constant(self.context, tensor))
                return
            self.context.bind(node, self.context.constant(tensor))
            self.lowering.constants[node] = tensor
            return
        # Tied parameters are one object under several names: the first one stands for all. Objects
        # that merely share memory today may be given memory of their own (`v.data = other`).
        key = id(tensor)
        if key not in self._shared and not node.users:
            return
        if key not in self._shared:
            shape, dtype = crossing_shape(spec.shape, spec.dtype)
            handle = self.context.builder.parameter(name, dtype_name(dtype), shape)
            value = GraphValue(self.context, handle)
            self._shared[key] = (
                split(self.context, value, tensor.is_conj()) if spec.dtype.is_complex else value
            )
            self.parameters[name] = tensor
        self.context.bind(node, self._shared[key])

    # --- nodes ----------------------------------------------------------------------------

    def lower_all(self, nodes: Iterable[fx.Node]) -> None:
        for node in nodes:
            self.context.location = location_of(node)
            natives = len(self.context.natives)
            outcome = self.lowering.lower(node)
            if isinstance(outcome, Failure):
                self.failures[node] = outcome
                self.context.bind(node, self._stand_in(node, node.meta.get("val")))
            elif outcome.reported:
                fqn, file, line = self.context.location
                self.rows[node] = NodeRow(
                    node.name,
                    str(node.target),
                    fqn,
                    file,
                    line,
                    "native" if len(self.context.natives) > natives else outcome.status,
                    lowered_by=outcome.lowered_by,
                )

    def _stand_in(self, node: fx.Node, value: Any) -> Any:
        """In the first pass: something of the right type for what an island will return."""
        if isinstance(value, (tuple, list)):
            return type(value)(self._stand_in(node, item) for item in value)
        spec = crossable_spec(value)
        if spec is None:
            return Uncrossable(f"%{node.name} is {_describe(value)}")
        return self._input(f"island_{node.name}", spec)

    def island(
        self,
        nodes: list[fx.Node],
        failures: dict[fx.Node, Failure],
        moved: dict[fx.Node, str],
    ) -> None:
        inside = set(nodes)
        inputs = list(
            dict.fromkeys(
                source
                for node in nodes
                for source in node.all_input_nodes
                if source not in inside and source not in self.tensors and source.op != "get_attr"
            )
        )
        wanted = set(self.importer.outputs)
        outputs = [
            node
            for node in nodes
            if node in wanted or any(user not in inside for user in node.users)
        ]
        operands = [self._operand(node) for node in inputs]
        results = [self._result(node) for node in outputs]
        identifier = len(self.islands)
        cause = _cause(nodes, failures, moved)
        self.islands[identifier] = complex_island(
            build_island(owner_of(self.importer.program), nodes, inputs, outputs, self.tensors),
            _complex_places(operands),
            _complex_places(results),
        )
        crossing = [crossing_shape(spec.shape, spec.dtype) for spec in results]
        handles = self.context.builder.island(
            identifier,
            cause.reason,
            [
                (item.joined(self.context) if isinstance(item, ComplexValue) else item).handle
                for item in operands
            ],
            [(dtype_name(dtype), shape) for shape, dtype in crossing],
            location_of(nodes[0]),
        )
        for node, handle, spec in zip(outputs, handles, results, strict=True):
            value = GraphValue(self.context, handle)
            self.context.bind(node, split(self.context, value) if spec.dtype.is_complex else value)
        self._report_island(identifier, nodes, cause, failures, moved, operands, results)

    def _operand(self, node: fx.Node) -> GraphValue | ComplexValue:
        value = self.context.lookup(node)
        if isinstance(value, (bool, int, float)):
            return self.context.constant(value)
        if not isinstance(value, (GraphValue, ComplexValue)):
            raise InternalError(f"%{node.name} ({value!r}) cannot enter an island")
        return value

    def _result(self, node: fx.Node) -> TensorSpec:
        value = node.meta.get("val")
        spec = crossable_spec(value)
        if spec is None:
            raise CannotCross(
                f"{node.target} gives {_describe(value)}, which compiled code cannot take over",
                "its shape or value depends on data; keep this part of the model in PyTorch",
                location_of(node),
            )
        return spec

    def _report_island(
        self,
        identifier: int,
        nodes: Sequence[fx.Node],
        first: Failure,
        failures: dict[fx.Node, Failure],
        moved: dict[fx.Node, str],
        operands: Sequence[GraphValue | ComplexValue],
        results: Sequence[TensorSpec],
    ) -> None:
        native = False
        names: list[str] = []
        causes: list[str] = []
        for node in nodes:
            fqn, file, line = location_of(node)
            failure = failures.get(node)
            call = leaf_call(node)
            if call is not None:
                fqn, native = call.leaf.fqn, call.leaf.native
            if failure is None and _is_getitem(node):
                continue
            if node.op == "get_attr":
                continue
            names.append(call.leaf.fqn if call is not None else str(node.target))
            if failure is not None:
                causes.append(names[-1])
            status = "opaque" if native else "island"
            if node in moved:
                status, failure = "kept", Failure("crossing-cost", moved[node], first.remedy)
            failure = failure or Failure(
                "between", "lies between operators that run in PyTorch", first.remedy
            )
            self.rows[node] = NodeRow(
                node.name,
                str(node.target),
                fqn,
                file,
                line,
                status,
                failure.code,
                failure.reason,
                failure.remedy,
                island=identifier,
            )
        bytes_in = sum(_bytes(item.shape, item.dtype) for item in operands)
        bytes_out = sum(_bytes(item.shape, item.dtype) for item in results)
        self.island_rows.append(
            IslandRow(
                identifier,
                self.rows[nodes[0]].fqn if nodes[0] in self.rows else "",
                list(dict.fromkeys(names)),
                first.code,
                first.reason,
                first.remedy,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                native=native,
                causes=list(dict.fromkeys(causes)),
                crossing_us=Prices().crossing(len(operands) + len(results), bytes_in + bytes_out),
            )
        )

    def finish(self) -> Imported:
        values = []
        for node in self.importer.outputs:
            value = self.context.lookup(node)
            if isinstance(value, ComplexValue):
                value = value.joined(self.context, node.meta["val"].is_conj())
            if not isinstance(value, GraphValue):
                raise CannotCross(
                    f"the model returns %{node.name}, {_describe(node.meta.get('val'))}",
                    "return dense tensors of a fixed shape",
                    location_of(node),
                )
            values.append(value)
        # Code behind the model may rely on it: `logits.view(-1, classes)`.
        eager = [node.meta.get("val") for node in self.importer.outputs]
        # Of a complex result the parts have to lie side by side.
        contiguous = [
            isinstance(item, torch.Tensor) and (item.is_contiguous() or item.dtype.is_complex)
            for item in eager
        ]
        graph = self.context.finish(values, contiguous)
        order = [self.rows[node] for node in self.importer.nodes if node in self.rows]
        return Imported(
            graph,
            self.parameters,
            self.islands,
            order,
            self.island_rows,
            self.importer.outputs,
            self.importer.live_tensor,
            self.context.key_count,
            self.context.natives,
            self.complex_inputs,
            {
                place: item.is_conj()
                for place, item in enumerate(eager)
                if isinstance(item, torch.Tensor) and item.dtype.is_complex
            },
        )


def import_program(
    program: AnyProgram,
    root: nn.Module,
    *,
    input_names: Sequence[str],
    outputs: Sequence[fx.Node],
    rules: Registry = registry,
    builder_factory: Callable[[], Any] | None = None,
) -> Imported:
    """Graph IR for `program`.

    `root` holds the live parameters, `input_names` names the user's inputs in order, `outputs`
    are the nodes whose values the program must return.
    """
    if builder_factory is None:
        from tessera import _core

        builder_factory = _core.GraphBuilder
    return Importer(program, root, input_names, outputs, rules, builder_factory).run()


def _cause(
    nodes: Sequence[fx.Node], failures: dict[fx.Node, Failure], moved: dict[fx.Node, str]
) -> Failure:
    """Why there is an island of `nodes`: the first that cannot be compiled."""
    for node in nodes:
        if node in failures:
            return failures[node]
    return Failure("crossing-cost", next(moved[node] for node in nodes if node in moved))


def _on_module(root: nn.Module, name: str) -> bool:
    value: Any = root
    for part in name.split("."):
        value = getattr(value, part, None)
    return isinstance(value, torch.Tensor)


def _is_getitem(node: fx.Node) -> bool:
    return getattr(node.target, "__name__", "") == "getitem"


def _complex_places(items: Sequence[Any]) -> frozenset[int]:
    """Which of several values are complex."""
    return frozenset(
        place for place, item in enumerate(items) if getattr(item, "dtype", torch.bool).is_complex
    )


def _bytes(shape: Sequence[int], dtype: torch.dtype) -> int:
    count = dtype.itemsize
    for size in shape:
        count *= size
    return count


def _describe(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__} known only at run time"
    if not all(isinstance(size, int) for size in value.shape):
        return "a tensor whose shape depends on data"
    if value.layout != torch.strided:
        return f"a {value.layout} tensor"
    if value.device.type != "cpu":
        return f"a tensor on {value.device}"
    return f"a tensor of {value.dtype}"
