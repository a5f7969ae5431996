# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators that are called by their name in ATen or prims, and that PyTorch's fake tensors say
something else of than its kernels do: another shape, another dtype, or which result is which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tessera.errors import CaptureError

_aten = torch.ops.aten
_HALVES = (torch.float16, torch.bfloat16)

#: By the operator: what stands in for it, which gives NotImplemented where it need not.
STAND_INS: dict[Any, Callable[..., Any]] = {
    torch.ops.prims.signbit: torch.signbit,
    torch.ops.prims.signbit.default: torch.signbit,
}


def _normal_into(
    mean: Tensor, std: float = 1, *, generator: torch.Generator | None = None, out: Tensor
) -> Tensor:
    # Alone of its kind it takes the shape of `out`, which the means are added to.
    return out.normal_(0, std, generator=generator).add_(mean)


def _normal(mean: Any, std: Any = 1, *sizes: Any, **kwargs: Any) -> Any:
    into = (
        isinstance(mean, Tensor) and not isinstance(std, Tensor) and kwargs.get("out") is not None
    )
    return _normal_into(mean, std, **kwargs) if into and not sizes else NotImplemented


STAND_INS[_aten.normal.Tensor_float_out] = _normal_into
STAND_INS[_aten.normal] = STAND_INS[torch.normal] = _normal


def _batch_norm(operator: Any) -> Callable[..., Any]:
    """Statistics have the dtype of the parameters, also where the input is of half precision."""
    names = [argument.name for argument in operator._schema.arguments]
    changed = [place for place, item in enumerate(operator._schema.returns) if _is_running(item)]

    def compute(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(names, args, strict=False)) | kwargs
        input = given["input"]
        if input.dtype not in _HALVES:
            return NotImplemented
        parts = ("weight", "bias", "running_mean", "running_var")
        dtypes = {item.dtype for name in parts if isinstance(item := given.get(name), Tensor)}
        mixed = bool(dtypes - {input.dtype})
        if not mixed and not changed:
            return NotImplemented
        results = list(operator(**given | {"input": input.float() if mixed else input}))
        results[0] = results[0].to(input.dtype)
        for place, name in zip(changed, parts[2:], strict=False):
            results[place] = results[place].to(given[name].dtype)
        return tuple(results)

    return compute


def _is_running(result: Any) -> bool:
    return result.name in ("running_mean_out", "running_var_out")


def _refuse(operator: Any) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise CaptureError(
            f"{operator} cannot be captured: PyTorch takes its results for one another when it "
            "makes a graph without writes of it",
            remedy="call the operator without out=",
        )

    return refuse


def _by_any_overload(packet: Any) -> Callable[..., Any]:
    """For a call that leaves it to PyTorch which overload is meant."""

    def compute(*args: Any, **kwargs: Any) -> Any:
        overload = packet.default
        if kwargs.get("out") is not None:
            overload = packet.out if hasattr(packet, "out") else None
        elif len(args) > 3 and isinstance(args[3], bool):
            overload = packet.no_stats
        stand_in = STAND_INS.get(overload)
        return NotImplemented if stand_in is None else stand_in(*args, **kwargs)

    return compute


for _operator in (
    _aten.native_batch_norm.default,
    _aten._native_batch_norm_legit.default,
    _aten._native_batch_norm_legit.no_stats,
    _aten._native_batch_norm_legit_functional.default,
    _aten._batch_norm_with_update.default,
    _aten._batch_norm_with_update_functional.default,
    _aten._batch_norm_no_update.default,
):
    STAND_INS[_operator] = _batch_norm(_operator)
    STAND_INS[_operator.overloadpacket] = _by_any_overload(_operator.overloadpacket)
for _operator in (_aten._native_batch_norm_legit.out, _aten._batch_norm_with_update.out):
    STAND_INS[_operator] = _refuse(_operator)
STAND_INS[torch.native_batch_norm] = STAND_INS[_aten.native_batch_norm]
