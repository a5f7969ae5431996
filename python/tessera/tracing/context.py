# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The context in which a function over ``ts.ops`` builds its graph.

Tensors with data that the function uses, such as the parameters of its modules, become parameters
of the program: it reads what they hold when it is called. Calls of modules tell whose operators are
built, which modules the program depends on, and where to stop looking inside.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from tessera import _core
from tessera.capture.leaves import (
    Leaf,
    LeafCall,
    TensorSpec,
    TreeOfTensors,
    run_leaf,
    same_tree,
)
from tessera.capture.provenance import is_user_file, source_text
from tessera.errors import ArgumentError
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.dtypes import dtype_name
from tessera.lowering.islands import guarded
from tessera.lowering.registry import Unsupported
from tessera.module import Module
from tessera.precision import graph_builder
from tessera.report.report import IslandRow, NodeRow
from tessera.tensor import Tensor
from tessera.tracing.active import listening
from tessera.tracing.attributes import Attributes


@dataclass
class Opaque:
    """A module that runs as it is, and why; `calls` are the forms of its arguments and results."""

    module: Any
    reason: str
    remedy: str
    code: str
    native: bool
    calls: list[tuple[TreeOfTensors, TreeOfTensors]] = field(default_factory=list)


class TracingContext(LoweringContext):
    """Builds the graph of one function; also listens to its calls of modules."""

    builds = True

    def __init__(
        self, roots: dict[str, Any], opaque: dict[int, Opaque], precision: str | None = None
    ) -> None:
        super().__init__(graph_builder(precision)())
        self.opaque = opaque
        self.rows: list[NodeRow] = []
        self.island_rows: list[IslandRow] = []
        #: name: the live tensor, in the order the graph declares them
        self.parameters: dict[str, torch.Tensor] = {}
        #: inputs that calls do not give: the ts.Tensors from outside
        self.hidden: dict[str, Tensor] = {}
        #: what is written back after a call: target and value
        self.writes: dict[int, tuple[Any, GraphValue]] = {}
        #: the modules met, and what they were then; those below count as well, since a container
        #: is not called
        self.touched: dict[int, tuple[Any, Attributes]] = {}
        #: what PyTorch has computed from other tensors meanwhile, by address
        self.computed = ComputedByTorch()
        #: the innermost module whose forward() could not be traced
        self.failed: tuple[Any, Exception] | None = None
        self._path: list[str] = []
        self._traced: set[int] = set()
        self._names: dict[int, str] = {}
        self._tensor_names: dict[Any, str] = {}
        self._values: dict[Any, GraphValue] = {}
        self._calls: dict[int, int] = {}
        self._counts: dict[str, int] = {}
        for prefix, root in roots.items():
            self._learn(root, prefix)

    # --- operators ------------------------------------------------------------------------

    def begin_operator(self, name: str, op: str, status: str = "compiled") -> None:
        file, line = _user_line()
        self.location = (self._path[-1] if self._path else "", file, line)
        count = self._counts[name] = self._counts.get(name, -1) + 1
        node = f"{name}_{count}" if count else name
        self.rows.append(NodeRow(node, op, *self.location, status))

    def native(self, name: str, call: Any, operands: Any, results: Any) -> Any:
        self.begin_operator(name.split(".")[1], name, "native")
        return self.results(super().native(name, call, operands, results))

    def captured(self, tensor: Any) -> GraphValue:
        if not isinstance(tensor, (torch.Tensor, Tensor)):
            tensor = _core.from_dlpack(tensor)
        native = isinstance(tensor, Tensor)
        plain = torch.from_dlpack(tensor) if native else tensor
        if type(plain) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer):
            raise Unsupported(
                f"a {type(plain).__name__} takes part, which only PyTorch knows",
                "use plain tensors",
                code="subclass",
            )
        if plain.device.type != "cpu" or plain.layout != torch.strided:
            raise Unsupported(
                f"a {plain.layout} tensor on {plain.device} takes part",
                "use dense tensors on the CPU",
                code="not-crossable",
            )
        self.require_supported(plain.dtype)
        if plain.untyped_storage().data_ptr() in self.computed:
            raise Unsupported(
                "PyTorch computes a tensor while the graph is built, which would stay as it is now",
                "compute it with ts.ops",
                code="torch-call",
            )
        if plain.is_neg():
            return self.constant(plain)
        key = _memory(plain)
        if key not in self._values:
            name = self._unused(self._tensor_names.get(key, "captured"))
            declare = self.builder.input if native else self.builder.parameter
            handle = declare(name, dtype_name(plain.dtype), list(plain.shape))
            self._values[key] = GraphValue(self, handle)
            if native:
                # Writes to it are not counted, so nothing is prepared from its values.
                self.hidden[name] = tensor
            else:
                self.parameters[name] = plain
        return self._values[key]

    def results(self, results: Any) -> Any:
        """New objects for what an operator gives, operands included: x.clone() is not x."""
        return pytree.tree_map_only(
            GraphValue, lambda value: GraphValue(self, value.handle), results
        )

    def attribute(self, tensor: Any) -> Any:
        """A parameter or buffer that is read from its module: Python's operators build, too."""
        try:
            return self.captured(tensor)
        except Unsupported:
            return tensor

    def write(self, target: Any, value: Any) -> None:
        """Writes `value` into a tensor after the call; what is traced from here on reads it."""
        plain = torch.from_dlpack(target) if isinstance(target, Tensor) else target
        given = self.captured(value) if _has_data(value) else self.value(value, plain.dtype)
        stored = self.broadcast(self.cast(given, plain.dtype), plain.shape)
        self.writes[id(target)] = (target, stored)
        self._values[_memory(plain)] = stored

    def _unused(self, name: str) -> str:
        candidate, count = name, 0
        while candidate in self.parameters or candidate in self.hidden:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    # --- modules --------------------------------------------------------------------------

    def call_module(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Traces the module's forward, or leaves it whole where that is known not to work."""
        self._path.append(self._name_of(module))
        try:
            if id(module) in self.opaque:
                return self._leaf(self.opaque[id(module)], args, kwargs)
            if hasattr(module, "_torch"):
                raise Unsupported(
                    "it is a converted PyTorch module, with programs of its own", code="converted"
                )
            self._traced.add(id(module))
            return module.forward(*args, **kwargs)
        except Exception as error:
            if self.failed is None:
                self.failed = (module, error)
            raise
        finally:
            self._path.pop()

    def depends_on(self) -> list[Attributes]:
        """The modules whose attributes the program takes for granted: not the opaque ones."""
        apart = {
            id(module) for opaque in self.opaque.values() for module in opaque.module.modules()
        } - self._traced
        return [item for key, (_, item) in self.touched.items() if key not in apart]

    def _leaf(self, opaque: Opaque, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One call of a module that runs as it is: an island."""
        flat, spec = pytree.tree_flatten((args, kwargs))
        values = [self.captured(item) if _has_data(item) else item for item in flat]
        number = self._calls[id(opaque.module)] = self._calls.get(id(opaque.module), -1) + 1
        leaves = tuple(
            TensorSpec(item.shape, item.dtype) if isinstance(item, GraphValue) else (item,)
            for item in values
        )
        known = opaque.calls[number][0] if number < len(opaque.calls) else None
        if known is None or not same_tree(known, TreeOfTensors(spec, leaves)):
            raise ArgumentError(
                f"{self._path[-1] or type(opaque.module).__name__} is called in another way while "
                "the graph is built than with data",
                remedy="keep Python control flow that depends on data out of what is traced",
            )
        inputs, outputs = opaque.calls[number]
        fqn = self._path[-1]
        leaf = Leaf(
            fqn, opaque.module, _over_torch(opaque.module), opaque.code, opaque.reason,
            opaque.remedy, opaque.native,
        )  # fmt: skip
        operands = [item for item in values if isinstance(item, GraphValue)]
        file, line = _user_line()
        self.location = (fqn, file, line)
        identifier = len(self.islands)
        self.islands[identifier] = guarded(
            run_leaf(LeafCall(leaf, inputs, outputs)),
            f"{type(opaque.module).__name__}.forward",
            source_text(self.location),
        )
        handles = self.builder.island(
            identifier,
            opaque.reason,
            [item.handle for item in operands],
            [(dtype_name(item.dtype), list(item.shape)) for item in outputs.tensors],
            self.location,
        )
        self._report_leaf(identifier, opaque, operands, outputs)
        return outputs.fill([GraphValue(self, handle) for handle in handles])

    def _report_leaf(
        self,
        identifier: int,
        opaque: Opaque,
        operands: list[GraphValue],
        outputs: TreeOfTensors,
    ) -> None:
        fqn, file, line = self.location
        op = f"{type(opaque.module).__name__}.forward"
        status = "opaque" if opaque.native else "island"
        self.rows.append(
            NodeRow(
                f"call_{identifier}", op, fqn, file, line, status, opaque.code, opaque.reason,
                opaque.remedy, island=identifier,
            )
        )  # fmt: skip
        self.island_rows.append(
            IslandRow(
                identifier, fqn, [op], opaque.code, opaque.reason, opaque.remedy,
                bytes_in=sum(item.numel() * item.dtype.itemsize for item in operands),
                bytes_out=sum(_bytes(item) for item in outputs.tensors),
                native=opaque.native,
            )
        )  # fmt: skip

    # --- names ----------------------------------------------------------------------------

    def _name_of(self, module: Any) -> str:
        if id(module) not in self._names:
            self._learn(module, type(module).__name__)
        return self._names[id(module)]

    def _learn(self, root: Any, prefix: str) -> None:
        """Paths of a module and all below it, and of their tensors."""
        for path, module in root.named_modules(prefix=prefix):
            if isinstance(module, Module) and not hasattr(module, "_torch"):
                self.touched.setdefault(id(module), (module, Attributes(module)))
            self._names.setdefault(id(module), path)
            if "_inner" in vars(module):  # of ts.jit, which stands in the tree for it
                self._names.setdefault(id(module._inner), path)
        for tensors in (root.named_parameters(prefix), root.named_buffers(prefix)):
            for name, tensor in tensors:
                plain = torch.from_dlpack(tensor) if isinstance(tensor, Tensor) else tensor
                if plain.layout == torch.strided and plain.device.type == "cpu":
                    self._tensor_names.setdefault(_memory(plain), name)


class ComputedByTorch(TorchDispatchMode):
    """Notes the memory that PyTorch's operators have filled from tensors, views left out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Kept alive, so that no other tensor gets their addresses.
        self._results: dict[int, torch.Tensor] = {}

    def __contains__(self, address: int) -> bool:
        return address in self._results

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_address(item) for item in pytree.tree_leaves((args, kwargs))} - {0}
        for item in pytree.tree_leaves(result) if given else ():
            if _address(item) not in {0, *given}:
                self._results[_address(item)] = item
        return result


class Recorder:
    """Listens while the function runs on data, and notes the forms of all calls of modules."""

    builds = False

    def __init__(self) -> None:
        self.calls: dict[int, list[tuple[TreeOfTensors, TreeOfTensors]]] = {}

    def call_module(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls the module, noting the form of arguments and results."""
        inputs = form_of((args, kwargs))
        if hasattr(module, "_torch"):
            with listening(None):
                result = module(*args, **kwargs)
        else:
            result = module.forward(*args, **kwargs)
        self.calls.setdefault(id(module), []).append((inputs, form_of(result)))
        return result


def form_of(tree: Any) -> TreeOfTensors:
    """Structure and types of a tree of either kind of tensors."""
    return TreeOfTensors.of(pytree.tree_map_only(Tensor, torch.from_dlpack, tree))


def _address(value: Any) -> int:
    plain = isinstance(value, torch.Tensor) and value.layout == torch.strided
    return int(value.untyped_storage().data_ptr()) if plain else 0


def _over_torch(module: Any) -> Any:
    from tessera.shims import adapter

    return adapter(module)


def _has_data(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, Tensor))


def _memory(tensor: torch.Tensor) -> Any:
    """What is equal for tensors that are the same memory in the same form."""
    storage = tensor.untyped_storage().data_ptr()
    return storage, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype


def _bytes(spec: TensorSpec) -> int:
    count = spec.dtype.itemsize
    for size in spec.shape:
        count *= size
    return count


def _user_line() -> tuple[str, int]:
    """File and line of the innermost frame that is neither PyTorch's nor Tessera's."""
    frame = sys._getframe(1)
    while frame is not None:
        if is_user_file(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return "", 0
