# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a lowering works with: graph values, and the context that makes them.

The context wraps ``_core.GraphBuilder``. While a captured graph is imported it also knows the
values of the nodes lowered so far; without nodes the same class serves ``ts.ops`` on its own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from tessera.errors import InternalError, RegistrationError
from tessera.lowering.dtypes import (
    dtype_from_name,
    dtype_name,
    is_supported,
    result_type,
    scalar_dtype,
)
from tessera.lowering.registry import Unsupported
from tessera.lowering.value import TensorInterface

#: (module path, file, line)
Location = tuple[str, str, int]
NO_LOCATION: Location = ("", "", 0)
_MISSING: Any = object()
_NUMBERS = (bool, int, float)


class GraphValue(TensorInterface):
    """A tensor of the graph being built: shape and dtype, no data."""

    __slots__ = ("context", "dtype", "handle", "shape")

    def __init__(self, context: LoweringContext, handle: Any) -> None:
        self.context = context
        #: the `_core.Value` behind it
        self.handle = handle
        self.shape: tuple[int, ...] = tuple(int(size) for size in handle.shape)
        self.dtype: torch.dtype = dtype_from_name(handle.dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return len(self.shape)

    def numel(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    def __repr__(self) -> str:
        return f"GraphValue({describe_type(self.shape, self.dtype)})"


class NumberValue(GraphValue):
    """A number that the program reads from a tensor: without dimensions, and as weak in promotion
    as the Python number it stands for."""

    __slots__ = ()

    @property
    def example(self) -> bool | int | float:
        """A number of its type."""
        if self.dtype.is_floating_point:
            return 1.0
        return self.dtype == torch.bool or 1

    # Equal to no number a rule has a shortcut for: what it is turns out in the call.

    def __eq__(self, other: object) -> Any:
        return self is other

    def __ne__(self, other: object) -> Any:
        return self is not other

    def __hash__(self) -> int:
        return id(self)


def describe_type(shape: Sequence[int], dtype: torch.dtype) -> str:
    """``float32[8, 1024]``, as messages print tensor types."""
    return f"{str(dtype).removeprefix('torch.')}[{', '.join(str(size) for size in shape)}]"


class LoweringContext:
    """Builds Graph IR. One per graph; not shared between threads."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.location: Location = NO_LOCATION
        self._env: dict[fx.Node, Any] = {}
        self._keys: Any = None
        #: the first element of values that count evenly, and the next one's distance: by their ids
        self.ranges: dict[int, tuple[float, float]] = {}
        #: how many random keys the graph takes, as one tensor before its other inputs
        self.key_count = 0
        #: what the graph calls while it runs, by number: functions over torch tensors, and kernels
        #: of users, which need no Python
        self.islands: dict[int, Any] = {}
        #: those of them that are kernels: what they are called, and where in the model
        self.natives: dict[int, tuple[str, Location]] = {}

    # --- the captured graph ---------------------------------------------------------------

    def bind(self, node: fx.Node, value: Any) -> None:
        """Records what `node` was lowered to."""
        self._env[node] = value

    def is_bound(self, node: fx.Node) -> bool:
        return node in self._env

    def lookup(self, node: fx.Node) -> Any:
        try:
            return self._env[node]
        except KeyError:
            raise InternalError(f"{node.format_node()} is used before it is lowered") from None

    def map(self, argument: Any) -> Any:
        """`argument` of a node, with the graph's values for the nodes inside it."""
        if isinstance(argument, fx.Node):
            return self.lookup(argument)
        if isinstance(argument, (list, tuple)):
            return type(argument)(self.map(item) for item in argument)
        if isinstance(argument, dict):
            return {key: self.map(item) for key, item in argument.items()}
        if isinstance(argument, slice):
            return slice(self.map(argument.start), self.map(argument.stop), self.map(argument.step))
        return argument

    def get_inputs(self, node: fx.Node) -> list[Any]:
        """All positional arguments: tensors as graph values, everything else as it is."""
        return [self.map(argument) for argument in node.args]

    def get_kwargs(self, node: fx.Node) -> dict[str, Any]:
        """The keyword arguments, tensors as graph values."""
        return {key: self.map(argument) for key, argument in node.kwargs.items()}

    def arg(self, node: fx.Node, index: int, name: str, default: Any = _MISSING) -> Any:
        """The argument at `index`, or given as `name`, or else the default.

        Without `default` the operator's schema supplies it.
        """
        if index < len(node.args):
            return self.map(node.args[index])
        if name in node.kwargs:
            return self.map(node.kwargs[name])
        if default is not _MISSING:
            return default
        schema = getattr(node.target, "_schema", None)
        for argument in schema.arguments if schema is not None else ():
            if argument.name == name and argument.has_default_value():
                return argument.default_value
        raise InternalError(f"{node.target} has no argument {name!r} and no default for it")

    def meta(self, node: fx.Node) -> Any:
        """The fake tensor (or the structure of them) the node must produce."""
        return node.meta.get("val")

    # --- building -------------------------------------------------------------------------

    def value(self, operand: Any, dtype: torch.dtype | None = None) -> GraphValue:
        """`operand` as a graph value: nodes are looked up, numbers become 0-d constants."""
        if isinstance(operand, fx.Node):
            operand = self.lookup(operand)
        if not isinstance(operand, GraphValue):
            return self.constant(operand, dtype)
        return operand if dtype is None else self.cast(operand, dtype)

    def emit_many(self, op: str, operands: Sequence[Any], **attrs: Any) -> tuple[GraphValue, ...]:
        """Creates one operation of the graph dialect; all its results."""
        values = [self.value(operand) for operand in operands]
        handles = [value.handle for value in values]
        attributes = {key: _attribute(item) for key, item in attrs.items() if item is not None}
        try:
            results = self.builder.create(op, handles, attributes, self.location)
        except (RuntimeError, ValueError, TypeError) as error:
            types = ", ".join(describe_type(value.shape, value.dtype) for value in values)
            raise InternalError(f"[graph.{op}] on ({types}) with {attrs}: {error}") from error
        return tuple(GraphValue(self, handle) for handle in results)

    def emit(self, op: str, operands: Sequence[Any], **attrs: Any) -> GraphValue:
        """Creates one operation of the graph dialect that has exactly one result."""
        results = self.emit_many(op, operands, **attrs)
        if len(results) != 1:
            raise InternalError(f"[graph.{op}] has {len(results)} results where one was expected")
        return results[0]

    def native(
        self,
        name: str,
        call: Any,
        operands: Sequence[GraphValue],
        results: Sequence[tuple[torch.dtype, Sequence[int]]],
    ) -> tuple[GraphValue, ...]:
        """One call of a user's kernel (a `_core.NativeCall`) for the operator `name`."""
        identifier = len(self.islands)
        self.islands[identifier] = call
        self.natives[identifier] = (call.description, self.location)
        handles = self.builder.island(
            identifier,
            f"{name} is the native kernel {call.description}",
            [operand.handle for operand in operands],
            [(dtype_name(dtype), list(shape)) for dtype, shape in results],
            self.location,
        )
        return tuple(GraphValue(self, handle) for handle in handles)

    def constant(self, data: Any, dtype: torch.dtype | None = None) -> GraphValue:
        """A constant from a number, a NumPy array or a torch tensor."""
        if isinstance(data, torch.Tensor):
            tensor = data.detach().resolve_conj().resolve_neg().cpu()
        elif isinstance(data, _NUMBERS):
            tensor = torch.tensor(data, dtype=dtype or scalar_dtype(data))
        elif hasattr(data, "__array_interface__"):
            tensor = torch.asarray(data).clone()
        else:
            raise RegistrationError(
                f"{type(data).__name__} {data!r} cannot become a constant of the graph",
                remedy="pass a number, a NumPy array or a torch tensor",
            )
        if dtype is not None:
            tensor = tensor.to(dtype)
        self.require_supported(tensor.dtype)
        tensor = tensor.contiguous()
        # The bytes as they are: there may be no NumPy, and it has no bfloat16 either.
        size = tensor.numel() * tensor.element_size()
        raw = ctypes.string_at(tensor.data_ptr(), size) if size else b""
        shape = list(tensor.shape)
        handle = self.builder.constant(raw, dtype_name(tensor.dtype), shape, self.location)
        return GraphValue(self, handle)

    def cast(self, value: Any, dtype: torch.dtype) -> GraphValue:
        """`value` with elements converted to `dtype` (itself when it has it already)."""
        if not isinstance(value, GraphValue):
            return self.value(value, dtype)
        if value.dtype == dtype:
            return value
        self.require_supported(dtype)
        return self.emit("cast", [value], dtype=dtype)

    def random_bits(self, shape: Sequence[int], dtype: torch.dtype = torch.int32) -> GraphValue:
        """Uniformly distributed bits in int32 or int64, drawn anew in every call of the program."""
        if self._keys is None:
            self._keys = self.builder.open_first_input("random keys", dtype_name(torch.int64), 1)
        number, self.key_count = self.key_count, self.key_count + 1
        keys = GraphValue(self, self._keys)
        key = self.emit("slice", [keys], starts=[number], limits=[number + 1], steps=[1])
        return self.emit(
            "random_bits", [self.reshape(key, ())], shape=[int(size) for size in shape], dtype=dtype
        )

    def finish(self, outputs: Sequence[GraphValue], contiguous: Sequence[bool] = ()) -> Any:
        """The finished graph. Where `key_count` is not 0, tessera.random_keys calls what it
        becomes."""
        if self._keys is not None:
            self.builder.set_input_shape(self._keys, [self.key_count])
        return self.builder.finish([value.handle for value in outputs], contiguous)

    def promote(
        self, *operands: Any, int_to_float: bool = False, dtype: torch.dtype | None = None
    ) -> tuple[GraphValue, ...]:
        """All operands in the one dtype torch computes in.

        `int_to_float` is torch's rule for sin, div, …: integers and bools become the default
        float dtype. `dtype` overrides the computed type.
        """
        if dtype is None:
            dtype = self.result_type(*operands)
            if int_to_float and not dtype.is_floating_point and not dtype.is_complex:
                dtype = torch.get_default_dtype()
        self.require_supported(dtype)
        return tuple(self.value(operand, dtype) for operand in operands)

    def result_type(self, *operands: Any) -> torch.dtype:
        """torch.result_type over graph values and Python numbers."""
        return result_type(
            item.example
            if isinstance(item, NumberValue)
            else ((item.dtype, item.ndim) if isinstance(item, GraphValue) else item)
            for item in operands
        )

    def reshape(self, value: GraphValue, shape: Sequence[int]) -> GraphValue:
        """`value` with the same elements in another shape (no -1)."""
        target = tuple(int(size) for size in shape)
        return value if value.shape == target else self.emit("reshape", [value], shape=list(target))

    def broadcast(self, value: Any, shape: Sequence[int]) -> GraphValue:
        """`value` stretched to `shape` by NumPy's rule."""
        source = self.value(value)
        target = tuple(int(size) for size in shape)
        if source.shape == target:
            return source
        padded = (1,) * (len(target) - source.ndim) + source.shape
        source = self.reshape(source, padded)
        return source if padded == target else self.emit("broadcast", [source], shape=list(target))

    # --- what tracing adds (tracing/context.py) --------------------------------------------

    def begin_operator(self, name: str, op: str) -> None:
        """Called before a function `name` builds what the report calls `op`."""

    def results(self, results: Any) -> Any:
        """What the operator gave."""
        return results

    def captured(self, tensor: Any) -> GraphValue:
        """A tensor with data among the operands; what is built holds for its present values."""
        if not isinstance(tensor, torch.Tensor):
            tensor = torch.from_dlpack(tensor)
        return self.constant(tensor)

    def require_supported(self, dtype: torch.dtype) -> None:
        """Unsupported for element types the compiler does not have (complex, quantized, …)."""
        if not is_supported(dtype):
            raise Unsupported(
                f"element type {dtype} is not compiled",
                "cast to a real floating-point, integer or bool dtype",
                code="dtype",
            )


def _attribute(item: Any) -> Any:
    """An attribute in the form the builder takes."""
    if isinstance(item, torch.dtype):
        return dtype_name(item)
    if isinstance(item, (tuple, torch.Size)):
        return [_attribute(entry) for entry in item]
    return item
