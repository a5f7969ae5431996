# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A captured program run by PyTorch, node by node: as it is, and in float64."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from tessera.capture.leaves import leaf_call_of, run_leaf

_WIDE = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
}


class Replay(fx.Interpreter):
    """Runs a program on given placeholders and keeps the values of some nodes."""

    def __init__(self, module: fx.GraphModule, wanted: Iterable[fx.Node]) -> None:
        super().__init__(module)
        self._nodes = list(module.graph.nodes)
        self._wanted = set(wanted)
        self.values: dict[fx.Node, torch.Tensor] = {}

    def replay(self, placeholders: Mapping[fx.Node, Any]) -> dict[fx.Node, torch.Tensor]:
        """The wanted values; the program's own results are dropped."""
        given = [placeholders[node] for node in self._nodes if node.op == "placeholder"]
        with torch.no_grad():
            self.run(*given)
        return self.values

    def run_node(self, n: fx.Node) -> Any:
        value = self.compute(n)
        if n in self._wanted and isinstance(value, torch.Tensor):
            self.values[n] = value.clone()
        return value

    def compute(self, node: fx.Node) -> Any:
        return super().run_node(node)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = leaf_call_of(target, args)
        if call is None:
            return super().call_function(target, args, kwargs)
        # What stands in a submodule's place is no business of PyTorch's: it runs as it is.
        return list(run_leaf(call)(*args[1]))


#: Operators that precision="bf16" computes on rounded operands, as they are in captured graphs.
_REDUCED = frozenset(
    [
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "addbmm",
        "mv",
        "addmv",
        "matmul",
        "linear",
        "convolution",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "scaled_dot_product_attention",
        "_scaled_dot_product_flash_attention_for_cpu",
    ]
)


class ReducedReplay(Replay):
    """The same with products, convolutions and attention of float32 as PyTorch has them in
    bfloat16: on rounded operands, with rounded results."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        packet = getattr(target, "overloadpacket", None)
        if getattr(packet, "__name__", "") in _REDUCED:
            with contextlib.suppress(RuntimeError, NotImplementedError):
                given = _mapped((args, kwargs), _rounded)
                result = super().call_function(target, given[0], given[1])
                return _mapped(result, _from_rounded)
        return super().call_function(target, args, kwargs)


def _rounded(value: torch.Tensor) -> torch.Tensor:
    return value.bfloat16() if value.dtype == torch.float32 else value


def _from_rounded(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.dtype == torch.bfloat16 else value


class WideReplay(Replay):
    """The same with all floating-point numbers in float64.

    A node that cannot be computed so (it looks at the bits of its operands, or takes one type
    only) is computed in its own precision from rounded operands.
    """

    def compute(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return _mapped(super().compute(node), _widened)
        if node.op == "get_attr":
            return _mapped(super().compute(node), _widened)
        if node.op != "call_function":
            return super().compute(node)
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        try:
            if leaf_call_of(node.target, args) is not None:
                raise TypeError("a submodule in another's place knows the model's types only")
            wide = pytree.tree_map_only(torch.dtype, _wide_dtype, (args, kwargs))
            value = self.call_function(node.target, wide[0], wide[1])
            if _has_form(value, node.meta.get("val")):
                return value
        except (RuntimeError, TypeError, ValueError, NotImplementedError):
            pass
        args, kwargs = fx.map_arg(
            (node.args, node.kwargs),
            lambda source: _narrowed(self.env[source], source.meta.get("val")),
        )
        return _mapped(self.call_function(node.target, args, kwargs), _widened)


def _mapped(value: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    return pytree.tree_map_only(torch.Tensor, function, value)


def _widened(value: torch.Tensor) -> torch.Tensor:
    return value.to(_wide_dtype(value.dtype))


def _narrowed(value: Any, like: Any) -> Any:
    if isinstance(value, torch.Tensor) and isinstance(like, torch.Tensor):
        return value.to(like.dtype)
    return value


def _wide_dtype(dtype: torch.dtype) -> torch.dtype:
    return _WIDE.get(dtype, dtype)


def _has_form(value: Any, like: Any) -> bool:
    """Whether a wide result is the captured one but for its precision."""
    values, likes = pytree.tree_leaves(value), pytree.tree_leaves(like)
    if len(values) != len(likes):
        return False
    for item, example in zip(values, likes, strict=True):
        if not isinstance(example, torch.Tensor):
            continue
        if not isinstance(item, torch.Tensor) or item.dtype != _wide_dtype(example.dtype):
            return False
        sizes = [size for size in example.shape if isinstance(size, int)]
        if len(sizes) == example.dim() and tuple(sizes) != tuple(item.shape):
            return False
    return True
