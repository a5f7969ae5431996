# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Opaque leaves: submodules that capture does not look into.

A leaf stands in the captured tree for a child the user replaced, a child with hooks, or a child
that capture cannot get through. In the graph it is one ``tessera::leaf`` operator per call. What
a call returns is learned by *recording*: the tree runs once with fake tensors (or, where that is
impossible, with the example inputs) and every leaf notes structure, shapes and dtypes.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.utils import _pytree as pytree

from tessera.capture import autocast
from tessera.capture.flat import call_builder_of, flattener_of
from tessera.capture.objects import carries_state
from tessera.capture.trees import opened
from tessera.errors import ArgumentError, CaptureError, InternalError
from tessera.lowering.context import describe_type

LEAF_NAME = "tessera::leaf"

_LIBRARY = torch.library.Library("tessera", "FRAGMENT")
_LIBRARY.define("leaf(int call, Tensor[] tensors) -> Tensor[]")
_CALL_IDS = itertools.count(1)
_CALLS: dict[int, LeafCall] = {}
_CALLS_LOCK = threading.Lock()


def kind_of(tensor: Any) -> str:
    """What makes a tensor one that only PyTorch computes with; "" for dense tensors on the CPU."""
    owner: Any = type(tensor)
    if owner is not torch.Tensor and _computes_itself(owner):
        return str(owner.__name__)
    if not isinstance(tensor, torch.Tensor):
        return ""
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return str(tensor.layout)
    if tensor.device.type != "cpu":
        return f"on {tensor.device}"
    return "torch.func" if _is_transformed(tensor) else ""


def _is_transformed(tensor: torch.Tensor) -> bool:
    """Whether torch.vmap or its like stands behind a tensor; what is being captured is fine."""
    functorch = torch._C._functorch
    if not functorch.is_functorch_wrapped_tensor(tensor):
        return False
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return not isinstance(tensor, (FakeTensor, FunctionalTensor))


@functools.cache
def _computes_itself(kind: type) -> bool:
    """Whether a class of tensors has a say in what operators do to them."""
    if not issubclass(kind, torch.Tensor) or issubclass(kind, (FakeTensor, FunctionalTensor)):
        return False
    own, plain = (
        getattr(owner.__torch_function__, "__func__", owner.__torch_function__)
        for owner in (kind, torch.Tensor)
    )
    return (
        own is not plain and own is not torch._C._disabled_torch_function_impl
    ) or kind.__torch_dispatch__ is not torch._C._disabled_torch_dispatch_impl


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one tensor, and its kind where it is no ordinary one."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    kind: str = ""

    @staticmethod
    def of(tensor: Any) -> TensorSpec:
        kind = kind_of(tensor)
        shape = (-1,) * tensor.dim() if kind == "nested" else tuple(map(int, tensor.shape))
        return TensorSpec(shape, tensor.dtype, kind)

    def __str__(self) -> str:
        text = describe_type(self.shape, self.dtype)
        return f"{text} ({self.kind})" if self.kind else text


@dataclass(frozen=True)
class TreeOfTensors:
    """A pytree with its tensors taken out: structure, constants, and the tensors' types."""

    spec: pytree.TreeSpec
    #: one entry a leaf of the tree: a TensorSpec, or (value,) for anything else
    leaves: tuple[Any, ...]

    @staticmethod
    def of(tree: Any) -> TreeOfTensors:
        flat, spec = pytree.tree_flatten(opened(tree))
        leaves = [
            TensorSpec.of(leaf) if isinstance(leaf, torch.Tensor) else (leaf,) for leaf in flat
        ]
        return TreeOfTensors(spec, tuple(leaves))

    @staticmethod
    def from_tree(tree: Any) -> TreeOfTensors:
        """The inverse of `as_tree`."""
        flat, spec = pytree.tree_flatten(opened(tree, leaves=(TensorSpec,)))
        leaves = [leaf if isinstance(leaf, TensorSpec) else (leaf,) for leaf in flat]
        return TreeOfTensors(spec, tuple(leaves))

    def as_tree(self) -> Any:
        """The tree with TensorSpecs for tensors: plain data, to be pickled."""
        return self.fill(self.tensors)

    @property
    def tensors(self) -> list[TensorSpec]:
        return [leaf for leaf in self.leaves if isinstance(leaf, TensorSpec)]

    def fill(self, tensors: Sequence[Any]) -> Any:
        """The tree again, with `tensors` in the places of the tensors."""
        rest = iter(tensors)
        flat = [next(rest) if isinstance(leaf, TensorSpec) else leaf[0] for leaf in self.leaves]
        return pytree.tree_unflatten(flat, self.spec)


class ResultChanged(ArgumentError):
    """A part that stays in PyTorch returned another form of result than it did in the trial run."""


@dataclass(frozen=True)
class LeafCall:
    """One call of a leaf in the captured graph."""

    leaf: Leaf
    inputs: TreeOfTensors
    outputs: TreeOfTensors
    #: the state of autocast where the call stands in the model
    autocast: torch.dtype | None = None


@dataclass
class Leaf:
    """A child kept opaque.

    `fqn` is its path, `module` the original PyTorch module (which tells the shapes), `target`
    what is called at run time with the child's own arguments.
    """

    fqn: str
    module: nn.Module
    target: Callable[..., Any]
    code: str
    reason: str
    remedy: str = ""
    #: runs compiled by Tessera inside
    native: bool = False
    #: the state of autocast, arguments and results of each call seen
    recorded: list[tuple[torch.dtype | None, TreeOfTensors, TreeOfTensors]] = field(
        default_factory=list
    )

    def record(self, inputs: TreeOfTensors, outputs: TreeOfTensors) -> None:
        self.recorded.append((autocast.state(), inputs, outputs))

    def outputs_for(self, inputs: TreeOfTensors) -> TreeOfTensors:
        present = autocast.state()
        for state, known, outputs in self.recorded:
            if state == present and same_tree(known, inputs):
                return outputs
        raise CaptureError(
            f"the submodule {self.fqn!r} is called during capture in a way the trial run did not",
            remedy="the model's control flow depends on data; wrap the part that branches with "
            "ts.compat.wrap",
        )


def same_tree(left: TreeOfTensors, right: TreeOfTensors) -> bool:
    if left.spec != right.spec or len(left.leaves) != len(right.leaves):
        return False
    for one, other in zip(left.leaves, right.leaves, strict=True):
        if isinstance(one, TensorSpec) or isinstance(other, TensorSpec):
            if one != other:
                return False
        elif one[0] is not other[0]:
            try:
                if not bool(one[0] == other[0]):
                    return False
            except (TypeError, ValueError, RuntimeError):
                return False
    return True


class LeafModule(nn.Module):
    """What stands in the captured tree in a leaf's place."""

    def __init__(self, leaf: Leaf, inner: nn.Module | None, session: LeafSession) -> None:
        super().__init__()
        # Kept out of the module's registry: the leaf's parameters are not the graph's.
        self.__dict__["_leaf"] = leaf
        self.__dict__["_inner"] = inner
        self.__dict__["_session"] = session

    def __getattr__(self, name: str) -> Any:
        # A parent may read the child's plain attributes and weights, though not look inside it.
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_leaf"].module, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        leaf: Leaf = self.__dict__["_leaf"]
        inputs = TreeOfTensors.of((args, kwargs))
        if carries_state((args, kwargs)):
            raise CaptureError(
                f"the submodule {leaf.fqn!r}, which capture does not look into, is given an object "
                "that it may change",
                remedy="pass it the tensors it needs",
            )
        inner = self.__dict__["_inner"]
        if inner is not None:
            result = inner(*args, **kwargs)
            leaf.record(inputs, TreeOfTensors.of(result))
            return result
        outputs = leaf.outputs_for(inputs)
        call = self.__dict__["_session"].add(LeafCall(leaf, inputs, outputs, autocast.state()))
        leaves = pytree.tree_leaves(opened((args, kwargs)))
        tensors = [item for item in leaves if isinstance(item, torch.Tensor)]
        return outputs.fill(torch.ops.tessera.leaf(call, tensors))


class LeafSession:
    """Keeps the calls of one capture alive while its graph is traced and imported."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        #: whether somebody imports parts of the graph later, and closes this then
        self.kept = False

    def add(self, call: LeafCall) -> int:
        with _CALLS_LOCK:
            index = next(_CALL_IDS)
            _CALLS[index] = call
        self._ids.append(index)
        return index

    def close(self) -> None:
        with _CALLS_LOCK:
            for index in self._ids:
                _CALLS.pop(index, None)
        self._ids.clear()

    def __enter__(self) -> LeafSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def leaf_call(node: fx.Node) -> LeafCall | None:
    """The call behind a node of the captured graph, or None when it is no leaf."""
    return leaf_call_of(node.target, node.args) if node.op == "call_function" else None


def leaf_call_of(target: Any, args: Sequence[Any]) -> LeafCall | None:
    """The call that calling `target` with `args` stands for, or None when it is no leaf's."""
    if target is not torch.ops.tessera.leaf.default:
        return None
    index = args[0]
    call = _CALLS.get(index) if isinstance(index, int) else None
    if call is None:
        raise InternalError(f"leaf call {index} outlived its capture")
    return call


def _fake(call: int, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    outputs = _CALLS[call].outputs.tensors
    device = tensors[0].device if tensors else torch.device("cpu")
    return [torch.empty(spec.shape, dtype=spec.dtype, device=device) for spec in outputs]


def _never_runs(call: int, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    raise InternalError("tessera::leaf runs only as an island of a compiled program")


torch.library.register_fake(LEAF_NAME, _fake)
_LIBRARY.impl("leaf", _never_runs, "CompositeExplicitAutograd")
fx.node.has_side_effect(torch.ops.tessera.leaf.default)


def run_leaf(call: LeafCall) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The island behind a leaf: tensors in, tensors out, the child's own arguments between."""
    leaf, inputs, expected = call.leaf, call.inputs, call.outputs

    build, flatten = call_builder_of(inputs.spec), flattener_of(expected.spec)
    template = [None if isinstance(item, TensorSpec) else item[0] for item in inputs.leaves]
    places = [i for i, item in enumerate(inputs.leaves) if isinstance(item, TensorSpec)]
    wanted_tensors = expected.tensors
    constants = len(wanted_tensors) < len(expected.leaves)

    def island(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        leaves = list(template)
        for place, tensor in zip(places, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs = build(leaves)
        with autocast.like(call.autocast):
            result = leaf.target(*args, **kwargs)
        flat, same = flatten(result)
        results = tuple(item for item in flat if isinstance(item, torch.Tensor))
        same = same and len(results) == len(wanted_tensors)
        for result, wanted in zip(results, wanted_tensors, strict=False):
            same = same and result.dtype == wanted.dtype and tuple(result.shape) == wanted.shape
        if not same or (constants and not _same_constants(flat, expected)):
            changed = ArgumentError if leaf.code == "replaced" else ResultChanged
            raise changed(_mismatch(leaf, flat, expected))
        return results

    return island


def _same_constants(flat: Sequence[Any], expected: TreeOfTensors) -> bool:
    """Whether everything that is no tensor is what the program has taken for granted."""
    for got, wanted in zip(flat, expected.leaves, strict=True):
        if not isinstance(wanted, TensorSpec) and got is not wanted[0]:
            try:
                if type(got) is not type(wanted[0]) or not bool(got == wanted[0]):
                    return False
            except (TypeError, ValueError, RuntimeError):
                return False
    return True


def _mismatch(leaf: Leaf, flat: Sequence[Any], expected: TreeOfTensors) -> str:
    got = ", ".join(
        str(TensorSpec.of(item)) if isinstance(item, torch.Tensor) else repr(item) for item in flat
    )
    want = ", ".join(
        str(item) if isinstance(item, TensorSpec) else repr(item[0]) for item in expected.leaves
    )
    return (
        f"the submodule {leaf.fqn!r} returned ({got}) where the program was compiled for ({want}); "
        "what stands in a submodule's place must return what the original returns"
    )
