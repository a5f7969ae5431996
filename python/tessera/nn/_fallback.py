# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of `ts.nn` that have no kernel for every case yet.

On graph values such a case declines, so that the node becomes an island with this reason; on
tensors PyTorch computes it on the same memory, and a warning says so once.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils.dlpack import from_dlpack

from tessera.capture import autocast
from tessera.capture.provenance import is_user_file
from tessera.errors import NotYetSupportedError
from tessera.lowering.registry import Unsupported
from tessera.ops._dispatch import Value, call, find_context
from tessera.tracing.active import building

_told: set[str] = set()


def call_or_pytorch(name: str, key: str, function: Callable[..., Any], *args: Any) -> Value:
    """The lowering `key`, or where it declines `function` of PyTorch on the tensors' own memory."""
    if find_context(args) is not None:
        return call(key, *args)
    try:
        return call(key, *args)
    except NotYetSupportedError as error:
        # The error's remedy is for a node of a captured model, not for a call.
        reason = error.message.removeprefix(f"[{name}] ")
    return in_pytorch(name, reason, function, *args)


def in_pytorch(
    name: str, reason: str, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """`function` of PyTorch on the tensors' own memory; Unsupported where a graph is built."""
    from tessera.tensor import Tensor, from_torch

    if building() is not None or find_context((args, kwargs)) is not None:
        raise Unsupported(f"[{name}] {reason}")
    native = any(isinstance(item, Tensor) for item in pytree.tree_leaves((args, kwargs)))
    given, named = pytree.tree_map_only(Tensor, from_dlpack, (args, kwargs))
    # A function of ts.nn computes in its operands' dtype, whoever computes it.
    with torch.no_grad(), autocast.suspended():
        result = function(*given, **named)
    if name not in _told:
        _told.add(name)
        warnings.warn(
            f"ts.nn.{name}: PyTorch computes this call, on the tensors' own memory ({reason}). "
            "The result is right, at PyTorch's speed; this is said once.",
            stacklevel=_depth(),
        )
    return pytree.tree_map_only(torch.Tensor, from_torch, result) if native else result


def _depth() -> int:
    """How far away the innermost caller is that is no part of Tessera."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and not is_user_file(frame.f_code.co_filename):
        depth, frame = depth + 1, frame.f_back
    return depth
