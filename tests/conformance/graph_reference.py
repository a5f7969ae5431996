# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What each operation of Graph IR means, said in PyTorch.

`ReferenceBuilder` stands in for `_core.GraphBuilder`: it computes every operation at once, with
real data, in the manner of docs/decisions/0001. Lowerings are tested against it without compiling
anything, which tells a wrong lowering from wrong code; and compiled programs can be tested
against it too. It is strict about operands and attributes: what the dialect's verifier refuses,
it refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tessera.lowering.dtypes import dtype_from_name, dtype_name

HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Handle:
    """A value with its data."""

    tensor: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> str:
        return dtype_name(self.tensor.dtype)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _is_float(x: torch.Tensor) -> bool:
    return x.dtype.is_floating_point


def _wide(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Half precision computed in float32."""

    def call(*operands: torch.Tensor, **attrs: Any) -> torch.Tensor:
        dtype = operands[0].dtype
        if dtype not in HALF:
            return function(*operands, **attrs)
        return function(*(x.float() for x in operands), **attrs).to(dtype)

    return call


UNARY_NUMERIC = {"abs": torch.abs, "neg": torch.neg, "sign": torch.sign}
UNARY_FLOAT = {
    name: getattr(torch, name)
    for name in [
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "erf",
        "erfc",
        "erfinv",
        "sigmoid",
        "ceil",
        "floor",
        "trunc",
        "round",
    ]
} | {"silu": F.silu}
BINARY_NUMERIC = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "floor_div": torch.floor_divide,
    "trunc_div": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "pow": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
SPECIAL = {
    "digamma": torch.digamma,
    "i0": torch.i0,
    "igamma": torch.igamma,
    "lgamma": torch.lgamma,
    "zeta": torch.special.zeta,
}
BINARY_FLOAT = {"div": torch.div, "atan2": torch.atan2, "copysign": torch.copysign}
BINARY_BITS = {
    "bitwise_and": torch.bitwise_and,
    "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor,
}
SHIFTS = {"shift_left": torch.bitwise_left_shift, "shift_right": torch.bitwise_right_shift}
PREDICATES = {name: getattr(torch, name) for name in ["eq", "ne", "lt", "le", "gt", "ge"]}
REDUCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "sum": lambda x, dims, keep: torch.sum(x, dims, keep, dtype=x.dtype),
    "max": torch.amax,
    "min": torch.amin,
    "any": torch.any,
    "all": torch.all,
}


def _prod(x: torch.Tensor, dims: Sequence[int], keepdim: bool) -> torch.Tensor:
    for dim in sorted(dims, reverse=True):
        x = torch.prod(x, dim, keepdim, dtype=x.dtype)
    return x


class ReferenceBuilder:
    """Computes a graph while it is built."""

    def __init__(self, tensors: dict[str, torch.Tensor] | None = None) -> None:
        #: the data of inputs and parameters
        self.tensors = dict(tensors or {})
        #: mnemonics in the order they were created
        self.ops: list[str] = []

    def input(self, name: str, dtype: str, shape: list[int]) -> Handle:
        tensor = self.tensors[name]
        _require(list(tensor.shape) == shape and dtype_name(tensor.dtype) == dtype, f"input {name}")
        return Handle(tensor)

    parameter = input

    def finish(self, outputs: list[Handle], contiguous: Iterable[bool] = ()) -> list[torch.Tensor]:
        return [output.tensor for output in outputs]

    def constant(self, raw: Any, dtype: str, shape: list[int], location: Any) -> Handle:
        data = np.frombuffer(raw, dtype=np.uint8).copy()
        flat = torch.from_numpy(data).view(dtype_from_name(dtype))
        # One element stands for all.
        count = math.prod(shape)
        return Handle((flat.expand(count) if flat.numel() != count else flat).reshape(shape))

    def create(
        self, op: str, operands: Sequence[Handle], attrs: dict[str, Any], location: Any
    ) -> list[Handle]:
        tensors = [operand.tensor for operand in operands]
        self.ops.append(op)
        result = self._compute(op, tensors, dict(attrs))
        return [Handle(result)]

    # --- families ---------------------------------------------------------------------------

    def _compute(self, op: str, x: list[torch.Tensor], attrs: dict[str, Any]) -> torch.Tensor:
        method = getattr(self, f"_{op}", None)
        if method is not None:
            result: torch.Tensor = method(*x, **attrs)
            return result
        _require(not attrs, f"{op} takes no attributes, got {attrs}")
        _require(all(t.dtype == x[0].dtype for t in x), f"{op}: {[t.dtype for t in x]}")
        if op in UNARY_NUMERIC or op in BINARY_NUMERIC:
            _require(x[0].dtype != torch.bool, f"{op} of bool")
            return _wide({**UNARY_NUMERIC, **BINARY_NUMERIC}[op])(*x)
        if op == "special":
            return _wide(SPECIAL[attrs["function"]])(*x)
        if op in UNARY_FLOAT or op in BINARY_FLOAT:
            _require(_is_float(x[0]), f"{op} of {x[0].dtype}")
            return _wide({**UNARY_FLOAT, **BINARY_FLOAT}[op])(*x)
        if op in ("isnan", "isinf"):
            _require(_is_float(x[0]), f"{op} of {x[0].dtype}")
            return getattr(torch, op)(x[0])
        if op in BINARY_BITS or op in SHIFTS or op == "bitwise_not":
            _require(not _is_float(x[0]), f"{op} of {x[0].dtype}")
            _require(op not in SHIFTS or x[0].dtype != torch.bool, f"{op} of bool")
            return {**BINARY_BITS, **SHIFTS, "bitwise_not": torch.bitwise_not}[op](*x)
        raise KeyError(f"graph.{op} is not an operation of Graph IR")

    def _gelu(self, x: torch.Tensor, approximate: str = "none") -> torch.Tensor:
        _require(_is_float(x), f"gelu of {x.dtype}")
        return F.gelu(x, approximate=approximate)

    def _compare(self, a: torch.Tensor, b: torch.Tensor, predicate: str) -> torch.Tensor:
        _require(a.dtype == b.dtype, f"compare of {a.dtype} and {b.dtype}")
        return PREDICATES[predicate](a, b)

    def _select(self, c: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        _require(c.dtype == torch.bool and a.dtype == b.dtype, "select operands")
        return torch.where(c, a, b)

    def _cast(self, x: torch.Tensor, dtype: str) -> torch.Tensor:
        return x.to(dtype_from_name(dtype))

    def _iota(
        self, shape: list[int], dim: int, start: float, step: float, dtype: str
    ) -> torch.Tensor:
        target = dtype_from_name(dtype)
        _require(target != torch.bool, "iota of bool")
        wide = torch.float64 if target.is_floating_point else torch.int64
        line = torch.arange(shape[dim], dtype=wide) * step + start
        view = [1] * len(shape)
        view[dim] = shape[dim]
        return line.to(target).reshape(view).expand(shape)

    def _reshape(self, x: torch.Tensor, shape: list[int]) -> torch.Tensor:
        _require(math.prod(shape) == x.numel(), f"reshape {x.shape} to {shape}")
        return x.reshape(shape)

    def _permute(self, x: torch.Tensor, dims: list[int]) -> torch.Tensor:
        return x.permute(dims)

    def _broadcast(self, x: torch.Tensor, shape: list[int]) -> torch.Tensor:
        return x.expand(shape)

    def _slice(
        self, x: torch.Tensor, starts: list[int], limits: list[int], steps: list[int]
    ) -> torch.Tensor:
        for size, start, limit, step in zip(x.shape, starts, limits, steps, strict=True):
            _require(0 <= start <= limit <= size and step > 0, f"slice {start}:{limit}:{step}")
        return x[tuple(slice(*bounds) for bounds in zip(starts, limits, steps, strict=True))]

    def _concat(self, *x: torch.Tensor, dim: int) -> torch.Tensor:
        _require(all(t.dtype == x[0].dtype and t.ndim == x[0].ndim for t in x), "concat operands")
        return torch.cat(x, dim)

    def _pad(
        self, x: torch.Tensor, value: torch.Tensor, low: list[int], high: list[int]
    ) -> torch.Tensor:
        _require(value.ndim == 0 and value.dtype == x.dtype, "pad value")
        _require(len(low) == len(high) == x.ndim, "pad amounts")
        for size, before, after in zip(x.shape, low, high, strict=True):
            _require(size + min(before, 0) + min(after, 0) >= 0, f"pad crops {size}")
        amounts = [amount for pair in zip(low[::-1], high[::-1], strict=True) for amount in pair]
        return F.pad(x, amounts, value=value.item())

    def _reverse(self, x: torch.Tensor, dims: list[int]) -> torch.Tensor:
        return torch.flip(x, dims)

    def _window(
        self,
        x: torch.Tensor,
        dims: list[int],
        sizes: list[int],
        steps: list[int],
        dilations: list[int],
    ) -> torch.Tensor:
        for dim, size, step, dilation in zip(dims, sizes, steps, dilations, strict=True):
            x = x.unfold(dim, dilation * (size - 1) + 1, step)[..., ::dilation]
        return x

    def _convolution(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        stride: list[int],
        padding_low: list[int],
        padding_high: list[int],
        dilation: list[int],
        groups: int,
        channels_last: bool = False,
    ) -> torch.Tensor:
        _require(x.dtype == weight.dtype and not channels_last, "convolution operands")
        _require(min(*padding_low, *padding_high) >= 0, "convolution padding")
        pairs = zip(padding_low[::-1], padding_high[::-1], strict=True)
        padded = F.pad(x, [amount for pair in pairs for amount in pair])
        function = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
        return function(padded, weight, None, stride, 0, dilation, groups)

    def _reduce(
        self, x: torch.Tensor, kind: str, dims: list[int], keepdim: bool = False
    ) -> torch.Tensor:
        _require(dims == sorted(set(dims)) and all(0 <= d < x.ndim for d in dims), f"dims {dims}")
        if kind in ("any", "all"):
            _require(x.dtype == torch.bool, f"{kind} of {x.dtype}")
        else:
            _require(x.dtype != torch.bool, f"{kind} of bool")
        if not dims:
            return x
        if kind == "prod":
            return _wide(_prod)(x, dims=dims, keepdim=keepdim)
        return REDUCTIONS[kind](x, dims, keepdim)

    def _arg_reduce(
        self, x: torch.Tensor, kind: str, dim: int, keepdim: bool = False
    ) -> torch.Tensor:
        _require(x.dtype != torch.bool, "arg_reduce of bool")
        return {"max": torch.argmax, "min": torch.argmin}[kind](x, dim, keepdim)

    def _layer_norm(
        self,
        x: torch.Tensor,
        *affine: torch.Tensor,
        axes: int,
        eps: float,
        operand_groups: Any = None,
    ) -> torch.Tensor:
        weight, bias = (*affine, None, None)[:2]
        _require(all(t.dtype == x.dtype for t in affine), "layer_norm dtypes")
        return F.layer_norm(x, x.shape[x.ndim - axes :], weight, bias, eps)

    def _rms_norm(
        self, x: torch.Tensor, *weight: torch.Tensor, axes: int, eps: float
    ) -> torch.Tensor:
        _require(all(t.dtype == x.dtype for t in weight), "rms_norm dtypes")
        return F.rms_norm(x, x.shape[x.ndim - axes :], *weight, eps=eps)

    def _group_norm(
        self, x: torch.Tensor, *affine: torch.Tensor, groups: int, eps: float
    ) -> torch.Tensor:
        weight, bias = (*affine, None, None)[:2]
        _require(all(t.dtype == x.dtype for t in affine), "group_norm dtypes")
        if not x.numel():
            return torch.empty_like(x)
        grouped = x.reshape(x.shape[0], groups, -1).double()
        mean = grouped.mean(-1, keepdim=True)
        var = grouped.var(-1, keepdim=True, unbiased=False)
        value = ((grouped - mean) / torch.sqrt(var + eps)).reshape(x.shape)
        shape = [1, -1] + [1] * (x.ndim - 2)
        if weight is not None:
            value = value * weight.double().reshape(shape)
        if bias is not None:
            value = value + bias.double().reshape(shape)
        return value.to(x.dtype)

    def _softmax(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        _require(0 <= dim < x.ndim and _is_float(x), f"softmax dim {dim}")
        return torch.softmax(x, dim)

    def _log_softmax(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        _require(0 <= dim < x.ndim and _is_float(x), f"log_softmax dim {dim}")
        return torch.log_softmax(x, dim)

    def _matmul(
        self,
        a: torch.Tensor,
        b: torch.Tensor,
        transpose_a: bool = False,
        transpose_b: bool = False,
    ) -> torch.Tensor:
        _require(a.dtype == b.dtype and a.ndim > 1 and b.ndim > 1, "matmul operands")
        return (a.mT if transpose_a else a) @ (b.mT if transpose_b else b)

    def _attention(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        *mask: torch.Tensor,
        scale: float,
        causal: bool = False,
    ) -> torch.Tensor:
        _require(q.ndim == k.ndim == v.ndim >= 3, "attention ranks")
        _require(q.shape[:-3] == k.shape[:-3] == v.shape[:-3], "attention batches")
        heads, groups = q.shape[-3], k.shape[-3]
        _require(groups == v.shape[-3] and heads % groups == 0, "attention heads")
        for t in mask:
            _require(t.dtype in (torch.bool, q.dtype), f"mask {t.dtype}")
        return F.scaled_dot_product_attention(
            q,
            k.repeat_interleave(heads // groups, -3),
            v.repeat_interleave(heads // groups, -3),
            *mask,
            is_causal=causal,
            scale=scale,
        )

    def _gather(self, source: torch.Tensor, index: torch.Tensor, dim: int) -> torch.Tensor:
        _require(index.dtype in (torch.int32, torch.int64), f"index {index.dtype}")
        size = source.shape[dim]
        if index.numel() and (int(index.min()) < 0 or int(index.max()) >= size):
            raise IndexError(f"index out of range for {size}")
        return source[(slice(None),) * dim + (index,)]
